"""What `litgen new` sends to a terminal while it asks, byte by byte."""

import os
import pty
import re
import select
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from projects import LITGEN

from litgen_torch.catalog import questions
from litgen_torch.project import read_project

DOWN, SPACE, ENTER, CONTROL_C = b"\x1b[B", b" ", b"\r", b"\x03"
WHERE_IS_THE_CURSOR, AT_THE_TOP = b"\x1b[6n", b"\x1b[1;1R"
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:[34]\d|9\d|10\d)[;m]")
PLAIN = {"CI": "", "NO_COLOR": "", "FORCE_COLOR": "", "TERM": "xterm"}
FEATURES = [c.value for q in questions() if q.name == "feature" for c in q.choices]
QUESTIONS = ("learn?", "model?", "data?", "spread?", "precision?", "shown?", "else?", "Write it?")

Keys = Sequence[tuple[str, bytes]]


def drive(folder: Path, words: Sequence[str], keys: Keys, **extra: str) -> tuple[int, bytes]:
    """Run litgen on a terminal, press keys at each question; its exit code and what it sent."""
    process, terminal = fork(folder, words, PLAIN | extra)
    sent, read, left = b"", 0, list(keys)
    end = time.monotonic() + 30
    try:
        while chunk := receive(terminal, end):
            sent += chunk
            for _ in range(chunk.count(WHERE_IS_THE_CURSOR)):
                os.write(terminal, AT_THE_TOP)
            if left and left[0][0].encode() in sent[read:]:
                read = len(sent)
                time.sleep(0.1)  # between prompt and reading, Python's input() does not see ^C
                os.write(terminal, left.pop(0)[1])
    finally:
        os.close(terminal)  # which ends it if it hangs
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert not left, f"never asked: {left}\n{sent.decode()}"
    return code, sent


def fork(folder: Path, words: Sequence[str], extra: dict[str, str]) -> tuple[int, int]:
    program = "import os, sys; os.chdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
    arguments = [sys.executable, "-c", program, str(folder), str(LITGEN), *words]
    environment = os.environ | extra
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, arguments, environment)
    return process, terminal


def receive(terminal: int, end: float) -> bytes:
    """The next bytes; none when the other side is closed."""
    assert select.select([terminal], [], [], max(0, end - time.monotonic()))[0], "it hangs"
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody has the terminal open any more
        return b""


def test_arrow_keys_answer(tmp_path: Path) -> None:
    sets = [("shown?", ENTER), ("else?", SPACE + ENTER)]
    keys = [("model?", DOWN + ENTER), ("data?", DOWN + ENTER), ("spread?", DOWN + DOWN + ENTER)]
    words = ["new", "proj", "--task", "image-classification", "--precision", "fp32"]
    code, _ = drive(tmp_path, words, [*keys, *sets, ("Write it?", ENTER)])
    assert code == 0
    answers = read_project(tmp_path / "proj").answers
    assert [answers[kind] for kind in ("model", "data", "strategy")] == ["vit", "folder", "fsdp"]
    assert (answers["logger"], answers["feature"]) == ((), (FEATURES[0],))


@pytest.mark.parametrize("at", range(len(QUESTIONS)), ids=QUESTIONS)
def test_control_c_leaves_nothing(tmp_path: Path, at: int) -> None:
    keys = [*((question, ENTER) for question in QUESTIONS[:at]), (QUESTIONS[at], CONTROL_C)]
    code, sent = drive(tmp_path, ["new", "deep/er/proj"], keys)
    assert code == 130
    assert b"nothing was changed" in sent and b"Traceback" not in sent
    assert os.listdir(tmp_path) == []


def test_a_dumb_terminal_is_asked_by_typing(tmp_path: Path) -> None:
    keys = [("learn?", b"image-classification\r"), ("model?", b"vti\r"), ("model?", b"vit\r")]
    keys += [(question, ENTER) for question in QUESTIONS[2:-2]]
    keys += [("else?", b"complie\r"), ("else?", b"compile\r"), ("Write it?", ENTER)]
    code, sent = drive(tmp_path, ["new", "proj"], keys, TERM="dumb")
    assert code == 0
    assert b"\x1b" not in sent
    assert b"'complie' is not one of ema, metrics, early-stopping" in sent
    answers = read_project(tmp_path / "proj").answers
    assert (answers["model"], answers["feature"]) == ("vit", ("compile",))


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_questions_have_the_colour_that_is_wanted(
    tmp_path: Path, extra: dict[str, str], coloured: bool
) -> None:
    code, sent = drive(tmp_path, ["new", "proj"], [(q, ENTER) for q in QUESTIONS], **extra)
    assert code == 0
    assert bool(COLOUR.search(sent)) is coloured


@pytest.mark.parametrize("words", [["new", "proj", "-y"], ["list"], ["new", "my model", "-y"]])
def test_without_colour_a_terminal_is_sent_text_alone(tmp_path: Path, words: list[str]) -> None:
    _, sent = drive(tmp_path, words, [], NO_COLOR="1")
    assert sent and b"\x1b" not in sent


FLAGS = ["--task=image-classification", "--model=vit", "--data=folder", "--strategy=ddp"]


@pytest.mark.parametrize(
    ("key", "expected", "left"), [(b"y\r", 0, ["proj"]), (b"n\r", 1, [])], ids=["y", "n"]
)
def test_the_summary_is_shown_and_then_it_asks_once(
    tmp_path: Path, key: bytes, expected: int, left: list[str]
) -> None:
    keys = [("precision?", ENTER), ("shown?", ENTER), ("else?", ENTER), ("Write it?", key)]
    code, sent = drive(tmp_path, ["new", "proj", *FLAGS], keys)
    assert code == expected
    assert sent.count(b"Write it?") == 1
    summary = sent.partition(b"Write it?")[0]
    assert re.search(rb"proj/ +\d+ files, \d+ lines of Python, needs torch, pillow", summary)
    assert re.search(rb"train\.py +\d+\r", summary)
    assert os.listdir(tmp_path) == left
