"""Some steps of a run are recorded, and then nothing more."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from runtime.log import Log
from runtime.profiler import Profiler
from runtime.world import World


class Second(World):
    rank = 1


def is_recording():
    return torch.autograd._profiler_enabled()


def run(folder, steps, *, first=0, until=None, world=None, **options):
    """A run of so many steps; during which of them the profiler was on."""
    log = Log(folder, steps, first, per_step=1, unit="img", world=world)
    profiler = Profiler(log, **options)
    model, recorded = nn.Linear(4, 4), []
    for step in range(first + 1, (until or steps) + 1):
        model(torch.ones(2, 4)).sum().backward()
        if is_recording():
            recorded.append(step)
        profiler.step()
    return profiler, recorded


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "metrics.jsonl")


def steps_in(trace):
    names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]
    return len({name for name in names if name.startswith("ProfilerStep")}), names


def test_a_few_steps_are_recorded_and_then_nothing_more(tmp_path, capsys):
    profiler, recorded = run(tmp_path, 20, skip=4, active=3)
    assert recorded == [6, 7, 8]  # 5 was to warm up
    assert files(tmp_path) == ["profile-00000008.txt", "trace-00000008.json"]
    steps, names = steps_in(tmp_path / "trace-00000008.json")
    assert steps == 3 and names.count("aten::addmm") == 3
    assert "aten::addmm" in (tmp_path / "profile-00000008.txt").read_text()
    told = capsys.readouterr().out  # operations, the one that took longest first
    assert re.match(r"profiled up to step 8: \w+::\S+.* \d+ %, ", told), told
    assert not is_recording()
    profiler.close()
    assert len(files(tmp_path)) == 2


def test_a_resumed_run_is_recorded_from_where_it_goes_on(tmp_path):
    _, recorded = run(tmp_path, 90, first=70, skip=2, active=1)
    assert recorded == [74] and "trace-00000074.json" in files(tmp_path)


@pytest.mark.parametrize(("steps", "last"), [(4, 4), (5, 5), (13, 13), (14, 14), (15, 14)])
def test_a_short_run_is_recorded_earlier(tmp_path, steps, last):
    run(tmp_path, steps)
    assert files(tmp_path) == [f"profile-{last:08d}.txt", f"trace-{last:08d}.json"]
    assert steps_in(tmp_path / f"trace-{last:08d}.json")[0] == 3 and not is_recording()


@pytest.mark.parametrize(("steps", "first"), [(3, 0), (50, 50), (50, 47)])
def test_a_run_with_too_few_steps_left_is_not_recorded(tmp_path, steps, first):
    assert run(tmp_path, steps, first=first)[1] == [] and files(tmp_path) == []


def test_the_other_processes_record_nothing(tmp_path):
    assert run(tmp_path, 20, world=Second())[1] == [] and files(tmp_path) == []


STOPPED = """
import sys
sys.path[:0] = {paths!r}
from test_profiler import *
_, recorded = run(Path(sys.argv[1]), 50, until=int(sys.argv[2]), skip=2)
sys.exit(0)
"""


@pytest.mark.parametrize("until", [1, 4])
def test_a_run_that_is_stopped_before_ends_well(tmp_path, until):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    command = [sys.executable, "-c", STOPPED.format(paths=paths), str(tmp_path), str(until)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and "Traceback" not in result.stderr
    expected = [] if until == 1 else ["profile-00000004.txt", "trace-00000004.json"]
    assert files(tmp_path) == expected
