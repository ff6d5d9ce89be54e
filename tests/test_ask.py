"""`litgen new` on a terminal: it asks what is open, shows what it will write, and asks once."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from terminal import CONTROL_C, DOWN, ENTER, SPACE, Terminal

from litgen_torch.catalog import questions
from litgen_torch.project import read_project

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:[34]\d|9\d|10\d)[;m]")
FEATURES = [c.value for q in questions() if q.name == "feature" for c in q.choices]
QUESTIONS = ("learn?", "model?", "data?", "spread?", "precision?", "shown?", "else?", "machines?")
QUESTIONS += ("Write it?",)

Keys = Sequence[tuple[str, bytes]]


def drive(folder: Path, words: Sequence[str], keys: Keys, **extra: str) -> tuple[int, Terminal]:
    """Run litgen on a terminal and press keys at each question; its exit code and the terminal."""
    terminal = Terminal(*words, folder=folder, extra=extra)
    for question, pressed in keys:
        terminal.answer(question, pressed)
    return terminal.finish(), terminal


def test_enter_takes_the_defaults(tmp_path: Path) -> None:
    code, _ = drive(tmp_path, ["new", "proj"], [(question, ENTER) for question in QUESTIONS])
    assert code == 0
    defaults = ["image-classification", "cnn", "digits", "single", "fp32", (), (), ()]
    assert list(read_project(tmp_path / "proj").answers.values()) == defaults


def test_arrow_keys_answer(tmp_path: Path) -> None:
    sets = [("shown?", ENTER), ("else?", SPACE + ENTER), ("machines?", ENTER)]
    keys = [("model?", DOWN + ENTER), ("data?", DOWN + ENTER), ("spread?", DOWN + DOWN + ENTER)]
    words = ["new", "proj", "--task", "image-classification", "--precision", "fp32"]
    code, _ = drive(tmp_path, words, [*keys, *sets, ("Write it?", ENTER)])
    assert code == 0
    answers = read_project(tmp_path / "proj").answers
    assert [answers[kind] for kind in ("model", "data", "strategy")] == ["vit", "folder", "fsdp"]
    assert (answers["logger"], answers["feature"]) == ((), (FEATURES[0],))


def test_what_is_settled_is_not_asked(tmp_path: Path) -> None:
    keys = [("learn?", DOWN + ENTER), ("data?", ENTER), ("tokens?", DOWN + ENTER)]
    keys += [("precision?", ENTER), ("shown?", ENTER), ("else?", ENTER), ("machines?", ENTER)]
    keys += [("Write it?", b"y\r")]
    code, terminal = drive(tmp_path, ["new", "proj", "--strategy", "ddp"], keys)
    assert code == 0
    assert "Which model?" not in terminal.screen, "there is only one for text"
    assert "metrics" not in terminal.screen, "they are of images"
    assert "How is it spread?" not in terminal.screen
    answers = read_project(tmp_path / "proj").answers
    assert (answers["tokenizer"], answers["strategy"]) == ("bpe", "ddp")


def test_what_a_launcher_needs_is_asked_once_it_is_chosen(tmp_path: Path) -> None:
    keys = [("shown?", ENTER), ("else?", ENTER), ("machines?", SPACE + DOWN + SPACE + ENTER)]
    keys += [("many machines?", b"\x7f0\r"), ("from 1 to", b"\x7f2\r"), ("GPUs", b"\x7f4\r")]
    keys += [("before the job", ENTER), ("Write it?", ENTER)]
    code, _ = drive(tmp_path, ["new", "proj", *FLAGS, "--precision=fp32"], keys)
    assert code == 0
    answers = read_project(tmp_path / "proj").answers
    found = [answers[kind] for kind in ("launcher", "nodes", "gpus", "time")]
    assert found == [("slurm", "torchrun"), "2", "4", "4:00:00"]


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
@pytest.mark.parametrize("at", range(len(QUESTIONS)), ids=QUESTIONS)
def test_control_c_leaves_nothing(tmp_path: Path, at: int, kind: str) -> None:
    keys = [*((question, ENTER) for question in QUESTIONS[:at]), (QUESTIONS[at], CONTROL_C)]
    code, terminal = drive(tmp_path, ["new", "deep/er/proj"], keys, TERM=kind)
    assert code == 130
    assert "nothing was changed" in terminal.screen and "Traceback" not in terminal.screen
    assert os.listdir(tmp_path) == []


def test_a_dumb_terminal_is_asked_by_typing(tmp_path: Path) -> None:
    keys = [("learn?", b"image-classification\r"), ("model?", b"vti\r"), ("model?", b"vit\r")]
    keys += [(question, ENTER) for question in QUESTIONS[2:-3]]
    keys += [("else?", b"complie\r"), ("else?", b"compile\r"), ("machines?", b"slurm\r")]
    keys += [("before the job", b"4\r"), ("before the job", b"8:00:00\r"), ("Write it?", ENTER)]
    code, terminal = drive(tmp_path, ["new", "proj"], keys, TERM="dumb")
    assert code == 0
    assert "\x1b" not in terminal.raw
    assert "'complie' is not one of ema, metrics, early-stopping" in terminal.raw
    answers = read_project(tmp_path / "proj").answers
    assert (answers["model"], answers["feature"]) == ("vit", ("compile",))
    assert "expected hours:minutes:seconds" in terminal.raw
    assert "How many machines?" not in terminal.raw, "it is one process"
    assert (answers["launcher"], answers["time"]) == (("slurm",), "8:00:00")


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_questions_have_the_colour_that_is_wanted(
    tmp_path: Path, extra: dict[str, str], coloured: bool
) -> None:
    keys = [(question, ENTER) for question in QUESTIONS]
    code, terminal = drive(tmp_path, ["new", "proj"], keys, **extra)
    assert code == 0
    assert bool(COLOUR.search(terminal.raw)) is coloured


@pytest.mark.parametrize("words", [["new", "proj", "-y"], ["list"], ["new", "my model", "-y"]])
def test_without_colour_a_terminal_is_sent_text_alone(tmp_path: Path, words: list[str]) -> None:
    _, terminal = drive(tmp_path, words, [], NO_COLOR="1")
    assert terminal.raw and "\x1b" not in terminal.raw


@pytest.mark.parametrize(("words", "ci"), [(["-y"], ""), ([], "true")], ids=["-y", "CI"])
def test_yes_and_a_build_machine_are_asked_nothing(
    tmp_path: Path, words: list[str], ci: str
) -> None:
    code, terminal = drive(tmp_path, ["new", "proj", *words], [], CI=ci)
    assert code == 0
    assert "?" not in terminal.screen.partition("Next:")[0]
    assert os.listdir(tmp_path) == ["proj"]


def test_a_folder_that_is_in_use_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj/file").touch()
    code, terminal = drive(tmp_path, ["new", "proj"], [])
    assert code == 1
    assert "not empty" in terminal.screen
    assert "learn?" not in terminal.screen


FLAGS = ["--task=image-classification", "--model=vit", "--data=folder", "--strategy=ddp"]


@pytest.mark.parametrize(
    ("key", "expected", "left"), [(b"y\r", 0, ["proj"]), (b"n\r", 1, [])], ids=["y", "n"]
)
def test_the_summary_is_shown_and_then_it_asks_once(
    tmp_path: Path, key: bytes, expected: int, left: list[str]
) -> None:
    keys = [("precision?", ENTER), ("shown?", ENTER), ("else?", ENTER), ("machines?", ENTER)]
    keys += [("Write it?", key)]
    code, terminal = drive(tmp_path, ["new", "proj", *FLAGS], keys)
    assert code == expected
    assert terminal.screen.count("Write it?") == 1
    summary = terminal.screen.partition("Write it?")[0]
    assert re.search(r"proj/ +\d+ files, \d+ lines of Python, needs torch, pillow", summary)
    assert re.search(r"train\.py +\d+\r", summary)
    assert ("nothing was written" in terminal.screen) is (not left)
    assert os.listdir(tmp_path) == left
