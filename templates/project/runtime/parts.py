"""Tensors of which each process has a range of the numbers, for checkpoints and averages.

FSDP cuts a tensor along a dimension; DeepSpeed lays the numbers of many tensors in a row, and cuts
the row. torch's distributed checkpoint writes boxes, which a range is a few of.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
)
from torch.distributed.checkpoint.planner import TensorWriteData, WriteItem, WriteItemType

aten = torch.ops.aten
BY_NUMBER = {aten.detach.default, aten.clone.default, aten._to_copy.default}


class Part(Tensor):
    """Of a tensor of this shape the numbers from `start` on, as many as there are in `numbers`.

    Nothing is copied: whoever reads into it, as a checkpoint does, or works on `to_local()`,
    changes `numbers`. To the code that takes torch's DTensors it looks like one.
    """

    numbers: Tensor
    start: int

    @staticmethod
    def __new__(cls, numbers: Tensor, start: int, shape: torch.Size) -> "Part":
        part: Part = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, shape, dtype=numbers.dtype, device=numbers.device
        )
        part.numbers, part.start = numbers, start
        return part

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> "Part":
        if function not in BY_NUMBER:
            raise NotImplementedError(f"{function} of a part: call it for its to_local()")
        part, *others = args
        return part.of(function(part.numbers, *others, **(kwargs or {})))

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        end = self.start + len(self.numbers)
        return f"Part({list(self.shape)}, numbers {self.start} to {end})"

    def to_local(self) -> Tensor:
        """The numbers of this process, in a row."""
        return self.numbers

    def of(self, numbers: Tensor) -> "Part":
        """The same part of a tensor that has these numbers in the place of its own."""
        return Part(numbers, self.start, self.shape)

    def full_tensor(self) -> Tensor:
        """All of it, from all processes, which have a number each. Collective."""
        whole = self.numbers.new_zeros(self.shape.numel())
        whole[self.start : self.start + len(self.numbers)] = self.numbers
        dist.all_reduce(whole)
        return whole.view(self.shape)

    # What torch's distributed checkpoint asks of tensors that it does not know.

    def __create_chunk_list__(self) -> list[ChunkStorageMetadata]:
        return [
            ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))
            for offsets, sizes in boxes(tuple(self.shape), self.start, len(self.numbers))
        ]

    def __create_write_items__(self, name: str, _: object) -> list[WriteItem]:
        properties = TensorProperties.create_from_tensor(self.numbers)
        return [
            WriteItem(
                MetadataIndex(name, box.offsets),
                WriteItemType.SHARD,
                tensor_data=TensorWriteData(box, properties, self.shape),
            )
            for box in self.__create_chunk_list__()
        ]

    def __get_tensor_shard__(self, index: MetadataIndex) -> Tensor:
        start = 0
        for box in self.__create_chunk_list__():
            end = start + box.sizes.numel()
            if box.offsets == index.offset:
                return self.numbers[start:end].view(box.sizes)
            start = end
        raise LookupError(f"{self} has no box at {index.offset}")


def boxes(
    shape: tuple[int, ...], start: int, count: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """A range of a tensor's numbers as boxes, in their order: where each begins, and its sides.

    Rows that are whole make one; what is missing of the first and the last is cut likewise.
    """
    if not shape:
        yield from [((), ())] * count
        return
    row = torch.Size(shape[1:]).numel()
    while count:
        at, within = divmod(start, row)
        rows = 0 if within else count // row
        if rows:
            yield (at, *(0 for _ in shape[1:])), (rows, *shape[1:])
        else:
            for offsets, sizes in boxes(shape[1:], within, min(row - within, count)):
                yield (at, *offsets), (1, *sizes)
        done = rows * row or min(row - within, count)
        start, count = start + done, count - done
