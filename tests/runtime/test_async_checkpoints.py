"""Checkpoints written in the background: as complete, as exact, and no sooner there."""

import threading
import time
import traceback

import pytest
import torch
from forked import forked
from matrix.test_matrix import generate
from projects_trained import trained
from test_checkpoint import equal, in_processes, save_until_full, small_disk  # noqa: F401
from torch import nn
from training import Net, parallel, train

from runtime import dist, tensors
from runtime.async_checkpoints import BackgroundWriter
from runtime.checkpoint import Checkpoints
from runtime.errors import UserError
from runtime.safetensors import read_weights
from runtime.tensors import local_part
from runtime.world import World


def prepared(folder, **options):
    """Checkpoints with a writer, a model, and its optimizer after a step."""
    checkpoints = Checkpoints(folder, **options)
    checkpoints.writer = BackgroundWriter()
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    step(model, optimizer)
    return checkpoints, model, optimizer


def step(model, optimizer):
    model(torch.ones(2, 6)).sum().backward()
    optimizer.step()


def loaded(folder, number):
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())
    Checkpoints(folder).load(folder / f"step-{number:08d}", model, optimizer)
    return everything(model, optimizer)


def everything(model, optimizer):
    return {name: x.clone() for name, x in tensors.collect(model, optimizer, {}).items()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("strategy", "size"), [("single", 1), ("ddp", 2), ("fsdp", 2)])
def test_a_run_resumes_to_the_bit_from_what_was_written_behind_it(tmp_path, strategy, size):
    losses, weights = in_processes(size, tmp_path / "whole", strategy, 9, decay=0.9)
    behind = {"in_background": True, "decay": 0.9}
    in_processes(size, tmp_path / "cut", strategy, 7, save_at=[1, 3, 4, 5], **behind)
    resumed, resumed_weights = in_processes(size, tmp_path / "cut", strategy, 9, **behind)
    assert resumed == {step: loss for step, loss in losses.items() if step > 5}
    assert equal(weights, resumed_weights)
    assert names(tmp_path / "cut") == ["step-00000004", "step-00000005"]


def test_a_checkpoint_appears_and_an_old_one_goes_only_when_it_is_durable(tmp_path, monkeypatch):
    checkpoints, model, optimizer = prepared(tmp_path, keep=1)
    checkpoints.save(1, model, optimizer)
    checkpoints.writer.finish()
    written, go_on, write = threading.Event(), threading.Event(), tensors.write

    def slow(*args):
        write(*args)
        written.set()
        assert go_on.wait(30)

    monkeypatch.setattr(tensors, "write", slow)
    checkpoints.save(2, model, optimizer)
    checkpoints.writer.wait_for_copy()
    assert written.wait(30)
    assert names(tmp_path) == [".step-00000002", "step-00000001"]
    assert checkpoints.latest() == tmp_path / "step-00000001"
    go_on.set()
    checkpoints.writer.finish()
    assert names(tmp_path) == ["step-00000002"]


def test_a_checkpoint_has_the_state_of_its_save_whatever_changes_then(tmp_path):
    checkpoints, model, optimizer = prepared(tmp_path)
    for number in (1, 2):
        hold = threading.Event()
        checkpoints.writer._thread.submit(hold.wait, 30)  # nothing is copied before
        before = everything(model, optimizer)
        checkpoints.save(number, model, optimizer)
        model(torch.ones(2, 6))  # counts in a buffer
        hold.set()
        checkpoints.writer.wait_for_copy()
        step(model, optimizer)
        checkpoints.writer.finish()
        assert not equal(before, everything(model, optimizer))
        assert equal(before, loaded(tmp_path, number))


@pytest.mark.parametrize("fused", [True, False])
def test_weights_that_change_before_the_copy_are_an_error_and_no_checkpoint(tmp_path, fused):
    checkpoints, model, _ = prepared(tmp_path)
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused)
    step(model, optimizer)
    hold = threading.Event()
    checkpoints.writer._thread.submit(hold.wait, 30)
    checkpoints.save(1, model, optimizer)
    step(model, optimizer)
    hold.set()
    with pytest.raises(RuntimeError, match=r"was changed before wait_for_copy\(\) was called"):
        checkpoints.writer.finish()
    assert names(tmp_path) == []


def test_an_error_of_the_writer_is_raised_once_by_the_next_save_or_the_end(tmp_path, monkeypatch):
    checkpoints, model, optimizer = prepared(tmp_path)
    checkpoints.save(1, model, optimizer)
    checkpoints.writer.finish()

    def full(*args):
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(tensors, "write", full)
        checkpoints.save(2, model, optimizer)
        with pytest.raises(UserError, match="step 2 could not be saved in .*: the disk is full"):
            checkpoints.save(3, model, optimizer)
        checkpoints.save(4, model, optimizer)
        with pytest.raises(UserError, match="step 4 could not"):
            checkpoints.writer.finish()
    assert names(tmp_path) == ["step-00000001"]
    checkpoints.save(5, model, optimizer)
    checkpoints.writer.finish()
    assert names(tmp_path) == ["step-00000001", "step-00000005"]


@pytest.mark.parametrize("size", [1, 2])
def test_a_full_disk_is_said_and_leaves_the_old_checkpoint_whole(small_disk, size):  # noqa: F811
    for message in forked(size, save_until_full, small_disk, True):
        assert message.startswith("step 2 could not be saved in ")
        assert "\n  fix: make room" in message
    assert names(small_disk / "c") == ["step-00000001"]
    Checkpoints(small_disk / "c").load(small_disk / "c" / "step-00000001", Net())


def talks_while_it_writes(folder):
    world = dist.init(timeout_s=20)
    model = parallel(Net(), "fsdp", world)
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoints = Checkpoints(folder, 1, world)
    checkpoints.writer = BackgroundWriter(world)
    write, sums = tensors.write, []

    def late(*args):
        time.sleep(0.1 * world.rank)  # so that the two threads meet in another order on each
        write(*args)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tensors, "write", late)
        for number in (1, 2, 3):
            checkpoints.save(number, model, optimizer)
            for i in range(100):
                sums.append(float(world.sum(float(i))[0]) == 2 * i)
                assert world.broadcast(i + world.rank) == i
        checkpoints.writer.finish()
    dist.close()
    return all(sums)


def test_collectives_of_the_writer_and_of_the_training_do_not_mix(tmp_path):
    assert forked(2, talks_while_it_writes, tmp_path) == [True, True]
    assert names(tmp_path) == ["step-00000003"]


def fails_on_one(folder):
    world = dist.init(timeout_s=20)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoints = Checkpoints(folder, 1, world)
    checkpoints.writer = BackgroundWriter(world)
    hold = threading.Event()
    checkpoints.writer._thread.submit(hold.wait, 30)
    checkpoints.save(1, model, optimizer)
    if world.rank:
        with torch.no_grad():
            model.weight += 1
    hold.set()
    try:
        checkpoints.writer.finish()
    except RuntimeError:
        told = traceback.format_exc()
    dist.close()
    return told


def test_a_copy_that_fails_on_one_process_is_an_error_on_all(tmp_path):
    first, second = forked(2, fails_on_one, tmp_path)
    assert "see the other processes" in first and "was changed before" in second


def shard_and_copies(folder):
    world = dist.init(timeout_s=20)
    model = parallel(Net(), "fsdp", world)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 6)).sum().backward()
    optimizer.step()
    checkpoints = Checkpoints(folder, 1, world)
    checkpoints.writer = writer = BackgroundWriter(world)
    places = []
    for number in (1, 2):
        checkpoints.save(number, model, optimizer)
        writer.finish()
        places.append({name: copy.data_ptr() for name, copy in writer._copies.items()})
    shard = sum(local_part(x).nbytes for x in tensors.collect(model, optimizer, {}).values())
    kept = sum(copy.untyped_storage().nbytes() for copy in writer._copies.values())
    dist.close()
    return places[0] == places[1], shard, kept


def test_one_copy_of_the_own_shard_is_kept_and_used_again(tmp_path):
    for used_again, shard, kept in forked(2, shard_and_copies, tmp_path):
        assert used_again and kept == shard


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "size"), [("tp", 2), ("hsdp", 4), ("fsdp-tp", 4), ("pp", 2)])
def test_every_way_to_split_a_model_is_written_to_the_bit(tmp_path, strategy, size):
    losses, weights = {}, {}
    for name, features in [("behind", ("async-checkpoints",)), ("plain", ())]:
        project = generate(tmp_path / name, strategy=strategy, model="gpt", feature=features)
        losses[name] = [line["loss"] for line in trained(project, "gpt", size)]
        weights[name] = [
            read_weights(path) for path in sorted((project / "runs/run/checkpoints").iterdir())
        ]
    assert losses["behind"] == losses["plain"]
    assert len(weights["behind"]) == len(weights["plain"]) == 2
    for one, other in zip(weights["behind"], weights["plain"], strict=True):
        assert equal(one, other)


def test_alone_a_process_writes_as_one_of_many_does(tmp_path):
    train(tmp_path / "a", "single", 2, save_at=[2], in_background=True)
    train(tmp_path / "b", "single", 2, save_at=[2])
    one, other = (tmp_path / name / "step-00000002" for name in "ab")
    assert names(one) == names(other)
    assert World().aside().size == 1
    assert equal(loaded(one.parent, 2), loaded(other.parent, 2))
