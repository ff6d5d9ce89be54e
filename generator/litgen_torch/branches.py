"""The base of a file that two branches changed, and git has merged."""

from difflib import SequenceMatcher


def joined(merged: str, mine: str, rendered: str) -> str:
    """The base that the owner's file comes from, once its two bases were merged as well.

    Git did to the base as to the file, so where the file has what git made of the base, that stays:
    what the merged answers would have there in its place is still to be carried into the file. All
    else is as rendered from the merged answers, such as what the owner had to resolve by hand.
    """
    lines, own, new = (text.splitlines(keepends=True) for text in (merged, mine, rendered))
    same = SequenceMatcher(None, lines, own, autojunk=False).get_matching_blocks()
    result = []
    for tag, start, end, first, last in SequenceMatcher(
        None, lines, new, autojunk=False
    ).get_opcodes():
        # With a neighbour on both sides, so that what is only to be inserted has a place.
        before, behind = max(start - 1, 0), min(end + 1, len(lines))
        is_mine = any(at <= before and behind <= at + size for at, _, size in same)
        result += lines[start:end] if tag == "equal" or is_mine else new[first:last]
    return "".join(result)
