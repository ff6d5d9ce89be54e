"""Projects under DeepSpeed, in the environment of `make deepspeed`: ZeRO 1 to 3 beside ddp."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from matrix.test_matrix import (
    generate,
    test_a_signal_to_any_of_its_processes_ends_a_run_with_a_checkpoint,
    test_it_trains_and_resumes_to_the_bit,
)
from ports import free_port
from test_parity import Layout, Learnt, furthest, go_on, layout_id, train

pytestmark = [pytest.mark.deepspeed, pytest.mark.usefixtures("read_deepspeed")]

DDP = Layout("ddp", 2, 2)
SINGLE = Layout("single")
STAGES = [Layout("deepspeed", 2, 2, (("zero", stage),)) for stage in (1, 2, 3)]
ALONE = [Layout("deepspeed", 1, 1, (("zero", stage),)) for stage in (1, 2, 3)]
RATE = {"learning_rate": 1e-3}


def stage_id(layout: object) -> str:
    if not isinstance(layout, Layout) or not layout.settings:
        return layout_id(layout)
    return f"zero-{dict(layout.settings)['zero']}-on-{layout.processes}"


def project(folder: Path, layout: Layout, **choices: Any) -> Path:
    return generate(folder, **{"model": "gpt", "strategy": layout.strategy} | choices)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory):
    """What GPTs learn under a layout, each trained once."""

    @cache
    def by(layout: Layout, precision: str = "fp32", accumulate: int = 1) -> Learnt:
        folder = project(tmp_path_factory.mktemp("p"), layout, precision=precision)
        rate = {"fp32": 1e-3, "bf16": 1e-4}[precision]
        return train(folder, layout, accumulate=accumulate, learning_rate=rate)

    return by


def equal(found: Learnt, expected: Learnt, weights: float = 1e-4) -> None:
    assert found.losses == pytest.approx(expected.losses, abs=1e-5)
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)
    assert found.norms == pytest.approx(expected.norms, rel=1e-4)
    assert furthest(found.weights, expected.weights) < weights


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("layout", STAGES, ids=stage_id)
def test_every_stage_learns_what_ddp_does(learnt, layout: Layout, accumulate: int) -> None:
    equal(learnt(layout, accumulate=accumulate), learnt(DDP, accumulate=accumulate))
    assert len(learnt(layout, accumulate=accumulate).losses) == 20


@pytest.mark.parametrize("layout", STAGES, ids=stage_id)
def test_bf16_is_that_of_ddp_and_gradients_do_not_travel_in_it(learnt, layout: Layout) -> None:
    found, expected = learnt(layout, "bf16"), learnt(DDP, "bf16")
    assert found.losses == pytest.approx(expected.losses, abs=3e-3)
    # Sums of the same numbers, in 32 bits: rounded to 16, norms differ by a 256th.
    assert found.norms[0] == pytest.approx(expected.norms[0], rel=1e-4)
    assert {x.dtype for x in found.weights.values()} == {torch.float32}


def edited(folder: Path, line: str, put: str) -> Path:
    """The project, in whose loop lines stand in the place of one, indented as it is."""
    text = (folder / "train.py").read_text()
    (found,) = re.findall(rf"^( *){re.escape(line)}$", text, re.M)
    lines = "\n".join(found + more for more in put.splitlines())
    (folder / "train.py").write_text(text.replace(f"{found}{line}\n", f"{lines}\n"))
    return folder


@pytest.mark.parametrize("layout", STAGES, ids=stage_id)
def test_micro_batches_with_unequally_many_tokens_count_by_their_tokens(
    tmp_path: Path, layout: Layout
) -> None:
    # More of them from the first of a step on, and other ones on each process.
    line = "micro_batches = [next(batches) for _ in range(config.accumulate)]"
    more = f"{line}\nfor i, (_, y) in enumerate(micro_batches):\n"
    more += "    y[:, : 7 * i + 11 * world.rank] = -100"
    expected, found = [
        train(edited(project(tmp_path / a.strategy, a), line, more), a, accumulate=4, **RATE)
        for a in (DDP, layout)
    ]
    equal(found, expected)


@pytest.mark.parametrize("layout", STAGES, ids=stage_id)
def test_a_step_that_is_not_finite_on_one_process_is_skipped_on_all(
    tmp_path: Path, layout: Layout
) -> None:
    line = "loss.backward()"
    worse = f"if step == 4 and world.rank == 1:\n    loss = loss * torch.nan\n{line}"
    expected, found = [
        train(edited(project(tmp_path / a.strategy, a), line, worse), a, accumulate=2, **RATE)
        for a in (DDP, layout)
    ]
    assert [n for n, norm in enumerate(found.norms) if norm is None] == [4]
    assert [n for n, norm in enumerate(expected.norms) if norm is None] == [4]
    del found.norms[4], expected.norms[4], found.losses[4], expected.losses[4]
    equal(found, expected)


@pytest.mark.parametrize("model", ["cnn", "vit"])
@pytest.mark.parametrize("layout", STAGES[1:], ids=stage_id)
def test_image_models_learn_the_same_too(tmp_path: Path, model: str, layout: Layout) -> None:
    small = RATE | ({"width": 32, "depth": 2} if model == "vit" else {})
    expected, found = [
        train(project(tmp_path / a.strategy, a, model=model), a, **small) for a in (DDP, layout)
    ]
    for name in [name for name in found.weights if name.endswith("key.bias")]:
        # Softmax does not see it: its gradient is rounding, of which AdamW makes whole steps.
        found.weights[name] = expected.weights[name]
    equal(found, expected)


PAIRS = [(saver, loader) for saver in (DDP, SINGLE) for loader in STAGES]
PAIRS += [(saver, loader) for saver in STAGES for loader in (DDP, SINGLE)]
PAIRS += [(STAGES[2], STAGES[0]), (STAGES[0], STAGES[2]), (STAGES[1], STAGES[2])]
PAIRS += [*zip(ALONE, STAGES, strict=True), *zip(STAGES, ALONE, strict=True)]


@pytest.mark.parametrize(("saver", "loader"), PAIRS, ids=stage_id)
def test_every_stage_and_other_strategies_go_on_from_checkpoints_of_each_other(
    tmp_path: Path, learnt, saver: Layout, loader: Layout
) -> None:
    found = go_on(project(tmp_path, loader), loader, learnt(saver), **RATE)
    expected = learnt(DDP)
    assert found.losses == pytest.approx(expected.losses[10:], abs=1e-4)
    assert furthest(found.weights, expected.weights) < 2e-4


@pytest.mark.parametrize("layout", [*STAGES, ALONE[2]], ids=stage_id)
def test_every_stage_goes_on_to_the_bit_with_dropout_and_accumulation(
    tmp_path: Path, layout: Layout
) -> None:
    settings = RATE | {"dropout": 0.1, "accumulate": 2}
    folder = project(tmp_path, layout)
    whole = train(folder, layout, **settings)
    found = go_on(folder, layout, whole, **settings)
    assert found.losses == whole.losses[10:]
    assert all(torch.equal(found.weights[name], whole.weights[name]) for name in whole.weights)


@pytest.mark.parametrize(
    ("task", "precision"), [("gpt", "fp32"), ("cnn", "bf16"), ("gpt-shards", "tf32")]
)
def test_a_killed_run_of_two_processes_goes_on_to_the_bit(
    tmp_path: Path, task: str, precision: str
) -> None:
    test_it_trains_and_resumes_to_the_bit(tmp_path, task, "deepspeed", precision)


@pytest.mark.parametrize("processes", [1, 2], ids=["nobody", "srun"])
def test_a_run_that_torchrun_did_not_start_trains(tmp_path: Path, processes: int) -> None:
    folder = project(tmp_path / "p", STAGES[2], model="cnn")
    command = [sys.executable, "train.py", "--fast", "--zero", "3"]
    several = {"SLURM_NTASKS": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    runs = []
    for rank in range(processes):
        number = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        environment = os.environ | (several | number if processes > 1 else {})
        environment = {k: v for k, v in environment.items() if k != "LOCAL_RANK"}
        runs.append(subprocess.Popen(command, cwd=folder, env=environment))
    assert [run.wait(240) for run in runs] == [0] * processes


@pytest.mark.parametrize("whom", ["one", "torchrun"])
def test_a_signal_ends_a_run_with_a_checkpoint(tmp_path: Path, whom: str) -> None:
    test_a_signal_to_any_of_its_processes_ends_a_run_with_a_checkpoint(
        tmp_path, "deepspeed", "SIGTERM", whom
    )


@pytest.mark.parametrize("layout", STAGES, ids=stage_id)
def test_fewer_samples_than_processes_are_validated(tmp_path: Path, layout: Layout) -> None:
    few = {"eval_samples": 1, "steps": 3, "kv_heads": 2}
    expected, found = [train(project(tmp_path / a.strategy, a), a, **few) for a in (DDP, layout)]
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)


ADD_ONS = ("activation-checkpointing", "async-checkpoints", "ema", "keep-best", "profiler")


@pytest.mark.parametrize("layout", [STAGES[0], STAGES[2]], ids=stage_id)
def test_add_ons_do_what_they_do_under_ddp_and_go_on_to_the_bit(
    tmp_path: Path, layout: Layout
) -> None:
    settings = RATE | {"ema_decay": 0.9, "keep_products": True}
    before, folder = [project(tmp_path / a.strategy, a, feature=ADD_ONS) for a in (DDP, layout)]
    expected, whole = train(before, DDP, **settings), train(folder, layout, **settings)
    equal(whole, expected)
    found = go_on(folder, layout, whole, **settings)
    assert found.losses == whole.losses[10:] and found.scores == whole.scores[1:]
    assert all(torch.equal(found.weights[name], whole.weights[name]) for name in whole.weights)
