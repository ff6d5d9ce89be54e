"""All decisions about what a project shall be: which answers are valid, and what fills the gaps."""

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from litgen_torch.catalog import Question
from litgen_torch.errors import LitgenError

Answers = dict[str, str]

FLAGS = ("task", "model", "data", "strategy", "precision")  # the other kinds go by --with
LONGEST_NAME = 64
VALID_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def complete(questions: Sequence[Question], given: Answers) -> Answers:
    """The given answers, and for the rest the first defaults with which all of them can be had.

    Raises LitgenError for an unknown question or choice, and for a combination that is impossible:
    with the reason and the nearest one that works.
    """
    check_known(questions, given)
    if found := next(_solutions(questions, given), None):
        return found
    raise LitgenError(
        _obstacle(questions, given),
        "the nearest that works: " + " ".join(flags(_nearest(questions, given))),
    )


def with_defaults(questions: Sequence[Question], answers: Answers) -> Answers:
    """What templates see: also the questions that do not apply, at their defaults, as in copier."""
    seen = dict(answers)
    for question in questions:
        seen.setdefault(question.name, question.values(seen)[0])
    return seen


def check_known(questions: Iterable[Question], given: Answers) -> None:
    """Raise LitgenError for a question or a choice that does not exist."""
    known = {question.name: [choice.value for choice in question.choices] for question in questions}
    for name, value in given.items():
        if name not in known:
            raise LitgenError(f"unknown kind {name!r}", suggestion(name, known))
        if value not in known[name]:
            raise LitgenError(f"unknown {name} {value!r}", suggestion(value, known[name]))


def flags(answers: Answers) -> list[str]:
    """The words on the command line that give these answers."""
    words = []
    for name, value in answers.items():
        words += [f"--{name}", value] if name in FLAGS else ["--with", f"{name}={value}"]
    return words


def suggestion(word: str, known: Iterable[str]) -> str:
    """The possible words, and which of them was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f"one of: {', '.join(known)}" + (f" — did you mean {close[0]}?" if close else "")


def check_name(name: str) -> str:
    """A name that can be a distribution's and a folder's, or LitgenError with one that would do."""
    if VALID_NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    shown = ascii(name)  # nothing in it steers a terminal
    shown = shown if len(shown) <= LONGEST_NAME + 2 else shown[:LONGEST_NAME] + "…'"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9]+", plain)
    better = "-".join(words)[:LONGEST_NAME].strip("-") or "my-project"
    raise LitgenError(
        f"{shown} cannot be a project's name: expected letters, digits and . _ - between them, "
        f"at most {LONGEST_NAME}",
        f"litgen new {better}",
    )


def _solutions(questions: Sequence[Question], given: Answers) -> Iterator[Answers]:
    """All valid combinations that contain the given answers, those of defaults first."""

    def extend(answers: Answers, rest: Sequence[Question]) -> Iterator[Answers]:
        if not rest:
            if all(
                not question.choice(answers[question.name]).obstacle(answers)
                for question in questions
                if question.name in answers
            ):
                yield answers
            return
        question = rest[0]
        if not question.applies(answers):
            if question.name not in given:
                yield from extend(answers, rest[1:])
            return
        values = [given[question.name]] if question.name in given else question.values(answers)
        for value in values:
            yield from extend(answers | {question.name: value}, rest[1:])

    return extend({}, questions)


def _obstacle(questions: Sequence[Question], given: Answers) -> str:
    """Why the given answers do not go together: the fewest that exclude each other."""
    culprits = next(
        some
        for size in range(1, len(given) + 1)
        for some in itertools.combinations(given, size)
        if not possible(questions, {name: given[name] for name in some})
    )
    found = [f"{name} {given[name]}" for name in culprits]
    return f"{' and '.join(found)} do not go together: " + ", ".join(
        f"{given[name]} needs {' and '.join(needs)}"
        for name in culprits
        if (needs := needed(questions, name, given[name]))
    )


def needed(questions: Sequence[Question], name: str, value: str) -> list[str]:
    """What a choice needs: the earliest question whose answer it narrows, with what is left."""
    earlier = itertools.takewhile(lambda question: question.name != name, questions)
    for question in earlier:
        values = [choice.value for choice in question.choices]
        fitting = [v for v in values if possible(questions, {name: value, question.name: v})]
        if len(fitting) < len(values):
            return [f"{question.name} {' or '.join(fitting)}"]
    return []


def possible(questions: Sequence[Question], given: Answers) -> bool:
    """Whether some project has all the given answers."""
    return next(_solutions(questions, given), None) is not None


def _nearest(questions: Sequence[Question], given: Answers) -> Answers:
    """A project that differs from what is given in as few answers as possible."""
    return next(
        solution
        for count in reversed(range(len(given)))
        for kept in itertools.combinations(given, count)
        for solution in _solutions(questions, {name: given[name] for name in kept})
    )
