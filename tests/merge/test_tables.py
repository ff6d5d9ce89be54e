"""The merge as the tables in tables/ have it; and what has to hold for every row of them."""

import re

import pytest
from cases import Case, read_cases, said
from words import invented, lost

from litgen_torch.merge.trees import merge

CASES = read_cases()
MERGED = {name: case for name, case in CASES.items() if not case.refused}
REFUSED = {name: case for name, case in CASES.items() if case.refused}
# Where the template renames, words of the owner's become others on purpose.
WORDS = {name: case for name, case in CASES.items() if case.topic != "template_renames"}
MARKERS = re.compile(r"<<<<<<< yours\r?\n(.*?)=======\r?\n.*?>>>>>>> template\r?\n", re.DOTALL)


def rows(cases: dict[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases.values(), ids=cases)


@rows(CASES)
def test_a_merge_comes_out_as_written_down(case: Case) -> None:
    found = case.merge()
    assert said(found.refusals) == case.refused
    assert found.tree == case.merged
    assert "".join(f"{line}\n" for line in found.kept) == case.kept


@rows(MERGED)
def test_merging_again_changes_nothing(case: Case) -> None:
    again = merge(case.base, case.merged, case.new)
    assert not again.refusals
    assert again.tree == case.merged


@rows(CASES)
def test_without_an_edit_of_yours_the_result_is_the_templates(case: Case) -> None:
    found = merge(case.base, case.base, case.new)
    assert (found.tree, found.refusals, found.kept) == (case.new, (), ())


@rows(CASES)
def test_without_a_change_of_the_templates_yours_stays(case: Case) -> None:
    found = merge(case.base, case.mine, case.base)
    assert (found.tree, found.refusals, found.kept) == (case.mine, (), ())


@rows(WORDS)
def test_no_word_of_yours_is_lost_and_none_comes_but_the_templates(case: Case) -> None:
    found = case.merge()
    trees = case.base, case.mine, case.new, found.tree
    assert not lost(*trees, found.renames)
    assert not invented(*trees, found.renames)


@rows(WORDS)
def test_when_the_template_takes_its_change_back_no_word_of_yours_is_lost(case: Case) -> None:
    found = case.merge()
    if not found.refusals:
        back = merge(case.new, found.tree, case.base)
        assert not lost(case.new, found.tree, case.base, back.tree, back.renames)


@rows(REFUSED)
def test_at_accepted_places_yours_stays(case: Case) -> None:
    places = frozenset((refusal.path, refusal.line) for refusal in case.merge().refusals)
    found = case.merge(accept=places)
    assert (found.tree, found.refusals) == (case.accepted, ())


@rows(REFUSED)
def test_between_markers_stand_both_versions(case: Case) -> None:
    plain, marked = case.merge(), case.merge(markers=True)
    assert said(marked.refusals) == said(plain.refusals)
    for path, text in marked.tree.items():
        assert MARKERS.sub(r"\1", text) == case.accepted.get(path, "")
