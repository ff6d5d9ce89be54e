"""A generated project's own processes: how a run ends of which nothing can come."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from projects import Run
from test_add import edit


def train(folder: Path, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"} | extra,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_twenty_steps_that_are_nan_end_a_run_in_two_lines(litgen: Run, tmp_path: Path) -> None:
    litgen("new", "proj", "-y")
    folder = tmp_path / "proj"
    edit(folder / "data.py", "= self.images[index]", '= self.images[index] * float("nan")')
    done = train(folder, "--batch-size", "4", "--save-every", "25")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "20 steps in a row had a gradient that is not finite",
        "  fix: look for nan in the data, or lower --learning-rate",
    ]
    assert "step 1 was skipped: its gradient is not finite (nan)\n" in done.stdout
    assert "step 16 was skipped" in done.stdout and "step 32" not in done.stdout
    assert not (folder / "runs/proj/checkpoints").exists(), "there is nothing worth to be kept"


def test_a_run_without_its_data_leaves_nothing_behind(litgen: Run, tmp_path: Path) -> None:
    litgen("new", "proj", "--data", "text", "-y")
    done = train(tmp_path / "proj", "--data", "nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "no file or folder 'nowhere'",
        "  fix: give one that exists with --data",
    ]
    assert list((tmp_path / "proj/runs").iterdir()) == []


def test_xla_says_what_it_needs_where_it_cannot_run(litgen: Run, tmp_path: Path) -> None:
    litgen("new", "proj", "--strategy", "xla", "-y")
    install = (
        "fix: pip install torch==2.9.0 torch_xla==2.9.0    # on a TPU: 'torch_xla[tpu]==2.9.0'"
    )
    (tmp_path / "torch_xla-2.5.0.dist-info").mkdir()
    (tmp_path / "torch_xla-2.5.0.dist-info/METADATA").write_text("Name: torch_xla\nVersion: 2.5.0")
    told = {
        "torch_xla 2.5.0 loads beside torch 2.5, and this is torch": {"PYTHONPATH": str(tmp_path)},
        "xla is one process for all devices, and this is one of several": {"WORLD_SIZE": "2"},
    }
    if not find_spec("torch_xla"):
        told["the strategy xla needs torch_xla, which is not installed"] = {}
    for found, environment in told.items():
        done = train(tmp_path / "proj", **environment)
        message, fix = done.stderr.splitlines()
        assert (done.returncode, message.startswith(found)) == (1, True), done.stderr
        assert fix.strip() == ("fix: python train.py" if "WORLD_SIZE" in environment else install)
    assert not (tmp_path / "proj/runs").exists()
