"""One change of a project, planned: what becomes of its files, and where it does not fit.

Everything here is a value; nothing is read or written. What the commands show and commit is in the
Change, so a dry run is the same work without the last step.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

from litgen_torch.answers import Answers
from litgen_torch.codemods.follow import Taken, take
from litgen_torch.codemods.heads import unfit_for
from litgen_torch.codemods.run import due
from litgen_torch.compare import Edits, FileChange, changed, edits, file_change, hunks, unified
from litgen_torch.merge.outcome import Merge, Refusal
from litgen_torch.merge.trees import Places, merge
from litgen_torch.origin import Origin
from litgen_torch.project import Project, from_templates, record_of
from litgen_torch.render import Tree, settings

NEAR = 30  # lines


@dataclass(frozen=True)
class Wanted:
    """What a project shall be: its answers, the litgen that writes it, and its files by them."""

    answers: Answers
    version: str
    files: Tree
    alters_losses: bool = False  # on purpose: training computes others with it
    template: Origin | None = None  # if it is not litgen's own
    executable: frozenset[str] = frozenset()  # those of its files that may be run
    leave: frozenset[str] = frozenset()  # and those that stay as they are where they are there
    notes: tuple[str, ...] = ()  # sentences: what else is different than one may expect


@dataclass(frozen=True)
class Rules:
    """What happens to files and places that the owner and the template both changed."""

    accept: Places = frozenset()  # his version stays
    markers: bool = False  # both stand there between markers; otherwise the change is refused
    leave: Collection[str] = ()  # files that stay as they are once he has edited them


REFUSE = Rules()


@dataclass(frozen=True)
class Change:
    """A project as it is, as it shall be, and what the merge of both comes to."""

    project: Project
    wanted: Wanted
    mine: Tree  # the owner's files as they are on the disk
    merge: Merge
    rules: Rules
    attempt: Tree  # the merged files; with markers where it does not fit, to be looked at
    taken: Taken = Taken()  # the steps from the version that wrote it, before the merge
    idle: Places = frozenset()  # where his version was to stay, but nothing is refused

    @cached_property
    def files(self) -> list[FileChange]:
        """The owner's files that become others."""
        after = self.merge.tree
        paths = changed(self.mine, after)
        return [file_change(path, self.mine.get(path), after.get(path)) for path in paths]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        return self.merge.refusals

    @property
    def alters_losses(self) -> bool:
        """Whether training computes others with it, on purpose."""
        altering = any(step.changes_results for step in self.taken.steps)
        return self.wanted.alters_losses or altering

    @cached_property
    def edits(self) -> Edits:
        """The owner's own work in these files, as far as it stays."""
        base, mine = self.project.base | self.taken.base, self.mine | self.taken.mine
        return edits(base, mine, self.merge.tree, [file.path for file in self.files])

    @cached_property
    def diff(self) -> str:
        return unified(self.mine, self.attempt)

    @cached_property
    def places(self) -> int:
        """In how many places the change has something to do, those where it does not fit too."""
        paths = changed(self.mine, self.attempt)
        found = sum(hunks(self.mine.get(p, ""), self.attempt.get(p, "")) for p in paths)
        unmarked = sum(refusal.path not in paths for refusal in self.refusals)
        return max(found + unmarked, len(self.refusals))

    @property
    def is_nothing(self) -> bool:
        """Whether the project is what it shall be already."""
        before, after = self.to_commit()
        return not self.refusals and before == after

    def to_commit(self) -> tuple[Tree, Tree]:
        """All that is replaced, and by what: the owner's files and what `.litgen/` says of them."""
        after = self.merge.tree
        paths = changed(self.mine, after)
        return (
            {path: self.mine[path] for path in paths if path in self.mine} | self.project.stored,
            {path: after[path] for path in paths if path in after} | self.record(),
        )

    def record(self) -> Tree:
        """What `.litgen/` says of the project once the change is made."""
        return record_of(
            self.wanted.files,
            name=self.project.name,
            answers=self.wanted.answers,
            version=self.wanted.version,
            template=self.wanted.template,
        )


def wanted(project: Project, answers: Answers, *, version: str) -> Wanted:
    """What the installed templates make of a project with these answers."""
    altering = set(settings()["_alters_losses"])
    return Wanted(
        answers,
        version,
        from_templates(project.name, answers),
        alters_losses=not altering.isdisjoint(_differing(project.answers, answers)),
    )


def _differing(before: Answers, after: Answers) -> set[str]:
    """The kinds of which the answer differs, and the choices that came or went."""
    kinds = {kind for kind in before.keys() | after.keys() if before.get(kind) != after.get(kind)}
    sides = [
        {c for kind in kinds for c in _choices(side.get(kind, ()))} for side in (before, after)
    ]
    return kinds | sides[0] ^ sides[1]


def _choices(answer: str | tuple[str, ...]) -> tuple[str, ...]:
    return (answer,) if isinstance(answer, str) else answer


def plan_change(project: Project, mine: Tree, wanted: Wanted, *, rules: Rules = REFUSE) -> Change:
    """Carry the difference between what litgen last wrote and what is wanted into the owner's code.

    `mine` holds the files that litgen wrote, as they are now, those in whose place it would write
    new ones, and the owner's other code, to which he may have moved something, and which the steps
    rewrite that are due since the version that wrote the project. Nothing is merged while the
    owner has to do something himself before such a step.
    """
    steps = () if wanted.template else due(project.version, wanted.version)
    taken = take(steps, project.base, mine, rules.accept)
    if taken.doubts:
        return Change(project, wanted, mine, Merge(mine, taken.doubts), rules, mine, taken)

    def merged(markers: bool) -> Merge:
        return merge(
            project.base | taken.base,
            mine | taken.mine,
            wanted.files,
            leave=rules.leave,
            accept=taken.as_it_is(rules.accept, mine),
            markers=markers,
        )

    found = merged(rules.markers)
    attempt = merged(markers=True) if found.refusals and not rules.markers else found
    refusals = [taken.as_it_was(refusal, mine) for refusal in found.refusals]
    if not wanted.template:
        unfit = unfit_for(wanted.files, project.base, mine)
        refusals += [r for r in unfit if (r.path, r.line) not in rules.accept]
    found = replace(found, refusals=tuple(refusals))
    return Change(project, wanted, mine, found, rules, attempt.tree, taken)


def accepted(
    wished: Collection[tuple[str, int]], refusals: Collection[Refusal]
) -> dict[tuple[str, int], tuple[str, int]]:
    """The refused places that are meant by what was given to `--accept`, each by that.

    Who first writes by hand what a refusal asks for moves the lines below. So what names no refused
    line exactly is taken, in order, for one of its file that is near.
    """
    left = sorted({(refusal.path, refusal.line) for refusal in refusals})
    found = {place: place for place in left if place in wished}
    left = [place for place in left if place not in found]
    for path, line in sorted(set(wished) - found.keys()):
        near = [place for place in left if place[0] == path and abs(place[1] - line) <= NEAR]
        if near:
            found[path, line] = near[0]
            left.remove(near[0])
    return found
