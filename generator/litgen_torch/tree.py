"""Trees of files, to the disk: all of a tree or nothing. The only module that writes."""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from litgen_torch.errors import LitgenError
from litgen_torch.render import Tree

PART = ".litgen-part-"  # being written; worth nothing if the writer was killed
WHOLE = ".litgen-whole"  # complete and on disk, in the folder whose entries it will become


def check_target(folder: Path) -> None:
    """Raise LitgenError unless the folder is new or empty, but for what a killed litgen left."""
    with _errors_for_people(folder):
        if folder.is_dir():
            names = [entry.name for entry in folder.iterdir()]
            if WHOLE not in names and not all(name.startswith(PART) for name in names):
                raise LitgenError(f"{folder} is not empty", "choose a folder that is new or empty")
        elif folder.exists() or folder.is_symlink():
            raise LitgenError(f"{folder} is no folder", "choose a folder that is new or empty")


def create(folder: Path, tree: Tree) -> None:
    """Write the tree to a folder that is new or empty; whatever goes wrong, it stays as it was.

    A new folder is staged beside its place and put there by one rename. A folder that exists keeps
    its owner, its mode and the shells in it: the tree is staged inside, and its entries move up
    once all are on disk. Killed between two of these renames, the next call moves the rest.
    """
    with (
        _errors_for_people(folder),
        contextlib.ExitStack() as lock,
        contextlib.ExitStack() as undo,
    ):
        if folder.is_dir():
            lock.enter_context(_alone_in(folder))
            check_target(folder)
            _go_on_after_a_kill(folder)
            staged = _stage(folder, PART, tree, undo)
            _too_late_to_interrupt()
            staged.rename(folder / WHOLE)
            undo.callback(shutil.rmtree, folder / WHOLE, ignore_errors=True)
            for entry in (folder / WHOLE).iterdir():
                undo.callback(_remove, folder / entry.name)
            _move_up(folder)
        else:
            _make_parents(folder.parent, undo)
            lock.enter_context(_alone_in(folder.parent))
            check_target(folder)
            staged = _stage(folder.parent, f".{folder.name}{PART}", tree, undo)
            _too_late_to_interrupt()
            staged.rename(folder)
            _sync(folder.parent)
        undo.pop_all()


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One litgen at a time: the next waits here. A killed one lets go by itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _go_on_after_a_kill(folder: Path) -> None:
    if (folder / WHOLE).is_dir():
        _move_up(folder)
        raise LitgenError(
            f"{folder} holds the project that a killed litgen had begun; it is complete now",
            "use it, or choose another folder",
        )


def _stage(parent: Path, prefix: str, tree: Tree, undo: contextlib.ExitStack) -> Path:
    """The tree on disk under a name of its own; what killed calls left under such names goes."""
    for abandoned in parent.glob(f"{prefix}*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    folder = parent / f"{prefix}{secrets.token_hex(4)}"
    undo.callback(shutil.rmtree, folder, ignore_errors=True)
    files = {folder / path: text for path, text in tree.items()}
    folders = {folder, *(file.parent for file in files)}
    for inside in folders:
        inside.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        file.write_bytes(text.encode())
    for path in (*files, *folders):  # after all is written: twice as fast as one by one
        _sync(path)
    return folder


def _move_up(folder: Path) -> None:
    # `.litgen` comes last: with it, the folder counts as a project.
    for entry in sorted((folder / WHOLE).iterdir(), key=lambda entry: entry.name == ".litgen"):
        entry.rename(folder / entry.name)
    (folder / WHOLE).rmdir()
    _sync(folder)


def _too_late_to_interrupt() -> None:
    """Ignore Ctrl-C from here on: all is on disk, and litgen ends with this command."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _make_parents(folder: Path, undo: contextlib.ExitStack) -> None:
    if not folder.exists():
        _make_parents(folder.parent, undo)
        undo.callback(_remove_empty, folder)
        folder.mkdir()


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _errors_for_people(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LitgenError(
            f"{folder} cannot be written: {error.strerror or error}",
            "make room or give write access, or choose another folder",
        ) from error
