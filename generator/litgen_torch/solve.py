"""Which answers go together and, where some do not, why: a search through the questions."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from litgen_torch.catalog import Answer, Question
from litgen_torch.render import variables

Given = Mapping[str, Answer]
Pair = tuple[str, str]  # a question and one choice: a slot's only one, or one of a set


def solutions(questions: Sequence[Question], given: Given) -> Iterator[dict[str, Answer]]:
    """All valid combinations that contain the given answers, those of defaults first."""
    ahead = {q.name: given.get(q.name, ()) for q in questions if q.many or q.name in given}

    def extend(answers: dict[str, Answer], rest: Sequence[Question]) -> Iterator[dict[str, Answer]]:
        if not rest:
            yield answers
            return
        if _is_excluded(given, rest, ahead | answers):
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


def _is_excluded(given: Given, rest: Sequence[Question], known: Given) -> bool:
    """Whether what is known by now excludes a given answer that comes later."""
    later = [question for question in rest if question.name in given]
    unknown = {question.name for question in rest} - known.keys()
    return any(
        (unknown.isdisjoint(variables(question.when)) and not question.applies(known))
        or any(
            unknown.isdisjoint(variables(choice.condition)) and choice.obstacle(known)
            for choice in question.chosen(given[question.name])
        )
        for question in later
    )


def possible(questions: Sequence[Question], given: Given) -> bool:
    """Whether some project has all the given answers."""
    return next(solutions(questions, given), None) is not None


def needed(
    questions: Sequence[Question], name: str, value: str, beside: Sequence[Pair] = ()
) -> list[str]:
    """What a choice needs, in words: the earliest question whose answer it narrows, and to what.

    Members of sets that it may need are told, unless they are `beside` it.
    """
    found = narrowed(questions, name, value, beside)
    return [in_words(*found)] if found else []


def in_words(question: Question, fitting: Sequence[str]) -> str:
    """These answers to a question, or where they are most of them, the others."""
    others = [choice.value for choice in question.choices if choice.value not in fitting]
    if not others:
        return f"any {question.name}"
    if len(others) < len(fitting) - 1:
        return f"{question.name} other than {' or '.join(others)}"
    return f"{question.name} {' or '.join(fitting)}"


def narrowed(
    questions: Sequence[Question], name: str, value: str, beside: Sequence[Pair] = ()
) -> tuple[Question, list[str]] | None:
    """The earliest question that a choice leaves fewer answers to, and those."""
    base = [(name, value), *beside]
    in_a_set = not possible(questions, gathered(questions, base))
    for earlier in itertools.takewhile(lambda question: question.name != name, questions):
        values = [choice.value for choice in earlier.choices if earlier.many is in_a_set]
        pairs_with = [(v, gathered(questions, [*base, (earlier.name, v)])) for v in values]
        fitting = [v for v, given in pairs_with if possible(questions, given)]
        if fitting if in_a_set else len(fitting) < len(values):
            return earlier, fitting
    return None


def obstacle(questions: Sequence[Question], given: Given) -> str:
    """Why the given answers do not go together: the fewest that exclude each other."""
    beside = {pair: _beside(questions, given, pair) for pair in pairs(given)}
    culprits = next(
        some
        for size in range(1, len(pairs(given)) + 1)
        for some in itertools.combinations(pairs(given), size)
        if not possible(
            questions, gathered(questions, {*some, *(p for one in some for p in beside[one])})
        )
    )
    found = [f"{name} {value}" for name, value in culprits]
    reasons = [
        f"{value} needs {' and '.join(needs)}"
        for name, value in culprits
        if (needs := needed(questions, name, value, beside[name, value]))
    ]
    if len(culprits) == 1:
        return f"{culprits[0][0]} {reasons[0]}" if reasons else f"{found[0]} is not possible"
    return f"{' and '.join(found)} do not go together" + ": " * bool(reasons) + ", ".join(reasons)


def _beside(questions: Sequence[Question], given: Given, pair: Pair) -> list[Pair]:
    """The given members of sets, where without any there is no such choice."""
    if possible(questions, gathered(questions, [pair])):
        return []
    sets = {question.name for question in questions if question.many}
    return [other for other in pairs(given) if other[0] in sets]


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
