"""`litgen new`: from answers to a project."""

import json
import os
import shlex
import sys
import tomllib
from pathlib import Path

import click

from litgen_torch import cli, tree
from litgen_torch.answers import FLAGS, check_known, check_name, complete, flags
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError
from litgen_torch.finish import finish
from litgen_torch.project import with_record
from litgen_torch.render import Tree, render


def _choices(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    question = next(q for q in questions() if q.name == parameter.name)
    return [choice.value for choice in question.choices if choice.value.startswith(begun)]


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--task", shell_complete=_choices, help="What it will learn.")
@click.option("--model", shell_complete=_choices, help="Which model.")
@click.option("--data", shell_complete=_choices, help="Which data.")
@click.option("--strategy", shell_complete=_choices, help="How it is spread over processes.")
@click.option("--precision", shell_complete=_choices, help="Which precision it computes in.")
@click.option("--with", "others", metavar="KIND=CHOICE", multiple=True, help="Any other choice.")
@click.option("--answers", metavar="FILE", help="A TOML file of answers; flags go before it.")
@click.option("-y", "--yes", is_flag=True, help="Take the defaults for the rest, ask nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; asks nothing.")
def command(
    path: Path,
    others: tuple[str, ...],
    answers: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **slots: str | None,
) -> None:
    """Make a training project in PATH, a folder that is new or empty.

    What is not given is asked on a terminal; with -y, or without a terminal, it takes the defaults.
    `litgen list` shows what can be chosen.
    """
    name = check_name(path.name if path.name not in ("", "..") else path.resolve().name)
    tree.check_target(path)
    given = _from_file(answers) if answers else {}
    given |= {kind: choice for kind, choice in slots.items() if choice is not None}
    given |= dict(_pair(text) for text in others)
    chosen = complete(questions(), given)
    asking = not (yes or as_json or dry_run) and _is_terminal()
    if asking:
        from litgen_torch.commands.ask import ask

        chosen = ask(given)
    files = finish(render({"project_name": name, "tokenizer": "", **chosen}))
    if as_json:
        report = {"path": str(path), "name": name, "answers": chosen, "files": list(files)}
        click.echo(json.dumps(report | {"written": not dry_run}, indent=2))
    else:
        click.echo(_summary(path, files))
    if asking and not click.confirm("Write it?", default=True):
        raise click.Abort
    if not dry_run:
        tree.create(path, with_record(files, name=name, answers=chosen, version=cli.version()))
    if not as_json:
        click.echo(_next_steps(path, files, chosen, dry_run))


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def _pair(text: str) -> tuple[str, str]:
    kind, equals, choice = text.partition("=")
    if not (kind and equals and choice):
        raise click.BadParameter(f"{text!r} is not KIND=CHOICE", param_hint="--with")
    return kind, choice


def _from_file(file: str) -> dict[str, str]:
    try:
        found = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise LitgenError(f"{file}: {words}", 'lines such as: strategy = "ddp"') from error
    answers = found.get("answers", found)  # a project's own record will do
    try:
        for kind, choice in answers.items():
            if not isinstance(choice, str):
                raise LitgenError(f"{kind} is {choice!r}, not text", f'{kind} = "…"')
        check_known(questions(), answers)
    except LitgenError as error:
        raise LitgenError(f"{file}: {error.message}", error.hint) from error
    return dict(answers)


def _summary(path: Path, files: Tree) -> str:
    """The files that are written, with their lines; a folder below the project in one line."""
    lines = {file: text.count("\n") for file, text in files.items()}
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, _, rest = file.partition("/")
        folders.setdefault(folder, []).append(rest.removesuffix(".py"))
    rows = []
    for entry, inside in sorted(folders.items(), key=lambda item: (item[1] != [""], item[0])):
        if inside == [""]:
            rows.append(f"  {entry:16}{lines[entry]:5}")
        else:
            total = sum(count for file, count in lines.items() if file.startswith(f"{entry}/"))
            names = "  ".join(name for name in inside if name != "__init__")
            rows.append(f"  {entry + '/':16}{total:5}   {names}")
    python = sum(count for file, count in lines.items() if file.endswith(".py"))
    head = f"{path}/    {len(files)} files, {python} lines of Python, needs {_needs(files)}"
    return "\n".join([click.style(head, bold=True), *rows])


def _needs(files: Tree) -> str:
    dependencies = tomllib.loads(files["pyproject.toml"])["project"]["dependencies"]
    return ", ".join(dependency.partition(">")[0] for dependency in dependencies)


def _next_steps(path: Path, files: Tree, answers: dict[str, str], dry_run: bool) -> str:
    again = shlex.join(["litgen", "new", str(path), *flags(answers), "-y"])
    if dry_run:
        return f"\nNothing was written. To write it:\n  {again}"
    steps = [f"cd {shlex.quote(str(path))}"] if path.resolve() != Path.cwd() else []
    data = " --data FOLDER" if answers["data"] == "folder" else ""
    steps += [f"python train.py --fast{data}    # a few steps of everything: does it run here?"]
    steps += [f"python train.py{data}"]
    if answers["strategy"] != "single":
        steps += [f"torchrun --nproc-per-node 2 train.py{data}"]
    return "\n".join(
        ["", "Next:", *(f"  {step}" for step in steps), "The same project again:", f"  {again}"]
    )
