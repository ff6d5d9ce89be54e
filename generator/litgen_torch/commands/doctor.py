"""`litgen doctor`: is all well, here and in the project?"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from litgen_torch.errors import LitgenError
from litgen_torch.health import Check, check_environment, check_project
from litgen_torch.project import find_project
from litgen_torch.versions import installed

COLOURS = {"ok": "green", "note": "yellow", "bad": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """Check Python, torch, the hardware and the project; exit 1 if something is wrong.

    torch is asked in the project's own Python: .venv if it has one, else `python`.
    """
    checks = [Check("litgen", "ok", installed())]
    try:
        folder = find_project(Path.cwd())
    except LitgenError:
        checks += check_environment(Path.cwd(), None)
        checks.append(Check("project", "note", "none here"))
    else:
        about, project = check_project(folder)
        checks += [*check_environment(folder, project), *about]
    is_sound = all(check.state != "bad" for check in checks)
    if as_json:
        found = {"sound": is_sound, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(found, indent=2))
    else:
        for check in checks:
            _show(check)
    if not is_sound:
        sys.exit(1)


def _show(check: Check) -> None:
    click.echo(
        f"  {click.style(f'{check.state:5}', fg=COLOURS[check.state])} {check.name:12}", nl=False
    )
    click.echo(check.words)
    if check.fix and check.state != "ok":
        click.echo(f"{'':8}fix: {check.fix}")
