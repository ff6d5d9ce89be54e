"""From any strategy to any other by `litgen add`, in a project that its owner made his own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from edits.cases import Case, square
from edits.judge import judge
from edits.kind import KINDS
from projects import Run
from test_parity import LARGEST, Layout, Learnt, furthest, layout_id, learnt, train

from litgen_torch.answers import complete, with_choice
from litgen_torch.catalog import questions
from litgen_torch.merge.trees import merge
from litgen_torch.project import with_record
from litgen_torch.versions import installed

__all__ = ["learnt"]  # the fixture: pytest finds it by its name

# What changes no loss: another one at each pair, in another layout of all that he has.
EDITS = [
    "print what was set",
    "a variable renamed",
    "evaluate in a file of its own",
    "one more figure in the log",
    "a function of one's own, called in the loop",
    "five variables renamed",
    "a banner above a function",
    "the loss in a file of its own",
]
STYLES = ["single quotes", "black at 88 columns", "tabs"]
PAIRS = [(a, b) for a in LARGEST for b in LARGEST if a != b]
QUICK = PAIRS[:: 2 * len(LARGEST)]


def edited(before: Layout, after: Layout, model: str = "gpt") -> Case:
    """A project with two edits, and what a change of its strategy should make of it."""
    having = complete(questions(), {"model": model, "strategy": before.strategy})
    wanted = with_choice(questions(), having, "strategy", after.strategy)
    number = PAIRS.index((before, after))
    kinds = [KINDS[EDITS[number % len(EDITS)]], KINDS[STYLES[number % len(STYLES)]]]
    words = f"add strategy {after.strategy}"
    found = square(number, having, wanted, words, kinds)
    assert found, f"{kinds[0].name} does not apply"
    return found


@pytest.mark.parametrize(("before", "after"), QUICK, ids=layout_id)
def test_an_owner_s_edits_are_met_as_if_he_had_made_them_under_the_other_strategy(
    before: Layout, after: Layout
) -> None:
    some = edited(before, after)
    merged = merge(some.base, some.mine, some.new)
    assert not merged.refusals
    verdict = judge(some, merged.tree, merged.kept)
    assert verdict.kind in ("right", "order"), f"{some.title}: {verdict.reasons}"


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), PAIRS, ids=layout_id)
def test_it_trains_as_before_under_the_other_strategy(
    litgen: Run, tmp_path: Path, learnt: Callable[..., Learnt], before: Layout, after: Layout
) -> None:
    some = edited(before, after)
    recorded = with_record(some.base, name="proj", answers=some.before, version=installed())
    for path, text in (recorded | some.mine).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(text.encode())
    done = litgen("add", "strategy", after.strategy)
    assert done.returncode == 0, done.stderr
    found, expected = train(tmp_path, after, learning_rate=1e-3), learnt(LARGEST[0])
    assert found.losses == pytest.approx(expected.losses, abs=1e-4)
    assert furthest(found.weights, expected.weights) < 2e-4
