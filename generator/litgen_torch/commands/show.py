"""Changes of a project on the screen: what becomes of each file, and what does not fit."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import click

from litgen_torch.change import Change
from litgen_torch.cli import colour
from litgen_torch.codemods.step import Followed
from litgen_torch.compare import FileChange, changed, unified
from litgen_torch.merge.lines import line_in
from litgen_torch.merge.outcome import Refusal
from litgen_torch.project import UNSETTLED, Project
from litgen_torch.verify import Losses
from litgen_torch.versions import installed

LONGEST = 12  # lines of a version that is shown
COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def summary(change: Change) -> str:
    """The steps, if litgen is another, a line or more for each file, and what stays the owner's."""
    files = change.files
    lines = file_lines(files)
    lines += [f"  {at(*place)}: yours stays, as accepted" for place in sorted(change.rules.accept)]
    lines += [f"  {at(*place)}: nothing to accept, it fits there" for place in sorted(change.idle)]
    lines += [f"  {sentence}" for sentence in change.merge.kept]
    lines += [f"  {sentence}" for sentence in change.wanted.notes]
    lines += [] if files else ["  no file of yours changes: only what litgen knows of the project"]
    return "\n".join(_steps(change) + lines + _edits(change) + _results(change.taken.steps))


def _steps(change: Change) -> list[str]:
    """From which version to which, and what each step on the way had to do."""
    if change.project.template and change.wanted.template:
        here, there = change.project.template.words, change.wanted.template.words
        return [] if here == there else [click.style(f"  {here} → {there}", bold=True)]
    old, new = change.project.version, change.wanted.version
    if old == new:
        return []
    rows = [(*_about(step), _met(change, step)) for step in change.taken.steps]
    written = changed(change.project.base, change.wanted.files)
    paths = [file.path for file in change.files if file.path in written]
    if paths:
        rows.append(("template", f"what litgen {new} writes otherwise", count(len(paths), "file")))
    head = f"  {old} → {new}, {count(len(rows), 'step')}"
    wide = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [click.style(head, bold=True)] + [
        f"  {number:2} {kind:{wide[0]}}  {title:{wide[1]}}  {met}"
        for number, (kind, title, met) in enumerate(rows, 1)
    ]


def _about(step: Followed) -> tuple[str, str]:
    return f"{step.kind} {step.id}", step.title


def _met(change: Change, step: Followed) -> str:
    """What a step found in the project."""
    if path := step.corrects:
        if path not in [file.path for file in change.files]:
            return f"{path} stays as you have it"
        untouched = change.mine.get(path) == change.project.base[path]
        return f"{path} replaced (you had not touched it)" if untouched else f"{path} merged"
    *first, last = step.calls
    places = f"{', '.join(first)} and {last}" if first else last
    calls = sum(step.calls.values())
    return f"{count(calls, 'call')} of yours, in {places}" if calls else f"imported in {places}"


def due(
    project: Project, steps: Sequence[Followed], *, record: Sequence[str], files: Sequence[str]
) -> str:
    """The steps to the installed version, whatever they will find in the owner's files."""
    old, new = project.version, installed()
    rows = [_about(step) for step in steps]
    rows += [("record", UNSETTLED)] if record else []
    rows += [("template", f"what litgen {new} writes otherwise")] if files or old != new else []
    head = f"{old} → {new}" if old != new else f"litgen {old} wrote this project, and this is {new}"
    if not rows:
        return f"{head}: no step is due"
    width = max(len(kind) for kind, _ in rows)
    lines = [head, *(f"  {kind:{width}}  {title}" for kind, title in rows), *_results(steps)]
    return "\n".join([*lines, "what it comes to in your files: litgen upgrade --dry-run"])


def _results(steps: Iterable[Followed]) -> list[str]:
    """Whether a run may train to other numbers afterwards."""
    found = [step for step in steps if step.changes_results]
    return [f"  Your results may change ({step.id}): {step.changes_results}" for step in found]


def file_lines(files: Sequence[FileChange]) -> list[str]:
    """What becomes of each file, in a line or more."""
    width = max((len(file.path) for file in files), default=0)
    return [line for file in files for line in _file(file, width)]


def _file(file: FileChange, width: int) -> list[str]:
    path = click.style(f"{file.path:{width}}", bold=True)
    if file.status == "new":
        return [f"  {path}  {click.style('+ new', fg='green')}, {count(file.added, 'line')}"]
    if file.status == "deleted":
        return [f"  {path}  {click.style('- deleted', fg='red')}"]
    names = {sign: [name for s, name in file.names if s == sign] for sign in "~+-"}
    rows = []
    for sign, color in (("~", "yellow"), ("+", "green"), ("-", "red")):
        definitions = [name for name in names[sign] if not _is_import(name)]
        imports = [name for name in names[sign] if _is_import(name)]
        words = ([", ".join(definitions)] if definitions else []) + imports
        rows += [click.style(f"{sign} {word}", fg=color) for word in words]
    counts = f"{f'+{file.added}':>4} {f'-{file.removed}':>4}"
    first, *rest = rows or [""]
    margin = " " * (width + 4 + 9 + 2)
    return [f"  {path}  {counts}  {first}".rstrip(), *(f"{margin}{row}" for row in rest)]


def _is_import(name: str) -> bool:
    return name.startswith(("import ", "from "))


def _edits(change: Change) -> list[str]:
    """What the owner wrote himself into these files and finds there again."""
    edits, found = change.edits, []
    if edits.statements:
        found.append(count(edits.statements, "statement"))
    if edits.comments:
        found.append(count(edits.comments, "comment"))
    if edits.layout:
        found.append("formatting")
    kept = [", ".join(found)] if found else []
    kept += [f"your name {yours!r} used for {name!r}" for name, yours in _renames(change)]
    return [f"  Your edits kept: {'; '.join(kept)}"] if kept else []


def _renames(change: Change) -> list[tuple[str, str]]:
    """The owner's names that stand in the lines that come."""
    lines = [line for line in change.diff.splitlines() if line.startswith("+")]
    words = set(re.findall(r"\w+", "\n".join(lines)))
    return sorted((old, name) for old, name in change.merge.renames.items() if name in words)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def conflict(change: Change, command: str) -> str:
    """Why nothing was changed: each place, both versions, and how to go on."""
    refusals = change.refusals
    verb = "does" if len(refusals) == 1 else "do"
    places = count(change.places, "edit")
    head = f"{len(refusals)} of {places} {verb} not fit"
    if change.taken.doubts:
        head = f"{count(len(refusals), 'place')} of yours cannot be followed"
    lines = [click.style(f"litgen: nothing was changed: {head}", fg="red")]
    for refusal in refusals:
        lines += _refusal(refusal)
    there = ", ".join(dict.fromkeys(map(_place, refusals)))
    for place in sorted(change.idle):
        lines.append(f"  --accept {at(*place)}: no such place; what does not fit is {there}")
    if change.taken.doubts:
        again = f"{command}        or leave it so: {command}{_accepts(refusals)}"
        return "\n".join([*lines, f"  then:    {again}"])
    fitting = change.places - len(refusals)
    others = "other edit fits" if fitting == 1 else f"other {fitting} edits fit"
    rest = f"        the {others}: --diff shows them" if fitting else ""
    lines.append(f"  then:    {command}{_accepts(refusals)}{rest}")
    lines.append(f"  or:      {command} --conflicts=markers        both versions in the file")
    return "\n".join(lines)


def _refusal(refusal: Refusal) -> list[str]:
    where = f" in {refusal.where}" if refusal.where else ""
    lines = [f"  {click.style(_place(refusal), bold=True)}{where}: {refusal.reason}"]
    for title, text in _versions(refusal)[: 1 if refusal.by_hand else 2]:
        first, *rest = _shortened(text) or ["(nothing)"]
        lines += [f"      {title:11}{first}", *(f"{'':17}{line}" for line in rest)]
    return [*lines, f"  by hand: {_by_hand(refusal)}"]


def _versions(refusal: Refusal) -> list[tuple[str, str]]:
    """Both versions or, where they are long, how they differ."""
    yours, template = refusal.yours, refusal.template
    if min(yours.count("\n"), template.count("\n")) <= LONGEST:
        return [("yours", yours), ("template", template)]
    lines = unified({refusal.path: yours}, {refusal.path: template}).split("\n")[2:]
    return [("both", "\n".join(["- yours, + template", *lines]))]


def at(path: str, line: int) -> str:
    """A place as `--accept` takes it."""
    return f"{path}:{line}" if line else path


def _place(refusal: Refusal) -> str:
    return at(refusal.path, refusal.line)


def _shortened(text: str) -> list[str]:
    lines = text.rstrip().split("\n") if text.strip() else []
    more = len(lines) - LONGEST
    return lines if more <= 0 else [*lines[:LONGEST], f"… {count(more, 'more line')}"]


def _by_hand(refusal: Refusal) -> str:
    if refusal.by_hand:
        return refusal.by_hand
    if not refusal.yours.strip():
        return f"write the template's version into {refusal.path} where you need it, or go without"
    if not refusal.template.strip():
        return "the template needs this no more: delete it, or keep it if you do"
    return "change your version there so that it does what the template's does"


def _accepts(refusals: Iterable[Refusal]) -> str:
    return "".join(f" --accept {each}" for each in dict.fromkeys(map(_place, refusals)))


def report(change: Change, command: Sequence[str]) -> dict[str, object]:
    """The same for programs."""
    return {
        "command": list(command),
        "from": change.project.version,
        "version": change.wanted.version,
        "steps": [asdict(step) for step in change.taken.steps],
        "answers": change.wanted.answers,
        **({"template": asdict(change.wanted.template)} if change.wanted.template else {}),
        "notes": list(change.wanted.notes),
        "files": [asdict(file) for file in change.files],
        "refusals": [asdict(each) | {"accept": _place(each)} for each in change.refusals],
        "idle": [at(*place) for place in sorted(change.idle)],
        "kept": list(change.merge.kept),
        "renames": change.merge.renames,
        "edits": asdict(change.edits),
    }


def verified(losses: Losses) -> str:
    """The losses before and after, and their largest difference."""
    rows = (("before", losses.before), ("after", losses.after))
    table = [f"    {title:7} {'  '.join(f'{loss:.6f}' for loss in row)}" for title, row in rows]
    wanted = ", as this change may alter it" if losses.may_differ and losses.largest else ""
    return "\n".join([f"  Verified: {losses.words}{wanted}", *table])


def marked(change: Change, verb: str) -> str:
    """Where both versions stand now, and how to go on."""
    places = count(len(change.refusals), "place")
    head = f"litgen: {places} left to you, between markers where both changed a line"
    lines = [click.style(head, fg="red")]
    lines += [f"  {_place_now(change, each)}: {each.reason}" for each in change.refusals]
    lines.append(f"  then:    litgen {verb} --continue        or back: litgen {verb} --abort")
    return "\n".join(lines)


def _place_now(change: Change, refusal: Refusal) -> str:
    """Where a place is in the file with the markers, which has more lines."""
    path, line = refusal.path, refusal.line
    if line and path in change.mine and path in change.merge.tree:
        line = line_in(change.mine[path], change.merge.tree[path], line)
    return at(path, line)


def show_diff(diff: str) -> None:
    """A diff in colour, on a terminal through a pager."""
    lines = [_coloured(line) for line in diff.split("\n")]
    text = "\n".join(lines).rstrip("\n")
    if sys.stdout.isatty():
        os.environ.setdefault("LESS", "-FRX")  # as git does: a short one needs no key to leave
        click.echo_via_pager(text, color=colour() is not False)
    elif text:
        click.echo(text)


def _coloured(line: str) -> str:
    if line.startswith(("--- ", "+++ ")):
        return click.style(line, bold=True)
    color = COLOURS.get(line[:1])
    return click.style(line, fg=color) if color else line
