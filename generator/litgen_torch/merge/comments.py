"""Three-way merge of what stands around a statement: comments and blank lines.

The owner's comments always stay. Where only the template changed a comment, its change arrives.
"""

import io
import textwrap
import tokenize
from collections import Counter
from typing import Any

import libcst as cst

from litgen_torch.merge.source import Block, Source, Statement


def merge_layout(base: Statement, mine: Statement, new: Statement) -> None:
    """Carry changed comments and blank lines above and behind a statement into the owner's.

    Blank lines not where it is the first of its block in one of both only.
    """
    before, here, there = (above(statement) for statement in (base, mine, new))
    lines = _merge_lines(before, here, there)
    texts = [[text for text in _words(some) if text] for some in (lines, here)]
    is_like = texts[0] == texts[1] and _is_first(mine) is not _is_first(new)
    if _words(lines) != _words(here) and not is_like:
        set_above(mine, lines)
    if _behind(base) != _behind(new) and _behind(mine) == _behind(base):
        _set_behind(mine, new)
    elif _behind(base) != _behind(new) and not mine.blocks:
        _set_inside(mine, _behind(base), _behind(new))


def merge_header(base: Source, mine: Source, new: Source) -> None:
    """The same for the comments at the top of a file."""
    before, here, there = (source.root.node.header for source in (base, mine, new))
    lines = _merge_lines(list(before), list(here), list(there))
    if _words(lines) != _words(here):
        mine.root.node = mine.root.node.with_changes(header=lines)


def keep_comments(gone: Statement, put: Statement, base: Statement) -> None:
    """Put the owner's comments, which a statement that goes away has, above the one that comes."""
    known = Counter(comments(put.text) + _words(above(put)))
    own = [text for text in own_comments(gone, base) if not _take(known, text)]
    if own:
        set_above(put, [*above(put), *map(_line, own)])


def keep_comments_at_end(gone: Statement, base: Statement) -> None:
    """Leave the owner's comments at the end of the block whose last statement goes away."""
    _put_at_end(gone.block, [_line(text) for text in own_comments(gone, base)])


def keep_comments_below(gone: Block, base: Block, last: Statement) -> None:
    """Put the owner's comments at the end of a block that goes away below its last statement."""
    known = Counter(_words(_below_all(base)))
    own = [x for x in _below_all(gone) if x.comment and not _take(known, x.comment.value)]
    statements = last.block.statements
    follower = next(iter(statements[statements.index(last) + 1 :]), None)
    if own and follower:
        set_above(follower, [*own, *above(follower)])
    else:
        _put_at_end(last.block, own)


def _below_all(block: Block) -> list[Any]:
    """The lines in a block behind its last statement."""
    body = block.node if block.owner is None else block.node.body
    return list(getattr(body, "footer", ()))


def _put_at_end(block: Block, lines: list[Any]) -> None:
    if lines and block.owner is None:
        block.node = block.node.with_changes(footer=[*lines, *block.node.footer])
    elif lines and isinstance(block.node.body, cst.IndentedBlock):
        body = block.node.body
        block.node = block.node.with_changes(body=body.with_changes(footer=[*lines, *body.footer]))


def own_comments(mine: Statement, base: Statement) -> list[str]:
    """Comments above, in and behind a statement that the template did not write."""
    known, written = Counter(comments(base.text)), comments(mine.text)
    # Above it may be what stood at one that went before it.
    taken_over = [text for text in _words(above(mine)) if text and text not in written]
    return [text for text in taken_over + written if not _take(known, text)]


def inner_comments(mine: Statement, base: Statement) -> list[str]:
    """The owner's comments inside a statement, neither above nor behind it."""
    outside = Counter([*_words(above(mine)), _behind(mine)])
    return [text for text in own_comments(mine, base) if not _take(outside, text)]


def keep_end(mine: Statement, put: Statement, base: Statement, new: Statement) -> None:
    """Keep the owner's comment behind a statement behind the one that takes its place, or none."""
    is_gone = not _behind(mine) and _behind(base) not in ("", *comments(mine.text))
    is_his = _behind(mine) not in ("", _behind(base), _behind(new))
    if not mine.blocks and (is_his or is_gone):
        put.node = put.node.with_changes(trailing_whitespace=_end(mine))
        put.text += _behind(mine)  # known from here on


def _line(text: str) -> cst.EmptyLine:
    return cst.EmptyLine(comment=cst.Comment(text))


def keep_comments_above(gone: Statement, put: Statement, base: Statement) -> None:
    """Put the owner's lines above a head that goes away above what stays of its block."""
    known = Counter(_words(above(base)))
    own = [line for line in above(gone) if not (line.comment and _take(known, line.comment.value))]
    set_above(put, [*own, *above(put)])


def comments(text: str) -> list[str]:
    """All comments in some lines of Python."""
    if "#" not in text:
        return []
    tokens = tokenize.generate_tokens(io.StringIO(textwrap.dedent(text)).readline)
    return [token.string.rstrip() for token in tokens if token.type == tokenize.COMMENT]


def above(statement: Statement) -> list[Any]:
    """The lines above a statement that belong to it."""
    return list(getattr(statement.node, "leading_lines", ()))


def set_above(statement: Statement, lines: list[Any]) -> None:
    statement.node = statement.node.with_changes(leading_lines=lines)
    if statement.blocks:
        statement.blocks[0].node = statement.node
    statement.changed = True


def begin_file(root: Block) -> None:
    """Drop the blank lines above a statement that became the first of its file."""
    if not root.changed or not root.statements or root.node.header:
        return
    first = root.statements[0]
    lines = above(first)
    while lines and not lines[0].comment:
        del lines[0]
    if len(lines) < len(above(first)):
        set_above(first, lines)


def merge_inside(base: Statement, mine: Statement, new: Statement) -> None:
    """Carry changed comments between brackets into a statement that the owner wrote in his way."""
    before, there = comments(base.text), comments(new.text)
    if len(before) == len(there):
        for old, put in zip(before, there, strict=True):
            if old != put:
                _set_inside(mine, old, put)


def _set_inside(mine: Statement, before: str, there: str) -> None:
    """Change a comment that the owner's layout has between brackets now."""
    nodes = [node for node in _below(mine.node) if getattr(node, "comment", None)]
    found = [node for node in nodes if before and node.comment.value == before]
    if len(found) == 1:
        put = found[0].with_changes(comment=cst.Comment(there) if there else None)
        mine.node = mine.node.deep_replace(found[0], put)
        mine.changed = True


def _below(node: Any) -> list[Any]:
    return [inner for child in node.children for inner in (child, *_below(child))]


def _is_first(statement: Statement) -> bool:
    return statement.block.statements[0] is statement


def _take(counts: Counter[str], text: str) -> bool:
    counts[text] -= 1
    return counts[text] >= 0


def _words(lines: list[Any]) -> list[str]:
    return [line.comment.value if line.comment else "" for line in lines]


def _merge_lines(base: list[Any], mine: list[Any], new: list[Any]) -> list[Any]:
    before, here, there = map(_words, (base, mine, new))
    if before == there:
        return mine
    if here == before:
        return new
    gone = Counter(filter(None, before)) - Counter(there)
    kept = [line for line, text in zip(mine, here, strict=True) if not (text and _take(gone, text))]
    added = Counter(filter(None, there)) - Counter(before) - Counter(here)
    return kept + [
        line for line, text in zip(new, there, strict=True) if text and _take(added, text)
    ]


def _behind(statement: Statement) -> str:
    where = _end(statement)
    return where.comment.value if where is not None and where.comment else ""


def _end(statement: Statement) -> Any:
    """The end of the statement's line, or of its first line where a block follows."""
    if statement.blocks:
        return getattr(getattr(statement.blocks[0].node, "body", None), "header", None)
    return getattr(statement.node, "trailing_whitespace", None)  # a match statement has none


def _set_behind(mine: Statement, new: Statement) -> None:
    end = _end(new)
    if not mine.blocks:
        mine.node = mine.node.with_changes(trailing_whitespace=end)
    elif isinstance(mine.blocks[0].node.body, cst.IndentedBlock):
        block = mine.blocks[0]
        block.node = block.node.with_changes(body=block.node.body.with_changes(header=end))
        mine.node = block.node
    mine.changed = True
