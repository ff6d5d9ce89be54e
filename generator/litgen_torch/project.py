"""A generated project on disk: its answers, and every file as litgen last wrote it (the base).

Both lie in `.litgen/`. With the base a later command sees what the owner changed, without git, old
versions of litgen or the network. All of it is untrusted input when it is read.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import tomlkit

from litgen_torch.answers import Answers, check_name, complete, read_answers
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError
from litgen_torch.render import Tree

FORMAT = 1
RECORD = ".litgen/project.toml"
# No formatter, linter, test collector or type checker takes a `.base` file for Python.
BASE, SUFFIX = ".litgen/base/", ".base"


@dataclass(frozen=True)
class Project:
    """What a project's `.litgen/` says of it."""

    folder: Path
    version: str
    name: str
    answers: Answers
    base: Tree


def with_record(tree: Tree, *, name: str, answers: Answers, version: str) -> Tree:
    """The tree and, in `.litgen/`, what a later command has to know of it."""
    hashes = {path: _hash(text) for path, text in tree.items()}
    record = {
        "format": FORMAT,
        "litgen": version,
        "name": name,
        "answers": answers,
        "files": hashes,
    }
    base = {f"{BASE}{path}{SUFFIX}": text for path, text in tree.items()}
    return tree | base | {RECORD: tomlkit.dumps(record)}


def read_project(folder: Path) -> Project:
    """The project in a folder; raises LitgenError if there is none or its record is damaged."""
    file = folder / RECORD
    if not file.is_file():
        raise LitgenError(
            f"{folder} is no project of litgen's: it has no {RECORD}", "litgen new PATH"
        )
    try:
        record = tomllib.loads(file.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, expected {FORMAT}")
        base = {path: _read_base(folder, path, known) for path, known in record["files"].items()}
        answers = complete(questions(), read_answers(questions(), record["answers"]))
        project = Project(folder, record["litgen"], check_name(record["name"]), answers, base)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LitgenError(
            f"{file} is damaged: {_words(error)}",
            f"git checkout -- {file.parent}, or a backup of it",
        ) from error
    return project


def _read_base(folder: Path, path: str, expected: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} lies outside the project")
    file = folder / f"{BASE}{path}{SUFFIX}"
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path!r} leads out of the project")
    with file.open(encoding="utf-8", newline="") as stream:
        text = stream.read()
    if _hash(text) != expected:
        raise ValueError(f"the base of {path!r} is not as litgen wrote it")
    return text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _words(error: Any) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
