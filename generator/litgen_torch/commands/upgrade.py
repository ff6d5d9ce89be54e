"""`litgen upgrade`: a project as the templates of the installed litgen have it."""

import json
import re
from dataclasses import asdict

import click

from litgen_torch.change import Rules, wanted
from litgen_torch.codemods.run import due
from litgen_torch.codemods.step import Followed, Step
from litgen_torch.commands import show
from litgen_torch.commands.answering import list_versions, upgrade_template
from litgen_torch.commands.editing import (
    nothing_to_do,
    open_project,
    open_settled,
    owners_files,
    plan,
    settle,
)
from litgen_torch.commands.options import Editing, Options, editing
from litgen_torch.compare import changed
from litgen_torch.errors import LitgenError
from litgen_torch.project import Project, from_templates, python_files, unsettled
from litgen_torch.render import Tree, settings
from litgen_torch.versions import installed, is_newer

LINE = ["litgen", "upgrade"]


@click.command(cls=Editing)
@click.option("--list", "only_list", is_flag=True, help="Show the steps that are due.")
@click.option(
    "--to", metavar="VERSION", help="That of litgen, or of the template if it is not litgen's own."
)
@click.option(
    "--with", "words", metavar="QUESTION=ANSWER", multiple=True, help="What a template asks anew."
)
@editing
def command(only_list: bool, to: str | None, words: tuple[str, ...], options: Options) -> None:
    """Let the project follow the templates of the installed litgen.

    What changed its name or its call is followed in all your Python files, then the difference
    between what litgen wrote and would write today is carried into them. What you wrote stays;
    where something does not fit it, nothing is changed.

    Where somebody else's template wrote the project, it follows that: to its newest version or,
    with --to, to any tag, branch or commit.
    """
    project = open_project() if only_list else open_settled()
    if project.template:
        if only_list:
            list_versions(project, options, to=to)
        else:
            line = [*LINE, *(["--to", to] if to else []), *(f"--with={each}" for each in words)]
            upgrade_template(project, options, to=to, words=words, command=line)
        return
    if words:
        raise click.UsageError("--with is for templates that are not litgen's; there: litgen set")
    _check_target(project, to)
    if only_list:
        _list(project, options)
        return
    wish = wanted(project, project.answers, version=installed())
    mine = owners_files(project, wish.files)
    _check_read(project, mine)
    # Anchored patterns, as copier wants them: what an owner makes his own is not offered again.
    once = [path.removeprefix("/") for path in settings()["_skip_if_exists"]]
    change = plan(project, mine, wish, options=options, rules=Rules(leave=once))
    if change.is_nothing:
        nothing_to_do(f"up to date with litgen {installed()}", options, command=LINE)
    else:
        settle(change, options, command=LINE, ask=True)


def _check_target(project: Project, to: str | None) -> None:
    """The installed litgen has its own templates only."""
    if to is None or to == installed():
        return
    if not re.fullmatch(r"\d+(\.\d+)*\w*", to):
        raise click.UsageError(f"--to {to!r} is no version, such as {installed()}")
    if is_newer(project.version, to):
        raise LitgenError(
            f"this project was written by litgen {project.version} already, and {to} is older",
            "litgen undo takes the last change back",
        )
    raise LitgenError(
        f"litgen {installed()} has its own templates only, not those of {to}",
        f"pip install 'litgen-torch=={to}' && litgen upgrade",
    )


def _check_read(project: Project, mine: Tree) -> None:
    """Raise LitgenError for code that a step may concern, and that cannot be read."""
    steps = due(project.version, installed())
    for path in python_files(project.folder) if steps else ():
        if path not in mine:
            _check_bytes(project, path, steps)


def _check_bytes(project: Project, path: str, steps: tuple[Step, ...]) -> None:
    try:
        text = (project.folder / path).read_bytes().decode("latin-1")
    except OSError as error:
        raise LitgenError(
            f"{path} cannot be read: {error.strerror}", f"chmod u+r {path}"
        ) from error
    if concerned := [step for step in steps if step.codemod.concerns(text)]:
        raise LitgenError(
            f"{path} is no UTF-8, and may use what changed: {concerned[0].title}",
            f"save {path} as UTF-8",
        )


def _list(project: Project, options: Options) -> None:
    """The versions, and the steps between them."""
    steps = [
        Followed(s.id, s.codemod.kind, s.title, s.old, s.new, s.changes_results)
        for s in due(project.version, installed())
        if s.codemod.is_due(project.base)
    ]
    record = unsettled(project) if project.version == installed() else []
    files = changed(project.base, from_templates(project.name, project.answers))
    if options.as_json:
        about = {"command": LINE, "version": project.version, "installed": installed()}
        found = {"steps": [asdict(step) for step in steps], "record": record, "files": files}
        click.echo(json.dumps(about | found, indent=2))
    else:
        click.echo(show.due(project, steps, record=record, files=files))
