"""`litgen add precision`: from each to each, in projects that their owner made his own."""

from itertools import permutations, product

import pytest
from edits.cases import square
from edits.judge import judge
from edits.kind import KINDS

from litgen_torch.answers import complete, with_choice
from litgen_torch.catalog import questions
from litgen_torch.merge.trees import merge

PRECISIONS = [choice.value for q in questions() if q.name == "precision" for choice in q.choices]
EDITS = ["five variables renamed", "print what was set", "single quotes"]
QUICK = [("fsdp", pair) for pair in [("fp16", "bf16-true"), ("float8", "fp64"), ("fp64", "fp16")]]
STRATEGIES = ("fsdp", "single")
CASES = [
    pytest.param(s, *pair, marks=() if (s, pair) in QUICK else pytest.mark.slow)
    for s, pair in product(STRATEGIES, permutations(PRECISIONS, 2))
]


@pytest.mark.parametrize(("strategy", "old", "new"), CASES)
def test_a_precision_takes_another_s_place_in_a_project_that_was_edited(
    strategy: str, old: str, new: str
) -> None:
    before = complete(questions(), {"model": "vit", "strategy": strategy, "precision": old})
    after = with_choice(questions(), before, "precision", new)
    some = square(7, before, after, f"add precision {new}", [KINDS[name] for name in EDITS])
    assert some, "these edits do not apply"
    merged = merge(some.base, some.mine, some.new)
    assert not merged.refusals
    verdict = judge(some, merged.tree, merged.kept)
    assert verdict.kind in ("right", "order"), verdict.reasons
