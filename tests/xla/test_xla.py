"""The strategy xla on the CPU, which stands for one device and for four. `make xla` runs these."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from matrix.test_matrix import generate
from projects import Run
from test_add import edit

pytestmark = pytest.mark.xla
ROOT = Path(__file__).parents[2]
EVERY = ["--warmup=2", "--log-every=1", "--eval-every=10", "--save-every=5", "--workers=0"]
GPT = [*EVERY, "--width=32", "--depth=1", "--block=32", "--eval-samples=9", "--batch-size=8"]
GPT += [f"--data={ROOT / 'runtime'}", "--pattern=*.py"]
LAYOUTS = [(1, 1), (4, 1), (4, 2), (4, 4)]  # devices, and how many hold a copy together
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # to compile, which takes longest
PATIENCE_S = 900


def start(project: Path, *words: str, devices: int = 1) -> subprocess.Popen[str]:
    given = {word.partition("=")[0]: word for word in words}  # of an option that comes last
    script = [] if words[0].endswith(".py") else ["train.py"]
    return subprocess.Popen(
        [sys.executable, *script, *given.values()],
        cwd=project,
        env=os.environ | on(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def on(devices: int) -> dict[str, str]:
    alone = {"PYTHONPATH": "", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning"}
    return alone | QUICK | {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": str(devices)}


def train(project: Path, *words: str, devices: int = 1) -> str:
    run = start(project, *words, devices=devices)
    said, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, errors
    return said


def values(project: Path, name: str, *keys: str) -> list[float]:
    lines = (project / "runs" / name / "metrics.jsonl").read_text().splitlines()
    return [line[key] for line in map(json.loads, lines) for key in keys if key in line]


def weights(project: Path, name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(project / "runs" / name / "weights.pt")
    return found


def learnt_alike(one: Path, one_name: str, other: Path, other_name: str) -> None:
    for key in ("loss", "norm", "val_loss"):
        found, expected = values(one, one_name, key), values(other, other_name, key)
        assert found == pytest.approx(expected, rel=1e-4), key
    found, expected = weights(one, one_name), weights(other, other_name)
    assert found.keys() == expected.keys()
    # A key's bias changes nothing: its gradient is rounding, of which AdamW makes whole steps.
    for name in (name for name in expected if not name.endswith("key.bias")):
        assert torch.allclose(found[name], expected[name], rtol=0, atol=2e-4), name


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Projects by their choices, each made once."""

    @cache
    def project(**choices: str) -> Path:
        return generate(tmp_path_factory.mktemp("project"), **choices)

    return project


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize(("devices", "shard"), LAYOUTS)
def test_it_learns_what_single_learns(
    projects: Any, devices: int, shard: int, accumulate: int
) -> None:
    single, xla = projects(model="gpt"), projects(model="gpt", strategy="xla")
    run = [*GPT, "--steps=20", f"--accumulate={accumulate}"]
    alone, name = f"alone{accumulate}", f"run{devices}-{shard}-{accumulate}"
    if not (single / "runs" / alone).exists():
        train(single, *run, f"--name={alone}")
    train(xla, *run, f"--name={name}", f"--shard={shard}", devices=devices)
    learnt_alike(xla, name, single, alone)


@pytest.mark.parametrize("model", ["cnn", "vit"])
def test_images_are_learnt_as_under_single(projects: Any, model: str) -> None:
    small = ["--widths=8,16", "--depth=1"] if model == "cnn" else ["--width=16", "--depth=1"]
    # 6 samples are shared by 4 devices, and the last batch of the validation by fewer than all.
    run = [*EVERY, *small, "--dropout=0", "--steps=5", "--batch-size=6", "--name=run"]
    single, xla = projects(model=model), projects(model=model, strategy="xla")
    train(single, *run)
    train(xla, *run, "--shard=2", devices=4)
    learnt_alike(xla, "run", single, "run")


def test_the_project_s_own_tests_pass(projects: Any) -> None:
    project = projects(model="gpt", strategy="xla")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": ""} | QUICK,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(("devices", "shard"), [(1, 1), (4, 2)])
def test_a_killed_run_goes_on_to_the_bit(projects: Any, devices: int, shard: int) -> None:
    project, whole, killed = projects(model="gpt", strategy="xla"), f"w{devices}", f"k{devices}"
    run = [*GPT, "--steps=15", "--dropout=0.1", "--accumulate=2", f"--shard={shard}"]
    train(project, *run, f"--name={whole}", devices=devices)
    victim = start(project, *run, f"--name={killed}", devices=devices)
    while not list((project / "runs" / killed / "checkpoints").glob("step-*")):
        assert victim.poll() is None
        time.sleep(0.01)
    victim.kill()
    victim.communicate(timeout=PATIENCE_S)
    assert "resumed from step" in train(project, *run, f"--name={killed}", devices=devices)
    columns = ("loss", "norm", "val_loss")
    assert values(project, killed, *columns) == values(project, whole, *columns)
    expected, found = weights(project, whole), weights(project, killed)
    assert all(torch.equal(expected[name], found[name]) for name in expected | found)


def test_a_signal_ends_a_run_with_a_checkpoint(projects: Any) -> None:
    project = projects(model="gpt", strategy="xla")
    run = start(project, *GPT, "--steps=100000", "--save-every=100000", "--name=told", devices=4)
    log = project / "runs/told/metrics.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    said, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 128 + signal.SIGTERM
    last = json.loads(log.read_text().splitlines()[-1])["step"]
    assert [path.name for path in log.with_name("checkpoints").iterdir()] == [f"step-{last:08d}"]
    assert f"saved step {last} of 100000" in said


OWNERS = ("log.start(config, model,", "net = model\n    log.start(config, net,")


@pytest.mark.parametrize("before", ["single", "fsdp"])
def test_an_edited_project_goes_on_under_xla_and_back(
    litgen: Run, projects: Any, tmp_path: Path, before: str
) -> None:
    single = projects(model="gpt")
    train(single, *GPT, "--steps=20", "--save-every=5", f"--name=as-{before}")
    assert litgen("new", "proj", "--model=gpt", f"--strategy={before}", "-y").returncode == 0
    project = tmp_path / "proj"
    edit(project / "train.py", *OWNERS)
    run = [*GPT, "--steps=20", "--name=run"]

    def up_to(step: int, **how: int) -> None:
        going = [*run, f"--eval-every={10}"]
        edit(project / "train.py", "stop.requested()", f"stop.requested() or step == {step}")
        train_until(project, step, *going, **how)
        edit(project / "train.py", f"stop.requested() or step == {step}", "stop.requested()")

    up_to(5)
    added = litgen("add", "strategy", "xla", cwd=project)
    assert added.returncode == 0, added.stderr
    up_to(10, devices=4)
    up_to(15, devices=1)
    removed = litgen("remove", "strategy", "xla", cwd=project)
    assert removed.returncode == 0, removed.stderr
    train(project, *run)
    assert OWNERS[1] in (project / "train.py").read_text()
    learnt_alike(project, "run", single, f"as-{before}")


def train_until(project: Path, step: int, *words: str, devices: int = 1) -> None:
    """Up to a step of a longer run, at which the project's owner has it stop."""
    run = start(project, *words, devices=devices)
    said, errors = run.communicate(timeout=PATIENCE_S)
    assert f"saved step {step} of 20" in said, errors


COUNTED = """
import sys, train, config
import torch_xla.debug.metrics as metrics

class Counted(train.Progress):
    def __call__(self, step, norm):
        super().__call__(step, norm)
        print("compiled", metrics.metric_data("CompileTime")[0])

train.Progress = Counted
sys.exit(train.main(train.load_config(config.Config)))
"""


@pytest.mark.parametrize("shard", [1, 2])
def test_nothing_is_compiled_anew_once_all_was_seen(projects: Any, shard: int) -> None:
    project = projects(model="gpt", strategy="xla")
    (project / "counted.py").write_text(COUNTED)
    run = [*GPT, "--accumulate=2", "--steps=14", "--eval-every=4", "--save-every=4", "--keep=9"]
    said = train(project, "counted.py", *run, f"--name=c{shard}", f"--shard={shard}", devices=4)
    counts = [int(line.split()[1]) for line in said.splitlines() if line.startswith("compiled")]
    # Steps 1 and 2 differ, as the optimizer's state is new; step 4 is the first to be validated.
    assert len(counts) == 14 and counts[0] < counts[3]
    assert len({*counts[3:]}) == 1, counts


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 2e-2), ("bf16-true", 1e-1)])
def test_it_trains_in_16_bits(projects: Any, precision: str, tolerance: float) -> None:
    found = []
    for strategy in ("single", "xla"):
        project = projects(model="gpt", strategy=strategy, precision=precision)
        train(project, *GPT, "--steps=20", "--name=run", devices=4)
        found.append(values(project, "run", "loss"))
    single, xla = found
    assert xla[-1] < xla[0] - 0.3
    assert xla == pytest.approx(single, rel=tolerance)


def test_add_ons_go_with_it(projects: Any) -> None:
    features = ("async-checkpoints", "early-stopping", "ema", "keep-best", "safetensors")
    features += ("schedule", "time-limit")
    project = projects(model="gpt", strategy="xla", feature=features)
    single = projects(model="gpt", feature=features)
    for each, devices in ((single, 1), (project, 4)):
        train(each, *GPT, "--steps=10", "--eval-every=5", "--name=run", devices=devices)
    learnt_alike(project, "run", single, "run")
