"""A model that is built without memory has the weights that it would have had, and never whole."""

import ctypes
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import forked
from matrix.test_matrix import generate
from test_parity import LARGEST, Layout, layout_id, train
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.init import trunc_normal_

from runtime.errors import UserError
from runtime.meta import make_weights, weights_later

CPU = torch.device("cpu")


class Odd(nn.Module):
    """What constructors do: torch's own layers, most of nn.init, parts, ties, buffers, values."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4, padding_idx=2)
        self.linear = nn.Linear(30, 40)
        self.lstm, self.attention = nn.LSTM(4, 5), nn.MultiheadAttention(8, 2)
        self.norms = nn.ModuleList([nn.BatchNorm1d(4), nn.LayerNorm(3), nn.RMSNorm(3)])
        self.convolution, self.deep = nn.Conv2d(3, 4, 3), nn.Sequential(nn.Linear(3, 3))
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embedding.weight
        self.ready = nn.Parameter(torch.zeros(3))
        self.register_buffer("table", torch.arange(5).float().cos())
        self.apply(self.init)
        with torch.no_grad():
            self.linear.bias[:5].fill_(2)
            self.linear.bias.mul_(0.5)
            self.convolution.weight.add_(1, alpha=0.5)

    def init(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.7)
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=torch.Generator().manual_seed(5))


class Special(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(5, 5) for _ in range(5))
        nn.init.orthogonal_(self.layers[0].weight)
        nn.init.sparse_(self.layers[1].weight, 0.4)
        nn.init.eye_(self.layers[2].weight)
        nn.init.trunc_normal_(self.layers[3].weight, a=1.0, b=1.5)
        nn.init.xavier_normal_(self.layers[4].weight)
        self.convolution = nn.Conv1d(3, 3, 3)
        nn.init.dirac_(self.convolution.weight)


@pytest.mark.parametrize("kind", [Odd, Special])
def test_weights_made_later_are_the_same_to_the_bit(kind: type[nn.Module]) -> None:
    torch.manual_seed(3)
    expected, drawn = kind(), torch.rand(3)
    torch.manual_seed(3)
    with weights_later():
        model = kind().to(CPU)
    assert torch.equal(torch.rand(3), drawn), "what is drawn afterwards is the same as well"
    without = [name for name, parameter in model.named_parameters() if not parameter.is_meta]
    assert without == [name for name in ("ready",) if hasattr(model, name)]
    state = torch.get_rng_state()
    make_weights(model.get_submodule("layers.1" if kind is Special else "deep"), CPU)
    make_weights(model, CPU)
    assert torch.equal(torch.get_rng_state(), state)
    found = model.state_dict()
    for name, value in expected.state_dict().items():
        assert torch.equal(found[name], value), name
    assert [*dict(model.named_parameters())] == [*dict(expected.named_parameters())]


def test_tied_weights_stay_tied() -> None:
    with weights_later():
        model = Odd()
    make_weights(model, CPU)
    assert model.head.weight is model.embedding.weight


class Copied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(3, 4), nn.Linear(3, 4)
        with torch.no_grad():
            self.one.weight.copy_(self.other.weight)


class Computed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 4)
        self.one.weight = nn.Parameter(self.one.weight.detach() * 2)


@pytest.mark.parametrize("kind", [Copied, Computed])
def test_weights_that_cannot_be_made_again_are_named_and_not_made_otherwise(kind: Any) -> None:
    with weights_later():
        model = kind()
    with pytest.raises(UserError, match="one.weight, made without memory"):
        make_weights(model, CPU)


def test_a_function_that_would_do_nothing_is_refused() -> None:
    with weights_later(), pytest.raises(UserError, match="trunc_normal_ would do nothing"):
        trunc_normal_(nn.Linear(3, 4).weight)
    trunc_normal_(nn.Linear(3, 4).weight)


BLOCKS, WIDTH = 40, 1000  # of 4 MB each


class Large(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(BLOCKS))


def memory() -> float:
    """What this process holds for itself alone, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / 1e6


def peak(later: bool) -> tuple[float, float]:
    """The most memory that a process took to build and split a model, and what its part is."""
    from runtime import dist

    # What is freed goes back to the system at once, so that only what is held is counted.
    ctypes.CDLL(None).mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD
    world = dist.init()
    mesh = init_device_mesh("cpu", (world.size,))
    with weights_later():  # what torch needs for itself
        small = nn.Linear(8, 8)
    make_weights(small, CPU)
    fully_shard(small, mesh=mesh)
    before = memory()
    with weights_later() if later else nullcontext():
        model = Large()
    taken = [memory()]
    for block in model.blocks:
        if later:
            make_weights(block, CPU)
        taken.append(memory())
        fully_shard(block, mesh=mesh)
    total = sum(float(block.weight.detach().to_local().double().sum()) for block in model.blocks)
    dist.close()
    return max(taken) - before, total


def test_no_process_ever_holds_the_whole_model() -> None:
    whole = 4 * BLOCKS * WIDTH**2 / 1e6
    (plain, expected), (plain_too, other) = forked(2, peak, False)
    assert min(plain, plain_too) > whole * 0.9  # the system counts in pages, and late
    for taken, total in forked(2, peak, True):
        assert taken < whole * 0.6  # its half, and a block or two on the way
        assert total in (expected, other)


# Those that meta-init goes with.
SPLIT = [layout for layout in LARGEST if layout.strategy not in ("single", "ddp", "pp")]
CASES = [(layout, precision) for layout in SPLIT for precision in ("fp32", "bf16-true")]
CASES += [(Layout("fsdp", 2, 2), precision) for precision in ("fp32", "fp64", "float8", "bf16")]
QUICK = (Layout("fsdp", 2, 2), "fp32")


@pytest.mark.parametrize(
    ("layout", "precision"),
    [pytest.param(*c, marks=() if c == QUICK else pytest.mark.slow) for c in CASES],
    ids=layout_id,
)
def test_a_project_learns_the_same_to_the_bit(
    tmp_path: Path, layout: Layout, precision: str
) -> None:
    few = {"steps": 4, "eval_every": 4, "dropout": 0.1}
    answers: dict[str, Any] = {"model": "gpt", "strategy": layout.strategy, "precision": precision}
    expected, found = (
        train(generate(tmp_path / name, **answers, feature=features), layout, **few)
        for name, features in (("plain", ()), ("later", ("meta-init",)))
    )
    assert "weights_later" in (tmp_path / "later/train.py").read_text()
    assert (found.losses, found.scores) == (expected.losses, expected.scores)
    for name, value in expected.weights.items():
        assert torch.equal(found.weights[name], value), name
