"""The command line. Importing this is quick: each command's module is imported when it is run."""

import importlib
import os
import sys
from typing import Any

import click

from litgen_torch.errors import LitgenError
from litgen_torch.versions import installed

GROUPS = {
    "Begin": {
        "new": "Make a training project.",
        "list": "Show what can be chosen, and what it needs.",
        "explain": "Show which lines a choice brings, and what it needs.",
        "completion": "Print the completion script of a shell.",
    },
    "Change it later": {
        "add": "Add a choice, or put it in the place of another.",
        "remove": "Remove a choice.",
        "set": "Make a choice the only one of its kind.",
        "upgrade": "Follow the templates of the installed litgen.",
        "undo": "Take the last change back.",
        "eject": "Make litgen forget the project.",
    },
    "Look": {
        "status": "Show which files are edited, deleted or behind.",
        "diff": "Show what you changed, or what the template did.",
        "doctor": "Check Python, torch, the hardware and the project.",
    },
}
COMMANDS = {name: words for group in GROUPS.values() for name, words in group.items()}


class Commands(click.Group):
    """The commands by name, with their help but without their modules."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"litgen_torch.commands.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))  # one column for all
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", words) for name, words in commands.items()])

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from litgen_torch.answers import suggestion

            context.fail(f"no command {args[0]!r}; {suggestion(args[0], COMMANDS)}")
        return super().resolve_command(context, args)


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"litgen {installed()}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version.",
)
@click.pass_context
def group(context: click.Context) -> None:
    """Plain PyTorch training projects that their owner owns.

    Start with: litgen new my-project
    """
    context.color = colour()


def colour() -> bool | None:
    """Whether to colour: click itself knows neither NO_COLOR nor FORCE_COLOR nor TERM=dumb."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def main(arguments: list[str] | None = None) -> Any:
    """Run litgen.

    Exit codes: 0 done, or nothing to do, 1 refused with a message, 2 wrong usage, 3 a conflict with
    what the owner wrote, 130 interrupted.
    """
    try:
        group.main(arguments, prog_name="litgen", standalone_mode=False)
    except LitgenError as error:
        click.secho(f"litgen: {error.message}", err=True, color=colour(), fg="red")
        click.echo(f"  fix: {error.hint}", err=True)
        sys.exit(1)
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nlitgen: interrupted, nothing was changed", err=True)
        sys.exit(130)
