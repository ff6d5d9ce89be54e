"""What an edit is, and how it makes the same choice in two projects.

An edit is a function from the files of a project to others. Where it has a choice (which statement,
which name) it asks its `Pick`: by lot the first time, and in a second project the same again, found
by name and not by line. So one edit of the owner's can be made in a project before and after a
change of the template's.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

Tree = dict[str, str]
T = TypeVar("T")


class DoesNotApplyError(Exception):
    """There is nothing in this project that the edit could be done to."""


class IsGoneError(Exception):
    """The other project does not have what was picked."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class Pick:
    """Choices, by lot or, where `made` says them, as they were made before."""

    lot: random.Random
    made: list[str] | None = None
    without: frozenset[str] = frozenset()  # not to be picked
    picked: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)  # the owner's names to the template's

    def __call__(self, options: Mapping[str, T]) -> T:
        """One of the options."""
        free = [name for name in options if name not in self.without]
        if self.made is not None:
            name = self.made[len(self.picked)]
            if name not in options:
                raise IsGoneError(name)
        elif free:
            name = self.lot.choice(free)
        else:
            raise DoesNotApplyError
        self.picked.append(name)
        return options[name]

    def of(self, *words: T) -> T:
        """One of a few fixed words or numbers."""
        return self({repr(word): word for word in words})

    def some(self, options: Mapping[str, T], count: int) -> list[T]:
        """As many different options as there are, at most so many."""
        left, found = dict(options), []
        free = [name for name in options if name not in self.without]
        for _ in range(self.of(min(count, len(free)))):
            value = self(left)
            del left[self.picked[-1]]
            found.append(value)
        if not found:
            raise DoesNotApplyError
        return found


Edit = Callable[[Tree, Pick], Tree]


@dataclass(frozen=True)
class Kind:
    """An edit with what has to be known of it."""

    name: str
    edit: Edit
    is_layout: bool = False  # of whole files, so it comes after all others
    changes: bool = False  # what the template wrote is changed or deleted: it may truly conflict
    moves: bool = False  # the order of what the template wrote is the owner's


KINDS: dict[str, Kind] = {}


def edit(
    name: str, *, is_layout: bool = False, changes: bool = False, moves: bool = False
) -> Callable[[Edit], Edit]:
    """Enter an edit into the library."""

    def enter(function: Edit) -> Edit:
        assert name not in KINDS, name
        KINDS[name] = Kind(name, function, is_layout, changes, moves)
        return function

    return enter
