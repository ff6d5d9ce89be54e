"""Stopping a function at any of its steps on disk: SIGKILL, Ctrl-C, a full disk."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litgen_torch.errors import LitgenError

CHANGING = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.utime"}
CHANGING |= {"os.link", "os.symlink", "os.truncate", "os.setxattr", "fcntl.flock"}
DONE, REFUSED, KILLED, INTERRUPTED = "done", "refused", "killed", "interrupted"


def killed(work: Callable[[], Any], at: int) -> str:
    """Run work in a process of its own that is killed just before its n-th step on disk."""
    return _forked(work, at, lambda: os.kill(os.getpid(), signal.SIGKILL))


def interrupted(work: Callable[[], Any], at: int) -> str:
    """The same, with Ctrl-C just before that step."""
    return _forked(work, at, lambda: os.kill(os.getpid(), signal.SIGINT))


def refused(work: Callable[[], Any], at: int, *, on: bool = False) -> str:
    """The same, but the system refuses that step, or all from there on: the disk is full."""

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return _forked(work, at, full, on=on)


def steps_of(work: Callable[[], Any]) -> int:
    """How many steps on disk work takes; it is done in a process of its own."""
    steps, ends = 0, os.pipe()

    def one_more() -> None:
        nonlocal steps
        steps += 1

    def counted() -> None:
        work()
        os.write(ends[1], steps.to_bytes(4))

    assert _forked(counted, 0, one_more, on=True) == DONE
    answer = os.read(ends[0], 4)
    for end in ends:
        os.close(end)
    return int.from_bytes(answer)


def _forked(work: Callable[[], Any], at: int, stop: Callable[[], None], on: bool = False) -> str:
    child = os.fork()
    if not child:
        code = 2
        signal.signal(signal.SIGINT, signal.default_int_handler)  # an earlier commit ignores it
        try:
            _stop_at(at, stop, on)
            work()
            code = 0
        except LitgenError:
            code = 1
        except KeyboardInterrupt:
            code = 3
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: DONE, 1: REFUSED, 3: INTERRUPTED, -signal.SIGKILL: KILLED}[code]


def _stop_at(at: int, stop: Callable[[], None], on: bool) -> None:
    """Call stop in step `at` from 0: a call that changes the disk, an fsync, half of a write."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == at + 1 or on and steps > at:
            stop()

    def heard(event: str, given: tuple[Any, ...]) -> None:
        if event in CHANGING or event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR):
            step()

    class Halves:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> "Halves":
            return self

        def __exit__(self, *error: object) -> None:
            self.stream.close()

        def write(self, data: bytes) -> None:
            self.stream.write(data[: len(data) // 2])
            self.stream.flush()
            step()
            self.stream.write(data[len(data) // 2 :])

    really_open = Path.open
    Path.open = lambda path, mode="r", *given, **named: (  # type: ignore[method-assign]
        Halves(really_open(path, mode, *given, **named))
        if "x" in mode
        else really_open(path, mode, *given, **named)
    )
    os.fsync = lambda descriptor: step()
    sys.addaudithook(heard)
