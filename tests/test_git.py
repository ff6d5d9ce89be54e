"""What git could not bring back: changes that are not committed, and nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

from litgen_torch.errors import LitgenError
from litgen_torch.git import uncommitted

FILES = ["clean.py", "edited.py", "staged.py", "deleted.py", "mode.py", "sub/edited ü.py", "*.py"]
CHANGED = FILES[1:6]
NOT_IN_GIT = ["untracked.py", "ignored.py", "absent.py"]


def git(folder: Path, *words: str) -> None:
    settings = ["-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(params=[".", "deep/er"], ids=["the repository", "a folder in it"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "repository" / request.param
    (folder / "sub").mkdir(parents=True)
    for path in FILES:
        (folder / path).write_text("old\n")
    (folder / ".gitignore").write_text("ignored.py\n")
    git(tmp_path / "repository", "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    for path in ("edited.py", "staged.py", "sub/edited ü.py", "untracked.py", "ignored.py"):
        (folder / path).write_text("new\n")
    git(folder, "add", "staged.py")
    (folder / "deleted.py").unlink()
    (folder / "mode.py").chmod(0o755)
    return folder


def test_what_git_could_not_bring_back_is_named(project: Path) -> None:
    assert uncommitted(project, FILES + NOT_IN_GIT) == CHANGED
    assert uncommitted(project, ["edited.py", "clean.py"]) == ["edited.py"]


def test_a_name_is_no_pattern(project: Path) -> None:
    assert uncommitted(project, ["*.py", ":/"]) == []
    assert uncommitted(project, []) == []


def test_a_file_that_was_added_but_never_committed_is_named(project: Path) -> None:
    git(project, "add", "untracked.py")
    assert uncommitted(project, NOT_IN_GIT) == ["untracked.py"]


def test_a_link_is_as_its_file(project: Path) -> None:
    (project / "link").symlink_to("sub")
    (project / "to-clean.py").symlink_to("clean.py")
    assert uncommitted(project, ["link/edited ü.py", "to-clean.py"]) == ["link/edited ü.py"]


def test_a_repository_without_a_commit_has_what_was_added(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "b.py").write_text("b")
    git(tmp_path, "add", "a.py")
    assert uncommitted(tmp_path, ["a.py", "b.py"]) == ["a.py"]


def test_without_a_repository_nothing_is_uncommitted(tmp_path: Path) -> None:
    assert uncommitted(tmp_path, ["a.py"]) == []


def test_without_git_nothing_is_uncommitted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert uncommitted(project, FILES) == []


def test_in_a_hook_of_another_repository_it_is_this_one_that_counts(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/index"))
    assert uncommitted(project, FILES) == CHANGED


def test_asking_leaves_the_repository_as_it_was(project: Path) -> None:
    os.utime(project / "clean.py")  # git would note that it looked
    index = repository_of(project) / ".git/index"
    before = index.stat().st_mtime_ns
    assert uncommitted(project, ["clean.py"]) == []
    assert index.stat().st_mtime_ns == before


def test_what_git_refuses_is_said(project: Path) -> None:
    (repository_of(project) / ".git/config").write_text("[core\n")
    with pytest.raises(LitgenError, match="git cannot say what is committed: bad config"):
        uncommitted(project, FILES)


def repository_of(project: Path) -> Path:
    return next(each for each in (project, *project.parents) if (each / ".git").exists())
