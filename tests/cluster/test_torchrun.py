"""torchrun.sh on several machines: cut off and back, fewer, more; the losses stay the same.

Two torchruns on this machine and, for root, one in each of two network namespaces with a cable
between them. `make cluster` runs these.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paced import QUICK, generate, losses, until
from ports import free_port
from two_hosts import Host, two_hosts

pytestmark = pytest.mark.cluster
STEPS = 40
SETTINGS = [*QUICK, f"--steps={STEPS}", "--save-every=5", "--timeout=15", "--dropout=0"]
SETTINGS += ["--workers=0"]
PATIENCE_S = 400
HERE = None  # this machine as it is
Start = Callable[..., "Torchrun"]


class Torchrun:
    """One machine's torchrun, and what it and its processes have said so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    def said(self) -> str:
        return self.log.read_text()

    def code(self) -> int:
        """Its exit code, once it has one."""
        return self.process.wait(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun") / "proj"
    return generate(folder, "--strategy=ddp", "--with=launcher=torchrun", "--with=gpus=0")


@pytest.fixture
def start(project: Path, tmp_path: Path) -> Iterator[Start]:
    with starting(project, tmp_path) as start:
        yield start


@contextlib.contextmanager
def starting(project: Path, logs: Path) -> Iterator[Start]:
    """Starts torchrun.sh on a machine; all end with the block."""
    started: list[Torchrun] = []

    def start(host: Host | None, apart: Path | None = None, **given: str) -> Torchrun:
        words = ["bash", "launch/torchrun.sh", *SETTINGS]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        usual = {"PATH": path, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "PACE": "0.1"}
        log = logs / f"log-{len(started)}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                host.command(*words, apart=apart) if host else words,
                cwd=project,
                env=os.environ | usual | given,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        started.append(Torchrun(process, log))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.process.send_signal(signal.SIGTERM)
        for one in started:
            one.process.wait(timeout=120)


@pytest.fixture(scope="module")
def calm(project: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, float]]:
    """The losses of a run of two processes that nothing happened to."""
    with starting(project, tmp_path_factory.mktemp("calm")) as start:
        assert start(HERE, PROCESSES="2", RUN="calm", PACE="0").code() == 0
    found = losses(project, "calm")
    assert [step for step, _ in found] == [*range(1, STEPS + 1)]
    return found


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    """Two machines, of which the first, where they meet, is the last in the alphabet."""
    if os.geteuid():
        pytest.skip("only root can make network namespaces")
    with two_hosts(tmp_path, "zoe", "ada") as found:
        yield found


def equal(some: list[tuple[int, float]], others: list[tuple[int, float]]) -> bool:
    return [step for step, _ in some] == [step for step, _ in others] and all(
        math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)
        for (_, one), (_, other) in zip(some, others, strict=True)
    )


def has_begun(project: Path, run: str, step: int = 7) -> Callable[[], bool]:
    return lambda: len(losses(project, run)) >= step


def test_two_of_them_are_one_run(
    project: Path, start: Start, calm: list[tuple[int, float]]
) -> None:
    given = {"NODES": "2", "HEAD": f"127.0.0.1:{free_port()}", "RUN": "two"}
    both = [start(HERE, **given) for _ in range(2)]
    assert [one.code() for one in both] == [0, 0]
    assert equal(losses(project, "two"), calm)


def test_one_that_is_started_later_joins(
    project: Path, start: Start, hosts: list[Host], calm: list[tuple[int, float]]
) -> None:
    given = {"NODES": "1:2", "HEAD": "zoe", "RUN": "later"}
    first = start(hosts[0], **given)
    until(has_begun(project, "later"), PATIENCE_S, "seven steps of the first alone")
    second = start(hosts[1], **given)  # and has process 0, as torch counts by name
    assert [first.code(), second.code()] == [0, 0]
    said = first.said() + second.said()
    assert "1 × cpu" in said and "2 × cpu" in said and "resumed from step" in said
    assert equal(losses(project, "later"), calm)


def test_a_machine_cut_off_in_the_middle_of_a_step_goes_on_when_it_is_back(
    project: Path, start: Start, hosts: list[Host], calm: list[tuple[int, float]]
) -> None:
    given = {"NODES": "2", "HEAD": "zoe", "RUN": "back"}
    both = [start(host, **given) for host in hosts]
    until(has_begun(project, "back"), PATIENCE_S, "seven steps of two machines")
    hosts[1].cable("down")
    until(lambda: "has stood still" in both[0].said(), PATIENCE_S, "that it is missed")
    hosts[1].cable("up")
    assert [one.code() for one in both] == [0, 0]
    assert "resumed from step 5" in both[0].said() + both[1].said()
    assert equal(losses(project, "back"), calm)


def test_the_others_go_on_without_a_machine_that_was_cut_off(
    project: Path, start: Start, hosts: list[Host], calm: list[tuple[int, float]]
) -> None:
    given = {"NODES": "1:2", "HEAD": "zoe", "RUN": "alone"}
    both = [start(host, **given) for host in hosts]
    until(has_begun(project, "alone"), PATIENCE_S, "seven steps of two machines")
    hosts[1].cable("down")
    assert both[0].code() == 0
    said = both[0].said()
    assert "1 × cpu" in said and "resumed from step 5" in said
    assert equal(losses(project, "alone"), calm)
    hosts[1].cable("up")
    assert both[1].code() != 0, "it learns that the others have ended"


def test_machines_that_do_not_share_their_runs_say_so(
    project: Path, start: Start, hosts: list[Host]
) -> None:
    given = {"NODES": "2", "HEAD": "zoe", "RUN": "apart", "RESTARTS": "0"}
    (project / "runs").mkdir(exist_ok=True)
    both = [start(hosts[0], **given), start(hosts[1], apart=project / "runs", **given)]
    assert 0 not in [one.code() for one in both]
    said = both[0].said() + both[1].said()
    assert "does not see in" in said and "  fix: put the project, or runs/ at least" in said


def test_a_machine_that_would_send_the_others_to_themselves_says_so(
    project: Path, start: Start, hosts: list[Host]
) -> None:
    hosts[1].knows(ada="127.0.1.1", zoe=hosts[0].address)  # as Debian's installer writes it
    given = {"NODES": "2", "HEAD": "zoe", "RUN": "loop", "RESTARTS": "0"}
    both = [start(host, **given) for host in hosts]
    assert 0 not in [one.code() for one in both]
    assert "to itself ada is 127.0.1.1, where the other machines" in both[1].said()
    given |= {"GLOO_SOCKET_IFNAME": "cable", "RUN": "interface"}
    both = [start(host, ADDRESS=host.address, **given) for host in hosts]
    assert [one.code() for one in both] == [0, 0]


def test_a_machine_that_does_not_know_where_they_meet_says_so(
    project: Path, start: Start, hosts: list[Host]
) -> None:
    hosts[0].knows(zoe=hosts[0].address)  # and not ada, the first in the alphabet
    given = {"NODES": "2", "HEAD": hosts[0].address, "RUN": "unknown", "RESTARTS": "0"}
    both = [start(host, **given) for host in hosts]
    assert 0 not in [one.code() for one in both]
    assert "zoe does not know ada, where the processes meet\n  fix: on ada: " in both[0].said()


def test_more_gpus_than_there_are_end_the_run(project: Path, start: Start) -> None:
    one = start(HERE, GPUS="99", RESTARTS="0", RUN="many", PROCESSES="1")
    assert one.code() == 1
    assert "GPUs that torch can use, expected 99\n  fix: GPUS=" in one.said()
