"""Asking on a terminal: arrow keys where it can do that, typing where it cannot."""

import os

import click

from litgen_torch.answers import complete, possible
from litgen_torch.catalog import Choice, Question, questions


def ask(given: dict[str, str]) -> dict[str, str]:
    """The given answers and the user's to the questions that are left; raises click.Abort."""
    answers = dict(given)
    for question in questions():
        chosen = complete(questions(), answers)
        if question.name in answers or question.name not in chosen:
            continue
        fitting = [
            choice
            for choice in question.choices
            if possible(questions(), answers | {question.name: choice.value})
        ]
        if len(fitting) > 1:
            answers[question.name] = _one_of(question, fitting, chosen[question.name])
    return complete(questions(), answers)


def _one_of(question: Question, choices: list[Choice], default: str) -> str:
    width = max(len(choice.value) for choice in choices) + 2
    if os.environ.get("TERM") == "dumb":
        for choice in choices:
            click.echo(f"  {choice.value:{width}}{choice.summary}")
        kinds = click.Choice([choice.value for choice in choices])
        answer: str = click.prompt(question.help, type=kinds, default=default, show_choices=False)
        return answer
    import questionary  # a quarter of a second, so only where it is used

    answer = questionary.select(
        question.help,
        [questionary.Choice(f"{c.value:{width}}{c.summary}", value=c.value) for c in choices],
        default=default,
        instruction=" ",
    ).unsafe_ask()
    return answer
