"""Streams of windows: all shards are read, and a run goes on at the very window."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import _child, forked
from hypothesis import given
from hypothesis import strategies as st
from matrix.test_matrix import generate
from ports import free_port
from test_parity import run

from runtime.errors import UserError
from runtime.shards import Cursor, Stream, first_windows
from runtime.stream import StreamSampler, stream_batches
from runtime.world import World

ROOT = Path(__file__).parents[2]


class Documents:
    """Shards that are lists of documents, and these lists of tokens; positions count documents."""

    def __init__(self, shards: list[list[list[int]]], block: int, shuffle: int = 1) -> None:
        self.shards, self.block, self.shuffle = list(enumerate(shards)), block, shuffle
        self.reads = 0

    def read(self, shard: Any, position: int) -> Any:
        for number, document in enumerate(shard[1][position:], position + 1):
            self.reads += 1
            yield number, torch.tensor(document, dtype=torch.uint8)


class Damaged(Documents):
    def read(self, shard: Any, position: int) -> Any:
        yield from super().read(shard, position)
        raise UserError(f"shard {shard[0]} is damaged", "repair it")


def numbered(sizes: list[list[int]], block: int, shuffle: int = 1) -> Documents:
    """Documents of these sizes, whose tokens count on from one to the next, modulo 251."""
    count = iter(range(10**9))
    shards = [[[next(count) % 251 for _ in range(n)] for n in shard] for shard in sizes]
    return Documents(shards, block, shuffle)


def world(rank: int = 0, size: int = 1) -> World:
    here = World()
    here.data_rank, here.data_size = rank, size
    return here


def taken(stream: Stream, count: int, cursor: Cursor | None = None) -> list[tuple[Cursor, Any]]:
    found = islice(stream.windows(cursor or Cursor()), count)
    return [(behind, window.tolist()) for behind, window in found]


SHARDS = st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=5).filter(
    lambda sizes: all(map(sum, sizes))
)


@given(sizes=SHARDS, block=st.integers(1, 7), shuffle=st.integers(1, 4), seed=st.integers(0, 2))
def test_a_stream_goes_on_where_any_window_ended(sizes, block, shuffle, seed):
    stream = Stream(numbered(sizes, block, shuffle), 0, 1, seed)
    whole = taken(stream, 12)
    for number, (behind, _) in enumerate(whole, 1):
        assert taken(stream, 12 - number, behind) == whole[number:]


@given(sizes=SHARDS, block=st.integers(1, 7))
def test_windows_are_the_shards_tokens_in_a_row_each_with_the_next_one_s_first(sizes, block):
    source = numbered(sizes, block)
    stream = Stream(source, 0, 1, seed=0)
    row = [token for _, window in taken(stream, 20) for token in window[:-1]]
    expected = list[int]()
    for epoch in range(len(row)):
        for _, documents in stream._shards(epoch):
            expected += [token for document in documents for token in document]
    assert row == expected[: len(row)]
    windows = [window for _, window in taken(stream, 20)]
    assert all(one[-1] == other[0] for one, other in zip(windows, windows[1:], strict=False))


@given(sizes=SHARDS, block=st.integers(1, 3), shuffle=st.integers(2, 4))
def test_a_chunk_holds_the_windows_of_the_row_in_another_order(sizes, block, shuffle):
    row = taken(Stream(numbered(sizes, block), 0, 1, seed=0), 3 * shuffle)
    dealt = taken(Stream(numbered(sizes, block, shuffle), 0, 1, seed=0), 3 * shuffle)
    for first in range(0, 3 * shuffle, shuffle):
        one, other = (
            sorted(w for _, w in found[first : first + shuffle]) for found in (row, dealt)
        )
        assert one == other


@given(shards=st.integers(1, 9), count=st.integers(1, 4), epoch=st.integers(0, 3))
def test_every_epoch_deals_every_shard_to_one_stream(shards, count, epoch):
    source = numbered([[1]] * shards, 1)
    dealt = [Stream(source, number, count, seed=1)._shards(epoch) for number in range(count)]
    assert sorted(shard[0] for mine in dealt for shard in mine) == list(range(shards))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_two_epochs_and_two_seeds_have_different_orders():
    source = numbered([[1]] * 50, 1)
    orders = [Stream(source, 0, 1, seed)._shards(epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({str(order) for order in orders}) == 4


def test_only_the_beginning_of_a_shard_is_read_for_its_first_windows():
    source = numbered([[5] * 100], 4)
    windows = first_windows(source, source.shards[0], 3)
    assert windows.tolist() == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [8, 9, 10, 11, 12]]
    assert source.reads == 3
    assert first_windows(numbered([[4]], 4), numbered([[4]], 4).shards[0], 3).shape == (0, 5)
    assert first_windows(numbered([[]], 4), numbered([[]], 4).shards[0], 3).shape == (0, 5)


SIZES = [[3, 8], [40], [1, 1, 1], [5, 0, 9], [17], [2, 30]]


class Readers:
    """All processes of a run, which read in turn."""

    def __init__(self, processes: int, workers: int, saved: Any = None, **other: Any) -> None:
        settings = {"batch_size": 2, "workers": workers, "seed": 5} | other
        self.samplers = [
            StreamSampler(numbered(SIZES, 3, 4), world=world(rank, processes), **settings)
            for rank in range(processes)
        ]
        for sampler in self.samplers if saved else []:
            sampler.resume(0, saved)
        self.streams = [
            [sampler.batches(worker) for worker in range(max(workers, 1))]
            for sampler in self.samplers
        ]

    def read(self, count: int) -> list[Any]:
        """The next micro-batches of each process."""
        found = []
        for _ in range(count):
            for sampler, streams in zip(self.samplers, self.streams, strict=True):
                batch, cursor = next(streams[sampler._read % len(streams)])
                sampler.trained_on(cursor)
                found.append([x.tolist() for x in batch])
        return found

    def save(self) -> Any:
        """What they save together, as it is read again."""
        told = list[Any]()
        for sampler in self.samplers:
            sampler.world.gather = lambda mine: told.append(mine) or told  # the last hears all
        return json.loads(json.dumps([sampler.state_dict() for sampler in self.samplers][-1]))


@pytest.mark.parametrize("readers", [(1, 0), (1, 1), (1, 3), (2, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("before", [1, 2, 7])
def test_a_run_goes_on_with_the_batches_that_would_have_come(readers, before):
    whole = Readers(*readers)
    whole.read(before)
    assert Readers(*readers, whole.save()).read(20) == whole.read(20)


@given(before=st.integers(0, 9))
def test_as_many_streams_give_the_same_batches_however_they_are_spread(before):
    expected = Readers(1, 4).read(12 * 4)
    for processes, workers in [(2, 2), (4, 1), (1, 4), (4, 0)]:
        first = Readers(processes, workers)
        assert first.read(before * 4 // processes) == expected[: before * 4]
        for others in [(1, 4), (2, 2), (4, 1)]:
            then = Readers(*others, first.save())
            assert then.read(3 * 4 // others[0]) == expected[before * 4 : before * 4 + 12]


@pytest.mark.parametrize(
    ("saved", "now", "found", "fix"),
    [
        ((2, 1), (1, 1), "2 × 1 .* now there are 1 × 1", "--workers 2"),
        ((2, 2), (1, 1), "2 × 2 .* now there are 1 × 1", "--workers 4"),
        ((1, 2), (1, 1), "1 × 2 .* now there are 1 × 1", "--workers 2"),
        ((2, 1), (3, 1), "2 × 1 .* now there are 3 × 1", "start 2 processes with --workers 1"),
    ],
)
def test_other_numbers_of_streams_are_refused_with_what_to_type(saved, now, found, fix):
    state = Readers(*saved).save()
    with pytest.raises(UserError, match=found) as refused:
        Readers(*now, state)
    assert refused.value.fix == f"{fix}, or start another run: --name NEW"


@pytest.mark.parametrize("changed", ["seed", "block", "shuffle"])
def test_a_run_whose_windows_would_change_does_not_go_on(changed):
    state = Readers(1, 1).save()
    with pytest.raises(UserError, match=f"{changed} was 99 and is now") as refused:
        Readers(1, 1, state | {changed: 99})
    assert refused.value.fix.startswith(f"--{changed} 99, ")


def test_fewer_shards_than_streams_are_refused():
    with pytest.raises(UserError, match="6 shards to train on are too few for 4 × 2"):
        Readers(4, 2)


def test_no_process_runs_out_before_another_whose_shards_are_longer():
    source = Documents([[[1]], [[2] * 50]], 1)
    for rank in range(2):
        batches = StreamSampler(source, 4, world=world(rank, 2)).batches(0)
        assert len(list(islice(batches, 100))) == 100


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_what_was_read_ahead_is_read_again_after_a_resume(workers):
    source = numbered([[40, 3]] * 4, 3, 2)
    sampler = StreamSampler(source, 2, 1, workers)
    batches = stream_batches(sampler)
    for _ in range(5):
        next(batches)
    time.sleep(0.2)  # in which the workers go on
    saved = json.loads(json.dumps(sampler.state_dict()))
    expected = [[x.tolist() for x in next(batches)] for _ in range(4)]
    again = StreamSampler(source, 2, 1, workers)
    again.resume(5, saved)
    assert [[x.tolist() for x in b] for b in islice(stream_batches(again), 4)] == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_the_training_hears_what_a_worker_cannot_read(workers):
    damaged = Damaged([[[1] * 20]] * 2, 3)
    batches = stream_batches(StreamSampler(damaged, 2, 1, workers))
    with pytest.raises(UserError, match=r"shard . is damaged\n  fix: repair it"):
        list(islice(batches, 30))


@pytest.mark.parametrize("workers", [0, 1])
def test_shards_without_anything_are_passed_over_and_named_where_there_are_no_others(workers):
    some = StreamSampler(Documents([[], [[1, 2]], [[]], []], 1), 2, 1, workers)
    assert len(list(islice(stream_batches(some), 10))) == 10
    none = StreamSampler(Documents([[], [[]]], 1), 2, 1, workers)
    with pytest.raises(UserError, match="nothing to read in "):
        next(stream_batches(none))


def test_streaming_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    next(stream_batches(StreamSampler(numbered(SIZES, 3, 4), 2, 1, 1)))
    assert torch.equal(before, torch.get_rng_state())


def gathered() -> Any:
    from runtime import dist

    here = dist.init()
    sampler = StreamSampler(numbered(SIZES, 3, 4), 2, world=here)
    for _ in range(here.rank + 1):
        sampler.trained_on(Cursor(place=here.rank, taken=1))
    state = sampler.state_dict()
    dist.close()
    return state


def test_every_process_saves_where_all_of_them_stand():
    one, other = forked(2, gathered)
    assert one["cursors"] == other["cursors"] == [Cursor(place=rank, taken=1) for rank in (0, 1)]


SMALL = {"steps": 12, "warmup": 2, "eval_every": 6, "save_every": 2, "log_every": 1, "keep": 9}
SMALL |= {"width": 16, "depth": 1, "heads": 2, "block": 16, "eval_samples": 4, "shuffle": 8}
SMALL |= {"batch_size": 2, "accumulate": 3, "workers": 2, "dropout": 0.1}
SMALL |= {"data": str(ROOT / "runtime"), "pattern": "*.py"}


def killed_after(step: int, size: int, project: Path, name: str) -> None:
    """Train in forked processes, and kill them with -9 when this step is saved."""
    context, port = multiprocessing.get_context("fork"), free_port()
    arguments = (size, port, str(project), run, (project, name, SMALL))
    processes = [context.Process(target=_child, args=(rank, *arguments)) for rank in range(size)]
    for process in processes:
        process.start()
    while not (project / f"runs/{name}/checkpoints/step-{step:08d}").exists():
        assert all(process.is_alive() for process in processes)
        time.sleep(0.005)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()


def test_a_run_killed_on_two_processes_goes_on_to_the_bit_and_on_no_other_number(tmp_path):
    project = generate(tmp_path / "p", model="gpt", data="shards", strategy="ddp")
    assert forked(2, run, project, "whole", SMALL) == ["", ""]
    killed_after(random.choice([2, 4, 6]), 2, project, "killed")
    (refused,) = forked(1, run, project, "killed", SMALL)
    assert "2 × 2 (processes × workers) read its shards" in refused and "--workers 4" in refused
    assert forked(2, run, project, "killed", SMALL) == ["", ""]

    whole, killed = (project / "runs" / name for name in ("whole", "killed"))
    assert (killed / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    weights, resumed = (
        torch.load(folder / "weights.pt", weights_only=True) for folder in (whole, killed)
    )
    assert all(torch.equal(weights[name], resumed[name]) for name in weights | resumed)
