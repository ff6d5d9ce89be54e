"""`litgen add`, `remove` and `set` as processes: what becomes of a project, and the exit codes."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from projects import Run
from test_new import files

from litgen_torch.project import RECORD, read_project


@pytest.fixture
def folder(litgen: Run, tmp_path: Path) -> Path:
    assert litgen("new", "proj", "-y").returncode == 0
    return tmp_path / "proj"


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file, to the byte and the time."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in found}


def edit(file: Path, found: str, put: str) -> None:
    text = file.read_text()
    assert found in text
    file.write_text(text.replace(found, put))


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


CHANGES = {
    "a slot is switched": (["add", "strategy", "fsdp"], ["--strategy", "fsdp"]),
    "a choice is named alone": (["add", "bf16"], ["--precision", "bf16"]),
    "set is add for a slot": (["set", "strategy", "ddp"], ["--strategy", "ddp"]),
    "a set has one more": (["add", "feature", "compile"], ["--with", "feature=compile"]),
    "set leaves one in a set": (["set", "compile"], ["--with", "feature=compile"]),
}


@pytest.mark.parametrize(("words", "answers"), CHANGES.values(), ids=CHANGES)
def test_an_untouched_project_becomes_what_new_would_write_and_back(
    litgen: Run, folder: Path, words: list[str], answers: list[str]
) -> None:
    before = files(folder)
    done = litgen(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "train.py" in done.stdout and "litgen undo" in done.stdout
    litgen("new", "other/proj", "-y", *answers)
    after = {path: text for path, text in files(folder).items() if "/undo/" not in path}
    assert after == files(folder.parent / "other/proj")
    kind, choice = answers[-1].split("=") if "=" in answers[-1] else (answers[0][2:], answers[1])
    assert litgen("remove", kind, choice, cwd=folder).returncode == 0
    assert {path: text for path, text in files(folder).items() if "/undo/" not in path} == before


def test_undo_restores_what_was_there(litgen: Run, folder: Path) -> None:
    before = files(folder)
    added = json.loads(litgen("add", "ddp", "--json", cwd=folder).stdout)["files"]
    done = litgen("undo", cwd=folder)
    assert done.returncode == 0
    assert files(folder) == before
    head, *lines = done.stdout.splitlines()
    assert head == "Undone: litgen add strategy ddp"
    assert [line.split()[0] for line in lines if not line.startswith("   ")] == [
        file["path"] for file in added
    ]
    assert re.search(r"train.py .* ~ .*main\(\)", done.stdout)
    assert re.search(r"runtime/dist.py +- deleted", done.stdout)
    litgen("add", "ddp", cwd=folder)
    told = json.loads(litgen("undo", "--json", cwd=folder).stdout)
    counts = {file["path"]: (file["added"], file["removed"]) for file in told["files"]}
    assert counts == {file["path"]: (file["removed"], file["added"]) for file in added}
    again = litgen("undo", "--json", cwd=folder)
    assert again.returncode == 1 and "nothing to undo" in again.stderr


NOTHING_TO_DO = {
    "add": ["add", "strategy", "single"],
    "set": ["set", "single"],
    "remove": ["remove", "strategy", "fsdp"],
    "remove of a set": ["remove", "feature", "compile"],
    "add --check": ["add", "single", "--check"],
}


@pytest.mark.parametrize("words", NOTHING_TO_DO.values(), ids=NOTHING_TO_DO)
def test_what_is_so_already_is_said_and_is_no_error(
    litgen: Run, folder: Path, words: list[str]
) -> None:
    before = state(folder)
    done = litgen(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to do" in done.stdout
    assert state(folder) == before
    told = json.loads(litgen(*words, "--json", cwd=folder).stdout)
    assert told["written"] is False and told["files"] == []


REFUSED = {
    "slip in a choice": (["add", "strategy", "fspd"], "did you mean fsdp?"),
    "slip in a choice alone": (["add", "fspd"], "did you mean fsdp?"),
    "slip in a kind": (["add", "strateyg", "fsdp"], "did you mean strategy?"),
    "a kind alone": (["add", "strategy"], "single, ddp, fsdp"),
    "impossible": (["add", "data", "text"], "fix: litgen "),
    "the default": (["remove", "strategy", "single"], "litgen add strategy"),
}


@pytest.mark.parametrize(("words", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_two_lines_and_changes_nothing(
    litgen: Run, folder: Path, words: list[str], hint: str
) -> None:
    before = state(folder)
    done = litgen(*words, cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    message, fix = done.stderr.splitlines()
    assert message.startswith("litgen: ") and fix.startswith("  fix: ")
    assert hint in fix
    assert state(folder) == before


WRONG_USAGE = {
    "no choice": ["add"],
    "three words": ["add", "strategy", "fsdp", "ddp"],
    "no such option": ["add", "fsdp", "--forse"],
    "accept without a line": ["add", "fsdp", "--accept", "train.py:x"],
    "no such way": ["add", "fsdp", "--conflicts", "ours"],
    "no steps": ["add", "fsdp", "--verify", "0"],
    "both ways at once": ["add", "--continue", "--abort"],
}


@pytest.mark.parametrize("words", WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage_returns_2(litgen: Run, folder: Path, words: list[str]) -> None:
    done = litgen(*words, cwd=folder)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_project_is_found_from_any_folder_inside_it(litgen: Run, folder: Path) -> None:
    inside = folder / "notes/deep"
    inside.mkdir(parents=True)
    assert litgen("add", "ddp", cwd=inside).returncode == 0
    assert read_project(folder).answers["strategy"] == "ddp"


def test_outside_a_project_it_says_how_to_make_one(litgen: Run) -> None:
    done = litgen("add", "ddp")
    assert done.returncode == 1
    assert "fix: litgen new PATH" in done.stderr


LOOKING = {
    "dry run": (["--dry-run"], 0),
    "check": (["--check"], 1),
    "diff without a terminal": (["--diff"], 0),
    "diff as json": (["--diff", "--json"], 0),
    "diff of a dry run": (["--diff", "--dry-run", "-y"], 0),
}


@pytest.mark.parametrize(("options", "code"), LOOKING.values(), ids=LOOKING)
def test_a_look_writes_nothing(litgen: Run, folder: Path, options: list[str], code: int) -> None:
    before = state(folder)
    done = litgen("add", "ddp", *options, cwd=folder)
    assert done.returncode == code
    assert "runtime/dist.py" in done.stdout
    assert state(folder) == before


def test_a_diff_can_be_applied(litgen: Run, folder: Path) -> None:
    done = litgen("add", "ddp", "--diff", "--json", cwd=folder)
    diff = json.loads(done.stdout)["diff"]
    subprocess.run(["git", "apply", "-"], cwd=folder, input=diff, text=True, check=True)
    applied = {path: text for path, text in files(folder).items() if ".litgen" not in path}
    litgen("new", "other/proj", "-y", "--strategy", "ddp")
    other = files(folder.parent / "other/proj")
    assert applied == {path: text for path, text in other.items() if ".litgen" not in path}


def test_with_yes_a_diff_is_written_as_well(litgen: Run, folder: Path) -> None:
    done = litgen("add", "ddp", "--diff", "-y", cwd=folder)
    assert done.returncode == 0
    assert "+++ b/runtime/dist.py" in done.stdout and "litgen undo" in done.stdout
    assert read_project(folder).answers["strategy"] == "ddp"


def test_json_says_what_became_of_each_file(litgen: Run, folder: Path) -> None:
    told = json.loads(litgen("add", "ddp", "--json", cwd=folder).stdout)
    assert told["command"] == ["litgen", "add", "strategy", "ddp"]
    assert told["written"] is True
    assert told["answers"]["strategy"] == "ddp"
    by_path = {file["path"]: file for file in told["files"]}
    assert by_path["runtime/dist.py"]["status"] == "new"
    assert ["+", "parallelize()"] in by_path["train.py"]["names"]
    assert (told["refusals"], told["kept"], told["verified"]) == ([], [], None)


MINE = "    print('here I am')  # my own line\n"


def test_what_you_wrote_elsewhere_stays(litgen: Run, folder: Path) -> None:
    file = folder / "train.py"
    edit(file, "    model.train()\n    while", f"{MINE}    model.train()\n    while")
    done = litgen("add", "ddp", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Your edits kept: 1 statement, 1 comment" in done.stdout
    text = file.read_text()
    assert f"{MINE}    model.train()\n    while" in text
    assert "DistributedDataParallel(model" in text
    told = json.loads(litgen("remove", "ddp", "--json", cwd=folder).stdout)
    assert (told["edits"]["statements"], told["edits"]["comments"]) == (1, 1)


def test_your_names_are_used_and_said(litgen: Run, folder: Path) -> None:
    file = folder / "train.py"
    text = re.sub(r"\bmodel\b", "net", file.read_text()).replace("from net", "from model")
    file.write_text(text)
    done = litgen("add", "ddp", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "your name 'net' used for 'model'" in done.stdout


@pytest.fixture
def conflict(folder: Path) -> Path:
    edit(folder / "train.py", "            loss.backward()", "            (loss * 2).backward()")
    return folder


def test_what_does_not_fit_changes_nothing_and_says_how_to_go_on(
    litgen: Run, conflict: Path
) -> None:
    before = state(conflict)
    done = litgen("add", "precision", "fp16", cwd=conflict)
    assert (done.returncode, done.stdout) == (3, "")
    assert state(conflict) == before
    for words in ("(loss * 2).backward()", "scaler.scale(loss).backward()", "by hand:"):
        assert words in done.stderr
    then = re.search(r"then: +litgen (.*?)  ", done.stderr)
    assert then, done.stderr
    followed = litgen(*shlex.split(then[1]), cwd=conflict)
    assert followed.returncode == 0, followed.stderr
    assert "yours stays, as accepted" in followed.stdout
    text = (conflict / "train.py").read_text()
    assert "(loss * 2).backward()" in text and "scaler.unscale_(optimizer)" in text
    assert read_project(conflict).answers["precision"] == "fp16"


def test_the_accepted_place_may_have_moved_meanwhile(litgen: Run, conflict: Path) -> None:
    told = json.loads(litgen("add", "fp16", "--json", cwd=conflict).stdout)
    (refusal,) = told["refusals"]
    edit(conflict / "train.py", "            (loss", "            # as I like\n            (loss")
    done = litgen("add", "fp16", "--accept", refusal["accept"], cwd=conflict)
    assert done.returncode == 0, done.stderr


def test_a_place_to_accept_that_is_none_is_said(litgen: Run, conflict: Path) -> None:
    before = state(conflict)
    done = litgen("add", "fp16", "--accept", "trian.py:108", cwd=conflict)
    assert (done.returncode, done.stdout) == (3, "")
    said = re.search(r"--accept trian.py:108: no such place; .* (train.py:\d+)\n", done.stderr)
    assert said, done.stderr
    assert state(conflict) == before
    both = ["--accept", said[1], "--accept", "trian.py:108"]
    told = json.loads(litgen("add", "fp16", *both, "--dry-run", "--json", cwd=conflict).stdout)
    assert (told["refusals"], told["idle"]) == ([], ["trian.py:108"])
    done = litgen("add", "fp16", *both, cwd=conflict)
    assert done.returncode == 0
    assert "trian.py:108: nothing to accept, it fits there" in done.stdout
    assert f"{said[1]}: yours stays, as accepted" in done.stdout


@pytest.mark.parametrize("option", ["--json", "--check", "--dry-run", "--diff", "-y", "--force"])
def test_a_conflict_is_never_0(litgen: Run, conflict: Path, option: str) -> None:
    before = state(conflict)
    done = litgen("add", "fp16", option, cwd=conflict)
    assert done.returncode == 3
    assert state(conflict) == before
    if option == "--json":
        told = json.loads(done.stdout)
        assert told["written"] is False
        (refusal,) = told["refusals"]
        assert refusal["path"] == "train.py" and refusal["line"] > 0
    if option == "--diff":
        assert "+<<<<<<< yours" in done.stdout and "+        scaler.update()" in done.stdout


def test_what_git_could_not_bring_back_is_not_written_over(litgen: Run, folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as written")
    edit(folder / "model.py", "import", "# uncommitted, but not concerned\nimport")
    assert litgen("add", "compile", cwd=folder).returncode == 0
    assert litgen("undo", cwd=folder).returncode == 0
    edit(folder / "train.py", "    model.train()\n    while", "    print(1)\n    while")
    before = (folder / "train.py").read_text()
    done = litgen("add", "compile", cwd=folder)
    assert done.returncode == 1
    assert "train.py" in done.stderr and "--force" in done.stderr
    assert "model.py" not in done.stderr
    assert (folder / "train.py").read_text() == before
    assert litgen("add", "compile", "--dry-run", cwd=folder).returncode == 0
    assert litgen("add", "compile", "--force", cwd=folder).returncode == 0
    assert (folder / "train.py").read_text() != before
    assert litgen("undo", cwd=folder).returncode == 0
    assert (folder / "train.py").read_text() == before


def test_what_litgen_wrote_itself_is_no_uncommitted_change_of_yours(
    litgen: Run, folder: Path
) -> None:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as written")
    for words in (["add", "ddp"], ["add", "compile"], ["remove", "compile"], ["add", "ema"]):
        done = litgen(*words, cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
    edit(folder / "train.py", "    model.train()\n    while", "    print(1)\n    while")
    done = litgen("add", "fp16", cwd=folder)
    assert done.returncode == 1 and "git has no copy of train.py as" in done.stderr
    edit(folder / "train.py", "    print(1)\n    while", "    model.train()\n    while")
    assert litgen("add", "compile", cwd=folder).returncode == 0
    for _ in range(5):
        assert litgen("undo", cwd=folder).returncode == 0
    git(folder, "diff", "--exit-code")


VERSIONS = {"older": ("0.0.9", "fix: litgen upgrade"), "newer": ("99.1.0", "litgen-torch>=99.1.0")}


@pytest.mark.parametrize(("version", "fix"), VERSIONS.values(), ids=VERSIONS)
def test_a_project_of_another_version_is_not_changed(
    litgen: Run, folder: Path, version: str, fix: str
) -> None:
    record = folder / RECORD
    written = read_project(folder).version
    record.write_text(record.read_text().replace(f'"{written}"', f'"{version}"'))
    before = state(folder)
    done = litgen("add", "ddp", cwd=folder)
    assert done.returncode == 1
    assert version in done.stderr and fix in done.stderr
    assert state(folder) == before


def test_a_missing_base_is_rendered_again(litgen: Run, folder: Path) -> None:
    (folder / ".litgen/base/train.py.base").unlink()
    assert litgen("add", "ddp", cwd=folder).returncode == 0
    assert read_project(folder).base["train.py"] == (folder / "train.py").read_text()


def test_a_change_that_was_interrupted_is_put_right_and_said(litgen: Run, folder: Path) -> None:
    litgen("add", "ddp", cwd=folder)
    (journal,) = (folder / ".litgen/undo").glob("*.json")
    journal.rename(journal.with_name("forth.json"))  # as a kill before the last step leaves it
    told = json.loads(litgen("doctor", "--json", cwd=folder).stdout)
    assert any("interrupted" in check["words"] for check in told["checks"])
    done = litgen("add", "fsdp", cwd=folder)
    assert done.returncode == 0
    assert "'litgen add strategy ddp' was interrupted" in done.stderr
    assert read_project(folder).answers["strategy"] == "fsdp"


@pytest.mark.parametrize("extra", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_nothing_is_coloured_where_no_colour_is_wanted(
    litgen: Run, conflict: Path, extra: dict[str, str]
) -> None:
    def said(**environment: str) -> str:
        done = litgen("add", "fp16", "--diff", cwd=conflict, FORCE_COLOR="1", **environment)
        return done.stdout + done.stderr

    assert "\x1b[" in said(TERM="xterm", NO_COLOR="")
    assert "\x1b[" not in said(**{"TERM": "xterm", "NO_COLOR": ""} | extra)


def test_completion_knows_kinds_then_their_choices(litgen: Run) -> None:
    def completed(*words: str) -> str:
        line = shlex.join(["litgen", *words])
        extra = {"_LITGEN_COMPLETE": "bash_complete", "COMP_WORDS": line}
        return litgen(**extra, COMP_CWORD=str(len(words))).stdout

    assert "plain,strategy" in completed("add", "st")
    assert "plain,fsdp" in completed("add", "strategy", "f")
    assert "plain,fp16" in completed("remove", "fp1")
