"""`litgen diff`: what the owner changed, or what the template did."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from litgen_torch.commands.editing import open_project
from litgen_torch.commands.show import show_diff
from litgen_torch.compare import changed, file_change, unified
from litgen_torch.content import binary
from litgen_torch.errors import LitgenError
from litgen_torch.places import read_tree
from litgen_torch.project import Project, from_templates
from litgen_torch.render import Tree


@click.command()
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--template", is_flag=True, help="What the templates have otherwise today.")
@click.option("--trust", is_flag=True, help="Run code of a template that is not litgen's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(paths: tuple[str, ...], template: bool, trust: bool, as_json: bool) -> None:
    """Show what you changed since litgen wrote it, in all files or in PATHS."""
    project = open_project()
    base = project.base
    if template:
        other = _as_the_template_has_it(project, trust=trust)
    else:
        other = read_tree(project.folder, sorted(base), binary=binary(base))
    if paths:
        base, other = (_within(tree, paths, project.folder) for tree in (base, other))
        if not base and not other:
            raise LitgenError(f"litgen wrote nothing at {', '.join(paths)}", "litgen status")
    diff = unified(base, other)
    if as_json:
        files = [
            file_change(path, base.get(path), other.get(path)) for path in changed(base, other)
        ]
        click.echo(json.dumps({"files": [asdict(file) for file in files], "diff": diff}, indent=2))
    elif diff:
        show_diff(diff)
    else:
        what = "the template is" if template else "all is"
        who = project.template.words if project.template else f"litgen {project.version}"
        click.echo(f"{what} as {who} wrote it", err=True)


def _as_the_template_has_it(project: Project, *, trust: bool) -> Tree:
    if not project.template:
        return from_templates(project.name, project.answers)
    from litgen_torch.following import upgraded
    from litgen_torch.origin import newest

    return upgraded(project, newest(project.template), trust=trust).files


def _within(tree: Tree, paths: tuple[str, ...], folder: Path) -> Tree:
    """The files at or below paths, which are meant from the current folder."""
    wanted = [os.path.relpath(os.path.abspath(path), folder) for path in paths]
    return {
        path: text
        for path, text in tree.items()
        if any(at in (".", path) or path.startswith(f"{at}/") for at in wanted)
    }
