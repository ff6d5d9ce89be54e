"""The record that litgen keeps in a project: complete when written, distrusted when read."""

from pathlib import Path

import pytest

from litgen_torch.answers import complete
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError
from litgen_torch.project import read_project, with_record
from litgen_torch.tree import create

FILES = {"train.py": "x = 'ü'\n", "runtime/rng.py": "y = 1\r\n", "runtime/__init__.py": ""}
ANSWERS = complete(questions(), {"model": "gpt", "feature": ("compile",)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "p", with_record(FILES, name="my-gpt", answers=ANSWERS, version="0.1.0"))
    return tmp_path / "p"


def test_what_was_written_is_read(folder: Path) -> None:
    project = read_project(folder)
    assert (project.name, project.version) == ("my-gpt", "0.1.0")
    assert (project.answers, project.base) == (ANSWERS, FILES)


def test_a_record_of_before_there_were_sets_is_read(folder: Path) -> None:
    file = folder / ".litgen/project.toml"
    file.write_text(file.read_text().replace('feature = ["compile"]\n', ""))
    assert read_project(folder).answers == ANSWERS | {"feature": ()}


def test_an_owner_may_change_his_files(folder: Path) -> None:
    (folder / "train.py").write_text("mine\n")
    (folder / "runtime/rng.py").unlink()
    assert read_project(folder).base == FILES


def test_no_tool_takes_the_base_for_python(folder: Path) -> None:
    assert {file.suffix for file in (folder / ".litgen").rglob("*") if file.is_file()} == {
        ".toml",
        ".base",
    }


DAMAGE = {
    "not toml": ("format = 1", "format = "),
    "later format": ("format = 1", "format = 2"),
    "no format": ("format = 1", ""),
    "no version": ('litgen = "0.1.0"', ""),
    "no name": ('name = "my-gpt"', ""),
    "name that is code": ('name = "my-gpt"', "name = '\"; import os'"),
    "unknown answer": ('model = "gpt"', 'model = "gqt"'),
    "impossible answers": ('model = "gpt"', 'model = "cnn"'),
    "answer that is a list": ('model = "gpt"', 'model = ["gpt"]'),
    "unknown add-on": ('["compile"]', '["complie"]'),
    "add-on that is no list": ('["compile"]', '"compile"'),
    "add-on that is a number": ('["compile"]', "[1]"),
    "hash": ('"train.py" = "', '"train.py" = "0'),
    "hash that is a number": ('"train.py" = "', '"train.py" = 1 #"'),
    "no such base": ('"train.py"', '"eval.py"'),
    "path upwards": ('"train.py"', '"../train.py"'),
    "absolute path": ('"train.py"', '"/etc/passwd"'),
    "null in a path": ('"train.py"', '"train\\u0000.py"'),
}


@pytest.mark.parametrize(("found", "put"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_refused(folder: Path, found: str, put: str) -> None:
    file = folder / ".litgen/project.toml"
    text = file.read_text()
    assert text.count(found) >= 1
    file.write_text(text.replace(found, put, 1))
    with pytest.raises(LitgenError):
        read_project(folder)


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
