"""A run ends when its score stopped getting better, and can be gone on with."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.early_stopping import EarlyStopping


def over_at(early, scores):
    """The number of validations after which the run is over."""
    for number, score in enumerate(scores, 1):
        if early(10 * number, score):
            return number
    return None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([5, 4, 3, 2, 1], None),
        ([5, 4, 4, 4, 1], 4),
        ([5, 6, 4, 6, 5, 3], 5),
        ([5, math.nan, 4, math.nan, math.inf, 3], 5),
        ([math.nan, math.nan], 2),
        ([-math.inf, 1, 0.5, 0.6, 0.7], 5),
        ([5, 1, -math.inf, -math.inf], 4),
    ],
)
def test_two_validations_without_a_better_score_end_the_run(scores, expected):
    assert over_at(EarlyStopping(2), scores) == expected


def test_higher_can_be_better():
    early = EarlyStopping(2, lower_is_better=False)
    assert over_at(early, [0.5, 0.7, 0.6, math.nan]) == 4
    assert (early.tensors["best"], early.tensors["best_step"]) == (0.7, 20)


def test_a_gain_of_at_least_so_much_can_be_asked_for():
    assert over_at(EarlyStopping(1, least=0.1), [1.0, 0.8, 0.75]) == 3


def test_it_says_why():
    early = EarlyStopping(2)
    over_at(early, [0.4, 0.25, 0.3, 0.3])
    assert early.reason == "validations without a better score: 2 (the best: 0.250 at step 20)"
    early = EarlyStopping(1)
    early(10, math.nan)
    assert early.reason == "validations without a better score: 1 (the best: none finite)"


@given(st.lists(st.floats(), max_size=12), st.integers(0, 12), st.integers(1, 4))
def test_a_resumed_run_decides_as_one_that_never_stopped(scores, cut, patience):
    whole, first, second = (EarlyStopping(patience) for _ in range(3))
    for step, score in enumerate(scores, 1):
        whole(step, score)
    for step, score in enumerate(scores[:cut], 1):
        first(step, score)
    load(second, first)
    assert second.over == first.over
    for step, score in enumerate(scores[cut:], len(scores[:cut]) + 1):
        second(step, score)
    assert second.over == whole.over
    for name, value in whole.tensors.items():
        torch.testing.assert_close(second.tensors[name], value, rtol=0, atol=0, equal_nan=True)


def test_more_patience_lets_a_run_that_was_over_go_on():
    early = EarlyStopping(1)
    early(10, 1.0), early(20, 2.0)
    patient = EarlyStopping(2)
    load(patient, early)
    assert early.over and not patient.over


def load(early, saved):
    """Fill in place, as a checkpoint does."""
    for name, value in saved.tensors.items():
        early.tensors[name].copy_(value)
