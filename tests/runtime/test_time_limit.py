"""A run leaves before its time is up, and goes on from there."""

import json
import signal

import pytest
from matrix.test_matrix import generate
from projects_trained import ended

from runtime import time_limit
from runtime.time_limit import TimeLimit


@pytest.fixture
def heard():
    """Whether SIGTERM has come."""
    numbers = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def steps_until_heard(monkeypatch, heard, minutes, times):
    """After which of these times of steps, in seconds from the beginning, it asks to stop."""
    limit = TimeLimit(minutes)
    for time in times:
        monkeypatch.setattr(
            time_limit.time, "monotonic", lambda time=time: time_limit._BEGAN + time
        )
        limit()
        if heard:
            return time
    return None


def test_twice_the_longest_step_is_left_for_the_last_ones(monkeypatch, heard):
    times = [100, 101, 102, 106, 107, 108, 109, 110, 111, 112, 113, 114]  # one took 4 s
    assert steps_until_heard(monkeypatch, heard, 2, times) == 113


def test_it_asks_once_and_never_without_a_limit(monkeypatch, heard):
    assert steps_until_heard(monkeypatch, heard, 0, [1e3, 1e6, 1e9]) is None
    limit = TimeLimit(1)
    monkeypatch.setattr(time_limit.time, "monotonic", lambda: time_limit._BEGAN + 61)
    limit()
    limit()
    assert heard == [signal.SIGTERM]


def test_a_run_that_reaches_its_limit_is_saved_and_ends_as_if_signalled(tmp_path):
    project = generate(tmp_path / "p", strategy="ddp", feature=("time-limit",))
    endless = {"steps": 10_000_000, "eval_every": 10_000_000, "save_every": 10_000_000}
    codes = ended(project, "cnn", 2, **endless, max_minutes=1e-6)
    assert codes == [143, 143]
    (saved,) = (project / "runs/run/checkpoints").iterdir()
    lines = (project / "runs/run/metrics.jsonl").read_text().splitlines()
    assert saved.name == f"step-{json.loads(lines[-1])['step']:08d}"
