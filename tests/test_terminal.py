"""Changes of a project on a terminal: a diff in a pager and in colour, and one question."""

from pathlib import Path

import pytest
from projects import Run
from terminal import Terminal
from test_add import files

from litgen_torch.project import read_project

PAGER = "sed s/^/paged:/"
PAGED = {"PAGER": PAGER}


@pytest.fixture
def folder(litgen: Run, tmp_path: Path) -> Path:
    litgen("new", "proj", "-y")
    return tmp_path / "proj"


@pytest.mark.parametrize("key", ["y", "n", ""], ids=["yes", "no", "enter"])
def test_a_diff_is_paged_and_the_owner_asked(folder: Path, key: str) -> None:
    before = files(folder)
    terminal = Terminal("add", "ddp", "--diff", folder=folder, extra=PAGED)
    terminal.answer("Write it?", f"{key}\r".encode())
    assert terminal.finish() == 0
    assert "paged:" in terminal.screen
    assert "litgen undo" in terminal.screen or key == "n"
    if key == "n":
        assert files(folder) == before
    else:
        assert read_project(folder).answers["strategy"] == "ddp"


COLOURS = {
    "on a terminal": ({}, True),
    "NO_COLOR": ({"NO_COLOR": "1"}, False),
    "TERM=dumb": ({"TERM": "dumb"}, False),
}


@pytest.mark.parametrize(("extra", "coloured"), COLOURS.values(), ids=COLOURS)
def test_a_paged_diff_is_coloured_as_the_environment_wants(
    folder: Path, extra: dict[str, str], coloured: bool
) -> None:
    terminal = Terminal("add", "ddp", "--diff", "--dry-run", folder=folder, extra=PAGED | extra)
    assert terminal.finish() == 0
    assert "paged:" in terminal.screen
    assert ("\x1b[32m" in terminal.raw) is coloured
    assert "Write it?" not in terminal.screen


def test_without_diff_nothing_is_asked(folder: Path) -> None:
    terminal = Terminal("add", "ddp", folder=folder, extra=PAGED)
    assert terminal.finish() == 0
    assert "paged:" not in terminal.screen
    assert read_project(folder).answers["strategy"] == "ddp"


def test_a_list_has_what_a_choice_needs_below_it_where_a_line_would_not_do(folder: Path) -> None:
    screens = {}
    for columns in ("80", "200"):
        terminal = Terminal("list", folder=folder, extra={"COLUMNS": columns})
        assert terminal.finish() == 0
        screens[columns] = [line.rstrip() for line in terminal.screen.splitlines()]
    words = "needs task image-classification, package torchmetrics"
    assert words.rjust(80) in screens["80"]
    assert any("in validation    " + words in line for line in screens["200"])
    assert all(len(line) <= 80 or "needs" not in line for line in screens["80"])


def test_eject_asks_and_no_is_its_default(folder: Path) -> None:
    terminal = Terminal("eject", folder=folder, extra=PAGED)
    terminal.answer("Remove it?", b"\r")
    assert terminal.finish() == 1
    assert (folder / ".litgen").exists()
    terminal = Terminal("eject", folder=folder, extra=PAGED)
    terminal.answer("Remove it?", b"y\r")
    assert terminal.finish() == 0
    assert not (folder / ".litgen").exists()
