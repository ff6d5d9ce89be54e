"""Strategies beside each other, as generated: how a model is spread changes nothing that it learns.

Forked processes run a project's own train.py. `make matrix` runs all of it.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from forked import enter, forked
from matrix.test_matrix import generate

from runtime.errors import UserError

ROOT = Path(__file__).parents[2]


class Layout(NamedTuple):
    """A strategy on so many processes, in so many groups that read the same data."""

    strategy: str
    processes: int = 1
    data_size: int = 1
    settings: tuple[tuple[str, int], ...] = ()


LAYOUTS = [
    Layout("single"),
    *(Layout(name, n, n) for name in ("ddp", "fsdp") for n in (1, 2, 4)),
    *(Layout("hsdp", n, n, (("shard", min(n, 2)),)) for n in (1, 2, 4)),
    *(Layout("tp", n) for n in (1, 2, 4)),
    *(Layout("fsdp-tp", n, max(n // 2, 1), (("tensor", min(n, 2)),)) for n in (1, 2, 4)),
    *(Layout("cp", n, max(n // 2, 1), (("context", min(n, 2)),)) for n in (1, 2, 4)),
    *(Layout("pp", n, max(n // 2, 1), (("stages", min(n, 2)),)) for n in (1, 2, 4)),
]
LARGEST = [layout for layout in LAYOUTS if layout.processes == 4 or layout.strategy == "single"]
QUICK = [(Layout("fsdp-tp", 4, 2, (("tensor", 2),)), "fp32", 1)]
QUICK += [(Layout("cp", 2, 1, (("context", 2),)), "fp32", 4)]
QUICK += [(Layout("pp", 2, 1, (("stages", 2),)), "fp32", 4)]
PAIRS = [(saver, loader) for saver in LARGEST for loader in LARGEST]
IMAGES = [layout for layout in LARGEST if layout.strategy not in ("single", "cp", "pp")]
# DDP lays its buckets out anew after the first step of a start, and a ring of more than two
# processes sums each place of a bucket in another order: equal but for rounding, not to the bit.
EXACT = [Layout("ddp", 2, 2) if a.strategy == "ddp" else a for a in LARGEST]
QUICK_PAIRS = [("fsdp-tp", "single")]

SMALL = {"width": 32, "depth": 2, "heads": 4, "block": 32, "eval_samples": 9, "pattern": "*.py"}
SMALL |= {"data": str(ROOT / "runtime")}
RUN = {"steps": 20, "warmup": 2, "eval_every": 10, "save_every": 10, "log_every": 1}
RUN |= {"dropout": 0.0, "workers": 0, "keep": 3}
GLOBAL_BATCH = 16
# By precision: how far a step goes, and how far losses, norms and weights may be apart. With 16
# bits AdamW makes steps of what is rounding alone.
RATES = {"fp32": 1e-3, "bf16": 1e-4}
LOSSES = {"fp32": 1e-5, "bf16": 3e-3}
NORMS = {"fp32": 1e-4, "bf16": 3e-2}
WEIGHTS = {"fp32": 2e-4, "bf16": 4e-4}


class Learnt(NamedTuple):
    """What a run came to: losses and norms by step, scores, final weights; and its folder."""

    losses: list[float]
    norms: list[float]
    scores: list[float]
    weights: dict[str, torch.Tensor]
    folder: Path


def run(project: Path, name: str, settings: dict[str, Any]) -> str:
    """Train in this process, one of several, with the project's own train.py."""
    enter(project)
    from config import Config
    from train import main

    with Path(os.devnull).open("w") as silence, contextlib.redirect_stdout(silence):
        try:
            return "" if main(Config(name=name, **settings)) == 0 else "stopped"
        except UserError as error:
            return str(error)


def train(project: Path, layout: Layout, name: str = "run", **settings: Any) -> Learnt:
    """Train a project; where the run has a checkpoint, go on from there."""
    every = RUN | (SMALL if (project / "sample.py").exists() else {}) | {"accumulate": 1}
    every |= {**dict(layout.settings), **settings}
    every["batch_size"] = GLOBAL_BATCH // layout.data_size // every["accumulate"]
    assert set(forked(layout.processes, run, project, name, every)) == {""}
    folder = project / "runs" / name
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    columns = ([line[key] for line in lines if key in line] for key in ("loss", "norm", "val_loss"))
    weights = torch.load(folder / "weights.pt", weights_only=True)
    return Learnt(*columns, weights, folder)


def go_on(project: Path, layout: Layout, saved: Learnt, **settings: Any) -> Learnt:
    """Train a project from the middle of another run."""
    half = "checkpoints/step-00000010"
    name = f"from-{saved.folder.parents[1].name}"
    shutil.copytree(saved.folder / half, project / "runs" / name / half)
    return train(project, layout, name, **settings)


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Learnt]:
    """What GPTs learn under a layout, each trained once."""

    @cache
    def by(layout: Layout, precision: str = "fp32", accumulate: int = 1) -> Learnt:
        folder = tmp_path_factory.mktemp(layout.strategy)
        project = generate(folder, model="gpt", strategy=layout.strategy, precision=precision)
        rate = RATES[precision]
        return train(project, layout, accumulate=accumulate, learning_rate=rate)

    return by


def layout_id(value: object) -> str:
    return f"{value.strategy}-{value.processes}" if isinstance(value, Layout) else str(value)


CASES = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
    for case in ((a, p, n) for a in LAYOUTS for p in ("fp32", "bf16") for n in (1, 4))
]


@pytest.mark.parametrize(("layout", "precision", "accumulate"), CASES, ids=layout_id)
def test_every_strategy_learns_what_one_process_does(
    learnt: Callable[..., Learnt], layout: Layout, precision: str, accumulate: int
) -> None:
    expected, found = learnt(LAYOUTS[0], precision), learnt(layout, precision, accumulate)
    assert len(found.losses) == 20
    assert found.losses == pytest.approx(expected.losses, abs=LOSSES[precision])
    assert found.scores == pytest.approx(expected.scores, abs=LOSSES[precision])
    assert found.norms == pytest.approx(expected.norms, rel=NORMS[precision])
    assert furthest(found.weights, expected.weights) < WEIGHTS[precision]


@pytest.mark.slow
@pytest.mark.parametrize("layout", IMAGES, ids=layout_id)
def test_image_models_learn_the_same_under_every_strategy(tmp_path: Path, layout: Layout) -> None:
    model = "vit" if "tp" in layout.strategy else "cnn"
    alone = generate(tmp_path / "alone", model=model)
    project = generate(tmp_path / "project", model=model, strategy=layout.strategy)
    small = {"width": 32, "depth": 2, "learning_rate": 1e-3} if model == "vit" else {}
    expected, found = train(alone, LAYOUTS[0], **small), train(project, layout, **small)
    assert found.losses == pytest.approx(expected.losses, abs=LOSSES["fp32"])
    assert found.norms == pytest.approx(expected.norms, rel=NORMS["fp32"])
    for name in [name for name in found.weights if name.endswith("key.bias")]:
        # Softmax does not see it: its gradient is rounding, of which AdamW makes whole steps.
        found.weights[name] = expected.weights[name]
    assert furthest(found.weights, expected.weights) < WEIGHTS["fp32"]


@pytest.mark.parametrize(
    ("saver", "loader"),
    [
        pytest.param(*pair, marks=() if names in QUICK_PAIRS else pytest.mark.slow)
        for pair in PAIRS
        if (names := tuple(layout.strategy for layout in pair))
    ],
    ids=layout_id,
)
def test_every_strategy_goes_on_from_a_checkpoint_of_any(
    tmp_path: Path, learnt: Callable[..., Learnt], saver: Layout, loader: Layout
) -> None:
    project = generate(tmp_path / "project", model="gpt", strategy=loader.strategy)
    found = go_on(project, loader, learnt(saver), learning_rate=RATES["fp32"])
    expected = learnt(LAYOUTS[0])
    assert found.losses == pytest.approx(expected.losses[10:], abs=1e-4)
    assert furthest(found.weights, expected.weights) < WEIGHTS["fp32"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", EXACT, ids=layout_id)
def test_every_strategy_goes_on_to_the_bit_with_dropout_and_accumulation(
    tmp_path: Path, layout: Layout
) -> None:
    project = generate(tmp_path / "project", model="gpt", strategy=layout.strategy)
    settings = {"dropout": 0.1, "accumulate": 2, "learning_rate": RATES["fp32"]}
    whole = train(project, layout, **settings)
    found = go_on(project, layout, whole, **settings)
    assert found.losses == whole.losses[10:]
    assert all(torch.equal(found.weights[name], whole.weights[name]) for name in whole.weights)


# What the comments of parallelize() offer: the strategy, what stands there, and what is put there.
OFFERED = {
    "static graph": ("ddp", "bucket_view=True)", "bucket_view=True, static_graph=True)"),
    "unused weights": (
        "ddp",
        "bucket_view=True)",
        "bucket_view=True, find_unused_parameters=True)",
    ),
    "buffers": ("ddp", "broadcast_buffers = False", "broadcast_buffers = True"),
    "half the bytes": (
        "ddp",
        "    return copy",
        "    from torch.distributed.algorithms.ddp_comm_hooks import default_hooks\n"
        "    copy.register_comm_hook(None, default_hooks.fp16_compress_hook)\n"
        "    return copy",
    ),
    "parts on the CPU": (
        "fsdp",
        "mesh=mesh)",  # memory is pinned only where there is a GPU
        "mesh=mesh, offload_policy=torch.distributed.fsdp.CPUOffloadPolicy(pin_memory=False))",
    ),
    "all forward first": ("pp", "Schedule1F1B", "ScheduleGPipe"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "found", "put"), OFFERED.values(), ids=OFFERED)
def test_what_the_comments_of_a_strategy_offer_learns_the_same(
    tmp_path: Path, learnt: Callable[..., Learnt], strategy: str, found: str, put: str
) -> None:
    project = generate(tmp_path, model="gpt", strategy=strategy)
    text = (project / "train.py").read_text()
    assert found in text
    (project / "train.py").write_text(text.replace(found, put))
    layout = next(a for a in LAYOUTS if (a.strategy, a.processes) == (strategy, 2))
    accumulate = 1 if "static" in put else 4
    other = train(project, layout, accumulate=accumulate, learning_rate=RATES["fp32"])
    exact = "fp16" not in put
    expected = learnt(layout, "fp32", accumulate)
    assert other.losses == pytest.approx(expected.losses, abs=1e-5 if exact else 1e-3)
    assert furthest(other.weights, expected.weights) < (WEIGHTS["fp32"] if exact else 2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("microbatches", [0, 8])
def test_stages_of_unequal_depth_learn_what_one_process_does(
    tmp_path: Path, microbatches: int
) -> None:
    deep = {"depth": 5, "learning_rate": RATES["fp32"]}
    alone = generate(tmp_path / "alone", model="gpt")
    project = generate(tmp_path / "project", model="gpt", strategy="pp")
    layout = Layout("pp", 4, 1, (("stages", 4), ("microbatches", microbatches)))
    expected, found = train(alone, LAYOUTS[0], **deep), train(project, layout, **deep)
    assert found.losses == pytest.approx(expected.losses, abs=LOSSES["fp32"])
    assert furthest(found.weights, expected.weights) < WEIGHTS["fp32"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LARGEST, ids=layout_id)
def test_fewer_samples_than_processes_are_validated_and_heads_may_share_keys(
    tmp_path: Path, layout: Layout
) -> None:
    few = {"eval_samples": 1, "kv_heads": 2 if layout.strategy != "tp" else 4, "steps": 3}
    alone = generate(tmp_path / "alone", model="gpt")
    project = generate(tmp_path / "project", model="gpt", strategy=layout.strategy)
    expected, found = train(alone, LAYOUTS[0], **few), train(project, layout, **few)
    assert found.scores == pytest.approx(expected.scores, abs=LOSSES["fp32"])
