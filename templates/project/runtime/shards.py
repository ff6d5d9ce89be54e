"""One stream of windows of tokens from many shards, endless, from any place in it on.

A shard is read from its beginning to its end; nothing is indexed, prepared or held as a whole.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from runtime.errors import UserError
from runtime.rng import mix


class Source(Protocol):
    """Shards, and how one is read: what a project's data set has to have."""

    shards: Any  # a sequence, in the same order in every process
    block: int  # tokens of a window
    shuffle: int  # windows that are read together, and dealt in an order by chance

    def read(self, shard: Any, position: int, /) -> Iterator[tuple[int, Tensor]]:
        """Tokens in pieces, each with the position behind it, where reading can go on later."""


class Cursor(NamedTuple):
    """Where a stream goes on."""

    epoch: int = 0
    place: int = 0  # of the shard, in the stream's own order of this epoch
    position: int = 0  # in the shard, at which a piece begins
    token: int = 0  # of this piece, with which a chunk of windows begins
    taken: int = 0  # windows of this chunk


@dataclass
class Stream:
    """A stream of `count`: in every epoch the shards are shuffled, and dealt to them anew."""

    source: Source
    number: int
    count: int
    seed: int

    def windows(self, cursor: Cursor) -> Iterator[tuple[Cursor, Tensor]]:
        """Endless windows, each with the cursor behind it; their last token is a target only."""
        for start, chunk in self._chunks(cursor):
            # Shuffled chunk by chunk: there is no buffer to save, only a chunk to read again.
            generator = torch.Generator().manual_seed(mix(self.seed, self.number, *start))
            order = torch.randperm(len(chunk), generator=generator).tolist()
            for number in range(cursor.taken, len(chunk)):
                yield start._replace(taken=number + 1), chunk[order[number]]
            cursor = start  # nothing of the next chunk is taken

    def _chunks(self, cursor: Cursor) -> Iterator[tuple[Cursor, Tensor]]:
        """All tokens, `shuffle` windows at a time, each time with the cursor before them."""
        block, length = self.source.block, self.source.shuffle * self.source.block
        kept, first, size = deque[tuple[Cursor, Tensor]](), cursor.token, 0
        for place, tokens in self._pieces(cursor):
            kept.append((place, tokens))
            size += len(tokens)
            while size - first > length:  # one more than the windows: the last token's target
                row = torch.cat([tokens for _, tokens in kept])[first : first + length + 1]
                yield kept[0][0]._replace(token=first), row.unfold(0, block + 1, block)
                first += length
                while first >= len(kept[0][1]):
                    dropped = len(kept.popleft()[1])
                    first, size = first - dropped, size - dropped

    def _pieces(self, cursor: Cursor) -> Iterator[tuple[Cursor, Tensor]]:
        """All pieces of tokens, each with the cursor at which it begins."""
        epoch, place, position = cursor[:3]
        found = place or position
        while True:
            mine = self._shards(epoch)
            for number in range(place, len(mine)):
                for behind, tokens in self.source.read(mine[number], position):
                    found += len(tokens)
                    yield Cursor(epoch, number, position), tokens
                    position = behind
                position = 0
            if not found:
                raise UserError(
                    f"nothing to read in {', '.join(map(str, mine))}",
                    "leave empty shards out, or take fewer --workers or processes",
                )
            epoch, place, found = epoch + 1, 0, 0

    def _shards(self, epoch: int) -> list[Any]:
        generator = torch.Generator().manual_seed(mix(self.seed, epoch))
        order = torch.randperm(len(self.source.shards), generator=generator).tolist()
        return [self.source.shards[each] for each in order[self.number :: self.count]]


def first_windows(source: Source, shard: Any, count: int) -> Tensor:
    """At most `count` windows from the beginning of a shard: (windows, block + 1)."""
    block, row = source.block, list[Tensor]()
    for _, tokens in source.read(shard, 0):
        row.append(tokens)
        if sum(map(len, row)) > count * block:
            break
    whole = torch.cat(row) if row else torch.empty(0)
    if len(whole) <= block:
        return torch.empty(0, block + 1)
    return whole[: count * block + 1].unfold(0, block + 1, block)
