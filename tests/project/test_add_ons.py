"""Projects with add-ons as a user runs them: each does what it is for, and resume stays exact."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from matrix.test_matrix import generate, metrics
from projects import paired_projects, project_id

from litgen_torch.answers import Answers
from litgen_torch.catalog import questions
from runtime.errors import UserError
from runtime.schedule import wsd

RUN = {"steps": 10, "warmup": 2, "eval_every": 5, "save_every": 2, "log_every": 1}
RUN |= {"batch_size": 4, "accumulate": 2, "workers": 2, "dropout": 0.1}
SMALL_GPT = {"width": 32, "depth": 2, "block": 32, "eval_samples": 9, "pattern": "*.py"}
ADD_ONS = {q.name: tuple(c.value for c in q.choices) for q in questions() if q.many}


@pytest.fixture(autouse=True)
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than all the rest; the tests of it take it back."""
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")


def start(project: Path, name: str, processes: int, **settings: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "error::UserWarning"]
    if "TORCH_COMPILE_DISABLE" not in os.environ:
        command = [sys.executable]  # the compiler warns itself, and does not show it
    if processes > 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={processes}"]
    words = [f"{key}={value}" for key, value in (RUN | settings | {"name": name}).items()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "train.py", *words], cwd=project, env=environment, start_new_session=True
    )


def train(project: Path, name: str, processes: int = 1, **settings: object) -> None:
    assert start(project, name, processes, **settings).wait(400) == 0


def train_killed(project: Path, name: str, processes: int = 1, **settings: object) -> None:
    """The same with a kill -9 on the way, once there is a checkpoint."""
    run = start(project, name, processes, **settings)
    while not list((project / f"runs/{name}/checkpoints").glob("step-*")):
        assert run.poll() is None
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    train(project, name, processes, **settings)


def weights(project: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(project / f"runs/{name}/weights.pt", weights_only=True)


def resumes_to_the_bit(project: Path, processes: int = 1, **settings: object) -> None:
    train(project, "whole", processes, **settings)
    train_killed(project, "killed", processes, **settings)
    assert [line["step"] for line in metrics(project, "whole")] == list(range(1, 11))
    assert metrics(project, "killed") == metrics(project, "whole")
    whole, killed = weights(project, "whole"), weights(project, "killed")
    assert all(torch.equal(whole[name], killed[name]) for name in whole | killed)


def test_all_of_them_train_together_and_resume_to_the_bit(tmp_path: Path) -> None:
    project = generate(tmp_path, **ADD_ONS)
    resumes_to_the_bit(project, schedule="wsd", learning_rate=0.003)
    run = project / "runs/killed"

    lines = metrics(project, "killed")
    assert [line["lr"] for line in lines] == [0.003 * wsd(step, 2, 10) for step in range(10)]
    scores = [line for line in lines if "val_loss" in line]
    assert [line["step"] for line in scores] == [5, 10]
    assert all(line["val_accuracy"] <= line["val_top3"] <= 1 for line in scores)
    assert events(run / "tensorboard") == told(lines)
    assert len(list((run / "wandb").glob("offline-run-*"))) == 2
    assert list(run.glob("trace-*.json")) and list(run.glob("profile-*.txt"))

    best = min(scores, key=lambda line: line["val_loss"])
    about = json.loads((run / f"checkpoints/step-{best['step']:08d}/run.json").read_text())
    assert about["score"] == best["val_loss"]
    kept = {int(path.name[5:]) for path in (run / "checkpoints").iterdir()}
    assert kept == {8, 10, best["step"]}

    final, found = weights(project, "killed"), run / "checkpoints/step-00000010"
    assert all(
        torch.equal(value, final[name]) for name, value in saved(found, "ema.average", final)
    )
    assert any(not torch.equal(value, final[name]) for name, value in saved(found, "model", final))
    command = [sys.executable, "-m", "runtime.safetensors", "runs/killed", "--to", "exported.pt"]
    subprocess.run(command, cwd=project, check=True, timeout=100)
    exported = torch.load(project / "exported.pt", weights_only=True)
    assert all(torch.equal(exported[name], final[name]) for name in exported | final)


def test_a_signal_waits_for_the_checkpoint_that_is_written_in_the_background(
    tmp_path: Path,
) -> None:
    project = generate(tmp_path, feature=("async-checkpoints",))
    run = start(project, "run", 1, steps=10**5, save_every=1, eval_every=10**5, workers=0)
    while not list((project / "runs/run/checkpoints").glob("step-*")):
        assert run.poll() is None
        time.sleep(0.01)
    run.terminate()
    assert run.wait(100) == 128 + signal.SIGTERM
    saved = sorted(path.name for path in (project / "runs/run/checkpoints").iterdir())
    assert saved[-1] == f"step-{metrics(project, 'run')[-1]['step']:08d}"


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_waits_until_the_last_checkpoint_is_in_the_other_place(
    tmp_path: Path, processes: int
) -> None:
    features = ("async-checkpoints", "remote-checkpoints")
    project = generate(tmp_path / "p", strategy="ddp", feature=features)
    endless = {"steps": 10**5, "save_every": 1, "eval_every": 10**5, "workers": 0}
    run = start(project, "run", processes, remote=tmp_path / "there", **endless)
    while not list((tmp_path / "there/run").glob("step-*/run.json")):
        assert run.poll() is None
        time.sleep(0.01)
    run.terminate()
    assert run.wait(100) != 0
    last = metrics(project, "run")[-1]["step"]
    assert (tmp_path / f"there/run/step-{last:08d}/run.json").exists()
    # Another machine goes on from there.
    (project / "runs").rename(project / "gone")
    train(project, "run", processes, remote=tmp_path / "there", **endless | {"steps": last + 2})
    assert [line["step"] for line in metrics(project, "run")] == [last + 1, last + 2]


def events(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows: names, steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    names = accumulator.Tags()["scalars"]
    return {name: {e.step: e.value for e in accumulator.Scalars(name)} for name in names}


def told(lines: list[dict[str, float]]) -> dict[str, dict[int, float]]:
    """The same of metrics.jsonl, in the 32 bits that TensorBoard keeps."""
    table: dict[str, dict[int, float]] = {}
    for line in lines:
        for name in line.keys() - {"step"}:
            value = torch.tensor(line[name], dtype=torch.float32).item()
            table.setdefault(name, {})[int(line["step"])] = value
    return table


def saved(
    checkpoint: Path, group: str, like: dict[str, torch.Tensor]
) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a group in a checkpoint, by the names of these."""
    found = {f"{group}.{name}": torch.empty_like(value) for name, value in like.items()}
    with warnings.catch_warnings(action="ignore"):  # that it is done in one process
        dcp.load(found, storage_reader=dcp.FileSystemReader(checkpoint), no_dist=True)
    return [(name, found[f"{group}.{name}"]) for name in like]


@pytest.mark.slow
def test_two_processes_measure_and_stop_as_one_does(tmp_path: Path) -> None:
    features = ("early-stopping", "ema", "metrics")
    project = generate(tmp_path, strategy="ddp", feature=features)
    settings = {"learning_rate": 1e-12, "patience": 1, "eval_every": 2, "dropout": 0}
    train(project, "one", **settings)
    train(project, "two", processes=2, **settings)
    train(project, "two", processes=2, **settings)  # it stays as it ended
    assert "steps = 10" in (project / "runs/two/config.toml").read_text()
    for name in ("val_accuracy", "val_top3", "val_f1"):
        one, two = ([line.get(name) for line in metrics(project, run)] for run in ("one", "two"))
        assert one == two == [None, one[1], None, one[3]], name
    assert weights(project, "two").keys() == weights(project, "one").keys()


def test_a_missing_torchmetrics_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = generate(tmp_path, feature=("metrics",))
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(UserError, match=r"torchmetrics.*\n  fix: pip install torchmetrics$"):
        exec((project / "metrics.py").read_text(), {})


def test_metrics_that_agree_in_the_first_batch_do_not_share_their_counts(tmp_path: Path) -> None:
    project = generate(tmp_path, feature=("metrics",))
    names: dict[str, Any] = {}
    exec((project / "metrics.py").read_text(), names)
    measured = names["val_metrics"](SimpleNamespace(classes=list("abcdef")))
    measured.update(torch.eye(6)[:1], torch.tensor([0]))  # right, by both measures
    measured.update(torch.tensor([[3.0, 2, 1, 0, 0, 0]]), torch.tensor([1]))  # the second best is
    assert measured.compute()["val_top3"] == 1
    assert measured.compute()["val_f1"] == pytest.approx((2 / 3 + 0) / 2)


@pytest.mark.slow
def test_a_project_s_own_tests_pass_with_all_of_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    project = generate(tmp_path, **ADD_ONS)
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=1200)
    assert "\n3 passed in " in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("answers", paired_projects(), ids=project_id)
def test_any_two_of_them_train_and_resume_to_the_bit(tmp_path: Path, answers: Answers) -> None:
    if answers["strategy"] == "xla":  # which needs another torch: tests/xla
        answers |= {"strategy": "single"}
    project = generate(tmp_path / "p", **answers)
    processes = 1 if answers["strategy"] == "single" else 2
    resumes_to_the_bit(project, processes, **small(project, answers))


def small(project: Path, answers: Answers) -> dict[str, object]:
    """Settings with which it has something to learn from, and soon has."""
    if answers["data"] == "folder":
        from PIL import Image

        for i in range(24):
            name = project / "images" / "ab"[i % 2] / f"{i}.png"
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((20, 20), 60 + i).save(name)
        return {"image_size": 16}
    if answers["data"] in ("text", "shards"):
        vocabulary = {"vocab_size": 300} if answers["tokenizer"] == "bpe" else {}
        return SMALL_GPT | {"data": project / "runtime"} | vocabulary
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["single", "ddp", "fsdp"])
@pytest.mark.parametrize("model", ["cnn", "gpt"])
def test_a_compiled_model_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, model: str
) -> None:
    features = ("activation-checkpointing", "compile")
    project = generate(tmp_path, strategy=strategy, model=model, feature=features)
    settings = SMALL_GPT | {"data": project / "runtime"} if model == "gpt" else {}
    settings |= {"dropout": 0, "processes": 1 if strategy == "single" else 2}
    train(project, "plain", **settings)
    monkeypatch.delenv("TORCH_COMPILE_DISABLE")
    train(project, "compiled", **settings)
    for column in ("loss", "val_loss"):
        plain, compiled = (
            [line[column] for line in metrics(project, name) if column in line]
            for name in ("plain", "compiled")
        )
        assert compiled == pytest.approx(plain, rel=1e-4)
    assert weights(project, "compiled").keys() == weights(project, "plain").keys()
