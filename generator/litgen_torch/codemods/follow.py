"""The steps that are due, taken over both sides: what litgen wrote, and what the owner has."""

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from litgen_torch.codemods.fix import Fix
from litgen_torch.codemods.rename import Rename
from litgen_torch.codemods.run import Places, Rewritten, rewrite
from litgen_torch.codemods.source import Source
from litgen_torch.codemods.step import Followed, Step
from litgen_torch.merge.lines import LINE_END, line_in
from litgen_torch.merge.outcome import Refusal

Files = Mapping[str, str]


@dataclass(frozen=True)
class Taken:
    """What steps make of a project: the files that become others, and where the owner has to."""

    base: dict[str, str] = field(default_factory=dict)
    mine: dict[str, str] = field(default_factory=dict)
    steps: tuple[Followed, ...] = ()
    doubts: tuple[Refusal, ...] = ()

    def as_it_was(self, refusal: Refusal, mine: Files) -> Refusal:
        """A refusal in a rewritten file, at the line of the owner's own."""
        path, line = refusal.path, refusal.line
        if not line or path not in self.mine:
            return refusal
        return replace(refusal, line=line_in(self.mine[path], mine[path], line))

    def as_it_is(self, places: Places, mine: Files) -> frozenset[tuple[str, int]]:
        """Places of the owner's files in the rewritten ones."""
        found = set(places)
        for path in self.mine.keys() & {path for path, line in places if line}:
            own, last = mine[path], len(LINE_END.findall(self.mine[path])) + 1
            lines = {line: line_in(self.mine[path], own, line) for line in range(1, last + 1)}
            found = {place for place in found if place[0] != path}
            found |= {(path, line) for line, was in lines.items() if (path, was) in places}
        return frozenset(found)


def take(steps: Collection[Step], base: Files, mine: Files, accept: Places = ()) -> Taken:
    """Take steps over what litgen last wrote and over all Python files that the owner has.

    At the places in `accept`, lines of `mine`, what a step doubts stays as it is.
    """
    if not steps:
        return Taken()
    ours, own = rewrite(steps, base), rewrite(steps, mine, accept)
    changed = [doubt for step in steps for doubt in _redefined(step, base, mine)]
    doubts = own.refusals + [d for d in changed if (d.path, d.line) not in accept]
    followed = (_followed(step, base, ours, own) for step in steps)
    return Taken(ours.files, own.files, tuple(filter(None, followed)), tuple(doubts))


def _followed(step: Step, base: Files, ours: Rewritten, own: Rewritten) -> Followed | None:
    """The step, if it had something to do for the owner or corrects what litgen wrote."""
    codemod = step.codemod
    about = (step.id, codemod.kind, step.title, step.old, step.new, step.changes_results)
    if isinstance(codemod, Fix):
        return Followed(*about, corrects=codemod.target) if codemod.is_due(base) else None
    written, uses = (done.uses.get(step.id, Counter[str]()) for done in (ours, own))
    counts = {path: uses[path] - written[path] for path in uses}
    calls = {path: n for path, n in sorted(counts.items()) if n > 0 or path not in written}
    return Followed(*about, calls=calls) if calls else None


def _redefined(step: Step, base: Files, mine: Files) -> Iterator[Refusal]:
    """A function that the owner changed, where the step would call another in its place."""
    if not isinstance(step.codemod, Rename):
        return
    module, _, name = step.codemod.target.rpartition(".")
    path = f"{module.replace('.', '/')}.py"
    ours, own = (_definition(path, files.get(path, ""), name) for files in (base, mine))
    if ours and own and ast.dump(ours) != ast.dump(own):
        line = Source(path, mine[path]).line(own.lineno)
        reason = f"{step.id} cannot follow: you changed {name}, and {step.codemod.new} replaces it"
        by_hand = "move yours to a file of your own under another name, and call that"
        yield Refusal(path, own.lineno, "", reason, line, "", by_hand)


def _definition(path: str, text: str, name: str) -> ast.FunctionDef | None:
    try:
        body = Source(path, text).tree.body
    except (SyntaxError, ValueError):  # said by the merge
        return None
    found = (node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)
    return next(found, None)
