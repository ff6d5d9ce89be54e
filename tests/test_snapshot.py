"""The snapshots of released versions: whole, untouched, and with every choice of a slot."""

from pathlib import Path

import pytest
from snapshot import PROJECTS, read_snapshot, versions, write_snapshot

from litgen_torch.project import read_project
from litgen_torch.tree import create

RELEASED = [(version, name) for version in versions() for name in read_snapshot(version)]
TRICKY = {"p/a": "==== p/b 3\n", "p/b": "\n\n", "p/c": "", "p/d": "\n\n", "p/e/f": "é\r\n\x0c\n"}


def test_the_released_versions_have_snapshots() -> None:
    assert "0.1.0" in versions()
    assert {name for version, name in RELEASED if version == "0.1.0"} == {*PROJECTS}


@pytest.mark.parametrize(("version", "name"), RELEASED)
def test_a_snapshot_is_as_litgen_wrote_it(tmp_path: Path, version: str, name: str) -> None:
    files = read_snapshot(version)[name]
    create(tmp_path / name, files)
    project = read_project(tmp_path / name)  # which holds the base against its checksums
    assert (project.version, project.name) == (version, name)
    assert project.base | project.stored == files


def test_any_text_can_be_archived(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("snapshot.FOLDER", tmp_path)
    (tmp_path / "1.txt").write_bytes(write_snapshot(TRICKY).encode())
    assert read_snapshot("1") == {"p": {path[2:]: text for path, text in TRICKY.items()}}
