"""To DeepSpeed and back by `litgen add` and `remove`, in a project that its owner made his own."""

from pathlib import Path

import pytest
from edits.cases import Case, square
from edits.judge import judge
from edits.kind import KINDS
from projects import Run
from test_parity import Layout, furthest, train

from litgen_torch.answers import complete, with_choice
from litgen_torch.catalog import questions
from litgen_torch.merge.trees import merge
from litgen_torch.project import with_record
from litgen_torch.versions import installed

DDP, FSDP, ZERO = Layout("ddp", 2, 2), Layout("fsdp", 2, 2), Layout("deepspeed", 2, 2)
SWITCHES = {
    "ddp-deepspeed": (DDP, ZERO, ["evaluate in a file of its own", "single quotes"]),
    "fsdp-deepspeed": (FSDP, ZERO, ["five variables renamed", "black at 88 columns"]),
    "deepspeed-ddp": (ZERO, DDP, ["the loss in a file of its own", "tabs"]),
    "deepspeed-fsdp": (ZERO, FSDP, ["one more figure in the log", "single quotes"]),
    "deepspeed-single": (ZERO, Layout("single"), ["a variable renamed", "black at 88 columns"]),
}


def edited(before: Layout, after: Layout, kinds: list[str], model: str = "gpt") -> Case:
    """A project with two edits, and what a change of its strategy should make of it."""
    having = complete(questions(), {"model": model, "strategy": before.strategy})
    wanted = with_choice(questions(), having, "strategy", after.strategy)
    words = f"add strategy {after.strategy}"
    found = square(1, having, wanted, words, [KINDS[kind] for kind in kinds])
    assert found, f"{kinds} do not apply"
    return found


QUICK = [("ddp-deepspeed", "gpt"), ("deepspeed-fsdp", "cnn")]
MERGES = [
    pytest.param(*SWITCHES[name], model, id=f"{name}-{model}", marks=marks)
    for name in SWITCHES
    for model in ("gpt", "cnn")
    for marks in [() if (name, model) in QUICK else pytest.mark.deepspeed]
]


@pytest.mark.parametrize(("before", "after", "kinds", "model"), MERGES)
def test_an_owner_s_edits_are_met_as_if_he_had_made_them_under_the_other_strategy(
    before: Layout, after: Layout, kinds: list[str], model: str
) -> None:
    some = edited(before, after, kinds, model)
    merged = merge(some.base, some.mine, some.new)
    assert not merged.refusals
    verdict = judge(some, merged.tree, merged.kept)
    assert verdict.kind in ("right", "order"), f"{some.title}: {verdict.reasons}"


@pytest.mark.deepspeed
@pytest.mark.usefixtures("read_deepspeed")
@pytest.mark.parametrize(("before", "after", "kinds"), SWITCHES.values(), ids=SWITCHES)
def test_it_goes_on_as_before_under_the_other_strategy(
    litgen: Run, tmp_path: Path, before: Layout, after: Layout, kinds: list[str]
) -> None:
    some = edited(before, after, kinds)
    recorded = with_record(some.base, name="proj", answers=some.before, version=installed())
    for path, text in (recorded | some.mine).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(text.encode())
    expected = train(tmp_path, before, "before", learning_rate=1e-3)
    command = ("remove", "strategy") if after.strategy == "single" else ("add", "strategy")
    removed = before if after.strategy == "single" else after
    done = litgen(*command, removed.strategy)
    assert done.returncode == 0, done.stderr
    found = train(tmp_path, after, "after", learning_rate=1e-3)
    assert found.losses == pytest.approx(expected.losses, abs=1e-4)
    assert furthest(found.weights, expected.weights) < 2e-4
