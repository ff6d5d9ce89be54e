import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from runtime.config import read_config
from runtime.errors import UserError
from runtime.log import Log, open_run
from runtime.world import World

Capture = pytest.CaptureFixture[str]


@dataclass
class Config:
    name: str = "trial"
    fast: bool = False
    seed: int = 7


class Second(World):
    rank = 1


def new_log(folder: Path, step: int = 0, **other: Any) -> Log:
    return Log(folder, 100, step, per_step=64, unit="img", **other)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_has_a_folder_that_the_next_start_finds() -> None:
    folder = open_run(Config())
    (folder / "kept").touch()
    assert folder == Path("runs/trial") == open_run(Config())
    assert (folder / "kept").exists()


def test_settings_are_kept_once_they_are_known_to_fit_the_run() -> None:
    folder = open_run(Config())
    assert not (folder / "config.toml").exists()
    new_log(folder).start(Config(), nn.Linear(2, 2), "cpu")
    assert read_config(Config, folder / "config.toml", strict=True) == Config()


def test_a_fast_run_starts_in_an_empty_folder() -> None:
    (open_run(Config()) / "old").touch()
    folder = open_run(Config(fast=True))
    assert [path.name for path in folder.iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp", "../x", "a/", "a\0b", "a\nb"])
def test_a_name_that_leads_out_of_runs_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of a folder"):
        open_run(Config(name, fast=True))


def test_a_folder_that_cannot_be_made_is_told() -> None:
    Path("runs").write_text("a file")
    with pytest.raises(UserError, match="runs/trial cannot be written"):
        open_run(Config())


def test_a_line_is_written_whole_and_printed(tmp_path: Path, capsys: Capture) -> None:
    log = new_log(tmp_path)
    log(10, loss=torch.tensor(2.9141), norm=math.nan, lr=3e-4, val_loss=torch.tensor([1.5]))
    assert lines(tmp_path)[0] == {
        "step": 10,
        "loss": pytest.approx(2.9141),
        "norm": None,
        "lr": 3e-4,
        "val_loss": 1.5,
    }
    shown = capsys.readouterr().out
    assert shown.startswith("step   10/100   loss 2.914   norm nan   lr 3.0e-04   ")
    assert " img/s   left 0:0" in shown and shown.endswith("   val_loss 1.500\n")


@pytest.mark.parametrize(
    ("step", "kept"), [(0, []), (20, [10, 20]), (25, [10, 20]), (40, [10, 20, 30])]
)
def test_lines_beyond_the_checkpoint_are_removed(
    step: int, kept: list[int], tmp_path: Path
) -> None:
    text = "".join(f'{{"step": {s}, "loss": 1.5}}\n' for s in (10, 20, 30))
    (tmp_path / "metrics.jsonl").write_text(text + '{"step": 40, "lo')
    log = new_log(tmp_path, step)
    assert [line["step"] for line in lines(tmp_path)] == kept
    log(50, loss=1.0)
    assert [line["step"] for line in lines(tmp_path)] == [*kept, 50]


numbers = st.dictionaries(st.sampled_from(["loss", "norm", "lr", "val_loss"]), st.floats())


@given(st.lists(numbers, max_size=5), st.integers(0, 5), st.integers(0, 30))
def test_a_log_cut_anywhere_goes_on_from_the_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, metrics: list, step: int, cut: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    log = new_log(folder)
    for number, values in enumerate(metrics, 1):
        log(number, **values)
    whole = lines(folder)
    file = folder / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[: -cut or None])
    left = file.read_text().count("\n")
    new_log(folder, step)
    after = lines(folder)
    assert after == whole[: len(after)]
    assert min(step, left) <= len(after) <= step


def test_the_other_processes_neither_print_nor_write(tmp_path: Path, capsys: Capture) -> None:
    log = new_log(tmp_path, world=Second())
    log.start(Config(), nn.Linear(2, 2), "cpu")
    log(1, loss=2.0)
    log.progress(1, math.nan)
    log.say("something")
    log.finish(1)
    assert capsys.readouterr() == ("", "") and not list(tmp_path.iterdir())


def test_the_first_line_says_what_is_trained(tmp_path: Path, capsys: Capture) -> None:
    new_log(tmp_path, 31).start(Config(), nn.Linear(400, 480), "cpu")
    about = "trial · Linear, 192k parameters · cpu · seed 7 · resumed from step 31"
    assert capsys.readouterr().out == f"{about} → {tmp_path}\n"


def test_skipped_steps_are_told_without_a_flood(tmp_path: Path, capsys: Capture) -> None:
    log = new_log(tmp_path)
    for step in range(1, 1001):
        log.progress(step, math.nan if step % 2 else 1.0)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "step 1 was skipped: its gradient is not finite (nan)"
    assert shown[1] == "step 3 was skipped: its gradient is not finite (nan); 2 so far"
    assert len(shown) == 9


@pytest.mark.parametrize("world", [World(), Second()])
def test_twenty_skipped_steps_in_a_row_end_the_run(tmp_path: Path, world: World) -> None:
    log = new_log(tmp_path, world=world)
    for step in range(1, 20):
        log.progress(step, math.inf)
    with pytest.raises(UserError, match="20 steps in a row .* not finite"):
        log.progress(20, math.inf)


def test_the_last_line_tells_the_result(tmp_path: Path, capsys: Capture) -> None:
    log = new_log(tmp_path)
    log(50, loss=2.0, val_loss=1.409, val_accuracy=0.8)
    log(100, loss=1.0, val_loss=1.412, val_accuracy=0.9)
    capsys.readouterr()
    log.finish(100)
    result, files = capsys.readouterr().out.splitlines()
    assert result == "done: val_loss 1.412 (best 1.409 at 50), val_accuracy 0.900"
    assert "weights.pt · curve" in files and files.endswith("loss.svg  █▁")
    assert (tmp_path / "loss.svg").read_text().startswith("<svg")


def test_a_stopped_run_tells_how_it_goes_on(tmp_path: Path, capsys: Capture) -> None:
    new_log(tmp_path).finish(31)
    expected = "saved step 31 of 100. The same command goes on from there.\n"
    assert capsys.readouterr().out == expected


def test_a_progress_line_is_rewritten_in_place_and_makes_way_for_others(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    clock = iter(range(1000))
    monkeypatch.setattr("runtime.log.time.monotonic", lambda: float(next(clock)))
    log = new_log(tmp_path)
    log.progress(25, 1.0)
    log.say("a line")
    shown = capsys.readouterr().out
    progress, line = shown.split("\x1b[K", 1)
    assert progress.startswith("\rstep   25/100   ━━━━━━─") and len(progress) == 40
    assert line == "\r\x1b[Ka line\n"


def test_there_is_no_progress_line_without_a_terminal(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_log(tmp_path).progress(25, 1.0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    new_log(tmp_path).progress(25, 1.0)
    assert capsys.readouterr().out == ""


def test_a_full_disk_is_told_in_two_lines(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.metrics = Path("/dev/full")
    with pytest.raises(UserError, match="cannot be written: No space left on device\n  fix: "):
        log(1, loss=1.0)
