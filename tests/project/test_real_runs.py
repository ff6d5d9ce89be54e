"""A generated project's own processes: how a run ends of which nothing can come."""

import os
import subprocess
import sys
from pathlib import Path

from projects import Run
from test_add import edit


def train(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
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
