"""A model in stages: each process keeps its own layers, and together they are the whole model."""

import pytest
import torch
import torch.nn.functional as F
from forked import forked
from torch import nn
from torch.distributed.pipelining import Schedule1F1B, ScheduleGPipe

from runtime import dist, rng
from runtime.ema import EMA
from runtime.errors import UserError
from runtime.mesh import lay_out
from runtime.optim import clip_and_step, decay_groups
from runtime.pipeline import Pipeline
from runtime.stage import Elsewhere, keep_stage
from runtime.tensors import named_state

STAGES = [["embedding", "dropout", "blocks.0"], ["blocks.1"], ["blocks.2", "norm", "head"]]


class Block(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Net(nn.Module):
    """Layers before blocks, blocks, layers after them; the first weight is the last one's too."""

    def __init__(self, tokens=7, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(tokens, 6)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(nn.Linear(6, 6), nn.Tanh()) for _ in range(3))
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, tokens, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        x = self.dropout(self.embedding(x))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def staged(stage, plan=STAGES, model=None):
    model = model or Net()
    keep_stage(model, stage, plan, (4, 6))
    return model


def test_a_stage_keeps_its_layers_and_of_the_others_names_and_shapes():
    whole = Net().state_dict()
    for stage, held in [
        (0, ["embedding.weight", "blocks.0.0.weight", "blocks.0.0.bias", "head.weight"]),
        (1, ["blocks.1.0.weight", "blocks.1.0.bias"]),
    ]:
        model = staged(stage)
        state = model.state_dict()
        assert [(name, x.shape) for name, x in state.items()] == [
            (name, x.shape) for name, x in whole.items()
        ]
        assert [name for name, x in state.items() if not x.is_meta] == held
        assert all(weight.is_meta != weight.requires_grad for weight in model.parameters())
    model = staged(2)
    assert model.head.weight is model.embedding.weight and not model.head.weight.is_meta
    assert isinstance(model.embedding, Elsewhere) and isinstance(model.head, nn.Linear)


class Positions(Net):
    def forward(self, x):
        x = super().forward(x)
        return x + 1


class OwnWeight(Net):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(6))


MISTAKES = {
    "a layer that the model has not": (
        Net,
        [[*STAGES[0], "block.1"], *STAGES[1:]],
        "plan.py names block.1, and the model has no such layer",
    ),
    "a layer that no stage has": (
        Net,
        [*STAGES[:2], ["blocks.2", "head"]],
        "plan.py gives norm to no stages",
    ),
    "a layer that two stages have": (
        Net,
        [STAGES[0], ["blocks.0", "blocks.1"], STAGES[2]],
        "plan.py gives blocks.0 to 2 stages",
    ),
    "a stage that has no layer": (
        Net,
        [STAGES[0] + STAGES[1], [], STAGES[2]],
        "there are 3 stages, and stage 1 is left without a layer",
    ),
    "a weight beside the layers": (OwnWeight, STAGES, "bias is a weight outside of any layer"),
    "something done between layers": (
        Positions,
        STAGES,
        "Positions.forward does more than pass on what its layers return",
    ),
}


@pytest.mark.parametrize(("kind", "plan", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_plan_that_does_not_fit_is_told_before_a_step(kind, plan, told):
    with pytest.raises(UserError) as refused:
        staged(0, plan, kind())
    assert told in refused.value.found and refused.value.fix


def loss_sum(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")


def batch(number, rows=6):
    generator = torch.Generator().manual_seed(number)
    return torch.randint(7, (2, rows, 4), generator=generator).unbind()


def pipeline(world, model, plan=STAGES, schedule=Schedule1F1B, **settings):
    keep_stage(model, world.mesh.get_local_rank("stages"), plan, (4, 6))
    settings = {"shape": (4, 6), "batch_size": 6} | settings
    return Pipeline(model, loss_sum, schedule, world, **settings)


def trained(schedule, microbatches, poisoned=None, steps=4):
    """Norms, losses, weights and averages of a short training, clipped each step."""
    world = dist.init(timeout_s=20)
    rng.seed_all(3)
    model = Net()
    if schedule:
        lay_out(world, stages=3)
        model = pipeline(world, model, schedule=schedule, microbatches=microbatches)
    optimizer = torch.optim.AdamW(decay_groups(model, 0.1), lr=0.05, fused=True)
    ema, found = EMA(model, 0.9), []
    for step in range(steps):
        x, y = batch(step)
        if schedule:
            loss = model.step(x, y, 24.0)
            if poisoned == (step, world.rank):
                next(p for p in model.parameters() if p.grad is not None).grad.fill_(torch.nan)
            model.share_gradients()
            norm = clip_and_step(optimizer, model.parameters(), 0.5, norm=model.grad_norm())
        else:
            loss = loss_sum(model(x), y) / 24
            loss.backward()
            norm = clip_and_step(optimizer, model.parameters(), 0.5)
        if norm < torch.inf:
            ema.update()
        found.append((float(loss.detach()), norm))
    state = {**named_state(model), **ema.tensors}
    weights = {name: x.detach().clone() for name, x in state.items()}
    dist.close()
    return found, weights


@pytest.mark.parametrize(("schedule", "parts"), [(Schedule1F1B, 0), (ScheduleGPipe, 6)])
def test_losses_norms_weights_and_averages_of_stages_are_those_of_one_process(schedule, parts):
    [(expected, weights)] = forked(1, trained, None, 0)
    assert min(norm for _, norm in expected) > 0.5  # so it was clipped at all
    stages = forked(3, trained, schedule, parts)
    for found, held in stages:
        assert [*sum(found, ())] == pytest.approx([*sum(expected, ())], rel=1e-5)
        for name, x in held.items():
            torch.testing.assert_close(x, weights[name], rtol=1e-4, atol=1e-6)
    assert {name for _, held in stages for name in held} == weights.keys()
    first, last = stages[0][1], stages[2][1]
    assert "head.weight" in first and "embedding.weight" in last
    shared = first.keys() & last.keys()
    assert all(torch.equal(first[name], last[name]) for name in shared)


def test_a_gradient_of_one_stage_that_is_not_finite_stops_the_step_of_all():
    for found, held in forked(3, trained, Schedule1F1B, 0, (0, 1), 1):
        assert not found[0][1] < torch.inf
        rng.seed_all(3)
        before = Net().state_dict()
        assert all(torch.equal(x, before[name]) for name, x in held.items() if name in before)
