"""A choice as it is named on the command line: KIND CHOICE, or CHOICE where that says it all."""

from collections.abc import Callable
from typing import TypeVar

import click

from litgen_torch.answers import Answers, check_known, kind_of
from litgen_torch.catalog import questions

Function = TypeVar("Function", bound=Callable[..., None])


def choice_argument(function: Function) -> Function:
    """Give a command the argument that `named` reads."""
    argument = click.argument(
        "words", metavar="[KIND] CHOICE", nargs=-1, shell_complete=_completions
    )
    return argument(function)


def named(words: tuple[str, ...]) -> tuple[str, str]:
    """The kind and the choice; LitgenError if there are none such."""
    if not 1 <= len(words) <= 2:
        raise click.UsageError("expected KIND CHOICE, or a CHOICE; `litgen list` shows them")
    if len(words) == 1:
        return kind_of(questions(), words[0]), words[0]
    kind, choice = words
    many = {question.name for question in questions() if question.many}
    check_known(questions(), {kind: (choice,) if kind in many else choice})
    return kind, choice


def choices_of(answers: Answers, kind: str) -> tuple[str, ...]:
    """What a project has of a kind."""
    answer = answers.get(kind, ())
    return (answer,) if isinstance(answer, str) else answer


def has(answers: Answers, kind: str, choice: str) -> bool:
    """Whether a project has a choice."""
    return choice in choices_of(answers, kind)


def _completions(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    before = context.params.get(parameter.name or "") or ()
    if before:
        kinds = [question for question in questions() if question.name == before[0]]
        words = [choice.value for question in kinds for choice in question.choices]
    else:
        words = [question.name for question in questions()]
        words += [choice.value for question in questions() for choice in question.choices]
    return [word for word in words if word.startswith(begun)]
