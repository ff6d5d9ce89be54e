"""Trees of files, to the disk: all of a tree or nothing. The only module that writes."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from litgen_torch.errors import LitgenError
from litgen_torch.render import Tree


def check_target(folder: Path) -> None:
    """Raise LitgenError unless the folder is new or empty."""
    if folder.is_dir():
        if any(folder.iterdir()):
            raise LitgenError(f"{folder} is not empty", "choose a folder that is new or empty")
    elif folder.exists() or folder.is_symlink():
        raise LitgenError(f"{folder} is a file", "choose a folder that is new or empty")


def create(folder: Path, tree: Tree) -> None:
    """Write the tree to a folder that is new or empty; whatever goes wrong, it stays as it was.

    The files are written to a hidden folder beside it, synced, and moved in one rename. Only the
    current folder is filled entry by entry: the user's shell is in it.
    """
    check_target(folder)
    with _errors_for_people(folder), contextlib.ExitStack() as undo:
        inside = folder.exists() and folder.samefile(Path.cwd())
        _make_parents(folder.parent, undo)
        parent = folder if inside else folder.parent
        staging = Path(tempfile.mkdtemp(prefix=".litgen-", dir=parent))
        undo.callback(shutil.rmtree, staging, ignore_errors=True)
        for path, text in tree.items():
            file = staging / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w", encoding="utf-8", newline="") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        if inside:
            for entry in sorted(staging.iterdir()):
                entry.rename(folder / entry.name)
                undo.callback(_remove, folder / entry.name)
            staging.rmdir()
        else:
            staging.chmod(0o777 & ~_umask())  # mkdtemp's own mode keeps everybody else out
            staging.rename(folder)
        undo.pop_all()


def _make_parents(folder: Path, undo: contextlib.ExitStack) -> None:
    if not folder.exists():
        _make_parents(folder.parent, undo)
        folder.mkdir()
        undo.callback(_remove, folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _errors_for_people(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LitgenError(
            f"{folder} cannot be written: {error.strerror or error}",
            "make room or give write access, or choose another folder",
        ) from error
