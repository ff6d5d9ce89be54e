"""The change from base to new, replayed on the owner's file, statement by statement.

Each statement of base knows its mate in mine and its mate in new. What the template replaced,
deleted, inserted, or put into a block of its own is done to the owner's mates, wherever they are;
a statement that both changed is a conflict, always.
"""

from collections.abc import Sequence
from dataclasses import replace

from litgen_torch.merge.comments import (
    keep_comments_above,
    keep_comments_below,
    merge_inside,
    merge_layout,
)
from litgen_torch.merge.edits import (
    APART,
    CHANGED,
    COPIED,
    DELETED,
    GONE,
    TAKEN,
    TWICE,
    UNNEEDED,
    Edits,
)
from litgen_torch.merge.likeness import defined
from litgen_torch.merge.places import Gap, before, past_own, place_of
from litgen_torch.merge.source import Block, Statement


class Replay(Edits):
    """Replays the change on `mine`."""

    def run(self) -> None:
        """Do it all."""
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
        if not old and not new:
            return
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
        if old and new and all(map(defined, [*old, *new])):  # one is not in the place of another
            self._replace(gap, [], new)
            self._replace(gap, old, [])
            return
        mates = [self.to_mine.of.get(statement) for statement in old]
        place = before(mates[0]) if mates and mates[0] else place_of(gap, self.to_mine)
        if self.is_there(new, gap.block, place):
            new = []
        if old and new and not all(mates):
            self.refuse(DELETED, next(filter(None, mates), None), gap.block, new)
            return
        for statement, mate in zip(old, mates, strict=True):
            if mate and mate.key != statement.key:
                self.refuse(CHANGED if new else UNNEEDED, mate, gap.block, new)
                return
        if not new and (hollow := self.hollow([mate for mate in mates if mate])):
            self.refuse(UNNEEDED, hollow, gap.block, new)
            return
        if taken := self.taken(new, gap.block):
            self.refuse(TAKEN, taken, gap.block, new)
            return
        if new:
            if place is None:
                self.refuse(GONE, None, gap.block, new)
                return
            self._insert(new, *(place if old else past_own(place, self.to_mine, new)))
        for statement, mate in zip(old, mates, strict=True):
            if mate:
                self.delete(statement, mate)

    def _statement(self, base: Statement, new: Statement) -> None:
        """Replay what changed in a statement that stayed."""
        mine = self.to_mine.of.get(base)
        if base.text == new.text:
            return
        if mine is None and (released := self.to_mine.unwraps.get(base)) and _is_plain(base, new):
            self.to_mine.blocks[base.blocks[0]] = released[0].block  # the owner dropped the head
            self._block(base.blocks[0], new.blocks[0])
            return
        if mine is None:
            if base.key != new.key and not self.is_there([new], base.block):
                self.refuse(DELETED, None, base.block, [new])
            return
        merge_layout(base, mine, new)
        if base.key == new.key and not base.blocks:
            if base.text.split() == mine.text.split():  # he may have indented it in his own way
                self.put(base, mine, new)
            else:
                merge_inside(base, mine, new)
        elif mine.key == new.key and not base.blocks:
            return
        elif base.key.startswith("doc ") and mine.key != base.key:
            self.merge_docstring(base, mine, new)
        elif self.is_alike(base, new):
            for old, there in zip(base.blocks, new.blocks, strict=True):
                self.merge_head(old, self.to_mine.blocks[old], there)
                self._block(old, there)
        elif mine.key == base.key:
            if self.is_copied(mine):
                self.refuse(COPIED, mine, base.block, [new])
            else:
                self.put(base, mine, new)
        elif base.blocks and self.has_more(base, new):
            self._add_blocks(base, mine, new)
        elif base.blocks and self.has_less(base, mine, new):
            self._drop_blocks(base, mine, new)
        else:
            self.combine(base, mine, new)

    def _add_blocks(self, base: Statement, mine: Statement, new: Statement) -> None:
        known = {(block.kind, block.head): block for block in base.blocks}
        own = {(b.kind, b.head, *(s.key for s in b.statements)) for b in mine.blocks}
        place = 0
        for block in new.blocks:
            if (block.kind, block.head, *(s.key for s in block.statements)) in own:
                place += 1  # as it was, or the owner did the same
            elif old := known.get((block.kind, block.head)):
                place = mine.blocks.index(self.to_mine.blocks[old]) + 1
                self._block(old, block)
            elif any(b.kind == block.kind in ("else", "finally") for b in mine.blocks):
                self.refuse(CHANGED, mine, mine.block, [new])
                return
            else:
                mine.blocks.insert(place, replace(block, owner=mine, changed=True))
                mine.changed = True
                place += 1

    def _drop_blocks(self, base: Statement, mine: Statement, new: Statement) -> None:
        kept = {(block.kind, block.head): block for block in new.blocks}
        for block in base.blocks:
            if there := kept.get((block.kind, block.head)):
                self._block(block, there)
            else:
                mine.blocks.remove(self.to_mine.blocks[block])
                mine.changed = True

    def _wrap(self, outer: Statement, old: list[Statement]) -> None:
        """Put the owner's version of some statements into the template's new block."""
        mates = [mate for s in old if (mate := self.to_mine.of.get(s))]
        blocks = {mate.block for mate in mates}
        if len(blocks) != 1:
            self.refuse(
                APART if blocks else DELETED, mates[0] if mates else None, old[0].block, [outer]
            )
            return
        block, header = blocks.pop(), outer.blocks[0]
        inside = Block(header.kind, header.node, "", old)
        if (block.kind, block.head) == (header.kind, header.head):
            self.to_mine.blocks[inside] = block  # the owner did the same already
        elif set(block.statements) == set(mates) and block.owner not in self.known():
            self.refuse(TWICE, mates[0], old[0].block, [outer])
            return
        else:
            places = [block.statements.index(mate) for mate in mates]
            i, j = min(places), max(places) + 1
            while j < len(block.statements) and self.goes_along(block.statements[j]):
                j += 1
            put = self.copied(outer, block)
            put.blocks[0].statements = block.statements[i:j]
            put.blocks[0].adopt()
            block.statements[i:j] = [put]
            block.adopt()
            self.to_mine.blocks[inside] = put.blocks[0]
        self._block(inside, header)

    def _unwrap(self, outer: Statement, new: list[Statement]) -> None:
        """Take the owner's version of some statements out of a block that the template dropped."""
        mine = self.to_mine.of.get(outer)
        if mine is None and (released := self.to_mine.unwraps.get(outer)):
            self.to_mine.blocks[outer.blocks[0]] = released[0].block  # the owner did the same
            self._block(outer.blocks[0], Block("", None, "", new))
            return
        if mine is None or [b.head for b in mine.blocks] != [b.head for b in outer.blocks]:
            self.refuse(UNNEEDED if mine else DELETED, mine, outer.block, new)
            return
        for old, here in zip(outer.blocks[1:], mine.blocks[1:], strict=True):
            if [s.key for s in old.statements] != [s.key for s in here.statements]:
                self.refuse(UNNEEDED, mine, outer.block, new)
                return
        block, inside = mine.block, outer.blocks[0]
        released = mine.blocks[0].statements
        i = block.statements.index(mine)
        if released:
            keep_comments_above(mine, released[0], outer)
        block.statements[i : i + 1] = released
        block.adopt()
        if released:
            keep_comments_below(mine.blocks[0], outer.blocks[0], released[-1])
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
            put = mine or self.copied(statement, block)
            if put is not follower:
                place = block.statements.index(follower) if follower else len(block.statements)
                place = 0 if statement.key.startswith("doc ") else place
                block.statements.insert(place, put)
                block.adopt()
            if base:
                self._statement(base, statement)


def _is_plain(base: Statement, new: Statement) -> bool:
    """Whether both are one block, with the same words before the colon."""
    heads = [[(block.kind, block.head) for block in each.blocks] for each in (base, new)]
    return len(heads[0]) == 1 and heads[0] == heads[1]
