"""Order, content and randomness of batches depend on the step alone."""

import random
import signal
import subprocess
import sys
from collections import namedtuple
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

from runtime.data import TrainSampler, eval_batches, map_tensors, to_device, train_batches
from runtime.errors import UserError
from runtime.world import World


class Numbers(Dataset):
    """0, 1, 2, …; with `noise`, each with a random number drawn when it is read."""

    def __init__(self, size, noise=False):
        self.size, self.noise = size, noise

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return (index, torch.rand(())) if self.noise else index


def world(rank=0, size=1):
    here = World()
    here.data_rank, here.data_size = rank, size
    return here


def samples_of_step(step, samples, batch_size, accumulate, size, seed=0):
    """The keys of the samples that all processes together see in one step."""
    seen = []
    for rank in range(size):
        sampler = TrainSampler(
            Numbers(samples), batch_size, accumulate, seed=seed, world=world(rank, size)
        )
        sampler.resume(step, sampler.state_dict())
        for batch in islice(sampler, accumulate):
            seen += batch
    return sorted(seen)


@given(samples=st.integers(1, 50), step=st.integers(0, 30), seed=st.integers(0, 3))
def test_a_step_sees_the_same_samples_however_they_are_spread(samples, step, seed):
    splits = [(12, 1, 1), (6, 2, 1), (6, 1, 2), (3, 2, 2), (1, 3, 4), (4, 1, 3), (2, 6, 1)]
    steps = [samples_of_step(step, samples, *split, seed=seed) for split in splits]
    assert all(step == steps[0] for step in steps)


@given(samples=st.integers(1, 40), batch_size=st.integers(1, 7))
def test_every_epoch_holds_every_sample_once_and_every_step_is_whole(samples, batch_size):
    sampler = TrainSampler(Numbers(samples), batch_size)
    batches = list(islice(sampler, 3 * samples))
    assert {len(batch) for batch in batches} == {batch_size}
    row = [divmod(key, samples) for batch in batches for key in batch]
    for epoch in range(3):
        assert sorted(index for e, index in row if e == epoch) == list(range(samples))


@given(start=st.integers(0, 40), samples=st.integers(1, 30), batch_size=st.integers(1, 5))
def test_a_resumed_sampler_goes_on_where_it_was(start, samples, batch_size):
    whole = TrainSampler(Numbers(samples), batch_size, accumulate=2, seed=1)
    resumed = TrainSampler(Numbers(samples), batch_size, accumulate=2, seed=1)
    resumed.resume(start, whole.state_dict())
    expected = list(islice(whole, 2 * start, 2 * start + 10))
    assert list(islice(resumed, 10)) == expected


def test_two_epochs_and_two_seeds_have_different_orders():
    epochs = list(islice(TrainSampler(Numbers(100), 100), 2))
    other = next(iter(TrainSampler(Numbers(100), 100, seed=1)))
    orders = [[key % 100 for key in batch] for batch in (*epochs, other)]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"samples": 11}, "samples"), ({"step_size": 5}, "step_size"), ({"seed": 2}, "seed")],
)
def test_a_run_whose_samples_would_change_does_not_go_on(changed, named):
    sampler = TrainSampler(Numbers(10), 4)
    with pytest.raises(UserError, match=f"{named} was .* and is now"):
        sampler.resume(3, sampler.state_dict() | changed)


@pytest.mark.parametrize("workers", [0, 2])
def test_augmentation_is_a_function_of_seed_epoch_and_index(workers):
    def batches(batch_size, start):
        data = Numbers(10, noise=True)
        sampler = TrainSampler(data, batch_size, seed=3)
        sampler.resume(start, sampler.state_dict())
        found = {}
        position = start * batch_size
        for index, noise in islice(train_batches(data, sampler, workers), 20 // batch_size):
            for i, x in zip(index.tolist(), noise.tolist(), strict=True):
                found[position // 10, i] = x
                position += 1
        return found

    torch.manual_seed(random.randrange(1000))
    first = batches(5, 0)
    assert len(set(first.values())) == 20  # another number in each epoch and for each sample
    later = batches(2, 5)
    shared = first.keys() & later.keys()
    assert len(shared) == 10
    assert all(first[key] == later[key] for key in shared)


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_data_leaves_the_random_state_alone(workers):
    data = Numbers(10, noise=True)
    before = torch.get_rng_state()
    next(train_batches(data, TrainSampler(data, 5), workers))
    list(eval_batches(Numbers(5), 2, workers=workers))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_evaluation_counts_every_sample_once_in_equally_many_batches(size, batch_size):
    for samples in range(1, 40):
        ranks = [
            [b.tolist() for b in eval_batches(Numbers(samples), batch_size, world=world(r, size))]
            for r in range(size)
        ]
        assert len({len(batches) for batches in ranks}) == 1
        rows = [row for batches in ranks for batch in batches for row in batch]
        assert sorted(rows) == list(range(samples))
        assert all(len(batch) <= batch_size for batches in ranks for batch in batches)


def test_tensors_are_changed_wherever_they_are_in_a_batch():
    pair = namedtuple("Pair", "x y")
    batch = {"a": [torch.ones(2), "name"], "b": pair(torch.ones(1), (torch.ones(3), 4))}
    found = map_tensors(batch, len)
    assert found == {"a": [2, "name"], "b": pair(1, (3, 4))}
    assert isinstance(found["b"], pair)


class SignalsOfAWorker(Dataset):
    """How a loader worker takes the signals that a scheduler sends to all processes."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        names = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        return torch.tensor([signal.getsignal(name) == signal.SIG_IGN for name in names])


def test_loader_workers_do_not_die_of_a_schedulers_signal():
    (ignored,) = eval_batches(SignalsOfAWorker(), 2, workers=1)
    assert ignored.all()


FAILING = """
import sys
sys.path[:0] = sys.argv[1:]
from test_data import Numbers
from runtime.data import TrainSampler, eval_batches, train_batches

def main():
    batches = train_batches(Numbers(9), TrainSampler(Numbers(9), 2), workers=2)
    next(batches)
    for batch in eval_batches(Numbers(9), 2, workers=1):
        raise ValueError("found in the loop")

main()
"""


def test_an_error_in_the_loop_ends_the_program_although_workers_ignore_signals():
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    command = [sys.executable, "-c", FAILING, *folders]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1
    assert ended.stderr.endswith("ValueError: found in the loop\n")


def test_a_batch_moves_with_its_structure():
    batch = {"x": (torch.ones(2), [torch.zeros(1)]), "name": "a"}
    moved = to_device(batch, torch.device("meta"))
    assert moved["x"][0].device.type == moved["x"][1][0].device.type == "meta"
    assert moved["name"] == "a"
