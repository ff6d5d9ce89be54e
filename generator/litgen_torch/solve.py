"""Which answers go together and, where some do not, why: a search through the questions."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from litgen_torch.catalog import Answer, Question

Given = Mapping[str, Answer]
Pair = tuple[str, str]  # a question and one choice: a slot's only one, or one of a set


def solutions(questions: Sequence[Question], given: Given) -> Iterator[dict[str, Answer]]:
    """All valid combinations that contain the given answers, those of defaults first."""

    def extend(answers: dict[str, Answer], rest: Sequence[Question]) -> Iterator[dict[str, Answer]]:
        if not rest:
            yield answers
            return
        question = rest[0]
        if not question.applies(answers):
            if question.name not in given:
                yield from extend(answers, rest[1:])
            return
        found: Iterable[Answer] = question.values(answers)
        if question.many or question.name in given:
            found = [given.get(question.name, ())]
        for answer in found:  # a choice needs answers to the questions before it
            more = answers | {question.name: answer}
            if not any(choice.obstacle(more) for choice in question.chosen(answer)):
                yield from extend(more, rest[1:])

    return extend({}, questions)


def possible(questions: Sequence[Question], given: Given) -> bool:
    """Whether some project has all the given answers."""
    return next(solutions(questions, given), None) is not None


def needed(questions: Sequence[Question], name: str, value: str) -> list[str]:
    """What a choice needs: the earliest question whose answer it narrows, with what is left."""
    for earlier in itertools.takewhile(lambda question: question.name != name, questions):
        values = [] if earlier.many else [choice.value for choice in earlier.choices]
        pairs_with = [(v, gathered(questions, [(name, value), (earlier.name, v)])) for v in values]
        fitting = [v for v, given in pairs_with if possible(questions, given)]
        if len(fitting) < len(values):
            return [f"{earlier.name} {' or '.join(fitting)}"]
    return []


def obstacle(questions: Sequence[Question], given: Given) -> str:
    """Why the given answers do not go together: the fewest that exclude each other."""
    culprits = next(
        some
        for size in range(1, len(pairs(given)) + 1)
        for some in itertools.combinations(pairs(given), size)
        if not possible(questions, gathered(questions, some))
    )
    found = [f"{name} {value}" for name, value in culprits]
    reasons = [
        f"{value} needs {' and '.join(needs)}"
        for name, value in culprits
        if (needs := needed(questions, name, value))
    ]
    return f"{' and '.join(found)} do not go together" + ": " * bool(reasons) + ", ".join(reasons)


def nearest(
    questions: Sequence[Question], given: Given, kept: Sequence[Pair] = ()
) -> dict[str, Answer] | None:
    """What differs from what is given in as few choices as possible, and in none that is kept."""
    rest = [pair for pair in pairs(given) if pair not in kept]
    return next(
        (
            solution
            for count in reversed(range(len(rest) + 1))
            for some in itertools.combinations(rest, count)
            for solution in solutions(questions, gathered(questions, [*kept, *some]))
        ),
        None,
    )


def pairs(answers: Given) -> list[Pair]:
    """The answers, choice by choice."""
    return [
        (name, value)
        for name, answer in answers.items()
        for value in ((answer,) if isinstance(answer, str) else answer)
    ]


def gathered(questions: Sequence[Question], choices: Iterable[Pair]) -> dict[str, Answer]:
    """The answers that consist of these choices."""
    values: dict[str, list[str]] = {}
    for name, value in choices:
        values.setdefault(name, []).append(value)
    by_name = {question.name: question for question in questions}
    return {name: by_name[name].answer(*found) for name, found in values.items()}
