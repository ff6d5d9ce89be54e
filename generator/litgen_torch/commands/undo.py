"""`litgen undo`: the last change taken back."""

import json

import click

from litgen_torch.commands.editing import find_and_recover
from litgen_torch.transaction import undo


@click.command()
@click.option("--force", is_flag=True, help="Also where you changed a file since.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(force: bool, as_json: bool) -> None:
    """Restore what the last change of litgen's replaced. Again for the one before it."""
    title = undo(find_and_recover(), force=force)
    click.echo(json.dumps({"undone": title}, indent=2) if as_json else f"Undone: {title}")
