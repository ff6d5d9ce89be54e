"""Changing a project: old or new, never between; and what is refused leaves all as it was.

The kills and refusals come at every step on disk with KILLS=all, as in `make storm`; otherwise at
a sample of them.
"""

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kills import DONE, INTERRUPTED, KILLED, REFUSED, interrupted, killed, refused, steps_of
from test_tree import small_disk

from litgen_torch import staging, transaction
from litgen_torch.disk import alone_in
from litgen_torch.errors import LitgenError
from litgen_torch.journal import File, Journal, Step, to_bytes
from litgen_torch.places import digest, read_tree
from litgen_torch.transaction import commit, recover, undo
from litgen_torch.tree import create

OLD = {
    ".litgen/project.toml": "answers = 1\n",
    ".litgen/base/train.py.base": "x = 1\n",
    ".litgen/base/old/only.py.base": "o = 1\n",
    "train.py": "\ufeffx = 1\r\ny = 'mine, ü'\r\n",
    "linked/config.py": "c = 1\n",
    "model.py": "untouched\n",
    "old/only.py": "o = 1\n",
}
NEW = {
    ".litgen/project.toml": "answers = 2\n",
    ".litgen/base/train.py.base": "x = 2\n",
    ".litgen/base/launch/deep/run.sh.base": "run\n",
    "train.py": "\ufeffx = 2\r\ny = 'mine, ü'\r\n",
    "linked/config.py": "c = 2\n",
    "model.py": "untouched\n",
    "launch/deep/run.sh": "run\n",
    "launch/deep/empty.txt": "",
}
THIRD = NEW | {"train.py": "x = 3\n"}
LONG_AGO = 1_000_000_000 * 10**9


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with links, an executable file and old files."""
    folder = tmp_path_factory.mktemp("original") / "project"
    create(folder, OLD)
    (folder / "linked").rename(folder / "settings")
    (folder / "linked").symlink_to("settings")
    (folder / "settings/config.py").rename(folder / "settings/real.py")
    (folder / "settings/config.py").symlink_to("real.py")
    (folder / "train.py").chmod(0o755)
    (folder / "old/only.py").chmod(0o640)
    (folder / "own notes").write_bytes(b"\xff\x00 no text")
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
    return folder


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    return copied(original, tmp_path / "project")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk, which only matters to those whose power fails."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def copied(original: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(original, folder, symlinks=True))


def exactly(folder: Path) -> dict[str, object]:
    """All that there is, times of files and folders among it."""
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, _holds(path))
        for path in [folder, *folder.rglob("*")]
    }


def holds(folder: Path) -> dict[str, object]:
    """What there is for everyone but undo."""
    return {
        str(path): (path.lstat().st_mode, _holds(path))
        for path in folder.rglob("*")
        if ".litgen/undo" not in str(path)
    }


def _holds(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else None


def change(folder: Path, before: dict[str, str] = OLD, after: dict[str, str] = NEW) -> None:
    commit(folder, before=before, after=after, title="add x")


def sample(points: int, most: int = 12) -> list[int]:
    if os.environ.get("KILLS") == "all":
        return list(range(points))
    return sorted(random.Random(points).sample(range(points), min(points, most)))


def test_a_commit_makes_exactly_the_change(project: Path) -> None:
    change(project)
    assert read_tree(project, OLD | NEW) == NEW
    files = {path.relative_to(project).as_posix() for path in project.rglob("*.*")}
    assert files - NEW.keys() == {
        ".litgen",
        "settings/config.py",
        "settings/real.py",
        ".litgen/undo/.gitignore",
        ".litgen/undo/0001.json",
    } | ({"linked/config.py"} & files)
    assert (project / "own notes").read_bytes() == b"\xff\x00 no text"
    assert not (project / "old").exists(), "a folder that lost its last file"


def test_modes_links_and_untouched_files_stay(project: Path) -> None:
    change(project)
    assert (project / "train.py").stat().st_mode & 0o777 == 0o755
    assert (project / "linked").is_symlink()
    assert (project / "settings/config.py").is_symlink()
    assert (project / "settings/real.py").read_text() == "c = 2\n"
    assert (project / "model.py").stat().st_mtime_ns == LONG_AGO
    assert (project / "own notes").stat().st_mtime_ns == LONG_AGO
    assert (project / "train.py").stat().st_mtime_ns > LONG_AGO, "make and python see the change"


def test_an_owner_other_than_root_stays(project: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files to others")
    os.chown(project / "train.py", 1234, 1234)
    change(project)
    assert (project / "train.py").stat().st_uid == 1234
    assert (project / "train.py").stat().st_mode & 0o777 == 0o755


def test_nothing_to_change_writes_nothing(project: Path) -> None:
    before = exactly(project)
    change(project, OLD, OLD)
    assert recover(project) is None
    assert exactly(project) == before


def test_git_does_not_see_what_is_kept_for_undo(project: Path) -> None:
    change(project)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(listed, cwd=project, capture_output=True, text=True, check=True).stdout
    assert "train.py.base" in seen and "undo" not in seen


REFUSALS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "changed meanwhile": (
        "train.py changed while",
        lambda folder: (folder / "train.py").write_text("x = 1\n"),
    ),
    "changed although the change leaves it alone": (
        "model.py changed while",
        lambda folder: (folder / "model.py").write_text("touched\n"),
    ),
    "vanished": ("train.py changed while", lambda folder: (folder / "train.py").unlink()),
    "appeared": (
        "launch/deep/run.sh changed while",
        lambda folder: (folder / "launch/deep").mkdir(parents=True)
        or (folder / "launch/deep/run.sh").write_text("mine"),
    ),
    "read-only file": ("read-only", lambda folder: (folder / "train.py").chmod(0o444)),
    "read-only file to delete": ("read-only", lambda folder: (folder / "old/only.py").chmod(0o444)),
    "read-only folder": ("read-only", lambda folder: (folder / "settings").chmod(0o555)),
    "read-only folder above a new one": (
        "read-only",
        lambda folder: (folder / "launch").mkdir() or (folder / "launch").chmod(0o555),
    ),
    "a folder in place of a file": (
        "is a folder",
        lambda folder: (folder / "launch/deep/run.sh").mkdir(parents=True),
    ),
    "a file in place of a folder": (
        "is a file, where a folder must be",
        lambda folder: (folder / "launch").write_text("mine"),
    ),
    "a pipe, which nobody ends": (
        "a pipe",
        lambda folder: (folder / "model.py").unlink() or os.mkfifo(folder / "model.py"),
    ),
    "a link to itself": (
        "a broken link",
        lambda folder: (folder / "model.py").unlink()
        or (folder / "model.py").symlink_to("model.py"),
    ),
    "a link out": (
        "model.py leads out of the project",
        lambda folder: (folder / "model.py").rename(folder.parent / "model.py")
        and (folder / "model.py").symlink_to("../model.py"),
    ),
    "a folder that is a link out": (
        "linked/config.py leads out of the project",
        lambda folder: (folder / "settings").rename(folder.parent / "settings")
        and (folder / "linked").unlink()
        or (folder / "linked").symlink_to(folder.parent / "settings"),
    ),
    "a link where a new file shall be": (
        "is a symbolic link",
        lambda folder: (folder / "launch/deep").mkdir(parents=True)
        or (folder / "launch/deep/run.sh").symlink_to("nowhere"),
    ),
    "a link to what shall be deleted": (
        "old/only.py is a symbolic link",
        lambda folder: (folder / "old/only.py").rename(folder / "old/really.py")
        and (folder / "old/only.py").symlink_to("really.py"),
    ),
    "two paths to one file": (
        "has the place of another file",
        lambda folder: (folder / "train.py").write_text(OLD["linked/config.py"])
        and (folder / "linked/config.py").unlink()
        or (folder / "linked/config.py").symlink_to("../train.py"),
    ),
    "another case": (
        "one name on macOS and Windows",
        lambda folder: (folder / "Launch").mkdir(),
    ),
    "another case of a letter that is not ASCII": (
        "one name on macOS and Windows",
        lambda folder: (folder / "launch/deep").mkdir(parents=True)
        or (folder / "launch/deep/RUN.SH").write_text("mine"),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused_leaves_everything_as_it_was(project: Path, case: str) -> None:
    message, prepare = REFUSALS[case]
    prepare(project)
    before = dict(OLD)
    if case == "two paths to one file":
        before["train.py"] = before["linked/config.py"]
    found = exactly(project.parent)
    with pytest.raises(LitgenError, match=message) as raised:
        change(project, before)
    assert raised.value.hint
    assert exactly(project.parent) == found


@pytest.mark.parametrize(
    "path", ["../out.py", "/out.py", "a/../../out.py", "", ".", "a\0b", ".git/config", "a/.GIT/b"]
)
def test_a_path_out_of_the_project_is_refused(project: Path, path: str) -> None:
    found = exactly(project.parent)
    with pytest.raises(LitgenError, match="no path inside the project|git's own folder"):
        change(project, OLD, OLD | {path: "x"})
    assert exactly(project.parent) == found


def test_names_that_differ_in_case_are_refused(project: Path) -> None:
    found = exactly(project)
    with pytest.raises(LitgenError, match="upper and lower case"):
        change(project, OLD, OLD | {"Straße.py": "x", "STRASSE.py": "y"})
    assert exactly(project) == found


def test_while_another_litgen_is_at_work_nothing_happens(project: Path) -> None:
    change(project)
    killed_at_forth(project)
    found = exactly(project)
    for command in (change, recover, undo):
        with alone_in(project), pytest.raises(LitgenError, match="another litgen is at work"):
            command(project)
    assert exactly(project) == found


def killed_at_forth(folder: Path) -> None:
    at = 0
    while not (folder / ".litgen/undo/forth.json").exists():
        assert killed(lambda: change(folder, NEW, THIRD), at) == KILLED
        at += 1


def test_of_several_at_once_none_is_lost_and_none_mixed(project: Path, quick: None) -> None:
    trees = [OLD | {"train.py": f"x = {i}\n", "model.py": f"x = {i}\n"} for i in range(6)]
    children = []
    for tree in trees:
        if not (child := os.fork()):
            with contextlib.suppress(LitgenError):
                change(project, OLD, tree)
                os._exit(0)
            os._exit(1)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes.count(0) == 1 and codes.count(1) == 5
    assert read_tree(project, OLD) == trees[codes.index(0)]


# kill -9


def test_killed_at_any_step_the_project_is_old_or_new(
    original: Path, project: Path, quick: None
) -> None:
    old = holds(project)
    change(project)
    new = holds(project)
    copied(original, project)
    steps = steps_of(lambda: change(project))
    assert steps > 60
    seen = set()
    for at in sample(steps):
        copied(original, project)
        assert killed(lambda: change(project), at) == KILLED
        recover(project)
        assert holds(project) in (old, new), at
        seen.add(is_new := holds(project) == new)
        assert not staging.pending(project)
        if is_new:
            undo(project)
        assert holds(project) == old
        change(project)
        assert holds(project) == new
    assert seen == {False, True}


@pytest.mark.parametrize("force", [False, True], ids=["undo", "undo --force"])
def test_killed_at_any_step_of_undo_the_project_is_old_or_new(
    original: Path, project: Path, tmp_path: Path, quick: None, force: bool
) -> None:
    before = holds(project)
    change(project)
    if force:
        (project / "train.py").write_text("edited since\n")
    after = holds(project)
    changed = copied(project, tmp_path / "changed")
    copied(changed, project)
    steps = steps_of(lambda: undo(project, force=force))
    for at in sample(steps):
        copied(changed, project)
        assert killed(lambda: undo(project, force=force), at) == KILLED
        recover(project)
        if holds(project) == after:
            assert undo(project, force=force).title == "add x"
        elif force:
            assert undo(project).title == "undo add x"
            assert holds(project) == after
            continue
        else:
            with pytest.raises(LitgenError, match="nothing to undo"):
                undo(project)
        assert holds(project) == before, at


def test_killed_again_and_again_while_it_recovers_it_is_old_or_new(
    original: Path, project: Path, tmp_path: Path, quick: None
) -> None:
    old = holds(project)
    change(project)
    new = holds(project)
    steps, first = steps_of_change(project, original)
    seen = set()
    for at in {*sample(steps, 4), *sample(first, 2), first + 2, steps - 1}:
        copied(original, project)
        assert killed(lambda: change(project), at) == KILLED
        half = copied(project, tmp_path / "half")
        for again in sample(steps_of(lambda: recover(project)), 6):
            copied(half, project)
            assert killed(lambda: recover(project), again) == KILLED
            killed(lambda: recover(project), again // 2)
            recover(project)
            assert holds(project) in (old, new), (at, again)
            seen.add(holds(project) == new)
    assert seen == {False, True}


WRITER = """
import sys
from pathlib import Path
from litgen_torch.transaction import commit, undo, recover
from litgen_torch.places import read_tree
folder = Path(sys.argv[1])
print("writing", flush=True)
while True:
    before = read_tree(folder, [f"{i}.py" for i in range(30)])
    value = int(before["0.py"]) + 1
    commit(folder, before=before, after={path: str(value) for path in before}, title=str(value))
    if value % 5 == 0:
        undo(folder)
"""


def test_killed_at_any_instant_all_files_are_of_one_commit(project: Path) -> None:
    """kill -9 by the clock: three times here, a hundred times in `make storm`."""
    paths = [f"{i}.py" for i in range(30)]
    commit(project, before={}, after=dict.fromkeys(paths, "0"), title="0")
    chance = random.Random(1)
    for _ in range(100 if os.environ.get("KILLS") == "all" else 3):
        command = [sys.executable, "-c", WRITER, str(project)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.4))
            assert writer.poll() is None
            writer.send_signal(signal.SIGKILL)
        recover(project)
        assert len(set(read_tree(project, paths).values())) == 1
        assert not list(project.glob(".litgen-part-*"))


# the system refuses


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_refused_by_the_system_at_any_step_nothing_is_changed(
    original: Path, project: Path, quick: None, on: bool
) -> None:
    old, exact = holds(project), exactly(project)
    change(project)
    new = holds(project)
    seen = set()
    copied(original, project)
    for at in sample(steps_of(lambda: change(project))):
        copied(original, project)
        outcome = refused(lambda: change(project), at, on=on)
        if outcome == REFUSED and not on:
            assert exactly(project) == exact, at
        recover(project)
        assert holds(project) in ([new] if outcome == DONE else [old, new] if on else [old]), at
        seen.add(outcome)
    assert REFUSED in seen


def test_interrupted_at_any_step_it_is_done_or_everything_is_as_it_was(
    original: Path, project: Path, quick: None
) -> None:
    exact = exactly(project)
    steps, first = steps_of_change(project, original)
    for at in sample(steps):
        copied(original, project)
        assert interrupted(lambda: change(project), at) == (INTERRUPTED if at < first - 2 else DONE)
        assert not staging.pending(project)
        if at < first - 2:
            assert exactly(project) == exact, at
        else:
            assert read_tree(project, OLD | NEW) == NEW


def test_refused_by_the_system_at_any_step_of_undo_nothing_is_changed(
    original: Path, project: Path, tmp_path: Path, quick: None
) -> None:
    old = holds(project)
    change(project)
    changed, new = copied(project, tmp_path / "changed"), holds(project)
    copied(changed, project)
    for at in sample(steps_of(lambda: undo(project))):
        copied(changed, project)
        outcome = refused(lambda: undo(project), at)
        assert not staging.pending(project)
        assert holds(project) == (old if outcome == DONE else new), at


@contextlib.contextmanager
def fuller_and_fuller(folder: Path) -> Iterator[Callable[[int], None]]:
    """A small disk, and a function that leaves so many bytes of it."""
    with small_disk(folder, "512k"):
        ballast = folder / "ballast"

        def leave(room: int) -> None:
            ballast.write_bytes(b"")
            free = os.statvfs(folder)
            ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - room)))

        yield leave


def test_a_full_disk_changes_nothing(original: Path, tmp_path: Path, quick: None) -> None:
    outcomes = []
    large = {path: text + "# long\n" * 1500 for path, text in NEW.items()}
    with fuller_and_fuller(tmp_path) as leave:
        while DONE not in outcomes:
            project = copied(original, tmp_path / "project")
            old = exactly(project)
            leave(4096 * len(outcomes))
            try:
                change(project, OLD, large)
                outcomes.append(DONE)
            except LitgenError as error:
                assert "No space left" in error.message
                assert exactly(project) == old
                outcomes.append(REFUSED)
            (tmp_path / "ballast").unlink()
    assert outcomes.count(REFUSED) > 10


def test_a_disk_that_is_mounted_read_only_is_said(original: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path):
        project = copied(original, tmp_path / "project")
        found = exactly(project)
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with pytest.raises(LitgenError, match="read-only"):
            change(project)
        assert exactly(project) == found


def test_folders_on_other_disks_change_with_the_rest(project: Path, quick: None) -> None:
    (project / "launch").mkdir()
    before = {path: text for path, text in OLD.items() if not path.endswith("only.py.base")}
    with small_disk(project / "launch"), small_disk(project / ".litgen/base"):
        (project / ".litgen/base/train.py.base").write_text("x = 1\n")
        for at in sample(steps_of(lambda: change(project, before) or undo(project))):
            outcome = killed(lambda: change(project, before), at)
            recover(project)
            found = read_tree(project, OLD | NEW)
            assert found in (before, NEW)
            if outcome == DONE or found == NEW:
                assert undo(project).title == "add x"
            assert read_tree(project, OLD | NEW) == before


# undo


def test_undo_restores_bytes_modes_times_and_folders(project: Path) -> None:
    before = exactly(project)
    change(project)
    assert undo(project).title == "add x"
    folders = {path for path in before if Path(path).is_dir() and not Path(path).is_symlink()}
    after = exactly(project)
    assert after.keys() == before.keys()
    assert {p: after[p] for p in before if p not in folders} == {
        p: before[p] for p in before if p not in folders
    }


def test_undo_goes_back_one_change_after_the_other(project: Path) -> None:
    trees = [OLD] + [OLD | {"train.py": f"x = {i}\n"} for i in range(staging.KEPT + 2)]
    changes = list(itertools.pairwise(trees))
    for before, after in changes:
        commit(project, before=before, after=after, title=after["train.py"])
    for before, after in reversed(changes[-staging.KEPT :]):
        assert undo(project).title == after["train.py"]
        assert read_tree(project, OLD) == before
    with pytest.raises(LitgenError, match="nothing to undo"):
        undo(project)


def test_undo_refuses_to_overwrite_what_was_changed_since(project: Path) -> None:
    change(project)
    (project / "train.py").write_text("edited since\n")
    (project / "launch/deep/run.sh").unlink()
    (project / "old").mkdir()
    (project / "old/only.py").write_text("here again\n")
    found = exactly(project)
    with pytest.raises(LitgenError) as raised:
        undo(project)
    assert raised.value.message.endswith("launch/deep/run.sh, old/only.py, train.py")
    assert exactly(project) == found


def test_a_forced_undo_overwrites_and_can_be_undone(project: Path) -> None:
    before = holds(project)
    change(project)
    (project / "train.py").write_bytes(b"edited since, and \xff no text\n")
    (project / "launch/deep/run.sh").unlink()
    edited = holds(project)
    assert undo(project, force=True).title == "add x"
    assert holds(project) == before
    assert undo(project).title == "undo add x"
    assert holds(project) == edited


def test_undo_by_hand_is_undo_as_well(project: Path) -> None:
    change(project)
    for path in NEW.keys() - OLD.keys():
        (project / path).unlink()
    for path, text in OLD.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_bytes(text.encode())
    undo(project, force=True)
    assert read_tree(project, OLD | NEW) == OLD
    with pytest.raises(LitgenError, match="nothing to undo"):
        undo(project)


# what somebody does between a kill and the next litgen


@pytest.mark.parametrize("path", ["train.py", "old/only.py", "launch/deep/run.sh"])
@pytest.mark.parametrize("how", ["in place", "by an editor that renames", "deleted"])
def test_an_edit_in_a_killed_change_is_never_lost(
    original: Path, project: Path, quick: None, path: str, how: str
) -> None:
    steps, first = steps_of_change(project, original)
    both = [{p: t for p, t in tree.items() if p != path} for tree in (OLD, NEW)]
    seen = set()
    for at in [first + step for step in sample(steps - first - 3)]:
        copied(original, project)
        assert killed(lambda: change(project), at) == KILLED
        seen.add(was := _text(project / path))
        text = edit(project / path, how)
        assert recover(project) is not None
        assert not list(project.rglob(".litgen-part-*"))
        found = read_tree(project, OLD | NEW)
        if was == text:
            assert found in (OLD, NEW)
        else:
            assert found.pop(path, None) == text
            assert found in both
        if path == "train.py":
            assert found == both[was == NEW[path]], "his edit belongs to that version"
    assert seen == {OLD.get(path), NEW.get(path)}


def steps_of_change(project: Path, original: Path) -> tuple[int, int]:
    """How many steps the change takes, and before how many of them it could be taken back."""
    copied(original, project)
    steps = steps_of(lambda: change(project))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "carry_out", lambda folder, journal: None)
        copied(original, project)
        return steps, steps_of(lambda: change(project))


def _text(file: Path) -> str | None:
    return file.read_bytes().decode() if file.exists() else None


def edit(file: Path, how: str) -> str | None:
    if how == "deleted":
        file.unlink(missing_ok=True)
        return None
    text = "edited after the kill\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    if how == "in place":
        file.write_text(text)
    else:
        file.with_name("swap").write_text(text)
        file.with_name("swap").rename(file)
    return text


HARMFUL = {
    "out of the project": "../victim",
    "git's hooks": ".git/hooks/pre-commit",
    "out of it by a link": "way/out",
}


@pytest.mark.parametrize("name", ["draft.json", "forth.json", "back.json", "0001.json"])
@pytest.mark.parametrize("path", HARMFUL.values(), ids=HARMFUL)
def test_a_journal_that_came_with_a_project_does_no_harm(
    project: Path, name: str, path: str
) -> None:
    (project / ".git/hooks").mkdir(parents=True)
    (project / "way").symlink_to("..")
    step = Step(path, File(b"harm", 0o755, 1), None)
    create = Step(path + "2", None, digest(b"x"))
    journal = Journal("harm", 1, True, ("../made",), (step, create))
    (project / ".litgen/undo").mkdir()
    (project / ".litgen/undo" / name).write_bytes(to_bytes(journal))
    (project.parent / ".litgen-part-1").write_text("x")
    found = exactly(project.parent)
    with pytest.raises(LitgenError, match="out of the project|no path inside|git's own folder"):
        undo(project) if name == "0001.json" else recover(project)
    now = exactly(project.parent)
    home = str(project / ".litgen/undo")
    assert {p: now[p] for p in now if not p.startswith(home)} == {
        p: found[p] for p in found if not p.startswith(home)
    }


def test_what_litgen_writes_never_goes_through_a_link(project: Path) -> None:
    victim = project.parent / "victim"
    victim.write_text("mine")
    (project / ".litgen/undo").mkdir()
    for link in (".litgen-part-0", "launch", ".litgen/undo/draft.json", ".litgen/undo/.gitignore"):
        (project / link).symlink_to(victim)
    (project / "launch").unlink()
    for number in range(10):
        with contextlib.suppress(FileExistsError):
            (project / f".litgen-part-{number}").symlink_to(victim)
    change(project)
    assert victim.read_text() == "mine"
    assert read_tree(project, OLD | NEW) == NEW


@pytest.mark.parametrize("name", ["forth.json", "back.json", "0001.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', "[" * 100_000, '{"format": 1}'])
def test_a_damaged_journal_is_named(project: Path, name: str, text: str) -> None:
    (project / ".litgen/undo").mkdir()
    (project / ".litgen/undo" / name).write_text(text)
    before = holds(project)
    with pytest.raises(LitgenError, match=f"{name} is damaged"):
        undo(project)
    assert holds(project) == before
