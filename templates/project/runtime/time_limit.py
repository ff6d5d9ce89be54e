"""A run that leaves before its time is up, as if it were told to by a signal."""

import math
import signal
import time

_BEGAN = time.monotonic()  # the process did, a few seconds before


class TimeLimit:
    """To be called once a step: asks this process to stop in time to be gone after `minutes`.

    It keeps twice the longest time from one step to the next, with validation and checkpoint, for
    the steps that are left, the last of which is saved. The exit code is that of SIGTERM: what
    started the run starts it again. 0 minutes are no limit.
    """

    def __init__(self, minutes: float) -> None:
        self.end = _BEGAN + 60 * minutes if minutes else math.inf
        self._last, self._longest = math.inf, 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)  # not of the first, which may compile
        self._last = now
        if now + 2 * self._longest > self.end:
            self.end = math.inf
            signal.raise_signal(signal.SIGTERM)
