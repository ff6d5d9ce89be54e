"""Law 8: two git branches that each change the project merge, and litgen finds it sound.

All by real git. `.litgen/` never conflicts, but for two answers to one question. Where the owner's
files do, as two insertions at one place must, git says so and the owner resolves it.
"""

import itertools
import json
import subprocess
from pathlib import Path

import pytest
from projects import Run
from test_add import edit, state

from litgen_torch.answers import Answers, complete, with_choice
from litgen_torch.catalog import questions
from litgen_torch.change import plan_change, wanted
from litgen_torch.commands.editing import owners_files
from litgen_torch.errors import LitgenError
from litgen_torch.project import RECORD, from_templates, read_project, with_record
from litgen_torch.solve import Pair
from litgen_torch.versions import installed

START = complete(questions(), {})
MANY = complete(questions(), {"strategy": "ddp", "precision": "bf16"})
ADD_ONS = [(q.name, choice.value) for q in questions() if q.many for choice in q.choices]
SLOTS = [("strategy", "ddp"), ("strategy", "fsdp"), ("precision", "bf16"), ("precision", "fp16")]


def git(folder: Path, *words: str, fails: bool = False) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def project_as(answers: Answers) -> dict[str, str]:
    files = from_templates("proj", answers)
    return with_record(files, name="proj", answers=answers, version=installed())


def commit_all(folder: Path, branch: str) -> None:
    git(folder, "checkout", "-qB", branch)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", branch)


def put(folder: Path, tree: dict[str, str]) -> None:
    for path, text in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())


def merge(folder: Path, *branches: str) -> list[str]:
    """Merge the branches, the first one being checked out; the paths that conflict."""
    first, other = branches
    git(folder, "checkout", "-qf", first)
    git(folder, "merge", "-q", "--no-edit", other, fails=True)
    return sorted({line.split("\t")[1] for line in git(folder, "ls-files", "-u").splitlines()})


def merged(folder: Path, start: Answers, one: Pair, other: Pair) -> tuple[list[str], Answers]:
    """A repository in which two branches that each chose something are merged."""
    git(folder, "init", "-q")
    put(folder, project_as(start))
    commit_all(folder, "start")
    for branch, choice in (("one", one), ("other", other)):
        git(folder, "checkout", "-q", "start")
        put(folder, project_as(with_choice(questions(), start, *choice)))
        for path in (
            set(git(folder, "ls-files").split())
            - project_as(with_choice(questions(), start, *choice)).keys()
        ):
            (folder / path).unlink()
        commit_all(folder, branch)
    both = with_choice(questions(), with_choice(questions(), start, *one), *other)
    return merge(folder, "one", "other"), both


def assert_law(folder: Path, start: Answers, one: Pair, other: Pair) -> None:
    conflicts, both = merged(folder, start, one, other)
    assert not [path for path in conflicts if path.startswith(".litgen/")]
    new = from_templates("proj", both)
    put(folder, {path: new[path] for path in conflicts})  # as its owner would resolve it
    project = read_project(folder)
    assert project.answers == both
    # Where git has not merged to what litgen would write, that is still to be carried.
    wish = wanted(project, both, version=installed())
    change = plan_change(project, owners_files(project, wish.files), wish)
    assert not change.refusals
    assert change.merge.tree == new
    if all((folder / path).read_bytes() == text.encode() for path, text in new.items()):
        assert project.base == new


def pairs(start: Answers) -> list[tuple[Pair, Pair]]:
    """All that two branches can choose from, but for two answers to one question."""
    found = itertools.combinations(ADD_ONS + SLOTS, 2)
    return [two for two in found if is_possible(start, *two)]


def is_possible(start: Answers, one: Pair, other: Pair) -> bool:
    if any(start[kind] == choice for kind, choice in (one, other)):
        return False
    if one[0] == other[0] and one in SLOTS:
        return False
    try:
        with_choice(questions(), with_choice(questions(), start, *one), *other)
    except LitgenError:
        return False
    return True


QUICK = {
    "two loggers": (START, ("logger", "tensorboard"), ("logger", "wandb")),
    "two features": (START, ("feature", "ema"), ("feature", "early-stopping")),
    "a strategy and a feature": (START, ("strategy", "fsdp"), ("feature", "ema")),
    "what needs more together": (START, ("strategy", "fsdp"), ("precision", "bf16")),
    "fewer processes and a feature": (MANY, ("strategy", "single"), ("feature", "compile")),
}


@pytest.mark.parametrize(("start", "one", "other"), QUICK.values(), ids=QUICK)
def test_what_two_branches_chose_is_there_after_a_merge(
    tmp_path: Path, start: Answers, one: Pair, other: Pair
) -> None:
    assert_law(tmp_path, start, one, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "one", "other"),
    [(start, *two) for start in (START, MANY) for two in pairs(start)],
    ids=lambda each: each[1] if isinstance(each, tuple) else each["strategy"],
)
def test_any_two_choices_of_two_branches_are_there_after_a_merge(
    tmp_path: Path, start: Answers, one: Pair, other: Pair
) -> None:
    assert_law(tmp_path, start, one, other)


@pytest.fixture
def folder(litgen: Run, tmp_path: Path) -> Path:
    """An edited project on a branch `start`, with a Python that answers `doctor` at once."""
    assert litgen("new", "proj", "-y").returncode == 0
    folder = tmp_path / "proj"
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho \'{"python": "3", "missing": [], "torch_error": "x"}\'\n')
    python.chmod(0o755)
    mine = "    print('mine')  # my note\n    model.train()\n"
    edit(folder / "train.py", "    model.train()\n", mine)
    git(folder, "init", "-q")
    commit_all(folder, "start")
    return folder


def branch(litgen: Run, folder: Path, *words: str) -> None:
    """A branch with the name of the last word, on which litgen has done this."""
    git(folder, "checkout", "-q", "start")
    done = litgen(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    commit_all(folder, words[-1])


def told_of_record(litgen: Run, folder: Path) -> dict[str, str]:
    told = json.loads(litgen("doctor", "--json", cwd=folder).stdout)
    return {check["name"]: check for check in told["checks"]}["record"]


def test_an_edited_project_goes_on_after_a_merge(litgen: Run, folder: Path) -> None:
    branch(litgen, folder, "add", "feature", "ema")
    branch(litgen, folder, "add", "feature", "compile")
    assert not merge(folder, "ema", "compile")
    assert told_of_record(litgen, folder)["state"] != "bad"
    assert litgen("status", cwd=folder).returncode == 0
    assert read_project(folder).answers == START | {"feature": ("compile", "ema")}
    for words in (["remove", "ema"], ["remove", "compile"]):
        done = litgen(*words, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert told_of_record(litgen, folder)["state"] == "ok"
    left = {path.name: path.read_text() for path in folder.glob("*.*") if path.is_file()}
    git(folder, "checkout", "-qf", "start")
    assert left == {path.name: path.read_text() for path in folder.glob("*.*") if path.is_file()}


def test_doctor_and_upgrade_say_one_thing_of_a_merged_project(litgen: Run, folder: Path) -> None:
    branch(litgen, folder, "add", "feature", "ema")
    branch(litgen, folder, "add", "feature", "compile")
    assert not merge(folder, "ema", "compile")
    check = told_of_record(litgen, folder)
    said = litgen("upgrade", "--list", cwd=folder).stdout
    assert (check["state"], check["fix"]) == ("note", "litgen upgrade")
    words, _, paths = check["words"].partition(": ")
    assert "after a merge" in words and f"  record  {words}\n" in said
    told = json.loads(litgen("upgrade", "--list", "--json", cwd=folder).stdout)
    assert (told["steps"], told["record"], told["files"]) == ([], paths.split(", "), [])
    assert litgen("upgrade", cwd=folder).returncode == 0
    assert told_of_record(litgen, folder)["state"] == "ok"
    assert "no step is due" in litgen("upgrade", "--list", cwd=folder).stdout
    assert "nothing to do" in litgen("upgrade", cwd=folder).stdout


def test_two_answers_to_one_question_are_left_to_the_owner(litgen: Run, folder: Path) -> None:
    branch(litgen, folder, "add", "precision", "bf16")
    branch(litgen, folder, "add", "precision", "fp16")
    conflicts = merge(folder, "bf16", "fp16")
    assert [path for path in conflicts if path.startswith(".litgen/")] == [RECORD]
    record, ours = folder / RECORD, 'precision = "bf16"\n'
    text = record.read_text()
    line = text[: text.index("<<<<<<<")].count("\n") + 1
    found = told_of_record(litgen, folder)
    assert found["state"] == "bad" and f"{RECORD}:{line}:" in found["words"]
    begin, end = text.index("<<<<<<<"), text.index(">>>>>>>")
    assert f'{ours}=======\nprecision = "fp16"\n' in text[begin:end]
    record.write_text(text[:begin] + ours + text[end:].partition("\n")[2])
    for path in {*conflicts} - {RECORD}:
        git(folder, "checkout", "--ours", path)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "resolved")
    assert told_of_record(litgen, folder)["state"] != "bad"
    assert read_project(folder).answers["precision"] == "bf16"
    assert read_project(folder).base == from_templates("proj", START | {"precision": "bf16"})
    assert litgen("add", "ema", cwd=folder).returncode == 0


def test_a_conflict_of_git_s_is_resolved_before_any_change(litgen: Run, folder: Path) -> None:
    branch(litgen, folder, "add", "strategy", "fsdp")
    branch(litgen, folder, "add", "feature", "compile")
    edit(folder / "train.py", "    model.train()\n    while", "    model.train(True)\n    while")
    commit_all(folder, "compile")
    git(folder, "checkout", "-q", "fsdp")
    edit(folder / "train.py", "    model.train()\n    while", "    net.train()\n    while")
    commit_all(folder, "fsdp")
    paths = [path for path in merge(folder, "fsdp", "compile") if path.endswith(".py")]
    assert paths == ["train.py"]
    before = state(folder)
    line = (folder / "train.py").read_text().split("\n").index("<<<<<<< HEAD") + 1
    for words in ("upgrade", "add profiler", "remove fsdp --force --conflicts=markers"):
        done = litgen(*words.split(), cwd=folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"train.py:{line} is a marker of a merge" in done.stderr
        assert state(folder) == before


def test_undo_takes_back_nothing_of_another_branch(litgen: Run, folder: Path) -> None:
    branch(litgen, folder, "add", "feature", "ema")
    branch(litgen, folder, "add", "feature", "compile")
    assert not merge(folder, "ema", "compile")
    for here in ("ema", "start"):
        git(folder, "checkout", "-q", here)
        before = state(folder)
        done = litgen("undo", cwd=folder)
        assert done.returncode == 1 and "another git branch" in done.stderr
        assert state(folder) == before
    git(folder, "checkout", "-q", "compile")
    assert litgen("undo", cwd=folder).returncode == 0
    assert git(folder, "diff", "start") == ""
