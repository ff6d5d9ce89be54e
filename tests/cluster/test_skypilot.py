"""The file of SkyPilot: read by SkyPilot's own loader, and its script run here, on two addresses.

No cloud is asked for anything. `make cluster` makes the environment of SkyPilot and runs these.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from paced import QUICK, generate, losses, until
from ports import free_port

from litgen_torch.answers import Answers, complete
from litgen_torch.catalog import questions
from litgen_torch.project import from_templates

SKY = Path(__file__).parents[2] / ".venv-sky/bin/python"
pytestmark = pytest.mark.cluster
NODES = ["127.0.0.1", "127.0.0.2"]
SETTINGS = [*QUICK, "--steps=40", "--save-every=5", "--workers=0", "--dropout=0"]
PATIENCE_S = 400
READ = """
import json, pathlib, sky
for path in sorted(pathlib.Path().glob("*.yaml")):
    try:
        task = sky.Task.from_yaml(str(path))
        [resources] = task.resources
        told = [task.name, task.num_nodes, resources.accelerators]
        told += [resources.extract_docker_image(), task.volumes, resources.job_recovery]
    except Exception as refused:
        told = str(refused)
    print("TOLD", json.dumps(told))
"""
PROJECTS: dict[str, Answers] = {
    "My.project_1": {"strategy": "single"},
    "digits": {"strategy": "ddp"},
    "0": {"strategy": "fsdp", "gpus": "0", "nodes": "3"},
    "A.-_.b": {
        "strategy": "hsdp",
        "nodes": "16",
        "gpus": "4",
        "image": "me/it:2@sha256:" + "0" * 64,
    },
    "x" * 64: {"strategy": "ddp", "nodes": "9999", "gpus": "99", "volume": "123"},
}


def file(name: str, answers: Answers) -> str:
    given = answers | {"launcher": ("skypilot",)}
    return from_templates(name, complete(questions(), given))["launch/skypilot.yaml"]


def read(folder: Path) -> list[object]:
    """What SkyPilot makes of the files in a folder, in order of their names."""
    home = folder / "home"
    home.mkdir()
    done = subprocess.run(
        [SKY, "-c", READ],
        cwd=folder,
        env=os.environ
        | {"HOME": str(home), "PYTHONPATH": "", "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("TOLD ") for line in done.stdout.splitlines() if "TOLD " in line]
    return [json.loads(line) for line in lines]


@pytest.mark.skipif(not SKY.exists(), reason="make .venv-sky/.ready")
def test_skypilot_reads_the_file_as_it_is_meant(tmp_path: Path) -> None:
    for number, (name, answers) in enumerate(PROJECTS.items()):
        (tmp_path / f"{number}.yaml").write_text(file(name, answers))
    slip = file("slip", {}).replace("num_nodes", "num_node").replace("memory", "memroy")
    (tmp_path / "slip.yaml").write_text(slip)
    *told, refused = read(tmp_path)
    image, runs = "registry.example/training:1", {"/project/runs": "training"}
    again = {"max_restarts_on_errors": 3, "strategy": None}
    assert told == [
        ["my-project-1", 1, {"H100": 1}, image, runs, again],
        ["digits", 1, {"H100": 8}, image, runs, again],
        ["run-0", 3, None, image, runs, again],
        ["a-b", 16, {"H100": 4}, PROJECTS["A.-_.b"]["image"], runs, again],
        ["x" * 40, 9999, {"H100": 99}, image, {"/project/runs": "123"}, again],
    ]
    assert "memroy" in str(refused)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sky") / "proj"
    return generate(folder, "--strategy=ddp", *("--with=launcher=skypilot", "--with=gpus=0"))


def start(project: Path, port: int, addresses: list[str], **given: str) -> list[subprocess.Popen]:
    """The script of the file on each node, which ends as a whole, as SkyPilot calls it."""
    task = yaml.safe_load((project / "launch/skypilot.yaml").read_text())
    script = task["run"].replace("/project", str(project)).replace(":29400", f":{port}")
    (project / "run.sh").write_text(script)
    told = task["envs"] | {
        "SKYPILOT_NODE_IPS": "\n".join(addresses),
        "SKYPILOT_NUM_NODES": str(len(addresses)),
        "SKYPILOT_NUM_GPUS_PER_NODE": "0",
        "SETTINGS": " ".join(SETTINGS),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": "",
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "bash", "-i", project / "run.sh"],
            cwd="/",
            env=os.environ | told | {"SKYPILOT_NODE_RANK": str(rank)} | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(len(addresses))
    ]


def ended(nodes: list[subprocess.Popen]) -> str:
    said = "".join(node.communicate(timeout=PATIENCE_S)[0] for node in nodes)
    assert [node.returncode for node in nodes] == [0] * len(nodes), said
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can keep a node's processes together")
def test_its_script_trains_on_two_nodes_and_goes_on_where_they_were_taken_away(
    project: Path,
) -> None:
    assert "2 × cpu" in ended(start(project, free_port(), NODES, RUN="calm"))
    taken = start(project, free_port(), NODES, PACE="0.1")
    until(lambda: len(losses(project, "proj")) >= 12, PATIENCE_S, "twelve steps")
    for node in taken:
        node.kill()  # and all that runs on it
        node.communicate()
    said = ended(start(project, free_port(), NODES))
    assert "2 × cpu" in said and "resumed from step" in said
    assert losses(project, "proj") == losses(project, "calm")
    assert len(losses(project, "calm")) == 40
