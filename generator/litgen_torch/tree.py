"""A new project to the disk: all of it or nothing. Changes to one that is there: transaction.py."""

import contextlib
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path

from litgen_torch.content import to_bytes
from litgen_torch.disk import PART, alone_in, errors_for_people, sync, too_late_to_interrupt
from litgen_torch.errors import LitgenError
from litgen_torch.render import Tree

WHOLE = ".litgen-whole"  # complete and on disk, in the folder whose entries it will become
OR_ELSE = "or choose another folder"


def check_target(folder: Path) -> None:
    """Raise LitgenError unless the folder is new or empty, but for what a killed litgen left."""
    with errors_for_people(folder, OR_ELSE):
        if folder.is_dir():
            names = [entry.name for entry in folder.iterdir()]
            if WHOLE not in names and not all(name.startswith(PART) for name in names):
                raise LitgenError(f"{folder} is not empty", "choose a folder that is new or empty")
        elif folder.exists() or folder.is_symlink():
            raise LitgenError(f"{folder} is no folder", "choose a folder that is new or empty")


def create(folder: Path, tree: Tree, *, executable: Collection[str] = ()) -> None:
    """Write the tree to a folder that is new or empty; whatever goes wrong, it stays as it was.

    A new folder is staged beside its place and put there by one rename. A folder that exists keeps
    its owner, its mode and the shells in it: the tree is staged inside, and its entries move up
    once all are on disk. Killed between two of these renames, the next call moves the rest.
    """
    with (
        errors_for_people(folder, OR_ELSE),
        contextlib.ExitStack() as lock,
        contextlib.ExitStack() as undo,
    ):
        if folder.is_dir():
            lock.enter_context(alone_in(folder))
            check_target(folder)
            _go_on_after_a_kill(folder)
            staged = _stage(folder, PART, tree, undo, executable)
            too_late_to_interrupt()
            staged.rename(folder / WHOLE)
            undo.callback(shutil.rmtree, folder / WHOLE, ignore_errors=True)
            for entry in (folder / WHOLE).iterdir():
                undo.callback(_remove, folder / entry.name)
            _move_up(folder)
        else:
            _make_parents(folder.parent, undo)
            lock.enter_context(alone_in(folder.parent))
            check_target(folder)
            prefix = f".{folder.name}{PART}"
            staged = _stage(folder.parent, prefix, tree, undo, executable)
            too_late_to_interrupt()
            staged.rename(folder)
            sync(folder.parent)
        undo.pop_all()


def eject(folder: Path) -> None:
    """Remove what litgen keeps in a project: by one rename, so that it is there or it is not."""
    with errors_for_people(folder, "and run this again"), alone_in(folder, wait=False):
        gone = folder / f"{PART}{secrets.token_hex(4)}"
        (folder / ".litgen").rename(gone)
        sync(folder)
        shutil.rmtree(gone)


def _go_on_after_a_kill(folder: Path) -> None:
    if (folder / WHOLE).is_dir():
        _move_up(folder)
        raise LitgenError(
            f"{folder} holds the project that a killed litgen had begun; it is complete now",
            "use it, or choose another folder",
        )


def _stage(
    parent: Path,
    prefix: str,
    tree: Tree,
    undo: contextlib.ExitStack,
    executable: Collection[str],
) -> Path:
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
        file.write_bytes(to_bytes(text))
    for file in (folder / path for path in executable):
        file.chmod(file.stat().st_mode | 0o111)
    for path in (*files, *folders):  # after all is written: twice as fast as one by one
        sync(path)
    return folder


def _move_up(folder: Path) -> None:
    # `.litgen` comes last: with it, the folder counts as a project.
    for entry in sorted((folder / WHOLE).iterdir(), key=lambda entry: entry.name == ".litgen"):
        entry.rename(folder / entry.name)
    (folder / WHOLE).rmdir()
    sync(folder)


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
