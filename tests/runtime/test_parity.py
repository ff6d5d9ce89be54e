"""Strategies beside each other, as generated: how a model is spread changes nothing that it learns.

Forked processes run a project's own train.py. `make matrix` runs all of it.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import forked
from matrix.test_matrix import generate

from runtime.errors import UserError

ROOT = Path(__file__).parents[2]
# Each strategy on so many processes, with so many of them for the data, and with these settings.
LAYOUTS = [("single", 1, 1, {})]
LAYOUTS += [(name, n, n, {}) for name in ("ddp", "fsdp") for n in (1, 2, 4)]
LAYOUTS += [("hsdp", 1, 1, {}), ("hsdp", 2, 2, {}), ("hsdp", 4, 4, {"shard": 2})]
LAYOUTS += [("tp", n, 1, {}) for n in (1, 2, 4)]
QUICK = [("hsdp", 4, "fp32", 1), ("tp", 2, "fp32", 4)]
IMAGES = [("hsdp", 4, 4, {"shard": 2}), ("tp", 2, 1, {}), ("tp", 4, 1, {})]
CASES = [
    pytest.param(
        *layout,
        precision,
        accumulate,
        marks=() if (*layout[:2], precision, accumulate) in QUICK else pytest.mark.slow,
        id=f"{layout[0]}-{layout[1]}-{precision}-{accumulate}",
    )
    for layout in LAYOUTS
    for precision in ("fp32", "bf16")
    for accumulate in (1, 4)
]
SMALL = {"width": 32, "depth": 2, "heads": 4, "block": 32, "eval_samples": 9, "pattern": "*.py"}
SMALL |= {"data": str(ROOT / "runtime")}
RUN = {"steps": 20, "warmup": 2, "eval_every": 10, "save_every": 10, "log_every": 1}
RUN |= {"dropout": 0.0, "workers": 0}
GLOBAL_BATCH = 16


# By precision: settings, how far losses may be apart, and how far weights.
SETTINGS = {"fp32": {"learning_rate": 1e-3}, "bf16": {"learning_rate": 1e-4}}
LOSSES = {"fp32": 1e-5, "bf16": 3e-3}
NORMS = {"fp32": 1e-4, "bf16": 3e-2}
WEIGHTS = {"fp32": 2e-4, "bf16": 4e-4}


def run(project: Path, name: str, settings: dict) -> str:
    """Train in this process, one of several, with the project's own train.py."""
    os.chdir(project)
    sys.path.insert(0, str(project))
    for module in ("train", "config", "model", "data", "plan"):
        sys.modules.pop(module, None)
    from config import Config
    from train import main

    with Path(os.devnull).open("w") as silence, contextlib.redirect_stdout(silence):
        try:
            return "" if main(Config(name=name, **settings)) == 0 else "stopped"
        except UserError as error:
            return str(error)


def train(project: Path, name: str, processes: int, data_size: int, **settings: object):
    """Losses and norms by step and the final weights of a run, which goes on where it was."""
    is_gpt = (project / "sample.py").exists()
    every = RUN | (SMALL if is_gpt else {}) | {"accumulate": 1} | settings
    every["batch_size"] = GLOBAL_BATCH // data_size // every["accumulate"]
    assert set(forked(processes, run, project, name, every)) == {""}
    lines = (project / "runs" / name / "metrics.jsonl").read_text().splitlines()
    losses, norms = ([json.loads(line)[key] for line in lines] for key in ("loss", "norm"))
    weights = torch.load(project / "runs" / name / "weights.pt", weights_only=True)
    return losses, norms, weights


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What one process learns without any strategy, by precision."""

    @cache
    def learnt(precision: str) -> Any:
        project = generate(tmp_path_factory.mktemp("alone"), model="gpt", precision=precision)
        return train(project, "run", 1, 1, **SETTINGS[precision])

    return learnt


@pytest.mark.parametrize(
    ("strategy", "processes", "data_size", "settings", "precision", "accumulate"), CASES
)
def test_every_strategy_learns_what_one_process_does(
    tmp_path: Path,
    alone: Callable[[str], Any],
    strategy: str,
    processes: int,
    data_size: int,
    settings: dict[str, int],
    precision: str,
    accumulate: int,
) -> None:
    project = generate(tmp_path, model="gpt", strategy=strategy, precision=precision)
    settings = {"accumulate": accumulate, **SETTINGS[precision], **settings}
    losses, norms, weights = train(project, "run", processes, data_size, **settings)
    expected, expected_norms, expected_weights = alone(precision)
    assert losses == pytest.approx(expected, abs=LOSSES[precision])
    assert norms == pytest.approx(expected_norms, rel=NORMS[precision])
    assert furthest(weights, expected_weights) < WEIGHTS[precision]


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "processes", "data_size", "settings"), IMAGES)
def test_image_models_learn_the_same_under_every_strategy(
    tmp_path: Path, strategy: str, processes: int, data_size: int, settings: dict[str, int]
) -> None:
    model = "vit" if "tp" in strategy else "cnn"
    alone = generate(tmp_path / "alone", model=model)
    project = generate(tmp_path / "project", model=model, strategy=strategy)
    expected, expected_norms, expected_weights = train(alone, "run", 1, 1)
    losses, norms, weights = train(project, "run", processes, data_size, **settings)
    assert losses == pytest.approx(expected, abs=LOSSES["fp32"])
    assert norms == pytest.approx(expected_norms, rel=NORMS["fp32"])
    for name in [name for name in weights if name.endswith("key.bias")]:
        # Softmax does not see it: its gradient is rounding, which AdamW makes as large as others.
        weights[name] = expected_weights[name]
    assert furthest(weights, expected_weights) < WEIGHTS["fp32"]
