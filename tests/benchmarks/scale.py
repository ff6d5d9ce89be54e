"""What a step and a checkpoint would take on many GPUs: a calculation.

    python tests/benchmarks/scale.py
    python tests/benchmarks/scale.py --ranks 16 256 --parameters 7e9 --layers 33 --step 1.9

Measured are the step on one GPU, by `cuda.py speed`, given as --step; and what a checkpoint's plan
costs the first process: torch's planning is run here, of as many processes as asked for. One of
them is real, the others' plans are made from its own. Assumed is the rest: see `Assumed`.
"""

import argparse
import math
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from cuda import GPT2
from report import place

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "python-gpt")]

T = TypeVar("T")
MS = 1e-3
GB = 1e9


@dataclass(frozen=True)
class Assumed:
    """Of the machines and what is between them."""

    gpus: int = 8  # in a machine
    inside: float = 350  # GB/s of a GPU to the others of its machine
    network: float = 40  # GB/s of a GPU to other machines: 400 Gb/s, of which 80 % arrive
    hop_inside: float = 1  # µs from GPU to GPU
    hop: float = 10  # µs from machine to machine
    hop_cpu: float = 30  # µs from process to process for gloo's small messages, over TCP
    disk: float = 2  # GB/s of a machine to the shared disk
    disks: float = 50  # GB/s of the shared disk in all
    file: float = 2  # ms to open, sync and close a small file on it


@dataclass(frozen=True)
class Work:
    """Of the model, on one GPU."""

    parameters: float
    layers: int
    step: float  # s; a third of it forward, the rest backward
    small: int = 4  # bytes of a gradient, and of a weight that travels


@dataclass(frozen=True)
class Messages:
    """How long collectives of NCCL take among `ranks` GPUs, in s."""

    ranks: int
    assumed: Assumed

    @property
    def machines(self) -> int:
        return -(-self.ranks // self.assumed.gpus)

    @property
    def speed(self) -> float:
        """Bytes a second that a ring moves: its slowest link."""
        return GB * (self.assumed.network if self.machines > 1 else self.assumed.inside)

    def ring(self, size: float) -> float:
        """Gather `size` bytes on all, or scatter their sum: each GPU's part goes once around."""
        hops = self.ranks * self.assumed.hop_inside
        if self.machines > 1:
            hops += self.machines * (self.assumed.hop - self.assumed.hop_inside)
        return (self.ranks - 1) / self.ranks * size / self.speed + hops * 1e-6

    def reduce(self, size: float) -> float:
        """The sum of `size` bytes on all: twice around or along a tree, whichever is faster."""
        around = 2 * (self.ranks - 1) / self.ranks * size / self.speed
        up_and_down = math.log2(max(self.machines, 2)) * self.assumed.hop
        tree = around + 2 * (up_and_down + self.assumed.gpus * self.assumed.hop_inside) * 1e-6
        return min(2 * self.ring(size), tree)


def ddp(work: Work, ranks: int, assumed: Assumed) -> float:
    """Buckets of 25 MB are summed while backward goes on; the last one is waited for."""
    messages, size = Messages(ranks, assumed), work.parameters * work.small
    buckets = max(1, math.ceil(size / 25e6))
    each = messages.reduce(size / buckets)
    hidden = work.step * 2 / 3
    return work.step + max(0.0, each * buckets - hidden * (1 - 1 / buckets)) + each


def fsdp(work: Work, ranks: int, assumed: Assumed, copies: int = 1) -> float:
    """Each block is gathered ahead, twice, its gradient scattered; first and last are waited for.

    Of `copies` of the model, each over `ranks` GPUs, the parts of gradients are summed besides.
    """
    messages, size = Messages(ranks, assumed), work.parameters * work.small
    block = messages.ring(size / work.layers)
    total = block
    if copies > 1:
        total += Messages(copies * assumed.gpus, assumed).reduce(size / work.layers / ranks)
    forward = max(0.0, block * work.layers - work.step / 3)
    backward = max(0.0, (block + total) * work.layers - work.step * 2 / 3)
    return work.step + forward + backward + block + total


def hsdp(work: Work, ranks: int, assumed: Assumed) -> float:
    """A copy of the model in each machine."""
    inside = min(ranks, assumed.gpus)
    return fsdp(work, inside, assumed, copies=ranks // inside)


def signal(ranks: int, assumed: Assumed) -> float:
    """gloo sends even one number around twice: each step's question whether to leave."""
    return 2 * (ranks - 1) * assumed.hop_cpu * 1e-6


@dataclass(frozen=True)
class Plan:
    """What the first process has to do for a checkpoint of `ranks`: s of CPU time, MB."""

    first: float  # the first save: who writes what
    later: float  # the same, where nothing came or went
    results: float  # what the others say of their writing, and .metadata
    read: float  # .metadata, when a run goes on
    travels: float  # MB to it in the first save
    metadata: float  # MB of .metadata


def checkpoint(work: Work, ranks: int, assumed: Assumed, plan: Plan, first: bool) -> float:
    machines = Messages(ranks, assumed).machines
    written = work.parameters * 12 / GB / min(machines * assumed.disk, assumed.disks)
    plans = plan.first + plan.travels / 1e3 / assumed.network if first else plan.later
    # Seven times all hear whether all is well; each process's own small file is checked by one.
    return plans + written + plan.results + 7 * signal(ranks, assumed) + ranks * assumed.file * MS


def measured(ranks: int) -> Plan:
    """Plan a checkpoint of the example's GPT, enlarged to 124 M parameters, under fsdp."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.filesystem import _StorageInfo
    from torch.distributed.checkpoint.storage import WriteResult

    from runtime.reader import Reader

    found = state_of(ranks)
    planner = dcp.DefaultSavePlanner(enable_plan_caching=True)
    planner.set_up_planner(found, None, True)
    local, local_s = timed(planner.create_local_plan)
    plans = [of_rank(local, rank) for rank in range(ranks)]
    sent = [pickle.dumps(plan) for plan in plans]
    plans, read_s = timed(lambda: [pickle.loads(plan) for plan in sent])
    (settled, _), first_s = timed(lambda: planner.create_global_plan(plans))
    planner.finish_plan(local)

    again = dcp.DefaultSavePlanner(enable_plan_caching=True)
    again.set_up_planner(found, None, True)
    unchanged, again_s = timed(again.create_local_plan)
    assert not unchanged.usable
    (_, metadata), later_s = timed(lambda: again.create_global_plan([unchanged] * ranks))

    answers = []
    for rank, plan in enumerate(settled):
        where = _StorageInfo(f"__{rank}_0.distcp", 0, 1)
        answers.append(pickle.dumps([WriteResult(item.index, 1, where) for item in plan.items]))
    with tempfile.TemporaryDirectory() as folder:
        writer = dcp.FileSystemWriter(folder)
        writer.set_up_storage_writer(True)
        _, results_s = timed(lambda: writer.finish(metadata, [pickle.loads(a) for a in answers]))
        size = Path(folder, ".metadata").stat().st_size
        _, metadata_s = timed(Reader(folder).read_metadata)
    travels = sum(map(len, sent)) / 1e6
    first = local_s + read_s + first_s
    return Plan(first, again_s + later_s, results_s, metadata_s, travels, size / 1e6)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def state_of(ranks: int) -> dict[str, Any]:
    """The first process's part of a GPT and its AdamW among so many, who are not there."""
    from config import Config  # type: ignore[import-not-found]
    from model import GPT  # type: ignore[import-not-found]
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from runtime.tensors import collect

    dist.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    mesh = init_device_mesh("cpu", (ranks,))
    known = {field.name for field in fields(Config)}
    config = Config(**{name: value for name, value in GPT2.items() if name in known})
    model = GPT(config, GPT2["vocab_size"])
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    dist.destroy_process_group()
    return dict(collect(model, optimizer, {}))


def of_rank(plan: Any, rank: int) -> Any:
    """What another process would plan: of each tensor that is split, its own rows."""
    items = []
    for item in plan.items:
        data = item.tensor_data
        if data.chunk.sizes == data.size:
            items.append(item)
            continue
        rows, *others = data.chunk.sizes
        start = min(rank * rows, data.size[0])
        if rows := min(rows, data.size[0] - start):
            offsets = torch.Size([start, *[0] * len(others)])
            chunk = replace(data.chunk, offsets=offsets, sizes=torch.Size([rows, *others]))
            index = replace(item.index, offset=offsets)
            items.append(replace(item, index=index, tensor_data=replace(data, chunk=chunk)))
    return replace(plan, items=items)


def main(given: argparse.Namespace) -> None:
    assumed = Assumed(**{name: getattr(given, name) for name in asdict(Assumed())})
    work = Work(given.parameters, given.layers, given.step)
    print(place())
    print(f"assumed: {assumed}\nof the model: {work}\n")
    print("| GPUs | ddp | fsdp | hsdp | whether to leave | first checkpoint | a later one | plan |")
    print("|---|---|---|---|---|---|---|---|")
    for ranks in given.ranks:
        steps = [kind(work, ranks, assumed) for kind in (ddp, fsdp, hsdp)]
        cells = [f"{s / MS:.1f} ms ({work.step / s:.2f})" for s in steps]
        cells.append(f"{signal(ranks, assumed) / MS:.1f} ms")
        with ProcessPoolExecutor(1, get_context("spawn")) as anew:  # torch keeps plans
            plan = anew.submit(measured, ranks).result()
        cells += [f"{checkpoint(work, ranks, assumed, plan, f):.1f} s" for f in (True, False)]
        cells.append(
            f"{plan.first:.1f} s, later {plan.later:.2f} s; results {plan.results:.1f} s; "
            f"{plan.metadata:.1f} MB, read in {plan.read:.1f} s"
        )
        print(f"| {ranks} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 64, 1024])
    parser.add_argument("--parameters", type=float, default=124e6)
    parser.add_argument("--layers", type=int, default=13, help="that are gathered one by one")
    parser.add_argument("--step", type=float, default=0.0741, help="s on one GPU")
    for name, value in asdict(Assumed()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    main(parser.parse_args())
