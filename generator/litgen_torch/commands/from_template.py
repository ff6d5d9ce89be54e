"""`litgen new --template`: a project from any copier template, of which litgen knows nothing."""

import json
import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from litgen_torch import tree
from litgen_torch.answers import FLAGS
from litgen_torch.commands.answering import pairs, shown
from litgen_torch.commands.editing import is_terminal
from litgen_torch.commands.new import read_file
from litgen_torch.errors import LitgenError
from litgen_torch.foreign import Rendering, Template, read_template, render_foreign
from litgen_torch.origin import Origin, answers_from_record, fetched, find
from litgen_torch.project import record_of
from litgen_torch.versions import installed


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    path: str
    name: str
    source: str
    ref: str | None
    words: list[tuple[str, str]]  # question and answer
    answers: dict[str, Any]  # from a file
    trust: bool
    yes: bool
    dry_run: bool
    as_json: bool


def make(request: Request) -> None:
    """Write the project, or say what would be written."""
    origin = find(request.source, request.ref)
    asking = is_terminal() and not (request.yes or request.as_json)
    with fetched(origin) as folder:
        template = read_template(folder, origin, trust=request.trust)
        given = request.answers | template.answers(request.words)
        made = render_foreign(template, request.name, given, ask=asking)
        # The record and the base know no secret: where files have it, it counts as an edit.
        base = made.files
        if template.secret:
            base = render_foreign(template, request.name, {}, last=made.answers).files
    hidden = [name for name in template.secret if made.files != base]
    again = _again(request, template, made.answers)
    taken = [
        f"{name}={shown(answer)}" for name, answer in made.answers.items() if name not in given
    ]
    if taken and not (asking or request.yes or request.as_json):
        click.echo(f"nothing asked; defaults taken: {' '.join(taken)}", err=True)
    if not request.as_json:
        click.echo(_summary(request.path, made, origin))
    if asking and not request.dry_run and not click.confirm("Write it?", default=True):
        raise LitgenError("nothing was written", again)
    if not request.dry_run:
        record = record_of(
            base, name=request.name, answers=made.answers, version=installed(), template=origin
        )
        tree.create(Path(request.path), record | made.files, executable=made.executable)
    if request.as_json:
        click.echo(json.dumps(_report(request, made, origin, again), indent=2, default=str))
        return
    if hidden:
        words = "secret, recorded nowhere but in the files that have it, which count as edited"
        click.echo(f"\n{', '.join(sorted(hidden))}: {words}")
    click.echo(_end(request, made, again))


def requested(path: str, name: str, source: str, given: dict[str, Any]) -> Request:
    """What the options say; raises UsageError for those that are for litgen's own templates."""
    if odd := [f"--{kind}" for kind in FLAGS if given[kind]]:
        raise click.UsageError(f"{odd[0]} is litgen's own; use --with QUESTION=ANSWER")
    found = read_file(given["answers"]) if given["answers"] else {}
    return Request(
        path,
        name,
        source,
        ref=given["ref"],
        words=pairs(given["others"]),
        answers=answers_from_record(found),
        trust=given["trust"],
        yes=given["yes"],
        dry_run=given["dry_run"],
        as_json=given["as_json"],
    )


def _summary(path: str, made: Rendering, origin: Origin) -> str:
    head = click.style(f"{path}/    {len(made.files)} files by {origin.words}", bold=True)
    shown = [f"  {file}{' (may be run)' * (file in made.executable)}" for file in made.files]
    return "\n".join([head, *shown])


def _report(request: Request, made: Rendering, origin: Origin, again: str) -> dict[str, Any]:
    return {
        "path": os.path.abspath(request.path),
        "template": asdict(origin),
        "answers": made.answers,
        "files": list(made.files),
        "again": again,
        "written": not request.dry_run,
    }


def _end(request: Request, made: Rendering, again: str) -> str:
    if request.dry_run:
        return f"\nNothing was written. To write it:\n  {again}"
    is_here = Path(request.path).resolve() == Path.cwd()
    steps = [] if is_here else [f"cd {shlex.quote(request.path)}"]
    if made.answers:
        steps.append("litgen set QUESTION ANSWER    # another answer, carried into your files")
    steps.append("litgen upgrade    # what the template has become since")
    lines = "\n".join(f"  {step}" for step in steps)
    return f"\nNext:\n{lines}\nThe same project again:\n  {again}"


def _again(request: Request, template: Template, answers: dict[str, Any]) -> str:
    """The command that gives the same project, in one line; what is secret has to be said anew."""
    origin = template.origin
    words = ["litgen", "new", request.path, "--template", origin.source]
    words += ["--ref", origin.ref or origin.version] if origin.is_git else []
    words += ["--trust"] * request.trust
    for question, answer in answers.items():
        words += ["--with", f"{question}={_word(template.type_of(question), answer)}"]
    return shlex.join([*words, "-y"])


def _word(kind: str, answer: Any) -> str:
    is_text = isinstance(answer, str) and kind not in ("yaml", "json")
    return answer if is_text else json.dumps(answer, default=str)
