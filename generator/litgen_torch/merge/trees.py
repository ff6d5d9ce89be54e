"""Merging whole projects: what becomes of each file, and which merge it needs."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from litgen_torch.content import is_binary
from litgen_torch.merge.outcome import Merge, Merged, Refusal
from litgen_torch.render import Tree

Places = frozenset[tuple[str, int]]  # paths, and lines of the owner's file, where his version stays

YOURS = "yours, although the template changed it"
DELETED = "stays deleted, although the template changed it"


def merge(
    base: Tree,
    mine: Tree,
    new: Tree,
    *,
    leave: Collection[str] = (),
    accept: Places = frozenset(),
    markers: bool = False,
) -> Merge:
    """Carry the change from base to new into mine.

    `mine` may hold files that neither base nor new knows: they are the owner's, and searched for
    definitions that he moved. Files in `leave` are not touched once he has edited them. At the
    places in `accept` his version stays. With `markers`, refused places hold both versions between
    git's markers; otherwise they hold his.
    """
    from litgen_torch.merge.exports import follow_renames

    work = _Work(dict(mine), mine.get("pyproject.toml", ""), leave, accept, markers)
    known = base.keys() | new.keys()
    base, new, work.renames = follow_renames(base, mine, new, leave)
    base, new = _follow_moves(base, mine, new, work)
    for path in sorted(base.keys() | new.keys()):
        work.carry(path, base.get(path), new.get(path))
    work.check_imports(mine, known)
    tree = dict(sorted(work.tree.items()))
    return Merge(tree, tuple(work.refusals), tuple(work.kept), work.renames)


@dataclass
class _Work:
    """The tree as it becomes, and what is said of it."""

    tree: Tree
    pyproject: str
    leave: Collection[str]
    accept: Places
    markers: bool
    refusals: list[Refusal] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    renames: dict[str, str] = field(default_factory=dict)
    gone: list[tuple[str, str, str]] = field(default_factory=list)  # moved by him, then deleted

    def check_imports(self, mine: Tree, known: Collection[str]) -> None:
        """Drop imports of what is gone, and refuse where one would find nothing any more."""
        if self.refusals or self.tree == mine:
            return
        from litgen_torch.merge.lines import line_in
        from litgen_torch.merge.modules import newly_broken
        from litgen_torch.merge.moves import without_import

        for path, place, name in self.gone:
            self.tree[path] = without_import(self.tree[path], place, [name])
        for (path, words, what), at in sorted(newly_broken(mine, self.tree, known).items()):
            line = line_in(self.tree[path], mine.get(path, ""), at)
            how = "you import" if "import " in words else "is used"
            reason = f"{what}, which {how} here, would not be there any more"
            by_hand = f"do without {what}, or make a copy of your own first"
            self.refuse(Refusal(path, line, "", reason, words, "", by_hand))

    def carry(self, path: str, before: str | None, there: str | None) -> None:
        """Carry what the template did to a file into the owner's."""
        here = self.tree.get(path)
        if before == there or here == there:
            return  # the template changed nothing here, or the owner did the same
        if there is None:
            if here is None or _is_unedited(path, before, here):
                self.tree.pop(path, None)
            elif here is not None:
                self.kept.append(f"{path}: not needed any more, but you edited it")
        elif here == before:
            self.tree[path] = there
        elif (
            path in self.leave
            or (here is None and _is_prose(path))
            or any(map(is_binary, (before, here, there)))
        ):
            self.kept.append(f"{path}: {DELETED if here is None else YOURS}")
        elif here is None:
            self.refuse_file(Refusal(path, 0, "", "you deleted this file", "", there))
        elif before is None:
            self.refuse_file(Refusal(path, 1, "", "you have a file of this name", here, there))
        else:
            self.merge(path, before, there)

    def refuse(self, refusal: Refusal) -> None:
        if (refusal.path, refusal.line) not in self.accept:
            self.refusals.append(refusal)

    def refuse_file(self, refusal: Refusal) -> None:
        """Refuse a file as a whole; its markers hold all of both versions."""
        from litgen_torch.merge.text import mark_changes

        self.refuse(refusal)
        if self.markers and refusal in self.refusals:
            self.tree[refusal.path] = mark_changes("", refusal.yours, refusal.template)

    def merge(self, path: str, base: str, new: str, *, is_part: bool = False) -> None:
        """Merge one file that both changed."""
        accept = frozenset(line for file, line in self.accept if file == path)
        merged = _merge_file(base, self.tree[path], new, path, accept, self, is_part)
        self.tree[path] = merged.text
        if path.endswith(".md"):  # text for people is no reason to stop
            self.kept += [f"{path}:{r.line}: {YOURS}" for r in merged.refusals]
        else:
            self.refusals += merged.refusals
        self.renames |= merged.renames
        self.kept += [f"{path}:{line}: {YOURS}" for line in merged.kept]


def _follow_moves(base: Tree, mine: Tree, new: Tree, work: _Work) -> tuple[Tree, Tree]:
    """Merge what the owner moved where he has it now; returns base and new without it."""
    from litgen_torch.merge.moves import (
        defined_in,
        importing_from,
        moved_definitions,
        moved_file,
        only,
        without,
    )

    gone = [path for path in base if path.endswith(".py") and path not in mine]
    files = {path: place for path in gone if (place := moved_file(path, base, mine))}
    base, new = (importing_from(files, tree) for tree in (base, new))
    work.renames |= {PurePosixPath(path).stem: PurePosixPath(files[path]).stem for path in files}
    for path, place in files.items():
        before, there = base.pop(path), new.pop(path, "")
        if before != there and path in work.leave:
            work.kept.append(f"{place}: {YOURS}")
        elif before != there:
            work.merge(place, before, there)
    changed = {path for path in base if base[path] != new.get(path)}
    for (path, place), names in moved_definitions(base, mine).items():
        if path in changed and path in new and path not in work.leave:
            try:
                parts = [(only(t[path], names), without(t[path], names)) for t in (base, new)]
            except (SyntaxError, ValueError):
                continue
            work.merge(place, parts[0][0], parts[1][0], is_part=True)
            base[path], new[path] = parts[0][1], parts[1][1]
            if not work.tree[place].strip():
                del work.tree[place]  # all that was in it is not needed any more
            dropped = set(names) - defined_in(parts[1][0])
            work.gone += [(path, place, name) for name in sorted(dropped)]
    return base, new


def _is_unedited(path: str, before: str | None, here: str) -> bool:
    """Whether the owner at most laid the file out anew."""
    if here == before or before is None or not path.endswith(".py"):
        return here == before
    from litgen_torch.merge.check import means_the_same

    return means_the_same(before, here)


def _is_prose(path: str) -> bool:
    return path.endswith(".md") or path.startswith("tests/")


def _merge_file(
    base: str, mine: str, new: str, path: str, accept: frozenset[int], work: _Work, is_part: bool
) -> Merged:
    if path.endswith(".py"):
        from litgen_torch.merge.python import Task, merge_python

        task = Task(path, accept, work.markers, work.pyproject, is_part)
        return merge_python(base, mine, new, task)
    if path.endswith(".toml"):
        from litgen_torch.merge.toml import merge_toml

        return merge_toml(base, mine, new, path=path, accept=accept, markers=work.markers)
    from litgen_torch.merge.text import merge_text

    markers = work.markers and not path.endswith(".md")
    return merge_text(base, mine, new, path=path, accept=accept, markers=markers)
