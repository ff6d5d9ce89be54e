"""The commuting square: a change meets an owner's edits as if he had made them after it.

`make square` takes 3,000 cases, beside git and copier; here is a small sample of them.
"""

import json
import math
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from edits.cases import Case, case, project, square
from edits.judge import judge
from edits.kind import KINDS, Tree
from projects import Run
from test_add import state

from litgen_torch.answers import complete, with_choice
from litgen_torch.catalog import questions
from litgen_torch.merge.trees import merge
from litgen_torch.project import with_record
from litgen_torch.versions import installed


def test_a_change_commutes_with_the_owners_edits_or_is_refused() -> None:
    for number in range(3000, 3010):  # `make square` takes those before
        some = case(number)
        mine = dict(some.mine)
        merged = merge(some.base, some.mine, some.new)
        assert some.mine == mine
        if not merged.refusals:
            verdict = judge(some, merged.tree, merged.kept)
            assert verdict.kind != "wrong", f"{some.title}: {verdict.reasons}"


def test_there_are_many_kinds_of_edit_and_each_is_named_once() -> None:
    assert len(KINDS) >= 120
    assert len({kind.edit for kind in KINDS.values()}) == len(KINDS)


def test_the_same_number_is_the_same_case() -> None:
    assert case(3) == case(3)


def write(folder: Path, some: Case) -> None:
    """The project as its owner has it, with its record."""
    recorded = with_record(some.base, name="proj", answers=some.before, version=installed())
    record = {path: text for path, text in recorded.items() if path not in some.base}
    for path, text in (some.mine | record).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())


def example(kinds: list[str], kind: str, choice: str, **given: str) -> Case:
    """A case with these edits and this change."""
    before = complete(questions(), given)
    after = with_choice(questions(), before, kind, choice)
    found = square(7, before, after, f"add {kind} {choice}", [KINDS[name] for name in kinds])
    assert found, "this edit does not apply"
    return found


CONFLICTS = {
    "a statement of the template's is another": ("a schedule of one's own", "feature", "schedule"),
    "the place is gone": ("main in two functions", "strategy", "ddp"),
}


@pytest.mark.parametrize(("name", "kind", "choice"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_refusal_leaves_every_byte_and_time_on_disk(
    litgen: Run, tmp_path: Path, name: str, kind: str, choice: str
) -> None:
    some = example([name], kind, choice)
    write(tmp_path, some)
    before = state(tmp_path)
    done = litgen(*shlex.split(some.words))
    assert done.returncode == 3, done.stderr
    assert state(tmp_path) == before


def result_of(some: Case) -> Tree:
    merged = merge(some.base, some.mine, some.new)
    assert not merged.refusals
    return merged.tree


MISTAKES = {
    "a lost statement": ("        step += 1\n", ""),
    "a doubled statement": ("        step += 1\n", "        step += 1\n        step += 1\n"),
    "another name": ("set_lr(optimizer, lr)", "set_lr(optimiser, lr)"),
    "a lost comment": ("  # the mean over all images of the step", ""),
    "a lost import": ("from runtime.rng import seed_all\n", ""),
    "not Python": ("def main(", "def main(("),
    "the template's own order": (
        "    folder = open_run(config)\n    train_set, val_set = load_data(config)\n",
        "    train_set, val_set = load_data(config)\n    folder = open_run(config)\n",
    ),
}


@pytest.mark.parametrize(("old", "new"), MISTAKES.values(), ids=MISTAKES)
def test_the_judge_finds_a_mistake(old: str, new: str) -> None:
    some = example(["print what was set"], "feature", "early-stopping")
    result = result_of(some)
    assert judge(some, result).kind == "right"
    assert old in result["train.py"]
    result["train.py"] = result["train.py"].replace(old, new, 1)
    assert judge(some, result).kind == "wrong"


def test_only_what_does_not_depend_on_each_other_may_change_places() -> None:
    some = case(0)
    one = "def f():\n    {}\n    {}\n"
    for own, template, kind in [
        ("print(1)", "ema.update()", "order"),
        ("print(ema)", "ema.update()", "wrong"),
        ("if ema: print(1)", "x = ema.get(1)", "order"),
        ("x = 1", "y = x", "wrong"),
        ("return", "ema.update()", "wrong"),
        ("if a: raise b", "c = d", "order"),
        ("if a: raise b", "ema.update()", "wrong"),
        ("log.say('best')", "log.steps = 1", "order"),
        ("print(log.steps)", "log.steps = 1", "wrong"),
    ]:
        shaped = replace(
            some,
            base={"a.py": "def f(): pass\n"},
            new={"a.py": f"def f():\n    {template}\n"},
            oracle={"a.py": one.format(own, template)},
            renamed={},
            kinds=(KINDS["print before"],),
        )
        assert judge(shaped, {"a.py": one.format(template, own)}).kind == kind


def test_only_the_owner_s_last_lines_may_stand_behind_a_new_block() -> None:
    block = "def f():\n    with a:\n        g()\n        {}\n    {}\n    h()\n"
    new = block.format("k()", "pass")
    inside, behind = ("k()\n        own()", "pass"), ("k()", "own(); pass")
    for one, other, kind in [
        (block.format(*inside), block.format(*behind), "order"),
        (new, new.replace("        k()\n    pass", "    k()\n    pass"), "wrong"),
    ]:
        shaped = replace(
            case(0),
            base={"a.py": "def f():\n    g()\n    k()\n    pass\n    h()\n"},
            new={"a.py": new},
            oracle={"a.py": one},
            renamed={},
            kinds=(KINDS["print before"],),
        )
        assert judge(shaped, {"a.py": other}).kind == kind


def test_a_line_of_his_may_stay_behind_what_it_was_behind() -> None:
    lines = "def f():\n    {}.half()\n    print({})\n"
    above = "def f():\n    print(model)\n    model.half()\n"
    for mine, kind in [(lines.format("network", "model"), "order"), (above, "wrong")]:
        shaped = replace(
            case(0),
            base={"a.py": "def f():\n    network.half()\n"},
            mine={"a.py": mine},
            new={"a.py": "def f():\n    model.half()\n"},
            oracle={"a.py": above},
            renamed={},
            kinds=(KINDS["print before"],),
        )
        assert judge(shaped, {"a.py": lines.format("model", "model")}).kind == kind


TRAINED = {
    "ddp": (["a variable renamed", "evaluate in a file of its own"], "strategy", "ddp", {}),
    "fsdp": (
        [
            "print what was set",
            "a function of one's own, called in the loop",
            "black at 88 columns",
        ],
        "strategy",
        "fsdp",
        {},
    ),
    "bf16": (["try around the loop", "tabs"], "precision", "bf16", {"strategy": "ddp"}),
    "ema": (["print what was set", "single quotes"], "feature", "ema", {"strategy": "fsdp"}),
    "schedule": (
        ["some fields in a dataclass of their own", "an augmentation of one's own"],
        "feature",
        "schedule",
        {"strategy": "ddp"},
    ),
    "metrics": (
        ["five variables renamed", "definitions in the other order"],
        "feature",
        "metrics",
        {"strategy": "fsdp", "model": "vit"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kinds", "kind", "choice", "given"), TRAINED.values(), ids=TRAINED)
def test_a_merged_project_trains_in_two_processes(
    tmp_path: Path, kinds: list[str], kind: str, choice: str, given: dict[str, str]
) -> None:
    some = example(kinds, kind, choice, **given)
    result = result_of(some)
    assert judge(some, result).kind in ("right", "order")
    write(tmp_path, replace(some, mine=result))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node=2", "train.py", "--fast", "--name=merged"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "runs/merged-fast/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses and all(map(math.isfinite, losses))


def test_nothing_changes_where_nothing_was_asked_for() -> None:
    some = case(1)
    assert merge(some.base, some.mine, project(some.before)).tree == dict(sorted(some.mine.items()))
