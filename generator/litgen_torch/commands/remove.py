"""`litgen remove`: a project without a choice."""

import click

from litgen_torch.answers import without_choice
from litgen_torch.catalog import questions
from litgen_torch.commands.answering import answer
from litgen_torch.commands.choosing import choice_argument, has, named
from litgen_torch.commands.editing import carry_out, nothing_to_do, open_to_change
from litgen_torch.commands.options import Editing, Options, editing


@click.command(cls=Editing)
@choice_argument
@editing
def command(words: tuple[str, ...], options: Options) -> None:
    """Remove a choice from the project, as: strategy fsdp, or: ema.

    Where there is always one of a kind, such as the strategy, the default takes its place.
    """
    project = open_to_change()
    if project.template:
        answer(project, "remove", words, options)
        return
    kind, choice = named(words)
    line = ["litgen", "remove", kind, choice]
    if not has(project.answers, kind, choice):
        nothing_to_do(f"{kind} {choice} is not there", options, command=line)
        return
    answers = without_choice(questions(), project.answers, kind, choice)
    carry_out(project, answers, options, command=line)
