"""Edits of a TOML file as it is written: what is not edited keeps its bytes.

What comes from the template is written as the owner writes: with his quotes and indentation, where
he has the table that it belongs to.
"""

import copy
import re
from dataclasses import replace

from litgen_torch.merge.toml_arrays import (
    inline,
    insert_element,
    key_text,
    remove_element,
    with_quotes_of,
)
from litgen_torch.merge.toml_layout import (
    Element,
    Layout,
    Path,
    Statement,
    comments,
    scan,
    scan_value,
)
from litgen_torch.merge.toml_place import (
    Block,
    Work,
    index,
    insert_block,
    insert_pair,
    keys_of,
    meant,
    place_of_block,
)
from litgen_torch.merge.toml_plan import Edit


def apply(work: Work, edit: Edit) -> None:
    """Make one edit in `work.mine`."""
    if edit.kind == "set":
        _set(work, edit)
    elif edit.kind == "add":
        add(work, edit.at, edit.source)
    elif edit.kind == "delete":
        _delete(work, edit.at)
    elif work.mine.find(edit.at):
        _arrange_elements(work, edit)
    else:
        _arrange_tables(work, edit)


def add(work: Work, at: Path, source: Path) -> Block:
    """Put what new has at `source` to `at`, where nothing is; the statements that were added."""
    if parent := work.mine.find(at[:-1]):
        head = f"{key_text(str(at[-1]))} = "
        element = replace(_element(work, source), keys=(str(at[-1]),), head=head)
        insert_element(parent.value, len(parent.value.elements), element)
        return []
    pieces = copy.deepcopy(work.new.below(source)) or [_pair(work, source)]
    added, blocks = Block(), list[Block]()
    for piece in pieces:
        placed = replace(piece, path=at + piece.path[len(source) :])
        if piece.is_header:
            blocks.append([placed])
        elif blocks:
            blocks[-1].append(placed)
        else:
            added += insert_pair(work, placed, piece.path)
    for block in blocks:
        added += insert_block(work, block, place_of_block(work, block[0].path))
    return added


def finished(layout: Layout, end: str) -> str:
    """The text, with each statement on lines of its own."""
    for position, each in enumerate(layout.statements):
        is_last = position == len(layout.statements) - 1 and not layout.end
        if not is_last and not each.body().endswith("\n"):
            each.tail += end
    return str(layout)


def _set(work: Work, edit: Edit) -> None:
    ours, theirs = work.mine.find(edit.at), work.new.find(edit.source)
    headers = [each.path for each in work.mine.statements if each.is_header]
    if meant(work, edit.source) == {} and edit.at in headers:
        return
    if ours is None or theirs is None and isinstance(ours, Statement):
        _delete(work, edit.at)
        add(work, edit.at, edit.source)
        return
    value = _element(work, edit.source).value
    value.text = with_quotes_of(ours.value.text, value.text)
    inside = [each for text in ours.value.surroundings() for each in comments(text)]
    _say_above(work, edit.at, list(filter(work.keeps, inside)))
    ours.value = value
    if theirs is not None and isinstance(ours, Statement):
        before, after = comments(ours.tail), comments(theirs.tail)
        if before != after and not any(map(work.keeps, before)):
            line_end = ours.tail[len(ours.tail.rstrip("\r\n")) :]
            ours.tail = theirs.tail.rstrip("\r\n") + line_end


def _delete(work: Work, at: Path) -> None:
    if found := work.mine.below(at):
        for statement in found:
            _drop(work, statement)
        return
    for size in reversed(range(len(at))):
        holder = work.mine.find(at[:size])
        elements = holder.value.elements if holder else []
        for position in reversed(range(len(elements))):
            if holder and elements[position].keys[: len(at) - size] == at[size:]:
                _say_above(work, at, remove_element(holder.value, position, work.keeps))


def _say_above(work: Work, at: Path, kept: list[str]) -> None:
    """Put comments that have no place any more above the statement that they were in."""
    holder = next(each for each in work.mine.statements if at[: len(each.path)] == each.path)
    holder.lead += "".join(comment + work.end for comment in kept)


def _drop(work: Work, statement: Statement) -> None:
    """Remove a statement, and the comments above it that are not the owner's."""
    statements = work.mine.statements
    position = index(statements, statement)
    del statements[position]
    lines = [line for line in re.findall(r"[^\n]*\n", statement.lead) if _stays(work, line)]
    for text in (*statement.value.surroundings(), statement.tail):
        lines += [comment + work.end for comment in comments(text) if work.keeps(comment)]
    if not comments("".join(lines)):
        return
    if position < len(statements):
        statements[position].lead = "".join(lines) + statements[position].lead
    else:
        work.mine.end = "".join(lines) + work.mine.end


def _stays(work: Work, line: str) -> bool:
    return not comments(line) or work.keeps(comments(line)[0])


def _arrange_elements(work: Work, edit: Edit) -> None:
    holder = work.mine.find(edit.at)
    assert holder
    value, position = holder.value, 0
    theirs = work.new.find(edit.source)
    is_alien = not value.elements and not comments(value.end)
    if is_alien and theirs and len(edit.order) == len(meant(work, edit.source)):
        holder.value = copy.deepcopy(theirs.value)
        return
    before = list(value.elements)
    for side, number in edit.order:
        if side == "mine":
            position = index(value.elements, before[number]) + 1
        else:
            insert_element(value, position, _element(work, (*edit.source, number)))
            position += 1
    for number, element in enumerate(before):
        if ("mine", number) not in edit.order:
            remove_element(value, index(value.elements, element), work.keeps)


def _arrange_tables(work: Work, edit: Edit) -> None:
    if not edit.order:  # only an array without headers can be empty
        _delete(work, edit.at)
        add(work, edit.at, edit.source)
        return
    at, statements = edit.at, work.mine.statements
    groups = {each: work.mine.below((*at, each[1])) for each in edit.order if each[0] == "mine"}
    position = next((index(statements, group[0]) for group in groups.values()), None)
    for each in edit.order:
        if each in groups:
            position = index(statements, groups[each][-1]) + 1
            continue
        block = _table_block(work, edit, each[1])
        if position is None:
            position = place_of_block(work, at)
        insert_block(work, block, position)
        position += len(block)
    for number in {each.path[len(at)] for each in work.mine.below(at)}:
        if ("mine", number) not in edit.order and isinstance(number, int) and number >= 0:
            _delete(work, (*at, number))


def _table_block(work: Work, edit: Edit, number: int) -> Block:
    """A table of an array of the template's, with paths that nothing of the owner's has."""
    source, at = (*edit.source, number), (*edit.at, -1 - number)
    block = copy.deepcopy(work.new.below(source))
    if not block:
        data = meant(work, source)
        lines = [f"[[{'.'.join(map(key_text, keys_of(edit.at)))}]]"]
        lines += [f"{key_text(key)} = {inline(value)}" for key, value in data.items()]
        block = scan(work.end.join([*lines, ""])).statements
        return [replace(each, path=at) for each in block]
    return [replace(each, path=at + each.path[len(source) :]) for each in block]


def _element(work: Work, source: Path) -> Element:
    """What new has at a path, as an element of an array."""
    theirs = copy.deepcopy(work.new.find(source))
    if isinstance(theirs, Element):
        return theirs
    if theirs is not None:
        return Element("", (), "", theirs.value)
    return Element("", (), "", scan_value(inline(meant(work, source))))


def _pair(work: Work, source: Path) -> Statement:
    key = str(source[-1])
    value = _element(work, source).value
    return Statement(0, "", f"{key_text(key)} = ", (key,), source, value, work.end)
