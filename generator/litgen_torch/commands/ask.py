"""Asking on a terminal: arrow keys where it can do that, typing where it cannot."""

import os

import click

from litgen_torch.answers import Answers, complete
from litgen_torch.catalog import Choice, Question, questions
from litgen_torch.solve import possible


def ask(given: Answers) -> Answers:
    """The given answers and the user's to the questions that are left; raises click.Abort."""
    answers = dict(given)
    for question in questions():
        chosen = complete(questions(), answers)
        if question.name in answers or question.name not in chosen:
            continue
        if question.is_open:
            answers[question.name] = _words(question)
            continue
        fitting = [
            choice
            for choice in question.choices
            if possible(questions(), answers | {question.name: question.answer(choice.value)})
        ]
        default = chosen[question.name]
        if isinstance(default, str) and len(fitting) > 1:
            answers[question.name] = _one_of(question, fitting, default)
        elif question.many and fitting:
            answers[question.name] = question.answer(*_some_of(question, fitting))
    return complete(questions(), answers)


def _one_of(question: Question, choices: list[Choice], default: str) -> str:
    if _is_plain():
        _show(choices)
        kinds = click.Choice([choice.value for choice in choices])
        answer: str = click.prompt(question.help, type=kinds, default=default, show_choices=False)
        return answer
    import questionary  # a quarter of a second, so only where it is used

    answer = questionary.select(
        question.help,
        [questionary.Choice(label, value=value) for value, label in _labels(choices).items()],
        default=default,
        instruction=" ",
    ).unsafe_ask()
    return answer


def _some_of(question: Question, choices: list[Choice]) -> list[str]:
    known = [choice.value for choice in choices]
    if _is_plain():

        def read(text: str) -> list[str]:
            words = text.replace(",", " ").split()
            if unknown := [word for word in words if word not in known]:
                raise click.UsageError(f"{unknown[0]!r} is not one of {', '.join(known)}")
            return words

        _show(choices)
        words: list[str] = click.prompt(
            f"{question.help} Any of these, or none",
            default="",
            show_default=False,
            value_proc=read,
        )
        return words
    import questionary

    chosen: list[str] = questionary.checkbox(
        question.help,
        [questionary.Choice(label, value=value) for value, label in _labels(choices).items()],
        instruction="(space chooses, enter goes on)",
    ).unsafe_ask()
    return chosen


def _words(question: Question) -> str:
    def expected(text: str) -> str:
        return question.chosen(text)[0].obstacle({question.name: text})

    if _is_plain():

        def read(text: str) -> str:
            if wrong := expected(text):
                raise click.UsageError(f"expected {wrong}")
            return text

        words: str = click.prompt(question.help, default=question.default, value_proc=read)
        return words
    import questionary

    words = questionary.text(
        question.help,
        default=question.default,
        validate=lambda text: f"expected {wrong}" if (wrong := expected(text)) else True,
    ).unsafe_ask()
    return words


def _is_plain() -> bool:
    return os.environ.get("TERM") == "dumb"


def _show(choices: list[Choice]) -> None:
    for label in _labels(choices).values():
        click.echo(f"  {label}")


def _labels(choices: list[Choice]) -> dict[str, str]:
    width = max(len(choice.value) for choice in choices) + 2
    return {choice.value: f"{choice.value:{width}}{choice.summary}" for choice in choices}
