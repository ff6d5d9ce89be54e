"""What has to stay true, whatever you change: each test trains for some steps, in processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

PROJECT = Path(__file__).parents[1]
# Two sums of the same numbers in another order differ by this much.
TOLERANCE = 1e-4


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """A small run of 12 steps, with checkpoints on the way."""
    small: list[str] = []
    every = ["--eval-every", "6", "--save-every", "3", "--log-every", "1"]
    return [*small, *every, "--steps", "12", "--warmup", "2"]


def start(folder: Path, *arguments: str, processes: int = 1) -> subprocess.Popen[bytes]:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        command += [str(processes)]
    command += [str(PROJECT / "train.py"), *arguments]
    # On the CPU: any number of processes share it, and its sums come out the same every time.
    environment = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, cwd=folder, env=os.environ | environment)


def train(folder: Path, *arguments: str, processes: int = 1) -> None:
    assert start(folder, *arguments, processes=processes).wait(timeout=300) == 0


def metrics(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = (folder / "runs" / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def values(folder: Path, name: str, *keys: str) -> list[float]:
    return [line[key] for line in metrics(folder, name) for key in keys if key in line]


def test_a_few_steps_of_everything(tmp_path: Path, settings: list[str]) -> None:
    train(tmp_path, *settings, "--name", "smoke", "--fast")
    run = tmp_path / "runs" / "smoke-fast"
    assert {path.name for path in run.iterdir()} >= {
        "checkpoints",
        "config.toml",
        "loss.svg",
        "metrics.jsonl",
        "weights.pt",
    }
    assert "val_loss" in metrics(tmp_path, "smoke-fast")[-1]


def test_a_killed_run_goes_on_to_the_bit(tmp_path: Path, settings: list[str]) -> None:
    processes = 1
    settings += ["--batch-size", "4", "--accumulate", "2", "--workers", "2", "--dropout", "0.1"]
    train(tmp_path, *settings, "--name", "whole", processes=processes)
    killed = start(tmp_path, *settings, "--name", "killed", processes=processes)
    checkpoints = tmp_path / "runs" / "killed" / "checkpoints"
    while not list(checkpoints.glob("step-*")):
        assert killed.poll() is None
        time.sleep(0.01)
    main_process = int((checkpoints.parent / ".lock").read_text().split()[0])
    os.kill(main_process, signal.SIGKILL)
    assert killed.wait(timeout=300) != 0
    train(tmp_path, *settings, "--name", "killed", processes=processes)

    columns = ("loss", "norm", "val_loss")
    assert values(tmp_path, "killed", *columns) == values(tmp_path, "whole", *columns)
    whole, resumed = (
        torch.load(tmp_path / "runs" / name / "weights.pt") for name in ("whole", "killed")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_accumulation_equals_a_large_batch(tmp_path: Path, settings: list[str]) -> None:
    settings += ["--dropout", "0"]
    train(tmp_path, *settings, "--name", "large", "--batch-size", "8")
    train(tmp_path, *settings, "--name", "small", "--batch-size", "2", "--accumulate", "4")
    for column in ("loss", "val_loss"):
        large, small = (values(tmp_path, name, column) for name in ("large", "small"))
        assert small == pytest.approx(large, rel=TOLERANCE)
