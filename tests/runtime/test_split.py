"""Layers split over processes: the plan is checked; clipping, averages and chance stay right."""

import pytest
import torch
from forked import forked
from torch import nn
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel

from runtime import dist, rng
from runtime.checkpoint import Checkpoints
from runtime.ema import EMA
from runtime.errors import UserError
from runtime.mesh import lay_out
from runtime.optim import clip_and_step, decay_groups
from runtime.split import part_of, split_layers


class Net(nn.Module):
    """A layer of each kind: cut by columns, by rows, and whole; one weight is used twice."""

    def __init__(self, hidden=8):
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.up, self.again, self.down = (
            nn.Linear(6, hidden),
            nn.Linear(6, hidden),
            nn.Linear(hidden, 6),
        )
        self.again.weight = self.up.weight

    def forward(self, x):
        x = self.norm(x)
        return self.down(torch.tanh(self.up(x) * self.again(x)))


def plan():
    return {"up": ColwiseParallel(), "again": ColwiseParallel(), "down": RowwiseParallel()}


def trained(split, steps=4):
    """Norms, averages and weights of a short training on the same data, clipped each step."""
    world = dist.init(timeout_s=20)
    lay_out(world, tensor=-1)
    rng.seed_all(3)
    model = Net()
    if split:
        split_layers(model, world.mesh["tensor"], plan(), {}, ["norm"])
        assert model.up.weight is model.again.weight
    optimizer = torch.optim.AdamW(decay_groups(model, 0.1), lr=0.05, fused=True)
    ema, norms = EMA(model, 0.9), []
    for step in range(steps):
        x = torch.randn(5, 6, generator=torch.Generator().manual_seed(step))
        model(x).square().sum().backward()
        norms.append(clip_and_step(optimizer, model.parameters(), 0.5))
        ema.update()
    assert model(x[:0]).shape == (0, 6)  # as validation has it, where samples are few
    found = {**model.state_dict(), **ema.tensors}
    whole = {k: v.full_tensor() if hasattr(v, "full_tensor") else v for k, v in found.items()}
    dist.close()
    return norms, {name: value.detach().clone() for name, value in whole.items()}


def test_the_norm_and_the_averages_of_split_and_whole_weights_are_those_of_one_process():
    [(expected, weights)] = forked(1, trained, False)
    assert min(expected) > 0.5  # so it was clipped at all
    for norms, found in forked(2, trained, True):
        assert norms == pytest.approx(expected, rel=1e-5)
        for name, value in weights.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)


def refused(hidden, given, whole):
    world = dist.init(timeout_s=20)
    lay_out(world, tensor=-1)
    try:
        split_layers(Net(hidden), world.mesh["tensor"], plan() | given, {}, whole)
    except UserError as error:
        return error.found, error.fix
    finally:
        dist.close()


MISTAKES = {
    "a layer that the model has not": (
        (8, {"dwon": RowwiseParallel()}, ["norm"]),
        ("plan.py splits dwon, and the model has no such layer", "name the layers there"),
    ),
    "a layer that the plan has not": (
        (8, {}, []),
        ("plan.py does not say how norm.weight is split", "SequenceParallel() for a norm"),
    ),
    "a dimension that cannot be cut": (
        (9, {}, ["norm"]),
        ("up.weight is 9, which 2 processes cannot share evenly", "--nproc-per-node 1 train.py"),
    ),
}


@pytest.mark.parametrize(("given", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_plan_that_does_not_fit_is_told_before_weights_drift_apart(given, told):
    for found, fix in forked(2, refused, *given):
        assert told[0] in found and told[1] in fix


def taken_apart(size):
    world = dist.init(timeout_s=20)
    lay_out(world, context=size)
    window = torch.arange(12).view(1, 12)
    found = part_of(window, world.mesh["context"]).tolist(), world.data_rank
    dist.close()
    return found


def test_a_window_is_taken_apart_in_the_order_of_its_group():
    first, second = [[0, 1, 2, 3, 4, 5]], [[6, 7, 8, 9, 10, 11]]
    assert forked(4, taken_apart, 2) == [(first, 0), (second, 0), (first, 1), (second, 1)]


def shared(size):
    world = dist.init(timeout_s=20)
    lay_out(world, tensor=size)
    try:
        numbers = {"heads": 6, "block": 32}
        split_layers(Net(), world.mesh["tensor"], plan(), numbers, ["norm"])
        return world.data_rank, world.data_size, [float(x) for x in world.sum(1, world.data_rank)]
    except UserError as error:
        return error.found, error.fix
    finally:
        dist.close()


def test_heads_that_cannot_be_shared_are_told_with_a_number_of_processes_that_can():
    message = "heads is 6, which 4 processes cannot share evenly"
    assert forked(4, shared, -1) == [(message, "torchrun --nproc-per-node 2 train.py")] * 4


def test_processes_that_share_a_layer_read_the_same_data_which_counts_once():
    assert forked(4, shared, 2) == [(group, 2, [2.0, 1.0]) for group in (0, 0, 1, 1)]


def masks(folder, layout, saves):
    """Dropout of a run that goes on from a checkpoint, or makes one."""
    world = dist.init(timeout_s=20)
    lay_out(world, **layout)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoints = Checkpoints(folder, world=world)
    rng.seed_all(1, world.rng_rank)
    if saves:
        checkpoints.save(7, model, optimizer)
    else:
        checkpoints.load(checkpoints.latest(), model, optimizer)
    mask = nn.functional.dropout(torch.ones(64), 0.5).tolist()
    dist.close()
    return mask


def test_masks_are_equal_within_a_group_and_differ_between_groups(tmp_path):
    one, alike, other, alike_other = forked(4, masks, tmp_path, {"tensor": 2}, True)
    assert one == alike and other == alike_other and one != other
    assert forked(4, masks, tmp_path, {"tensor": 2}, False) == [one, alike, other, alike_other]


GROUPS = [
    ({"tensor": 2}, {"tensor": 1}, 4),
    ({"tensor": 2}, {"tensor": 4}, 1),
    ({"stages": 2}, {"tensor": 2}, 2),
    ({"tensor": 2}, {"stages": 2}, 4),
]


@pytest.mark.parametrize(("one", "other", "different"), GROUPS)
def test_random_states_of_other_groups_are_not_gone_on_with(tmp_path, one, other, different):
    before = forked(4, masks, tmp_path, one, True)
    after = forked(4, masks, tmp_path, other, False)
    assert len({str(mask) for mask in after}) == different
    assert not any(mask in before for mask in after)
