"""The benchmarks beside litgen's peers: what they make of what they measure."""

import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _at_hand() -> None:
    sys.path.insert(0, str(BENCHMARKS))


def test_a_stall_is_what_the_two_steps_at_a_checkpoint_take_beyond_the_usual() -> None:
    from peers import stall

    walls = [0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 8.5]  # four usual ones, the save's, the one behind it
    assert stall(walls) == pytest.approx(2.5)


def test_a_turn_is_compared_with_the_bare_loops_in_the_same_round() -> None:
    from peers import ratios

    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError):
        ratios([2.0], [1.0, 3.0])


def test_the_start_and_the_first_turn_are_no_steps_of_the_table() -> None:
    from peers import note

    turn = {"peak": 2**20, "walls": [0.0, 1.0, 2.0, 3.0, 4.0]}
    ranks = [
        [{**turn, "cpu": cpu} for cpu in (5.0, 70.0, 2.0, 4.0)],
        [{**turn, "cpu": cpu} for cpu in (5.0, 70.0, 4.0, 6.0)],
    ]
    seen: dict = {}
    note(seen, {"litgen": ranks}, steps=1000)
    assert seen["litgen"].cpu == [3.0, 5.0]  # ms a step, the mean of both processes
    assert (seen["litgen"].start, seen["litgen"].peak) == ([5.0], [1.0])


def test_weights_apart_by_anything_are_not_equal() -> None:
    from right import Cell, apart

    one, other = {"w": torch.zeros(2)}, {"w": torch.tensor([0.0, 1e-7])}
    assert apart(one, one) == 0 < apart(one, other)
    assert str(Cell(False, "apart")) == "**no**: apart"


def test_a_project_gets_the_same_settings_as_its_peers() -> None:
    from entrants import DEFAULTS, flags

    given = flags(DEFAULTS | {"settings": {"widths": [8, 16]}, "save_every": 5})
    assert {"--widths=8,16", "--save-every=5", "--batch-size=64", "--seed=0"} <= set(given)
