"""Two runs of one name at the same time do not write into one folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked import forked

from runtime import dist
from runtime.errors import UserError
from runtime.lock import LOCK
from runtime.log import open_run


@dataclass
class Config:
    name: str = "trial"
    fast: bool = False


# Another run, with a loader worker as it were: it goes on after its parent was killed.
OTHER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from dataclasses import make_dataclass
from runtime.log import open_run
open_run(make_dataclass("Config", [("name", str)])("trial"))
if os.fork():
    print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", OTHER, str(Path(__file__).parents[2])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("fast", [False, True])
def test_a_folder_in_use_is_left_alone_and_its_process_named(
    other: subprocess.Popen[str], fast: bool
) -> None:
    kept = Path("runs/trial/metrics.jsonl")
    kept.touch()
    with pytest.raises(UserError) as caught:
        open_run(Config(fast=fast))
    assert caught.value.found.startswith(f"runs/trial is in use by process {other.pid} on ")
    assert f"kill {other.pid}" in caught.value.fix and "--name NEW" in caught.value.fix
    assert kept.exists()
    open_run(Config("another", fast))


def test_a_killed_process_holds_nothing_although_its_workers_live(
    other: subprocess.Popen[str],
) -> None:
    other.kill()
    other.wait()
    open_run(Config())
    assert Path("runs/trial", LOCK).read_text().startswith(f"{os.getpid()} ")


ENDED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runtime.errors import UserError
from runtime.lock import hold
hold(Path("runs/trial"), empty=False)
if sys.argv[2]:
    Path("runs/trial", sys.argv[2]).touch()
raise UserError("the data are no good", "others")
"""


@pytest.mark.parametrize("file", ["", "metrics.jsonl"], ids=["nothing", "something"])
def test_a_run_leaves_no_folder_in_which_it_has_put_nothing(tmp_path: Path, file: str) -> None:
    (tmp_path / "runs/before").mkdir(parents=True)
    command = [sys.executable, "-c", ENDED, str(Path(__file__).parents[2]), file]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the data are no good\n  fix: others\n")
    left = {path.name for path in (tmp_path / "runs").rglob("*")}
    assert left == ({"before", "trial", LOCK, file} if file else {"before"})


def test_a_folder_that_is_just_taken_away_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened = os.open

    def late(path: Path, *flags: int) -> int:  # its owner leaves between open and lock
        lock = opened(path, *flags)
        if path.name == LOCK:
            monkeypatch.setattr(os, "open", opened)
            path.unlink()
            path.parent.rmdir()
        return lock

    monkeypatch.setattr(os, "open", late)
    folder = open_run(Config())
    assert (folder / LOCK).read_text().startswith(f"{os.getpid()} ")


def test_without_locks_a_run_begins_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    assert list(open_run(Config(fast=True)).iterdir()) == []


def tried(folder: Path) -> str:
    os.chdir(folder)
    world = dist.init(timeout_s=20)
    try:
        open_run(Config(), world)
    except UserError as error:
        return error.found
    return "begun"


@pytest.mark.usefixtures("other")
def test_all_processes_leave_if_the_folder_is_in_use(tmp_path: Path) -> None:
    assert all("is in use by process" in found for found in forked(2, tried, tmp_path))
