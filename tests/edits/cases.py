"""Cases of the commuting square, by number: a project, what its owner did, and one change of it.

`oracle` is what the merge should come to: the owner's edits done to what the templates make of the
changed answers.
"""

import ast
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from edits import (
    comments,
    expressions,
    files,
    imports,
    layout,
    names,
    settings,
    statements,
    structure,
    training,
)
from edits.kind import KINDS, DoesNotApplyError, IsGoneError, Kind, Pick, Tree
from litgen_torch.answers import Answers, with_choice, without_choice
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError
from litgen_torch.project import from_templates

# Each of these enters its edits into KINDS.
LIBRARY = (
    *(statements, comments, expressions, names, structure),
    *(imports, settings, training, files, layout),
)
CHANGED = ("strategy", "precision", "logger", "feature")
INAPPLICABLE = (DoesNotApplyError, KeyError, StopIteration, IndexError)


@dataclass(frozen=True)
class Case:
    number: int
    before: Answers
    after: Answers
    words: str  # the command
    kinds: tuple[Kind, ...]
    base: Tree
    mine: Tree
    new: Tree
    oracle: Tree
    renamed: dict[str, str]  # the owner's names to the template's

    @property
    def title(self) -> str:
        chosen = " ".join(f"{k}={v}" for k, v in self.before.items() if v)
        return f"{self.number}: {self.words}, {' + '.join(k.name for k in self.kinds)} ({chosen})"


def case(number: int) -> Case:
    """The case of this number; its first edit is the kind whose turn it is."""
    lot = random.Random(number)
    first = [*KINDS.values()][number % len(KINDS)]
    for _ in range(200):
        before, after, words = _operation(lot)
        more = lot.choice([0, 0, 0, 1, 1, 2])
        kinds = sorted([first, *lot.sample([*KINDS.values()], more)], key=lambda k: k.is_layout)
        if found := square(number, before, after, words, kinds):
            return found
    raise AssertionError(f"{first.name!r} never applies")


def square(
    number: int, before: Answers, after: Answers, words: str, kinds: Sequence[Kind]
) -> Case | None:
    """A case of one's own; None if the edits cannot be done to both projects."""
    base, new = project(before), project(after)
    mine, oracle, renamed = base, new, dict[str, str]()
    for kind in kinds:
        both = done_twice(kind, mine, oracle, f"{number} {kind.name}")
        if both is None:
            return None
        mine, oracle, names = both
        renamed |= names
    return Case(number, before, after, words, tuple(kinds), base, mine, new, oracle, renamed)


def done_twice(
    kind: Kind, one: Tree, other: Tree, seed: str
) -> tuple[Tree, Tree, dict[str, str]] | None:
    """The same edit in two projects; None if it cannot be done to both."""
    without = frozenset[str]()
    for _ in range(30):
        try:
            pick = Pick(random.Random(seed), without=without)
            first = kind.edit(one, pick)
            again = Pick(random.Random(seed), made=pick.picked)
            second = kind.edit(other, again)
        except IsGoneError as error:
            without |= {error.name}
        except INAPPLICABLE:
            return None
        else:
            is_edit = first != one and second != other and parses(first) and parses(second)
            return (first, second, pick.renamed) if is_edit else None
    return None


def parses(tree: Tree) -> bool:
    return all(is_python(text) for path, text in tree.items() if path.endswith(".py"))


@lru_cache(4096)  # most files of a case are those of the one before
def is_python(text: str) -> bool:
    try:
        ast.parse(text.removeprefix("\ufeff"))
    except SyntaxError:
        return False
    return True


def project(answers: Answers) -> Tree:
    """A project as the templates have it."""
    return dict(_project(tuple(answers.items())))


@cache
def _project(answers: tuple[tuple[str, str | tuple[str, ...]], ...]) -> Tree:
    return from_templates("proj", dict(answers))


def _operation(lot: random.Random) -> tuple[Answers, Answers, str]:
    """Answers, what one command makes of them, and that command."""
    while True:
        before = _answers(lot)
        question = lot.choice([q for q in questions() if q.name in CHANGED])
        choice = lot.choice(question.choices)
        has = choice in question.chosen(before[question.name])
        if choice.obstacle(before):
            continue
        change = without_choice if has else with_choice
        try:
            after = change(questions(), before, question.name, choice.value)
        except LitgenError:  # the default, which nothing can take the place of
            continue
        return before, after, f"{'remove' if has else 'add'} {question.name} {choice.value}"


def _answers(lot: random.Random) -> Answers:
    """The answers of some project; a choice needs nothing but what is answered before it."""
    answers: Answers = {}
    for question in questions():
        if question.is_open and question.applies(answers):
            answers[question.name] = question.first(answers)
        elif question.applies(answers):
            fitting = [c.value for c in question.choices if not c.obstacle(answers)]
            count = min(lot.choice([0, 0, 1, 2, 4]), len(fitting)) if question.many else 1
            answers[question.name] = question.answer(*lot.sample(fitting, count))
    return answers
