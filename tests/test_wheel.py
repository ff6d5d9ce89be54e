"""The wheel alone, unpacked where no repository is, writes what the repository writes."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from projects import every_project, project_id

from litgen_torch.answers import flags

REPOSITORY = Path(__file__).parents[1]
PROGRAM = "import sys; from litgen_torch.cli import main; main(sys.argv[1:])"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    python(REPOSITORY, "-m", "pip", "wheel", "-q", *offline, "-w", str(folder), str(REPOSITORY))
    (wheel,) = folder.iterdir()
    zipfile.ZipFile(wheel).extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.mark.parametrize("answers", every_project()[::13], ids=project_id)
def test_the_wheel_writes_what_the_repository_writes(
    unpacked: Path, tmp_path: Path, answers: dict[str, str]
) -> None:
    words = ["new", "proj", *flags(answers), "-y"]
    written = []
    for source in (unpacked, REPOSITORY / "generator"):
        folder = tmp_path / source.name
        folder.mkdir()
        python(folder, "-c", PROGRAM, *words, PYTHONPATH=str(source))
        written.append(files(folder))
    assert written[0] == written[1] and written[0]


def test_it_is_the_wheel_that_is_run(unpacked: Path, tmp_path: Path) -> None:
    code = "from litgen_torch import render; print(render.__file__, render.templates_folder())"
    for path in python(tmp_path, "-c", code, PYTHONPATH=str(unpacked)).split():
        assert Path(path).is_relative_to(unpacked)


def python(folder: Path, *words: str, **extra: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | extra,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}
