"""The batch file under a real SLURM of two nodes: warned, saved, queued again, finished.

`make cluster` runs these; minutes, most of which are spent waiting. MINUTES=8 gives jobs more time
on a machine that has other work.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paced import QUICK, generate, losses, until
from private_slurm import Slurm, running

pytestmark = pytest.mark.cluster
MINUTES = int(os.environ.get("MINUTES", "4"))
PATIENCE_S = 240 * MINUTES
SETTINGS = [*QUICK, "--save-every=1000", "--workers=1"]
ON_CPUS = ["--strategy=ddp", "--with=launcher=slurm", "--with=gpus=0"]
ON_TWO = [*ON_CPUS, "--with=nodes=2"]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs/ the second node has on a disk of its own."""
    project = generate(tmp_path_factory.mktemp("apart") / "proj", *ON_TWO)
    (project / "runs").mkdir()
    return project


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory, apart: Path) -> Iterator[Slurm]:
    folder = Path(__file__).parents[2] / ".slurm"
    with running(folder, tmp_path_factory.mktemp("slurm"), apart=apart / "runs") as found:
        python = f"{Path(sys.executable).parent}:{found.environment['PATH']}"
        yield Slurm(found.environment | {"PATH": python, "PYTHONPATH": ""})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("p") / "proj", *ON_TWO)


def submit(slurm: Slurm, project: Path, options: list[str], *settings: str, **extra: str) -> str:
    """The number of a job that trains a project on one CPU a process."""
    words = ["sbatch", "--parsable", "--cpus-per-task=1", *options, "launch/slurm.sbatch"]
    return slurm(*words, *SETTINGS, *settings, cwd=project, **extra)


def is_over(slurm: Slurm, job: str, project: Path) -> bool:
    """Whether a job has ended; one that queues again begins at once, not after two minutes."""
    state = slurm.state(job, cwd=project)
    if state["JobState"] == "PENDING" and state["Restarts"] != "0":
        slurm.attempt("scontrol", "update", f"JobId={job}", "StartTime=now", cwd=project)
    return state["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


def ended(slurm: Slurm, job: str, project: Path) -> dict[str, str]:
    until(lambda: is_over(slurm, job, project), PATIENCE_S, f"the end of job {job}")
    return slurm.state(job, cwd=project)


def output(project: Path, job: str) -> str:
    return "".join(path.read_text() for path in project.glob(f"*-{job}.out"))


def test_a_warned_job_saves_queues_again_and_ends_with_the_losses_of_one_that_was_not(
    slurm: Slurm, project: Path
) -> None:
    steps = "--steps=400"
    limit = [f"--time={MINUTES}", "--signal=USR1@60"]
    pace = str(MINUTES * 60 / 400 / 4 * 0.85)  # longer than to the warning, shorter than twice that
    warned = submit(slurm, project, limit, steps, PACE=pace)
    found = ended(slurm, warned, project)
    said = output(project, warned)
    assert found["JobState"] == "COMPLETED" and found["Restarts"] != "0", said
    assert "stopping after this step" in said and "resumed from step" in said and "done:" in said
    assert "2 × cpu" in said
    calm = submit(slurm, project, ["--time=60"], steps, RUN="calm")
    assert ended(slurm, calm, project)["Restarts"] == "0"
    assert losses(project, "proj") == losses(project, "calm")
    assert len(losses(project, "calm")) == 400


def test_an_array_is_runs_with_names_and_seeds_of_which_one_alone_queues_again(
    slurm: Slurm, project: Path
) -> None:
    options = ["--array=1-3", "--nodes=1", "--time=60"]
    array = submit(slurm, project, options, "--steps=60", PACE="0.1")
    jobs = {number: f"{array}_{number}" for number in (1, 2, 3)}
    warned = project / "runs/proj-3/metrics.jsonl"  # the last has the number of the whole array
    until(lambda: warned.exists() and warned.read_text(), PATIENCE_S, "the first step of run 3")
    slurm("scancel", "--signal=USR1", jobs[3], cwd=project)
    found = {number: ended(slurm, job, project) for number, job in jobs.items()}
    assert {state["JobState"] for state in found.values()} == {"COMPLETED"}
    assert {number: state["Restarts"] for number, state in found.items()} == {
        1: "0",
        2: "0",
        3: "1",
    }
    for number in jobs:
        settings = (project / f"runs/proj-{number}/config.toml").read_text()
        assert f"seed = {number}\n" in settings
    curves = [losses(project, f"proj-{number}") for number in jobs]
    assert [len(curve) for curve in curves] == [60] * 3
    assert curves[0] != curves[1] != curves[2]


def test_a_cancelled_job_saves_and_does_not_queue_again(slurm: Slurm, project: Path) -> None:
    job = submit(slurm, project, ["--time=60"], "--steps=10000", RUN="cancelled", PACE="0.1")
    metrics = project / "runs/cancelled/metrics.jsonl"
    until(lambda: metrics.exists() and metrics.read_text(), PATIENCE_S, "its first step")
    slurm("scancel", job, cwd=project)
    found = ended(slurm, job, project)
    assert (found["JobState"], found["Restarts"]) == ("CANCELLED", "0")
    checkpoints = project / "runs/cancelled/checkpoints"
    until(lambda: [*checkpoints.glob("step-*")], 60, "its checkpoint")


def test_a_job_without_time_to_save_a_step_says_so_and_does_not_queue_again(
    slurm: Slurm, project: Path
) -> None:
    options = ["--time=1", "--signal=USR1@60"]
    job = submit(slurm, project, options, "--steps=10000", RUN="short", PACE="9")
    found = ended(slurm, job, project)
    assert (found["JobState"], found["Restarts"]) == ("FAILED", "0")
    assert "the time of the job was over before a step was saved\n  fix: " in output(project, job)


def test_machines_that_do_not_share_their_runs_say_so(slurm: Slurm, apart: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can mount a disk for one node")
    job = submit(slurm, apart, ["--time=10"], "--steps=10")
    assert ended(slurm, job, apart)["JobState"] == "FAILED"
    said = output(apart, job)
    for one, other in ((0, 1), (1, 0)):
        told = rf"machine {one} of 2 .+ does not see in .+/runs what machine {other} wrote there\n"
        assert re.search(told, said), said
    assert said.count("  fix: put the project, or runs/ at least, where all machines share it") == 2


def test_what_the_cluster_does_not_have_is_refused_before_the_job(
    slurm: Slurm, project: Path
) -> None:
    for option, told in {
        "--gpus-per-node=3": "Requested node configuration is not available",
        "--nodes=0": "",
    }.items():
        refused = slurm.attempt("sbatch", option, "launch/slurm.sbatch", cwd=project)
        assert refused.returncode == 1
        assert f"Batch job submission failed: {told}" in refused.stderr


def test_a_job_gets_the_gpus_that_it_asks_for_and_a_process_on_each(
    slurm: Slurm, tmp_path: Path
) -> None:
    asks = ["--strategy=ddp", "--with=launcher=slurm", "--with=nodes=2", "--with=gpus=2"]
    folder = generate(tmp_path / "gpus", *asks)
    job = submit(slurm, folder, ["--time=10"], "--steps=10")
    found = ended(slurm, job, folder)
    assert (found["NumNodes"], found["NumTasks"]) == ("2", "4")
    assert found["TresPerNode"] in ("gres:gpu:2", "gres/gpu:2")
    # SLURM counts them here, and behind them is no device, which both machines say.
    assert found["JobState"] == "FAILED" and not (folder / "runs/gpus").exists()
    assert output(folder, job).count(" has 0 GPUs that torch can use, expected 2\n") == 2


@pytest.mark.parametrize("name", ["x.y_z-9", "a" * 64, "0"])
def test_every_name_of_a_project_is_one_for_a_job(slurm: Slurm, tmp_path: Path, name: str) -> None:
    folder = generate(tmp_path / name, *ON_CPUS)
    job = slurm("sbatch", "--parsable", "--hold", "launch/slurm.sbatch", cwd=folder)
    assert slurm.state(job, cwd=folder)["JobName"] == name
    slurm("scancel", job, cwd=folder)
