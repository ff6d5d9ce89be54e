"""The files of a project where they really lie: reading them, and what forbids to change them.

Paths may come from a record that somebody else wrote, and the folder may hold symbolic links: what
leads out of the project, or into git's own folder, is never read and never written.
"""

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from shlex import quote

from litgen_torch.content import from_bytes
from litgen_torch.errors import LitgenError
from litgen_torch.render import Tree


def read_tree(folder: Path, paths: Iterable[str], *, binary: Collection[str] = ()) -> Tree:
    """The text of those of the paths that are there, every byte of it: line ends, a BOM.

    What is no UTF-8 is an error of the owner's, but for the paths that are known to be binary.
    """
    tree = {}
    for path in paths:
        data = read_file(folder, path)
        if data is not None:
            tree[path] = from_bytes(data) if path in binary else _text(path, data)
    return tree


def read_file(folder: Path, path: str) -> bytes | None:
    """What a file holds, None if it is not there."""
    real = place(folder, path)
    try:
        kind = _kind(real)
        if kind not in ("", "file"):
            raise LitgenError(f"{path} is {kind}, not a file", _move_away(real))
        return real.read_bytes() if kind else None
    except OSError as error:
        raise LitgenError(
            f"{path} cannot be read: {error.strerror}", f"chmod u+r {quote(str(real))}"
        ) from error


def digest(data: bytes) -> str:
    """What a journal calls these bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_of(real: Path) -> str | None:
    """The digest of a file, None if it is not there; a folder has none that a file could have."""
    kind = _kind(real)
    return digest(real.read_bytes()) if kind == "file" else kind or None


def place(folder: Path, path: str) -> Path:
    """Where a path of the project leads, links followed; raises LitgenError if that is outside."""
    parts = PurePosixPath(path).parts
    root = Path(os.path.realpath(folder))
    where_from = f"git -C {quote(str(root))} checkout -- .litgen"
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise LitgenError(f"{path!r} is no path inside the project", where_from)
    real = Path(os.path.realpath(root / path))
    if not real.is_relative_to(root):
        link = quote(str(root / path))
        raise LitgenError(
            f"{path} leads out of the project, to {real}",
            f"rm {link} && cp {quote(str(real))} {link}",
        )
    if ".git" in map(str.lower, real.relative_to(root).parts):
        raise LitgenError(f"{path!r} leads into git's own folder", where_from)
    return real


def check_places(folder: Path, wanted: dict[str, bool]) -> None:
    """Raise LitgenError unless every path can be written (True) or deleted (False)."""
    places = {path: place(folder, path) for path in wanted}
    alike = Counter(_alike(str(real)) for real in places.values())
    for path, real in places.items():
        stays, link = wanted[path], folder / path
        if link.is_symlink() and not (stays and real.exists()):
            raise LitgenError(f"{path} is a symbolic link, to {real}", f"rm {quote(str(link))}")
        if alike[_alike(str(real))] > 1:
            raise LitgenError(
                f"{path} has the place of another file, by a link or by upper and lower case",
                _move_away(link),
            )
        _check_writable(real)
        if stays and not real.exists():
            _check_case(Path(os.path.realpath(folder)), real)


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LitgenError(
            f"{path}:{line} is no UTF-8: byte 0x{data[error.start]:02x}", f"save {path} as UTF-8"
        ) from error


def _kind(real: Path) -> str:
    try:
        mode = real.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if stat.S_ISREG(mode):
        return "file"
    return "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a broken link"


def _check_writable(real: Path) -> None:
    above = next(parent for parent in real.parents if parent.exists())
    if not above.is_dir():
        raise LitgenError(f"{above} is a file, where a folder must be", _move_away(above))
    for each in (above, real):
        # The mode as well: it would not keep root from writing, but it says what the owner means.
        if each.exists() and not (each.stat().st_mode & 0o222 and os.access(each, os.W_OK)):
            raise LitgenError(f"{each} is read-only", f"chmod u+w {quote(str(each))}")


def _check_case(root: Path, real: Path) -> None:
    """Raise LitgenError where a new name is another one for macOS and Windows."""
    for part in (real, *real.parents):
        if part == root:
            return
        there = os.listdir(part.parent) if part.parent.is_dir() else []
        alike = [name for name in there if _alike(name) == _alike(part.name)]
        if alike and part.name not in alike:
            raise LitgenError(
                f"{part} and {alike[0]}, which is there, are one name on macOS and Windows",
                _move_away(part.with_name(alike[0])),
            )


def _move_away(path: Path) -> str:
    return f"mv {quote(str(path))} {quote(f'{path}.old')}"


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
