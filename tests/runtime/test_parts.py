"""Ranges of a tensor's numbers, as DeepSpeed cuts them: boxes, files, averages."""

import itertools

import pytest
import torch
from forked import forked

from runtime import dist
from runtime.parts import Part, boxes
from runtime.tensors import read, write
from runtime.world import World

SHAPES = [(), (1,), (5,), (3, 4), (1, 6), (2, 3, 4), (4, 1, 2, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_boxes_hold_each_number_of_a_range_once_and_in_its_order(shape: tuple[int, ...]) -> None:
    whole = torch.arange(torch.Size(shape).numel()).view(shape)
    for start, end in itertools.combinations_with_replacement(range(whole.numel() + 1), 2):
        found = []
        for offsets, sizes in boxes(shape, start, end - start):
            box = whole
            for dimension, (at, size) in enumerate(zip(offsets, sizes, strict=True)):
                assert size > 0
                box = box.narrow(dimension, at, size)
            found += box.flatten().tolist()
        assert found == list(range(start, end))


def test_a_range_that_begins_and_ends_within_rows_is_three_boxes() -> None:
    assert [*boxes((4, 5), 3, 14)] == [((0, 3), (1, 2)), ((1, 0), (2, 5)), ((3, 0), (1, 2))]
    assert [*boxes((4, 5), 5, 10)] == [((1, 0), (2, 5))]
    assert [*boxes((4, 5), 6, 2)] == [((1, 1), (1, 2))]
    assert [*boxes((4, 5), 6, 0)] == []


class Holder(torch.nn.Module):
    """A model whose weights are parts, as those of DeepSpeed are in stage 3."""

    def __init__(self, parts: dict[str, Part]) -> None:
        super().__init__()
        self.parts = parts

    def state_dict(self, *args, **kwargs):
        return self.parts


def numbers(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float32) + len(name)).view(shape)


def share(whole: torch.Tensor, rank: int, *, first: int) -> Part:
    """The first of two processes has so many numbers of a tensor, the other the rest."""
    start, end = (0, first) if rank == 0 else (first, whole.numel())
    return Part(whole.flatten()[start:end].clone(), start, whole.shape)


def saved_and_read(folder, saved_first: int, read_first: int) -> list[str]:
    world = dist.init(timeout_s=20)
    shapes = {f"x{number}": shape for number, shape in enumerate(SHAPES)}
    wholes = {name: numbers(name, shape) for name, shape in shapes.items()}
    first = {n: min(saved_first, x.numel()) for n, x in wholes.items()}
    parts = {n: share(x, world.rank, first=first[n]) for n, x in wholes.items()}
    write(folder, {f"model.{name}": part for name, part in parts.items()}, world)
    # As copies, which a thread writes: the numbers are theirs.
    copies = {f"model.{name}": part.to_local() + 1 for name, part in parts.items()}
    write(folder / "copies", {f"model.{n}": part for n, part in parts.items()}, world, copies)

    wrong = []
    for path, more in ((folder, 0), (folder / "copies", 1)):
        first = {n: max(0, x.numel() - read_first) for n, x in wholes.items()}
        into = {n: share(0 * x, world.rank, first=first[n]) for n, x in wholes.items()}
        read(path, Holder(into), None, world, {})
        for name, part in into.items():
            if not torch.equal(part.full_tensor(), wholes[name] + more):
                wrong.append(f"{name} of {path.name}")
    dist.close()
    return wrong


@pytest.mark.parametrize(("saved_first", "read_first"), [(4, 4), (0, 7)])
def test_parts_are_read_back_however_they_are_cut(
    tmp_path, saved_first: int, read_first: int
) -> None:
    assert forked(2, saved_and_read, tmp_path, saved_first, read_first) == [[], []]


def test_parts_are_read_where_a_process_has_all_of_it(tmp_path) -> None:
    forked(2, saved_and_read, tmp_path, 3, 5)
    into = {f"x{i}": torch.zeros(shape) for i, shape in enumerate(SHAPES)}
    read(tmp_path, Holder(into), None, World(), {})
    for number, shape in enumerate(SHAPES):
        assert torch.equal(into[f"x{number}"], numbers(f"x{number}", shape))


def test_what_changes_a_part_changes_the_numbers_that_it_is_a_part_of() -> None:
    row = torch.zeros(10)
    part = Part(row[2:6], 1, torch.Size((3, 2)))
    assert part.shape == (3, 2) and part.numel() == 6 and part.dtype == torch.float32
    part.detach().to_local().add_(1)
    assert row.tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    copy = part.clone()
    copy.to_local().add_(1)
    assert row.sum() == 4 and copy.to_local().sum() == 8
    assert repr(part) == "Part([3, 2], numbers 1 to 5)"
    with pytest.raises(NotImplementedError, match="call it for its to_local"):
        part + 1
