"""Conflicts as markers in the owner's files: finished by --continue, taken back by --abort."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Run
from test_add import edit

from litgen_torch.pending import PENDING
from litgen_torch.project import read_project

CONFLICT = re.compile(r"^<<<<<<< yours\n(.*?)=======\n(.*?)>>>>>>> template\n", re.M | re.S)


@pytest.fixture
def folder(litgen: Run, tmp_path: Path) -> Path:
    litgen("new", "proj", "-y")
    folder = tmp_path / "proj"
    edit(folder / "train.py", "            loss.backward()", "            (loss * 2).backward()")
    return folder


@pytest.fixture
def marked(litgen: Run, folder: Path) -> Path:
    done = litgen("add", "precision", "fp16", "--conflicts=markers", cwd=folder)
    assert done.returncode == 3
    assert "litgen add --continue" in done.stderr and "litgen add --abort" in done.stderr
    lines = (folder / "train.py").read_text().split("\n")
    place = re.search(r"  train.py:(\d+): you changed a statement", done.stderr)
    assert place and lines[int(place[1]) - 1] == "            (loss * 2).backward()"
    return folder


def own(folder: Path) -> dict[str, str]:
    found = (file for file in folder.rglob("*") if file.is_file() and ".litgen" not in file.parts)
    return {str(file.relative_to(folder)): file.read_text() for file in found}


def test_both_versions_stand_in_the_file_and_the_record_waits(marked: Path) -> None:
    yours, template = CONFLICT.findall((marked / "train.py").read_text())[0]
    assert "(loss * 2).backward()" in yours and "scaler.scale(loss).backward()" in template
    assert "scaler.update()" in (marked / "train.py").read_text(), "what fits is there"
    project = read_project(marked)
    assert project.answers["precision"] == "fp32"
    assert "scaler" not in project.base["train.py"]


def test_resolved_it_is_finished(litgen: Run, marked: Path) -> None:
    file = marked / "train.py"
    both = "            scaler.scale(loss * 2).backward()\n"
    file.write_text(CONFLICT.sub(both, file.read_text()))
    done = litgen("add", "--continue", cwd=marked)
    assert (done.returncode, done.stderr) == (0, "")
    project = read_project(marked)
    assert project.answers["precision"] == "fp16"
    assert "scaler.update()" in project.base["train.py"]
    assert not (marked / PENDING).exists()
    assert "scaler.scale(loss * 2).backward()" in file.read_text()
    assert litgen("remove", "fp16", "--check", cwd=marked).returncode == 3, "mine differs there"


def test_taken_back_all_is_as_it_was(litgen: Run, folder: Path) -> None:
    before = own(folder)
    litgen("add", "fp16", "--conflicts", "markers", cwd=folder)
    edit(folder / "train.py", "<<<<<<< yours\n", "")
    assert litgen("set", "--abort", cwd=folder).returncode == 0
    assert own(folder) == before
    assert not (folder / PENDING).exists()
    assert read_project(folder).answers["precision"] == "fp32"


LEFT = {
    "a marker": (lambda text: text, "a marker is left"),
    "no Python": (lambda text: CONFLICT.sub("    what now?\n", text), "train.py:"),
}


@pytest.mark.parametrize(("resolve", "words"), LEFT.values(), ids=LEFT)
def test_unresolved_it_goes_on_waiting(
    litgen: Run, marked: Path, resolve: Callable[[str], str], words: str
) -> None:
    file = marked / "train.py"
    file.write_text(resolve(file.read_text()))
    done = litgen("add", "--continue", cwd=marked)
    assert done.returncode == 3
    assert words in done.stderr
    told = json.loads(litgen("add", "--continue", "--json", cwd=marked).stdout)
    assert told["written"] is False and told["unresolved"]
    assert (marked / PENDING).exists()
    assert read_project(marked).answers["precision"] == "fp32"


def test_while_it_waits_nothing_else_is_changed_and_all_say_so(litgen: Run, marked: Path) -> None:
    before = own(marked)
    done = litgen("add", "compile", cwd=marked)
    assert done.returncode == 1
    assert "fix: litgen add --continue, or litgen add --abort" in done.stderr
    assert own(marked) == before
    assert json.loads(litgen("status", "--json", cwd=marked).stdout)["pending"]
    checks = json.loads(litgen("doctor", "--json", cwd=marked).stdout)["checks"]
    assert [check["state"] for check in checks if check["name"] == "change"] == ["bad"]
    assert any("marker" in check["words"] for check in checks if check["name"] == "code")


def test_undo_takes_the_markers_back_as_well(litgen: Run, folder: Path) -> None:
    before = own(folder)
    litgen("add", "fp16", "--conflicts", "markers", cwd=folder)
    assert litgen("undo", cwd=folder).returncode == 0
    assert own(folder) == before
    assert not (folder / PENDING).exists()


def test_finishing_can_be_undone_and_then_all_taken_back(litgen: Run, folder: Path) -> None:
    before = own(folder)
    litgen("add", "fp16", "--conflicts", "markers", cwd=folder)
    file = folder / "train.py"
    file.write_text(CONFLICT.sub("", file.read_text()))
    assert litgen("add", "--continue", cwd=folder).returncode == 0
    assert litgen("undo", cwd=folder).returncode == 0
    assert litgen("add", "--abort", cwd=folder).returncode == 0
    assert own(folder) == before


@pytest.mark.parametrize("option", ["--continue", "--abort"])
def test_where_nothing_waits_there_is_nothing_to_end(
    litgen: Run, folder: Path, option: str
) -> None:
    done = litgen("add", option, cwd=folder)
    assert done.returncode == 1 and "fix:" in done.stderr


DAMAGE = {
    "no json": ("{", ""),
    "upwards": ('"train.py"', '"../train.py"'),
    "absolute": ('"train.py"', '"/etc/passwd"'),
    "into the record": ('"train.py"', '".litgen/project.toml"'),
    "no record": ('"record"', '"rekord"'),
}


@pytest.mark.parametrize(("found", "put"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("option", ["--continue", "--abort"])
def test_a_damaged_state_is_refused(
    litgen: Run, marked: Path, option: str, found: str, put: str
) -> None:
    edit(marked / PENDING, found, put)
    before = own(marked)
    done = litgen("add", option, cwd=marked)
    assert done.returncode == 1
    assert "damaged" in done.stderr and "fix: litgen undo" in done.stderr
    assert own(marked) == before
