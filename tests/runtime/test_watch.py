"""A run that hangs is over within a set time, and each of its processes says where it stood."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import forked

from runtime import dist
from runtime.watch import Watch

HANGING = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from runtime import dist
from runtime.stop import Stop


def read_for_ever():
    threading.Event().wait()


def main():
    world = dist.init(timeout_s=2)
    stop = Stop(world)
    for step in range(100):
        if step == 5 and world.rank == 1:
            read_for_ever()
        stop.requested()


main()
"""


def test_a_step_that_hangs_ends_with_every_process_and_its_place_named(tmp_path: Path) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(HANGING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script), str(Path(__file__).parents[2])],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode != 0
    for rank in (0, 1):
        title = f"process {rank} of 2 has stood still for 2 s (--timeout), here:\n"
        assert done.stderr.count(title) == 1, done.stderr
    assert "in read_for_ever" in done.stderr
    assert "stop.requested()" in done.stderr and "in highest_soon" in done.stderr


def in_a_child(function, *args):
    """The exit code of a forked process that calls this."""
    child = os.fork()
    if child == 0:
        function(*args)
        os._exit(0)
    return child


def slow_but_moving(steps, seconds):
    watch = Watch("it", 1)
    for _ in range(steps):
        time.sleep(seconds)
        watch.moved()


def code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("seconds", "code"), [(0.5, 0), (30, 1)])
def test_a_slow_step_goes_on_and_one_without_end_does_not(seconds, code, capfd):
    assert code_of(in_a_child(slow_but_moving, 5, seconds)) == code
    assert ("in slow_but_moving" in capfd.readouterr().err) is bool(code)


def test_a_process_that_was_suspended_has_not_stood_still():
    child = in_a_child(slow_but_moving, 4, 0.4)
    os.kill(child, signal.SIGSTOP)
    time.sleep(2)
    os.kill(child, signal.SIGCONT)
    assert code_of(child) == 0


def validating(batches):
    from runtime.data import eval_batches
    from runtime.world import World

    class Watched(World):
        watch = Watch("it", 1)

        def moved(self):
            self.watch.moved()

    for _ in eval_batches(list(range(batches)), 1, world=Watched()):
        time.sleep(0.4)


def test_a_long_validation_moves_with_every_batch():
    assert code_of(in_a_child(validating, 5)) == 0


def prepare_for_long(seconds: float) -> str:
    dist.GRACE_S = 0
    world = dist.init(timeout_s=1)
    with world.main_first():
        if world.is_main:
            time.sleep(seconds)
    world.barrier()
    assert world.watch
    world.watch.seconds = 60  # to leave may take long where much else runs
    dist.close()
    return "done"


def test_preparing_data_is_no_standing_still_however_long_it_takes() -> None:
    assert forked(2, prepare_for_long, 3) == ["done", "done"]


def still_after_a_failure() -> None:
    watch = Watch("it", 1)
    with contextlib.suppress(OSError), watch.paused():
        raise OSError
    time.sleep(30)


def test_after_a_failed_preparation_time_counts_again(capfd: pytest.CaptureFixture[str]) -> None:
    assert code_of(in_a_child(still_after_a_failure)) == 1
    assert "in still_after_a_failure" in capfd.readouterr().err
