"""What comes out right, and with whom: a table, made by running litgen and its peers.

    make peers                                            # sets up, then this and peers.py
    python tests/benchmarks/right.py                      # in .venv-peers
    python tests/benchmarks/right.py --only litgen Ignite --columns evaluation masks

Each cell is measured: by a loop of `contenders/`, written as the library's documentation writes it,
with real processes, real signals and kill -9. What hangs is ended after some seconds and named.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from entrants import (
    ACCELERATE,
    ALL,
    DEFAULTS,
    FABRIC,
    HERE,
    LIGHTNING,
    OF_LIBRARIES,
    SIZES,
    Entrant,
    Run,
    Workshop,
    versions,
)
from report import place

PATIENCE = 600  # seconds for a run that is not expected to hang
HANG = 45  # seconds without work after a signal; torchrun ends what is left of a run after 30
CLOSE = 1e-6


@dataclass
class Cell:
    right: bool | None  # none: it could not be measured
    found: str

    def __str__(self) -> str:
        said = {True: "yes", False: "**no**", None: "not measured"}[self.right]
        return f"{said}: {self.found}"


class Failure(Exception):
    """A run did not do what it should; the message says what was seen."""


def finished(run: Run, expected: int = 0) -> Run:
    if (code := run.wait(PATIENCE)) != expected:
        lines = [line for line in run.output().splitlines() if line.strip()]
        raise Failure(f"exit code {code}: {(lines or ['no output'])[-1][:120]}")
    return run


def resume(shop: Workshop, entrant: Entrant, kills: int) -> Cell:
    """Killed by kill -9 within an epoch and started again: the same weights in the end?"""
    steps, every = 50, 5  # epochs of 22
    work: dict[str, Any] = {"steps": steps, "save_every": every, "warmup": 5, "log_every": 0}

    def weights(name: str, **plan: Any) -> dict[str, torch.Tensor]:
        run = shop.start(entrant, "cnn", name, plan=plan, **work)
        found: dict[str, torch.Tensor] = torch.load(
            finished(run).folder / "weights.pt", weights_only=True
        )
        return found

    whole, again = weights("whole"), weights("again")
    if (control := apart(whole, again)) > 0:
        return Cell(False, f"two undisturbed runs differ by {control:.1e}")
    found = []
    for step in random.Random(7).sample(range(24, 44), kills):
        name = f"killed-{step}"
        run = shop.start(entrant, "cnn", name, plan={"kill_at": step}, **work)
        finished(run, expected=-9)
        resumed = weights(name)
        found.append(apart(whole, resumed))
    equal = sum(difference == 0 for difference in found)
    if equal == kills:
        return Cell(True, f"equal to the bit, {equal} of {kills} kills")
    return Cell(False, f"{equal} of {kills} kills, weights apart by up to {max(found):.1e}")


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[key] - other[key]).abs().max()) for key in one)


def accumulation(shop: Workshop, entrant: Entrant) -> Cell:
    """Is the gradient of micro-batches with unequally many targets that of one large batch?"""
    found = {}
    for processes, accumulate in ((1, 4), (2, 2)):
        run = shop.start(
            entrant,
            "tokens",
            "gradient",
            processes=processes,
            plan={"gradients": True},
            batch_size=2,
            accumulate=accumulate,
            clip=0,
            tokens=True,
        )
        finished(run)
        right = run.seen / "right"
        truth(shop, "tokens", "gradient", run.seen / "weights-0", right)
        one, other = (torch.load(f, weights_only=True) for f in (run.seen / "gradients-0", right))
        difference = sum(float((one[key] - other[key]).square().sum()) for key in other) ** 0.5
        found[processes] = difference / sum(float(g.square().sum()) for g in other.values()) ** 0.5
    told = ", ".join(f"{error:.0e} on {n}" for n, error in found.items())
    return Cell(max(found.values()) <= CLOSE, f"off by {told}")


def evaluation(shop: Workshop, entrant: Entrant) -> Cell:
    """Are loss and accuracy those of 5 images, when two processes evaluate them?"""
    # litgen trains some steps before it evaluates; each is compared with its own weights.
    run = shop.start(
        entrant, "five", "five", processes=2, batch_size=2, steps=40, warmup=5, evaluate=True
    )
    finished(run)
    right = run.seen / "right"
    truth(shop, "five", "evaluation", run.folder / "weights.pt", right)
    expected = json.loads(right.read_text())
    if entrant.script:
        found = json.loads((run.folder / "found.json").read_text())
    else:
        line = json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])
        found = {"loss": line["val_loss"], "accuracy": line["val_accuracy"]}
    equal = all(abs(found[key] - expected[key]) <= CLOSE * 10 for key in expected)
    told = "; ".join(f"{key} {found[key]:.4f} of {expected[key]:.4f}" for key in expected)
    return Cell(equal, told)


def truth(shop: Workshop, kind: str, what: str, weights: Path, file: Path) -> None:
    project = shop.project(kind, ALL[1], 1)
    work = DEFAULTS | OF_LIBRARIES | {"folder": str(shop.root), "settings": SIZES[kind]}
    subprocess.run(
        [sys.executable, HERE / "truth.py", what, json.dumps(work), weights, file],
        cwd=project,
        env=shop.environment | {"PYTHONPATH": str(project)},
        check=True,
    )


def leaving(shop: Workshop, entrant: Entrant) -> Cell:
    """SIGTERM to one process of two: do both save the same step, end, and go on from there?"""
    steps = 150
    work: dict[str, Any] = {"steps": steps, "leave": True, "log_every": 0, "batch_size": 8}
    plan = {"pause": 0.05}
    run = shop.start(entrant, "cnn", "leaving", processes=2, plan=plan, **work)
    until = time.monotonic() + PATIENCE
    while min(run.steps(0), run.steps(1)) < 20:
        if run.process.poll() is not None:
            finished(run)
        if time.monotonic() > until:
            run.end()
            raise TimeoutError(f"no 20 steps after {PATIENCE} s")
        time.sleep(0.01)
    run.signal(1)
    began, at = time.monotonic(), run.steps(1)
    gone: dict[int, float] = {}
    moved, cpu = began, 0.0  # nobody hangs who works, however slowly
    while len(gone) < 2 and time.monotonic() < min(moved + HANG, began + PATIENCE):
        for rank in (0, 1):
            if rank not in gone and not run.is_alive(rank):
                gone[rank] = time.monotonic() - began
        used = sum(run.cpu(rank) for rank in (0, 1) if rank not in gone)
        if abs(used - cpu) > 100:  # ticks; one that waits takes some too
            moved, cpu = time.monotonic(), used
        time.sleep(0.05)
    if len(gone) < 2:
        run.end()
        left = " and ".join(str(rank) for rank in (0, 1) if rank not in gone)
        return Cell(False, f"process {left} hangs: {HANG} s without work after the signal")
    try:
        run.wait(PATIENCE)
    except TimeoutError:
        return Cell(False, "torchrun hangs")
    done = [run.steps(rank) for rank in (0, 1)]
    told = f"signal in step {at}, ended after {max(gone.values()):.1f} s"
    if not any((run.folder / "checkpoints").glob("*")):
        return Cell(False, f"nothing saved; {told}")
    again = shop.start(entrant, "cnn", "leaving", processes=2, plan=plan, **work)
    finished(again)
    saved = steps - again.steps(0)
    told = f"saved step {saved}, done {done[0]} and {done[1]}; {told}"
    return Cell(done == [saved, saved] and saved >= at, told)


def masks(shop: Workshop, entrant: Entrant) -> Cell:
    """Do two processes drop different features? At p = 0.5 half of two masks is equal by chance."""
    run = shop.start(
        entrant, "cnn", "masks", processes=2, plan={"masks": True}, settings={"dropout": 0.5}
    )
    finished(run)
    one, other = (torch.load(run.seen / f"masks-{rank}", weights_only=True) for rank in (0, 1))
    equal = float((one == other).float().mean())
    return Cell(abs(equal - 0.5) < 0.1, f"{equal:.0%} of the masks equal")


COLUMNS: dict[str, tuple[str, Callable[..., Cell]]] = {
    "resume": ("exact resume", resume),
    "accumulation": ("accumulation", accumulation),
    "evaluation": ("5 samples, 2 processes", evaluation),
    "leaving": ("SIGTERM to one of two", leaving),
    "masks": ("dropout on two", masks),
}
# What can be had with more code than the documentation's loop has.
EXTRA = {
    ("resume", LIGHTNING): "StatefulDataLoader, and hooks for the random state",
    ("masks", LIGHTNING): "seed + rank",
    ("masks", FABRIC): "seed + rank",
    ("masks", ACCELERATE): "device_specific seeds",
}


def cell(shop: Workshop, column: str, entrant: Entrant, kills: int) -> Cell:
    make = COLUMNS[column][1]
    try:
        return make(shop, entrant, kills) if make is resume else make(shop, entrant)
    except (Failure, TimeoutError) as error:
        return Cell(None, str(error))


def main(only: list[str], columns: list[str], kills: int) -> None:
    print(place())
    print(versions() + "\n")
    entrants = [entrant for entrant in ALL if entrant.name in only] if only else ALL
    print("| | " + " | ".join(COLUMNS[column][0] for column in columns) + " |")
    print("|---|" + "---|" * len(columns), flush=True)
    with tempfile.TemporaryDirectory() as root, closing(Workshop(Path(root))) as shop:
        for entrant in entrants:
            row = []
            for column in columns:
                text = str(cell(shop, column, entrant, kills))
                if what := EXTRA.get((column, entrant)):
                    more = replace(entrant, work={"extra": True}, note="extra")
                    text += f" · with {what}: {cell(shop, column, more, kills)}"
                row.append(text)
                print(f"{entrant.name}, {column}: {text}", file=sys.stderr, flush=True)
            print(f"| {entrant.name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--kills", type=int, default=3)
    given = parser.parse_args()
    main(given.only, given.columns, given.kills)
