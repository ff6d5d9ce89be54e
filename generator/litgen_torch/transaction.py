"""Changing a project: all of a change or nothing, whatever happens while it is written.

All commands that edit a project write by `commit`. The journal of a change stays behind, and `undo`
is a change that restores what the last of them replaced. How the steps are done: staging.py.
"""

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from litgen_torch.content import from_bytes, to_bytes
from litgen_torch.disk import alone_in, errors_for_people
from litgen_torch.errors import LitgenError
from litgen_torch.journal import File, Journal, Step, read_journal
from litgen_torch.places import check_places, digest, digest_of, place, read_file
from litgen_torch.render import Tree
from litgen_torch.staging import (
    FORTH,
    HOME,
    carry_out,
    changed,
    pending,
    records,
    stage,
    take_back,
)


@dataclass(frozen=True)
class Undone:
    """A change that was taken back, and the files that were restored: before, and since."""

    title: str
    before: Tree
    after: Tree


def commit(
    folder: Path, *, before: Tree, after: Tree, title: str, executable: Collection[str] = ()
) -> None:
    """Change a project's files from before to after; raises LitgenError and changes nothing.

    `before` is what the caller read: nothing happens if any of it is different by now. What is not
    in `after` is deleted. Files keep their mode, links inside the project stay links; of new files,
    those in `executable` may be run.
    """
    with _at_work(folder):
        _go_on(folder)
        paths = sorted(before.keys() | after.keys())
        found = {path: read_file(folder, path) for path in paths}
        for path, data in found.items():
            if data != (to_bytes(before[path]) if path in before else None):
                raise changed(path)
        wanted = {
            path: _file(after[path], path in executable) if path in after else None
            for path in paths
            if before.get(path) != after.get(path)
        }
        number = max((int(file.stem) for file in records(folder)), default=0) + 1
        if wanted:
            _change(folder, Journal(title, number, keep=True), found=found, wanted=wanted)


def recover(folder: Path) -> str | None:
    """Go on with a change in which litgen was killed; a sentence on what has become of it."""
    if not pending(folder):
        return None
    with _at_work(folder):
        return _go_on(folder)


def undo(folder: Path, *, force: bool = False) -> Undone:
    """Restore what the last change replaced.

    Refuses if one of its files was changed since. Forced, it overwrites them, and can be undone.
    """
    with _at_work(folder):
        _go_on(folder)
        record, last = _last(folder)
        found = {step.path: read_file(folder, step.path) for step in last.steps}
        now = {path: None if data is None else digest(data) for path, data in found.items()}
        edited = [step.path for step in last.steps if now[step.path] != step.new]
        if edited and not force:
            raise _not_as_left(last, edited)
        wanted = {step.path: step.old for step in last.steps if now[step.path] != step.before}
        if wanted:
            journal = Journal(f"undo {last.title}", int(record.stem), keep=bool(edited))
            _change(folder, journal, found=found, wanted=wanted)
        else:
            record.unlink()
        return Undone(
            last.title,
            {path: from_bytes(data) for path in wanted if (data := found[path]) is not None},
            {path: from_bytes(file.data) for path, file in wanted.items() if file},
        )


def as_left(folder: Path, paths: Iterable[str]) -> set[str]:
    """Those of the paths that are to the byte as litgen's last change of them left them."""
    journals = [read_journal(record) for record in records(folder)]  # the last one last
    left = {step.path: step.new for each in journals if each.keep for step in each.steps}
    known = [path for path in paths if path in left]
    return {path for path in known if digest_of(place(folder, path)) == left[path]}


def _not_as_left(last: Journal, edited: list[str]) -> LitgenError:
    if any(path.startswith(".litgen/") for path in edited):  # which no owner edits
        return LitgenError(
            f"the project is not as {last.title!r} left it: .litgen/ is another, as on another git "
            "branch or after a merge",
            "git switch to the branch that has it; litgen remove works on any",
        )
    return LitgenError(
        f"changed since {last.title!r}: {', '.join(edited)}",
        "litgen undo --force, and once more if you want this back",
    )


@contextlib.contextmanager
def _at_work(folder: Path) -> Iterator[None]:
    with errors_for_people(folder, "and run this again"), alone_in(folder, wait=False):
        yield


def _go_on(folder: Path) -> str | None:
    if not pending(folder):
        return None
    forth = place(folder, HOME) / FORTH
    if not forth.exists():
        return take_back(folder)
    journal = read_journal(forth)
    try:
        carry_out(folder, journal)
    except (LitgenError, OSError) as error:
        return f"{take_back(folder)}: {error}"
    return f"{journal.title!r} was interrupted; litgen has finished it"


def _file(text: str, executable: bool) -> File:
    return File(to_bytes(text), 0o755 if executable else None)


def _last(folder: Path) -> tuple[Path, Journal]:
    for record in reversed(records(folder)):
        journal = read_journal(record)
        if journal.keep:
            return record, journal
        record.unlink()  # an undo that was killed when all but this was done
    raise LitgenError(f"nothing to undo in {folder}", "git log, for what is older")


def _change(
    folder: Path,
    journal: Journal,
    *,
    found: dict[str, bytes | None],
    wanted: dict[str, File | None],
) -> None:
    check_places(folder, {path: file is not None for path, file in wanted.items()})
    steps = tuple(_step(folder, path, found[path], file) for path, file in wanted.items())
    journal = replace(journal, steps=steps, folders=_missing_folders(folder, steps))
    times = _times_of_folders(folder, steps)
    try:
        stage(folder, journal, wanted)
        carry_out(folder, journal)
    except BaseException:
        try:
            take_back(folder)
        except OSError as error:
            raise LitgenError(
                f"{folder} cannot be written, and a change is half done: {error.strerror}",
                "make room or give write access; the next litgen command puts it right",
            ) from error
        for each, last in times.items():
            with contextlib.suppress(OSError):
                os.utime(each, ns=(last, last))
        raise


def _step(folder: Path, path: str, data: bytes | None, file: File | None) -> Step:
    old = None
    if data is not None:
        status = place(folder, path).stat()
        old = File(data, status.st_mode & 0o777, status.st_mtime_ns)
    return Step(path, old, digest(file.data) if file else None)


def _missing_folders(folder: Path, steps: tuple[Step, ...]) -> tuple[str, ...]:
    places = [place(folder, step.path) for step in steps if step.new]
    parents = {parent for real in places for parent in real.parents if not parent.exists()}
    root = os.path.realpath(folder)
    return tuple(sorted(parent.relative_to(root).as_posix() for parent in parents))


def _times_of_folders(folder: Path, steps: tuple[Step, ...]) -> dict[Path, int]:
    folders = {place(folder, HOME), place(folder, HOME).parent}
    folders |= {parent for step in steps for parent in place(folder, step.path).parents}
    inside = [each for each in folders if each.is_relative_to(os.path.realpath(folder))]
    return {each: each.stat().st_mtime_ns for each in inside if each.exists()}
