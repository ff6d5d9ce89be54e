"""Leaving in good order: a signal asks, the loop answers between two steps."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from runtime.world import World

SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")  # Ctrl-C, schedulers, SLURM's warning
SOON_S = 0.05  # processes ask each other once a step, or where steps are quick, so often:
MOST_STEPS = 16  # but not less often than this, for the next steps may be slow


def leave_on_signal() -> None:
    """Until there is a `Stop`, end the process on a signal: no traceback, exit code 128 + signal.

    As an exception, so that what was begun is cleared away.
    """
    _listen(_leave)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _listen(handler: Callable[[int, FrameType | None], None]) -> None:
    if threading.current_thread() is threading.main_thread():  # others may not set handlers
        for name in SIGNALS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), handler)


class Stop:
    """Listens for SIGINT (Ctrl-C), SIGTERM (schedulers) and SIGUSR1 (SLURM's warning).

    The handler does nothing but remember the signal: saving inside it would meet the loop in the
    middle of a step. A second Ctrl-C ends a process at once that was not started by torchrun. Where
    torchrun ends without a word to its processes, as of SIGUSR1 or SIGKILL, that counts as SIGTERM.
    """

    def __init__(self, world: World | None = None) -> None:
        self._world = world or World()
        self._received = self._agreed = 0
        self._steps, self._next = 0, 1  # in which to ask the other processes
        self._asked, self._asked_at = 0, time.monotonic()  # in which step they were asked, and when
        self._torchrun = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
        _listen(self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and not self._torchrun:  # which hands on what all have got
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._received = number
        if self._world.is_main:
            sys.stderr.write("\n  stopping after this step …\n")

    def requested(self) -> bool:
        """Whether to save and leave now: the same answer on all processes. Collective, once a step.

        A signal to one process is known to all of them one step later; where steps take less than
        0.05 s, at most 0.1 s later.
        """
        self._world.moved()
        if self._torchrun and self._torchrun != os.getppid() and not self._received:
            self._remember(signal.SIGTERM, None)
        self._steps += 1
        if self._world.size == 1:
            self._agreed = self._received
        elif self._steps == self._next:
            self._ask()
        return self._agreed > 0

    def _ask(self) -> None:
        now = time.monotonic()
        pace = (self._steps - self._asked) / max(now - self._asked_at, 1e-9)
        self._asked, self._asked_at = self._steps, now
        steps = min(int(pace * SOON_S), MOST_STEPS)
        # As many steps as the slowest process would make.
        self._agreed, slowest = self._world.highest_soon(self._received, -steps)
        self._next += max(1, -slowest)

    @property
    def exit_code(self) -> int:
        """0, or 128 + signal as a shell reports it: then a supervisor starts the run again."""
        return 128 + self._agreed if self._agreed else 0
