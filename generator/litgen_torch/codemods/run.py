"""The codemods that are due between two versions, over all Python files of a project."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from litgen_torch.codemods import lg001_cosine, lg002_strict, lg003_first_process, lg004_heads
from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Source, applied
from litgen_torch.codemods.step import Doubt, Step
from litgen_torch.merge.lines import LINE_END, line_in
from litgen_torch.merge.outcome import Refusal
from litgen_torch.versions import is_newer

# In the order in which they are taken.
STEPS = (lg001_cosine.STEP, lg002_strict.STEP, lg003_first_process.STEP, lg004_heads.STEP)

Places = Collection[tuple[str, int]]


@dataclass
class Rewritten:
    """What codemods make of a project: the files that become others, and where they refuse."""

    files: dict[str, str] = field(default_factory=dict)
    uses: dict[str, Counter[str]] = field(default_factory=dict)  # by step and path
    refusals: list[Refusal] = field(default_factory=list)


class Now(Mapping[str, str]):
    """The files as they are after some steps; the rest is read again when it is asked for."""

    def __init__(self, changed: Mapping[str, str], files: Mapping[str, str]) -> None:
        self._changed, self._files = changed, files

    def __getitem__(self, path: str) -> str:
        return self._changed[path] if path in self._changed else self._files[path]

    def __contains__(self, path: object) -> bool:
        return path in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def due(old: str, new: str) -> tuple[Step, ...]:
    """The steps that lead from a version to a later one."""
    return tuple(s for s in STEPS if is_newer(s.new, old) and not is_newer(s.new, new))


def rewrite(
    steps: Collection[Step], files: Mapping[str, str], accept: Places = frozenset()
) -> Rewritten:
    """Take these steps over the Python files of a project, by their paths.

    `files` may read a text when it is asked for: every file is looked at, but only those that a
    step concerns are kept. Places in `accept`, which are lines of `files`, stay without a refusal.
    """
    concerned = [path for path, text in files.items() if _concerns(steps, path, text)]
    done = Rewritten()
    for step in steps:
        now = Now(dict(done.files), files)  # all files as they were before this step
        holding: dict[str, list[str]] = {}
        for path in concerned:
            if step.codemod.concerns(now[path]):
                text, uses, refusals = _edited(step, Others(now, path, holding))
                edited = {path: text} if text != now[path] else {}
                done.files |= edited
                done.uses.setdefault(step.id, Counter()).update(dict.fromkeys(edited, uses))
                done.refusals += [
                    replace(refusal, line=line_in(now[path], files[path], refusal.line))
                    for refusal in refusals
                ]
    refused = dict.fromkeys(done.refusals)  # each once
    done.refusals = [r for r in refused if (r.path, r.line) not in accept]
    return done


def _concerns(steps: Collection[Step], path: str, text: str) -> bool:
    return path.endswith(".py") and any(step.codemod.concerns(text) for step in steps)


def _edited(step: Step, others: Others) -> tuple[str, int, list[Refusal]]:
    """A file after a step, how many uses it had of what the step is about, and the doubts."""
    path, text = others.path, others.files[others.path]
    try:
        source = Source(path, text)
        edits = step.codemod.edit(source, others)
    except (SyntaxError, ValueError, RecursionError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
        words = getattr(error, "msg", None) or str(error) or "too deeply nested"
        reason = f"{step.id} cannot read this file: {words}, column {column}"
        by_hand = f"put line {line} right"
        return text, 0, [Refusal(path, line, "", reason, _line(text, line), "", by_hand)]
    after = applied(text, edits.text)
    refusals = [_refusal(step, source, doubt) for doubt in edits.doubts]
    if _is_python(path, after):
        return after, edits.uses, refusals
    line = text.count("\n", 0, edits.text[0][0]) + 1
    reason = f"{step.id} is confused by how this is laid out"
    by_hand = "put the statement into one line"
    return text, 0, [Refusal(path, line, "", reason, source.line(line), "", by_hand)]


def _is_python(path: str, text: str) -> bool:
    try:
        Source(path, text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _refusal(step: Step, source: Source, doubt: Doubt) -> Refusal:
    line = doubt.node.__dict__["lineno"]
    reason = f"{step.id} cannot follow: {doubt.reason}"
    by_hand = f"write {doubt.by_hand}"
    where, yours = source.where(doubt.node), source.line(line)
    return Refusal(source.path, line, where, reason, yours, "", by_hand)


def _line(text: str, number: int) -> str:
    lines = LINE_END.split(text)
    return lines[min(number, len(lines)) - 1].strip()
