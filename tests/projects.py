"""Every project that there is without add-ons, some with, and the command that makes one."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from litgen_torch.answers import Answers, complete
from litgen_torch.catalog import questions
from litgen_torch.solve import Pair, gathered, pairs, possible

LITGEN = Path(sys.executable).with_name("litgen")
Run = Callable[..., subprocess.CompletedProcess[str]]


@cache
def every_project() -> tuple[Answers, ...]:
    """The answers of every project without add-ons, and of those of `paired_projects`."""
    found: list[Answers] = [{}]
    for question in questions():
        if question.many:
            continue
        values = [choice.value for choice in question.choices]
        longer = [answers | {question.name: value} for answers in found for value in values]
        longer = [answers for answers in longer if possible(questions(), answers)]
        kept = [old for old in found if not any(old.items() <= new.items() for new in longer)]
        found = longer + kept
    plain = [complete(questions(), answers) for answers in found]
    return (*plain, *(answers for answers in paired_projects() if answers not in plain))


@cache
def some_projects() -> tuple[Answers, ...]:
    """Some of them, in which any two choices that go together meet."""
    left = [_meetings(answers) for answers in every_project()]
    kept = [0]  # the smallest
    while any(left):
        left = [meetings - left[kept[-1]] for meetings in left]
        kept.append(max(range(len(left)), key=lambda number: len(left[number])))
    return tuple(every_project()[number] for number in sorted(kept))


@cache
def paired_projects() -> tuple[Answers, ...]:
    """A few projects with add-ons, in which any two choices that go together meet.

    Each add-on also meets every other choice while it is left out. Row by row, the choice is added
    that meets most others for the first time.
    """
    factors = _factors()
    left = {
        frozenset(two)
        for one, other in itertools.combinations(factors, 2)
        for two in itertools.product(one, other)
        if _possible(two) and any(_is_member(name) for name, _ in two)
    }
    rows = []
    while left:
        row = sorted(min(left, key=sorted))
        for factor in factors:
            if not any(cell in row for cell in factor) and (
                fitting := [cell for cell in factor if _possible([*row, cell])]
            ):
                row.append(max(fitting, key=lambda cell: _met(row, cell, left)))
        left -= {frozenset(two) for two in itertools.combinations(row, 2)}
        rows.append(complete(questions(), gathered(questions(), _present(row))))
    return tuple(rows)


def project_id(answers: Answers) -> str:
    parts = [v if isinstance(v, str) else "+".join(v) for v in answers.values()]
    return "-".join(filter(None, parts[1:]))


def _meetings(answers: Answers) -> set[frozenset[Pair]]:
    return {frozenset(two) for two in itertools.combinations(pairs(answers), 2)}


def _factors() -> list[list[Pair]]:
    """What is chosen independently: a slot's values; and of each add-on, whether it is there."""
    factors = []
    for question in questions():
        cells = [(question.name, choice.value) for choice in question.choices]
        if question.many:
            factors += [[(name, value), (name, f"no {value}")] for name, value in cells]
        else:
            factors.append(cells)
    return factors


def _is_member(name: str) -> bool:
    return any(question.many for question in questions() if question.name == name)


def _present(row: list[Pair]) -> list[Pair]:
    return [(name, value) for name, value in row if not value.startswith("no ")]


def _possible(row: tuple[Pair, ...] | list[Pair]) -> bool:
    return possible(questions(), gathered(questions(), _present(list(row))))


def _met(row: list[Pair], cell: Pair, left: set[frozenset[Pair]]) -> int:
    return sum(frozenset((other, cell)) in left for other in row)
