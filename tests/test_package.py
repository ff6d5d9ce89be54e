"""The distribution: built without a network, installed where no repository is, it does the same."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))


def run(*words: str | Path, cwd: Path) -> str:
    extra = {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words], cwd=cwd, env=os.environ | extra, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build it from a folder with hatchling itself, which asks no index for anything."""
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder, cwd=source)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", REPOSITORY, tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_one_package_with_the_templates_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "litgen_torch",
        "litgen_torch-0.2.0.dist-info",
    }
    assert {
        "litgen_torch/_templates/copier.yml",
        "litgen_torch/_templates/project/runtime/rng.py",
    } < {*names}
    assert not [name for name in names if "__pycache__" in name or name.endswith("_cache")]


def test_a_wheel_that_is_made_from_the_source_archive_is_the_same(
    wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(build("sdist", REPOSITORY, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    again = build("wheel", next((tmp_path / "source").iterdir()), tmp_path / "wheel")
    assert contents(again) == contents(wheel)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("RECORD")]
        return {name: archive.read(name) for name in names}


@pytest.mark.parametrize(
    "words", [[], ["--model", "gpt", "--strategy", "fsdp"]], ids=["cnn", "gpt"]
)
def test_the_installed_wheel_writes_what_the_repository_writes(
    wheel: Path, tmp_path: Path, words: list[str]
) -> None:
    venv.create(tmp_path / "env")
    python = tmp_path / "env/bin/python"
    where = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path
    )
    # The dependencies from here, but not litgen: `.pth` files in a folder added so are not read.
    Path(where.strip(), "dependencies.pth").write_text(PACKAGES)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "-q", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    file = run(python, "-c", "import litgen_torch; print(litgen_torch.__file__)", cwd=tmp_path)
    assert Path(file.strip()).is_relative_to(tmp_path)

    run(tmp_path / "env/bin/litgen", "new", "one/proj", "-y", *words, cwd=tmp_path)
    run(Path(sys.executable).with_name("litgen"), "new", "two/proj", "-y", *words, cwd=tmp_path)
    one, two = tmp_path / "one/proj", tmp_path / "two/proj"
    assert files(one) == files(two)


def files(folder: Path) -> dict[Path, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder): file.read_bytes() for file in found}
