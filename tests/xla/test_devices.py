"""What the library does on XLA's devices: four, for which the CPU stands, in this process."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime import optim, rng, xla_step
from runtime.errors import UserError
from runtime.xla import Devices, start, torch_xla
from runtime.xla_host import fetch

pytestmark = pytest.mark.xla


@pytest.fixture(scope="module")
def devices() -> Iterator[Devices]:
    """In pairs that hold the weights together."""
    before = dict(os.environ)
    os.environ |= {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": "4"}
    yield start(shard=2)
    os.environ.clear()  # XLA leaves words of its own there, which are not for runs of other tests
    os.environ.update(before)


class Net(nn.Module):
    """Two layers of which one has the other's weights, and a side that two do not divide."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.last = nn.Linear(6, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()).relu())


def made(devices: Devices | None) -> tuple[Net, torch.optim.Optimizer]:
    torch.manual_seed(1)
    net = Net()
    if devices:
        devices.take(net)
        devices.spread(net.parameters())
        return net, torch.optim.AdamW(optim.decay_groups(net, 0.1), capturable=True)
    return net, torch.optim.AdamW(optim.decay_groups(net, 0.1))


def step(net: Net, optimizer: torch.optim.Optimizer, number: int, devices: Devices | None) -> Any:
    """Of step 3 no number is finite; that of the rows is one which four do not divide."""
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(number))
    x = x * float("nan") if number == 3 else x
    optim.set_lr(optimizer, 0.1 / number)
    loss = net(devices.split(x) if devices else x).square().sum()
    loss.backward()
    clip = xla_step.clip_and_step if devices else optim.clip_and_step
    norm = clip(optimizer, net.parameters(), 1.0)
    if devices:
        devices.sync()
    return norm


def kept(net: Net, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    states = enumerate(optimizer.state.values())
    state = {f"{i}.{key}": x for i, each in states for key, x in each.items()}
    return {name: x.clone() for name, x in fetch(dict(net.named_parameters()) | state).items()}


def test_what_is_tied_stays_tied(devices: Devices) -> None:
    net, _ = made(devices)
    assert net.first.weight is net.second.weight
    assert {name for name, _ in net.named_parameters()} == {
        name for name, _ in Net().named_parameters()
    }
    assert all(x.device.type == "xla" for x in net.parameters())


def test_a_step_that_is_not_finite_changes_nothing_and_the_next_is_as_elsewhere(
    devices: Devices,
) -> None:
    here, elsewhere = made(devices), made(None)
    for number in range(1, 6):
        before = kept(*here)
        norm, expected = step(*here, number, devices), step(*elsewhere, number, None)
        assert float(norm) == pytest.approx(expected, rel=1e-4, nan_ok=True)
        after = kept(*here)
        same = all(torch.equal(before[name], after[name]) for name in before)
        assert same == (number == 3)
    for (name, x), y in zip(
        fetch(dict(here[0].named_parameters())).items(), elsewhere[0].parameters(), strict=True
    ):
        assert torch.allclose(x, y, atol=1e-4), name


def test_a_first_step_that_is_not_finite_leaves_a_new_optimizer(devices: Devices) -> None:
    net, optimizer = made(devices)
    before = kept(net, optimizer)
    step(net, optimizer, 3, devices)
    after = kept(net, optimizer)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(not after[name].any() for name in after.keys() - before.keys())


def test_every_device_holds_a_part_of_weights_and_of_what_follows_from_them(
    devices: Devices,
) -> None:
    net, optimizer = made(devices)
    for number in (1, 2):
        step(net, optimizer, number, devices)
    torch_xla().sync(wait=True)  # parts cannot be looked at while they are computed
    sharded = torch_xla("distributed.spmd").XLAShardedTensor
    held = {"weights": [*net.parameters()], "state": []}
    for state in optimizer.state.values():
        held["state"] += [x for key, x in state.items() if key != "step"]
    for what, tensors in held.items():
        for x in tensors:
            parts = {part.data.numel() for part in sharded(x).local_shards}
            assert parts == {x.numel() // 2}, (what, x.shape)


def test_random_numbers_go_on_from_where_their_state_was_saved(devices: Devices) -> None:
    rng.seed_all(5)
    drawn = []
    for _ in range(2):
        saved = rng.state()
        for _ in range(2):
            drawn.append(torch.rand(9, device=devices.device).cpu())
            devices.sync()
        rng.set_state(saved)
    assert torch.equal(drawn[0], drawn[2]) and torch.equal(drawn[1], drawn[3])
    assert not torch.equal(drawn[0], drawn[1])


def test_devices_that_do_not_share_out_evenly_are_refused(devices: Devices) -> None:
    with pytest.raises(
        UserError, match=r"shard is 3, which does not divide 4 devices\n.*--shard 2"
    ):
        Devices(3)
    with pytest.raises(UserError, match=r"--shard 4"):
        Devices(8)
