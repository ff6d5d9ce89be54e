"""`litgen explain`: what a choice is, what it needs, and which lines are there because of it."""

import itertools
import json
from dataclasses import asdict

import click

from litgen_torch.answers import Answers, complete, with_choice, without_choice
from litgen_torch.catalog import questions
from litgen_torch.commands import show
from litgen_torch.commands.answering import compare_answers
from litgen_torch.commands.choosing import choice_argument, has, named
from litgen_torch.commands.editing import in_project, open_project, owners_files
from litgen_torch.commands.list import described
from litgen_torch.errors import LitgenError
from litgen_torch.owned import Piece, owned, purpose, would_bring
from litgen_torch.project import Project, from_templates
from litgen_torch.render import Tree
from litgen_torch.solve import possible


@click.command()
@choice_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--trust", is_flag=True, help="Run code of a template that is not litgen's.")
def command(words: tuple[str, ...], as_json: bool, trust: bool) -> None:
    """Show which lines of the project are there because of a choice, and what it needs.

    Where the project does not have it, and outside of one: the lines that it would bring.
    """
    project = open_project() if in_project() else None
    if project and project.template:
        _explain_answer(project, words, as_json=as_json, trust=trust)
        return
    kind, choice = named(words)
    having, without, is_there = _sides(project, kind, choice)
    name = project.name if project else "my-project"
    tree = from_templates(name, having)
    other = from_templates(name, without)
    mine = owners_files(project, tree | other) if project and is_there else {}
    pieces = owned(other, tree, mine) if is_there else would_bring(other, tree)
    question = next(question for question in questions() if question.name == kind)
    about = described(question, question.chosen(question.answer(choice))[0])
    if as_json:
        files = [asdict(piece) for piece in pieces]
        said = {"kind": kind, "choice": choice} | about | {"in_project": is_there}
        click.echo(json.dumps(said | {"pieces": files}, indent=2))
        return
    click.echo(f"{click.style(f'{kind} {choice}', bold=True)}    {about['summary']}")
    if needs := [*about["needs"], *(f"package {package}" for package in about["packages"])]:
        click.echo(f"  needs {', '.join(needs)}")
    if about["page"]:
        click.echo(f"  more: {about['page']}")
    if not is_there:
        where = "this project does not have it" if project else "no project here"
        click.echo(f"  {where}: litgen add {kind} {choice} would bring")
    _show(pieces, tree, mine, is_there=is_there)


def _explain_answer(
    project: Project, words: tuple[str, ...], *, as_json: bool, trust: bool
) -> None:
    """The same where somebody else's template wrote the project."""
    compared = compare_answers(project, words, trust=trust)
    mine = owners_files(project, compared.having | compared.without)
    if compared.is_there:
        pieces = owned(compared.without, compared.having, mine)
    else:
        pieces = would_bring(compared.without, compared.having)
    if as_json:
        about = {
            "question": compared.question,
            "answer": compared.answer,
            "compared_with": compared.other,
            "in_project": compared.is_there,
            "pieces": [asdict(piece) for piece in pieces],
        }
        click.echo(json.dumps(about, indent=2))
        return
    head = click.style(f"{compared.question} {compared.answer}", bold=True)
    click.echo(f"{head}    compared with {compared.other}")
    if not compared.is_there:
        what = f"litgen set {compared.question} {compared.answer}"
        click.echo(f"  this project does not have it: {what} would bring")
    _show(pieces, compared.having, mine, is_there=compared.is_there)


def _sides(project: Project | None, kind: str, choice: str) -> tuple[Answers, Answers, bool]:
    """The answers with and without a choice, and whether the project is the one with it."""
    question = next(question for question in questions() if question.name == kind)
    if not project:
        having = complete(questions(), {kind: question.answer(choice)})
        return having, _without(having, kind, choice), False
    if has(project.answers, kind, choice):
        return project.answers, _without(project.answers, kind, choice), True
    return with_choice(questions(), project.answers, kind, choice), project.answers, False


def _without(having: Answers, kind: str, choice: str) -> Answers:
    try:
        return without_choice(questions(), having, kind, choice)
    except LitgenError:  # the default: what it owns is what any other would replace
        question = next(question for question in questions() if question.name == kind)
        for other in question.choices:
            wish = having | {kind: question.answer(other.value)}
            if other.value != choice and possible(questions(), wish):
                return with_choice(questions(), having, kind, other.value)
        return having


def _show(pieces: list[Piece], having: Tree, mine: Tree, *, is_there: bool) -> None:
    for path, group in itertools.groupby(pieces, key=lambda piece: piece.path):
        click.echo()
        found = list(group)
        if found[0].whole:
            gone = "    you deleted it" if is_there and path not in mine else ""
            about = f"the whole file, {show.count(len(found[0].lines), 'line')}{gone}"
            click.echo(f"{click.style(path, bold=True)}    {about}")
            if path.endswith(".py") and (words := purpose(having[path])):
                click.echo(f"  {words}")
            continue
        click.secho(path, bold=True)
        for number, piece in enumerate(found):
            if number:
                click.echo("    …")
            for line, text in piece.lines:
                click.echo(f"{line:5}  {text}" if line else f"    +  {text}".rstrip())
            if piece.changed:
                click.secho("       you changed this", dim=True)
            if piece.instead and any(text.strip() for text in piece.instead):
                click.secho(f"       without it: {_one_line(piece.instead)}", dim=True)


def _one_line(lines: tuple[str, ...]) -> str:
    words = " ⏎ ".join(line.strip() for line in lines if line.strip())
    return words if len(words) <= 100 else f"{words[:99]}…"
