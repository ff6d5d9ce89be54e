"""What litgen's runtime costs per optimizer step, beside a bare PyTorch loop that does the same.

    python tests/benchmarks/step.py --rounds 60 --steps 100
    python tests/benchmarks/step.py --strategy ddp    # or fsdp: on two processes, over gloo

A small model on purpose: the smaller the model, the larger the share of everything around it. One
thread a process, in short segments that alternate in random order: so a busy moment of the machine
falls on all loops, and the control, which is the bare loop again, shows what is left of it.
"""

import argparse
import contextlib
import math
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from report import place, spread
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))  # first: there is a tests/runtime as well

from ports import free_port

from runtime import dist
from runtime.data import TrainSampler, to_device, train_batches
from runtime.log import Log
from runtime.optim import clip_and_step, decay_groups, set_lr
from runtime.rng import seed_all
from runtime.schedule import cosine
from runtime.stop import Stop
from runtime.world import World

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


def spread_over(model: nn.Module, strategy: str) -> nn.Module:
    """As a project's `parallelize` does, and as anybody would."""
    if strategy == "ddp":
        return DistributedDataParallel(model, gradient_as_bucket_view=True)
    if strategy == "fsdp":
        for layer in model.children():
            fully_shard(layer)
        fully_shard(model)
    return model


def bare(dataset: Points, steps: int, strategy: str) -> Iterator[None]:
    """What one would write without any library."""
    device = torch.device("cpu")
    torch.manual_seed(0)
    model = spread_over(mlp(), strategy)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=DECAY, fused=True)
    many = strategy != "single"
    sampler: Any = DistributedSampler(dataset) if many else None
    loader = DataLoader(dataset, BATCH, shuffle=not many, sampler=sampler, drop_last=True)
    batches, epoch = iter(loader), 0

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
            epoch += 1
            if sampler:
                sampler.set_epoch(epoch)
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
        if (step + 1) % LOG_EVERY == 0 and (not many or torch.distributed.get_rank() == 0):
            print(f"step {step + 1} loss {loss.item():.4f}")
        yield
        yield


def litgen(
    dataset: Points, steps: int, folder: Path, strategy: str, world: World
) -> Iterator[None]:
    """The loop of a generated train.py (in fp32), without validation and checkpoints."""
    many = strategy != "single"
    device = torch.device("cpu")
    seed_all(0)
    model = spread_over(mlp(), strategy)
    optimizer = torch.optim.AdamW(decay_groups(model, DECAY), fused=True)
    sampler = TrainSampler(dataset, BATCH, accumulate=1, seed=0, world=world)
    batches = train_batches(dataset, sampler, workers=0)
    log = Log(folder, steps, per_step=sampler.step_size, unit="img", world=world)
    stop = Stop(world)

    step = 0
    model.train()
    while step < steps:
        lr = LR * cosine(step, WARMUP, steps)
        set_lr(optimizer, lr)
        yield

        step_loss = torch.zeros((), device=device)
        for i in range(1):
            x, y = to_device(next(batches), device)
            yield
            with dist.grad_sync(model, i == 0) if many else contextlib.nullcontext():
                loss, _ = loss_and_logits(model, x, y)
                loss = loss * world.size / sampler.step_size
                loss.backward()
            step_loss += loss.detach()
            yield
        norm = clip_and_step(optimizer, model.parameters(), CLIP)
        step += 1
        yield

        scores: dict[str, float] = {}
        if scores or step % LOG_EVERY == 0:
            loss = world.mean(step_loss) if isinstance(world, dist.Processes) else step_loss
            log(step, loss=loss, norm=norm, lr=lr, **scores)
        log.progress(step, norm)
        yield

        stopping = stop.requested()
        if stopping:
            sys.exit(stop.exit_code)
        yield


def loss_and_logits(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    logits = model(x)
    return F.cross_entropy(logits, y, reduction="sum"), logits


def main(rounds: int, steps: int, strategy: str) -> None:
    if strategy == "single":
        run(rounds, steps, strategy, World())
        return
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=one_of_two, args=(rank, rounds, steps, strategy)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def one_of_two(rank: int, rounds: int, steps: int, strategy: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    world = dist.init(timeout_s=60)
    run(rounds, steps, strategy, world)
    dist.close()


def run(rounds: int, steps: int, strategy: str, world: World) -> None:
    torch.set_num_threads(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        open(Path(folder, "stdout"), "w") as stdout,
        contextlib.redirect_stdout(stdout),
    ):
        cpu, wall, parts = measure(rounds, steps, Path(folder), strategy, world)
    if world.is_main:
        report(rounds, steps, strategy, cpu, wall, parts)


def report(
    rounds: int, steps: int, strategy: str, cpu: Times, wall: Times, parts: dict[str, Times]
) -> None:
    print(place())
    many = "" if strategy == "single" else ", of the first of two processes"
    print(f"{strategy}: {rounds} rounds of {steps} steps; median (quartiles){many}\n")
    print(f"{'':10}{'µs of CPU a step':26}{'ratio to bare':26}steps/s, ratio to bare")
    for name in cpu:
        ratios = [time / base for time, base in zip(cpu[name], cpu["bare"], strict=True)]
        speeds = [base / time for time, base in zip(wall[name], wall["bare"], strict=True)]
        print(f"{name:10}{spread(cpu[name], 0):26}{spread(ratios, 3):26}{spread(speeds, 3)}")
    print(f"{'limit':36}{'at most 1.10':26}at least 0.95, on two processes\n")
    print("part          bare  litgen   difference, µs of CPU")
    for part in PARTS:
        base, ours = (statistics.median(parts[name][part]) for name in ("bare", "litgen"))
        print(f"{part:10}{base:8.1f}{ours:8.1f}{ours - base:+8.1f}")


def measure(
    rounds: int, steps: int, folder: Path, strategy: str, world: World
) -> tuple[Times, Times, dict[str, Times]]:
    """Of each loop the µs of a step in every round, of CPU time and by the clock, and by parts."""
    dataset, all_steps = Points(), (2 * rounds + 1) * steps
    loops = {
        "bare": bare(dataset, all_steps, strategy),
        "control": bare(dataset, all_steps, strategy),
        "litgen": litgen(dataset, all_steps, folder, strategy, world),
    }
    cpu: Times = {name: [] for name in loops}
    wall: Times = {name: [] for name in loops}
    parts: dict[str, Times] = {name: {part: [] for part in PARTS} for name in loops}
    orders = random.Random(0)
    for loop in loops.values():
        time_whole(loop, steps)  # the first steps fill caches
    for _ in range(rounds):
        for name in orders.sample(list(loops), len(loops)):
            world.barrier()
            spent, passed = time_whole(loops[name], steps)
            cpu[name].append(spent)
            wall[name].append(passed)
        for name in orders.sample(list(loops), len(loops)):
            world.barrier()
            for part, spent in time_parts(loops[name], steps).items():
                parts[name][part].append(spent)
    return cpu, wall, parts


def time_whole(loop: Iterator[None], steps: int) -> tuple[float, float]:
    """µs of CPU time per step, and µs by the clock."""
    began, then = time.process_time(), time.perf_counter()
    for _ in islice(loop, len(PARTS) * steps):
        pass
    spent, passed = time.process_time() - began, time.perf_counter() - then
    return spent / steps * 1e6, passed / steps * 1e6


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
    parser.add_argument("--strategy", choices=["single", "ddp", "fsdp"], default="single")
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.steps, arguments.strategy)
