"""Every change of every project: its answers before and after, drawn from the whole catalogue."""

from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st

from litgen_torch.answers import Answers, complete, with_choice, without_choice
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError
from litgen_torch.project import from_templates
from litgen_torch.render import Tree
from litgen_torch.solve import Pair, pairs, possible

NAME = "proj"
SLOTS = tuple(question.name for question in questions() if not question.many)
SETS = tuple(
    (question.name, choice.value)
    for question in questions()
    if question.many
    for choice in question.choices
)
CHOICES = tuple(
    (question.name, choice.value) for question in questions() for choice in question.choices
)


@dataclass(frozen=True)
class Added:
    """A choice that is added to a project: the answers before and after."""

    before: tuple[Pair, ...]
    after: tuple[Pair, ...]
    kind: str
    choice: str

    @property
    def is_addition(self) -> bool:
        """Whether a set gets a member and nothing else changes."""
        return self.kind not in SLOTS and set(self.before) < set(self.after)


@cache
def project(answers: tuple[Pair, ...]) -> Tree:
    """The files of a project; not to be changed."""
    return from_templates(NAME, as_answers(answers))


def as_answers(some: tuple[Pair, ...]) -> Answers:
    found: Answers = {kind: value for kind, value in some if kind in SLOTS}
    for question in questions():
        if question.many:
            found[question.name] = tuple(v for kind, v in some if kind == question.name)
    return found


def as_pairs(answers: Answers) -> tuple[Pair, ...]:
    return tuple(sorted(pairs(answers)))


@st.composite
def projects(draw: st.DrawFn) -> tuple[Pair, ...]:
    """The answers of any valid project: slots in their order, then any of the add-ons."""
    given: Answers = {}
    for question in questions():
        if question.many:
            continue
        values = [choice.value for choice in question.choices]
        fitting = [v for v in values if possible(questions(), given | {question.name: v})]
        if fitting:
            given[question.name] = draw(st.sampled_from(fitting))
    for kind, choice in draw(st.lists(st.sampled_from(SETS), unique=True, max_size=4)):
        had = given.get(kind, ())
        assert isinstance(had, tuple)
        wider = given | {kind: tuple(sorted({*had, choice}))}
        given = wider if possible(questions(), wider) else given
    return as_pairs(complete(questions(), given))


def add(before: tuple[Pair, ...], kind: str, choice: str) -> tuple[Pair, ...]:
    return as_pairs(with_choice(questions(), as_answers(before), kind, choice))


def remove(before: tuple[Pair, ...], kind: str, choice: str) -> tuple[Pair, ...]:
    return as_pairs(without_choice(questions(), as_answers(before), kind, choice))


def can_add(before: tuple[Pair, ...], kind: str, choice: str) -> Added | None:
    """The addition, if the project does not have it and can have it."""
    if (kind, choice) in before:
        return None
    try:
        return Added(before, add(before, kind, choice), kind, choice)
    except (LitgenError, KeyError):
        return None


@st.composite
def additions(draw: st.DrawFn, choices: tuple[Pair, ...] = CHOICES) -> Added:
    """Any project and any choice that it has not, and can have."""
    before = draw(projects())
    at = draw(st.integers(0, len(choices) - 1))
    for kind, choice in choices[at:] + choices[:at]:
        if change := can_add(before, kind, choice):
            return change
    raise AssertionError(f"nothing can be added to {before}")
