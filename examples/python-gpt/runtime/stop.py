"""Leaving in good order: a signal asks, the loop answers between two steps."""

import signal
import sys
import threading
from types import FrameType

from runtime.world import World


class Stop:
    """Listens for SIGINT (Ctrl-C), SIGTERM (schedulers) and SIGUSR1 (SLURM's warning).

    The handler does nothing but remember the signal: saving inside it would meet the loop in the
    middle of a step. A second Ctrl-C ends the process at once.
    """

    def __init__(self, world: World | None = None) -> None:
        self._world = world or World()
        self._received = self._agreed = 0
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._received = number
        if self._world.is_main:
            sys.stderr.write("\n  stopping after this step …\n")

    def requested(self) -> bool:
        """Whether to save and leave now: the same answer on all processes. Collective, once a step.

        A signal to one process is known to all of them one step later.
        """
        self._agreed = self._world.highest_soon(self._received)
        return self._agreed > 0

    @property
    def exit_code(self) -> int:
        """0, or 128 + signal as a shell reports it: then a supervisor starts the run again."""
        return 128 + self._agreed if self._agreed else 0
