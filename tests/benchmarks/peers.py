"""What a step, a start, a checkpoint and the memory cost, with litgen and with its peers.

    make peers                                                   # sets up, then right.py and this
    python tests/benchmarks/peers.py --fleets 5 --turns 20       # in .venv-peers

Every contender trains the same model on the same data with the same optimizer, clipping, rates and
batches, one thread a process, and tells its loss every 10 steps; progress bars are off. All of them
run at once, each in processes of its own, but only one at a time has its turn: a busy moment of the
machine falls on all. The bare loop is there twice: the second shows what is left of such moments.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from entrants import (
    ACCELERATE,
    BARE,
    FABRIC,
    IGNITE,
    LIGHTNING,
    LITGEN,
    TRANSFORMERS,
    Entrant,
    Run,
    Workshop,
    versions,
)
from report import place, spread

CONTROL = replace(BARE, note="again")
SILENT = {"log_every": 0}  # neither logs nor prints
STEP = (
    BARE,
    CONTROL,
    LITGEN,
    IGNITE,
    FABRIC,
    ACCELERATE,
    LIGHTNING,
    replace(LIGHTNING, note="silent", work=SILENT),
    TRANSFORMERS,
    replace(TRANSFORMERS, note="silent", work=SILENT),
)
# litgen counts the tokens of a step over all processes, so that each weighs the same. Of the others
# these can too; they were told to here.
COUNTING = tuple(
    replace(entrant, note="counting tokens", work={"tokens": True})
    for entrant in (ACCELERATE, TRANSFORMERS)
)
ASYNC = replace(LITGEN, note="async-checkpoints", add_ons=("async-checkpoints",))
SAVE = (BARE, CONTROL, LITGEN, ASYNC, IGNITE, FABRIC, ACCELERATE, LIGHTNING, TRANSFORMERS)
TURN = {"mlp": 100, "gpt": 25}  # steps
PERIOD = 8  # steps from one checkpoint to the next
PATIENCE = 600


@dataclass
class Seen:
    """Of one contender, over all fleets."""

    cpu: list[float] = field(default_factory=list)  # ms of CPU time a step and process, each turn
    stalls: list[float] = field(default_factory=list)  # s, each checkpoint
    start: list[float] = field(default_factory=list)  # s of CPU time up to the second step
    peak: list[float] = field(default_factory=list)  # MB of the process that had most


def fleet(
    shop: Workshop,
    entrants: Sequence[Entrant],
    kind: str,
    processes: int,
    turns: int,
    *,
    at_once: int,
    **work: Any,
) -> dict[str, list[list[dict[str, Any]]]]:
    """Start all, let them take turns, end all: what each told, by process, turn by turn."""
    steps = work.get("save_every") or TURN[kind]
    runs: dict[str, Run] = {}
    orders = random.Random(turns)
    try:
        for entrant in orders.sample(list(entrants), len(entrants)):
            runs[entrant.label] = shop.start(
                entrant,
                kind,
                f"turns-{time.monotonic_ns()}",
                processes=processes,
                plan={"turn": steps},
                steps=1_000_000,
                **work,
            )
            for earlier in list(runs.values())[: len(runs) - at_once + 1]:
                wait(earlier, 1)
        for run in runs.values():
            wait(run, 1)
        for turn in range(2, turns + 3):
            for label in orders.sample(list(runs), len(runs)):
                let_go(runs[label])
                wait(runs[label], turn)
                if work.get("save_every"):
                    settle(runs[label])
        return {
            label: [run.turns(rank) for rank in range(processes)] for label, run in runs.items()
        }
    finally:
        for run in runs.values():
            run.end()


def wait(run: Run, turn: int) -> None:
    """Until all of its processes have told of that turn."""
    until = time.monotonic() + PATIENCE
    while min((len(run.turns(rank)) for rank in run.pids()), default=0) < turn:
        if run.process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{run.folder.name} did not take its turn:\n{run.output()[-3000:]}")
        time.sleep(0.02)


def let_go(run: Run) -> None:
    with (run.seen / "go").open("w") as go:
        go.write("go\n")


def settle(run: Run) -> None:
    """Wait until nothing is left to write, neither by the process nor by the system."""
    last = -1.0
    while (now := run.cpu(0)) != last:
        last = now
        time.sleep(0.2)
    os.sync()


def note(seen: dict[str, Seen], told: dict[str, list[list[dict[str, Any]]]], steps: int) -> None:
    """Add what a fleet told. Its first turn is the start, the second fills caches."""
    for label, ranks in told.items():
        mine = seen.setdefault(label, Seen())
        mine.start.append(ranks[0][0]["cpu"])
        mine.peak.append(max(rank[-1]["peak"] for rank in ranks) / 2**20)
        for turns in zip(*(rank[2:] for rank in ranks), strict=False):
            mine.cpu.append(statistics.mean(turn["cpu"] for turn in turns) / steps * 1e3)
            mine.stalls.append(stall(turns[0]["walls"]))


def stall(walls: Sequence[float]) -> float:
    """How long the loop stood still for the checkpoint before a turn's last step.

    A writer in the background may make the step behind the checkpoint wait: so both count, beyond
    what the steps before them took.
    """
    steps = [later - earlier for earlier, later in zip(walls, walls[1:], strict=False)]
    return sum(steps[-2:]) - 2 * statistics.median(steps[:-2])


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Turn by turn."""
    return [value / other for value, other in zip(values, base, strict=True)]


def table(seen: dict[str, Seen], columns: dict[str, Callable[[Seen, Seen], str]]) -> str:
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    base = seen[BARE.label]
    for label, mine in seen.items():
        cells = [show(mine, base) for show in columns.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def between(values: Sequence[float], digits: int) -> str:
    """The median, and the least and the most."""
    low, middle, high = min(values), statistics.median(values), max(values)
    limits = f" ({low:.{digits}f} … {high:.{digits}f})" if len(values) > 1 else ""
    return f"{middle:.{digits}f}{limits}"


def main(fleets: int, turns: int, at_once: int, only: list[str]) -> None:
    print(place())
    print(f"{versions()}\n{fleets} fleets of {turns} turns; median (quartiles)", flush=True)
    columns: dict[str, Callable[[Seen, Seen], str]] = {
        "ms of CPU a step": lambda mine, base: spread(mine.cpu, 3),
        "of the bare loop": lambda mine, base: spread(ratios(mine.cpu, base.cpu), 3),
        "start, s of CPU": lambda mine, base: between(mine.start, 2),
        "peak memory, MB": lambda mine, base: between(mine.peak, 0),
    }
    with tempfile.TemporaryDirectory() as root, closing(Workshop(Path(root))) as shop:
        for kind, processes in (("mlp", 1), ("mlp", 2), ("gpt", 1), ("gpt", 2)):
            if f"{kind}-{processes}" in only:
                entrants = STEP + (COUNTING if (kind, processes) == ("gpt", 2) else ())
                seen: dict[str, Seen] = {entrant.label: Seen() for entrant in entrants}
                for _ in range(fleets):
                    batch = 64 if kind == "mlp" else 8
                    told = fleet(
                        shop, entrants, kind, processes, turns, at_once=at_once, batch_size=batch
                    )
                    note(seen, told, TURN[kind])
                many = f"{processes} process{'es' * (processes > 1)}"
                print(f"\n{kind}, {many}, load {os.getloadavg()[1]:.1f}\n\n{table(seen, columns)}")
                sys.stdout.flush()
        if "save" in only:
            seen = {entrant.label: Seen() for entrant in SAVE}
            told = fleet(
                shop, SAVE, "wide", 1, turns, at_once=at_once, batch_size=8, save_every=PERIOD
            )
            note(seen, told, PERIOD)
            columns = {
                "s that training stands still": lambda mine, base: spread(mine.stalls, 3),
                "of torch.save": lambda mine, base: spread(ratios(mine.stalls, base.stalls), 2),
                "peak memory, MB": lambda mine, base: between(mine.peak, 0),
            }
            print(f"\n300 MB of state, load {os.getloadavg()[1]:.1f}\n\n{table(seen, columns)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleets", type=int, default=5)
    parser.add_argument("--turns", type=int, default=20, help="of each contender; at least 2")
    parser.add_argument("--at-once", type=int, default=1, help="so many start at the same time")
    kinds = ["mlp-1", "mlp-2", "gpt-1", "gpt-2", "save"]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    given = parser.parse_args()
    main(given.fleets, given.turns, given.at_once, given.only)
