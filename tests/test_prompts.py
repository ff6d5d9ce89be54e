"""`litgen new` on a terminal: it asks what is open, shows what it will write, and asks once."""

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import LITGEN

from litgen_torch.project import read_project

DOWN, ENTER, CONTROL_C = b"\x1b[B", b"\r", b"\x03"
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07")


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words: str, folder: Path, extra: dict[str, str]) -> None:
        self.screen, self.raw, self._read = "", "", 0
        self._end, inner = pty.openpty()
        # Ordinary terminals say where the cursor is when asked; this one cannot.
        environment = os.environ | {"TERM": "xterm", "CI": "", "PROMPT_TOOLKIT_NO_CPR": "1"} | extra
        self.process = subprocess.Popen(
            [LITGEN, *words],
            cwd=folder,
            env=environment,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that ^C is a signal
        )
        os.close(inner)

    def answer(self, question: str, keys: bytes) -> None:
        """Wait until the question is on the screen, then press the keys."""
        self._until(lambda: question in self.screen[self._read :])
        self._read = len(self.screen)
        os.write(self._end, keys)

    def finish(self) -> int:
        """Wait for the end; what was printed is in `screen`."""
        self._until(lambda: self.process.poll() is not None)
        self._take(0.1)
        os.close(self._end)
        return self.process.returncode

    def _until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not true():
            self._take(0.05)
            assert time.monotonic() < end, self.screen

    def _take(self, seconds: float) -> None:
        while select.select([self._end], [], [], seconds)[0]:
            try:
                text = os.read(self._end, 65536).decode(errors="replace")
                self.raw += text
            except OSError:  # the other end was closed
                return
            self.screen += STEERING.sub("", text)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    opened = []

    def start(*words: str, **extra: str) -> Terminal:
        opened.append(Terminal(*words, folder=tmp_path, extra=extra))
        return opened[-1]

    yield start
    for one in opened:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_enter_takes_the_defaults(terminal: Open, tmp_path: Path) -> None:
    screen = terminal("new", "proj")
    for question in ("learn?", "model?", "data?", "spread?", "precision?", "shown?", "else?"):
        screen.answer(question, ENTER)
    screen.answer("Write it?", ENTER)
    assert screen.finish() == 0
    assert list(read_project(tmp_path / "proj").answers.values()) == [
        "image-classification",
        "cnn",
        "digits",
        "single",
        "fp32",
        (),
        (),
    ]


def test_arrows_choose_and_settled_questions_are_not_asked(terminal: Open, tmp_path: Path) -> None:
    screen = terminal("new", "proj", "--strategy", "ddp")
    screen.answer("learn?", DOWN + ENTER)
    screen.answer("tokens?", DOWN + ENTER)
    screen.answer("precision?", ENTER)
    screen.answer("shown?", ENTER)
    screen.answer("else?", ENTER)
    screen.answer("Write it?", b"y\r")
    assert screen.finish() == 0
    assert "Which model?" not in screen.screen, "there is only one for text"
    assert "metrics" not in screen.screen, "they are of images"
    assert "How is it spread?" not in screen.screen
    answers = read_project(tmp_path / "proj").answers
    assert (answers["tokenizer"], answers["strategy"]) == ("bpe", "ddp")


def test_what_will_be_written_is_shown_before_it_is(terminal: Open, tmp_path: Path) -> None:
    flags = "--task image-classification --model vit --data folder --strategy ddp --precision bf16"
    screen = terminal(
        "new", "proj", *flags.split(), "--with", "feature=compile", "--with=logger=wandb"
    )
    screen.answer("Write it?", b"n\r")
    assert screen.finish() == 1
    assert re.search(r"train\.py +\d+", screen.screen)
    assert "nothing was written" in screen.screen
    assert os.listdir(tmp_path) == []


def test_yes_asks_nothing(terminal: Open, tmp_path: Path) -> None:
    screen = terminal("new", "proj", "-y")
    assert screen.finish() == 0
    assert "?" not in screen.screen.partition("Next:")[0]
    assert os.listdir(tmp_path) == ["proj"]


@pytest.mark.parametrize("extra", [{"CI": "true"}], ids=["CI"])
def test_a_build_machine_with_a_terminal_is_not_asked(
    terminal: Open, tmp_path: Path, extra: dict[str, str]
) -> None:
    assert terminal("new", "proj", **extra).finish() == 0
    assert os.listdir(tmp_path) == ["proj"]


@pytest.mark.parametrize("question", ["learn?", "data?", "else?", "Write it?"])
@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_control_c_leaves_nothing(terminal: Open, tmp_path: Path, question: str, kind: str) -> None:
    screen = terminal("new", "proj", TERM=kind)
    for asked in (
        "learn?",
        "model?",
        "data?",
        "spread?",
        "precision?",
        "shown?",
        "else?",
        "Write it?",
    ):
        if asked == question:
            break
        screen.answer(asked, ENTER)
    screen.answer(question, CONTROL_C)
    assert screen.finish() == 130
    assert "Traceback" not in screen.screen
    assert os.listdir(tmp_path) == []


def test_a_plain_terminal_is_asked_in_plain_text(terminal: Open, tmp_path: Path) -> None:
    screen = terminal("new", "proj", "--precision", "fp32", "--strategy", "single", TERM="dumb")
    screen.answer("learn?", b"image-classification\r")
    screen.answer("model?", b"vti\r")
    screen.answer("model?", b"vit\r")
    screen.answer("data?", ENTER)
    screen.answer("shown?", ENTER)
    screen.answer("else?", ENTER)
    screen.answer("Write it?", ENTER)
    assert screen.finish() == 0
    assert read_project(tmp_path / "proj").answers["model"] == "vit"


def test_a_folder_that_is_in_use_is_said_before_anything_is_asked(
    terminal: Open, tmp_path: Path
) -> None:
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj/file").touch()
    screen = terminal("new", "proj")
    assert screen.finish() == 1
    assert "not empty" in screen.screen
    assert "learn?" not in screen.screen
