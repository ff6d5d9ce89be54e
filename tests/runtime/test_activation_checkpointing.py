"""Activations that are computed again: less memory, and nothing else is different."""

import copy

import pytest
import torch
from forked import forked
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from runtime import dist, rng
from runtime.activation_checkpointing import PRODUCTS, checkpoint_activations
from runtime.checkpoint import Checkpoints
from runtime.world import World


class Block(nn.Module):
    """Two layers with dropout between them; `scale` is a second input."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(8, 32), nn.Linear(32, 8)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x, scale):
        return x + scale * self.down(self.dropout(self.up(x).relu()))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        for block in self.blocks:
            x = block(x, 0.5)
        return self.head(x)


def spread(model, strategy, world):
    if strategy == "ddp":
        return nn.parallel.DistributedDataParallel(model)
    if strategy == "fsdp":
        from torch.distributed.fsdp import fully_shard

        for block in model.blocks:
            fully_shard(block)
        fully_shard(model)
    return model


def trained(strategy, again, half, folder):
    """Losses and weights after five steps, with or without computing activations again."""
    world = World() if strategy == "single" else dist.init(timeout_s=20)
    rng.seed_all(1)
    model = Net()
    if again:
        checkpoint_activations(model.blocks, keep_products=again == "selective")
    model = spread(model, strategy, world)
    rng.seed_all(1, 1 + world.rank)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    losses = []
    for step in range(5):
        x = torch.randn(4, 8, generator=torch.Generator().manual_seed(2 * step + world.rank))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    if again is not None:
        Checkpoints(folder, world=world).save(5, model, optimizer)
    weights = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters()]
    weights = [weight.detach().clone() for weight in weights]
    if strategy != "single":
        dist.close()
    return losses, weights


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("strategy", "size"), [("single", 1), ("ddp", 2), ("fsdp", 2)])
def test_losses_and_weights_are_equal_to_the_bit_with_dropout(tmp_path, strategy, size, half):
    plain = forked(size, trained, strategy, False, half, tmp_path / "plain")
    again = forked(
        size, trained, strategy, "selective" if half else "full", half, tmp_path / "again"
    )
    for (losses, weights), (other_losses, other_weights) in zip(plain, again, strict=True):
        assert losses == other_losses and len(set(losses)) == 5
        assert all(map(torch.equal, weights, other_weights))
    # And a checkpoint of either loads into the plain model.
    loaded = Net()
    Checkpoints(tmp_path / "again").load(tmp_path / "again" / "step-00000005", loaded)
    assert all(map(torch.equal, loaded.parameters(), plain[0][1]))


def test_names_stay_as_they_are_also_in_a_copy():
    plain, model = Net(), Net()
    checkpoint_activations(model.blocks)
    for module in (model, copy.deepcopy(model)):
        assert [*module.state_dict()] == [*plain.state_dict()]
        names = [name for name, _ in module.named_parameters()]
        assert names == [name for name, _ in plain.named_parameters()]
    double = copy.deepcopy(model)
    double.load_state_dict(plain.state_dict())
    assert torch.equal(double.eval()(torch.ones(1, 8)), plain.eval()(torch.ones(1, 8)))


def test_only_the_inputs_of_blocks_are_kept():
    def kept(model):
        sizes = []
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda x: sizes.append(x.numel()) or x, lambda x: x
        )
        with hooks:
            model(torch.ones(64, 8, requires_grad=True))
        return sum(sizes)

    plain, model = Net(), Net()
    checkpoint_activations(model.blocks)
    assert kept(model) < kept(plain) / 5


class Products(TorchDispatchMode):
    """Counts products of matrices."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in PRODUCTS
        return function(*args, **(kwargs or {}))


def test_products_that_are_kept_are_not_computed_again():
    counts = []
    for keep in (None, True, False):
        model = Net()
        if keep is not None:
            checkpoint_activations(model.blocks, keep)
        with Products() as products:
            model(torch.ones(2, 8, requires_grad=True)).sum().backward()
        counts.append(products.count)
    plain, kept, again = counts
    assert plain == kept == again - 3  # of each block the first: nothing asks for the second


def test_blocks_are_computed_twice_only_where_gradients_are_wanted():
    model, calls = Net(), []
    model.blocks[0].up.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    checkpoint_activations(model.blocks)
    with torch.no_grad():
        model(torch.ones(2, 8))
    assert calls == [False]
    model(torch.ones(2, 8)).sum().backward()
    assert len(calls) == 3
