"""The laws on projects that their owner edited by chance: nothing of his is lost, or it refuses."""

from collections import Counter

from changes import SETS, Added, additions, project
from handwork import edited_tree, edits
from hypothesis import given
from hypothesis import strategies as st
from often import often
from words import invented, lost, words

from litgen_torch.merge.trees import merge
from litgen_torch.render import Tree

Edits = dict[str, list[tuple[str, int]]]
FILES = ("train.py", "config.py")  # which the choices of sets change


def edits_of_files() -> st.SearchStrategy[Edits]:
    return st.dictionaries(st.sampled_from(FILES), edits(), min_size=1, max_size=1)


@often(3)
@given(additions(SETS), edits_of_files())
def test_nothing_of_yours_is_lost_and_nothing_comes_but_the_templates(
    change: Added, chosen: Edits
) -> None:
    base, new = project(change.before), project(change.after)
    mine = edited_tree(base, chosen)
    found = merge(base, mine, new)
    assert not _own(mine) - _own(found.tree)
    if not found.refusals:
        assert not lost(base, mine, new, found.tree, found.renames)
        assert not invented(base, mine, new, found.tree, found.renames)
        again = merge(base, found.tree, new)
        assert (again.tree, again.refusals) == (found.tree, ())


@often(3)
@given(additions(SETS), edits_of_files())
def test_what_is_refused_can_be_accepted_and_nothing_of_yours_is_lost(
    change: Added, chosen: Edits
) -> None:
    base, new = project(change.before), project(change.after)
    mine = edited_tree(base, chosen)
    found = merge(base, mine, new)
    places = frozenset((refusal.path, refusal.line) for refusal in found.refusals)
    accepted = merge(base, mine, new, accept=places)
    assert not accepted.refusals
    assert not _own(mine) - _own(accepted.tree)
    marked = merge(base, mine, new, markers=True)
    assert len(marked.refusals) == len(found.refusals)
    assert not _own(mine) - _own(marked.tree)


@often(3)
@given(additions(SETS), edits_of_files())
def test_to_add_and_remove_a_choice_is_nothing(change: Added, chosen: Edits) -> None:
    base, new = project(change.before), project(change.after)
    mine = edited_tree(base, chosen)
    there = merge(base, mine, new)
    if there.refusals or not change.is_addition:
        return
    back = merge(new, there.tree, base)
    assert back.refusals or back.tree == mine


def _own(tree: Tree) -> Counter[str]:
    """The words that only edits bring: all of them begin alike."""
    found = sum((words(text) for text in tree.values()), Counter[str]())
    return Counter({word: count for word, count in found.items() if word.startswith("mine")})
