"""The Dockerfile, built and run by buildah, as it is but for its base: Debian's own Python 3.11.

The packages are those that run this test, which pip finds in the base in the very versions that the
image asks for; nothing is fetched but the base. `make cluster` runs these.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paced import QUICK, generate, losses

TOOLS = ("buildah", "debootstrap")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)) or os.geteuid() != 0 or sys.version_info[:2] != (3, 11),
        reason=f"as root, with Python 3.11: apt-get install {' '.join(TOOLS)}",
    ),
]
DEBIAN = ["debootstrap", "--variant=minbase", "--include=python3,python3-pip", "bookworm"]
PACKAGES = f"{sysconfig.get_path('purelib')}:/usr/local/lib/python3.11/dist-packages:ro"
Buildah = Callable[..., str]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """The command, with a storage of its own."""
    folder = tmp_path_factory.mktemp("buildah")
    storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run")]

    def run(*words: str | Path) -> str:
        command = ["buildah", *storage, "--storage-driver", "vfs", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    yield run
    run("rm", "--all")
    run("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def base(buildah: Buildah, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian, with its Python and its pip, as an image."""
    root = Path(__file__).parents[2] / ".slurm/debian"
    if not (root / "usr/local/bin/python").exists():
        subprocess.run([*DEBIAN, root], check=True, capture_output=True)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        next(root.glob("usr/lib/python3*/EXTERNALLY-MANAGED")).unlink()
    torchrun = root / "usr/local/bin/torchrun"  # which would come with torch
    torchrun.write_text('#!/bin/sh\nexec python -m torch.distributed.run "$@"\n')
    torchrun.chmod(0o755)
    file = tmp_path_factory.mktemp("base") / "Dockerfile"
    file.write_text("FROM scratch\nCOPY . /\n")
    buildah("build", "--file", file, "--tag", "base", root)
    return "localhost/base"


@pytest.mark.parametrize("strategy", ["single", "ddp"])
def test_the_image_trains_goes_on_and_is_not_root(
    buildah: Buildah, base: str, tmp_path: Path, strategy: str
) -> None:
    gpus = ["--with=gpus=0"] if strategy == "ddp" else []
    project = generate(
        tmp_path / "Proj.9", f"--strategy={strategy}", "--with=launcher=docker", *gpus
    )
    (project / "runs").mkdir()
    (project / "runs/private").write_text("stays out")
    file = project / "launch/Dockerfile"
    asked = file.read_text().partition("\nFROM ")[2].splitlines()[0]
    buildah("tag", base, f"docker.io/library/{asked}")
    build = ["build", "--isolation", "chroot", "--pull-never", "--volume", PACKAGES]
    buildah(*build, "--file", file, "--tag", "proj-9", project)
    about = json.loads(buildah("inspect", "--type", "image", "proj-9"))["OCIv1"]["config"]
    assert about["User"] == "65534" and about["WorkingDir"] == "/project"

    runs = tmp_path / "runs"
    runs.mkdir()
    os.chown(runs, 1234, 1234)
    container = buildah("from", "--pull-never", "proj-9")
    run = ["run", "--isolation", "chroot", "--user", "1234", "--volume", PACKAGES]
    inside = buildah(*run, container, "--", "find", ".", "-maxdepth", "2").splitlines()
    assert {"./train.py", "./runs", "./prepared"} <= {*inside}
    assert {"./.litgen", "./.git", "./runs/private"}.isdisjoint(inside)
    run += ["--volume", f"{runs}:/project/runs", container, "--", *about["Entrypoint"]]
    assert "done:" in buildah(*run, *QUICK, "--workers=1", "--steps=3")
    assert "resumed from step 3" in buildah(*run, *QUICK, "--workers=1", "--steps=5")
    shutil.copytree(runs, project / "runs", dirs_exist_ok=True)
    assert len(losses(project, "Proj.9")) == 5
    assert {path.stat().st_uid for path in runs.rglob("*")} == {1234}
