"""mpirun.sh under Debian's Open MPI, with two processes. `make cluster` runs these."""

import functools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paced import QUICK, generate, losses, until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not shutil.which("mpirun"), reason="apt-get install openmpi-bin"),
]
SETTINGS = [*QUICK, "--steps=60", "--save-every=1000", "--workers=1"]
PATIENCE_S = 300


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    launchers = ["--with=launcher=mpi", "--with=launcher=torchrun"]
    folder = tmp_path_factory.mktemp("mpi") / "proj"
    return generate(folder, "--strategy=ddp", *launchers, "--with=gpus=0")


def start(project: Path, script: str, **given: str) -> subprocess.Popen[str]:
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    usual = as_root | {"PATH": path, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "PROCESSES": "2"}
    return subprocess.Popen(
        ["bash", f"launch/{script}", *SETTINGS],
        cwd=project,
        env=os.environ | usual | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


def has_gone_on(project: Path, before: int) -> bool:
    return len(losses(project, "proj")) > before + 2


def test_it_saves_when_told_to_end_and_goes_on_as_a_run_of_torchrun(project: Path) -> None:
    code, said = ended(start(project, "torchrun.sh", RUN="calm"))
    assert code == 0, said
    for number in (signal.SIGTERM, signal.SIGINT):
        running = start(project, "mpirun.sh", PACE="0.1")
        seen = functools.partial(has_gone_on, project, len(losses(project, "proj")))
        until(seen, PATIENCE_S, "three steps more")
        running.send_signal(number)
        code, said = ended(running)
        assert code == 128 + signal.SIGUSR1 and "saved step" in said and "2 × cpu" in said, said
    code, said = ended(start(project, "mpirun.sh"))
    assert code == 0 and "resumed from step" in said, said
    assert len(losses(project, "proj")) == 60
    assert losses(project, "proj") == losses(project, "calm")


def test_more_gpus_than_there_are_end_the_run(project: Path) -> None:
    code, said = ended(start(project, "mpirun.sh", GPUS="99", RUN="many"))
    assert code == 1
    assert "GPUs that torch can use, expected 99\n  fix: GPUS=" in said.replace("\r", "")
    assert not (project / "runs/many").exists()
