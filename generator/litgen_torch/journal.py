"""The journal of a change: all that it takes to carry it out, or to take it back.

It is one file of JSON. As it lies in a project it is untrusted input when it is read: its paths
are checked again wherever they are used.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from litgen_torch.errors import LitgenError
from litgen_torch.places import digest

FORMAT = 1


@dataclass(frozen=True)
class File:
    """A file: its bytes, and the mode and the time in ns that it had, if it was there before."""

    data: bytes
    mode: int | None = None
    time: int | None = None


@dataclass(frozen=True)
class Step:
    """What a change does to one file: None is a file that is not there."""

    path: str
    old: File | None
    new: str | None  # the digest; the bytes lie beside the file, under a name of their own

    @property
    def before(self) -> str | None:
        """The digest of what the change replaces."""
        return digest(self.old.data) if self.old else None


@dataclass(frozen=True)
class Journal:
    """A change, in the order in which it happens."""

    title: str
    number: int  # its place among the changes that can be undone
    keep: bool  # whether it can be undone itself
    folders: tuple[str, ...] = ()  # which it makes, the outer ones first
    steps: tuple[Step, ...] = ()


def to_bytes(journal: Journal) -> bytes:
    """The journal as it lies on the disk."""
    record = {"format": FORMAT} | asdict(journal)
    return json.dumps(record, default=lambda data: data.decode("utf-8", "surrogateescape")).encode()


def read_journal(file: Path) -> Journal:
    """The journal in a file; raises LitgenError if it is damaged or another litgen's."""
    try:
        record = json.loads(file.read_text())
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, expected {FORMAT}")
        return Journal(
            title=str(record["title"]),
            number=int(record["number"]),
            keep=bool(record["keep"]),
            folders=tuple(map(str, record["folders"])),
            steps=tuple(map(_step, record["steps"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LitgenError(f"{file} is damaged", f"rm {file}, then litgen doctor") from error


def _step(record: Any) -> Step:
    old, new = record["old"], record["new"]
    return Step(str(record["path"]), _file(old) if old else None, str(new) if new else None)


def _file(record: Any) -> File:
    data = record["data"].encode("utf-8", "surrogateescape")
    return File(data, int(record["mode"]), int(record["time"]))
