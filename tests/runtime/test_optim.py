"""Decay, learning rate, clipping, and steps that are not taken."""

import math

import pytest
import torch
from forked import forked
from torch import nn

from runtime import dist
from runtime.optim import clip_and_step, decay_groups, set_lr
from runtime.schedule import cosine


def test_matrices_decay_and_vectors_do_not():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    model[0].weight.requires_grad_(False)
    model.append(nn.Linear(4, 2))
    decayed, plain = decay_groups(model, 0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 4)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert len(plain["params"]) == 4


def trained(clip, fused, scaler=None, poison=()):
    """Weights, norms and learning rates of three steps; the gradients of the poisoned are NaN."""
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused)
    norms, rates = [], []
    for step in range(3):
        set_lr(optimizer, 0.1 * cosine(step, 2, 3))
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))
        loss = model(x * (math.nan if step in poison else 1)).square().sum()
        if scaler:
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
        else:
            loss.backward()
        norms.append(clip_and_step(optimizer, model.parameters(), clip))
        rates.append(optimizer.param_groups[0]["lr"])
        if scaler:
            scaler.update()
    return model, optimizer, norms, rates


@pytest.mark.parametrize("fused", [True, False])
def test_a_scaled_gradient_is_unscaled_before_it_is_clipped(fused):
    model, _, norms, _ = trained(0.5, fused)
    scaled, _, scaled_norms, _ = trained(0.5, True, torch.amp.GradScaler("cpu", init_scale=2.0**16))
    assert scaled_norms == pytest.approx(norms, rel=1e-5)
    assert torch.allclose(model.weight, scaled.weight, atol=1e-6)
    assert min(norms) > 0.5  # so it was clipped at all


def clipped_by_value(strategy, rows):
    """What a step of SGD at rate 1 takes from each weight, and the norm."""
    from torch.distributed.fsdp import fully_shard

    world = dist.init(timeout_s=20)
    torch.manual_seed(0)
    model = nn.Linear(3, 4)
    before = [p.detach().clone() for p in model.parameters()]
    model = nn.parallel.DistributedDataParallel(model) if strategy == "ddp" else fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(1))[world.rank :: world.size]
    (model(x).square().sum() * world.size / rows).backward()
    norm = clip_and_step(optimizer, model.parameters(), 0, max_value=0.1)
    after = [p.full_tensor() if strategy == "fsdp" else p for p in model.parameters()]
    dist.close()
    return [(b - a).detach().tolist() for b, a in zip(before, after, strict=True)], norm


def test_a_gradient_clipped_by_value_is_the_same_on_any_number_of_processes():
    ((weight, bias), norm), *_ = forked(1, clipped_by_value, "ddp", 4)
    assert max(abs(x) for row in weight for x in row) == pytest.approx(0.1)
    assert any(abs(x) < 0.0999 for row in weight for x in row)
    assert norm > 0.5  # it is that before clipping
    for strategy in ("ddp", "fsdp"):
        for (other_weight, other_bias), other_norm in forked(2, clipped_by_value, strategy, 4):
            assert other_norm == pytest.approx(norm)
            torch.testing.assert_close(torch.tensor(other_weight), torch.tensor(weight))
            torch.testing.assert_close(torch.tensor(other_bias), torch.tensor(bias))


def test_what_is_not_finite_is_not_clipped_to_a_value_but_skipped():
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.tensor([[math.inf, 1.0]])).sum().backward()
    assert not math.isfinite(clip_and_step(optimizer, model.parameters(), 1.0, max_value=0.1))
    assert torch.equal(model.weight, before)


def test_clip_0_does_not_clip():
    free, _, _, _ = trained(0, True)
    wide, _, _, _ = trained(1e9, True)
    assert torch.equal(free.weight, wide.weight)


def test_a_nan_leaves_weights_and_optimizer_as_they_were():
    model, optimizer, norms, rates = trained(1.0, True, poison={0, 1, 2})
    torch.manual_seed(0)
    assert torch.equal(model.weight, nn.Linear(4, 3).weight)
    assert not optimizer.state
    assert all(math.isnan(norm) for norm in norms)
    assert all(p.grad is None for p in model.parameters())
    assert rates == trained(1.0, True)[3]  # a skipped step does not put the schedule out of pace


def test_a_skipped_step_halves_the_scale():
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    _, optimizer, _, _ = trained(1.0, True, scaler, poison={1})
    assert scaler.get_scale() == 512.0
    assert {float(state["step"]) for state in optimizer.state.values()} == {2.0}


def first_scaled_step(samples):
    """The norm of a step over two samples whose scaled gradients nearly fill fp16's range."""
    world = dist.init(timeout_s=20)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=2**16 / world.size)
    with torch.autocast("cpu", dtype=torch.float16):
        out = model(torch.eye(2)[world.rank :: world.size])
    scaler.scale(1.8 * out.float().sum() * world.size / samples).backward()
    scaler.unscale_(optimizer)
    norm = clip_and_step(optimizer, model.parameters(), 1.0)
    dist.close()
    return norm


@pytest.mark.parametrize("size", [1, 2])
def test_the_first_scale_overflows_on_many_processes_no_sooner_than_on_one(size):
    assert forked(size, first_scaled_step, 2) == pytest.approx([0.9 * math.sqrt(2)] * size, 1e-3)


def poisoned_on_one_process(strategy, scaled):
    """One NaN on rank 1 only: the weights before and after, the norm and the scale."""
    world = dist.init(timeout_s=20)
    torch.manual_seed(0)
    model = nn.Linear(4, 6)
    if strategy == "ddp":
        model = nn.parallel.DistributedDataParallel(model)
    else:
        from torch.distributed.fsdp import fully_shard

        fully_shard(model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, enabled=scaled)
    before = [p.detach().clone() for p in model.parameters()]
    x = torch.full((2, 4), math.nan if world.rank == 1 else 1.0)
    if strategy == "fsdp":  # its reduction would carry the NaN into all shards: put it into one
        x = torch.ones(2, 4)
    scaler.scale(model(x).sum()).backward()
    if strategy == "fsdp" and world.rank == 1:
        model.weight.grad.to_local()[0, 0] = math.inf
    scaler.unscale_(optimizer)
    norm = clip_and_step(optimizer, model.parameters(), 1.0)
    scaler.update()
    same = all(torch.equal(b, p) for b, p in zip(before, model.parameters(), strict=True))
    dist.close()
    return same, math.isfinite(norm), scaler.get_scale()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize(("scaled", "scale"), [(False, 1.0), (True, 4.0)])
def test_all_processes_skip_a_step_that_is_not_finite_on_one(strategy, scaled, scale):
    for outcome in forked(2, poisoned_on_one_process, strategy, scaled):
        assert outcome == (True, False, scale)
