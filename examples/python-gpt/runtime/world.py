"""The processes that train together: one. `runtime/dist.py`, where a project has it, knows many."""

import contextlib
from collections.abc import Iterator
from typing import TypeVar

import torch

T = TypeVar("T")


class World:
    """One process on one device. What is a message between processes elsewhere is nothing here."""

    rank = 0
    size = 1
    local_rank = 0
    data_rank = 0  # which part of the data is its own, of as many as
    data_size = 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that prints and writes for all."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until every process is here. Collective."""

    def broadcast(self, value: T) -> T:
        """The main process's value, on every process. Collective."""
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on at least one process. Collective."""
        return flag

    def highest_soon(self, value: int) -> int:
        """The highest value of all processes, as of the previous call: nobody waits. Collective."""
        return value

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block on the first process of each machine, then on the others. Collective."""
        yield
