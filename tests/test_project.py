"""The record that litgen keeps in a project: complete when written, distrusted when read."""

from pathlib import Path

import pytest
from snapshot import read_snapshot

from litgen_torch.answers import complete
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError
from litgen_torch.project import RECORD, SUMS, read_project, with_record
from litgen_torch.record import checksum
from litgen_torch.tree import create

FILES = {"train.py": "x = 'ü'\n", "runtime/rng.py": "y = 1\r\n", "runtime/__init__.py": ""}
SUM_OF_TRAIN = checksum(FILES["train.py"])
ANSWERS = complete(questions(), {"model": "gpt", "feature": ("compile",)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "p", with_record(FILES, name="my-gpt", answers=ANSWERS, version="0.1.0"))
    return tmp_path / "p"


def test_what_was_written_is_read(folder: Path) -> None:
    project = read_project(folder)
    assert (project.name, project.version) == ("my-gpt", "0.1.0")
    assert (project.answers, project.base) == (ANSWERS, FILES)


def test_a_record_of_before_there_was_a_set_is_read(folder: Path) -> None:
    file = folder / RECORD
    text, gone, _ = file.read_text().partition("\n[answers.feature]")
    assert gone
    file.write_text(text)
    assert read_project(folder).answers == ANSWERS | {"feature": (), "logger": ()}


@pytest.mark.parametrize("name", read_snapshot("0.1.0"))
def test_a_record_of_format_1_is_read(tmp_path: Path, name: str) -> None:
    files = read_snapshot("0.1.0")[name]
    create(tmp_path / name, files)
    project = read_project(tmp_path / name)
    assert (project.name, project.version) == (name, "0.1.0")
    assert project.base == {p: text for p, text in files.items() if not p.startswith(".litgen/")}
    assert project.stored == {p: text for p, text in files.items() if p.startswith(".litgen/")}


def test_a_choice_that_is_there_no_more_may_be_named_as_not_chosen(folder: Path) -> None:
    file = folder / RECORD
    file.write_text(file.read_text().replace("ema = false", "averaging = false"))
    assert read_project(folder).answers == ANSWERS


def test_an_owner_may_change_his_files(folder: Path) -> None:
    (folder / "train.py").write_text("mine\n")
    (folder / "runtime/rng.py").unlink()
    assert read_project(folder).base == FILES


def test_no_tool_takes_the_base_for_python(folder: Path) -> None:
    found = {file.suffix for file in (folder / ".litgen/base").rglob("*") if file.is_file()}
    assert found == {".base"}


DAMAGE = {
    "not toml": (RECORD, "format = 2", "format = "),
    "later format": (RECORD, "format = 2", "format = 3"),
    "no format": (RECORD, "format = 2", ""),
    "no version": (RECORD, 'litgen = "0.1.0"', ""),
    "no name": (RECORD, 'name = "my-gpt"', ""),
    "name that is code": (RECORD, 'name = "my-gpt"', "name = '\"; import os'"),
    "unknown answer": (RECORD, 'model = "gpt"', 'model = "gqt"'),
    "impossible answers": (RECORD, 'model = "gpt"', 'model = "cnn"'),
    "answer that is a list": (RECORD, 'model = "gpt"', 'model = ["gpt"]'),
    "answer that is a set": (RECORD, 'model = "gpt"', "[answers.model]\ngpt = true"),
    "unknown add-on": (RECORD, "compile = true", "complie = true"),
    "add-on that is a word": (RECORD, "compile = true", 'compile = "yes"'),
    "add-on that is a number": (RECORD, "compile = true", "compile = 1"),
    "set that is a word": (RECORD, "[answers.feature]", '[answers]\nfeature = "compile"\n[x]'),
    "sum": (SUMS, SUM_OF_TRAIN, f"0{SUM_OF_TRAIN[1:]}"),
    "no such base": (SUMS, "  train.py", "  eval.py"),
    "path upwards": (SUMS, "  train.py", "  ../train.py"),
    "absolute path": (SUMS, "  train.py", "  /etc/passwd"),
    "null in a path": (SUMS, "  train.py", "  train\0.py"),
}


@pytest.mark.parametrize(("path", "found", "put"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_refused(folder: Path, path: str, found: str, put: str) -> None:
    file = folder / path
    text = file.read_text()
    assert text.count(found) >= 1
    file.write_text(text.replace(found, put, 1))
    with pytest.raises(LitgenError):
        read_project(folder)


@pytest.mark.parametrize("path", [SUMS, ".litgen/base/train.py.base"])
def test_a_missing_part_is_refused(folder: Path, path: str) -> None:
    (folder / path).unlink()
    with pytest.raises(LitgenError, match=Path(path).name.removesuffix(".base")):
        read_project(folder)


def test_the_owner_s_words_beside_the_answers_do_no_harm(folder: Path) -> None:
    file = folder / RECORD
    file.write_text(file.read_text().replace("\n\n", "\n") + "# I like it\n")
    assert read_project(folder).answers == ANSWERS


def test_a_damaged_base_is_refused(folder: Path) -> None:
    (folder / ".litgen/base/train.py.base").write_text("other\n")
    with pytest.raises(LitgenError, match="train.py"):
        read_project(folder)


def test_a_link_out_of_the_project_is_not_followed(folder: Path) -> None:
    outside = folder.parent / "outside"
    base = folder / ".litgen/base/train.py.base"
    base.rename(outside)
    base.symlink_to(outside)
    with pytest.raises(LitgenError, match="out of the project"):
        read_project(folder)


def test_a_folder_without_a_record_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(LitgenError, match="no project"):
        read_project(tmp_path)
