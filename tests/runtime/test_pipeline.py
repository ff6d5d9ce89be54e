"""A model in stages: each process keeps its own layers, and together they are the whole model."""

import copy

import pytest
import torch
import torch.nn.functional as F
from forked import forked
from torch import nn
from torch.distributed.pipelining import Schedule1F1B, ScheduleGPipe

from runtime import dist, rng, tensors
from runtime.checkpoint import Checkpoints
from runtime.ema import EMA
from runtime.errors import UserError
from runtime.mesh import lay_out
from runtime.optim import clip_and_step, decay_groups
from runtime.pipeline import Pipeline
from runtime.stage import Elsewhere, keep_stage
from runtime.tensors import named_state, save_weights

STAGES = [["embedding", "dropout", "blocks.0"], ["blocks.1"], ["blocks.2", "norm", "head"]]


class Block(nn.Sequential):
    def __init__(self, *layers):
        super().__init__(*layers)
        self.register_buffer("share", torch.tensor(0.5), persistent=False)

    def forward(self, x):
        return x + self.share * super().forward(x)


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


def trained(schedule, microbatches, frozen=False, poisoned=None, steps=4):
    """Norms, losses, weights and averages of a short training, clipped each step."""
    world = dist.init(timeout_s=20)
    rng.seed_all(3)
    model = Net()
    model.embedding.requires_grad_(not frozen)
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


@pytest.mark.parametrize(
    ("schedule", "parts", "frozen"),
    [
        (Schedule1F1B, 0, False),
        pytest.param(ScheduleGPipe, 6, True, marks=pytest.mark.slow),
    ],
)
def test_losses_norms_weights_and_averages_of_stages_are_those_of_one_process(
    schedule, parts, frozen
):
    [(expected, weights)] = forked(1, trained, None, 0, frozen)
    assert min(norm for _, norm in expected) > 0.5  # so it was clipped at all
    stages = forked(3, trained, schedule, parts, frozen)
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
    for found, held in forked(3, trained, Schedule1F1B, 0, False, (0, 1), 1):
        assert not found[0][1] < torch.inf
        rng.seed_all(3)
        before = Net().state_dict()
        assert all(torch.equal(x, before[name]) for name, x in held.items() if name in before)


def forward(rows):
    """What stages make of batches of so many rows, one after the other, with nothing in between."""
    world = dist.init(timeout_s=20)
    lay_out(world, stages=3)
    rng.seed_all(3)
    whole = Net()
    model = pipeline(world, copy.deepcopy(whole))
    with torch.no_grad():
        found = [model(batch(n, n)[0]) for n in rows]
        expected = [whole(batch(n, n)[0]) for n in rows]
    dist.close()
    return [len(x) for x in found], [
        torch.equal(a, b) for a, b in zip(found, expected, strict=True)
    ]


def test_a_batch_of_any_number_of_rows_is_validated_none_too():
    rows = [6, 1, 0, 5, 7]
    first, middle, last = forked(3, forward, rows)
    assert first[0] == middle[0] == last[0] == rows
    assert all(last[1]) and not any(first[1])


def refused(settings):
    world = dist.init(timeout_s=20)
    try:
        lay_out(world, stages=2)
        plan = [STAGES[0], STAGES[1] + STAGES[2]]
        model = pipeline(world, Net(), plan, **settings)
        model.step(*batch(0), 24.0)
    except UserError as error:
        return error.found, error.fix
    finally:
        dist.close()


TOO_FEW = "6 samples cannot be cut into 1 equal microbatches, one or more for each of 2 stages"
UNEVEN = "6 samples cannot be cut into 4 equal microbatches, one or more for each of 2 stages"
HANDED = "stage 0 hands on ((4, 6), torch.float32), and plan.py says ((4, 5), torch.float32)"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"microbatches": 1}, (TOO_FEW, "--microbatches 2 --batch-size 6")),
        ({"microbatches": 4}, (UNEVEN, "--microbatches 4 --batch-size 8")),
    ],
)
def test_a_batch_that_cannot_be_cut_is_told_with_one_that_can(settings, told):
    assert forked(2, refused, settings) == [told] * 2


def mistaken():
    world = dist.init(timeout_s=20)
    lay_out(world, stages=2)
    plan = [STAGES[0], STAGES[1] + STAGES[2]]
    model = pipeline(world, Net(), plan, shape=(4, 5))
    try:
        model.step(*batch(0), 24.0)
    except UserError as error:
        return error.found, error.fix
    except RuntimeError:  # the other process has ended
        return "left alone"


def test_another_shape_than_the_plan_says_is_told_by_the_stage_that_hands_it_on():
    fix = "let between() in plan.py say what a block of model.py returns"
    assert forked(2, mistaken) == [(HANDED, fix), "left alone"]


def kept(folder, stages, load):
    """Save a model after a step, or load it; what this process then holds, and its next mask."""
    world = dist.init(timeout_s=20)
    rng.seed_all(1 if load else 3)
    model, plan = Net(), {2: [STAGES[0], STAGES[1] + STAGES[2]], 3: STAGES}.get(stages)
    if plan:
        lay_out(world, stages=stages)
        model = pipeline(world, model, plan)
    optimizer = torch.optim.AdamW(decay_groups(model, 0.1), lr=0.05)
    ema = EMA(model, 0.9)
    checkpoints = Checkpoints(folder / "checkpoints", world=world, also={"ema": ema.tensors})
    if load:
        checkpoints.load(checkpoints.latest(), model, optimizer)
    else:
        for weight in model.parameters():
            if weight.requires_grad:
                weight.grad = torch.full_like(weight, 0.25)
        clip_and_step(optimizer, model.parameters(), 0)
        ema.update()
        rng.seed_all(1, world.rng_rank)
        checkpoints.save(1, model, optimizer)
        save_weights(folder / "weights.pt", model, world)
    held = dict(tensors.collect(model, optimizer, checkpoints.also))
    mask = F.dropout(torch.ones(64), 0.5).tolist()
    dist.close()
    return {name: x.detach().clone() for name, x in held.items()}, mask


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((6, 3), (1, 1)),
        ((1, 1), (3, 3)),
        pytest.param((3, 3), (4, 2), marks=pytest.mark.slow),
    ],
)
def test_a_checkpoint_of_some_stages_is_one_of_any_number_and_of_none(tmp_path, before, after):
    one, other = (
        forked(size, kept, tmp_path, stages, load)
        for (size, stages), load in ((before, False), (after, True))
    )
    whole = {name: x for held, _ in one for name, x in held.items()}
    assert len(whole) == 10 + 3 * 9 + 10  # names of weights; of each its state; averages
    assert {name for held, _ in other for name in held} == whole.keys()
    for held, _ in other:
        assert all(torch.equal(x, whole[name]) for name, x in held.items())
    assert len({str(mask) for _, mask in other}) == len(other)
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert [*weights] == [*Net().state_dict()]
    assert all(torch.equal(x, whole[f"model.{name}"]) for name, x in weights.items())


def other_model(folder):
    world = dist.init(timeout_s=20)
    lay_out(world, stages=3)
    model = pipeline(world, Net(tokens=8))
    optimizer = torch.optim.AdamW(decay_groups(model, 0.1))
    try:
        Checkpoints(folder / "checkpoints", world=world).load(
            folder / "checkpoints/step-00000001", model, optimizer
        )
    except UserError as error:
        return error.found.partition("another model: ")[2]
    finally:
        dist.close()


def test_all_stages_see_that_a_checkpoint_is_of_another_model(tmp_path):
    forked(1, kept, tmp_path, 1, False)
    assert forked(3, other_model, tmp_path) == ["embedding.weight is [7, 6] there, [8, 6] here"] * 3
