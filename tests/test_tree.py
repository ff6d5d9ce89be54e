"""Writing a project: all of it or nothing, whatever happens while it is written."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from litgen_torch.errors import LitgenError
from litgen_torch.tree import create

TREE = {f"{folder}/file-{i}.py": f"x = {i}\n" for folder in ("a", "b/c") for i in range(10)}
TREE |= {"train.py": "y = 'ü'\r\n", ".litgen/project.toml": "format = 1\n"}

WRITER = """
import os, sys
from pathlib import Path
from litgen_torch.tree import create
tree = {f"{top}/{i}.py": "x = 1\\n" * 50 for top in "abcdefgh" for i in range(8)}
print("writing", flush=True)
create(Path(sys.argv[1]), tree | {".litgen/project.toml": "format = 1\\n"})
"""
WRITTEN = 8 * 8 + 1


def found(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes().decode() for file in files}


def test_a_new_folder_gets_exactly_the_tree(tmp_path: Path) -> None:
    create(tmp_path / "new/er/project", TREE)
    assert found(tmp_path / "new/er/project") == TREE
    assert os.listdir(tmp_path / "new/er") == ["project"]


def test_an_empty_folder_gets_exactly_the_tree(tmp_path: Path) -> None:
    before = tmp_path.stat()
    create(tmp_path, TREE)
    assert found(tmp_path) == TREE
    assert tmp_path.stat().st_ino == before.st_ino, "a shell in it would stand in a deleted folder"
    assert tmp_path.stat().st_mode == before.st_mode


def test_a_link_to_an_empty_folder_is_as_good_as_the_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    create(tmp_path / "link", TREE)
    assert found(tmp_path / "folder") == TREE
    assert (tmp_path / "link").is_symlink()


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    create(tmp_path / "project", TREE)
    assert (tmp_path / "project").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("kind", ["file", "folder with a file", "link to nothing", "below a file"])
def test_what_is_there_is_never_touched(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "project"
    match kind:
        case "file":
            target.write_text("mine")
        case "folder with a file":
            target.mkdir()
            (target / ".hidden").write_text("mine")
        case "link to nothing":
            target.symlink_to("nowhere")
        case "below a file":
            target.write_text("mine")
            target = target / "project"
    before = found(tmp_path)
    with pytest.raises(LitgenError):
        create(target, TREE)
    assert found(tmp_path) == before


@pytest.mark.parametrize("existing", [True, False], ids=["empty folder", "new folder"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", range(0, 60, 7))
def test_stopped_at_any_call_it_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    existing: bool,
    error: BaseException,
    after: int,
) -> None:
    target = tmp_path / "parent/project"
    if existing:
        target.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    calls = 0

    def stopping(name: str) -> None:
        real = getattr(os, name)

        def call(*given: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls == after + 1:
                raise error
            return real(*given, **named)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "rename", "mkdir"):
        stopping(name)
    try:
        create(target, TREE)
    except (LitgenError, KeyboardInterrupt):
        assert sorted(tmp_path.rglob("*")) == before
    else:
        assert found(target) == TREE


@pytest.mark.parametrize("existing", [True, False], ids=["empty folder", "new folder"])
def test_killed_at_any_instant_nothing_half_written_passes_for_a_project(
    tmp_path: Path, existing: bool
) -> None:
    chance = random.Random(1)
    for attempt in range(12):
        target = tmp_path / f"project-{attempt}"
        if existing:
            target.mkdir()
        command = [sys.executable, "-c", WRITER, str(target)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout as output:
            output.readline()
            time.sleep(chance.uniform(0, 0.03))
            writer.send_signal(signal.SIGKILL)
        writer.wait()
        whole = (target / ".litgen").exists()
        assert not whole or len(found(target)) == WRITTEN
        # The same command again writes the project, or says that it is complete now.
        with contextlib.suppress(LitgenError):
            subprocess.run(command, capture_output=True, timeout=30, check=False)
        assert len(found(target)) == WRITTEN
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"project-{attempt}" for attempt in range(12)
    )


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "64k") -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root, and not in every container")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("target", [".", "project"])
def test_a_full_disk_is_said_and_stays_as_it_was(tmp_path: Path, target: str) -> None:
    with small_disk(tmp_path):
        with pytest.raises(LitgenError, match="No space left"):
            create(tmp_path / target, {f"{i}.py": "x = 1\n" * 2000 for i in range(20)})
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", [".", "project"])
def test_a_read_only_disk_is_said(tmp_path: Path, target: str) -> None:
    with small_disk(tmp_path):
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with pytest.raises(LitgenError, match="Read-only file system"):
            create(tmp_path / target, TREE)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("existing", [True, False], ids=["empty folder", "new folder"])
def test_of_several_at_once_one_writes_and_the_others_say_so(
    tmp_path: Path, existing: bool
) -> None:
    for attempt in range(4):
        target = tmp_path / f"project-{attempt}"
        if existing:
            target.mkdir()
        command = [sys.executable, "-c", WRITER, str(target)]
        writers = [subprocess.Popen(command, stdout=-3, stderr=-1, text=True) for _ in range(4)]
        said = [writer.communicate(timeout=60)[1] for writer in writers]
        assert sorted(writer.returncode for writer in writers) == [0, 1, 1, 1]
        assert sum("is not empty" in text for text in said) == 3
        assert len(found(target)) == WRITTEN
