"""A command on a terminal of its own: what it sends there, and keys that are pressed."""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

from projects import LITGEN

DOWN, SPACE, ENTER, CONTROL_C = b"\x1b[B", b" ", b"\r", b"\x03"
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07")
WHERE_IS_THE_CURSOR, AT_THE_TOP = "\x1b[6n", b"\x1b[1;1R"
PLAIN = {"CI": "", "NO_COLOR": "", "FORCE_COLOR": "", "TERM": "xterm"}
DEADLINE_S = 30


class Terminal:
    """litgen on a terminal: `raw` is all that it sent, `screen` the same without the steering."""

    def __init__(self, *words: str, folder: Path, extra: dict[str, str]) -> None:
        self.screen, self.raw, self._read = "", "", 0
        self._end, inner = pty.openpty()
        self.process = subprocess.Popen(
            [LITGEN, *words],
            cwd=folder,
            env=os.environ | PLAIN | extra,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_hear_control_c,
        )
        os.close(inner)

    def answer(self, question: str, keys: bytes) -> None:
        """Wait until the question is on the screen, then press the keys."""
        self._until(lambda: question in self.screen[self._read :])
        self._read = len(self.screen)
        time.sleep(0.1)  # between prompt and reading, Python's input() does not see ^C
        os.write(self._end, keys)

    def finish(self) -> int:
        """Wait for the end; returns the exit code."""
        self._until(lambda: self.process.poll() is not None)
        self._take(0.1)
        os.close(self._end)
        return self.process.returncode

    def _until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_S
        while not true():
            self._take(0.05)
            if time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"it hangs:\n{self.screen}")

    def _take(self, seconds: float) -> None:
        while select.select([self._end], [], [], seconds)[0]:
            try:
                text = os.read(self._end, 65536).decode(errors="replace")
            except OSError:  # how Linux says that nobody has the terminal open any more
                return
            self.raw += text
            self.screen += STEERING.sub("", text)
            for _ in range(text.count(WHERE_IS_THE_CURSOR)):
                os.write(self._end, AT_THE_TOP)


def _hear_control_c() -> None:
    """Let ^C be a signal to this process, also where the tests run in a background job."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
