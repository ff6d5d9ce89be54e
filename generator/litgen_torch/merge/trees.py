"""Merging whole projects: what becomes of each file, and which merge it needs."""

from collections.abc import Collection

from litgen_torch.merge.outcome import Merge, Merged, Refusal
from litgen_torch.render import Tree

Places = frozenset[tuple[str, int]]  # paths, and lines of the owner's file, where his version stays


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
    tree, refusals, kept = dict(mine), list[Refusal](), list[str]()
    for path in sorted(base.keys() | new.keys()):
        before, here, there = base.get(path), mine.get(path), new.get(path)
        lines = frozenset(line for file, line in accept if file == path)
        if before == there or here == there:
            continue  # the template changed nothing here, or the owner did the same
        if there is None:
            if here == before:
                del tree[path]
            elif here is not None:
                kept.append(f"{path}: not needed any more, but you edited it")
        elif here == before:
            tree[path] = there
        elif path in leave or _is_prose(path) and here is None:
            kept.append(f"{path}: yours, although the template changed it")
        elif here is None:
            if 0 not in lines:
                refusals.append(Refusal(path, 0, "", "you deleted this file", "", there))
        elif before is None:
            if not lines:
                refusals.append(Refusal(path, 1, "", "you have a file of this name", here, there))
        else:
            merged = _merge_file(before, here, there, path, lines, markers)
            tree[path] = merged.text
            refusals += merged.refusals
    return Merge(dict(sorted(tree.items())), tuple(refusals), tuple(kept))


def _is_prose(path: str) -> bool:
    return path.endswith(".md") or path.startswith("tests/")


def _merge_file(
    base: str, mine: str, new: str, path: str, accept: frozenset[int], markers: bool
) -> Merged:
    from litgen_torch.merge.text import merge_text

    return merge_text(base, mine, new, path=path, accept=accept, markers=markers)
