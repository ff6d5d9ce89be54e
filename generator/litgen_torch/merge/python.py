"""The structural merge of one Python file."""

import ast
from dataclasses import replace

import libcst as cst

from litgen_torch.merge import check
from litgen_torch.merge.imports import imports_of, merge_imports, take_imports
from litgen_torch.merge.markers import mark
from litgen_torch.merge.names import Renames, find_renames, rename
from litgen_torch.merge.outcome import Merged, Refusal
from litgen_torch.merge.replay import Replay
from litgen_torch.merge.source import Source, Statement, parse
from litgen_torch.merge.style import style_of

Accept = frozenset[int]


def merge_python(
    base: str,
    mine: str,
    new: str,
    *,
    path: str,
    accept: Accept = frozenset(),
    markers: bool = False,
    pyproject: str = "",
    is_part: bool = False,
) -> Merged:
    """Carry the change from base to new into mine; with refusals, nothing is changed.

    Then `markers` puts both versions of those places, and all else that changed, into the text.

    With `is_part`, base and new are some definitions of a file, which the owner has elsewhere now.
    """
    try:
        trees = [ast.parse(text.removeprefix("\ufeff")) for text in (base, mine)]
        here = parse(mine, exactly=True)
    except SyntaxError as error:
        where = f"line {error.lineno}, column {error.offset}"
        reason = f"this file is not Python: {error.msg} at {where}"
        return Merged(mine, (Refusal(path, error.lineno or 1, "", reason, error.text or "", ""),))
    except ValueError as error:
        return Merged(mine, (Refusal(path, 1, "", str(error), "", ""),))
    renames = find_renames(trees[0], trees[1])
    before, there = _named(base, renames), _named(new, renames)
    replay = Replay(before, here, there, path, accept, style_of(mine, base, pyproject))
    imported = [take_imports(source) for source in (before, there)]
    replay.run()
    if replay.refusals:
        text = mark(replay.mine, replay.conflicts) if markers else mine
        return Merged(text, tuple(replay.refusals), _flat(renames))
    return _finish(replay, imported, Merged(mine, (), _flat(renames)), is_part=is_part)


def _named(text: str, renames: Renames) -> Source:
    """The template's file with the owner's names."""
    return parse(rename(cst.parse_module(text), renames).code if renames else text)


def _flat(renames: Renames) -> dict[str, str]:
    return {old: new for names in renames.values() for old, new in names.items()}


def _finish(
    replay: Replay, imported: list[list[Statement]], unchanged: Merged, *, is_part: bool
) -> Merged:
    """Imports, and the checks before anybody may write the file."""
    mine, path = unchanged.text, replay.path
    used = check.used_names(replay.mine.code)
    bound = {item.binds for statement in imported[1] for item in imports_of(statement)}
    wanted = bound - check.used_names(replay.new.text)
    clashes = merge_imports(imported[0], replay.mine, imported[1], used=used, wanted=wanted)
    merged = replay.mine.code
    problems = [f"{item.binds} is another name of yours" for item in clashes]
    problems += _problems(mine, replay, merged, "" if is_part else replay.new.text)
    refusals = tuple(Refusal(path, 1, "", reason, "", "") for reason in problems)
    return replace(unchanged, text=mine if refusals else merged, refusals=refusals)


def _problems(mine: str, replay: Replay, merged: str, new: str) -> list[str]:
    try:
        ast.parse(merged.removeprefix("\ufeff"))
    except SyntaxError as error:
        return [f"the result would not be Python: {error.msg}"]
    plain = [text.removeprefix("\ufeff") for text in (mine, merged, new)]
    names = check.undefined(plain[1]) - check.undefined(plain[0]) - check.undefined(plain[2])
    problems = [f"nothing would define {name!r} any more" for name in sorted(names)]
    early = check.used_too_early(plain[1])
    early -= check.used_too_early(plain[0]) | check.used_too_early(plain[2])
    problems += [f"{name!r} would be used in {where}() before it is set" for where, name in early]
    gone = check.lost(mine, replay.base.text, merged, replay.combined)
    return problems + [f"this of yours would be lost: {text}" for text in gone]
