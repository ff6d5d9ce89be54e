"""The options of every command that changes a project."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

STEPS = 5  # of a verification


@dataclass(frozen=True)
class Options:
    """The options of every command that changes a project."""

    dry_run: bool
    diff: bool
    as_json: bool
    check: bool
    force: bool
    accept: tuple[tuple[str, int], ...]
    conflicts: str
    verify: int | None
    yes: bool
    go_on: bool
    abort: bool
    trust: bool

    @property
    def markers(self) -> bool:
        return self.conflicts == "markers"


class Place(click.ParamType[tuple[str, int]]):
    """FILE:LINE, or FILE for one that is not there."""

    name = "FILE:LINE"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, int]:
        path, colon, line = str(value).rpartition(":")
        if not colon:
            return str(value), 0
        if not (path and line.isdecimal()):
            self.fail(f"{value!r} is not FILE:LINE", parameter, context)
        return path, int(line)


class Editing(click.Command):
    """A command in which `--verify` needs no number, wherever it stands."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        for place, word in enumerate(words):
            following = words[place + 1] if place + 1 < len(words) else ""
            if word == "--verify" and not following.lstrip("-").isdecimal():
                words[place] = f"--verify={STEPS}"
        return super().parse_args(context, words)


OPTIONS = (
    click.option("--dry-run", is_flag=True, help="Show what would change, write nothing."),
    click.option(
        "--diff", is_flag=True, help="Show the change as a diff, and ask before it is written."
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
    click.option("--check", is_flag=True, help="Write nothing; exit 1 if something would change."),
    click.option("--force", is_flag=True, help="Also where git has uncommitted changes."),
    click.option(
        "--accept", multiple=True, type=Place(), help="Keep your version there. Repeatable."
    ),
    click.option(
        "--conflicts",
        type=click.Choice(["refuse", "markers"]),
        default="refuse",
        help="Where both changed a place: change nothing, or write both between markers.",
    ),
    click.option(
        "--verify",
        type=click.IntRange(min=1),
        metavar="[N]",
        help=f"Train N steps ({STEPS}) before and after in copies; compare the losses.",
    ),
    click.option("-y", "--yes", is_flag=True, help="Ask nothing, write."),
    click.option("--continue", "go_on", is_flag=True, help="Finish what left markers."),
    click.option("--abort", is_flag=True, help="Take back what left markers."),
    click.option(
        "--trust", is_flag=True, help="Run tasks and extensions of a template that is not litgen's."
    ),
)


def editing(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options; with --continue or --abort the function is not called at all."""

    @functools.wraps(function)
    def run(**given: Any) -> None:
        options = Options(**{field.name: given.pop(field.name) for field in fields(Options)})
        if options.go_on and options.abort:
            raise click.UsageError("--continue and --abort exclude each other")
        if options.go_on or options.abort:
            from litgen_torch.commands.waiting import end

            end(options)
        else:
            function(options=options, **given)

    for option in reversed(OPTIONS):
        run = option(run)
    return run
