"""Linear layers that multiply in 8 bits, imitated here."""

import sys

import pytest
import torch
from torch import nn

from runtime.errors import UserError
from runtime.float8 import use_float8

CPU = torch.device("cpu")


def blocks():
    torch.manual_seed(0)
    sides = [(32, 64), (64, 32), (32, 12)]  # 12 is no multiple of 16
    return nn.ModuleList(nn.Sequential(nn.Linear(*two), nn.GELU()) for two in sides)


def test_products_are_those_of_8_bits_forward_and_backward_and_names_stay():
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    exact, rough = blocks(), blocks()
    use_float8(rough, CPU)
    assert rough.state_dict().keys() == exact.state_dict().keys()
    found = {}
    for name, model in (("exact", exact), ("rough", rough)):
        y = model[1](model[0](x))
        y.square().sum().backward()
        found[name] = y.detach(), model[0][0].weight.grad
    for one, other in zip(found["exact"], found["rough"], strict=True):
        error = float((one - other).norm() / one.norm())
        assert 0.005 < error < 0.15  # 3 bits behind the point, and 2 of a gradient


@torch.no_grad()
def test_a_batch_may_have_no_rows():
    model = blocks()
    use_float8(model, CPU)
    assert model[0](torch.empty(0, 32)).shape == (0, 64)
    assert model[0](torch.empty(4, 0, 32)).shape == (4, 0, 64)


def test_layers_whose_sides_are_no_multiples_of_16_are_left_out():
    model = blocks()
    use_float8(model, CPU)
    assert type(model[2][0]) is nn.Linear
    assert type(model[0][0]) is not nn.Linear


def test_a_missing_torchao_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.float8", None)
    with pytest.raises(UserError, match=r"torchao.*\n  fix: pip install torchao$"):
        use_float8(blocks(), CPU)
