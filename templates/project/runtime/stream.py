"""Streamed data: batches from as many streams as there are loader workers, and where each stands.

What says so, a `Cursor` of five numbers, travels with each batch from the worker that made it. So a
checkpoint holds the place behind the last batch that was trained on, however many were read ahead.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from runtime.data import load
from runtime.errors import UserError
from runtime.shards import Cursor, Source, Stream
from runtime.world import World


class StreamSampler:
    """Which windows come next: those of as many streams as all processes have loader workers.

    Each stream reads shards of its own one after the other, epoch after epoch, whatever the others
    do: no process runs out before another. Micro-batch k of all processes comes from stream k
    modulo their number, so two processes with a worker each see what one with two does.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        accumulate: int = 1,
        workers: int = 0,
        seed: int = 0,
        *,
        world: World | None = None,
    ) -> None:
        self.source, self.world = source, world or World()
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.step_size = batch_size * accumulate * self.world.data_size
        self.streams = self.world.data_size * max(workers, 1)
        self.cursors = [Cursor()] * self.streams  # those of other processes: as of the start
        self._first, self._read = 0, 0  # micro-batches: of all before the start, of this one since
        if len(source.shards) < self.streams:
            raise UserError(
                f"{len(source.shards)} shards to train on are too few for {self._readers}",
                "cut them into more, or take fewer --workers or processes",
            )

    @property
    def _readers(self) -> str:
        return f"{self.world.data_size} × {self.workers} (processes × workers)"

    def _stream(self, batch: int) -> int:
        """The stream of a micro-batch, as this process counts them since its start."""
        return (self._first + self.world.data_rank + batch * self.world.data_size) % self.streams

    def batches(self, worker: int) -> Iterator[tuple[tuple[Tensor, Tensor], Cursor]]:
        """Endless micro-batches of a loader worker's stream, each with the cursor behind it."""
        number = self._stream(worker)
        stream = Stream(self.source, number, self.streams, self.seed)
        windows = stream.windows(self.cursors[number])
        while True:
            found = list(islice(windows, self.batch_size))
            rows = torch.stack([window for _, window in found]).long()
            # (batch, block) each; a token's target is the one that follows.
            yield (rows[:, :-1].contiguous(), rows[:, 1:].contiguous()), found[-1][0]

    def trained_on(self, cursor: Cursor) -> None:
        """The next micro-batch goes to the training; behind it its stream has this cursor."""
        self.cursors[self._stream(self._read)] = cursor
        self._read += 1

    def state_dict(self) -> dict[str, Any]:
        """Where all streams stand, and what must be equal for a run to go on there. Collective."""
        mine = {self._stream(batch) for batch in range(max(self.workers, 1))}
        cursors = dict(enumerate(self.cursors))
        for found in self.world.gather({number: cursors[number] for number in mine}):
            cursors |= found
        return {
            "processes": self.world.data_size,
            "workers": self.workers,
            "seed": self.seed,
            "block": self.source.block,
            "shuffle": self.source.shuffle,
            "batches": self._first + self._read * self.world.data_size,
            "cursors": list(cursors.values()),
        }

    def resume(self, step: int, saved: dict[str, Any]) -> None:
        """Go on where all streams stood; raises UserError where other samples would follow.

        There may be other numbers of processes and workers, if they make as many streams.
        """
        if len(saved["cursors"]) != self.streams:
            workers, left = divmod(len(saved["cursors"]), self.world.data_size)
            fix = f"--workers {workers}"
            if left:
                fix = f"start {saved['processes']} processes with --workers {saved['workers']}"
            raise UserError(
                f"this run cannot go on exactly: {saved['processes']} × {saved['workers']} "
                f"(processes × workers) read its shards, and now there are {self._readers}",
                f"{fix}, or start another run: --name NEW",
            )
        now = {"seed": self.seed, "block": self.source.block, "shuffle": self.source.shuffle}
        for key, value in now.items():
            if value != saved[key]:
                raise UserError(
                    f"this run cannot go on exactly: {key} was {saved[key]} and is now {value}",
                    f"--{key} {saved[key]}, or start another run: --name NEW",
                )
        self._first, self._read = saved["batches"], 0
        self.cursors = [Cursor(*cursor) for cursor in saved["cursors"]]


class _Streams(IterableDataset[Any]):
    """In each loader worker its stream; without workers, the only one."""

    def __init__(self, sampler: StreamSampler) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        try:
            yield from self.sampler.batches(worker.id if worker else 0)
        except UserError as error:  # to be raised where somebody hears it
            yield None, (error.found, error.fix)


def stream_batches(sampler: StreamSampler) -> Iterator[Any]:
    """Endless micro-batches of inputs and targets, made by the sampler's loader workers."""
    return _noting(sampler, load(_Streams(sampler), None, sampler.workers))


def _noting(sampler: StreamSampler, batches: Iterator[Any]) -> Iterator[Any]:
    for batch, about in batches:
        if batch is None:
            raise UserError(*about)
        sampler.trained_on(Cursor(*about))
        yield batch
