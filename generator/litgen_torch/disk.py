"""What it takes to write so that a kill, a full disk or a second litgen does no harm."""

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from litgen_torch.errors import LitgenError

PART = ".litgen-part-"  # being written; worth nothing if the writer was killed


@contextlib.contextmanager
def alone_in(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """One litgen at a time: the next waits here, or is refused. A killed one lets go by itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, wait)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def errors_for_people(folder: Path, hint: str) -> Iterator[None]:
    """Raise what the system says against writing as a LitgenError."""
    try:
        yield
    except OSError as error:
        raise LitgenError(
            f"{folder} cannot be written: {error.strerror or error}",
            f"make room or give write access, {hint}",
        ) from error


def write(file: Path, data: bytes) -> None:
    """Write a new file; a link that has its name is replaced and not followed."""
    file.unlink(missing_ok=True)
    with file.open("xb") as stream:
        stream.write(data)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive the loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def too_late_to_interrupt() -> None:
    """Ignore Ctrl-C from here on: all is on disk, and litgen ends with this command."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _lock(descriptor: int, folder: Path, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        raise LitgenError(
            f"another litgen is at work in {folder}", "wait for its end, then run this again"
        ) from error
