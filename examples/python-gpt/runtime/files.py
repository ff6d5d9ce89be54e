"""Files that are whole or not there, and on disk once that is said."""

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that even a power cut leaves the old one or the new one."""
    with replacing(path) as draft:
        draft.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a draft: once the block has written it, it takes the place of the file."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        yield draft
        sync(draft)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, which are then on disk as well."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync(path: Path) -> None:
    """Wait until a closed file, or a folder's list of names, is on disk."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":  # Windows cannot be asked
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(files: Iterable[Path]) -> dict[str, int]:
    """Wait until the files are on disk; return their checksums by name."""
    sums = {}
    for file in files:
        sync(file)
        sums[file.name] = _checksum(file)
    return sums


def check(folder: Path, sums: Mapping[str, int]) -> None:
    """Raise ValueError if a file is not as it was when `settle` returned its checksum."""
    for name, expected in sums.items():
        if _checksum(folder / name) != expected:
            raise ValueError(f"{name} is not as it was written")


def _checksum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total = zlib.crc32(chunk, total)
    return total
