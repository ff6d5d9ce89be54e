"""How long litgen takes to start, and to write a project.

    python tests/benchmarks/startup.py --rounds 20

Each round starts a fresh process of every command, so that a busy moment of the machine falls on
all of them. The files are in the disk cache and the bytecode is compiled, as after the first use.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import place, spread

LITGEN = str(Path(sys.executable).with_name("litgen"))
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "help": [LITGEN, "--help"],
    "new": [LITGEN, "new", "project", "-y"],
}


def main(rounds: int) -> None:
    once()  # compiles the bytecode
    found = [once() for _ in range(rounds)]
    print(place())
    print(f"{rounds} rounds; median (quartiles), in seconds\n")
    print(f"{'':34}{'wall':26}{'CPU':26}target (wall)")
    for label, target, command, less in [
        ("python -c pass", "", "python", None),
        ("litgen --help, beyond python", "0.15", "help", "python"),
        ("litgen new -y, in all", "1.0", "new", None),
    ]:
        columns = [
            spread([r[command][i] - (r[less][i] if less else 0) for r in found], 3) for i in (0, 1)
        ]
        print(f"{label:34}{columns[0]:26}{columns[1]:26}{target}".rstrip())


def once() -> dict[str, tuple[float, float]]:
    """Wall and CPU time of each command."""
    return {name: timed(words) for name, words in COMMANDS.items()}


def timed(words: list[str], where: Path | None = None) -> tuple[float, float]:
    """Wall and CPU time of a process, started in an empty folder, or in that place."""
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = cpu_of_children(), time.perf_counter()
        subprocess.run(
            words, cwd=where or folder, check=True, stdout=subprocess.DEVNULL, timeout=60
        )
        return time.perf_counter() - wall, cpu_of_children() - cpu


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="at least 2")
    main(parser.parse_args().rounds)
