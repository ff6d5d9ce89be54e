"""`litgen new`: from answers to a project."""

import json
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from litgen_torch import tree
from litgen_torch.answers import Answers, check_name, complete, flags, read_answers
from litgen_torch.catalog import packages, questions
from litgen_torch.errors import LitgenError
from litgen_torch.project import from_templates, with_record
from litgen_torch.record import read_record
from litgen_torch.render import Tree
from litgen_torch.versions import installed


def _choices(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    question = next(q for q in questions() if q.name == parameter.name)
    return [choice.value for choice in question.choices if choice.value.startswith(begun)]


@click.command()
@click.argument("path", type=click.Path())
@click.option("--task", shell_complete=_choices, help="What it will learn.")
@click.option("--model", shell_complete=_choices, help="Which model.")
@click.option("--data", shell_complete=_choices, help="Which data.")
@click.option("--strategy", shell_complete=_choices, help="How it is spread over processes.")
@click.option("--precision", shell_complete=_choices, help="Which precision it computes in.")
@click.option(
    "--with",
    "others",
    metavar="KIND=CHOICE",
    multiple=True,
    help="Any other; several of a kind as a,b.",
)
@click.option("--template", metavar="SOURCE", help="A copier template: a folder or a git URL.")
@click.option("--ref", help="Its tag, branch or commit; else the newest version.")
@click.option("--trust", is_flag=True, help="Run the template's own tasks and extensions.")
@click.option("--answers", metavar="FILE", help="A TOML file of answers; flags go before it.")
@click.option("-y", "--yes", is_flag=True, help="Take the defaults for the rest, ask nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; asks nothing.")
def command(path: str, template: str | None, **given: Any) -> None:
    """Make a training project in PATH, a folder that is new or empty.

    What is not given is asked on a terminal. With -y it takes the defaults; without a terminal too,
    and says so. `litgen list` shows what can be chosen.
    """
    name = check_name(os.path.basename(os.path.abspath(path)) if path else "")
    tree.check_target(Path(path))
    if template:
        from litgen_torch.commands import from_template

        from_template.make(from_template.requested(path, name, template, given))
    elif given.pop("ref") or given.pop("trust"):
        raise click.UsageError("--ref and --trust are for a --template")
    else:
        _make(path, name, **given)


def _make(
    path: str,
    name: str,
    *,
    others: tuple[str, ...],
    answers: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **slots: str | None,
) -> None:
    given = (_from_file(answers) if answers else {}) | _from_flags(slots, others)
    chosen = complete(questions(), given)
    asking = not (yes or as_json) and _is_terminal()
    if asking:
        from litgen_torch.commands.ask import ask

        chosen = ask(given)
    elif not yes and (taken := {kind: chosen[kind] for kind in chosen if kind not in given}):
        click.echo(f"nothing asked; defaults taken: {' '.join(flags(taken))}", err=True)
    files = from_templates(name, chosen)
    if not as_json:
        click.echo(_summary(path, files))
    if asking and not dry_run and not click.confirm("Write it?", default=True):
        raise LitgenError("nothing was written", _again(path, chosen))
    if not dry_run:
        tree.create(Path(path), with_record(files, name=name, answers=chosen, version=installed()))
    if as_json:
        click.echo(json.dumps(_report(path, files, chosen) | {"written": not dry_run}, indent=2))
    else:
        click.echo(_next_steps(path, files, chosen, dry_run=dry_run))


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def _from_flags(slots: dict[str, str | None], others: tuple[str, ...]) -> Answers:
    given: Answers = {kind: choice for kind, choice in slots.items() if choice is not None}
    sets = {question.name: question for question in questions() if question.many}
    for kind, choice in map(_pair, others):
        if kind in sets:
            given[kind] = sets[kind].answer(*choice.split(","), *given.get(kind, ()))
        elif given.setdefault(kind, choice) != choice:
            raise click.UsageError(f"{kind} is given twice: {given[kind]} and {choice}")
    return given


def _pair(text: str) -> tuple[str, str]:
    kind, equals, choice = text.partition("=")
    if not (kind and equals and choice):
        raise click.BadParameter(f"{text!r} is not KIND=CHOICE", param_hint="--with")
    return kind, choice


def read_file(file: str) -> Mapping[str, Any]:
    """The answers that a TOML file holds; a project's record will do."""
    try:
        text = Path(file).read_text(encoding="utf-8")
        found = tomllib.loads(text)
        answers: Mapping[str, Any] = found.get("answers", found)
        return read_record(text).answers if "format" in found else answers
    except OSError as error:
        fix = "give a TOML file that can be read with --answers"
        raise LitgenError(f"{file}: {error.strerror}", fix) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LitgenError(f"{file}: {error}", 'lines such as: strategy = "ddp"') from error


def _from_file(file: str) -> Answers:
    found = read_file(file)
    try:
        return read_answers(questions(), found)
    except LitgenError as error:
        raise LitgenError(f"{file}: {error.message}", error.hint) from error


def _summary(path: str, files: Tree) -> str:
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
    head = (
        f"{path}/    {len(files)} files, {python} lines of Python, needs {', '.join(_needs(files))}"
    )
    return "\n".join([click.style(head, bold=True), *rows])


def _needs(files: Tree) -> list[str]:
    return packages(files["pyproject.toml"])


def _report(path: str, files: Tree, answers: Answers) -> dict[str, object]:
    return {
        "path": os.path.abspath(path),
        "answers": answers,
        "files": {file: text.count("\n") for file, text in files.items()},
        "needs": _needs(files),
        "next": _steps(path, files, answers),
        "again": _again(path, answers),
    }


def _next_steps(path: str, files: Tree, answers: Answers, *, dry_run: bool) -> str:
    if dry_run:
        return f"\nNothing was written. To write it:\n  {_again(path, answers)}"
    steps = "\n".join(f"  {step}" for step in _steps(path, files, answers))
    return f"\nNext:\n{steps}\nThe same project again:\n  {_again(path, answers)}"


def _steps(path: str, files: Tree, answers: Answers) -> list[str]:
    """What to type next, in this order."""
    data = " --data FOLDER" if answers["data"] == "folder" else ""
    steps = [] if Path(path).resolve() == Path.cwd() else [f"cd {shlex.quote(path)}"]
    first, *others = re.findall(r"^pip install .*", files["README.md"].split("```")[1], re.M)
    steps += [f"{first}    # unless that is done", *others]
    steps += [f"python train.py --fast{data}    # a few steps of everything: does it run here?"]
    steps += [f"python train.py{data}"]
    many = "runtime/dist.py" in files
    return steps + ([f"torchrun --nproc-per-node 2 train.py{data}"] if many else [])


def _again(path: str, answers: Answers) -> str:
    """The command that gives the same project, in one line."""
    return shlex.join(["litgen", "new", path, *flags(answers), "-y"])
