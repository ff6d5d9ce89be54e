"""Further logs: told the same numbers, on the main process alone, and right after a resume."""

import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked import forked
from torch import nn

from runtime.errors import UserError
from runtime.log import Log
from runtime.log_tensorboard import TensorBoard
from runtime.log_wandb import WandB
from runtime.world import World


@dataclass
class Config:
    name: str = "trial"
    seed: int = 7
    widths: tuple[int, ...] = (8, 16)
    block: int | None = None


class Second(World):
    rank = 1


class Told:
    """A logger that remembers."""

    calls: list = []

    def __init__(self, folder, step, config):
        self.calls.append(("made", folder, step, config))

    def __call__(self, step, values):
        self.calls.append((step, values))

    def close(self):
        self.calls.append("closed")


def started(folder, step=0, *, also, world=None):
    log = Log(folder, 100, step, per_step=64, unit="img", world=world, also=also)
    log.start(Config(), nn.Linear(2, 2), "cpu")
    return log


def test_a_logger_is_made_at_the_start_told_every_line_and_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(Told, "calls", [])
    log = started(tmp_path, 30, also=[Told, Told])
    log(40, loss=math.nan, lr=0.5)
    log.finish(40)
    made = ("made", tmp_path, 30, Config())
    assert Told.calls[:2] == [made, made] and Told.calls[4:] == ["closed", "closed"]
    step, values = Told.calls[2]
    assert step == 40 and math.isnan(values["loss"]) and values["lr"] == 0.5


def test_other_processes_make_no_logger(tmp_path, monkeypatch):
    monkeypatch.setattr(Told, "calls", [])
    log = started(tmp_path, also=[Told], world=Second())
    log(1, loss=1.0)
    log.finish(1)
    assert Told.calls == []


@pytest.mark.parametrize(
    ("kind", "hidden", "package"),
    [(TensorBoard, "torch.utils.tensorboard", "tensorboard"), (WandB, "wandb", "wandb")],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    tmp_path, monkeypatch, kind, hidden, package
):
    monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(UserError, match=rf"{hidden}.*\n  fix: pip install {package}$"):
        started(tmp_path, also=[kind])


def shown(folder):
    """The values that TensorBoard shows, by name and step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: {e.step: e.value for e in events.Scalars(name)} for name in names}


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    killed = started(tmp_path, also=[TensorBoard])
    for step in (10, 20, 30):
        killed(step, loss=float(step))
    assert shown(tmp_path) == {"loss": {10: 10.0, 20: 20.0, 30: 30.0}}  # before it is closed
    resumed = started(tmp_path, 20, also=[TensorBoard])
    resumed(40, loss=1.0, val_loss=2.0)
    resumed.finish(40)
    assert shown(tmp_path) == {"loss": {10: 10.0, 20: 20.0, 40: 1.0}, "val_loss": {40: 2.0}}
    killed.finish(30)


def test_tensorboard_forgets_what_was_logged_before_the_first_checkpoint(tmp_path):
    killed = started(tmp_path, also=[TensorBoard])
    killed(1, loss=1.0)
    again = started(tmp_path, also=[TensorBoard])
    again(2, loss=2.0)
    again.finish(2)
    assert shown(tmp_path) == {"loss": {2: 2.0}}
    killed.finish(1)


def logged(folder, step, environment):
    """A step logged to wandb; the error that ends it, if one does."""
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    home = {name: str(folder / "home") for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR")}
    os.environ |= home | environment
    Path("runs/trial").mkdir(parents=True, exist_ok=True)
    try:
        log = started(Path("runs/trial"), step, also=[WandB])
    except UserError as error:
        return str(error)
    log(40, loss=1.5)
    log.finish(40)
    return ""


def with_wandb(folder, step=0, **environment):
    return forked(1, logged, folder, step, environment)[0]


def test_wandb_is_offline_within_the_run_and_resumes_the_same_one(tmp_path):
    for step in (0, 30):
        with_wandb(tmp_path, step)
    runs = list((tmp_path / "runs" / "trial" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 2 and len({run.name for run in runs}) == 1
    for run in runs:
        assert re.search(rb"step.*40.*loss.*1\.5", run.read_bytes(), re.S)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "runs"]


def test_wandb_can_be_turned_off_from_outside(tmp_path):
    with_wandb(tmp_path, WANDB_MODE="disabled")
    assert not list(tmp_path.glob("runs/trial/wandb/*run-*"))


def test_wandb_without_a_key_is_told(tmp_path):
    message = with_wandb(tmp_path, WANDB_MODE="online")
    assert message.endswith("\n  fix: wandb login    # or WANDB_MODE=offline")


SIGNALLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from test_loggers import *
log = started(Path("runs/trial"), also=[WandB])
log(40, loss=1.5)
me = Path("/proc", str(os.getpid()), "task")
for child in {{pid for task in me.iterdir() for pid in (task / "children").read_text().split()}}:
    os.kill(int(child), signal.SIGTERM)
for step in range(41, 100):
    log(step, loss=1.0)
log.finish(99)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="finds wandb's process in /proc")
def test_a_signal_that_ends_wandbs_process_does_not_end_the_run(tmp_path):
    (tmp_path / "runs" / "trial").mkdir(parents=True)
    paths = [str(Path(__file__).parent), *(str(Path(__file__).parents[up]) for up in (2, 1))]
    result = subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(paths=paths)],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0
    assert all(line.startswith("wandb: ") for line in result.stderr.splitlines()), result.stderr
    assert result.stdout.count("wandb logs no more") == 1
    assert len((tmp_path / "runs/trial/metrics.jsonl").read_text().splitlines()) == 60
