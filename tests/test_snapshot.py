"""The snapshots of released versions: whole, untouched, and with every choice of a slot."""

import hashlib
import tomllib
from pathlib import Path

import pytest
from snapshot import PROJECTS, read_snapshot, versions, write_snapshot

RELEASED = [(version, name) for version in versions() for name in read_snapshot(version)]
TRICKY = {"p/a": "==== p/b 3\n", "p/b": "\n\n", "p/c": "", "p/d": "\n\n", "p/e/f": "é\r\n\x0c\n"}


def test_the_released_versions_have_snapshots() -> None:
    assert "0.1.0" in versions()
    assert {name for version, name in RELEASED if version == "0.1.0"} == {*PROJECTS}


@pytest.mark.parametrize(("version", "name"), RELEASED)
def test_a_snapshot_is_as_litgen_wrote_it(version: str, name: str) -> None:
    files = read_snapshot(version)[name]
    record = tomllib.loads(files.pop(".litgen/project.toml"))
    base = {path: text for path, text in files.items() if path.startswith(".litgen/")}
    own = files.keys() - base.keys()
    assert (record["litgen"], record["name"]) == (version, name)
    assert record["files"].keys() == own
    for path in own:
        assert hashlib.sha256(files[path].encode()).hexdigest() == record["files"][path]
        assert base[f".litgen/base/{path}.base"] == files[path]


def test_any_text_can_be_archived(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("snapshot.FOLDER", tmp_path)
    (tmp_path / "1.txt").write_bytes(write_snapshot(TRICKY).encode())
    assert read_snapshot("1") == {"p": {path[2:]: text for path, text in TRICKY.items()}}
