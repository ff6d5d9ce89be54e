"""A change whose conflicts stand between markers in the owner's files, until it is finished.

`.litgen/pending.json` holds what `--continue` writes, the record and base as they shall be, and
what `--abort` puts back. Untrusted input when it is read, as the rest of `.litgen/`.
"""

import ast
import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from litgen_torch.change import Change
from litgen_torch.content import binary
from litgen_torch.errors import LitgenError
from litgen_torch.git import markers
from litgen_torch.places import read_tree
from litgen_torch.project import BASE, SUFFIX, check_inside, read_project
from litgen_torch.render import Tree

PENDING = ".litgen/pending.json"


@dataclass(frozen=True)
class Pending:
    """What waits: the words that began it, the files concerned, both ways out."""

    command: tuple[str, ...]
    paths: tuple[str, ...]
    record: Tree  # `.litgen/` as it shall be
    before: Tree  # the owner's files as they were, those of `paths` that were there


def begin(change: Change, command: Sequence[str]) -> tuple[Tree, Tree]:
    """What to commit so that the markers stand in the files and both ways are open."""
    before, after = change.to_commit()
    own = {path: text for path, text in before.items() if path not in change.project.stored}
    record = change.record()
    paths = tuple(file.path for file in change.files)
    pending = Pending(tuple(command), paths, record, own)
    written = {path: text for path, text in after.items() if path not in record}
    return own, written | {PENDING: json.dumps(asdict(pending), indent=1) + "\n"}


def read_pending(folder: Path) -> Pending | None:
    """The change that waits in a project, if one does."""
    file = folder / PENDING
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        record, before = dict(found["record"]), dict(found["before"])
        pending = Pending(tuple(found["command"]), tuple(found["paths"]), record, before)
        _check(pending)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LitgenError(f"{file} is damaged: {error}", "litgen undo") from error
    return pending


def _check(pending: Pending) -> None:
    words = [*pending.command, *pending.record.values(), *pending.before.values()]
    if len(pending.command) < 2 or not all(isinstance(word, str) for word in words):
        raise ValueError("expected text")
    for paths, is_ours in (((*pending.paths, *pending.before), False), (pending.record, True)):
        for path in paths:
            check_inside(path)
            if path.startswith(".litgen/") is not is_ours:
                raise ValueError(f"{path!r} does not belong there")


def unresolved(folder: Path, pending: Pending) -> list[str]:
    """The places where a marker is left, and the files that do not parse, in words."""
    found = []
    for path, text in read_tree(folder, pending.paths, binary=_data(pending)).items():
        marks = [f"{path}:{line}: a marker is left" for line in markers(path, text)]
        found += marks or [f"{path}:{line}: {words}" for line, words in _mistakes(path, text)]
    return found


def _data(pending: Pending) -> set[str]:
    """The files that are not for people, and in which there are no markers."""
    base = {
        path.removeprefix(BASE).removesuffix(SUFFIX): text for path, text in pending.record.items()
    }
    return binary(base, pending.before)


def _mistakes(path: str, text: str) -> list[tuple[int, str]]:
    try:
        if path.endswith(".py"):
            ast.parse(text)
        elif path.endswith(".toml"):
            tomllib.loads(text)
    except SyntaxError as error:
        return [(error.lineno or 1, error.msg)]
    except ValueError as error:
        return [(1, str(error))]
    return []


def go_on(folder: Path, pending: Pending) -> tuple[Tree, Tree]:
    """What to commit once all is resolved: the record and the base as they shall be."""
    before = read_project(folder).stored | read_tree(folder, [PENDING])
    return before, pending.record


def take_back(folder: Path, pending: Pending) -> tuple[Tree, Tree]:
    """What to commit so that the owner's files are as they were."""
    return read_tree(folder, [*pending.paths, PENDING], binary=pending.paths), pending.before
