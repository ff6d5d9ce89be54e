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
    reason = _obstacle(questions, given)
    nearest = next(
        solution
        for count in range(1, len(given) + 1)
        for kept in itertools.combinations(given, len(given) - count)
        for solution in _solutions(questions, {name: given[name] for name in kept})
    )
    raise LitgenError(reason, "the nearest that works: " + " ".join(flags(nearest)))


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
    close = difflib.get_close_matches(word, known, n=1)
    return f"one of: {', '.join(known)}" + (f" — did you mean {close[0]}?" if close else "")


def check_name(name: str) -> str:
    """A name that can be a distribution's and a folder's, or LitgenError with one that would do."""
    if VALID_NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    shown = ascii(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…")
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
    """Why the given answers do not go together, in words."""
    answers: Answers = {}
    for question in questions:
        if question.name in given and not question.applies(answers):
            return f"{question.name} {given[question.name]!r} does not go with " + ", ".join(
                f"{name} {value}" for name, value in answers.items()
            )
        if question.applies(answers):
            answers[question.name] = given.get(question.name) or question.values(answers)[0]
    for question in questions:
        value = answers.get(question.name)
        if value and (needs := question.choice(value).obstacle(answers)):
            return f"{question.name} {value!r} {needs}, not {answers['task']}"
    return "these answers do not go together"
