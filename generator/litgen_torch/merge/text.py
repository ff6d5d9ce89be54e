"""Merging by lines, for files with no structure that litgen knows.

Lines are equal whatever ends them, and the owner's keep the ends that they have.
"""

import re
from collections.abc import Collection, Iterator
from difflib import Match, SequenceMatcher

from litgen_torch.merge.outcome import Merged, Refusal

Accept = frozenset[int]  # lines of the owner's file where his version is to stay
Lines = list[str]

BOM = "\ufeff"
# Lists of patterns: what both add at the same place does not depend on order.
LISTS = (".gitignore", ".dockerignore")


def merge_text(
    base: str,
    mine: str,
    new: str,
    *,
    path: str,
    accept: Accept = frozenset(),
    markers: bool = False,
) -> Merged:
    """Carry the change from base to new into mine, line by line.

    Newlines, a byte order mark and an unfinished last line are as mine has them. What both changed
    is refused, unless one of its lines is accepted.
    """
    if mine == base:
        return Merged(new)
    ours, end = _lines(mine), newline(mine or new)
    lines, refusals = Lines(), list[Refusal]()
    for start, (before, yours, theirs) in _regions(_bare(base), _bare(mine), _bare(new)):
        found = ours[start : start + len(yours)]
        line = min(start + 1, max(1, len(ours)))
        if before == theirs or yours == theirs:
            lines += found
        elif before == yours:
            lines += [text + end for text in theirs]
        elif (both := _both(before, yours, theirs, path)) is not None:
            lines += [text + end for text in both]
        elif accept.isdisjoint({line, *range(start + 1, start + 1 + len(yours))}):
            reason = "both you and the template changed this"
            refusals.append(Refusal(path, line, "", reason, _text(yours), _text(theirs)))
            lines += marked(found, [text + end for text in theirs], end) if markers else found
        else:
            lines += found
    return Merged(_joined(lines, mine or new, end), tuple(refusals))


def mark_changes(base: str, mine: str, new: str) -> str:
    """The owner's text with every change of the template's beside his version, between markers."""
    ours, end = _lines(mine), newline(mine or new)
    lines = Lines()
    for start, (before, yours, theirs) in _regions(_bare(base), _bare(mine), _bare(new)):
        found = ours[start : start + len(yours)]
        is_his = before == theirs or yours == theirs
        lines += found if is_his else marked(found, [text + end for text in theirs], end)
    return _joined(lines, mine or new, end)


def mark_lines(text: str, numbers: Collection[int]) -> str:
    """A text with some of its lines between markers, and nothing beside them."""
    end, lines = newline(text), Lines()
    for number, line in enumerate(_lines(text), 1):
        lines += marked([line], [], end) if number in numbers else [line]
    return "".join(lines)


def newline(text: str) -> str:
    """What most lines of the text end with."""
    return "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"


def marked(yours: Lines, theirs: Lines, end: str) -> Lines:
    """Both versions between git's markers."""
    return [f"<<<<<<< yours{end}", *yours, f"======={end}", *theirs, f">>>>>>> template{end}"]


def _regions(base: Lines, mine: Lines, new: Lines) -> list[tuple[int, tuple[Lines, Lines, Lines]]]:
    """The three texts cut at the lines that all have, and where in mine each cut begins."""
    regions, b, m, n = [], 0, 0, 0
    for i, j, k, size in [*_shared(base, mine, new), (len(base), len(mine), len(new), 0)]:
        regions.append((m, (base[b:i], mine[m:j], new[n:k])))
        same = base[i : i + size]
        regions.append((j, (same, same, same)))
        b, m, n = i + size, j + size, k + size
    return regions


def _shared(base: Lines, mine: Lines, new: Lines) -> Iterator[tuple[int, int, int, int]]:
    """Runs of lines that all three have: where they begin in each, and how long they are."""
    for i, j, first in _runs(base, mine):
        for x, y, second in _runs(base, new):
            start, end = max(i, x), min(i + first, x + second)
            if start < end:
                yield start, start - i + j, start - x + y, end - start


def _runs(a: Lines, b: Lines) -> list[Match]:
    # Without difflib's guess that lines which occur often are noise.
    return SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()


def _both(before: Lines, yours: Lines, theirs: Lines, path: str) -> Lines | None:
    """What two changes at one place come to, where that is certain."""
    is_list = path.rpartition("/")[2] in LISTS and not any(
        text.startswith("!") for text in before + yours + theirs
    )
    if before and is_list:
        kept = [text for text in yours if text not in before or text in theirs]
        return kept + [text for text in theirs if text not in before + yours]
    if before:
        return _side_by_side(before, yours, theirs) if path.endswith(".md") else None
    if _is_within(theirs, yours):
        return yours
    if _is_within(yours, theirs):
        return theirs
    if is_list:
        return yours + [text for text in theirs if text not in yours]
    return None


def _side_by_side(before: Lines, yours: Lines, theirs: Lines) -> Lines | None:
    """Both changes, if they only touch: a line of prose stands for itself."""
    changes = [
        (i, j, after[k:m])
        for after in (yours, theirs)
        for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    places = [(i, j) for i, j, _ in changes]
    if len(set(places)) < len(places):
        return None  # both inserted there, or both replaced it
    ends = {end for i, j, put in changes if not put for end in (i, j)}
    if any(i == j and i in ends for i, j, _ in changes):
        return None  # what one put beside what the other deleted may have belonged to it
    lines, done = Lines(), 0
    for i, j, put in sorted(changes):
        if i < done:
            return None
        lines += [*before[done:i], *put]
        done = j
    return lines + before[done:]


def _is_within(some: Lines, all_: Lines) -> bool:
    rest = iter(all_)
    return all(text in rest for text in some)


def _lines(text: str) -> Lines:
    return re.findall(r"[^\n]*\n|[^\n]+", text.removeprefix(BOM))


def _bare(text: str) -> Lines:
    return [line.removesuffix("\n").removesuffix("\r") for line in _lines(text)]


def _text(lines: Lines) -> str:
    return "".join(f"{line}\n" for line in lines)


def _joined(lines: Lines, like: str, end: str) -> str:
    """One text, with a byte order mark and a last newline where the other has them."""
    whole = [line if line.endswith("\n") else line + end for line in lines]
    if whole and not like.endswith("\n") and not whole[-1].startswith(">>>>>>> "):
        whole[-1] = whole[-1].removesuffix("\n").removesuffix("\r")
    return (BOM if like.startswith(BOM) else "") + "".join(whole)
