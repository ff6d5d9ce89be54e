"""The learning rate over a run."""

import math

import pytest

from runtime.schedule import cosine, linear, wsd

SCHEDULES = [cosine, linear, wsd]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_goes_up_in_a_line_and_down_to_its_floor(schedule):
    factors = [schedule(step, warmup=4, steps=12) for step in range(13)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert factors[12] == schedule(99, 4, 12) == pytest.approx(0.1)
    assert schedule(12, 4, 12, 0.0) == schedule(12, 4, 12, floor=0) == pytest.approx(0)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("warmup", "steps"), [(0, 0), (0, 1), (3, 1), (5, 5), (0, 7), (2, 4)])
def test_no_length_is_too_short(schedule, warmup, steps):
    factors = [schedule(step, warmup, steps) for step in range(steps + 3)]
    assert all(0.1 - 1e-12 <= factor <= 1 for factor in factors)
    assert schedule(0, 0, 10) == 1.0


def test_a_cosine_is_half_way_down_in_the_middle():
    assert cosine(8, 4, 12) == pytest.approx(0.1 + 0.9 / 2)
    assert cosine(6, 4, 12) == pytest.approx(0.1 + 0.9 * (0.5 + math.sqrt(0.5) / 2))


def test_a_line_loses_as_much_in_every_step():
    factors = [linear(step, 4, 12, 0.2) for step in range(4, 13)]
    assert factors == pytest.approx([1 - 0.1 * i for i in range(9)])


def test_wsd_stays_at_its_highest_whatever_the_end_until_it_decays():
    assert {wsd(step, 10, 100) for step in range(9, 81)} == {1.0}
    assert [wsd(step, 10, 1000) for step in range(81)] == [wsd(step, 10, 100) for step in range(81)]
    assert wsd(85, 10, 100, floor=0) == pytest.approx(1 - math.sqrt(0.25))
    assert wsd(75, 10, 100, floor=0, decay=0.5) == pytest.approx(1 - math.sqrt(0.5))
    assert wsd(90, 90, 100) == 1.0, "the decay waits for the warm-up"
