"""Batches whose order, content and randomness depend on the step alone.

So a run that was killed goes on with exactly the samples that it would have seen, whatever the
number of loader workers, and the only thing about the data to save is the step.
"""

import atexit
import signal
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from runtime.errors import UserError
from runtime.rng import mix
from runtime.world import World


class TrainSampler:
    """Endless micro-batches for this process, as lists of keys: epoch x samples + index.

    All epochs, each in an order of its own, form one endless row of samples. Step k takes the k-th
    piece of `step_size` = batch_size x accumulate x processes samples: none is left out at the end
    of an epoch, no step is smaller than another, and which samples a step sees does not depend on
    how they are spread over micro-batches and processes.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        accumulate: int = 1,
        *,
        seed: int = 0,
        world: World | None = None,
    ) -> None:
        world = world or World()
        self.samples = len(dataset)  # type: ignore[arg-type]
        self.batch_size, self.seed = batch_size, seed
        self.step_size = batch_size * accumulate * world.data_size
        self._stride, self._next = batch_size * world.data_size, batch_size * world.data_rank
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __iter__(self) -> Iterator[list[int]]:
        first = self._next
        while True:
            yield self._piece(first)
            first += self._stride

    def _piece(self, position: int) -> list[int]:
        """A micro-batch of the endless row of samples, from a position on."""
        keys: list[int] = []
        while len(keys) < self.batch_size:
            epoch, offset = divmod(position + len(keys), self.samples)
            if epoch != self._epoch:
                generator = torch.Generator().manual_seed(mix(self.seed, epoch))
                order = torch.randperm(self.samples, generator=generator)
                self._epoch, self._order = epoch, epoch * self.samples + order
            keys += self._order[offset : offset + self.batch_size - len(keys)].tolist()
        return keys

    def state_dict(self) -> dict[str, int]:
        """What has to be equal, beside the step, for a run to go on with the same samples."""
        return {"samples": self.samples, "step_size": self.step_size, "seed": self.seed}

    def resume(self, step: int, saved: dict[str, int]) -> None:
        """Go on after `step` steps; raises UserError where the samples would not be the same."""
        fixes = {
            "samples": "bring the data back as they were",
            "step_size": "keep batch-size x accumulate x processes as it was",
            "seed": f"--seed {saved['seed']}",
        }
        for key, now in self.state_dict().items():
            if now != saved[key]:
                raise UserError(
                    f"this run cannot go on exactly: {key} was {saved[key]} and is now {now}",
                    f"{fixes[key]}, or start another run: --name NEW",
                )
        self._next += step * self.step_size


class _Seeded(Dataset[Any]):
    """The data set, with torch's random numbers fixed for each sample of each epoch."""

    def __init__(self, dataset: Dataset[Any], sampler: TrainSampler) -> None:
        self.dataset, self.samples, self.seed = dataset, sampler.samples, sampler.seed
        self.draws = False  # whether it was seen to draw random numbers; seeding costs time

    def __getitems__(self, keys: list[int]) -> list[Any]:
        before = torch.get_rng_state()  # the training's own, where there are no workers
        if not self.draws:
            dataset, size = self.dataset, self.samples
            samples = [dataset[key % size] for key in keys]
            if torch.equal(before, torch.get_rng_state()):
                return samples
            self.draws = True  # so read these again, seeded
        samples = []
        try:
            for key in keys:
                epoch, index = divmod(key, self.samples)
                torch.default_generator.manual_seed(mix(self.seed, epoch, index))
                samples.append(self.dataset[index])
        finally:
            torch.set_rng_state(before)
        return samples


def train_batches(dataset: Dataset[Any], sampler: TrainSampler, workers: int = 0) -> Iterator[Any]:
    """Endless micro-batches, collated as DataLoader does.

    Random augmentation belongs into the data set's `__getitem__` and draws from torch's global
    generator: it is seeded there from seed, epoch and index.
    """
    return load(_Seeded(dataset, sampler), sampler, workers)


def eval_batches(
    dataset: Dataset[Any], batch_size: int, *, workers: int = 0, world: World | None = None
) -> Iterator[Any]:
    """Batches of at most `batch_size` that hold every sample exactly once, over all processes.

    All processes get equally many batches, because a sharded model's forward is a collective. The
    samples are dealt evenly; with fewer samples than processes some batches have no rows.
    """
    world = world or World()
    samples = len(dataset)  # type: ignore[arg-type]
    slots = -(-samples // (batch_size * world.data_size)) * world.data_size
    mine = [
        range(samples * slot // slots, samples * (slot + 1) // slots)
        for slot in range(world.data_rank, slots, world.data_size)
    ]
    batches = load(dataset, [list(rows) or [0] for rows in mine], workers)
    for rows, batch in zip(mine, batches, strict=True):
        world.moved()
        yield batch if rows else map_tensors(batch, lambda x: x[:0])


def load(dataset: Dataset[Any], batches: Any, workers: int) -> Iterator[Any]:
    """A data set's samples as batches of these keys; without any, what the data set yields."""
    loader = DataLoader(
        dataset,
        batch_size=None if batches is None else 1,
        batch_sampler=batches,
        num_workers=workers,
        worker_init_fn=_leave_signals_to_the_main_process,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # or creating an iterator would draw from the global one
    )
    iterator = iter(loader)
    if workers:
        atexit.register(_shut_down, weakref.ref(iterator))
    return iterator


def _shut_down(iterator: weakref.ref[Any]) -> None:
    # After an error Python would end the workers by SIGTERM, which they ignore, and wait for ever.
    alive = iterator()
    if alive is not None:
        alive._shutdown_workers()


def _leave_signals_to_the_main_process(worker: int) -> None:
    # A scheduler signals the whole process tree; a loader that dies of it would end the run
    # before it can save.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with its tensors on the device; copies from pinned memory do not wait."""
    return map_tensors(batch, lambda x: x.to(device, non_blocking=True))


def map_tensors(batch: Any, change: Any) -> Any:
    """The same tuples, named ones too, lists and dicts with every tensor changed."""
    if isinstance(batch, torch.Tensor):
        return change(batch)
    if isinstance(batch, (tuple, list)):
        items = [map_tensors(item, change) for item in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else type(batch)(items)
    if isinstance(batch, dict):
        return {key: map_tensors(item, change) for key, item in batch.items()}
    return batch
