"""Where new statements of a TOML file go, and how they are written there.

A pair goes beside those of its table, wherever the owner has them, and a table behind that which it
follows in the template.
"""

import re
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from litgen_torch.merge.toml_arrays import Keeps, key_text
from litgen_torch.merge.toml_layout import Layout, Path, Statement, Value, comments

Block = list[Statement]  # a header, and the pairs below it


@dataclass(frozen=True)
class Work:
    """The owner's file, which is edited, and the template's, which is read."""

    mine: Layout
    new: Layout
    data: Any  # what new means
    keeps: Keeps
    end: str  # of a line


def insert_pair(work: Work, pair: Statement, source: Path) -> Block:
    """Put a pair that new has at `source` into the table that it belongs to."""
    statements, parent = work.mine.statements, pair.path[:-1]
    siblings = [each for each in statements if not each.is_header and each.path[:-1] == parent]
    if siblings:
        names = list(meant(work, source[:-1]))
        like, position = _beside(siblings, names, str(pair.path[-1]))
        return _insert(work, index(statements, like) + position, [_as_in(like, pair)])
    dotted = [each for each in statements if _is_dotted_below(each, parent)]
    if dotted:
        return _insert(work, index(statements, dotted[-1]) + 1, [_as_in(dotted[-1], pair)])
    sections = [(), *(each.path for each in statements if each.is_header)]
    ours = max((each for each in sections if parent[: len(each)] == each), key=len)
    if len(pair.path) - len(ours) > len(pair.keys):
        block = [_header(work, pair.path[: -len(pair.keys)]), pair]
        return insert_block(work, block, place_of_block(work, block[0].path))
    return _insert(work, _section_end(work, ours), [_below(ours, pair)])


def _beside(siblings: Block, names: list[str], name: str) -> tuple[Statement, int]:
    """The pair beside which one of this name belongs: 1 behind it, 0 before it."""
    found = {each.path[-1]: each for each in siblings}
    place = names.index(name)
    for before in reversed(names[:place]):
        if before in found:
            return found[before], 1
    for after in names[place:]:
        if after in found:
            return found[after], 0
    return siblings[-1], 1


def _is_dotted_below(each: Statement, path: Path) -> bool:
    """Whether dotted keys in a section above make the table at a path."""
    section = len(each.path) - len(each.keys)
    return not each.is_header and section < len(path) and each.path[: len(path)] == path


def _as_in(like: Statement, pair: Statement) -> Statement:
    """The pair, written as another of its section is: indented, and with a dotted key."""
    placed = _below(like.path[: -len(like.keys)], pair)
    indent = like.head[: len(like.head) - len(like.head.lstrip())]
    equals = " = " if like.head.endswith((" ", "\t")) else "="
    return replace(placed, head=indent + placed.head.removesuffix(" = ") + equals)


def _below(section: Path, pair: Statement) -> Statement:
    keys = tuple(map(str, pair.path[len(section) :]))
    return replace(pair, keys=keys, head=f"{'.'.join(map(key_text, keys))} = ")


def insert_block(work: Work, block: Block, position: int) -> Block:
    """Put a table, with its header, before the statement at a position."""
    headers = [each for each in work.mine.statements[1:] if each.is_header]
    is_dense = headers and not any("\n" in _blank(each.lead) for each in headers)
    _insert(work, position, block)
    statements = work.mine.statements
    if position > 0 and not is_dense:
        block[0].lead = work.end + block[0].lead
    after = position + len(block)
    if after < len(statements) and not is_dense and not _blank(statements[after].lead):
        statements[after].lead = work.end + statements[after].lead
    return block


def _blank(lead: str) -> str:
    """The empty lines that a lead begins with."""
    found = re.match(r"(?:[ \t]*\r?\n)*", lead)
    assert found
    return found[0]


def _insert(work: Work, position: int, added: Block) -> Block:
    statements = work.mine.statements
    if position == len(statements) and statements and not statements[-1].tail.endswith("\n"):
        added[-1].tail = added[-1].tail.rstrip("\r\n")  # the file goes on without a last newline
    elif not added[-1].tail.endswith("\n"):
        added[-1].tail += work.end
    for each in added:
        indent = each.head[: len(each.head) - len(each.head.lstrip())]
        near = re.split(r"\n[ \t\r]*\n", each.lead)[-1]
        each.lead = "".join(indent + comment + work.end for comment in comments(near))
    statements[position:position] = added
    return added


def place_of_block(work: Work, path: Path) -> int:
    """Where a block goes: behind what the template has before it, else before what it has next."""
    statements = work.mine.statements
    theirs = [keys_of(each.path) for each in work.new.statements if each.is_header]
    place = theirs.index(keys_of(path)) if keys_of(path) in theirs else len(theirs)
    # A table of an array goes behind the others of its array.
    before = [(names, -1) for names in reversed(theirs[: place + isinstance(path[-1], int)])]
    for names, which in [*before, *((names, 0) for names in theirs[place:])]:
        ours = [keys_of(each.path)[: len(names)] for each in statements]
        if names in ours:
            found = [at for at, each in enumerate(ours) if each == names][which] - which
            rest = statements[found:]
            return found + next((at for at, each in enumerate(rest) if each.is_header), len(rest))
    return len(statements)


def keys_of(path: Path) -> tuple[str, ...]:
    """The keys of a path, without positions."""
    return tuple(each for each in path if isinstance(each, str))


def _section_end(work: Work, path: Path) -> int:
    sections = [each.path if each.is_header else None for each in work.mine.statements]
    start = 1 + sections.index(path) if path else 0
    return next((at for at in range(start, len(sections)) if sections[at]), len(sections))


def _header(work: Work, path: Path) -> Statement:
    keys = keys_of(path)
    return Statement(0, "", f"[{'.'.join(map(key_text, keys))}]", keys, path, Value(0), work.end)


def meant(work: Work, path: Path) -> Any:
    """What new means at a path."""
    return reduce(lambda data, key: data[key], path, work.data)


def index(items: list[Any], item: Any) -> int:
    """Where an item itself is, whatever is equal to it."""
    return next(position for position, each in enumerate(items) if each is item)
