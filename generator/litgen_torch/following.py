"""What a project shall be that somebody else's template wrote: with other answers, or upgraded."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from litgen_torch.change import Wanted
from litgen_torch.content import is_binary
from litgen_torch.errors import LitgenError
from litgen_torch.foreign import Rendering, Template, read_template, render_foreign
from litgen_torch.merge.text import merge_text
from litgen_torch.origin import Origin, fetched, newest
from litgen_torch.project import Project
from litgen_torch.render import Tree
from litgen_torch.versions import installed


@contextmanager
def at_hand(
    project: Project, *, trust: bool = False, reads_only: bool = False
) -> Iterator[Template]:
    """A project's template, in the state that wrote it; to read its questions runs no code."""
    origin = _origin(project)
    if not origin.is_git and newest(origin).version != origin.version:
        raise LitgenError(
            f"the template at {origin.source} has changed since it wrote this project",
            "litgen upgrade",
        )
    with fetched(origin) as folder:
        yield read_template(folder, origin, trust=trust or reads_only)


def answered(
    template: Template, project: Project, given: Mapping[str, Any], dropped: str = ""
) -> Wanted:
    """The project with some other answers; what is dropped goes back to its default."""
    for name in given:
        if name in template.secret:
            raise LitgenError(
                f"{name} is secret: litgen keeps no such answer, and cannot tell where it stands",
                "change it in the files that have it",
            )
    answers = {name: answer for name, answer in project.answers.items() if name != dropped}
    before = render_foreign(template, project.name, {}, last=project.answers).files
    new = render_foreign(template, project.name, given, last=answers)
    files = {path: _carried(project, path, before.get(path), new.files[path]) for path in new.files}
    return _wanted(project, new, files, template.origin, asked={*given, dropped})


def upgraded(project: Project, origin: Origin, *, trust: bool = False) -> Wanted:
    """The project as another state of its template has it."""
    with fetched(origin) as folder:
        template = read_template(folder, origin, trust=trust)
        new = render_foreign(template, project.name, {}, last=project.answers)
    return _wanted(project, new, new.files, origin)


def _carried(project: Project, path: str, before: str | None, new: str) -> str:
    """What the answers change in a file, in what litgen last wrote.

    A date or a random word, which the template writes each time anew, is no change.
    """
    base = project.base.get(path)
    if base is None or before is None or before == base:
        return new
    if is_binary(base + before + new):
        return base if before == new else new
    return merge_text(before, base, new, path=path).text


def _wanted(
    project: Project,
    new: Rendering,
    files: Tree,
    origin: Origin,
    *,
    asked: Collection[str] = (),
) -> Wanted:
    kept = {path: project.base[path] for path in new.once if path in project.base}
    notes = [note for name, note in _differing(project.answers, new.answers) if name not in asked]
    return Wanted(
        new.answers,
        installed(),
        files | kept,
        template=origin,
        executable=new.executable,
        leave=new.once,
        notes=tuple(notes),
    )


def _origin(project: Project) -> Origin:
    assert project.template, "a project of litgen's own templates"
    return project.template


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The questions of which the answer is another one now, each with a sentence that says so."""
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in before:
            yield name, f"{name} is asked now: {after[name]!r}, the default; litgen set {name} …"
        elif name not in after:
            yield name, f"{name} is not asked any more: it was {before[name]!r}"
        elif before[name] != after[name]:
            yield name, f"{name} is {after[name]!r} now: {before[name]!r} does not fit any more"
