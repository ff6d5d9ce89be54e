"""`litgen eject`: a project that litgen knows nothing of."""

import json

import click

from litgen_torch.commands.editing import find_and_recover, is_terminal
from litgen_torch.errors import LitgenError
from litgen_torch.tree import eject

ENDS = "litgen add, remove, set, upgrade, diff, status and undo end here; all your code stays"


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; needs -y.")
def command(yes: bool, as_json: bool) -> None:
    """Remove .litgen/ from the project. Its code needs nothing of litgen and stays as it is."""
    folder = find_and_recover()
    if not yes:
        if as_json or not is_terminal():
            raise LitgenError("nothing was removed: nobody is there to be asked", "litgen eject -y")
        click.echo(f"{folder / '.litgen'} will be removed: {ENDS}.")
        if not click.confirm("Remove it?", default=False):
            raise LitgenError("nothing was removed", "litgen eject -y")
    eject(folder)
    if as_json:
        click.echo(json.dumps({"ejected": str(folder)}, indent=2))
    else:
        click.echo(f"Removed {folder / '.litgen'}: {ENDS}.")
