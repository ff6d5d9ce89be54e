"""The examples in the repository are what litgen generates today."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SPEC = importlib.util.spec_from_file_location("generate", EXAMPLES / "generate.py")
assert SPEC and SPEC.loader
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"runs", "prepared", "__pycache__"} & set(path.parts)
    }


@pytest.mark.parametrize("name", generate.PROJECTS)
def test_an_example_equals_what_litgen_new_writes(name: str, tmp_path: Path) -> None:
    generate.generate(name, tmp_path)
    assert files(EXAMPLES / name) == files(tmp_path / name)


@pytest.mark.parametrize("name", generate.PROJECTS)
def test_an_example_has_its_picture(name: str) -> None:
    assert (EXAMPLES / f"{name}.svg").read_text().startswith("<svg")


@pytest.mark.slow
def test_make_examples_leaves_nothing_to_commit() -> None:
    subprocess.run(["make", "examples"], cwd=EXAMPLES.parent, check=True)
    command = ["git", "status", "--porcelain", "examples"]
    changed = subprocess.run(command, cwd=EXAMPLES.parent, capture_output=True, check=True)
    assert not changed.stdout
