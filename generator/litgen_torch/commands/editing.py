"""The way of every change: it is planned, shown, and only then written, all of it or nothing.

Exit codes: 0 done or nothing to do, 1 refused (with --check: it would change something), 2 wrong
usage, 3 conflict.
"""

import json
import os
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn

import click

from litgen_torch.answers import Answers
from litgen_torch.change import REFUSE, Change, Rules, Wanted, accepted, plan_change, wanted
from litgen_torch.commands import show
from litgen_torch.commands.options import Options
from litgen_torch.content import binary
from litgen_torch.errors import LitgenError
from litgen_torch.git import in_conflict, uncommitted
from litgen_torch.pending import begin, read_pending
from litgen_torch.places import read_tree
from litgen_torch.project import (
    Project,
    find_project,
    python_files,
    read_project,
    written_by,
)
from litgen_torch.render import Tree
from litgen_torch.transaction import as_left, commit, recover
from litgen_torch.verify import Losses, verify
from litgen_torch.versions import installed, is_newer


def find_and_recover() -> Path:
    """The project around the current folder, once an interrupted change of it is put right."""
    folder = find_project(Path.cwd())
    if said := recover(folder):
        click.echo(f"litgen: {said}", err=True)
    return folder


def in_project() -> bool:
    """Whether the current folder lies in a project."""
    try:
        find_project(Path.cwd())
    except LitgenError:
        return False
    return True


def open_project() -> Project:
    """The project around the current folder; LitgenError if a newer litgen wrote it."""
    folder = find_and_recover()
    version, here = written_by(folder), installed()
    if is_newer(version, here):
        raise LitgenError(
            f"this project was written by litgen {version}, and this is {here}",
            f"pip install 'litgen-torch>={version}'",
        )
    return read_project(folder)


def open_settled() -> Project:
    """The same, if no other change of it waits to be finished."""
    folder = find_and_recover()
    if pending := read_pending(folder):
        verb = pending.command[1]
        raise LitgenError(
            f"{shlex.join(pending.command)!r} left markers and is not finished",
            f"litgen {verb} --continue, or litgen {verb} --abort",
        )
    return open_project()


def open_to_change() -> Project:
    """The same, if it was written by this litgen."""
    project = open_settled()
    if project.version != installed() and not project.template:
        raise LitgenError(
            f"this project was written by litgen {project.version}, and this is {installed()}",
            "litgen upgrade",
        )
    return project


def owners_files(project: Project, also: Tree) -> Tree:
    """The files that litgen wrote or would write, as they are, and the owner's other code."""
    written, data = {*project.base, *also}, binary(project.base, also)
    others = [path for path in python_files(project.folder) if path not in written]
    texts = {path: _text(project.folder / path) for path in others}
    known = {path: text for path, text in texts.items() if text is not None}
    return read_tree(project.folder, sorted(written), binary=data) | known


def _text(file: Path) -> str | None:
    """A file that is not litgen's: what it holds, if it is to be understood."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, ValueError):
        return None


def carry_out(project: Project, answers: Answers, options: Options, *, command: list[str]) -> None:
    """Change a project's answers and carry the difference into the owner's code."""
    wish = wanted(project, answers, version=installed())
    mine = owners_files(project, wish.files)
    settle(plan(project, mine, wish, options=options), options, command=command)


def plan(
    project: Project, mine: Tree, wish: Wanted, *, options: Options, rules: Rules = REFUSE
) -> Change:
    """The change, with what the options say of places where it does not fit."""
    _check_merged(project, mine, wish)
    change, wished = plan_change(project, mine, wish, rules=rules), set(options.accept)
    while places := accepted(wished, change.refusals):  # with these, others may come up
        wished -= places.keys()
        rules = replace(rules, accept=rules.accept.union(places.values()))
        change = plan_change(project, mine, wish, rules=rules)
    if change.refusals and options.markers:
        change = plan_change(project, mine, wish, rules=replace(rules, markers=True))
    return replace(change, idle=frozenset(wished))


def _check_merged(project: Project, mine: Tree, wish: Wanted) -> None:
    """Raise LitgenError while git has left both versions in a file: which is the owner's?"""
    for path in sorted(mine.keys() & (project.base.keys() | wish.files.keys())):
        line = in_conflict(mine[path])
        if line and not in_conflict(project.base.get(path, "")):
            raise LitgenError(
                f"nothing was changed: {path}:{line} is a marker of a merge that is not finished",
                f"edit {path}, then run this again",
            )


def settle(change: Change, options: Options, *, command: list[str], ask: bool = False) -> None:
    """Show a change and, unless told otherwise, write it. Exits with 3 where it does not fit.

    With `ask`, somebody at a terminal is asked before.
    """
    if change.taken.doubts or change.refusals and not options.markers:
        _refuse(change, options, command=command)
    if change.is_nothing:
        nothing_to_do("the project is so already", options, command=command)
        return
    is_trial = options.dry_run or options.check
    losses = None if is_trial else _examined(change, options)
    if not options.as_json:
        if options.diff:
            show.show_diff(change.diff)
        click.echo(show.summary(change))
        if losses:
            click.echo(show.verified(losses))
    written = not is_trial and _is_wished(options, ask)
    if written:
        before, after = begin(change, command) if change.refusals else change.to_commit()
        title, may_run = shlex.join(command), change.wanted.executable
        folder = change.project.folder
        commit(folder, before=before, after=after, title=title, executable=may_run)
    _conclude(change, options, command=command, written=written, losses=losses)
    if change.refusals:
        sys.exit(3)
    if options.check:
        sys.exit(1)


def nothing_to_do(words: str, options: Options, *, command: list[str]) -> None:
    """Say that a change was made already."""
    if options.as_json:
        found = {"command": command, "written": False, "files": [], "refusals": []}
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"{words}: nothing to do")


def is_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def _refuse(change: Change, options: Options, *, command: list[str]) -> NoReturn:
    if options.as_json:
        document = _document(change, options, command=command, written=False, losses=None)
        click.echo(json.dumps(document, indent=2, default=str))
    else:
        if options.diff:
            show.show_diff(change.diff)
        click.echo(show.conflict(change, _again(change, options, command=command)), err=True)
    sys.exit(3)


def _examined(change: Change, options: Options) -> Losses | None:
    """Refuse to write over what git could not bring back, and what would train otherwise."""
    folder, paths = change.project.folder, [file.path for file in change.files]
    dirty = [] if options.force else uncommitted(folder, paths)
    written = as_left(folder, dirty) if dirty else ()  # by litgen, and undo has what was before
    if dirty := [path for path in dirty if path not in written]:
        raise LitgenError(
            f"nothing was changed: git has no copy of {', '.join(dirty)} as it is now",
            "git commit, or --force (litgen undo takes it back)",
        )
    if not options.verify:
        return None
    if change.refusals:
        raise LitgenError("what has markers in it cannot be trained", "leave --verify out")
    losses = verify(change, options.verify)
    if not losses.agree:
        click.echo(show.verified(losses), err=True)
        raise LitgenError(
            f"nothing was changed: the loss would be another after {losses.words}",
            "--diff --dry-run shows the change; without --verify it is made all the same",
        )
    return losses


def _is_wished(options: Options, ask: bool) -> bool:
    """With --diff the owner looks first; where nobody is to be asked, only -y writes that."""
    if options.yes or not (options.diff or ask):
        return True
    if options.as_json or not is_terminal():
        return not options.diff
    return click.confirm("Write it?", default=True)


def _conclude(
    change: Change, options: Options, *, command: list[str], written: bool, losses: Losses | None
) -> None:
    if options.as_json:
        document = _document(change, options, command=command, written=written, losses=losses)
        click.echo(json.dumps(document, indent=2, default=str))
    elif written and change.refusals:
        click.echo(show.marked(change, command[1]), err=True)
    elif written:
        click.echo("  Written. Undo with: litgen undo")
    else:
        again = _again(change, options, command=command)
        click.echo(f"  Nothing was written. To write it: {again}")


def _document(
    change: Change, options: Options, *, command: list[str], written: bool, losses: Losses | None
) -> dict[str, object]:
    document = show.report(change, command) | {"written": written}
    document["verified"] = losses and asdict(losses) | {"largest": losses.largest}
    return document | {"diff": change.diff} if options.diff else document


def _again(change: Change, options: Options, *, command: list[str]) -> str:
    """The command with what says how it is made, without what says how it is shown."""
    refused = {(refusal.path, refusal.line) for refusal in change.refusals}
    places = [show.at(*place) for place in sorted(change.rules.accept - refused)]
    words = [word for place in places for word in ("--accept", place)]
    flags = (
        ["--force"] * options.force
        + ["--trust"] * options.trust
        + ["--conflicts=markers"] * options.markers
    )
    return shlex.join([*command, *words, *flags])
