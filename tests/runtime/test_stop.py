"""Leaving in good order: a signal asks, the loop answers between two steps."""

import os
import signal
import threading
import time

import pytest
import torch
from forked import forked
from training import Net, train

from runtime import dist
from runtime.checkpoint import Checkpoints
from runtime.stop import MOST_STEPS, SOON_S, Stop, leave_on_signal


@pytest.fixture(autouse=True)
def handlers():
    """The signal handlers as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_asks_for_a_stop_and_sets_the_exit_code(number, capsys):
    stop = Stop()
    assert not stop.requested()
    assert stop.exit_code == 0
    os.kill(os.getpid(), number)
    assert stop.requested()
    assert stop.exit_code == 128 + number
    assert "stopping after this step" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_before_there_is_a_step_to_save_a_signal_ends_the_process_quietly(number, capfd):
    leave_on_signal()
    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert capfd.readouterr() == ("", "")
    stop = Stop()
    os.kill(os.getpid(), number)
    assert stop.requested()


def test_a_signal_while_a_checkpoint_is_read_is_no_damage(tmp_path, monkeypatch):
    train(tmp_path, "single", 1, save_at=[1])
    leave_on_signal()
    read = torch.distributed.checkpoint.FileSystemReader.read_data

    def interrupted(*given):
        os.kill(os.getpid(), signal.SIGINT)
        return read(*given)

    monkeypatch.setattr(torch.distributed.checkpoint.FileSystemReader, "read_data", interrupted)
    with pytest.raises(SystemExit) as ended:
        Checkpoints(tmp_path).load(tmp_path / "step-00000001", Net())
    assert ended.value.code == 130


def test_a_signal_while_a_checkpoint_is_written_lets_it_be_finished(tmp_path, monkeypatch):
    stop, model = Stop(), Net()
    written = torch.distributed.checkpoint.FileSystemWriter.write_data

    def interrupted(*given):
        os.kill(os.getpid(), signal.SIGUSR1)
        return written(*given)

    monkeypatch.setattr(torch.distributed.checkpoint.FileSystemWriter, "write_data", interrupted)
    Checkpoints(tmp_path).save(1, model, torch.optim.AdamW(model.parameters()))
    assert stop.requested()
    assert Checkpoints(tmp_path).load(tmp_path / "step-00000001", Net())["step"] == 1


def test_a_second_ctrl_c_ends_at_once():
    Stop()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_torchrun_hands_a_ctrl_c_on_to_processes_that_have_got_it_and_that_is_no_second_one(
    monkeypatch,
):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    stop = Stop()
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.requested()
    assert stop.exit_code == 130


def test_a_torchrun_that_is_gone_counts_as_a_signal(monkeypatch):
    stop = Stop()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert not stop.requested(), "a shell may end before what it started"
    monkeypatch.undo()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    stop = Stop()
    assert not stop.requested()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert stop.requested()
    assert stop.exit_code == 143


def test_another_thread_than_the_main_one_sets_no_handler():
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=Stop)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def signalled(rank, seconds):
    world = dist.init(timeout_s=20)
    stop = Stop(world)
    steps, asked, began = 0, 0, time.monotonic()
    ask = world.highest_soon

    def counted(*values):
        nonlocal asked
        asked += 1
        return ask(*values)

    world.highest_soon = counted
    while time.monotonic() < began + 20:
        steps += 1
        time.sleep(seconds)
        if steps == 100 * (seconds == 0) + 5 and world.rank == rank:
            os.kill(os.getpid(), signal.SIGTERM)
        if stop.requested():
            break
    dist.close()
    return steps, asked, stop.exit_code


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_all_at_the_same_step(rank):
    assert forked(2, signalled, rank, 2 * SOON_S) == [(6, 6, 143), (6, 6, 143)]


@pytest.mark.parametrize("rank", [0, 1])
def test_where_steps_are_quick_processes_ask_each_other_seldom(rank):
    one, other = forked(2, signalled, rank, 0)
    assert one == other
    steps, asked, code = one
    assert 105 < steps <= 105 + 2 * MOST_STEPS and code == 143
    assert asked < steps / 4
