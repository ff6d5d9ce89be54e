"""A process that stands still says where, and ends: a run that hangs is over within a set time."""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator


class Watch:
    """Ends this process after `seconds` without a call of `moved`, and shows the caller's stack.

    Each process of a run has its own: the one that hangs names the line at which it does, the
    others the line at which they wait for it. A supervisor then starts the run again. Time in which
    this process is suspended does not count, nor what passes in `paused`.
    """

    def __init__(self, who: str, seconds: float) -> None:
        self.who, self.seconds = who, seconds
        self._moves, self._thread = 0, threading.get_ident()
        self._pauses = False
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def moved(self) -> None:
        """This process goes on: its time begins anew."""
        self._moves += 1

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For what may take any time."""
        self._pauses = True
        try:
            yield
        finally:
            self._pauses = False
            self.moved()

    def _look(self) -> None:
        still, seen, interval = 0.0, 0, min(1.0, self.seconds / 10)
        while still < self.seconds:
            time.sleep(interval)
            still = still + interval if seen == self._moves and not self._pauses else 0.0
            seen = self._moves
        stack = traceback.format_stack(sys._current_frames()[self._thread])
        title = f"{self.who} has stood still for {self.seconds:g} s (--timeout), here:"
        sys.stderr.write("".join(["\n", title, "\n", *stack]))
        sys.stderr.flush()
        os._exit(1)  # nothing less ends a process whose main thread waits in torch
