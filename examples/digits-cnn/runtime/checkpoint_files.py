"""What lies in a checkpoint beside the tensors, and whether all of it is as it was written."""

import contextlib
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from runtime.files import check, settle, write_whole
from runtime.world import ELSEWHERE, World

FORMAT = 1
# What reading a damaged file raises.
DAMAGE = (OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError)


def write_rank(folder: Path, rank: int, random: dict[str, Any]) -> None:
    """Write a process's random state, and how its tensor files look, which are then on disk."""
    content = io.BytesIO()
    torch.save({"rng": random, "files": settle(folder.glob(f"__{rank}_*"))}, content)
    write_whole(folder / f"rank-{rank:05d}.pt", content.getvalue())


def read_rank(folder: Path, rank: int) -> dict[str, Any]:
    """What `write_rank` wrote: "rng" and "files"."""
    file = folder / f"rank-{rank:05d}.pt"
    try:
        saved: dict[str, Any] = torch.load(file, weights_only=True)
    except UnpicklingError as error:  # torch advises to read it all the same
        raise ValueError(f"{file.name} is not as it was written") from error
    return saved


def damage_of(folder: Path, world: World) -> str:
    """What is wrong with a checkpoint's files, or "" if nothing is, on no process. Collective."""
    damage = ""
    try:
        about = json.loads((folder / "run.json").read_text())
        if about["format"] == FORMAT:  # of another one nothing else is known
            check(folder, about["files"])
            for rank in range(world.rank, about["processes"], world.size):
                check(folder, read_rank(folder, rank)["files"])
    except DAMAGE as error:
        damage = str(error) or type(error).__name__
    return (damage or ELSEWHERE) if world.any(bool(damage)) else ""


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raise what went wrong as an OSError, instead of DCP's collection of tracebacks."""
    from torch.distributed.checkpoint.api import CheckpointException

    # Said for one process. Ignored for good: to restore the filters is not safe in a thread.
    warnings.filterwarnings("ignore", "torch.distributed is disabled")
    warnings.filterwarnings("ignore", "TypedStorage is deprecated")  # by torch up to 2.9 itself
    try:
        yield
    except CheckpointException as error:
        causes = [cause for cause, _ in error.failures.values()]
        for cause in causes:  # DCP catches what a signal raises as well
            if isinstance(cause, (SystemExit, KeyboardInterrupt)):
                raise cause from None
        if any(isinstance(cause, UnpicklingError) for cause in causes):
            raise OSError("what lies in the place of a tensor is none") from error
        # torch's zip writer, closing after a failed write, hides why the write failed.
        causes += [cause.__context__ for cause in causes if cause.__context__]
        raise OSError(next((c for c in causes if isinstance(c, OSError)), causes[0])) from error
