"""The structural merge of one Python file."""

import ast
from dataclasses import dataclass, replace

import libcst as cst

from litgen_torch.merge import check
from litgen_torch.merge.comments import merge_header
from litgen_torch.merge.edits import UNNEEDED
from litgen_torch.merge.imports import imports_of, merge_imports, take_imports
from litgen_torch.merge.markers import mark
from litgen_torch.merge.names import Renames, find_names, joined, rename
from litgen_torch.merge.outcome import Merged, Refusal
from litgen_torch.merge.replay import Replay
from litgen_torch.merge.source import Source, Statement, parse
from litgen_torch.merge.style import style_of

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
    base, own, new = (text.removeprefix(BOM) for text in (base, mine, new))
    merged = _merge(base, own, new, task)
    removes = any(refusal.reason == UNNEEDED for refusal in merged.refusals)
    if merged.refusals and not removes and _is_done(base, own, new, task):
        return Merged(mine)
    return replace(merged, text=BOM + merged.text) if mine.startswith(BOM) else merged


def _is_done(base: str, mine: str, new: str, task: Task) -> bool:
    """Whether the owner has all of the change already: if taking it away can be made good again.

    Only for statements that are replaced: to put back what the template removed is always possible.
    """
    before = _merge(new, mine, base, task)
    if before.refusals or before.text == mine:
        return False
    again = _merge(base, before.text, new, task)
    return not again.refusals and again.text == mine


def _merge(base: str, mine: str, new: str, task: Task) -> Merged:
    try:
        named = find_names(*(ast.parse(text) for text in (base, mine, new)))
        here = parse(mine, exactly=True)
    except SyntaxError as error:
        where = f"line {error.lineno}, column {error.offset}"
        reason = f"this file is not Python: {error.msg} at {where}"
        return Merged(
            mine, (Refusal(task.path, error.lineno or 1, "", reason, error.text or "", ""),)
        )
    except ValueError as error:
        return Merged(mine, (Refusal(task.path, 1, "", str(error), "", ""),))
    if named.problems:
        reasons = tuple(Refusal(task.path, 1, "", reason, "", "") for reason in named.problems)
        return Merged(mine, reasons)
    if named.template:
        here = _named(mine, named.template)
    before, there = _named(base, joined(named.owner, named.template)), _named(new, named.owner)
    style = style_of(mine, base, task.pyproject)
    replay = Replay(before, here, there, task.path, task.accept, style)
    imports = take_imports(before), take_imports(there)
    replay.run()
    merge_header(before, here, there)
    problems = _add_imports(replay, *imports)
    refusals = list(replay.refusals)
    merged = mark(here, replay.conflicts) if refusals and task.markers else here.code
    if not refusals:
        problems += _problems(here.text, merged, replay, "" if task.is_part else replay.new.text)
        refusals = [Refusal(task.path, 1, "", reason, "", "") for reason in problems]
        merged = mine if refusals else merged
    return Merged(merged, tuple(refusals), _flat(named.owner))


def _named(text: str, renames: Renames) -> Source:
    """The template's file with the owner's names."""
    return parse(rename(cst.parse_module(text), renames).code if renames else text)


def _flat(renames: Renames) -> dict[str, str]:
    return {old: new for names in renames.values() for old, new in names.items()}


def _add_imports(replay: Replay, base: list[Statement], new: list[Statement]) -> list[str]:
    """Merge the imports, and say which cannot be."""
    used = check.used_names(replay.mine.code)
    bound = {item.binds for statement in new for item in imports_of(statement)}
    wanted = bound - check.used_names(replay.new.text)
    clashes = merge_imports(base, replay.mine, new, used=used, wanted=wanted)
    return [f"{item.binds!r} is the name of something else of yours" for item in clashes]


def _problems(mine: str, merged: str, replay: Replay, new: str) -> list[str]:
    """What is wrong with the result that was not wrong before."""
    try:
        ast.parse(merged)
    except SyntaxError as error:
        return [f"the result would not be Python: {error.msg}"]
    names = check.undefined(merged) - check.undefined(mine) - check.undefined(new)
    problems = [f"nothing would define {name!r} any more" for name in sorted(names)]
    early = check.used_too_early(merged) - check.used_too_early(mine) - check.used_too_early(new)
    problems += [f"{name!r} would be used in {where}() before it is set" for where, name in early]
    gone = check.lost(mine, replay.base.text, merged, replay.combined)
    return problems + [f"this of yours would be lost: {text}" for text in gone]
