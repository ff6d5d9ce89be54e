"""Folders in another place: a bucket, a mounted disk, whatever fsspec knows. Complete, or nothing.

No folder is renamed there, which an object store does file by file: it counts as long as it has its
run.json, which comes after all other files and goes before them.
"""

from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]  # comes with torch
from fsspec.registry import known_implementations  # type: ignore[import-untyped]

from runtime.errors import UserError

LAST = "run.json"


class Place:
    """The folders at `address`/`name`. Raises UserError if it cannot be written to.

    File systems raise what they like: all methods may fail with any exception.
    """

    def __init__(self, address: str, name: str) -> None:
        self._name = f"{address.rstrip('/')}/{name}"
        try:
            self._fs, root = fsspec.url_to_fs(address)
            self._root = f"{root.rstrip('/')}/{name}"
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(f"{self._root}/.probe", b"?")
            self._fs.rm_file(f"{self._root}/.probe")
        except Exception as error:
            fix = "an address to write to: s3://bucket/runs, gs://…, file:///mnt/disk/runs"
            known = known_implementations.get(address.partition(":")[0], {})
            package = known.get("class", "fsspec").partition(".")[0].replace("_", "-")
            if isinstance(error, ImportError) and package != "fsspec":
                fix = f"pip install {package}"
            raise UserError(f"{address} cannot be used: {in_words(error)}", fix) from error

    def __str__(self) -> str:
        return self._name

    def folders(self) -> dict[str, bytes]:
        """The run.json of each folder `step-…`, empty where there is none."""
        found = self._list(self._root)
        return {name: self._read(f"{name}/{LAST}") for name in found if name.startswith("step-")}

    def send(self, folder: Path) -> None:
        """Copy a folder of this machine to there, in the place of one of that name."""
        self.drop(folder.name)  # or what a killed process left of it would lie among its files
        target = f"{self._root}/{folder.name}"
        self._fs.makedirs(target, exist_ok=True)
        files = sorted(file for file in folder.iterdir() if file.name != LAST)
        for file in files:
            self._fs.put_file(str(file), f"{target}/{file.name}")
        there = self._list(target)
        for file in files:
            arrived, size = there.get(file.name, {}).get("size", 0), file.stat().st_size
            if arrived != size:
                raise OSError(f"{file.name} has {arrived} of {size} bytes there")
        self._fs.put_file(str(folder / LAST), f"{target}/.{LAST}")
        self._fs.mv(f"{target}/.{LAST}", f"{target}/{LAST}")  # on a disk it is whole at once
        if self._read(f"{folder.name}/{LAST}") != (folder / LAST).read_bytes():
            raise OSError(f"{LAST} is not there as it was sent")

    def receive(self, folder: Path, name: str) -> None:
        """Copy the files of the folder `name` into one of this machine."""
        for file, about in self._list(f"{self._root}/{name}").items():
            if about["type"] == "file":
                self._fs.get_file(about["name"], str(folder / file))

    def drop(self, name: str) -> None:
        """Delete a folder, if there is one; at no time a part of it counts."""
        for path in (f"{self._root}/{name}/{LAST}", f"{self._root}/{name}"):
            self._fs.invalidate_cache()
            if self._fs.exists(path):
                self._fs.rm(path, recursive=True)

    def _list(self, path: str) -> dict[str, dict[str, Any]]:
        """What fsspec says of each file and folder in one, by its name."""
        self._fs.invalidate_cache()  # of an earlier look
        try:
            found = self._fs.ls(path, detail=True)
        except FileNotFoundError:  # of a bucket, where folders are but a part of names
            return {}
        return {Path(about["name"]).name: about for about in found}

    def _read(self, path: str) -> bytes:
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{path}")
        except FileNotFoundError:
            return b""
        return content


def in_words(error: Exception) -> str:
    """An exception's message, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
