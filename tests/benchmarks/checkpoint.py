"""How long a checkpoint stalls training, beside `torch.save` of the same state.

    python tests/benchmarks/checkpoint.py --rounds 20 --megabytes 200

A model of so many megabytes and its AdamW, three times as much in all. Between two saves it trains
for some steps. A stall is the time for which training stands still: in `save` and, where that
returns before all is copied, in `wait_for_copy`. The three take turns, in random order.
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from report import place, spread
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from runtime.async_checkpoints import BackgroundWriter
from runtime.checkpoint import Checkpoints

WIDTH = 1024  # a layer of 4 MB


class Run:
    """A model on its way; `save` returns for how long it stood still, of a step and of a save."""

    def __init__(self, megabytes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        layers = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(megabytes // 4)]
        self.model = nn.Sequential(*layers).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.x = torch.randn(256, WIDTH, device=device)
        self.number, self.on_gpu = 0, device.type == "cuda"

    def forward_and_backward(self) -> None:
        loss: Tensor = self.model(self.x).square().mean()
        loss.backward()

    def step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def now(self) -> float:
        if self.on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()


def plain(run: Run, file: Path) -> float:
    """`torch.save` of both state_dicts, as most loops do it: without waiting for the disk."""
    began = run.now()
    torch.save([run.model.state_dict(), run.optimizer.state_dict()], file)
    stall = run.now() - began
    run.forward_and_backward()
    run.step()
    return stall


def synchronous(run: Run, checkpoints: Checkpoints) -> float:
    run.number += 1
    began = run.now()
    checkpoints.save(run.number, run.model, run.optimizer)
    stall = run.now() - began
    run.forward_and_backward()
    run.step()
    return stall


def asynchronous(run: Run, checkpoints: Checkpoints, writer: BackgroundWriter) -> float:
    run.number += 1
    began = run.now()
    checkpoints.save(run.number, run.model, run.optimizer)
    saved = run.now()
    run.forward_and_backward()
    waits = run.now()
    writer.wait_for_copy()
    stall = saved - began + run.now() - waits
    run.step()
    writer.finish()  # so that the next in turn has the machine for itself
    return stall


def memory() -> int:
    """Bytes of this process that lie in memory, without those of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise SystemExit("memory is measured on Linux")


class Peak:
    """The most memory that was in use within the block, beyond that before it."""

    def __enter__(self) -> "Peak":
        self.before = self.most = memory()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while not self.over.wait(0.005):
            self.most = max(self.most, memory())

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()
        self.grown = self.most - self.before


def main(rounds: int, megabytes: int, folder: Path) -> None:
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    run = Run(megabytes, device)
    run.forward_and_backward()
    run.step()
    one, other = (Checkpoints(folder / name, keep=1) for name in ("sync", "async"))
    writer = BackgroundWriter()
    other.writer = writer
    ways = {
        "torch.save": lambda: plain(run, folder / "plain.pt"),
        "synchronous": lambda: synchronous(run, one),
        "asynchronous": lambda: asynchronous(run, other, writer),
    }
    peaks = {}
    for name, save in ways.items():
        with Peak() as peak:
            save()
        peaks[name] = peak.grown
    stalls: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(ways), len(ways)):
            stalls[name].append(ways[name]())
    state = 3 * megabytes
    card = f" · {torch.cuda.get_device_name()}" if device.type == "cuda" else ""
    print(f"{place()}{card}")
    print(f"{rounds} rounds, {state} MB of state; median (quartiles)\n")
    print(f"{'':14}{'stall, s':28}{'of torch.save':26}memory at the first, of the state")
    for name, times in stalls.items():
        ratios = [time / base for time, base in zip(times, stalls["torch.save"], strict=True)]
        grown = f"{peaks[name] / state / 2**20:.2f}"
        print(f"{name:14}{spread(times, 3):28}{spread(ratios, 2):26}{grown}")
    print(f"{'target':42}0.20 (asynchronous)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="at least 2")
    parser.add_argument("--megabytes", type=int, default=200, help="of parameters")
    parser.add_argument("--folder", type=Path, help="on the disk to write to; a temporary one")
    arguments = parser.parse_args()
    place_to_write = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        main(arguments.rounds, arguments.megabytes, place_to_write)
    finally:
        shutil.rmtree(place_to_write)
