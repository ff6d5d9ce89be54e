"""DeepSpeed where it is missing, or too old. With it: tests/zero, by `make deepspeed`."""

import sys
from types import SimpleNamespace

import pytest
import torch

from runtime.errors import UserError
from runtime.zero import Zero, load_deepspeed

ALONE = SimpleNamespace(device=torch.device("cpu"), local_rank=0)


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    monkeypatch.setenv("LOCAL_RANK", "0")


def test_a_run_without_deepspeed_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(UserError) as ended:
        load_deepspeed(ALONE)
    assert ended.value.found.startswith("this project trains with deepspeed: ")
    assert ended.value.fix.startswith("pip install --no-build-isolation 'deepspeed>=0.19.8'")


def test_a_deepspeed_that_would_divide_gradients_by_itself_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = SimpleNamespace(__version__="0.18.0", DeepSpeedEngine=object)
    monkeypatch.setitem(sys.modules, "deepspeed", old)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="DeepSpeed 0.18.0 is installed, expected 0.19.8 or newer"):
        load_deepspeed(ALONE)


def test_compiled_blocks_are_refused_where_their_weights_would_be_split() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model[0].compile(backend="eager")
    with pytest.raises(UserError, match="compiled blocks do not go with --zero 3") as ended:
        Zero(model, ALONE, {"zero_optimization": {"stage": 3}})
    assert ended.value.fix.startswith("--zero 2, or leave compile_blocks() out")
