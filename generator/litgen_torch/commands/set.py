"""`litgen set`: this choice of a kind, and no other."""

import click

from litgen_torch.answers import with_choice, without_choice
from litgen_torch.catalog import questions
from litgen_torch.commands.answering import answer
from litgen_torch.commands.choosing import choice_argument, choices_of, named
from litgen_torch.commands.editing import carry_out, nothing_to_do, open_to_change
from litgen_torch.commands.options import Editing, Options, editing


@click.command(cls=Editing)
@choice_argument
@editing
def command(words: tuple[str, ...], options: Options) -> None:
    """Make a choice the only one of its kind, as: precision bf16.

    Where there can be several of a kind, such as loggers, the others go; `litgen add` keeps them.
    """
    project = open_to_change()
    if project.template:
        answer(project, "set", words, options)
        return
    kind, choice = named(words)
    line = ["litgen", "set", kind, choice]
    if choices_of(project.answers, kind) == (choice,):
        nothing_to_do(f"{kind} is {choice} already", options, command=line)
        return
    answers = with_choice(questions(), project.answers, kind, choice)
    for other in choices_of(answers, kind):
        if other != choice:
            answers = without_choice(questions(), answers, kind, other)
    carry_out(project, answers, options, command=line)
