"""How long a run takes to go on from a checkpoint, beside one that begins.

    python tests/benchmarks/resume.py --rounds 10

A GPT and its optimizer, 300 MB of state. In each round one run begins and one goes on from a
checkpoint, in random order; both are ended once they told of their first step. What a checkpoint
may cost beyond that is the time to read its bytes, from the disk cache in both cases.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from report import place, spread

LITGEN = str(Path(sys.executable).with_name("litgen"))
SETTINGS = ["--width=512", "--depth=8", "--heads=8", "--block=64", "--batch-size=1", "--workers=0"]
SETTINGS += ["--log-every=1", "--steps=1000", "--eval-every=1000", "--save-every=5"]


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        words = [LITGEN, "new", str(project), "-y", "--task", "language-model"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        to_step(project, "saved", 6)
        (saved,) = (project / "runs/saved/checkpoints").iterdir()
        to_step(project, "warm-up", 1)  # bytecode, caches
        told: list[dict[str, tuple[float, float]]] = []
        for number in range(rounds):
            ways: dict[str, Callable[[], tuple[float, float]]] = {
                "begins": partial(to_step, project, f"new-{number}", 1),
                "goes on": partial(to_step, project, "saved", 6),
                "reading": partial(read, saved),
            }
            order = random.Random(number).sample(list(ways), len(ways))
            told.append({name: ways[name]() for name in order})
        size = sum(file.stat().st_size for file in saved.rglob("*") if file.is_file())
    print(place())
    print(f"{rounds} rounds, {size / 1e6:.0f} MB of checkpoint; median (quartiles), in seconds\n")
    print(f"{'':34}{'wall':26}CPU")
    for name in ("begins", "reading", "goes on"):
        columns = [spread([each[name][i] for each in told], 2) for i in (0, 1)]
        print(f"{name:34}{columns[0]:26}{columns[1]}")
    beyond = [
        spread([(e["goes on"][i] - e["reading"][i]) / e["begins"][i] for e in told], 2)
        for i in (0, 1)
    ]
    print(f"{'goes on, less reading, to begins':34}{beyond[0]:26}{beyond[1]}")
    print(f"{'limit':34}1.20")


def to_step(project: Path, name: str, step: int) -> tuple[float, float]:
    """Wall and CPU time until a run has told of this step; then it is killed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-u", "train.py", f"--name={name}", *SETTINGS],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.match(rf"step +{step}/", line):
            passed = time.perf_counter() - began
            stat = Path("/proc", str(process.pid), "stat").read_text()
            ticks = sum(map(int, stat.rpartition(")")[2].split()[11:13]))
            process.kill()
            process.wait()
            return passed, ticks / 100
    raise SystemExit(f"{name} did not come to step {step}:\n{''.join(lines)}")


def read(checkpoint: Path) -> tuple[float, float]:
    """Wall and CPU time of reading all its bytes."""
    wall, cpu = time.perf_counter(), time.process_time()
    for file in checkpoint.rglob("*"):
        if file.is_file():
            file.read_bytes()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="at least 2")
    main(parser.parse_args().rounds)
