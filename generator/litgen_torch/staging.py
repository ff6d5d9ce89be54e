"""The steps of a change on disk, so that a kill between any two of them does no harm.

`stage` writes the journal, with all that the change will replace, as `draft.json`, and beside each
file its successor; no file has changed yet. One rename makes the journal `forth.json`: from then on
the change counts, and only renames and deletions are left, which `carry_out` does. `take_back`
makes it `back.json` and restores. All three may be killed and begun again.
"""

import contextlib
import errno
import os
import shutil
import time
from pathlib import Path

from litgen_torch.disk import PART, sync, too_late_to_interrupt, write
from litgen_torch.errors import LitgenError
from litgen_torch.journal import File, Journal, read_journal, to_bytes
from litgen_torch.places import digest_of, place

HOME = ".litgen/undo"
DRAFT, FORTH, BACK = "draft.json", "forth.json", "back.json"
KEPT = 10  # changes that can be undone, one after the other
# Why a folder is not removed: something is in it, a disk is mounted there, it may not be changed.
STAYS = {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EACCES, errno.EPERM}


def stage(folder: Path, journal: Journal, wanted: dict[str, File | None]) -> None:
    """Bring all on disk that it takes to carry out the change, and decide for it."""
    home = place(folder, HOME)
    home.mkdir(exist_ok=True)
    _hide_from_git(home / ".gitignore")
    write(home / DRAFT, to_bytes(journal))
    sync(home / DRAFT)
    made = [place(folder, each) for each in journal.folders]
    for each in made:
        each.mkdir()
    parts = []
    for number, (path, file) in enumerate(wanted.items()):
        if file is not None:
            real = place(folder, path)
            parts.append(_part(real, number))
            _write_like(real, parts[-1], file)
    for each in {*parts, *(path.parent for path in (*parts, *made)), home}:
        sync(each)
    too_late_to_interrupt()
    (home / DRAFT).rename(home / FORTH)
    sync(home)


def carry_out(folder: Path, journal: Journal) -> None:
    """Make the change that is staged, and keep its journal; goes on if it was begun before."""
    for number, step in enumerate(journal.steps):
        real = place(folder, step.path)
        part, now = _part(real, number), digest_of(real)
        if now == step.before:
            part.replace(real) if step.new else real.unlink()
        elif now != step.new and (step.new is None or part.exists()):
            raise changed(step.path)
        else:
            part.unlink(missing_ok=True)
    for step in journal.steps:
        if step.new is None:
            _remove_empty(folder, place(folder, step.path).parent)
    _sync_parents(folder, journal)
    home = place(folder, HOME)
    record = home / f"{journal.number:04}.json"
    (home / FORTH).replace(record)
    with contextlib.suppress(OSError):  # it is done, whatever happens now
        for each in records(folder)[:-KEPT] if journal.keep else [record]:
            each.unlink()
        sync(home)
        _leave(folder)


def take_back(folder: Path) -> str:
    """Restore what was there before the change that is staged; a sentence that says so."""
    home = place(folder, HOME)
    if (home / FORTH).exists():
        (home / FORTH).rename(home / BACK)
    said = "litgen was interrupted before it had changed anything"
    if (home / BACK).exists():
        journal = read_journal(home / BACK)
        said = _restore(folder, journal)
        _unstage(folder, journal)
        (home / BACK).unlink()
    if (home / DRAFT).exists():
        try:
            journal = read_journal(home / DRAFT)
        except LitgenError:
            pass  # killed while it wrote the journal, and so before all else
        else:
            _unstage(folder, journal)
        (home / DRAFT).unlink()
    _leave(folder)
    return said


def pending(folder: Path) -> bool:
    """Whether litgen was killed in the middle of a change, or another one is at it."""
    return any((place(folder, HOME) / name).exists() for name in (DRAFT, FORTH, BACK))


def records(folder: Path) -> list[Path]:
    """The journals of the changes that can be undone, the last one last."""
    return sorted(place(folder, HOME).glob("[0-9][0-9][0-9][0-9].json"))


def changed(path: str) -> LitgenError:
    """What to raise when a file is not as it was read."""
    return LitgenError(f"{path} changed while litgen was at work", "run this again")


def _hide_from_git(file: Path) -> None:
    if not file.is_file() or file.read_bytes() != b"*\n":
        write(file, b"*\n")


def _leave(folder: Path) -> None:
    home = place(folder, HOME)
    if home.exists() and not records(folder):
        with contextlib.suppress(OSError):
            (home / ".gitignore").unlink(missing_ok=True)
            _remove_empty(folder, home)


def _part(real: Path, number: int) -> Path:
    return real.with_name(f"{PART}{number}")


def _write_like(real: Path, part: Path, file: File) -> None:
    """Write what shall take the place of a file, with its mode, its owner and its attributes."""
    write(part, file.data)
    if real.exists():
        status = real.stat()
        with contextlib.suppress(PermissionError):
            os.chown(part, status.st_uid, status.st_gid)
        shutil.copystat(real, part)
    elif file.mode is not None:
        part.chmod(file.mode & 0o777)
    now = time.time_ns()
    os.utime(part, ns=(now, now if file.time is None else file.time))


def _restore(folder: Path, journal: Journal) -> str:
    """Undo the steps, the last one first: so what each of them freed has room for what it took."""
    others = []
    for number, step in reversed(list(enumerate(journal.steps))):
        real = place(folder, step.path)
        now = digest_of(real)
        if now not in (step.before, step.new):
            others.append(step.path)
        elif now != step.before and step.old is None:
            real.unlink()
        elif now != step.before and step.old is not None:
            real.parent.mkdir(parents=True, exist_ok=True)
            part = _part(real, number)
            _write_like(real, part, step.old)
            sync(part)
            part.replace(real)
    _sync_parents(folder, journal)
    but = f", but for {' and '.join(others)}, changed meanwhile" if others else ""
    return f"{journal.title!r} was interrupted; litgen has taken it back{but}"


def _unstage(folder: Path, journal: Journal) -> None:
    for number, step in enumerate(journal.steps):
        _part(place(folder, step.path), number).unlink(missing_ok=True)
    for each in reversed(journal.folders):
        with contextlib.suppress(OSError):
            place(folder, each).rmdir()


def _sync_parents(folder: Path, journal: Journal) -> None:
    for parent in {place(folder, step.path).parent for step in journal.steps}:
        if parent.exists():
            sync(parent)


def _remove_empty(folder: Path, below: Path) -> None:
    while below != Path(os.path.realpath(folder)):
        try:
            below.rmdir()
        except FileNotFoundError:
            pass  # killed between this folder and the next
        except OSError as error:
            if error.errno in STAYS:
                return
            raise
        below = below.parent
