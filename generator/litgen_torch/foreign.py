"""Somebody else's copier template, rendered to a tree: the only door to copier.

It runs in copier's sandbox. Its tasks and Jinja extensions are code that it brings along, and are
only run where the user trusts it; what tasks write counts as the template's. Migrations are never
run: litgen merges instead.
"""

import ast
import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litgen_torch.answers import suggestion
from litgen_torch.content import from_bytes
from litgen_torch.errors import LitgenError
from litgen_torch.git import OF_A_HOOK
from litgen_torch.origin import Origin, fetched
from litgen_torch.render import Tree

LAST = ".copier-answers.yml"  # where copier looks for the answers of the last time
# Copier takes any word for a yes, and for a number that is none it does not say which question's.
READ_AS = {
    "bool": (
        re.compile(r"true|false|yes|no|on|off|y|n|t|f|1|0", re.IGNORECASE),
        "true or false",
        "true",
    ),
    "int": (re.compile(r"[+-]?\d+"), "a whole number", "1"),
    "float": (re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE), "a number", "1.5"),
}
READ_IT = "read what it does; then the same with --trust"


@dataclass(frozen=True)
class Template:
    """A template whose files are at hand."""

    folder: Path
    origin: Origin
    questions: Mapping[str, Mapping[str, Any]]  # as copier.yml has them
    secret: frozenset[str]
    runs: tuple[str, ...]  # code that it brings along, in words

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise LitgenError for a question that is not asked, and for a word that is no answer."""
        for name, answer in given.items():
            if name not in self.questions:
                known = suggestion(name, self.questions) if self.questions else "it asks nothing"
                raise LitgenError(f"{self.origin.name} has no question {name!r}", known)
            shape, expected, example = READ_AS.get(self.type_of(name), (None, "", ""))
            if shape and isinstance(answer, str) and not shape.fullmatch(answer):
                raise LitgenError(
                    f"{name} is {answer!r}, expected {expected}", f"for instance {example}"
                )

    def answer(self, name: str, words: list[str]) -> Any:
        """What words on the command line say: copier reads them, as YAML where it has to."""
        is_list = name in self.questions and self.type_of(name) == "list"
        if is_list and not (len(words) == 1 and words[0].startswith("[")):
            return words
        if len(set(words)) > 1:
            raise LitgenError(f"{name} is given twice: {words[0]} and {words[-1]}", "leave one out")
        return words[0]

    def type_of(self, name: str) -> str:
        """The type of a question's answers, where the template says it or gives a default."""
        question = self.questions[name]
        if question.get("multiselect"):
            return "list"
        return str(question.get("type") or type(question.get("default")).__name__)


@dataclass(frozen=True)
class Rendering:
    """What a template makes of answers."""

    files: Tree
    executable: frozenset[str]
    answers: dict[str, Any]  # those that may be recorded: asked with the others, and not secret
    once: frozenset[str]  # files that are not written where they are there already


def read_template(folder: Path, origin: Origin, *, trust: bool) -> Template:
    """What a template asks; raises LitgenError if it would run code and is not trusted."""
    with _errors_for_people(folder, origin):
        from copier._template import Template as Found  # run_copy tells of these too late

        found = Found(url=str(folder))
        found.__dict__["local_abspath"] = folder  # it is there, and needs not be cloned
        tasks = [
            each.cmd if isinstance(each.cmd, str) else shlex.join(each.cmd) for each in found.tasks
        ]
        runs = [f"task {command!r}" for command in tasks]
        runs += [f"Jinja extension {name}" for name in found.jinja_extensions]
        questions, secret = found.questions_data, frozenset(found.secret_questions)
    if runs and not trust:
        raise LitgenError(f"{origin.name} would run code of its own: {', '.join(runs)}", READ_IT)
    return Template(folder, origin, questions, secret, tuple(runs))


def render_foreign(
    template: Template,
    name: str,
    given: Mapping[str, Any],
    *,
    last: Mapping[str, Any] | None = None,
    ask: bool = False,
) -> Rendering:
    """Every file that a project of this name gets from a template, with these answers.

    What is `given` has to be valid; an answer of the `last` time that is so no more gives way to
    the default. The rest is asked, or takes the defaults.
    """
    template.check(given)
    with (
        tempfile.TemporaryDirectory(prefix="litgen-render-") as scratch,
        _errors_for_people(template.folder, template.origin),
        _stdout_is_stderr(unless=ask),
    ):
        place = Path(scratch) / name
        place.mkdir()
        before = f"{json.dumps(last or {}, default=str)}\n"
        (place / LAST).write_text(before)
        worker = _run_copy(template, place, dict(given), ask=ask)
        if (place / LAST).read_text() == before:
            (place / LAST).unlink()
        answers = _answers(template, given, worker)
        files, executable = _read(place, template)
        once = frozenset(path for path in files if worker.match_skip(Path(path)))
    return Rendering(files, executable, answers, once)


def files_of(origin: Origin, name: str, answers: Mapping[str, Any]) -> Tree:
    """What a template that runs no code makes of answers that were recorded."""
    with fetched(origin) as folder:
        template = read_template(folder, origin, trust=False)
        return render_foreign(template, name, {}, last=answers).files


def _run_copy(template: Template, place: Path, given: dict[str, Any], *, ask: bool) -> Any:
    from copier import Settings, run_copy

    return run_copy(
        str(template.folder),
        place,
        data=given,
        vcs_ref=template.origin.version if template.origin.is_git else None,
        settings=Settings(),  # the user's own defaults would make other files elsewhere
        defaults=not ask,
        overwrite=True,
        quiet=True,
        unsafe=bool(template.runs),  # it was trusted, or has nothing to run
    )


def _answers(template: Template, given: Mapping[str, Any], worker: Any) -> dict[str, Any]:
    """The answers that apply; raises LitgenError if one was given that does not."""
    found, hidden = worker.answers.combined, worker.answers.hidden
    for question in given:
        if question in hidden:
            when = template.questions[question].get("when")
            raise LitgenError(
                f"{question!r} is not asked with these answers, only when: {when}",
                f"leave {question} out, or change what it depends on first",
            )
    asked = [question for question in template.questions if question in found.keys() - hidden]
    return {question: found[question] for question in asked if question not in template.secret}


def _read(place: Path, template: Template) -> tuple[Tree, frozenset[str]]:
    """The files that were rendered."""
    tree, executable = Tree(), set()
    for inside, folders, names in os.walk(place):
        folders[:] = sorted(set(folders) - {".git"})  # a repository is begun by who owns it
        links = [each for each in (*folders, *names) if Path(inside, each).is_symlink()]
        for each in (*links, *names):
            file = Path(inside, each)
            path = file.relative_to(place).as_posix()
            _check_path(path, template.origin, is_link=file.is_symlink())
            tree[path] = from_bytes(file.read_bytes())
            if file.stat().st_mode & 0o100:
                executable.add(path)
    if template.origin.is_git:  # for people, where it was cloned to is nowhere
        clone, source = str(template.folder), template.origin.source
        tree = {path: text.replace(clone, source) for path, text in tree.items()}
    if not tree:
        raise LitgenError(
            f"{template.origin.name} writes no file with these answers", "other answers"
        )
    return dict(sorted(tree.items())), frozenset(executable)


def _check_path(path: str, origin: Origin, *, is_link: bool) -> None:
    if is_link:
        raise LitgenError(
            f"{origin.name} makes a symbolic link, {path}: projects of litgen's have files only",
            "_preserve_symlinks: false in the template's copier.yml",
        )
    if path.split("/")[0].lower() == ".litgen":
        raise LitgenError(f"{origin.name} writes {path}, which is litgen's own", "another template")
    if not path.isprintable():
        raise LitgenError(f"{origin.name} writes a file called {path!r}", "other answers")


@contextlib.contextmanager
def _stdout_is_stderr(*, unless: bool) -> Iterator[None]:
    """What tasks print is no part of what a command answers."""
    if unless:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def _errors_for_people(folder: Path, origin: Origin) -> Iterator[None]:
    """Raise what goes wrong in a template as a LitgenError: it may be anything."""
    for name in OF_A_HOOK & os.environ.keys():
        del os.environ[name]  # copier's git would work there
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # they are for the template's author
            yield
    except LitgenError:
        raise
    except KeyboardInterrupt as error:  # copier makes one of its own of it
        raise KeyboardInterrupt from error
    except Exception as error:
        words = " ".join(str(error.__cause__ or error).split())
        at = _place(error, folder)
        if path := re.fullmatch(r'"(.*)" is forbidden.*', words):
            words = f"{path[1]!r} lies outside the project, or outside the template"
        raise LitgenError(f"{origin.name}{at}: {words}", _hint(words)) from error


def _place(error: BaseException, folder: Path) -> str:
    """The file and line of the template in which it went wrong."""
    found, line = getattr(error, "filename", None), getattr(error, "lineno", 0)
    trace = error.__traceback__
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if not name.endswith(".py") and os.sep in name:
            found, line = name, trace.tb_lineno
        trace = trace.tb_next
    parts = Path(found or "").parts
    for start in range(1, len(parts)):  # copier has made a copy of the folder
        path = Path(*parts[start:])
        if (folder / path).is_file():
            return f", {path}:{line}"
    return ""


def _hint(words: str) -> str:
    if question := re.search(r'Question "(.*)" is required', words):
        return f"--with {question[1]}=…"
    choices = re.search(r"'?(.*?)'? is not in (\[.*\])$", words)
    if not choices:
        return "another answer, or a word to the template's author"
    with contextlib.suppress(ValueError, SyntaxError):
        known = [str(choice) for choice in ast.literal_eval(choices[2])]
        return suggestion(choices[1].rpartition("'")[2], known)
    return f"one of: {choices[2]}"
