"""The change from base to new, replayed on the owner's file, statement by statement.

Each statement of base knows its mate in mine and its mate in new. What the template replaced,
deleted, inserted, or put into a block of its own is done to the owner's mates, wherever they are;
a statement that both changed is a conflict, always.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import libcst as cst

from litgen_torch.merge.align import Mates, align
from litgen_torch.merge.comments import above, keep_comments, keep_comments_above, merge_layout
from litgen_torch.merge.expressions import Conflict, merge_nodes
from litgen_torch.merge.outcome import Refusal
from litgen_torch.merge.places import Gap, before, depth_of, nearest, place_of, where
from litgen_torch.merge.source import Block, Source, Statement, parse, render_statement

CHANGED = "you changed a statement that this edit must replace"
DELETED = "you deleted a statement that this edit must change"
UNNEEDED = "you changed a statement that this edit must remove"
GONE = "the place where this edit must insert is gone"
APART = "you parted the statements that this edit must put into one block"


@dataclass
class Replay:
    """Edits `mine` in place; `refusals` says where that was not possible."""

    base: Source
    mine: Source
    new: Source
    path: str
    accept: frozenset[int] = frozenset()
    adapt: Callable[[Any, int], Any] = lambda node, depth: node  # lays out a statement as he does
    refusals: list[Refusal] = field(default_factory=list)
    conflicts: list[tuple[Statement, str]] = field(default_factory=list)
    combined: list[Statement] = field(default_factory=list)  # of which both sides changed a part

    def run(self) -> None:
        self.to_mine: Mates = align(self.base, self.mine)
        self.to_new: Mates = align(self.base, self.new)
        self._block(self.base.root, self.new.root)

    def _block(self, base: Block, new: Block) -> None:
        """Replay what changed between two blocks."""
        position = {statement: i for i, statement in enumerate(base.statements)}
        stay = {mate for s in new.statements if (mate := self.to_new.back.get(s)) in position}
        done, earlier, run = 0, None, list[Statement]()
        for statement in new.statements:
            mate = self.to_new.back.get(statement)
            if mate is None or position.get(mate, -1) < done:
                run.append(statement)
                continue
            old = [s for s in base.statements[done : position[mate]] if s not in stay]
            self._gap(Gap(base, earlier, mate), old, run)
            self._statement(mate, statement)
            done, earlier, run = position[mate] + 1, mate, []
        self._gap(
            Gap(base, earlier, None), [s for s in base.statements[done:] if s not in stay], run
        )

    def _gap(self, gap: Gap, old: list[Statement], new: list[Statement]) -> None:
        """Replay what changed between two statements that stayed: some went, some came."""
        for outer in [s for s in new if s in self.to_new.wraps]:
            if taken := [s for s in self.to_new.wraps[outer] if s in old]:
                i, j, k = old.index(taken[0]), old.index(taken[-1]), new.index(outer)
                self._gap(replace(gap, after=taken[0]), old[:i], new[:k])
                self._wrap(outer, old[i : j + 1])
                self._gap(replace(gap, before=taken[-1]), old[j + 1 :], new[k + 1 :])
                return
        for outer in [s for s in old if s in self.to_new.unwraps]:
            if rest := [s for s in self.to_new.unwraps[outer] if s in new]:
                i, j, k = new.index(rest[0]), new.index(rest[-1]), old.index(outer)
                self._gap(replace(gap, after=self.to_new.back[rest[0]]), old[:k], new[:i])
                self._unwrap(outer, new[i : j + 1])
                last = self.to_new.back[rest[-1]]
                self._gap(replace(gap, before=last), old[k + 1 :], new[j + 1 :])
                return
        self._replace(gap, old, new)

    def _replace(self, gap: Gap, old: list[Statement], new: list[Statement]) -> None:
        """Put the new statements where the old ones, or else the gap, are in the owner's file."""
        mates = [self.to_mine.of.get(statement) for statement in old]
        if self._is_there(new):
            new = []
        if old and new and not all(mates):
            self._refuse(DELETED, next(filter(None, mates), None), gap.block, new)
            return
        for statement, mate in zip(old, mates, strict=True):
            if mate and mate.key != statement.key:
                self._refuse(CHANGED if new else UNNEEDED, mate, gap.block, new)
                return
        if new:
            place = before(mates[0]) if mates and mates[0] else place_of(gap, self.to_mine)
            if place is None:
                self._refuse(GONE, None, gap.block, new)
                return
            self._insert(new, *place)
        for statement, mate in zip(old, mates, strict=True):
            if mate:
                self._delete(statement, mate)

    def _statement(self, base: Statement, new: Statement) -> None:
        """Replay what changed in a statement that stayed."""
        mine = self.to_mine.of.get(base)
        if base.text == new.text:
            return
        if mine is None:
            if base.key != new.key:
                self._refuse(DELETED, None, base.block, [new])
            return
        merge_layout(base, mine, new)
        if base.key == new.key and not base.blocks:
            if base.text == mine.text:
                self._put(base, mine, new)
        elif base.key.startswith("doc ") or (mine.key == new.key and not base.blocks):
            if mine.key == base.key:
                self._put(base, mine, new)  # else a docstring is the owner's, as comments are
        elif self._is_alike(base, new):
            for old, there in zip(base.blocks, new.blocks, strict=True):
                self._head(old, self.to_mine.blocks[old], there)
                self._block(old, there)
        elif mine.key == base.key:
            self._put(base, mine, new)
        else:
            self._combine(base, mine, new)

    def _is_alike(self, base: Statement, new: Statement) -> bool:
        """Whether both have the same blocks, and the owner has them too, if perhaps others more."""
        kinds = [[block.kind for block in statement.blocks] for statement in (base, new)]
        known = all(block in self.to_mine.blocks for block in base.blocks)
        return bool(base.blocks) and kinds[0][1:] == kinds[1][1:] and known

    def _head(self, base: Block, mine: Block, new: Block) -> None:
        """Replay what changed before the colon."""
        if base.head == new.head or mine.head == new.head:
            return
        assert mine.owner and base.owner and new.owner
        try:
            node = merge_nodes(base.node, mine.node, new.node)
        except Conflict:
            self._refuse(CHANGED, mine.owner, mine, [new.owner])
            return
        if mine.head != base.head:
            self.combined.append(mine.owner)
        elif mine is mine.owner.blocks[0]:
            node = self.adapt(new.node, depth_of(mine.owner.block))
        if hasattr(node, "leading_lines"):
            node = node.with_changes(leading_lines=mine.node.leading_lines)
        mine.node = node.with_changes(body=mine.node.body)
        mine.changed = True
        if mine is mine.owner.blocks[0]:
            mine.owner.node = mine.node

    def _combine(self, base: Statement, mine: Statement, new: Statement) -> None:
        """Merge a statement that both changed, if they changed different parts of it."""
        try:
            if base.blocks or mine.blocks or new.blocks:
                raise Conflict
            nodes = (s.node.body[0] for s in (base, mine, new))
            small = merge_nodes(*nodes)
        except Conflict:
            self._refuse(CHANGED, mine, mine.block, [new])
            return
        mine.node = mine.node.with_changes(body=[small])
        mine.changed = True
        self.combined.append(mine)

    def _put(self, base: Statement, mine: Statement, new: Statement) -> None:
        """The template's statement in the place of the owner's, which is as it was."""
        block = mine.block
        put = self._copy(new, block)
        if hasattr(mine.node, "leading_lines"):
            put.node = put.node.with_changes(leading_lines=mine.node.leading_lines)
            if put.blocks:
                put.blocks[0].node = put.node
        keep_comments(mine, put, base)
        block.statements[block.statements.index(mine)] = put
        block.adopt()
        self.to_mine.pair(base, put)

    def _delete(self, base: Statement, mine: Statement) -> None:
        block = mine.block
        i = block.statements.index(mine)
        follower = block.statements[i + 1] if i + 1 < len(block.statements) else None
        if follower:
            keep_comments(mine, follower, base)
        del block.statements[i]
        block.adopt()

    def _wrap(self, outer: Statement, old: list[Statement]) -> None:
        """Put the owner's version of some statements into the template's new block."""
        mates = [mate for s in old if (mate := self.to_mine.of.get(s))]
        blocks = {mate.block for mate in mates}
        if len(blocks) != 1:
            self._refuse(
                APART if blocks else DELETED, mates[0] if mates else None, old[0].block, [outer]
            )
            return
        block, header = blocks.pop(), outer.blocks[0]
        inside = Block(header.kind, header.node, "", old)
        if (block.kind, block.head) == (header.kind, header.head):
            self.to_mine.blocks[inside] = block  # the owner did the same already
        else:
            places = [block.statements.index(mate) for mate in mates]
            i, j = min(places), max(places) + 1
            while j < len(block.statements) and self._goes_along(block.statements[j]):
                j += 1
            put = self._copy(outer, block)
            put.blocks[0].statements = block.statements[i:j]
            put.blocks[0].adopt()
            block.statements[i:j] = [put]
            block.adopt()
            self.to_mine.blocks[inside] = put.blocks[0]
        self._block(inside, header)

    def _goes_along(self, mine: Statement) -> bool:
        """Whether a statement of the owner's belongs to the one above it."""
        return mine not in self.to_mine.back and not above(mine)

    def _unwrap(self, outer: Statement, new: list[Statement]) -> None:
        """Take the owner's version of some statements out of a block that the template dropped."""
        mine = self.to_mine.of.get(outer)
        if mine is None or [b.head for b in mine.blocks] != [b.head for b in outer.blocks]:
            self._refuse(UNNEEDED if mine else DELETED, mine, outer.block, new)
            return
        for old, here in zip(outer.blocks[1:], mine.blocks[1:], strict=True):
            if [s.key for s in old.statements] != [s.key for s in here.statements]:
                self._refuse(UNNEEDED, mine, outer.block, new)
                return
        block, inside = mine.block, outer.blocks[0]
        released = mine.blocks[0].statements
        i = block.statements.index(mine)
        if released:
            keep_comments_above(mine, released[0], outer)
        block.statements[i : i + 1] = released
        block.adopt()
        self.to_mine.blocks[inside] = block
        self._block(inside, Block("", None, "", new))

    def _insert(self, new: Sequence[Statement], block: Block, place: int) -> None:
        """Put the template's statements there; those that it only moved stay the owner's."""
        follower = block.statements[place] if place < len(block.statements) else None
        for statement in new:
            base = self.to_new.back.get(statement)
            mine = self.to_mine.of.get(base) if base else None
            if base and mine is None:
                continue  # the owner deleted it
            if mine and mine is not follower:
                mine.block.statements.remove(mine)
                mine.block.adopt()
            put = mine or self._copy(statement, block)
            if put is not follower:
                place = block.statements.index(follower) if follower else len(block.statements)
                block.statements.insert(place, put)
                block.adopt()
            if base:
                self._statement(base, statement)

    def _copy(self, new: Statement, block: Block) -> Statement:
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

    def _is_there(self, new: list[Statement]) -> bool:
        """Whether the owner already has these statements, unmatched: written by hand, say."""
        free = {s.key for s in self.mine.walk() if s not in self.to_mine.back}
        return bool(new) and all(statement.key in free for statement in new)

    def _refuse(
        self, reason: str, mine: Statement | None, block: Block, new: list[Statement]
    ) -> None:
        place = mine or nearest(block, self.to_mine)
        line = place.number if place else 1
        if line in self.accept:
            return
        around = where(mine.block if mine else self.to_mine.blocks.get(block, self.mine.root))
        yours, template = _source([mine] if mine else []), _source(new)
        self.refusals.append(Refusal(self.path, line, around, reason, yours, template))
        if place:
            self.conflicts.append((place, template))


def _source(statements: Sequence[Statement]) -> str:
    module = cst.Module([render_statement(s) for s in statements])
    return module.code.strip("\n")
