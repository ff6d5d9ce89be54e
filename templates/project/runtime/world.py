"""The processes that train together: one. `runtime/dist.py`, where a project has it, knows many."""

import contextlib
from collections.abc import Iterator
from typing import Any, TypeVar

import torch

from runtime.errors import UserError

T = TypeVar("T")
ELSEWHERE = "see the other processes"


class World:
    """One process on one device. What is a message between processes elsewhere is nothing here."""

    rank = 0
    size = 1
    local_rank = 0
    data_rank = 0  # which part of the data is its own, of as many as
    data_size = 1
    rng_rank = 0  # which random numbers are its own, of as many
    rng_size = 1
    group: Any = None  # torch's name for these processes; None: its default group

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that prints and writes for all."""
        return self.rank == 0

    def aside(self) -> "World":
        """The same processes, for another thread to talk to while this one does. Collective."""
        return self

    def moved(self) -> None:
        """This process goes on; it is called wherever that may take long."""

    def barrier(self) -> None:
        """Wait until every process is here. Collective."""

    def broadcast(self, value: T) -> T:
        """The main process's value, on every process. Collective."""
        return value

    def gather(self, value: T) -> list[T]:
        """Every process's value, on every process. Collective."""
        return [value]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on at least one process. Collective."""
        return flag

    def highest_soon(self, value: int) -> int:
        """The highest value of all processes, as of the previous call: nobody waits. Collective."""
        return value

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block on the first process of each machine, then on the others. Collective.

        Where it fails on a first one, the others end with it, and say nothing.
        """
        yield

    @contextlib.contextmanager
    def together(self, failed: str, fix: str, *expected: type[BaseException]) -> Iterator[None]:
        """If the block fails on one process, fail on all: nobody waits for one that has left.

        What it is expected to raise becomes a UserError, which begins with `failed`. Collective.
        """
        kinds: tuple[type[BaseException], ...] = (UserError, *expected)
        error: BaseException | None = None
        try:
            yield
        except kinds as caught:
            error = caught
        if self.any(error is not None):
            if isinstance(error, UserError):
                raise error
            raise UserError(f"{failed}: {error or ELSEWHERE}", fix) from error
