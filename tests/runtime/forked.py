"""Several processes for a test: forked, so that they start in a tenth of a second, not in eight."""

import faulthandler
import multiprocessing
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ports import free_port

DEADLINE_S = 60


def forked(size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Call `function(*args)` in `size` processes that find each other as under torchrun.

    Returns what each returned, by rank; a process that raises or hangs fails the test by name.
    """
    context = multiprocessing.get_context("fork")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(target=_child, args=(rank, size, port, folder, function, args))
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(DEADLINE_S)
            process.kill()
        results = []
        for rank in range(size):
            answer = Path(folder, str(rank))
            where = Path(folder, f"{rank}.stack").read_text()
            assert answer.exists(), f"{function.__name__}: rank {rank} hangs:\n{where}"
            failed, value = pickle.loads(answer.read_bytes())
            assert not failed, f"{function.__name__} on rank {rank}:\n{value}"
            results.append(value)
        return results


def enter(project: Path) -> None:
    """Have this process, a forked one, work in a project, with its modules and no other's."""
    os.chdir(project)
    sys.path.insert(0, str(project))
    for file in project.glob("*.py"):
        sys.modules.pop(file.stem, None)


def _child(
    rank: int, size: int, port: int, folder: str, function: Callable[..., Any], args: Any
) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with Path(folder, f"{rank}.stack").open("w") as stack:
        faulthandler.dump_traceback_later(DEADLINE_S - 5, file=stack)
        _answer(rank, folder, function, args)
        faulthandler.cancel_dump_traceback_later()


def _answer(rank: int, folder: str, function: Callable[..., Any], args: Any) -> None:
    try:
        answer = (False, function(*args))
    except BaseException:
        answer = (True, traceback.format_exc())
    draft = Path(folder, f"{rank}.draft")
    draft.write_bytes(pickle.dumps(answer))
    draft.rename(Path(folder, str(rank)))
