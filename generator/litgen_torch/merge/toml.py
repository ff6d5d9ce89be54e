"""Merging TOML by its keys: what it means is merged, and the owner's way to write it stays."""

import re
import tomllib
from collections import Counter
from typing import Any

from litgen_torch.merge.outcome import Merged, Refusal
from litgen_torch.merge.text import BOM, Accept, marked, merge_text, newline
from litgen_torch.merge.toml_edit import add, apply, finished
from litgen_torch.merge.toml_layout import Layout, Path, Statement, Value, scan
from litgen_torch.merge.toml_place import Work
from litgen_torch.merge.toml_plan import Conflict, Plan, plan_edits, same


def merge_toml(
    base: str,
    mine: str,
    new: str,
    *,
    path: str,
    accept: Accept = frozenset(),
    markers: bool = False,
) -> Merged:
    """Carry the change from base to new into mine, key by key.

    What both changed is refused, unless its line is accepted, and so is what cannot be written into
    mine: the result is read again, and has to mean what it shall and to have all comments.
    """
    if mine == base:
        return Merged(new)
    bare = mine.removeprefix(BOM)
    try:
        ours = tomllib.loads(bare)
    except tomllib.TOMLDecodeError as error:
        refusal = _unreadable(path, mine, new, error)
        return Merged(mine, () if refusal.line in accept else (refusal,))
    try:
        before, theirs = (tomllib.loads(text.removeprefix(BOM)) for text in (base, new))
    except tomllib.TOMLDecodeError:
        return merge_text(base, mine, new, path=path, accept=accept, markers=markers)
    work, plan = _work(base, bare, new, theirs), plan_edits(before, ours, theirs)
    found = {_refusal(path, bare, work, each): each for each in plan.conflicts}
    refusals = tuple(refusal for refusal in found if refusal.line not in accept)
    for edit in plan.edits:
        apply(work, edit)
    text = finished(work.mine, work.end)
    if not _is_sound(text, plan, bare, work):
        reason = "the template's change cannot be written into this file as it is laid out"
        return Merged(mine, () if 1 in accept else (Refusal(path, 1, "", reason, mine, new),))
    if markers:
        text = _marked(work, [found[refusal] for refusal in refusals])
    return Merged((BOM if mine.startswith(BOM) else "") + text, refusals)


def _work(base: str, mine: str, new: str, data: Any) -> Work:
    end = newline(mine)
    theirs = new.removeprefix(BOM).replace("\r\n", "\n").replace("\n", end)
    layout = scan(theirs)
    was, stays = set(scan(base.removeprefix(BOM)).comments()), set(layout.comments())
    return Work(scan(mine), layout, data, lambda text: text not in was or text in stays, end)


def _unreadable(path: str, mine: str, new: str, error: tomllib.TOMLDecodeError) -> Refusal:
    place = re.search(r"at line (\d+)", str(error))
    line = int(place[1]) if place else max(1, len(mine.splitlines()))
    return Refusal(path, line, "", f"this is not TOML: {error}", mine, new)


def _refusal(path: str, text: str, work: Work, conflict: Conflict) -> Refusal:
    names = [str(each) for each in conflict.at if isinstance(each, str)]
    place = f"[{'.'.join(names[:-1])}] {names[-1]}" if names[:-1] else names[-1]
    sizes = range(len(conflict.at), 0, -1)
    starts = [_start(work.mine, conflict.at[:size]) for size in sizes]
    near = next((start for start in starts if start is not None), None)
    line = 0 if near is None else text.count("\n", 0, near) + 1
    yours, theirs = _excerpt(work.mine, conflict.at), _excerpt(work.new, conflict.source)
    return Refusal(path, line, place, conflict.reason, yours, theirs)


def _start(layout: Layout, path: Path) -> int | None:
    """Where in the text something is, or None if it is not there."""
    if holder := layout.find(path):
        return holder.start if isinstance(holder, Statement) else holder.value.start
    return next((each.start for each in layout.below(path)), None)


def _excerpt(layout: Layout, path: Path) -> str:
    holder = layout.find(path)
    if isinstance(holder, Statement):
        return holder.body().strip()
    if holder is not None:
        return f"{holder.head}{holder.value}"
    return "".join(str(each) for each in layout.below(path)).strip()


def _is_sound(text: str, plan: Plan, mine: str, work: Work) -> bool:
    """Whether the text means what it shall, and has all comments that the owner has to keep."""
    try:
        if not same(tomllib.loads(text), plan.data):
            return False
    except tomllib.TOMLDecodeError:
        return False
    lost = Counter(scan(mine).comments()) - Counter(scan(text).comments())
    return not any(map(work.keeps, lost))


def _marked(work: Work, conflicts: list[Conflict]) -> str:
    """The text with both versions of the statements that the conflicts are in."""
    done: list[Path] = []
    for conflict in conflicts:
        if any(_is_in(conflict.at, path) for path in done):
            continue
        ours = _holding(work.mine, conflict.at)
        yours, theirs = (
            [each.body().rstrip("\r\n") + work.end for each in statements]
            for statements in (ours, _holding(work.new, conflict.source))
        )
        first, *others = ours or add(work, conflict.at, conflict.source)
        done.append(first.path)
        first.head, first.value = "".join(marked(yours, theirs, work.end)), Value(0)
        first.tail = ""
        work.mine.statements = [
            each for each in work.mine.statements if not any(each is other for other in others)
        ]
    return finished(work.mine, work.end)


def _holding(layout: Layout, path: Path) -> list[Statement]:
    """The statements that make up what is at a path, or the one that it is in."""
    around = [each for each in layout.statements if not each.is_header and _is_in(path, each.path)]
    return layout.below(path) or around


def _is_in(path: Path, other: Path) -> bool:
    return path[: len(other)] == other
