"""Files that are whole or not there, and on disk once that is said."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that even a power cut leaves the old one or the new one."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        draft.write_bytes(content)
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
