"""The structural merge of one Python file."""

import re
from dataclasses import dataclass, replace

import libcst as cst

from litgen_torch.merge import check
from litgen_torch.merge.check import Problem
from litgen_torch.merge.comments import merge_header
from litgen_torch.merge.edits import UNNEEDED
from litgen_torch.merge.imports import imports_of, merge_imports, take_imports
from litgen_torch.merge.markers import mark
from litgen_torch.merge.meaning import parsed
from litgen_torch.merge.names import Named, Renames, find_names, joined, rename
from litgen_torch.merge.outcome import Merged, Refusal
from litgen_torch.merge.replay import Replay
from litgen_torch.merge.source import Source, Statement, parse
from litgen_torch.merge.style import style_of
from litgen_torch.merge.text import mark_changes, mark_lines, merge_text, newline
from litgen_torch.merge.written import code_of

BOM = "\ufeff"  # some editors begin a file with it


@dataclass(frozen=True)
class Task:
    """What a merge has to know beside the three texts."""

    path: str
    accept: frozenset[int] = frozenset()  # lines of the owner's file where his version is to stay
    markers: bool = False  # put both versions of what is refused into the text
    pyproject: str = ""  # may say how long the owner's lines are
    is_part: bool = False  # base and new are some definitions, which the owner has elsewhere now


def merge_python(base: str, mine: str, new: str, task: Task) -> Merged:
    """Carry the change from base to new into mine; where it refuses, the text is the owner's."""
    end, own = newline(mine), mine.removeprefix(BOM)
    base, new = (re.sub("\r?\n", end, text.removeprefix(BOM)) for text in (base, new))
    merged = _merge(base, own, new, task)
    removes = any(refusal.reason == UNNEEDED for refusal in merged.refusals)
    if merged.refusals and not removes and _is_done(base, own, new, task):
        return Merged(mine)
    return replace(merged, text=BOM + merged.text) if mine.startswith(BOM) else merged


def _is_done(base: str, mine: str, new: str, task: Task) -> bool:
    """Whether the owner has all of the change already: if taking it away can be made good again.

    Only for statements that are replaced: to put back what the template removed is always possible.
    """
    task = replace(task, markers=False)
    before = _merge(new, mine, base, task)
    if before.refusals or before.text == mine:
        return False
    again = _merge(base, before.text, new, task)
    return not again.refusals and again.text == mine


def _merge(base: str, mine: str, new: str, task: Task) -> Merged:
    if "\r" in mine.replace("\r\n", ""):
        return _by_lines(base, mine, new, task)  # lines that end as they did on the first Macs
    try:
        named = find_names(*(parsed(text) for text in (base, mine, new)))
        if not named.problems:
            return _replayed(base, mine, new, named, task)
    except SyntaxError as error:
        where = f"line {error.lineno}, column {error.offset}"
        reason = f"this file is not Python: {error.msg} at {where}"
        return _refused(base, mine, new, [Problem(reason, error.lineno or 1)], task)
    except (ValueError, RecursionError, MemoryError):  # LibCST cannot read it, or would spoil it
        return _by_lines(base, mine, new, task)
    return _refused(base, mine, new, [Problem(reason) for reason in named.problems], task)


def _replayed(base: str, mine: str, new: str, named: Named, task: Task) -> Merged:
    here = _named(mine, named.template)
    before, there = _named(base, joined(named.owner, named.template)), _named(new, named.owner)
    style = style_of(mine, base, task.pyproject)
    replay = Replay(before, here, there, task.path, task.accept, style)
    imports = take_imports(before), take_imports(there)
    replay.run()
    merge_header(before, here, there)
    clashes = _add_imports(replay, *imports)
    renames, kept = _flat(named.owner), tuple(replay.kept)
    if replay.refusals:
        text = mark(here, replay.conflicts) if task.markers else code_of(here)
        return Merged(text, tuple(replay.refusals), renames, kept)
    merged = code_of(here)
    problems = clashes + check.problems(here.text, merged, "" if task.is_part else there.text)
    if not problems:
        problems = check.lost(here.text, before.text, merged, replay.combined)
    result = _checked(base, mine, new, merged, problems, task)
    return replace(result, renames=renames, kept=kept)


def _checked(
    base: str, mine: str, new: str, merged: str, problems: list[Problem], task: Task
) -> Merged:
    """The merged file, unless there are problems with it that the owner did not accept."""
    if not all(problem.at for problem in problems):
        return _refused(base, mine, new, problems, task)
    lines = {problem.at: problem for problem in problems if problem.line not in task.accept}
    if not lines:
        return Merged(merged)
    refused = _refused(base, mine, new, list(lines.values()), task)
    return replace(refused, text=mark_lines(merged, lines)) if task.markers else refused


def _by_lines(base: str, mine: str, new: str, task: Task) -> Merged:
    merged = merge_text(base, mine, new, path=task.path, accept=task.accept, markers=task.markers)
    if merged.refusals:
        return merged
    try:
        problems = check.problems(mine, merged.text, "" if task.is_part else new)
        problems = problems or check.lost(mine, base, merged.text, ())
    except (ValueError, RecursionError, MemoryError, SyntaxError) as error:
        problems = [Problem(f"this file cannot be read: {error}")]
    return _checked(base, mine, new, merged.text, problems, task)


def _refused(base: str, mine: str, new: str, problems: list[Problem], task: Task) -> Merged:
    """The file as it is, because of something that one statement cannot answer for."""
    lines = [*mine.splitlines(), ""]
    refusals = [
        Refusal(task.path, p.line, "", p.reason, lines[p.line - 1], "", p.by_hand)
        for p in problems
        if p.line not in task.accept
    ]
    text = mark_changes(base, mine, new) if refusals and task.markers else mine
    return Merged(text, tuple(refusals))


def _named(text: str, renames: Renames) -> Source:
    """The template's file with the owner's names."""
    return parse(rename(cst.parse_module(text), renames).code if renames else text)


def _flat(renames: Renames) -> dict[str, str]:
    return {old: new for names in renames.values() for old, new in names.items()}


def _add_imports(replay: Replay, base: list[Statement], new: list[Statement]) -> list[Problem]:
    """Merge the imports, and say which cannot be."""
    used = check.used_names(code_of(replay.mine))
    bound = {item.binds for statement in new for item in imports_of(statement)}
    wanted = bound - check.used_names(replay.new.text)
    clashes = merge_imports(base, replay.mine, new, used=used, wanted=wanted)
    reason = "is the name of something else of yours"
    return [Problem(f"{item.binds!r} {reason}") for item in clashes]
