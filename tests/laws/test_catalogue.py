"""The laws over the whole catalogue, on projects that nobody edited."""

import pytest
from changes import (
    CHOICES,
    Added,
    add,
    additions,
    as_pairs,
    can_add,
    project,
    projects,
    remove,
)
from hypothesis import given
from hypothesis import strategies as st
from often import often
from projects import every_project

from litgen_torch.errors import LitgenError
from litgen_torch.merge.trees import merge
from litgen_torch.solve import Pair


@often(20)
@given(additions())
def test_to_add_a_choice_gives_the_project_that_has_it_byte_for_byte(change: Added) -> None:
    before, after = project(change.before), project(change.after)
    assert (change.kind, change.choice) in change.after
    found = merge(before, before, after)
    assert (found.tree, found.refusals, found.kept) == (after, (), ())


@often(20)
@given(additions())
def test_to_remove_it_again_gives_the_project_without_it_byte_for_byte(change: Added) -> None:
    try:
        left = remove(change.after, change.kind, change.choice)
    except LitgenError:  # nothing can take its place
        return
    if change.is_addition:
        assert left == change.before
    found = merge(project(change.after), project(change.after), project(left))
    assert (found.tree, found.refusals, found.kept) == (project(left), (), ())


@often(20)
@given(projects(), st.sampled_from(CHOICES), st.sampled_from(CHOICES))
def test_the_order_of_two_choices_that_go_with_the_others_does_not_matter(
    before: tuple[Pair, ...], one: Pair, other: Pair
) -> None:
    answers = [_added(_added(before, *two[0]), *two[1]) for two in ((one, other), (other, one))]
    others = {pair for pair in before if pair[0] not in (one[0], other[0])}
    if one[0] != other[0] and all({*answer} >= {one, other, *others} for answer in answers):
        assert answers[0] == answers[1]


@often(20)
@given(additions())
def test_a_choice_that_is_there_is_added_once(change: Added) -> None:
    assert add(change.after, change.kind, change.choice) == change.after


@pytest.mark.slow
def test_every_choice_of_every_project_in_the_tests_can_be_added_and_removed() -> None:
    for answers in every_project():
        before = as_pairs(answers)
        for change in filter(None, (can_add(before, *choice) for choice in CHOICES)):
            one, other = project(change.before), project(change.after)
            assert merge(one, one, other).tree == other
            assert merge(other, other, one).tree == one
            if change.is_addition:
                assert remove(change.after, change.kind, change.choice) == change.before


def _added(before: tuple[Pair, ...], kind: str, choice: str) -> tuple[Pair, ...]:
    change = can_add(before, kind, choice)
    return change.after if change else before
