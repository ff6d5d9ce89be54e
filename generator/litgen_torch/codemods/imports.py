"""Import statements: one name taken out of them, another put beside them."""

import ast
import re

from litgen_torch.codemods.names import Import
from litgen_torch.codemods.source import Edit, Source, applied

# The module behind `from`, wherever the owner broke the line.
MODULE = re.compile(r"from[ \t\f\\\r\n]*([.\w][.\w \t]*?)[ \t\f\\\r\n]*\bimport\b")
ALONE = re.compile(r"[ \t\f]*(#[^\r\n]*)?")


def replaced(
    source: Source, statement: ast.ImportFrom, alias: ast.alias, module: str, words: str
) -> list[Edit]:
    """`from module import words` in place of one part of a statement.

    It stands where isort has it among its neighbours, and the comment behind the part goes with it.
    """
    neighbour = _neighbour(source, statement, module)
    if len(statement.names) > 1:
        removal, comment = _without(source, statement, alias)
        behind = f"  {comment}" if comment else ""
        return [removal, beside(source, neighbour, f"from {module} import {words}{behind}")]
    begin, end = source.span(statement)
    found = MODULE.match(source.text, begin)
    assert found, source.words(statement)
    edits = [(*found.span(1), module), (*source.span(alias), words)]
    if neighbour is statement or not _has_its_lines(source, statement):
        return edits
    line, after = source.line_start(begin), source.line_end(end)
    indent = source.text[line:begin]
    moved = applied(source.text[:after], edits)[line + len(indent) :]
    return [(line, source.next_line(end), ""), beside(source, neighbour, moved)]


def module_in(statement: ast.ImportFrom, module: str) -> str:
    """How this statement would name another module of its package: with dots if it has them."""
    if not statement.level:
        return module
    return "." * statement.level + module.rpartition(".")[2]


def beside(source: Source, statement: Import, words: str) -> Edit:
    """Another statement behind this one, in a line of its own if this one has that."""
    begin, end = source.span(statement)
    if not _has_its_lines(source, statement):
        return end, end, f"; {words.partition('  #')[0]}"
    place = source.line_end(end)
    indent = source.text[source.line_start(begin) : begin]
    return place, place, f"{source.line_break(place)}{indent}{words}"


def among(source: Source, statement: ast.ImportFrom, words: str) -> Edit:
    """One name more in a `from … import`, before the first that is sorted behind it."""
    for alias in statement.names:
        if alias.name > words:
            place = source.span(alias)[0]
            return place, place, f"{words}, "
    place = source.span(statement.names[-1])[1]
    return place, place, f", {words}"


def _has_its_lines(source: Source, statement: Import) -> bool:
    begin, end = source.span(statement)
    before = source.text[source.line_start(begin) : begin]
    return not before.strip() and bool(ALONE.fullmatch(source.text[end : source.line_end(end)]))


def _neighbour(source: Source, statement: ast.ImportFrom, module: str) -> Import:
    """The import behind which isort has the module: this one, or one that follows it directly."""
    blocks = [block for _, block in ast.iter_fields(source.parents[statement])]
    [block] = [block for block in blocks if isinstance(block, list) and statement in block]
    found = statement
    for other in block[block.index(statement) + 1 :]:
        is_before = (
            isinstance(other, ast.ImportFrom)
            and other.level == statement.level
            and _package(other.module or "") == _package(module)
            and (other.module or "") < module
            and _has_its_lines(source, other)
        )
        if not is_before:
            break
        found = other
    return found


def _package(module: str) -> str:
    return module.partition(".")[0]


def _without(source: Source, statement: ast.ImportFrom, alias: ast.alias) -> tuple[Edit, str]:
    """What takes one of several names out of a statement, and the comment that was behind it."""
    text, number = source.text, statement.names.index(alias)
    begin, end = source.span(alias)
    comma = re.compile(r"[\s\\]*,").match(text, end)
    line, after = source.line_start(begin), source.line_end(end)
    behind = ALONE.fullmatch(text, comma.end() if comma else end, after)
    is_between = source.span(statement)[0] < line and end < source.span(statement)[1]
    if not text[line:begin].strip() and behind and is_between:
        return (line, source.next_line(end), ""), behind.group(1) or ""
    if comma and behind:  # the last of its line: the spaces in front of it go as well
        return (line + len(text[line:begin].rstrip()), comma.end(), ""), ""
    if comma:
        return (begin, len(text) - len(text[comma.end() :].lstrip(" \t")), ""), ""
    before = source.span(statement.names[number - 1])[1] if number else begin
    if "#" in text[before:begin]:  # behind a comma, which may stay as well
        before = begin
    return (before, end, ""), ""
