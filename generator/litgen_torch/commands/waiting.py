"""The end of a change that left markers in the owner's files: finished, or taken back."""

import json
import shlex
import sys

import click

from litgen_torch.cli import colour
from litgen_torch.commands.editing import find_and_recover
from litgen_torch.commands.options import Options
from litgen_torch.errors import LitgenError
from litgen_torch.pending import go_on, read_pending, take_back, unresolved
from litgen_torch.transaction import commit


def end(options: Options) -> None:
    """Finish the change that waits, or take it back. Exits with 3 while a conflict is left."""
    folder = find_and_recover()
    pending = read_pending(folder)
    if not pending:
        raise LitgenError("no change of this project waits to be finished", "litgen status")
    command = [*pending.command[:2], "--abort" if options.abort else "--continue"]
    left = [] if options.abort else unresolved(folder, pending)
    before, after = ({}, {}) if left else (take_back if options.abort else go_on)(folder, pending)
    is_trial = options.dry_run or options.check or bool(left)
    if not is_trial:
        commit(folder, before=before, after=after, title=shlex.join(command))
    if options.as_json:
        found = {"command": command, "written": not is_trial, "unresolved": left}
        click.echo(json.dumps(found, indent=2))
    elif left:
        click.secho("litgen: not all conflicts are resolved", err=True, fg="red", color=colour())
        click.echo("\n".join(f"  {words}" for words in left), err=True)
        click.echo(f"  fix: edit these, then {shlex.join(command)}", err=True)
    else:
        done = "Taken back" if options.abort else "Finished"
        would = "Nothing was written; it can be" if is_trial else f"{done}. Undo with: litgen undo"
        click.echo(f"{shlex.join(pending.command)}: {would}")
    if left:
        sys.exit(3)
    if options.check:
        sys.exit(1)
