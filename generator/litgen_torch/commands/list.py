"""`litgen list`: the catalogue."""

import json

import click

from litgen_torch.answers import FLAGS, needed
from litgen_torch.catalog import Question, questions


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """Show what can be chosen, and what it needs."""
    if as_json:
        click.echo(json.dumps([_data(question) for question in questions()], indent=2))
        return
    width = max(len(choice.value) for question in questions() for choice in question.choices)
    for question in questions():
        flag = f"--{question.name}" if question.name in FLAGS else f"--with {question.name}=…"
        click.echo(f"{click.style(flag, bold=True)}    {question.help}")
        for choice in question.choices:
            needs = needed(questions(), question.name, choice.value)
            after = click.style(f"    needs {', '.join(needs)}", dim=True) if needs else ""
            click.echo(f"  {choice.value:{width}}  {choice.summary}{after}")
        click.echo()


def _data(question: Question) -> dict[str, object]:
    return {
        "name": question.name,
        "help": question.help,
        "choices": [
            {
                "value": choice.value,
                "summary": choice.summary,
                "needs": needed(questions(), question.name, choice.value),
            }
            for choice in question.choices
        ],
    }
