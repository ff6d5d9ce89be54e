"""The best checkpoints stay, by their score and by nothing else."""

import json
import math
import os
import shutil

import pytest
from forked import forked
from hypothesis import given
from hypothesis import strategies as st
from often import often
from training import train

from runtime.keep_best import Best

# The last of the equal ones, and the one without a score, come too late.
SCORES = {1: 0.9, 2: 0.5, 3: math.nan, 4: 0.5, 5: 0.7, 7: -math.inf, 8: 0.8}


def saved(folder, scores, best, keep=1, size=1):
    steps = range(1, 9)
    options = {"save_at": steps, "scores": scores, "best": best, "keep": keep}
    forked(size, _train, folder, "ddp" if size > 1 else "single", options)
    return sorted(int(path.name[5:]) for path in folder.iterdir())


def _train(folder, strategy, options):
    train(folder, strategy, 8, **options)


@pytest.mark.parametrize(
    ("keep", "lower_is_better", "expected"),
    [
        (1, True, [2, 8]),
        (2, True, [2, 4, 8]),
        (3, True, [2, 4, 5, 8]),
        (1, False, [1, 8]),
        (2, False, [1, 8]),
        (9, True, [1, 2, 4, 5, 8]),
    ],
)
def test_the_best_stay_beside_the_newest(tmp_path, keep, lower_is_better, expected):
    best = Best(keep, lower_is_better=lower_is_better)
    assert saved(tmp_path, SCORES, best) == expected
    ranked = [*best(tmp_path.iterdir())]
    assert ranked[0].name == f"step-{2 if lower_is_better else 1:08d}"
    for path in tmp_path.iterdir():
        step = int(path.name[5:])
        assert json.loads((path / "run.json").read_text())["score"] == SCORES[step]


def test_two_processes_keep_the_same_ones(tmp_path):
    assert saved(tmp_path, SCORES, Best(1, lower_is_better=True), keep=2, size=2) == [2, 7, 8]


@often(30)
@given(st.lists(st.none() | st.floats(), min_size=1, max_size=12), st.integers(1, 3), st.booleans())
def test_any_row_of_scores_keeps_the_best_of_all_that_were_saved(tmp_path_factory, row, keep, low):
    folder, best = tmp_path_factory.mktemp("runs"), Best(keep, lower_is_better=low)
    for step, score in enumerate(row, 1):
        path = folder / f"step-{step:08d}"
        path.mkdir()
        finite = score is not None and math.isfinite(score)
        (path / "run.json").write_text(json.dumps({"score": score if finite else None}))
        for old in {*folder.iterdir()} - {path, *best(folder.iterdir())}:
            shutil.rmtree(old)
    known = [(s if low else -s, n) for n, s in enumerate(row, 1) if s is not None and s - s == 0]
    expected = [f"step-{number:08d}" for _, number in sorted(known)[:keep]]
    assert [path.name for path in best(folder.iterdir())] == expected


def test_neither_the_time_of_a_folder_nor_what_is_incomplete_counts(tmp_path):
    best = Best(1, lower_is_better=True)
    train(tmp_path, "single", 2, save_at=[1, 2], scores={1: 0.2, 2: 0.3}, best=best)
    shutil.copytree(tmp_path / "step-00000001", tmp_path / ".step-00000009")  # a kill's remains
    about = tmp_path / ".step-00000009" / "run.json"
    about.write_text(about.read_text().replace('"score": 0.2', '"score": 0.1'))
    os.utime(tmp_path / "step-00000001", (0, 0))
    train(tmp_path, "single", 4, save_at=[3, 4], scores={3: 0.4, 4: 0.5}, best=best, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000004"]


def test_a_checkpoint_without_a_readable_score_is_never_the_best(tmp_path):
    train(tmp_path, "single", 3, save_at=[1, 2, 3], scores={1: 1.0}, keep=3)
    about = tmp_path / "step-00000002" / "run.json"
    about.write_text(about.read_text()[:20])
    (tmp_path / "step-00000003" / "run.json").write_text('{"score": "0.1"}')
    best = Best(3, lower_is_better=True)(tmp_path.iterdir())
    assert [path.name for path in best] == ["step-00000001"]
