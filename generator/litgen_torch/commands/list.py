"""`litgen list`: the catalogue."""

import json
import shutil
import sys
from typing import Any

import click

from litgen_torch.answers import FLAGS, Answers, complete, with_defaults
from litgen_torch.catalog import Choice, Question, packages, questions
from litgen_torch.commands.answering import questions_of, shown
from litgen_torch.commands.editing import in_project, open_project
from litgen_torch.project import Project
from litgen_torch.render import evaluate, templates_folder
from litgen_torch.solve import needed, possible


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """Show what can be chosen, and what it needs.

    In a project of somebody else's template: the questions of that.
    """
    if in_project() and (project := open_project()).template:
        _show_questions(project, as_json=as_json)
        return
    if as_json:
        click.echo(json.dumps([_data(question) for question in questions()], indent=2))
        return
    for question in questions():
        flag = f"--{question.name}" if question.name in FLAGS else f"--with {question.name}=…"
        many = "    any number of these" if question.many else ""
        click.echo(f"{click.style(flag, bold=True)}    {question.help}{many}")
        click.echo("\n".join(_rows(question)) if question.choices else _open(question))
        click.echo()


def _rows(question: Question) -> list[str]:
    """Each choice, and what it needs."""
    width = max(len(choice.value) for choice in question.choices)
    rows = []
    for choice in question.choices:
        needs = needed(questions(), question.name, choice.value)
        needs += [f"package {name}" for name in brought(question, choice.value)]
        row = f"  {choice.value:{width}}  {choice.summary}"
        rows.append(_with_needs(row, needs, indent=width + 4))
    return rows


def _open(question: Question) -> str:
    needs = needed(questions(), question.name, question.default)
    return _with_needs(f"  {question.default}, or another", needs, indent=4)


def _with_needs(row: str, needs: list[str], indent: int) -> str:
    """A row, and behind it what it needs; on a terminal below it if it would be wrapped."""
    if not needs:
        return row
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    words = f"needs {', '.join(needs)}"
    below = " " * min(indent, max(columns - len(words), 0))
    fits = len(row) + 4 + len(words) <= columns
    return row + click.style(f"    {words}" if fits else f"\n{below}{words}", dim=True)


def _show_questions(project: Project, *, as_json: bool) -> None:
    questions = questions_of(project)
    if as_json:
        click.echo(json.dumps(questions, indent=2, default=str))
        return
    for name, about in questions.items():
        has = shown(project.answers.get(name, "not asked, or secret"))
        click.echo(f"{click.style(name, bold=True)}    {about.get('help', '')}".rstrip())
        click.echo(f"  {'here':8}{has}")
        for title, key in (("one of", "choices"), ("default", "default"), ("when", "when")):
            if key in about:
                click.echo(f"  {title:8}{_words(about[key])}")
        click.echo()


def _words(said: object) -> str:
    return shown([*said] if isinstance(said, dict) else said)


def _data(question: Question) -> dict[str, object]:
    return {
        "name": question.name,
        "help": question.help,
        "many": question.many,
        "open": question.is_open,
        "choices": [
            {"value": choice.value} | described(question, choice) for choice in question.choices
        ],
    }


def described(question: Question, choice: Choice) -> dict[str, Any]:
    """What the catalogue says of a choice."""
    return {
        "summary": choice.summary,
        "page": choice.page,
        "needs": needed(questions(), question.name, choice.value),
        "packages": brought(question, choice.value),
    }


def brought(question: Question, value: str) -> list[str]:
    """The packages that a project needs with this choice, and not with another in its place."""
    if question.is_open:
        return []
    found = complete(questions(), {question.name: question.answer(value)})
    # What is open follows from the choices, and from some of them it does not follow.
    answers = {q.name: found[q.name] for q in questions() if q.name in found and not q.is_open}
    others = [()] if question.many else question.values(answers)
    alike: list[Answers] = [answers | {question.name: other} for other in others]
    without = [_packages(each) for each in alike if possible(questions(), each)]
    return sorted(_packages(answers) - set[str].intersection(*without))


def _packages(answers: Answers) -> set[str]:
    template = (templates_folder() / "project/pyproject.toml.jinja").read_text(encoding="utf-8")
    seen = {"project_name": "", **with_defaults(questions(), answers)}
    return set(packages(evaluate(template, seen)))
