"""What litgen's runtime costs per optimizer step, beside a bare PyTorch loop that does the same.

    python tests/benchmarks/step.py --rounds 60 --steps 100

A small model on purpose: the smaller the model, the larger the share of everything around it. CPU
time on one thread, in short segments that alternate in random order: so a busy moment of the
machine falls on all loops, and the control, which is the bare loop again, shows what is left of it.
"""

import argparse
import contextlib
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from report import place, spread
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[2]))

from runtime.data import TrainSampler, to_device, train_batches
from runtime.log import Log
from runtime.optim import clip_and_step, decay_groups, set_lr
from runtime.rng import seed_all
from runtime.schedule import cosine
from runtime.stop import Stop

BATCH, LR, WARMUP, DECAY, CLIP, LOG_EVERY = 64, 1e-3, 50, 0.05, 1.0, 10
# Both loops yield after each part, so that it can be timed in its place; a yield costs some 50 ns.
PARTS = ["schedule", "loader", "model", "optimizer", "log", "stop"]
Times = dict[str, list[float]]


class Points(Dataset[tuple[Tensor, int]]):
    """Something to learn: which of the first ten numbers is the largest."""

    def __init__(self, samples: int = 8192) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(samples, 64, generator=generator)
        self.y = self.x[:, :10].argmax(1).tolist()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], self.y[index]


def mlp() -> nn.Module:
    hidden = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(128, 10))


def bare(dataset: Points, steps: int) -> Iterator[None]:
    """What one would write without any library."""
    device = torch.device("cpu")
    torch.manual_seed(0)
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=DECAY, fused=True)
    loader = DataLoader(dataset, BATCH, shuffle=True, drop_last=True)
    batches = iter(loader)

    model.train()
    for step in range(steps):
        if step < WARMUP:
            lr = LR * (step + 1) / WARMUP
        else:
            lr = LR * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))
        for group in optimizer.param_groups:
            group["lr"] = lr
        yield
        try:
            x, y = next(batches)
        except StopIteration:
            batches = iter(loader)
            x, y = next(batches)
        x, y = x.to(device), y.to(device)
        yield
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        yield
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        yield
        if (step + 1) % LOG_EVERY == 0:
            print(f"step {step + 1} loss {loss.item():.4f}")
        yield
        yield


def litgen(dataset: Points, steps: int, folder: Path) -> Iterator[None]:
    """The loop of a generated train.py (one process, fp32), without validation and checkpoints."""
    device = torch.device("cpu")
    seed_all(0)
    model = mlp()
    optimizer = torch.optim.AdamW(decay_groups(model, DECAY), fused=True)
    sampler = TrainSampler(dataset, BATCH, accumulate=1, seed=0)
    batches = train_batches(dataset, sampler, workers=0)
    log = Log(folder, steps, per_step=sampler.step_size, unit="img")
    stop = Stop()

    step = 0
    model.train()
    while step < steps:
        lr = LR * cosine(step, WARMUP, steps)
        set_lr(optimizer, lr)
        yield

        step_loss = torch.zeros((), device=device)
        for _ in range(1):
            x, y = to_device(next(batches), device)
            yield
            loss, _ = loss_and_logits(model, x, y)
            loss = loss / sampler.step_size
            loss.backward()
            step_loss += loss.detach()
            yield
        norm = clip_and_step(optimizer, model.parameters(), CLIP)
        step += 1
        yield

        scores: dict[str, float] = {}
        if scores or step % LOG_EVERY == 0:
            log(step, loss=step_loss, norm=norm, lr=lr, **scores)
        log.progress(step, norm)
        yield

        stopping = stop.requested()
        if stopping:
            sys.exit(stop.exit_code)
        yield


def loss_and_logits(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    logits = model(x)
    return F.cross_entropy(logits, y, reduction="sum"), logits


def main(rounds: int, steps: int) -> None:
    torch.set_num_threads(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        open(Path(folder, "stdout"), "w") as stdout,
        contextlib.redirect_stdout(stdout),
    ):
        whole, parts = measure(rounds, steps, Path(folder))
    print(place())
    print(f"{rounds} rounds of {steps} steps; CPU time per step, median (quartiles)\n")
    print(f"{'':12}{'µs':26}ratio to bare")
    for name, times in whole.items():
        ratios = [time / base for time, base in zip(times, whole["bare"], strict=True)]
        print(f"{name:12}{spread(times, 0):26}{spread(ratios, 3)}")
    print(f"{'target':38}1.10\n")
    print("part          bare  litgen   difference, µs")
    for part in PARTS:
        base, ours = (statistics.median(parts[name][part]) for name in ("bare", "litgen"))
        print(f"{part:10}{base:8.1f}{ours:8.1f}{ours - base:+8.1f}")


def measure(rounds: int, steps: int, folder: Path) -> tuple[Times, dict[str, Times]]:
    """Of each loop the µs per step in every round: in all, and of each part."""
    dataset, all_steps = Points(), (2 * rounds + 1) * steps
    loops = {
        "bare": bare(dataset, all_steps),
        "control": bare(dataset, all_steps),
        "litgen": litgen(dataset, all_steps, folder),
    }
    whole: Times = {name: [] for name in loops}
    parts: dict[str, Times] = {name: {part: [] for part in PARTS} for name in loops}
    orders = random.Random(0)
    for loop in loops.values():
        time_whole(loop, steps)  # the first steps fill caches
    for _ in range(rounds):
        for name in orders.sample(list(loops), len(loops)):
            whole[name].append(time_whole(loops[name], steps))
        for name in orders.sample(list(loops), len(loops)):
            for part, spent in time_parts(loops[name], steps).items():
                parts[name][part].append(spent)
    return whole, parts


def time_whole(loop: Iterator[None], steps: int) -> float:
    """µs of CPU time per step."""
    began = time.process_time()
    for _ in islice(loop, len(PARTS) * steps):
        pass
    return (time.process_time() - began) / steps * 1e6


def time_parts(loop: Iterator[None], steps: int) -> dict[str, float]:
    """µs of CPU time per step, of each part."""
    spent = dict.fromkeys(PARTS, 0.0)
    for _ in range(steps):
        for part in PARTS:
            began = time.process_time()
            next(loop)
            spent[part] += (time.process_time() - began) / steps * 1e6
    return spent


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="at least 2")
    parser.add_argument("--steps", type=int, default=100, help="of a segment")
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.steps)
