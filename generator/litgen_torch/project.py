"""A generated project on disk: its answers, and every file as litgen last wrote it (the base).

Both lie in `.litgen/`. With the base a later command sees what the owner changed, without git, old
versions of litgen or the network. All of it is untrusted input when it is read.
"""

import hashlib
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import tomlkit

from litgen_torch.answers import Answers, check_name, complete, read_answers, with_defaults
from litgen_torch.catalog import questions
from litgen_torch.content import LOSSLESS, to_bytes
from litgen_torch.errors import LitgenError
from litgen_torch.finish import finish
from litgen_torch.origin import (
    Origin,
    answers_from_record,
    answers_to_record,
    from_record,
    to_record,
)
from litgen_torch.render import Tree, render
from litgen_torch.versions import installed

FORMAT = 1
RECORD = ".litgen/project.toml"
# No formatter, linter, test collector or type checker takes a `.base` file for Python.
BASE, SUFFIX = ".litgen/base/", ".base"
# Where no code of the owner's lies; folders that begin with a dot and environments are skipped too.
SKIPPED = {"runs", "__pycache__", "node_modules", "site-packages"}
MOST_ENTRIES = 20_000  # looked at in search of code: folders of data may lie in a project


@dataclass(frozen=True)
class Project:
    """What a project's `.litgen/` says of it."""

    folder: Path
    version: str
    name: str
    answers: Answers
    base: Tree
    stored: Tree  # the files in `.litgen/` that say all this, as they are
    template: Origin | None = None  # whose it is, if not litgen's own


def with_record(
    tree: Tree, *, name: str, answers: Answers, version: str, template: Origin | None = None
) -> Tree:
    """The tree and, in `.litgen/`, what a later command has to know of it."""
    hashes = {path: _hash(text) for path, text in tree.items()}
    record = {
        "format": FORMAT,
        "litgen": version,
        "name": name,
        **({"template": to_record(template)} if template else {}),
        "answers": answers_to_record(answers) if template else answers,
        "files": hashes,
    }
    base = {f"{BASE}{path}{SUFFIX}": text for path, text in tree.items()}
    return tree | base | {RECORD: tomlkit.dumps(record)}


def from_templates(name: str, answers: Answers) -> Tree:
    """Every file of a project as the installed templates have it."""
    return finish(render({"project_name": name, **with_defaults(questions(), answers)}), name)


def find_project(start: Path) -> Path:
    """The project that a folder lies in: the nearest folder upwards that has a record."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / RECORD).is_file():
            return folder
    raise LitgenError(
        f"{start} lies in no project of litgen's: no {RECORD} there or above", "litgen new PATH"
    )


def written_by(folder: Path) -> str:
    """The version of litgen that a project's record names; "" if it cannot be read."""
    try:
        found = tomllib.loads((folder / RECORD).read_text(encoding="utf-8")).get("litgen")
    except (OSError, ValueError):
        return ""
    return found if isinstance(found, str) else ""


def read_project(folder: Path) -> Project:
    """The project in a folder; raises LitgenError if there is none or its record is damaged."""
    file = folder / RECORD
    if not file.is_file():
        raise LitgenError(
            f"{folder} is no project of litgen's: it has no {RECORD}", "litgen new PATH"
        )
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            text = stream.read()
        record = tomllib.loads(text)
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, expected {FORMAT}")
        template = from_record(record["template"]) if "template" in record else None
        answers = _answers(record["answers"], template)
        name = check_name(record["name"])
        version, hashes = record["litgen"], record["files"]
        found = {path: _read_base(folder, path) for path in hashes}

        def again() -> Tree:
            if template:
                from litgen_torch.foreign import files_of

                return files_of(template, name, answers)
            return from_templates(name, answers) if version == installed() else {}

        base = _checked(found, hashes, again)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LitgenError(
            f"{file} is damaged: {_words(error)}",
            f"git checkout -- {file.parent}, or a backup of it",
        ) from error
    there = {f"{BASE}{path}{SUFFIX}": text for path, text in found.items() if text is not None}
    return Project(folder, version, name, answers, base, there | {RECORD: text}, template)


def python_files(folder: Path) -> list[str]:
    """The Python files in a project, the nearest first; links are not followed."""
    found, waiting, looked_at = list[str](), [""], 0
    while waiting and looked_at < MOST_ENTRIES:
        inside = waiting.pop(0)
        entries = _entries(folder / inside)
        looked_at += len(entries)
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        found += [f"{inside}{name}" for name in names if name.endswith(".py")]
        code = [name for name in folders if not name.startswith(".") and name not in SKIPPED]
        waiting += [f"{inside}{name}/" for name in code]
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scan:
            return sorted(scan, key=lambda entry: entry.name)
    except OSError:  # a folder that may not be read holds no code to be changed
        return []


def check_inside(path: str) -> None:
    """Raise ValueError for a path that leads out of a project."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} lies outside the project")


def _read_base(folder: Path, path: str) -> str | None:
    check_inside(path)
    file = folder / f"{BASE}{path}{SUFFIX}"
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path!r} leads out of the project")
    if not file.exists():
        return None
    with file.open(encoding="utf-8", errors=LOSSLESS, newline="") as stream:
        return stream.read()


def _answers(found: Any, template: Origin | None) -> Answers:
    if template:  # its own questions, which it is asked when it is at hand
        return answers_from_record(found)
    return complete(questions(), read_answers(questions(), found))


def _checked(
    found: dict[str, str | None], hashes: dict[str, str], again: Callable[[], Tree]
) -> Tree:
    """The base: what was found where its hash says so, else what these templates make of it.

    Two branches that each changed the project merge in git, base and all; no hash fits then, but
    the templates give the same text.
    """
    base, rendered = dict[str, str](), Tree()
    for path, text in found.items():
        if text is None or _hash(text) != hashes[path]:
            rendered = rendered or again()
            new = rendered.get(path)
            if new is None or new != text and _hash(new) != hashes[path]:
                missing = "is missing" if text is None else "is not as litgen wrote it"
                raise ValueError(f"the base of {path!r} {missing}")
            text = new
        base[path] = text
    return base


def _hash(text: str) -> str:
    return hashlib.sha256(to_bytes(text)).hexdigest()


def _words(error: Any) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
