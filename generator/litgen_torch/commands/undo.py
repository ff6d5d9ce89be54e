"""`litgen undo`: the last change taken back."""

import json
from dataclasses import asdict

import click

from litgen_torch.commands import show
from litgen_torch.commands.editing import find_and_recover
from litgen_torch.compare import changed, file_change
from litgen_torch.transaction import undo


@click.command()
@click.option("--force", is_flag=True, help="Also where you changed a file since.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(force: bool, as_json: bool) -> None:
    """Restore what the last change of litgen's replaced. Again for the one before it."""
    done = undo(find_and_recover(), force=force)
    paths = [p for p in changed(done.before, done.after) if not p.startswith(".litgen/")]
    files = [file_change(path, done.before.get(path), done.after.get(path)) for path in paths]
    if as_json:
        found = {"undone": done.title, "files": [asdict(file) for file in files]}
        click.echo(json.dumps(found, indent=2))
        return
    click.echo("\n".join([f"Undone: {done.title}", *show.file_lines(files)]))
