"""The single edits of which a merge consists, done to the owner's statements in place."""

import ast
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from litgen_torch.merge.align import Mates, align
from litgen_torch.merge.comments import (
    above,
    inner_comments,
    keep_comments,
    keep_comments_at_end,
    keep_end,
)
from litgen_torch.merge.expressions import Conflict, merge_assignments, merge_nodes
from litgen_torch.merge.likeness import defined
from litgen_torch.merge.outcome import Refusal
from litgen_torch.merge.places import Place, depth_of, nearest, where
from litgen_torch.merge.source import Block, Source, Statement, parse
from litgen_torch.merge.text import merge_text
from litgen_torch.merge.written import render_statement

CHANGED = "you changed a statement that this edit must replace"
COPIED = "you have this statement twice, and this edit must change it"
DELETED = "you deleted a statement that this edit must change"
UNNEEDED = "you changed a statement that this edit must remove"
GONE = "the place where this edit must insert is gone"
TAKEN = "you have one of this name"
TWICE = "you put this into a block of your own, and this edit must put it into another"
APART = "you parted the statements that this edit must put into one block"

LEAVES = (ast.Break, ast.Continue, ast.Return, ast.Raise)


@dataclass
class Edits:
    """What can be done to the owner's file, in place; `refusals` says where it could not."""

    base: Source
    mine: Source
    new: Source
    path: str
    accept: frozenset[int] = frozenset()
    adapt: Callable[[Any, int], Any] = lambda node, depth: node  # lays out a statement as he does
    refusals: list[Refusal] = field(default_factory=list)
    conflicts: list[tuple[Statement, str]] = field(default_factory=list)
    combined: list[Statement] = field(default_factory=list)  # of which both sides changed a part
    kept: list[int] = field(default_factory=list)  # lines where the owner's docstring stays

    def __post_init__(self) -> None:
        self.to_mine: Mates = align(self.base, self.mine)
        self.to_new: Mates = align(self.base, self.new)

    def merge_head(self, base: Block, mine: Block, new: Block) -> None:
        """Replay what changed before the colon."""
        if base.head == new.head or mine.head == new.head:
            return
        assert mine.owner and base.owner and new.owner
        try:
            node = merge_nodes(base.node, mine.node, new.node)
        except Conflict:
            self.refuse(CHANGED, mine.owner, mine, [new.owner])
            return
        if mine.head != base.head:
            self.combined.append(mine.owner)
        elif mine is mine.owner.blocks[0]:
            node = self.adapt(new.node, depth_of(mine.owner.block))
        if hasattr(node, "leading_lines"):
            node = node.with_changes(leading_lines=mine.node.leading_lines)
        if any(line.comment for line in getattr(mine.node, "lines_after_decorators", ())):
            node = node.with_changes(lines_after_decorators=mine.node.lines_after_decorators)
        inside = "cases" if isinstance(node, cst.Match) else "body"
        mine.node = node.with_changes(**{inside: getattr(mine.node, inside)})
        mine.changed = True
        if mine is mine.owner.blocks[0]:
            mine.owner.node = mine.node

    def combine(self, base: Statement, mine: Statement, new: Statement) -> None:
        """Merge a statement that both changed, if they changed different parts of it."""
        simple = [s.node for s in (base, mine, new) if isinstance(s.node, cst.SimpleStatementLine)]
        try:
            if len(simple) < 3:
                raise Conflict
            parts = [node.body[0] for node in simple]
            typed = len({type(part) for part in parts}) > 1
            small = merge_assignments(*parts) if typed else merge_nodes(*parts)
        except Conflict:
            self.refuse(CHANGED, mine, mine.block, [new])
            return
        mine.node = mine.node.with_changes(body=[small])
        mine.changed = True
        self.combined.append(mine)

    def merge_docstring(self, base: Statement, mine: Statement, new: Statement) -> None:
        """Merge two docstrings line by line; where that fails the owner's stays, as comments do."""
        texts = [
            cst.Module([s.node.with_changes(leading_lines=())]).code for s in (base, mine, new)
        ]
        merged = merge_text(texts[0], texts[1], texts[2], path=self.path)
        try:
            (put,) = parse(merged.text).root.statements
        except (SyntaxError, ValueError):
            put = mine
        if merged.refusals or put is mine:
            self.kept.append(mine.number)
        else:
            mine.node = mine.node.with_changes(body=put.node.body)
            mine.changed = True
            self.combined.append(mine)

    def put(self, base: Statement, mine: Statement, new: Statement) -> None:
        """The template's statement in the place of the owner's, which is as it was."""
        block = mine.block
        put = self.copied(new, block)
        if not mine.blocks and inner_comments(mine, base):  # his: so change what is around them
            small = merge_nodes(*(s.node.body[0] for s in (base, mine, new)), gently=True)
            put.node = mine.node.with_changes(body=[small])
            put.text = mine.text
        if hasattr(mine.node, "leading_lines"):
            put.node = put.node.with_changes(leading_lines=mine.node.leading_lines)
            if put.blocks:
                put.blocks[0].node = put.node
        keep_end(mine, put, base, new)
        keep_comments(mine, put, base)
        block.statements[block.statements.index(mine)] = put
        block.adopt()
        if mine.line and not put.blocks:
            put.line = mine.line
            put.line.statements[put.line.statements.index(mine)] = put
        self.to_mine.pair(base, put)

    def delete(self, base: Statement, mine: Statement) -> None:
        block = mine.block
        i = block.statements.index(mine)
        follower = block.statements[i + 1] if i + 1 < len(block.statements) else None
        if follower:
            keep_comments(mine, follower, base)
        else:
            keep_comments_at_end(mine, base)
        del block.statements[i]
        block.adopt()

    def copied(self, new: Statement, block: Block) -> Statement:
        """The template's statement, laid out as the owner lays out his."""
        node = self.adapt(new.node, depth_of(block))
        if node is new.node:
            put = copy.copy(new)
            put.blocks = [copy.copy(inside) for inside in new.blocks]
        else:
            put = parse(cst.Module([node]).code).root.statements[0]
            put.node = node
        if put.blocks:
            put.blocks[0].node = put.node
        put.changed = True
        return put

    def is_there(self, new: list[Statement], block: Block, place: Place | None = None) -> bool:
        """Whether the owner's version of a block has these statements: written by hand, say.

        His version is also the block in which the place is that they would be put at.
        """
        if not new:
            return False
        own = self._own(self.to_mine.blocks.get(block, self.mine.root))
        free = {s.key for s in own + (self._own(place[0]) if place else [])}
        return all(statement.key in free for statement in new)

    def taken(self, new: list[Statement], block: Block) -> Statement | None:
        """What the owner defined himself in this block under a name that the template brings."""
        names = {name for statement in new if (name := defined(statement))}
        target = self.to_mine.blocks.get(block, self.mine.root)
        own = [s for s in target.statements if s not in self.to_mine.back]
        return next((s for s in own if defined(s) in names), None)

    def _own(self, block: Block) -> list[Statement]:
        """The statements in a block of his file that are the owner's alone."""
        inside = [s for outer in block.statements for s in outer.walk()]
        return [s for s in inside if s not in self.to_mine.back]

    def hollow(self, gone: list[Statement]) -> Statement | None:
        """A block of the owner's own that would have nothing left in it."""
        for statement in gone:
            owner = statement.block.owner
            is_own = owner is not None and owner not in self.to_mine.back
            if is_own and set(statement.block.statements) <= set(gone):
                return owner
        return None

    def has_more(self, base: Statement, new: Statement) -> bool:
        """Whether the template only added blocks, such as an `else`, and left the heads alone."""
        heads = [[(b.kind, b.head) for b in statement.blocks] for statement in (base, new)]
        return set(heads[0]) <= set(heads[1]) and all(b in self.to_mine.blocks for b in base.blocks)

    def has_less(self, base: Statement, mine: Statement, new: Statement) -> bool:
        """Whether the template only dropped blocks that the owner has as they were."""
        heads = [{(b.kind, b.head) for b in statement.blocks} for statement in (base, new)]
        gone = [b for b in base.blocks if (b.kind, b.head) not in heads[1]]
        mates = [self.to_mine.blocks.get(block) for block in base.blocks]
        as_they_were = [
            (m := self.to_mine.blocks.get(b)) is not None
            and m in mine.blocks
            and [s.key for s in m.statements] == [s.key for s in b.statements]
            for b in gone
        ]
        is_first = base.blocks[0] in gone
        return heads[1] < heads[0] and all(mates) and all(as_they_were) and not is_first

    def is_alike(self, base: Statement, new: Statement) -> bool:
        """Whether both have the same blocks, and the owner has them too, if perhaps others more."""
        kinds = [[block.kind for block in statement.blocks] for statement in (base, new)]
        known = all(block in self.to_mine.blocks for block in base.blocks)
        return bool(base.blocks) and kinds[0][1:] == kinds[1][1:] and known

    def known(self) -> set[Statement | None]:
        """The owner's statements that the template has too, and the file."""
        return {None, *self.to_mine.back}

    def is_copied(self, mine: Statement) -> bool:
        """Whether the owner has the same statement once more right behind it."""
        behind = mine.block.statements[mine.block.statements.index(mine) + 1 :][:1]
        return any(s.key == mine.key and s not in self.to_mine.back for s in behind)

    def goes_along(self, mine: Statement) -> bool:
        """Whether a statement is the owner's alone, and belongs to the one above it."""
        leaves = any(isinstance(node, LEAVES) for node in ast.walk(mine.tree))
        is_own = all(s not in self.to_mine.back for s in mine.walk())
        return is_own and not leaves and not above(mine)

    def refuse(
        self, reason: str, mine: Statement | None, block: Block, new: list[Statement]
    ) -> None:
        place = mine or nearest(block, self.to_mine)
        line = place.number if place else 1
        if line in self.accept:
            return
        around = where(mine.block if mine else self.to_mine.blocks.get(block, self.mine.root))
        yours, template = _source([mine] if mine else []), _source(new)
        self.refusals.append(Refusal(self.path, line, around, reason, yours, template))
        if mine:
            self.conflicts.append((mine, template))
        elif place:  # gone: the template's version goes below what is left of its block
            target = self.to_mine.blocks.get(block)
            last = target.statements[-1] if target and target.statements else place
            self.conflicts.append((last, f"{_source([last])}\n{template}"))


def _source(statements: Sequence[Statement]) -> str:
    module = cst.Module([render_statement(s) for s in statements])
    return module.code.strip("\n")
