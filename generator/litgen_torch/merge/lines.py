"""Lines of a file, before and after it was edited."""

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache

LINE_END = re.compile(r"\r\n|\r|\n")  # as Python counts lines: a form feed ends none


def line_in(after: str, before: str, line: int) -> int:
    """Which line of `before` is this one of `after`; of one that is new, the line behind it."""
    for tag, start, end, there, until in _opcodes(before, after):
        if there < line <= until:
            offset = line - there
            return start + (offset if tag == "equal" else min(offset, max(1, end - start)))
    return line


@lru_cache(maxsize=1)
def _opcodes(before: str, after: str) -> Sequence[tuple[str, int, int, int, int]]:
    sides: list[list[str]] = [LINE_END.split(text) for text in (before, after)]
    return difflib.SequenceMatcher(None, sides[0], sides[1], autojunk=False).get_opcodes()
