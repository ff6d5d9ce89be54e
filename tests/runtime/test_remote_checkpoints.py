"""Checkpoints in another place as well: whole there or of no account, and what a new machine needs.

The places are folders and memory that fsspec has addresses for, and a file system of this file's
own, in which puts can be slow, fail, or lose something.
"""

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import fsspec
import pytest
import torch
from forked import forked
from fsspec.implementations.local import LocalFileSystem
from matrix.test_matrix import generate
from projects_trained import trained
from test_checkpoint import damage, equal, in_processes
from training import Net, train

from runtime import dist
from runtime.async_checkpoints import BackgroundWriter
from runtime.checkpoint import Checkpoints
from runtime.config import load_config
from runtime.errors import UserError
from runtime.keep_best import Best
from runtime.remote_checkpoints import RemoteCopies


class Watched(LocalFileSystem):
    """Folders of this machine, at watched:///…; `hear` is called beforehand, and may fail."""

    protocol = "watched"
    cachable = False
    hear = staticmethod(lambda what, path: None)

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("watched://"))

    def put_file(self, source, target, callback=None, **more):
        self.hear("put", target)
        super().put_file(source, target, callback, **more)

    def get_file(self, source, target, callback=None, **more):
        self.hear("get", source)
        super().get_file(source, target)

    def mv(self, source, target, **more):
        self.hear("mv", target)
        super().mv(source, target, **more)

    def rm(self, path, **more):
        self.hear("rm", path)
        super().rm(path, **more)

    def pipe_file(self, path, value, **more):
        self.hear("pipe", path)
        super().pipe_file(path, value, **more)


fsspec.register_implementation("watched", Watched, clobber=True)


@pytest.fixture
def hear(monkeypatch):
    """Lets a function hear, or refuse, what is changed in the place of watched://."""
    return lambda listener: monkeypatch.setattr(Watched, "hear", staticmethod(listener))


def prepared(folder, address, *, keep=2, best=None, background=False, **options):
    """Checkpoints in `folder` that are sent to `address`, and a function that saves a step."""
    checkpoints = Checkpoints(folder, keep)
    checkpoints.best = best
    checkpoints.writer = BackgroundWriter() if background else None
    copies = RemoteCopies(str(address), "run", checkpoints, **options)
    copies.fetch()
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())

    def save(step, score=None):
        with torch.no_grad():
            model.first.weight.fill_(step)
        checkpoints.score = score
        checkpoints.save(step, model, optimizer)
        if background:
            checkpoints.writer.wait_for_copy()

    return copies, save


def sent(folder, *steps, **options):
    """Save these steps and send them all; the folder that they are sent to."""
    copies, save = prepared(folder / "here", folder / "there", **options)
    for step in steps:
        save(step)
        copies.finish()
    return folder / "there" / "run"


def steps_in(folder):
    """The steps of a folder's checkpoints; those without their run.json are negative."""
    found = [(int(path.name[5:]), path / "run.json") for path in folder.glob("step-*")]
    return sorted(step if about.exists() else -step for step, about in found)


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("strategy", "size", "in_background"), [("single", 1, True), ("fsdp", 2, False)]
)
def test_a_new_machine_goes_on_to_the_bit(tmp_path, strategy, size, in_background):
    options = {"decay": 0.9, "in_background": in_background, "remote": f"file://{tmp_path}/there"}
    losses, weights = in_processes(size, tmp_path / "whole", strategy, 9, decay=0.9)
    in_processes(size, tmp_path / "old", strategy, 7, save_at=[1, 3, 5], **options)
    assert steps_in(tmp_path / "there" / "run") == [3, 5]
    resumed, resumed_weights = in_processes(size, tmp_path / "new", strategy, 9, **options)
    assert resumed == {step: loss for step, loss in losses.items() if step > 5}
    assert equal(weights, resumed_weights)


def stuck(folder):
    """Train while every second step is saved; the second checkpoint is half sent, for ever."""

    def half(what, path):
        if what == "put" and path.endswith("step-00000004/__0_0.distcp"):
            Path(path).write_bytes(b"half of it")
            threading.Event().wait()

    Watched.hear = staticmethod(half)
    for until in (2, 10**6):
        train(folder / "old", "single", until, save_at=[2, 4], remote=f"watched://{folder}/there")


def test_killed_while_one_is_sent_the_one_before_counts_and_goes_on_to_the_bit(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=stuck, args=(tmp_path,))
    process.start()
    there = tmp_path / "there" / "run"
    wait_until((there / "step-00000004" / "__0_0.distcp").exists)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert steps_in(there) == [-4, 2]
    losses, weights = train(tmp_path / "whole", "single", 6)
    options = {"save_at": [6], "remote": str(tmp_path / "there")}
    resumed, resumed_weights = train(tmp_path / "new", "single", 6, **options)
    assert resumed == {step: losses[step] for step in (3, 4, 5, 6)}
    assert equal(weights, resumed_weights)
    assert steps_in(there) == [2, 6], "and its half is gone"


def test_a_folder_without_its_run_json_is_not_taken(tmp_path, capfd):
    there = sent(tmp_path, 1, 2)
    (there / "step-00000002" / "run.json").unlink()
    prepared(tmp_path / "new", tmp_path / "there")
    assert steps_in(tmp_path / "new") == [1]
    assert "damaged" not in capfd.readouterr().out, "it never was one"
    (there / "step-00000001" / "run.json").unlink()
    copies, _ = prepared(tmp_path / "newer", tmp_path / "there")
    assert copies.checkpoints.latest() is None and not (tmp_path / "newer").exists()


@pytest.mark.parametrize("name", ["run.json", "__0_0.distcp", "rank-00000.pt", ".metadata"])
@pytest.mark.parametrize("harm", ["change", "cut", "delete"])
def test_of_one_that_is_damaged_there_the_one_before_is_taken_and_that_is_said(
    tmp_path, capfd, name, harm
):
    there = sent(tmp_path, 1, 2)
    file = there / "step-00000002" / name
    if harm == "change":
        damage(file.parent, name)
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:9])
    elif name != "run.json":
        file.unlink()
    copies, save = prepared(tmp_path / "new", tmp_path / "there")
    taken = 2 if (name, harm) == ("run.json", "delete") else 1
    assert steps_in(tmp_path / "new") == [taken]
    told = capfd.readouterr().out
    assert ("run/step-00000002 is damaged: " in told) == (taken == 1)
    assert f"step-0000000{taken} was fetched from {tmp_path}/there/run\n" in told
    assert not [*(tmp_path / "new").glob(".*")]
    save(3)
    copies.finish()
    assert steps_in(there) == [taken, 3], "what was damaged is gone"


def test_where_none_there_is_whole_that_is_an_error_and_not_a_new_beginning(tmp_path):
    there = sent(tmp_path, 1, 2)
    for path in there.iterdir():
        damage(path)
    with pytest.raises(UserError, match=r"no checkpoint in .*/run is whole\n  fix: delete"):
        prepared(tmp_path / "new", tmp_path / "there")
    shutil.rmtree(tmp_path / "here" / "step-00000002")
    copies, _ = prepared(tmp_path / "here", tmp_path / "there")
    assert copies.checkpoints.latest().name == "step-00000001", "here is one"


def test_where_the_newest_is_here_nothing_is_fetched(tmp_path, capfd):
    sent(tmp_path, 1, 2)
    before = {path: path.stat().st_ino for path in (tmp_path / "here").rglob("*")}
    prepared(tmp_path / "here", tmp_path / "there")
    assert before == {path: path.stat().st_ino for path in (tmp_path / "here").rglob("*")}
    assert capfd.readouterr().out == ""


def test_what_cannot_be_fetched_is_an_error_and_leaves_no_half(tmp_path, hear):
    sent(tmp_path, 1)

    def down(what, path):
        if what == "get" and path.endswith("rank-00000.pt"):
            raise ConnectionError("the network is down")

    hear(down)
    with pytest.raises(UserError, match=r"could be fetched from .*: the network is down\n.*again"):
        prepared(tmp_path / "new", f"watched://{tmp_path}/there")
    assert not [*(tmp_path / "new").iterdir()]


@pytest.mark.parametrize("background", [False, True])
def test_the_same_stay_there_as_here(tmp_path, background):
    address = f"memory://{tmp_path}"
    best = Best(1, lower_is_better=True)
    options = {"best": best, "background": background}
    copies, save = prepared(tmp_path / "here", address, **options)
    scores = {1: 0.5, 2: 0.3, 3: 0.6, 4: 0.7, 5: 0.4}
    for step, score in scores.items():
        save(step, score)
        if background:
            copies.checkpoints.writer.finish()
        copies.finish()
    there = fsspec.filesystem("memory").ls(f"{tmp_path}/run", detail=False)
    assert [Path(path).name[-1] for path in sorted(there)] == ["2", "4", "5"]

    copies, save = prepared(tmp_path / "new", address, **options)
    assert steps_in(tmp_path / "new") == [2, 5], "the newest, and the best of all"
    save(6, 0.8)
    save(7, 0.9)
    if background:
        copies.checkpoints.writer.finish()
    copies.finish()
    there = fsspec.filesystem("memory").ls(f"{tmp_path}/run", detail=False)
    assert [Path(path).name[-1] for path in sorted(there)] == ["2", "6", "7"]


def test_a_run_that_saves_nothing_more_takes_nothing_away(tmp_path):
    there = sent(tmp_path, 1, 2)
    copies, _ = prepared(tmp_path / "new", tmp_path / "there")
    copies.finish()
    assert steps_in(tmp_path / "new") == [2]
    assert steps_in(there) == [1, 2]


def test_at_no_time_are_there_fewer_whole_ones_and_run_json_comes_last_and_goes_first(
    tmp_path, hear
):
    there, seen, changes = tmp_path / "there" / "run", [], []

    def note(what, path):
        whole = [step for step in steps_in(there) if step > 0]
        seen.append(whole)
        changes.append((what, *path.split("/")[-2:]))

    hear(note)
    copies, save = prepared(tmp_path / "here", f"watched://{there.parent}")
    for step in range(1, 6):
        save(step)
        copies.finish()
    assert steps_in(there) == [4, 5]
    newest = [max(whole, default=0) for whole in seen]
    assert newest == sorted(newest)
    counts = [len(whole) for whole in seen]
    assert all(count >= 2 for count in counts[counts.index(2) :])
    for step in range(1, 6):
        name = f"step-{step:08d}"
        puts = [change for change in changes if change[1] == name and change[0] != "rm"]
        assert [file for _, _, file in puts[:3]] == [".metadata", "__0_0.distcp", "rank-00000.pt"]
        assert puts[3:] == [("put", name, ".run.json"), ("mv", name, "run.json")]
        gone = [change[1:] for change in changes if change[0] == "rm" and name in change]
        assert gone == ([] if step > 3 else [(name, "run.json"), ("run", name)])


def cut_off_after(operations):
    """A place that is out of reach after so many operations, in the middle of the last one."""
    left = [operations]

    def gone(what, path):
        left[0] -= 1
        if left[0] == 0 and what == "put":
            Path(path).write_bytes(b"half of it")
        if left[0] == 0 and what == "rm" and Path(path).is_dir():
            next(Path(path).glob("__*")).unlink()
        if left[0] <= 0:
            raise ConnectionError

    return gone


def test_cut_off_at_any_operation_a_new_machine_gets_the_last_that_had_arrived(tmp_path, hear):
    for operations in range(2, 100):
        here, there = tmp_path / str(operations) / "here", tmp_path / str(operations) / "there"
        hear(lambda what, path: None)
        copies, save = prepared(here, f"watched://{there}", keep=1)
        hear(cut_off_after(operations))
        arrived = []
        for step in (1, 2, 3):
            save(step)
            copies.finish()
            arrived += [step] if step in steps_in(there / "run") else []
        prepared(here.with_name("new"), there)
        assert steps_in(here.with_name("new")) == arrived[-1:]
        if steps_in(there / "run") == [3]:
            break
    assert operations > 15


def test_training_does_not_wait_and_what_a_slow_place_gets_is_whole_and_the_newest(tmp_path, hear):
    begun, go_on, puts = threading.Event(), threading.Event(), []

    def slow(what, path):
        if what == "put":
            puts.append(Path(path).parent.name)
            begun.set()
            assert go_on.wait(60)

    hear(slow)
    copies, save = prepared(tmp_path / "here", f"watched://{tmp_path}/there", keep=1)
    for step in range(1, 6):
        save(step)
        assert begun.wait(60)
    assert steps_in(tmp_path / "there" / "run") == [-1]
    assert steps_in(tmp_path / "here") == [1, 5], "what is being sent stays"
    go_on.set()
    copies.finish()
    assert set(puts) == {"step-00000001", "step-00000005"}
    assert steps_in(tmp_path / "there" / "run") == [5]
    save(6)
    assert steps_in(tmp_path / "here") == [6]
    copies.finish()


def test_a_failure_is_told_and_the_next_save_sends_what_is_newest(tmp_path, hear, capfd):
    there = tmp_path / "there" / "run"

    def down(what, path):
        if path.endswith("/__0_0.distcp"):
            raise ConnectionError("the network is\ndown")

    copies, save = prepared(tmp_path / "here", f"watched://{tmp_path}/there")
    save(1)
    copies.finish()
    hear(down)
    for step in (2, 3):
        save(step)
        wait_until(lambda: copies._thread is None)
        told = f"step-0000000{step} could not be sent to watched://{there}: the network is down\n"
        assert capfd.readouterr().err == f"\n  {told}  the next save tries again\n"
    assert [step for step in steps_in(there) if step > 0] == [1]
    hear(lambda what, path: None)
    save(4)
    copies.finish()
    assert steps_in(there) == [3, 4]
    assert capfd.readouterr().err == ""


def test_what_does_not_arrive_in_the_end_is_told_and_sent_by_the_same_command(
    tmp_path, hear, capfd
):
    def down(what, path):
        if what == "put":
            raise ConnectionError

    hear(down)
    copies, save = prepared(tmp_path / "here", f"watched://{tmp_path}/there")
    save(1)
    copies.finish()
    assert "/run: ConnectionError\n  the same command tries again\n" in capfd.readouterr().err
    hear(lambda what, path: None)
    copies, _ = prepared(tmp_path / "here", f"watched://{tmp_path}/there")
    copies.finish()
    assert steps_in(tmp_path / "there" / "run") == [1]


def test_a_file_that_arrives_in_part_is_noticed_and_its_checkpoint_does_not_count(
    tmp_path, monkeypatch, capfd
):
    put = Watched.put_file

    def lossy(self, source, target, *more):
        put(self, source, target, *more)
        if target.endswith("/rank-00000.pt"):
            os.truncate(target, 10)

    monkeypatch.setattr(Watched, "put_file", lossy)
    copies, save = prepared(tmp_path / "here", f"watched://{tmp_path}/there")
    save(1)
    copies.finish()
    assert "rank-00000.pt has 10 of " in capfd.readouterr().err
    assert steps_in(tmp_path / "there" / "run") == [-1]


def test_what_is_damaged_there_is_sent_anew_once_its_step_is_saved_again(tmp_path):
    there = sent(tmp_path, 1, 2)
    (there / "step-00000002" / "__7_0.distcp").write_bytes(b"of more processes")
    damage(there / "step-00000002")
    copies, save = prepared(tmp_path / "new", tmp_path / "there")
    save(2)  # of equal weights: its run.json is the one that lies there
    copies.finish()
    assert steps_in(there) == [1, 2]
    assert not (there / "step-00000002" / "__7_0.distcp").exists()
    prepared(tmp_path / "newer", tmp_path / "there")
    assert steps_in(tmp_path / "newer") == [2]


def test_another_checkpoint_of_the_same_step_takes_its_place(tmp_path):
    there = sent(tmp_path, 1, 2)
    copies, save = prepared(tmp_path / "here", tmp_path / "there")
    save(2, score=0.5)
    copies.finish()
    assert steps_in(there) == [1, 2]
    assert json.loads((there / "step-00000002" / "run.json").read_text())["score"] == 0.5


BAD = {
    "s3://bucket/runs": r"cannot be used: Install s3fs to access S3\n  fix: pip install s3fs",
    "s4://bucket/runs": r"cannot be used: Protocol not known: s4\n  fix: an address to write",
    "file:///dev/null/runs": r"cannot be used: .*Not a directory.*\n  fix: an address",
    "watched:///nowhere": r"cannot be used: may not\n  fix: an address",
}


@pytest.mark.parametrize("address", BAD)
def test_a_bad_address_is_told_before_training_starts(tmp_path, hear, monkeypatch, address):
    def closed(what, path):
        raise PermissionError("may not")

    hear(closed)
    monkeypatch.setattr(Watched, "makedirs", lambda *given, **more: None)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=rf"^{address} {BAD[address]}"):
        prepared(tmp_path / "here", address)
    assert not (tmp_path / "here").exists()


def told_by(folder, address):
    world = dist.init(timeout_s=20)
    copies = RemoteCopies(address, "run", Checkpoints(folder, 2, world))
    try:
        copies.fetch()
    except SystemExit as error:
        return type(error).__name__, error.code if world.rank else ""
    return "nothing"


def test_of_two_processes_both_end_and_one_says_why(tmp_path):
    assert forked(2, told_by, tmp_path, "s4://x") == [("UserError", ""), ("SystemExit", 1)]
    assert forked(2, told_by, tmp_path, "") == ["nothing", "nothing"]


def test_without_an_address_nothing_is_different(tmp_path):
    best = Best(1, lower_is_better=True)
    copies, save = prepared(tmp_path, "", best=best)
    assert copies.checkpoints.best is best
    save(1)
    copies.finish()
    assert "remote" not in {thread.name for thread in threading.enumerate()}


def test_a_trial_empties_the_place_as_it_empties_the_run(tmp_path):
    there = sent(tmp_path, 1, 2)
    copies, save = prepared(tmp_path / "new", tmp_path / "there", empty=True)
    assert copies.checkpoints.latest() is None and steps_in(there) == []
    save(1)
    copies.finish()
    assert steps_in(there) == [1]


def test_the_trial_of_a_project_sends_nothing_unless_it_is_told_where(tmp_path):
    project = generate(tmp_path, feature=("remote-checkpoints",))
    settings = runpy.run_path(str(project / "config.py"))
    (tmp_path / "usual.toml").write_text('remote = "s3://bucket/runs"')
    usual = ["--config", str(tmp_path / "usual.toml")]
    for given, expected in [
        (usual, "s3://bucket/runs"),
        ([*usual, "--fast"], ""),
        ([*usual, "--fast", "--remote", "memory://"], "memory://"),
    ]:
        assert load_config(settings["Config"], given, settings["FAST"]).remote == expected


def test_a_project_goes_on_to_the_bit_where_its_disk_was_lost(tmp_path):
    features = ("async-checkpoints", "keep-best", "remote-checkpoints")
    project, there = generate(tmp_path / "p", feature=features), tmp_path / "there" / "run"
    whole = trained(project, "cnn", remote=f"file://{tmp_path}/there")
    here = project / "runs/run/checkpoints"
    assert steps_in(here) == steps_in(there) == [3, 6]
    (there / "step-00000006" / "run.json").unlink()
    shutil.rmtree(project / "runs/run")
    assert trained(project, "cnn", remote=f"file://{tmp_path}/there") == whole[3:]
    for path in here.rglob("step-*/*"):
        assert path.read_bytes() == (there / path.relative_to(here)).read_bytes()
    assert steps_in(here) == steps_in(there) == [3, 6]
