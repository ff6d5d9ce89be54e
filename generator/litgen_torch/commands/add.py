"""`litgen add`: one more choice, or another one in a slot."""

import click

from litgen_torch.answers import with_choice
from litgen_torch.catalog import questions
from litgen_torch.commands.answering import answer
from litgen_torch.commands.choosing import choice_argument, has, named
from litgen_torch.commands.editing import carry_out, nothing_to_do, open_to_change
from litgen_torch.commands.options import Editing, Options, editing


@click.command(cls=Editing)
@choice_argument
@editing
def command(words: tuple[str, ...], options: Options) -> None:
    """Add a choice to the project, as: strategy fsdp, or: ema.

    Where there can only be one of a kind, such as the strategy, it takes the place of what is
    there. What you wrote yourself stays; where the change does not fit it, nothing is changed.
    """
    project = open_to_change()
    if project.template:
        answer(project, "add", words, options)
        return
    kind, choice = named(words)
    line = ["litgen", "add", kind, choice]
    if has(project.answers, kind, choice):
        nothing_to_do(f"{kind} {choice} is there already", options, command=line)
        return
    answers = with_choice(questions(), project.answers, kind, choice)
    carry_out(project, answers, options, command=line)
