"""A generated project on disk: its answers, and every file as litgen last wrote it (the base).

Both lie in `.litgen/`. With the base a later command sees what the owner changed, without git, old
versions of litgen or the network. All of it is untrusted input when it is read.
"""

import os
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from litgen_torch.answers import (
    Answers,
    asked,
    check_name,
    complete,
    read_answers,
    with_defaults,
)
from litgen_torch.branches import joined
from litgen_torch.catalog import questions
from litgen_torch.compare import changed
from litgen_torch.content import LOSSLESS, is_binary
from litgen_torch.errors import LitgenError
from litgen_torch.finish import finish
from litgen_torch.git import markers
from litgen_torch.origin import (
    Origin,
    answers_from_record,
    answers_to_record,
    from_record,
    to_record,
)
from litgen_torch.record import (
    ATTRIBUTES,
    Record,
    Sums,
    checksum,
    read_record,
    read_sums,
    record_text,
    sums_text,
)
from litgen_torch.render import Tree, render
from litgen_torch.versions import installed, is_newer

RECORD = ".litgen/project.toml"
SUMS, FOR_GIT = ".litgen/base.sha256", ".litgen/.gitattributes"
# No formatter, linter, test collector or type checker takes a `.base` file for Python.
BASE, SUFFIX = ".litgen/base/", ".base"
# Where no code of the owner's lies; folders that begin with a dot and environments are skipped too.
SKIPPED = {"runs", "__pycache__", "node_modules", "site-packages"}
UNSETTLED = "the record is not as litgen writes it, as after a merge"
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


def with_record(tree: Tree, *, name: str, answers: Answers, version: str) -> Tree:
    """The tree and, in `.litgen/`, what a later command has to know of it."""
    return tree | record_of(tree, name=name, answers=answers, version=version)


def record_of(
    tree: Tree, *, name: str, answers: Answers, version: str, template: Origin | None = None
) -> Tree:
    """What `.litgen/` says of a project with these files."""
    if template:
        said = answers_to_record(answers)
        about = record_text(version, name, said, {}, to_record(template))
    else:
        choices = {q.name: [choice.value for choice in q.choices] for q in questions() if q.many}
        about = record_text(version, name, answers, choices)
    base = {f"{BASE}{path}{SUFFIX}": text for path, text in tree.items()}
    return base | {RECORD: about, SUMS: sums_text(tree), FOR_GIT: ATTRIBUTES}


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
        stored = _read_stored(folder)
        if marks := markers(RECORD, stored[RECORD]):
            raise LitgenError(
                f"{RECORD}:{marks[0]}: a conflict's marker, of a merge that is not finished",
                f"keep one of both sides in {file}, then git add it",
            )
        record = read_record(stored[RECORD])
        template = from_record(record.template) if record.template is not None else None
        answers = _answers(record, template)
        name = check_name(record.name)
        sums = read_sums(stored[SUMS]) if record.sums is None else record.sums
        found = {path: _read_base(folder, path) for path in sums}
        rendered = _Rendered(record, answers, template)
        base = _checked(folder, found, sums, rendered)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LitgenError(
            f"{file} is damaged: {_words(error)}",
            f"git checkout -- {file.parent}, or a backup of it",
        ) from error
    there = {f"{BASE}{path}{SUFFIX}": text for path, text in found.items() if text is not None}
    return Project(folder, record.version, name, answers, base, there | stored, template)


def unsettled(project: Project) -> list[str]:
    """The files in `.litgen/` that litgen would write otherwise, as after a merge by git."""
    as_written = record_of(
        project.base,
        name=project.name,
        answers=project.answers,
        version=project.version,
        template=project.template,
    )
    return changed(project.stored, as_written)


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


def _read_stored(folder: Path) -> Tree:
    """What lies beside the base."""
    found = {path: _read(folder, path) for path in (RECORD, SUMS, FOR_GIT)}
    return {path: text for path, text in found.items() if text is not None}


def _read_base(folder: Path, path: str) -> str | None:
    check_inside(path)
    return _read(folder, f"{BASE}{path}{SUFFIX}")


def _read(folder: Path, path: str) -> str | None:
    file = folder / path
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path!r} leads out of the project")
    if not file.exists():
        return None
    with file.open(encoding="utf-8", errors=LOSSLESS, newline="") as stream:
        return stream.read()


def _answers(record: Record, template: Origin | None) -> Answers:
    if template:  # its own questions, which are asked when it is at hand
        return answers_from_record(record.answers)
    try:  # to questions that are new since then, the defaults
        return complete(questions(), asked(questions(), read_answers(questions(), record.answers)))
    except LitgenError as error:
        if not is_newer(installed(), record.version):
            raise
        raise LitgenError(
            f"litgen {installed()} has not all of a project of {record.version}: {error.message}",
            f"pip install 'litgen-torch=={record.version}', change that ({error.hint}), "
            "then upgrade",
        ) from error


@dataclass(frozen=True)
class _Rendered:
    """What the templates that wrote a project make of its answers, should that be needed."""

    record: Record
    answers: Answers
    template: Origin | None

    @property
    def is_possible(self) -> bool:
        return self.template is not None or self.record.version == installed()

    @cached_property
    def tree(self) -> Tree:
        if not self.template:
            return from_templates(self.record.name, self.answers)
        from litgen_torch.foreign import files_of

        return files_of(self.template, self.record.name, self.answers)


def _checked(folder: Path, found: dict[str, str | None], sums: Sums, rendered: _Rendered) -> Tree:
    """The base: what was found where its checksum says so, else what these templates make of it.

    Where two branches each changed a file, git has merged its base too, and kept both checksums.
    """
    base = Tree()
    for path, text in found.items():
        if text is not None and checksum(text) in sums[path]:
            base[path] = text
            continue
        is_merged = len(sums[path]) > 1
        if not rendered.is_possible:
            raise _unknown(path, text, rendered.record.version if is_merged else "")
        again = rendered.tree.get(path)
        if again is not None and is_merged:
            whole = is_binary(again)
            base[path] = again if whole else joined(text or "", _read(folder, path) or "", again)
        elif again is not None and (again == text or checksum(again) in sums[path]):
            base[path] = again
        elif again is not None or (text is not None and not is_merged):
            raise _unknown(path, text)  # else one of the branches removed it
    return base


def _unknown(path: str, text: str | None, merged_by: str = "") -> Exception:
    if merged_by:
        return LitgenError(
            f"the base of {path!r} is that of two branches, which litgen {merged_by} can join",
            f"pip install 'litgen-torch=={merged_by}' && litgen upgrade, then the newer one again",
        )
    missing = "is missing" if text is None else "is not as litgen wrote it"
    return ValueError(f"the base of {path!r} {missing}")


def _words(error: Any) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
