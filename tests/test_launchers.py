"""Launchers: files beside a train.py that stays as it is, which say at once what cannot be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from projects import Run

from litgen_torch.answers import Answers, complete, read_answers, with_choice, without_choice
from litgen_torch.catalog import packages, questions
from litgen_torch.errors import LitgenError
from litgen_torch.project import from_templates, read_project
from litgen_torch.render import Tree

NAME = "proj"
FILES = {
    "torchrun": ["launch/torchrun.sh"],
    "slurm": ["launch/slurm.sbatch"],
    "mpi": ["launch/mpirun.sh"],
    "docker": [".dockerignore", "launch/Dockerfile", "launch/requirements.txt"],
    "kubernetes": ["launch/kubernetes.yaml", "launch/trainjob.yaml"],
    "skypilot": ["launch/skypilot.yaml"],
    "ray": ["launch/ray_train.py"],
}
SCRIPTS = {name: FILES[name][0] for name in ("torchrun", "slurm", "mpi")}
FOR_MANY = ("torchrun", "mpi", "ray")  # processes, and not for one


def project(**given: str | tuple[str, ...]) -> Tree:
    return from_templates(NAME, complete(questions(), given))


@pytest.mark.parametrize(
    ("launcher", "strategy"),
    [(name, "ddp") for name in FILES] + [(n, "single") for n in FILES if n not in FOR_MANY],
)
def test_a_launcher_leaves_all_code_as_it_is(launcher: str, strategy: str) -> None:
    plain, added = project(strategy=strategy), project(strategy=strategy, launcher=(launcher,))
    several = ["runtime/machines.py"] if strategy == "ddp" and launcher != "docker" else []
    assert added.keys() - plain.keys() == {*FILES[launcher], *several}
    differing = {path for path in plain if plain[path] != added[path]}
    some = {"slurm": {".gitignore"}, "ray": {"pyproject.toml"}}.get(launcher, set())
    assert differing == {"README.md", "AGENTS.md"} | some


@pytest.mark.parametrize("strategy", ["single", "fsdp"])
@pytest.mark.parametrize("data", ["digits", "shards"])
@pytest.mark.parametrize("gpus", ["0", "8"])
def test_every_launcher_is_sound_bash(strategy: str, data: str, gpus: str, tmp_path: Path) -> None:
    numbers = {} if strategy == "single" else {"gpus": gpus}
    launchers = tuple(name for name in SCRIPTS if strategy != "single" or name not in FOR_MANY)
    features = ("time-limit",) if gpus == "8" else ()
    tree = project(strategy=strategy, data=data, launcher=launchers, feature=features, **numbers)
    for path in (SCRIPTS[launcher] for launcher in launchers):
        (tmp_path / "file").write_text(tree[path])
        done = subprocess.run(["bash", "-n", "file"], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), path
        assert tree[path].startswith("#!/usr/bin/env bash\n")
        assert max(map(len, tree[path].splitlines())) <= 104


def test_their_answers_stand_in_their_files() -> None:
    all_of_them = {"strategy": "ddp", "launcher": tuple(FILES)}
    tree = project(**all_of_them, nodes="3", gpus="2", time="1-12:00:00")
    batch = tree["launch/slurm.sbatch"]
    for line in ("--nodes=3", "--ntasks-per-node=2", "--gpus-per-node=2", "--time=1-12:00:00"):
        assert f"#SBATCH {line}" in batch
    for script in (tree["launch/torchrun.sh"], tree["launch/mpirun.sh"]):
        assert "NODES=${NODES:-3}" in script and "GPUS=${GPUS:-2}" in script
    on_cpus = project(**all_of_them, gpus="0")["launch/slurm.sbatch"]
    assert "--ntasks-per-node=1" in on_cpus and "--gpus-per-node" not in on_cpus


NO_ANSWERS = {
    "no machine": ({"nodes": "0"}, "nodes is '0', expected a number of machines"),
    "part of a machine": ({"nodes": "1.5"}, "expected a number of machines"),
    "less than no GPU": ({"gpus": "-1"}, "expected a number of GPUs"),
    "minutes for hours": ({"time": "4:00"}, "expected hours:minutes:seconds"),
    "no time to save": ({"time": "0:09:59"}, "of which the last 5 minutes are kept for saving"),
    "a line of its own": ({"time": "4:00:00\n#SBATCH --wrap=x"}, r"4:00:00\n"),
    "an image of no name": ({"image": "Training:1"}, "expected the name of an image"),
    "an image in quotes": ({"image": 'a"b'}, "expected the name of an image"),
    "a claim in capitals": ({"volume": "Runs"}, "expected a name of Kubernetes"),
    "a claim that is a path": ({"volume": "runs/a"}, "expected a name of Kubernetes"),
}


@pytest.mark.parametrize(("given", "told"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_is_told_with_one_that_is(given: dict[str, str], told: str) -> None:
    with pytest.raises(LitgenError) as refused:
        project(strategy="ddp", launcher=("slurm", "kubernetes"), **given)
    assert told in refused.value.message
    kind, example = refused.value.hint.split()
    assert project(strategy="ddp", launcher=("slurm", "kubernetes"), **{kind: example})


def test_an_answer_without_its_launcher_is_refused_with_what_it_needs() -> None:
    with pytest.raises(
        LitgenError,
        match="^nodes 2 needs launcher other than docker$",
    ):
        project(nodes="2")
    with pytest.raises(LitgenError, match="^nodes 2 and strategy single do not go together"):
        project(nodes="2", strategy="single", launcher=("slurm",))
    with pytest.raises(LitgenError) as refused:
        with_choice(questions(), complete(questions(), {"strategy": "ddp"}), "time", "8:00:00")
    assert refused.value.message == "time needs launcher slurm"
    assert refused.value.hint == "litgen add launcher slurm"


def test_answers_come_and_go_with_their_launchers() -> None:
    plain: Answers = complete(questions(), {"strategy": "ddp"})
    one = with_choice(questions(), plain, "launcher", "torchrun")
    assert one == plain | {"launcher": ("torchrun",), "nodes": "1", "gpus": "8"}
    both = with_choice(
        questions(), with_choice(questions(), one, "nodes", "4"), "launcher", "slurm"
    )
    assert (both["nodes"], both["time"]) == ("4", "4:00:00")
    assert without_choice(questions(), both, "launcher", "torchrun")["nodes"] == "4"
    left = without_choice(questions(), both, "launcher", "slurm")
    assert left == one | {"nodes": "4"}
    assert without_choice(questions(), left, "launcher", "torchrun") == plain


def test_a_number_in_a_file_of_answers_needs_no_quotes() -> None:
    assert read_answers(questions(), {"nodes": 2, "gpus": "4"}) == {"nodes": "2", "gpus": "4"}


def test_a_launcher_is_added_changed_and_removed_in_a_project(litgen: Run, tmp_path: Path) -> None:
    litgen("new", NAME, "--strategy", "ddp", "-y")
    before = read_project(tmp_path / NAME)
    folder = tmp_path / NAME
    assert litgen("add", "slurm", cwd=folder).returncode == 0
    file = folder / "launch/slurm.sbatch"
    file.write_text(file.read_text().replace("--cpus-per-task=4", "--cpus-per-task=9"))
    assert litgen("set", "nodes", "2", cwd=folder).returncode == 0
    assert "#SBATCH --nodes=2\n" in file.read_text() and "--cpus-per-task=9" in file.read_text()
    file.write_text(file.read_text().replace("--cpus-per-task=9", "--cpus-per-task=4"))
    assert litgen("remove", "slurm", cwd=folder).returncode == 0
    after = read_project(folder)
    assert (after.answers, after.base, file.exists()) == (before.answers, before.base, False)


def test_an_answer_that_a_merge_left_without_its_launcher_is_no_damage(
    litgen: Run, tmp_path: Path
) -> None:
    litgen("new", NAME, "--strategy=ddp", "--with=launcher=slurm", "--with=nodes=2", "-y")
    record = tmp_path / NAME / ".litgen/project.toml"
    record.write_text(record.read_text().replace("slurm = true", "slurm = false"))
    answers = read_project(tmp_path / NAME).answers
    assert answers == complete(questions(), {"strategy": "ddp"})


def started(launcher: str, folder: Path, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The script, with an engine that only says what it is given."""
    path = SCRIPTS[launcher]
    for file in (folder / path, folder / "bin" / Path(path).stem):
        file.parent.mkdir(exist_ok=True)
    (folder / path).write_text(project(strategy="ddp", launcher=(launcher,))[path])
    file.write_text('#!/bin/sh\necho "$MASTER_ADDR" "$@"\n')
    file.chmod(0o755)
    environment = {"PATH": f"{file.parent}:{os.environ['PATH']}"} | given
    words = ["bash", path, "--steps", "5"]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


STARTS = {
    "one": ("torchrun", {}, "--standalone --nproc-per-node 8"),
    "a CPU": ("torchrun", {"GPUS": "0"}, "--standalone --nproc-per-node 1"),
    "two": (
        "torchrun",
        {"NODES": "2", "HEAD": "one"},
        "--nnodes 2 --rdzv-backend c10d --rdzv-endpoint one ",
    ),
    "an address": (
        "torchrun",
        {"NODES": "2", "HEAD": "one", "ADDRESS": "10.0.0.2"},
        "--rdzv-id proj --local-addr 10.0.0.2 ",
    ),
    "up to three": (
        "torchrun",
        {"NODES": "1:3", "HEAD": "one", "GPUS": "2"},
        "--deal accumulate=12 train.py",
    ),
    "two to four": (
        "torchrun",
        {"NODES": "2:4", "HEAD": "one:1", "GPUS": "1"},
        "--deal accumulate=12 train",
    ),
    "three": ("torchrun", {"NODES": "3:3", "HEAD": "one"}, "--nnodes 3:3"),
    "one by MPI": ("mpi", {}, "localhost --host localhost:8 --map-by ppr:8:node"),
    "a CPU by MPI": ("mpi", {"GPUS": "0"}, "--host localhost:1 --map-by ppr:1:node"),
    "another by MPI": ("mpi", {"HOSTS": "far"}, "far --host far:8 --map-by ppr:8:node"),
    "two by MPI": (
        "mpi",
        {"NODES": "2", "HOSTS": "one,other", "GPUS": "2"},
        "one --host one:2,other:2 --map-by ppr:2:node",
    ),
}


@pytest.mark.parametrize(("launcher", "given", "told"), STARTS.values(), ids=STARTS)
def test_the_engine_is_started_as_the_variables_say(
    tmp_path: Path, launcher: str, given: dict[str, str], told: str
) -> None:
    done = started(launcher, tmp_path, given)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout and done.stdout.endswith("train.py --name proj --steps 5\n")


BAD = {
    "no machine": ("torchrun", {"NODES": "0"}, "NODES is '0'"),
    "fewer than the fewest": ("torchrun", {"NODES": "4:2", "HEAD": "one"}, "NODES is '4:2'"),
    "three numbers": ("torchrun", {"NODES": "1:2:3", "HEAD": "one"}, "NODES is '1:2:3'"),
    "a word": ("torchrun", {"GPUS": "all"}, "GPUS is 'all'"),
    "no process": ("torchrun", {"PROCESSES": "0"}, "PROCESSES is '0'"),
    "nowhere to meet": ("torchrun", {"NODES": "2"}, "2 machines do not know where to meet"),
    "no machine by MPI": ("mpi", {"NODES": "0"}, "NODES is '0'"),
    "some machines by MPI": ("mpi", {"NODES": "1:2"}, "NODES is '1:2'"),
    "a word by MPI": ("mpi", {"GPUS": "all"}, "GPUS is 'all'"),
    "no process by MPI": ("mpi", {"PROCESSES": "0"}, "PROCESSES is '0'"),
    "no names by MPI": ("mpi", {"NODES": "2"}, "HOSTS names 0 machines, expected 2"),
    "one name by MPI": ("mpi", {"NODES": "2", "HOSTS": "a"}, "HOSTS names 1 machines, expected 2"),
}


@pytest.mark.parametrize(("launcher", "given", "told"), BAD.values(), ids=BAD)
def test_what_cannot_be_started_is_told_in_two_lines(
    tmp_path: Path, launcher: str, given: dict[str, str], told: str
) -> None:
    done = started(launcher, tmp_path, given)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (1, "", 2)
    assert told in lines[0] and lines[1].startswith("  fix: ")


NO_NUMBERS = {"NODES": ("0", "2.5", "-1", "two", ""), "GPUS": ("all", "-1"), "WAIT": ("1 minute",)}
OF_RAY = "FailureConfig = RunConfig = ScalingConfig = TrainingFailedError = None"


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_ray_is_not_asked_for_what_is_no_number(name: str, tmp_path: Path) -> None:
    tree = project(strategy="ddp", launcher=("ray",), nodes="3", gpus="2")
    (tmp_path / "ray_train.py").write_text(tree["launch/ray_train.py"])
    modules = {
        "ray/__init__.py": "",
        "ray/train/__init__.py": OF_RAY,
        "ray/train/collective.py": "broadcast_from_rank_zero = None",
        "ray/train/v2/api/data_parallel_trainer.py": "DataParallelTrainer = None",
    }
    for path, text in modules.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    usual = {"NODES": "3", "GPUS": "2", "WAIT": "60"}[name]
    for value in NO_NUMBERS[name]:
        done = subprocess.run(
            [sys.executable, "ray_train.py"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], name: value},
            capture_output=True,
            text=True,
        )
        [found, fix] = done.stderr.splitlines()
        assert found.startswith(f"{name} is {value!r}, expected a number, at least ")
        assert (done.returncode, fix) == (1, f"  fix: {name}={usual}")


def test_the_batch_file_says_where_it_belongs(tmp_path: Path) -> None:
    text = project(strategy="ddp", launcher=("slurm",))["launch/slurm.sbatch"]
    (tmp_path / "job").write_text(text)
    for job, told in (("", "this is a batch file of SLURM"), ("7", "is not the project's folder")):
        environment = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": job}
        done = subprocess.run(
            ["bash", "job"], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 1 and told in done.stderr.splitlines()[0]


def test_the_image_installs_what_the_project_needs_in_versions_that_are_tested() -> None:
    tested = Path(__file__).parents[1].joinpath("constraints.txt").read_text().splitlines()
    for data, logger in (("digits", ("wandb", "tensorboard")), ("folder", ()), ("text", ())):
        feature = ("metrics",) if data == "digits" else ()
        more = {"tokenizer": "bpe", "precision": "float8"} if data == "text" else {}
        tree = project(
            data=data, logger=logger, feature=feature, launcher=("docker", "kubernetes"), **more
        )
        pins = tree["launch/requirements.txt"].splitlines()[1:]
        assert {pin.split("==")[0] for pin in pins} == {*packages(tree["pyproject.toml"])}
        assert {pin.lower() for pin in pins} <= {pin.lower() for pin in tested}
        image = tree["launch/Dockerfile"]
        assert re.search(r"^FROM python:3\.\d+\.\d+-slim-bookworm$", image, re.M)
        assert re.search(r"^USER [1-9]\d*$", image, re.M)


def test_an_image_without_gpus_has_a_torch_without_cuda() -> None:
    on_cpus = project(strategy="ddp", gpus="0", launcher=("docker",))["launch/Dockerfile"]
    on_gpus = project(strategy="ddp", gpus="4", launcher=("docker",))["launch/Dockerfile"]
    assert "whl/cpu" in on_cpus and '"--nproc-per-node", "1"' in on_cpus
    assert "whl/cpu" not in on_gpus and '"--nproc-per-node", "4"' in on_gpus


@pytest.mark.parametrize("name", ["0", "9.Lives_of-CATS", "a" * 64, "x.y_z-9", "A.-_.b"])
def test_every_name_of_a_project_is_one_for_images_pods_and_services(name: str) -> None:
    answers = {"strategy": "ddp", "launcher": ("docker", "kubernetes"), "volume": "123"}
    tree = from_templates(name, complete(questions(), answers))
    service, job = yaml.safe_load_all(tree["launch/kubernetes.yaml"])
    trainjob = yaml.safe_load(tree["launch/trainjob.yaml"])
    [label] = {about["metadata"]["name"] for about in (service, job, trainjob)}
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?", label)
    assert f"--tag {label} ." in tree["launch/Dockerfile"]
    [claim, _] = job["spec"]["template"]["spec"]["volumes"]
    assert claim["persistentVolumeClaim"] == {"claimName": "123"}
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert f"--name={name}" in command and f"--rdzv-endpoint={label}-0.{label}:29400" in command


@pytest.mark.parametrize("name", ["0", "A.-_.b", "a" * 64])
@pytest.mark.parametrize("strategy", ["single", "ddp"])
@pytest.mark.parametrize("gpus", ["0", "2"])
def test_the_task_of_skypilot_says_what_was_answered(
    name: str, strategy: str, gpus: str, tmp_path: Path
) -> None:
    many = {} if strategy == "single" else {"gpus": gpus, "nodes": "3"}
    answers = {"strategy": strategy, "launcher": ("skypilot",), "image": "me/it:2", "volume": "123"}
    tree = from_templates(name, complete(questions(), answers | many))
    text = tree["launch/skypilot.yaml"]
    task = yaml.safe_load(text)
    assert re.fullmatch(r"[a-z](-?[a-z0-9])*", task["name"])
    assert (task["envs"]["RUN"], task.get("num_nodes", 1)) == (name, 3 if many else 1)
    expected = {"single": "H100:1", "ddp": "H100:2" if gpus == "2" else None}[strategy]
    assert task["resources"].get("accelerators") == expected
    assert task["resources"]["image_id"] == "docker:me/it:2"
    assert task["volumes"] == {"/project/runs": "123"}
    (tmp_path / "run").write_text(task["run"])
    done = subprocess.run(["bash", "-n", tmp_path / "run"], capture_output=True, check=False)
    assert done.returncode == 0 and max(map(len, text.splitlines())) <= 104
