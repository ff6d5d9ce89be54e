"""`--verify`: the loss of a few steps before and after a change, and nothing else touched."""

import json
import os
import sys
from pathlib import Path

import pytest
from projects import Run
from test_add import edit, state

from litgen_torch.answers import complete
from litgen_torch.catalog import questions
from litgen_torch.render import settings
from litgen_torch.verify import Losses, _settings

PATH = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

AGREE = {
    "equal": ((1.0, 2.0), (1.0, 2.0), False, True),
    "rounding": ((1.0, 2.0), (1.0, 2.000001), False, True),
    "other": ((1.0, 2.0), (1.0, 2.01), False, False),
    "other on purpose": ((1.0, 2.0), (1.0, 2.01), True, True),
    "nan where it was not": ((1.0,), (float("nan"),), False, False),
    "nan on purpose": ((1.0,), (float("nan"),), True, False),
    "nan as before": ((float("nan"),), (float("nan"),), False, True),
}


@pytest.mark.parametrize(("before", "after", "may", "agree"), AGREE.values(), ids=AGREE)
def test_losses_agree_or_differ_on_purpose(
    before: tuple[float, ...], after: tuple[float, ...], may: bool, agree: bool
) -> None:
    assert Losses(None, before, after, may).agree is agree


CONFIG = """
class Config:
    name: str = "x"
    steps: int = 5
    log_every: int = 1
    data: str = "images"
    width: int = 8
    fast: bool = False

FAST = {"width": 2}
"""


def test_settings_are_few_steps_and_those_of_the_last_run() -> None:
    last = {"data": "../my data", "width": 64, "gone": 1, "steps": 1000}
    assert _settings(CONFIG, 3, last) == [
        "--name=verify",
        "--steps=3",
        "--log-every=1",
        "--fast=true",
        "--data=../my data",
    ]
    assert "--eval-every=3" in _settings("", 3, {}), "who has no Config may have the settings"


@pytest.fixture
def folder(litgen: Run, tmp_path: Path) -> Path:
    litgen("new", "proj", "-y")
    return tmp_path / "proj"


def test_a_change_that_leaves_training_alone_is_verified(litgen: Run, folder: Path) -> None:
    done = litgen("add", "strategy", "fsdp", "--json", "--verify", "2", cwd=folder, **PATH)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["written"] is True
    losses = told["verified"]
    assert len(losses["before"]) == 2 and losses["before"] == losses["after"]
    assert losses["largest"] == 0
    assert not (folder / "runs").exists()


def test_a_change_that_trains_otherwise_is_not_made(litgen: Run, folder: Path) -> None:
    # The owner's loss depends on whether gradients are averaged over processes.
    edit(
        folder / "train.py",
        '    return F.cross_entropy(logits, y, reduction="sum"), logits',
        '    scale = 2 if "runtime.dist" in sys.modules else 1\n'
        '    return F.cross_entropy(logits, y, reduction="sum") * scale, logits',
    )
    before = state(folder)
    done = litgen("add", "--verify", "strategy", "ddp", cwd=folder, **PATH)
    assert done.returncode == 1
    assert "5 steps before and after, seed 1337" in done.stderr
    assert "nothing was changed" in done.stderr
    assert state(folder) == before


def test_a_project_that_does_not_train_is_said_to(litgen: Run, folder: Path) -> None:
    edit(
        folder / "train.py",
        "    model.train()\n    while",
        "    raise OSError('no data')\n    while",
    )
    before = state(folder)
    done = litgen("add", "bf16", "--verify", "1", cwd=folder, **PATH)
    assert done.returncode == 1
    assert "train.py as it is ends with 1: OSError: no data" in done.stderr
    assert state(folder) == before


def _harmless() -> list[tuple[str, str]]:
    """The choices that shall leave every loss as it is."""
    altering = set(settings()["_alters_losses"])
    return [
        (question.name, choice.value)
        for question in questions()
        for choice in question.choices
        if altering.isdisjoint([question.name, choice.value])
        if choice.value != "single"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "choice"), _harmless(), ids=lambda word: word)
def test_what_should_not_alter_training_does_not(
    litgen: Run, tmp_path: Path, kind: str, choice: str
) -> None:
    answer = next(q for q in questions() if q.name == kind).answer(choice)
    model = complete(questions(), {kind: answer})["model"]  # that goes with it
    litgen("new", "proj", "--model", str(model), "-y")
    done = litgen("add", kind, choice, "--verify", "3", cwd=tmp_path / "proj", **PATH)
    assert done.returncode == 0, done.stderr
    assert "largest difference in loss 0\n" in done.stdout
