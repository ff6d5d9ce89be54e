"""How long all codemods take over files in which nothing concerns them, and how much they keep.

    python tests/benchmarks/codemods.py --files 1000

Each file has 200 lines and is read from the disk, as `litgen upgrade` does it. The second row has
one file in a hundred that is concerned.
"""

import argparse
import os
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path

from report import place, spread

from litgen_torch.codemods.run import STEPS, rewrite

CALL = "from runtime.optim import warmup_cosine\n\nrate = warmup_cosine(1, 2, 3)\n"
LINE = "    total = sum(value * weight for value, weight in zip(values, weights, strict=True))\n"


class OnDisk(Mapping[str, str]):
    """The files of a folder, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = sorted(os.listdir(folder))

    def __getitem__(self, path: str) -> str:
        return (self.folder / path).read_bytes().decode()

    def __contains__(self, path: object) -> bool:
        return path in self.paths

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def main(files: int, rounds: int) -> None:
    print(place())
    print(f"{files} files of 200 lines, {len(STEPS)} steps; {rounds} rounds; median (quartiles)\n")
    print(f"{'':28}{'CPU, s':26}{'memory, kB':14}target (CPU)")
    for label, every, target in [("none is concerned", 0, "2"), ("one in a hundred is", 100, "")]:
        with tempfile.TemporaryDirectory() as name:
            write(Path(name), files, every)
            times = [timed(Path(name)) for _ in range(rounds)]
            print(f"{label:28}{spread(times, 3):26}{kept(Path(name)):<14.0f}{target}".rstrip())


def write(folder: Path, files: int, every: int) -> None:
    for number in range(files):
        call = CALL if every and number % every == 0 else ""
        text = call + "def f(values, weights):\n" + LINE * (199 - call.count("\n"))
        (folder / f"{number}.py").write_text(text)


def timed(folder: Path) -> float:
    began = time.process_time()
    rewrite(STEPS, OnDisk(folder))
    return time.process_time() - began


def kept(folder: Path) -> float:
    """The most memory that is held at once."""
    tracemalloc.start()
    rewrite(STEPS, OnDisk(folder))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="at least 2")
    main(**vars(parser.parse_args()))
