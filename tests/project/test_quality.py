"""Every generated file passes ruff, black and mypy with the settings that the project has."""

import subprocess
import sys
from pathlib import Path

import pytest
from projects import every_project, project_id, some_projects

from litgen_torch.answers import Answers, with_defaults
from litgen_torch.catalog import questions
from litgen_torch.finish import finish
from litgen_torch.render import render

PROJECTS = some_projects()
LONGEST = "n" * 64
# The slow test takes all of them.
TYPED = [PROJECTS[i] for i in (0, len(PROJECTS) // 2, len(PROJECTS) - 1)]


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torch's types are read once for all projects."""
    return tmp_path_factory.mktemp("mypy")


def written(folder: Path, answers: Answers, name: str = "p") -> Path:
    tree = render({"project_name": name, **with_defaults(questions(), answers)})
    for path, text in finish(tree, name).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def passes(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing_in_any_project(tmp_path: Path) -> None:
    for number, answers in enumerate(PROJECTS):
        written(tmp_path / f"{number}-{project_id(answers)}"[:200], answers)
    passes(tmp_path, "ruff", "check", "--no-cache", ".")


@pytest.mark.slow
def test_ruff_finds_nothing_in_every_project(tmp_path: Path) -> None:
    for number, answers in enumerate(every_project()):
        written(tmp_path / f"{number}-{project_id(answers)}"[:200], answers)
    passes(tmp_path, "ruff", "check", "--no-cache", ".")


@pytest.mark.parametrize("name", ["p", LONGEST], ids=["short name", "longest name"])
def test_ruff_and_black_find_nothing_whatever_the_name(tmp_path: Path, name: str) -> None:
    written(tmp_path, PROJECTS[0], name)
    passes(tmp_path, "ruff", "check", "--no-cache", ".")
    passes(tmp_path, "black", "--check", "-q", ".")


@pytest.mark.parametrize("answers", TYPED, ids=project_id)
def test_mypy_finds_nothing(tmp_path: Path, mypy_cache: Path, answers: Answers) -> None:
    passes(written(tmp_path, answers), "mypy", f"--cache-dir={mypy_cache}", ".")


@pytest.mark.slow
@pytest.mark.parametrize("answers", PROJECTS, ids=project_id)
def test_mypy_finds_nothing_in_any(tmp_path: Path, mypy_cache: Path, answers: Answers) -> None:
    passes(written(tmp_path, answers), "mypy", f"--cache-dir={mypy_cache}", ".")
