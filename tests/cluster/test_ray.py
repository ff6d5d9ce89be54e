"""ray_train.py on a Ray of this machine alone: two workers, killed, told to end, too many.

`make cluster` makes the environment of Ray and runs these.
"""

import contextlib
import functools
import math
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from paced import QUICK, generate, losses, until
from ports import free_port

BIN = Path(__file__).parents[2] / ".venv-ray/bin"
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not (BIN / "ray").exists(), reason="make .venv-ray/.ready"),
]
STEPS = 60
SETTINGS = [*QUICK, f"--steps={STEPS}", "--save-every=10", "--workers=0", "--dropout=0"]
PATIENCE_S = 400
USUAL = os.environ | {
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "PYTHONPATH": "",
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    launchers = ["--with=launcher=ray", "--with=nodes=2", "--with=gpus=0"]
    return generate(tmp_path_factory.mktemp("ray") / "proj", "--strategy=ddp", *launchers)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a small Ray listens, with two CPUs; it ends with the block."""
    port, log = free_port(), tmp_path_factory.mktemp("log") / "ray"
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        options = ["--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"]
        options += ["--num-cpus=2", "--num-gpus=0", "--object-store-memory=100000000"]
        options += ["--include-dashboard=false", f"--temp-dir={folder}"]
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                [BIN / "ray", "start", *options], env=USUAL, stdout=out, stderr=out
            )
        try:
            until(lambda: "Ray runtime started" in log.read_text(), PATIENCE_S, "the start of Ray")
            yield f"127.0.0.1:{port}"
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)


@dataclass(frozen=True)
class Started:
    """ray_train.py, and what it and those that it started have said so far."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def code(self) -> int:
        return self.process.wait(timeout=PATIENCE_S)


@contextlib.contextmanager
def started(
    project: Path, address: str, log: Path, *settings: str, **given: str
) -> Iterator[Started]:
    words = [BIN / "python", "launch/ray_train.py", *SETTINGS, *settings]
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, cwd=project, env=USUAL | {"RAY_ADDRESS": address} | given, stdout=out, stderr=out
        )
    try:
        yield Started(process, log)
    finally:
        process.kill()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def calm(project: Path) -> list[tuple[int, float]]:
    """The losses of a run that torchrun started, and to which nothing happened."""
    words = [BIN / "torchrun", "--standalone", "--local-addr=localhost", "--nproc-per-node=2"]
    words += ["train.py", "--name=calm", *SETTINGS]
    done = subprocess.run(words, cwd=project, env=USUAL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    found = losses(project, "calm")
    assert [step for step, _ in found] == [*range(1, STEPS + 1)]
    return found


def equal(some: list[tuple[int, float]], others: list[tuple[int, float]]) -> bool:
    return [step for step, _ in some] == [step for step, _ in others] and all(
        math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)
        for (_, one), (_, other) in zip(some, others, strict=True)
    )


def process_of(run: str, rank: int) -> int:
    """The number of a run's process of this rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_text().split("\0")
            told = (folder / "environ").read_text().split("\0")
            if words[1:4] == ["train.py", "--name", run] and f"RANK={rank}" in told:
                return int(folder.name)
    raise LookupError(f"no process {rank} of {run}")


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def has_begun(project: Path, run: str, step: int) -> bool:
    return len(losses(project, run)) >= step


def test_two_workers_train_as_two_processes_of_torchrun(
    project: Path, address: str, calm: list[tuple[int, float]], tmp_path: Path
) -> None:
    with started(project, address, tmp_path / "log") as run:
        assert run.code() == 0, run.said()
        assert "2 × cpu" in run.said() and "done:" in run.said()
    assert equal(losses(project, "proj"), calm)


@pytest.mark.parametrize("which", ["process", "worker"])
def test_one_that_is_killed_is_begun_anew_with_all_others_and_goes_on(
    project: Path, address: str, calm: list[tuple[int, float]], tmp_path: Path, which: str
) -> None:
    with started(project, address, tmp_path / "log", RUN=which, PACE="0.05") as run:
        until(lambda: has_begun(project, which, 15), PATIENCE_S, "fifteen steps")
        own = process_of(which, 1)
        os.kill(own if which == "process" else parent(own), signal.SIGKILL)
        until(lambda: not Path(f"/proc/{own}").exists(), 20, "the end of the worker's process")
        assert run.code() == 0, run.said()
        assert "resumed from step" in run.said() and "in use by process" not in run.said()
    assert equal(losses(project, which), calm)


def test_one_that_is_told_to_end_saves_and_is_not_begun_anew(
    project: Path, address: str, calm: list[tuple[int, float]], tmp_path: Path
) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        before = len(losses(project, "told"))
        with started(project, address, tmp_path / "log", RUN="told", PACE="0.1") as run:
            seen = functools.partial(has_begun, project, "told", before + 3)
            until(seen, PATIENCE_S, "three steps more")
            run.process.send_signal(number)
            assert run.code() == 128 + signal.SIGTERM, run.said()
            assert "saved step" in run.said() and "RETRY" not in run.said()
    with started(project, address, tmp_path / "log", RUN="told") as run:
        assert run.code() == 0 and "resumed from step" in run.said(), run.said()
    assert equal(losses(project, "told"), calm)


def test_what_the_cluster_does_not_have_is_said(
    project: Path, address: str, tmp_path: Path
) -> None:
    for given, told in (({"GPUS": "8"}, "'GPU': 8}"), ({"NODES": "3"}, "room for 3 x {'CPU': 1}")):
        with started(project, address, tmp_path / "log", WAIT="5", RUN="big", **given) as run:
            assert run.code() == 1
            [found, fix] = run.said().splitlines()[-2:]
            assert "in 5 s the Ray cluster had no room for" in found and told in found
            assert "its machines: [{'CPU': 2.0" in found and fix.startswith("  fix: NODES and GPUS")
    assert not (project / "runs/big").exists()


def test_a_setting_that_is_none_is_not_tried_again(
    project: Path, address: str, tmp_path: Path
) -> None:
    with started(project, address, tmp_path / "log", "--setps=5", RUN="typo") as run:
        assert run.code() == 2
        assert "RETRY" not in run.said() and "setps" in run.said()
