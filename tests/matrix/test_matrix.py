"""Every task under every strategy and precision: it trains, and resumes to the bit after kill -9.

Real processes, as a user starts them; `make matrix` runs it. The quick tests take one of them.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from litgen_torch.answers import complete, with_defaults
from litgen_torch.catalog import questions
from litgen_torch.render import render

TASKS = {
    "cnn": {"model": "cnn"},
    "vit": {"model": "vit"},
    "gpt": {"model": "gpt"},
    "gpt-bpe": {"model": "gpt", "tokenizer": "bpe"},
    "gpt-shards": {"model": "gpt", "data": "shards"},
    "gpt-shards-bpe": {"model": "gpt", "data": "shards", "tokenizer": "bpe"},
}
STRATEGIES = ("single", "ddp", "fsdp")
PRECISIONS = ("fp32", "bf16", "fp16", "tf32", "bf16-true", "float8", "fp64")
QUICK = ("gpt-bpe", "fsdp", "fp16")
CASES = [
    pytest.param(*case, marks=() if case == QUICK else pytest.mark.slow, id="-".join(case))
    for case in ((t, s, p) for t in TASKS for s in STRATEGIES for p in PRECISIONS)
    if "shards" not in case[0] and case != ("cnn", case[1], "float8")
]
# Strategies of groups of processes, each once: tests/runtime/test_parity.py has all of them. And
# streamed data, which tests/runtime/test_stream.py has kept to the bit in a quick test.
CASES += [
    pytest.param(*case, marks=pytest.mark.slow, id="-".join(case))
    for case in [
        ("cnn", "hsdp", "bf16"),
        ("vit", "tp", "fp32"),
        ("gpt", "fsdp-tp", "fp16"),
        ("gpt-bpe", "cp", "bf16"),
        ("gpt-shards", "single", "fp32"),
        ("gpt-shards", "fsdp-tp", "fp32"),
        ("gpt-shards-bpe", "ddp", "bf16"),
        ("gpt-shards-bpe", "hsdp", "fp16"),
        ("gpt", "pp", "bf16"),
    ]
]
RUN = ["--steps=10", "--warmup=2", "--eval-every=5", "--save-every=2", "--log-every=1"]
RUN += ["--batch-size=4", "--accumulate=2", "--workers=2", "--dropout=0.1"]
SMALL_GPT = ["--width=32", "--depth=2", "--block=32", "--eval-samples=9", "--pattern=*.py"]


def generate(folder: Path, **choices: str) -> Path:
    """Write a project with these choices, without its record, as a user's copy would be."""
    answers = complete(questions(), choices)
    seen = {"project_name": "p", **with_defaults(questions(), answers)}
    for path, text in render(seen).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def start(project: Path, *arguments: str, processes: int = 1) -> subprocess.Popen[bytes]:
    given = {argument.partition("=")[0] for argument in arguments}
    usual = [argument for argument in RUN if argument.partition("=")[0] not in given]
    command = [sys.executable, "-W", "error::UserWarning", "train.py", *usual, *arguments]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *launcher, *command[3:]]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=project, env=environment, start_new_session=True)


def metrics(project: Path, name: str) -> list[dict[str, float]]:
    text = (project / "runs" / name / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def wait_for_a_step(process: subprocess.Popen[bytes], log: Path, step: int) -> None:
    """Wait until the step is in the log, or a later one, and then for any part of a step more."""
    while not log.exists() or not any(
        json.loads(line)["step"] >= step for line in log.read_text().splitlines(True)[:-1]
    ):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    time.sleep(random.random() / 20)


def parent(pid: int) -> int:
    """The process that started this one; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descendants(pid: int) -> list[int]:
    """All that a process started, and they did: torchrun's workers have sessions of their own."""
    everyone = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    children = [other for other in everyone if parent(other) == pid]
    return children + [below for child in children for below in descendants(child)]


def settings(project: Path, task: str) -> list[str]:
    if "gpt" not in task:
        return []
    vocabulary = ["--vocab-size=300"] if "bpe" in task else []
    return [*SMALL_GPT, f"--data={project / 'runtime'}", *vocabulary]


@pytest.mark.parametrize(("task", "strategy", "precision"), CASES)
def test_it_trains_and_resumes_to_the_bit(
    tmp_path: Path, task: str, strategy: str, precision: str
) -> None:
    project = generate(tmp_path / "p", **TASKS[task], strategy=strategy, precision=precision)
    small = settings(project, task)
    processes = 1 if strategy == "single" else 2
    assert start(project, *small, "--name=whole", processes=processes).wait(240) == 0

    for victim in ("one that trains", "all"):
        killed = start(project, *small, "--name=killed", processes=processes)
        wait_for_a_step(killed, project / "runs/killed/metrics.jsonl", random.randint(1, 8))
        tree = [killed.pid, *descendants(killed.pid)]
        trainers = [pid for pid in tree if parent(pid) == killed.pid] if processes > 1 else tree[:1]
        for pid in [random.choice(trainers)] if victim == "one that trains" else tree:
            os.kill(pid, signal.SIGKILL)
        assert killed.wait(120) != 0
    assert start(project, *small, "--name=killed", processes=processes).wait(240) == 0

    whole = metrics(project, "whole")
    assert [line["step"] for line in whole] == list(range(1, 11))
    assert whole[-1]["val_loss"] is not None
    assert metrics(project, "killed") == whole
    weights, resumed = (
        torch.load(project / "runs" / name / "weights.pt", weights_only=True)
        for name in ("whole", "killed")
    )
    assert all(torch.equal(weights[name], resumed[name]) for name in weights | resumed)


SIGNALS = [("single", "SIGUSR1", "all"), ("ddp", "SIGTERM", "all")]
SIGNALS += [
    pytest.param(strategy, number, whom, marks=pytest.mark.slow)
    for strategy, whom in [("single", "all"), *(("ddp", w) for w in ("one", "all", "torchrun"))]
    for number in ("SIGTERM", "SIGUSR1", "SIGINT")
    if (strategy, number, whom) not in SIGNALS
]


@pytest.mark.parametrize(("strategy", "number", "whom"), SIGNALS)
def test_a_signal_to_any_of_its_processes_ends_a_run_with_a_checkpoint(
    tmp_path: Path, strategy: str, number: str, whom: str
) -> None:
    project = generate(tmp_path / "p", **TASKS["cnn"], strategy=strategy, precision="fp32")
    endless = ["--steps=100000", "--save-every=100000", "--eval-every=100000"]
    run = start(project, *endless, "--name=run", processes=1 if strategy == "single" else 2)
    wait_for_a_step(run, project / "runs/run/metrics.jsonl", 2)
    tree = [run.pid, *descendants(run.pid)]
    # Alone: it and two that load data. Else torchrun, and two that train with as many each.
    assert len(tree) >= (3 if strategy == "single" else 7)
    trains = [pid for pid in tree if parent(pid) == run.pid and descendants(pid)]
    signalled = {"all": tree, "torchrun": tree[:1], "one": [random.choice(trains or [0])]}[whom]
    for pid in signalled:
        os.kill(pid, signal.Signals[number])
    code = run.wait(120)
    assert code == 128 + signal.Signals[number] if strategy == "single" else code != 0
    deadline = time.monotonic() + 120
    while any(parent(pid) for pid in tree[1:]):  # torchrun may be gone before those that it started
        assert time.monotonic() < deadline, "some go on for ever"
        time.sleep(0.1)
    (saved,) = (project / "runs/run/checkpoints").iterdir()
    last = metrics(project, "run")[-1]["step"]
    assert saved.name == f"step-{last:08d}"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["cnn", "gpt"])
def test_strategies_have_equal_losses(tmp_path: Path, task: str) -> None:
    losses = {}
    for strategy, processes, batch in [
        ("single", 1, 8),
        ("ddp", 1, 8),
        ("ddp", 2, 4),
        ("fsdp", 1, 8),
        ("fsdp", 2, 4),
    ]:
        project = generate(tmp_path / f"{strategy}{processes}", **TASKS[task], strategy=strategy)
        data = settings(tmp_path / "single1", task)
        run = ["--dropout=0", "--accumulate=1", "--steps=20", f"--batch-size={batch}"]
        command = [*(argument for argument in RUN if argument.split("=")[0] not in str(run))]
        process = subprocess.run(
            [
                sys.executable,
                *(["-m", "torch.distributed.run", "--standalone"] if processes > 1 else []),
                *([f"--nproc-per-node={processes}"] if processes > 1 else []),
                "train.py",
                *command,
                *run,
                *data,
                "--name=run",
            ],
            cwd=project,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            timeout=240,
        )
        assert process.returncode == 0
        losses[strategy, processes] = [line["loss"] for line in metrics(project, "run")]
    for found in losses.values():
        assert found == pytest.approx(losses["single", 1], rel=1e-5)
