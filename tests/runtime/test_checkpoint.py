"""Checkpoints: complete or not there at all, and exact."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import training
from forked import forked
from ports import free_port
from torch import nn
from training import Net, train

from runtime import dist
from runtime.async_checkpoints import BackgroundWriter
from runtime.checkpoint import Checkpoints
from runtime.errors import UserError
from runtime.tensors import save_weights
from runtime.world import World


def in_processes(size, folder, strategy, until, **options):
    """The main process's losses and weights, after all have trained."""
    return forked(size, _train, folder, strategy, until, options)[0]


def _train(folder, strategy, until, options):
    return train(folder, strategy, until, **options)


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def furthest(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one.keys() | other.keys())


WORLDS = [("single", 1), ("ddp", 1), ("ddp", 2), ("fsdp", 1), ("fsdp", 2), ("compiled", 1)]


@pytest.mark.parametrize(("strategy", "size"), WORLDS)
def test_a_resumed_run_equals_one_that_never_stopped_to_the_bit(tmp_path, strategy, size):
    losses, weights = in_processes(size, tmp_path / "whole", strategy, 9)
    in_processes(size, tmp_path / "cut", strategy, 6, save_at=[5])
    resumed, resumed_weights = in_processes(size, tmp_path / "cut", strategy, 9)
    assert resumed == {step: loss for step, loss in losses.items() if step > 5}
    assert equal(weights, resumed_weights)


@pytest.mark.parametrize(("saver", "saver_size"), WORLDS)
def test_any_strategy_goes_on_from_any_other(tmp_path, saver, saver_size):
    expected_losses, expected = in_processes(1, tmp_path / "whole", "single", 8, dropout=0.0)
    in_processes(saver_size, tmp_path / "run", saver, 4, save_at=[4], dropout=0.0)
    for loader, loader_size in WORLDS:
        losses, weights = in_processes(loader_size, tmp_path / "run", loader, 8, dropout=0.0)
        assert losses == pytest.approx({s: expected_losses[s] for s in (5, 6, 7, 8)}, rel=1e-5)
        assert furthest(expected, weights) < 2e-5


def test_only_the_newest_are_kept_and_a_step_can_be_saved_twice(tmp_path):
    model, checkpoints = Net(), Checkpoints(tmp_path / "c", keep=2)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in (1, 2, 10, 10):
        checkpoints.save(step, model, optimizer)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [
        "step-00000002",
        "step-00000010",
    ]
    assert checkpoints.latest() == tmp_path / "c" / "step-00000010"


def test_who_writes_what_is_planned_again_only_where_tensors_came(tmp_path):
    plans, equal = zip(*forked(2, _save_thrice, tmp_path / "c"), strict=True)
    assert plans == (2, 0)  # before and behind the first state of the optimizer; by one for all
    assert all(equal)


def _save_thrice(folder):
    from torch.distributed.checkpoint import default_planner

    planned, make = [], default_planner.create_default_global_save_plan
    default_planner.create_default_global_save_plan = lambda p: planned.append(p) or make(p)
    world = dist.init(timeout_s=20)
    model = training.parallel(Net(), "fsdp", world)
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoints = Checkpoints(folder, world=world)
    checkpoints.save(1, model, optimizer)
    for step in (2, 3):
        model(torch.ones(4, 6)).sum().backward()
        optimizer.step()
        checkpoints.save(step, model, optimizer)
    other = training.parallel(Net(), "fsdp", world)
    checkpoints.load(checkpoints.latest(), other, torch.optim.AdamW(other.parameters()))
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    dist.close()
    return len(planned), all(torch.equal(a.to_local(), b.to_local()) for a, b in pairs)


def test_without_a_checkpoint_there_is_no_latest(tmp_path):
    assert Checkpoints(tmp_path / "none").latest() is None


def test_saving_before_the_first_step_changes_nothing(tmp_path):
    model, checkpoints = Net(), Checkpoints(tmp_path)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    checkpoints.save(0, model, optimizer)
    assert equal(before, model.state_dict())
    assert not optimizer.state
    assert checkpoints.load(checkpoints.latest(), model, optimizer) == {"step": 0}
    assert not optimizer.state


def test_gradients_that_lie_about_do_not_disturb_loading(tmp_path):
    train(tmp_path, "single", 3, save_at=[3])
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 6)).sum().backward()
    Checkpoints(tmp_path).load(tmp_path / "step-00000003", model, optimizer)
    assert {float(state["step"]) for state in optimizer.state.values()} == {3.0}


def saved_alone(folder):
    dist.GRACE_S = -58  # so that torch's own limit comes before that of the watch
    world = dist.init(timeout_s=60)
    if world.rank == 0:
        try:
            model = Net()
            Checkpoints(folder, world=world).save(1, model, torch.optim.AdamW(model.parameters()))
        except UserError as error:
            return str(error)
    else:
        time.sleep(4)  # in user code: `if world.is_main: checkpoints.save(...)`
    return ""


def test_a_save_that_one_process_calls_alone_fails_in_time_and_leaves_no_checkpoint(tmp_path):
    told, _ = forked(2, saved_alone, tmp_path)
    found, fix = told.splitlines()
    assert found.startswith("waited in vain for the other processes, as where one saves")
    assert "never one under `if world.is_main:`" in fix
    assert Checkpoints(tmp_path).latest() is None and not list(tmp_path.iterdir())


def test_what_was_given_to_save_comes_back_and_people_can_read_it(tmp_path):
    train(tmp_path, "single", 1, save_at=[1])
    found = Checkpoints(tmp_path).load(tmp_path / "step-00000001", Net())
    assert found == {"step": 1, "note": "kept"}
    about = json.loads((tmp_path / "step-00000001" / "run.json").read_text())
    assert about["processes"] == 1 and about["optimizer"] == "AdamW"


def test_hyperparameters_are_those_of_the_code(tmp_path):
    train(tmp_path, "single", 1, save_at=[1])
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=0.25)
    Checkpoints(tmp_path).load(tmp_path / "step-00000001", model, optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["weight_decay"] == 0.25


OLD = "step-00000001"
FILES = [".metadata", "__0_0.distcp", "rank-00000.pt", "run.json"]


@pytest.mark.parametrize("harm", ["flip", "cut", "delete"])
@pytest.mark.parametrize("name", FILES)
def test_damage_to_any_file_is_found_and_named(tmp_path, harm, name):
    train(tmp_path, "single", 2, save_at=[2])
    path = tmp_path / "step-00000002"
    assert sorted(file.name for file in path.iterdir()) == FILES
    file = path / name
    content = bytearray(file.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 0x40 if file.suffix != ".json" else 0xFF
    file.write_bytes(content[: len(content) // 3] if harm == "cut" else content)
    if harm == "delete":
        file.unlink()
    model = Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=r"step-00000002 is damaged: .*\n  fix: checkpoints.latest"):
        Checkpoints(tmp_path).load(path, model)
    assert equal(before, model.state_dict())


def damage(checkpoint, name="__0_0.distcp"):
    with (checkpoint / name).open("r+b") as file:
        file.write(b"!")


def test_after_damage_the_one_before_it_is_taken_and_that_is_said(tmp_path, capfd):
    train(tmp_path, "single", 3, save_at=[1, 2, 3], keep=3)
    damage(tmp_path / "step-00000003")
    (tmp_path / "step-00000002" / "run.json").unlink()
    capfd.readouterr()
    losses, _ = train(tmp_path, "single", 4, keep=3)
    assert sorted(losses) == [2, 3, 4]
    told = capfd.readouterr().out
    assert "step-00000003 is damaged: __0_0.distcp is not as it was written\n  the one" in told
    assert "step-00000002 is damaged: " in told and "No such file" in told


def test_a_checkpoint_that_a_tool_copied_away_and_back_is_found_and_whole(tmp_path):
    _, weights = train(tmp_path / "here", "single", 2, save_at=[1, 2])
    shutil.copytree(tmp_path / "here" / "step-00000002", tmp_path / "back" / "step-00000002")
    assert equal(train(tmp_path / "back", "single", 2)[1], weights)


def test_where_none_is_whole_that_is_an_error_and_not_a_new_beginning(tmp_path):
    train(tmp_path, "single", 2, save_at=[1, 2])
    for path in tmp_path.iterdir():
        damage(path)
    with pytest.raises(UserError, match=r"no checkpoint in .* is whole\n  fix: rm -r .* anew"):
        train(tmp_path, "single", 3)


def test_damaged_checkpoints_do_not_push_out_those_saved_after_going_back(tmp_path):
    train(tmp_path, "single", 9, save_at=[5, 9])
    damage(tmp_path / "step-00000009")
    train(tmp_path, "single", 7, save_at=[7], keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000007"]


def newest_of_damaged(folder):
    world, model = dist.init(timeout_s=20), Net()
    checkpoints = Checkpoints(folder, world=world)
    newest = checkpoints.latest()
    step = checkpoints.load(newest, model)["step"]
    damage(newest, f"__{world.rank}_0.distcp")
    world.barrier()
    try:
        Checkpoints(folder, world=world).latest()
    except UserError as error:
        return step, str(error)
    return step, ""


def test_damage_that_one_process_finds_lets_all_take_the_same_one_before_it(tmp_path, capfd):
    in_processes(2, tmp_path, "fsdp", 2, save_at=[1, 2])
    damage(tmp_path / "step-00000002", "__1_0.distcp")
    answers = forked(2, newest_of_damaged, tmp_path)
    assert {step for step, _ in answers} == {1}
    assert all("is whole" in error for _, error in answers)
    told = capfd.readouterr().out
    assert "step-00000002 is damaged: see the other processes\n" in told
    assert "step-00000002 is damaged: __1_0.distcp is not as it was written\n" in told


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Net(width=4), r"first.bias is \[8\] there, \[4\] here"),
        (nn.Linear(6, 8), r"bias is missing there, \[8\] here"),
        (nn.Module(), r"first.bias is \[8\] there, missing here"),
    ],
    ids=["other size", "other names", "less"],
)
def test_a_checkpoint_of_another_model_is_refused_by_name_and_shape(tmp_path, model, named):
    train(tmp_path, "single", 1, save_at=[1])
    with pytest.raises(UserError, match=f"is of another model: {named}\n  fix: "):
        Checkpoints(tmp_path).load(tmp_path / "step-00000001", model)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    train(tmp_path, "single", 1, save_at=[1])
    model = Net()
    with pytest.raises(UserError, match="was saved with AdamW, not SGD"):
        Checkpoints(tmp_path).load(
            tmp_path / "step-00000001", model, torch.optim.SGD(model.parameters())
        )


def test_an_unknown_format_is_refused(tmp_path):
    train(tmp_path, "single", 1, save_at=[1])
    file = tmp_path / "step-00000001" / "run.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(UserError, match="has format 99, this library reads 1"):
        Checkpoints(tmp_path).load(tmp_path / "step-00000001", Net())


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder])
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def save_until_full(folder, in_background):
    world = dist.init(timeout_s=20)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoints = Checkpoints(folder / "c", world=world)
    writer = checkpoints.writer = BackgroundWriter(world) if in_background else None
    checkpoints.save(1, model, optimizer)
    if writer:
        writer.finish()
    if world.is_main:
        (folder / "ballast").write_bytes(b"0" * 2000)
    world.barrier()
    big = nn.Linear(300, 300)
    try:
        checkpoints.save(2, big, torch.optim.AdamW(big.parameters()))
        if writer:
            writer.finish()
    except UserError as error:
        message = str(error)
    dist.close()
    return message


@pytest.mark.parametrize("size", [1, 2])
def test_a_full_disk_is_said_and_leaves_the_old_checkpoint_whole(small_disk, size):
    for message in forked(size, save_until_full, small_disk, False):
        assert message.startswith("step 2 could not be saved in ")
        assert "\n  fix: make room" in message
    assert [path.name for path in (small_disk / "c").iterdir()] == ["step-00000001"]
    Checkpoints(small_disk / "c").load(small_disk / "c" / "step-00000001", Net())


KILLS = int(os.environ.get("KILLS", 0))
STORMS = [
    ("single", 1, False, 3),
    ("single", 1, True, 2),
    ("fsdp", 2, False, 0),
    ("fsdp", 2, True, 0),
]


def newest_in(folder):
    return max((int(path.name[5:]) for path in folder.glob("step-*")), default=0)


class Told(Checkpoints):
    """Adds each step to a file, once it is said to be saved."""

    def save(self, step, *state, **more):
        super().save(step, *state, **more)
        if self.world.is_main:
            with (self.folder.parent / "told").open("a") as told:
                told.write(f"{step}\n")


def endless(folder, strategy, size, in_background, port):
    os.setsid()
    torch.set_num_threads(1)  # a fork has not those of its parent, and would wait for them
    os.environ |= {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(size - 1 if size > 1 and os.fork() else 0)
    training.Checkpoints, steps = Told, range(10**6)
    train(folder, strategy, 10**6, save_at=steps, keep=1, in_background=in_background)


@pytest.mark.parametrize(("strategy", "size", "in_background", "quick"), STORMS)
def test_killed_at_any_instant_nothing_is_lost_but_the_step_in_flight(
    tmp_path, strategy, size, in_background, quick
):
    """kill -9 while every step is saved: a few times here, a hundred times in `make storm`."""
    folder, reached = tmp_path / "c", 0
    if not (kills := KILLS or quick):
        pytest.skip("two processes are killed in `make storm`")
    (tmp_path / "told").touch()
    for kill in range(kills):
        given = folder, strategy, size, in_background, free_port()
        process = multiprocessing.get_context("fork").Process(target=endless, args=given)
        process.start()
        end = time.monotonic() + 60
        while newest_in(folder) <= reached:
            assert process.is_alive() and time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.0137 * kill % 0.2)  # somewhere in a step or in a save
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        reached = Checkpoints(folder).load(Checkpoints(folder).latest(), Net())["step"]
        last = int(((tmp_path / "told").read_text().split() or [0])[-1])
        # In the background a save says, by returning, that the one before it is on disk.
        assert reached >= last - in_background
    losses, weights = in_processes(size, tmp_path / "whole", strategy, reached + 3)
    resumed, resumed_weights = in_processes(size, folder, strategy, reached + 3)
    assert resumed == {step: losses[step] for step in range(reached + 1, reached + 4)}
    assert equal(weights, resumed_weights)


def test_what_a_killed_process_left_is_swept_at_the_next_save(tmp_path):
    shutil.copytree(Path(__file__).parent, tmp_path / ".step-00000007")
    train(tmp_path, "single", 1, save_at=[1])
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


class Disk:
    """How files and folders were when they were last synced, and what was renamed meanwhile."""

    def __init__(self, monkeypatch):
        self.synced, self.events = {}, []
        fsync, rename, replace = os.fsync, os.rename, os.replace

        def watched_fsync(descriptor):
            fsync(descriptor)
            found = os.fstat(descriptor)
            self.synced[found.st_ino] = self._state(found)
            self.events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

        def watched(move):
            def moved(source, target, **more):
                unsynced = () if Path(target).name[0] == "." else self.unsynced(Path(source))
                self.events.append((Path(source).name, Path(target).name, unsynced))
                move(source, target, **more)

            return moved

        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(os, "rename", watched(rename))
        monkeypatch.setattr(os, "replace", watched(replace))

    @staticmethod
    def _state(found):
        return found.st_size, found.st_mtime_ns

    def unsynced(self, path):
        """What of a file, or of a folder and all in it, was changed since it was synced."""
        everything = [path, *path.rglob("*")]
        states = {file.name: (file.stat().st_ino, self._state(file.stat())) for file in everything}
        return tuple(name for name, (i, state) in states.items() if self.synced.get(i) != state)


def saved_while_watched(folder):
    world = dist.init(timeout_s=20) if "RANK" in os.environ else World()
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk, model = Disk(monkeypatch), Net()
        checkpoints = Checkpoints(folder / "new" / "c", keep=1, world=world)
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(2, 6)).sum().backward()
        optimizer.step()
        checkpoints.save(1, model, optimizer)
        checkpoints.save(2, model, optimizer)
        save_weights(folder / "weights.pt", model, world)
    if world.size > 1:
        dist.close()
    return disk.synced, disk.events


def test_nothing_is_renamed_before_it_is_on_disk(tmp_path):
    _, events = saved_while_watched(tmp_path)
    renamed = {event[1]: event[2] for event in events if isinstance(event, tuple)}
    assert renamed.keys() > {"step-00000001", "step-00000002", "run.json", "weights.pt"}
    assert not {target: unsynced for target, unsynced in renamed.items() if unsynced}


def test_what_many_processes_write_is_on_disk_too(tmp_path):
    synced = {}
    for mine, _ in forked(2, saved_while_watched, tmp_path):
        synced |= mine
    files = [*(tmp_path / "new" / "c" / "step-00000002").iterdir()]
    assert len(files) == 6
    for file in files:
        assert synced[file.stat().st_ino] == Disk._state(file.stat()), file.name


def test_an_old_checkpoint_goes_only_when_the_new_one_is_durable(tmp_path):
    _, events = saved_while_watched(tmp_path)
    published = events.index((".step-00000002", "step-00000002", ()))
    dropped = events.index((OLD, f".{OLD}", ()))
    assert "c" in events[published:dropped]


def test_the_folders_above_a_first_checkpoint_are_on_disk_too(tmp_path):
    _, events = saved_while_watched(tmp_path)
    published = events.index((".step-00000001", "step-00000001", ()))
    assert {tmp_path.name, "new", "c"} < set(events[:published])


def weights_of(folder, strategy):
    world = dist.init(timeout_s=20)
    from training import parallel

    torch.manual_seed(0)
    save_weights(folder / "weights.pt", parallel(Net(), strategy, world), world)
    dist.close()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "compiled"])
def test_weights_are_one_file_that_loads_into_the_plain_model(tmp_path, strategy):
    forked(2, weights_of, tmp_path, strategy)
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    torch.manual_seed(0)
    plain = Net()
    assert equal(plain.state_dict(), weights)
    plain.load_state_dict(weights)


def test_only_tensors_reach_the_files_that_contain_pickles(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.state[model.weight]["note"] = "text"
    with pytest.raises(TypeError, match="only tensors can be saved, and optimizer.weight.note"):
        Checkpoints(tmp_path).save(1, model, optimizer)
