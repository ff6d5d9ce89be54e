"""`litgen doctor`: what it finds in an environment and in a project."""

import json
import os
import sys
import venv
from pathlib import Path

import pytest
from projects import Run
from test_add import edit

from litgen_torch.project import RECORD
from litgen_torch.versions import installed

PATH = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def checks(litgen: Run, folder: Path, **extra: str) -> dict[str, tuple[str, str, str]]:
    done = litgen("doctor", "--json", cwd=folder, **PATH | extra)
    told = json.loads(done.stdout)
    is_bad = any(check["state"] == "bad" for check in told["checks"])
    assert (done.returncode, told["sound"]) == (int(is_bad), not is_bad)
    return {
        check["name"]: (check["state"], check["words"], check["fix"]) for check in told["checks"]
    }


def test_where_all_is_well_it_says_so(litgen: Run, tmp_path: Path) -> None:
    litgen("new", "proj", "-y")
    done = litgen("doctor", cwd=tmp_path / "proj/tests", **PATH)
    assert done.returncode == 0, done.stdout
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert set(lines) >= {"python", "torch", "devices", "bf16", "gloo", "version", "record", "code"}
    assert "hear each other" in lines["gloo"]
    assert sys.executable.rpartition("/")[0] in lines["python"]


def test_outside_a_project_it_looks_at_the_environment(litgen: Run, tmp_path: Path) -> None:
    found = checks(litgen, tmp_path)
    assert found["project"][0] == "note"
    assert found["torch"][0] == "ok" and "record" not in found


def test_the_project_s_own_python_is_asked(litgen: Run, tmp_path: Path) -> None:
    litgen("new", "proj", "-y")
    venv.create(tmp_path / "proj/.venv")
    found = checks(litgen, tmp_path / "proj")
    assert ".venv/bin/python" in found["python"][1]
    assert found["torch"][0] == "bad" and "-m pip install torch" in found["torch"][2]
    assert found["packages"][:2] == ("bad", "not installed: scikit-learn")


def test_deepspeed_is_to_be_built_beside_the_torch_that_is_there(
    litgen: Run, tmp_path: Path
) -> None:
    litgen("new", "proj", "--strategy", "deepspeed", "-y")
    venv.create(tmp_path / "proj/.venv")
    words, fix = checks(litgen, tmp_path / "proj")["packages"][1:]
    assert words == "not installed: deepspeed scikit-learn"
    assert fix.endswith("-m pip install --no-build-isolation deepspeed scikit-learn")


def test_a_torchvision_made_for_another_torch_is_recognised(litgen: Run, tmp_path: Path) -> None:
    folder = tmp_path / "proj"
    litgen("new", "proj", "-y")
    site = tmp_path / "site"
    (site / "torchvision").mkdir(parents=True)
    (site / "torchvision-0.28.0.dist-info").mkdir()
    (site / "torchvision-0.28.0.dist-info/METADATA").write_text("Name: torchvision\nVersion: 1\n")
    (site / "torchvision/__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    code = f"import sys; sys.path.append({str(site)!r}); sys.argv = sys.argv[1:]"
    run = "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "{code}; {run}" "$@"\n')
    python.chmod(0o755)
    state, words, fix = checks(litgen, folder)["torchvision"]
    assert state == "bad" and "torchvision::nms" in words
    assert "https://download.pytorch.org/whl/cpu torchvision" in fix


@pytest.fixture
def project(litgen: Run, tmp_path: Path) -> Path:
    litgen("new", "proj", "-y")
    python = tmp_path / "proj/.venv/bin/python"  # one that answers at once
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho \'{"python": "3", "missing": [], "torch_error": "x"}\'\n')
    python.chmod(0o755)
    return tmp_path / "proj"


UNSOUND = {
    "damaged record": (RECORD, "format = 2", "format = ", "record"),
    "no Python": ("train.py", "import sys", "import sys sys", "code"),
    "a marker": ("train.py", "import sys\n", "<<<<<<< yours\nimport sys\n", "code"),
    "no TOML": ("pyproject.toml", "[project]", "[project", "code"),
}


@pytest.mark.parametrize(("path", "found", "put", "name"), UNSOUND.values(), ids=UNSOUND)
def test_what_is_not_sound_is_named(
    litgen: Run, project: Path, path: str, found: str, put: str, name: str
) -> None:
    assert checks(litgen, project)[name][0] == "ok"
    edit(project / path, found, put)
    state, words, fix = checks(litgen, project)[name]
    assert state == "bad" and fix
    assert path in words


def test_a_damaged_base_is_bad_only_where_it_cannot_be_rendered_again(
    litgen: Run, project: Path
) -> None:
    edit(project / ".litgen/base/train.py.base", "import sys", "import six")
    state, words, _ = checks(litgen, project)["record"]
    assert state == "note" and "train.py" in words
    record = (project / RECORD).read_text()
    (project / RECORD).write_text(record.replace(f'litgen = "{installed()}"', 'litgen = "0.0.9"'))
    state, words, fix = checks(litgen, project)["record"]
    assert state == "bad" and "train.py" in words and fix
