"""`litgen upgrade` as a process: projects of released versions, as they were and as edited."""

import json
import os
import py_compile
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from kills import DONE, KILLED, killed
from projects import Run
from snapshot import read_snapshot, versions
from terminal import Terminal
from test_add import edit, files, git, state
from test_pending import CONFLICT, own

from litgen_torch.cli import main
from litgen_torch.pending import PENDING
from litgen_torch.project import RECORD, read_project
from litgen_torch.tree import create
from litgen_torch.versions import installed

RELEASED = [
    (version, name)
    for version in versions()
    if version != installed()
    for name in read_snapshot(version)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return old(tmp_path, "0.1.0", "cnn")


def old(parent: Path, version: str, name: str) -> Path:
    create(parent / name, read_snapshot(version)[name])
    return parent / name


def without_undo(folder: Path) -> dict[str, bytes]:
    return {path: text for path, text in files(folder).items() if "/undo/" not in path}


@pytest.mark.parametrize(("version", "name"), RELEASED)
def test_an_untouched_project_becomes_what_new_would_write(
    litgen: Run, tmp_path: Path, version: str, name: str
) -> None:
    folder = old(tmp_path, version, name)
    answers = read_project(folder).answers
    done = litgen("upgrade", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{version} → {installed()}, " in done.stdout
    listed = [f'{kind} = "{value}"' for kind, value in answers.items() if isinstance(value, str)]
    (tmp_path / "answers.toml").write_text("\n".join(listed))
    made = litgen("new", f"other/{name}", "-y", "--answers", "answers.toml")
    assert made.returncode == 0, made.stderr
    assert without_undo(folder) == files(tmp_path / "other" / name)


def test_twice_is_once(litgen: Run, folder: Path) -> None:
    litgen("upgrade", cwd=folder)
    before = state(folder)
    again = litgen("upgrade", cwd=folder)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"up to date with litgen {installed()}: nothing to do\n"
    assert litgen("upgrade", "--check", cwd=folder).returncode == 0
    assert state(folder) == before


RATES = '''"""The learning rates of a run."""

from pathlib import Path

import runtime.optim as o
from config import Config
from runtime.config import read_config as settings_of


def rates(run: Path):
    config = settings_of(Config, run / "config.toml")  # as it was
    return [o.warmup_cosine(step, config.warmup, config.steps) for step in range(config.steps)]


if __name__ == "__main__":
    print(*map(len, map(rates, Path("runs").iterdir())))
'''


@pytest.fixture
def edited(folder: Path) -> Path:
    """A project whose owner calls what changed in code of his own, and in train.py."""
    (folder / "analysis").mkdir()
    (folder / "rates.py").write_text(RATES)
    (folder / "analysis/plan.py").write_text(
        "from runtime.optim import warmup_cosine as factor\r\n\r\nx = factor(1, 2, 3)  # mine\r\n"
    )
    (folder / "analysis/other.py").write_text("def warmup_cosine():\n    return 1\n")
    edit(
        folder / "train.py",
        "        set_lr(optimizer, lr)\n",
        "        set_lr(optimizer, lr)\n"
        "        coming = warmup_cosine(step + 1, config.warmup, config.steps)  # my own\n"
        "        assert coming >= 0\n",
    )
    return folder


def test_what_you_call_yourself_is_followed_and_runs(litgen: Run, edited: Path) -> None:
    done = litgen("upgrade", cwd=edited)
    assert (done.returncode, done.stderr) == (0, "")
    titles = {"runtime.optim.warmup_cosine → runtime.schedule.cosine": 3}
    for title, calls in titles.items():
        places = "analysis/plan.py, rates.py and train.py"
        assert re.search(f"{title} +{calls} calls of yours, in {places}\n", done.stdout)
    assert re.search("asks for strict= +1 call of yours, in rates.py\n", done.stdout)
    assert "Your edits kept: 2 statements, 1 comment" in done.stdout
    assert "Your results may change" not in done.stdout
    rates = (edited / "rates.py").read_text()
    assert 'settings_of(Config, run / "config.toml", strict=True)  # as it was' in rates
    assert "schedule.cosine(step, config.warmup" in rates
    assert (edited / "analysis/plan.py").read_bytes() == (
        b"from runtime.schedule import cosine as factor\r\n\r\nx = factor(1, 2, 3)  # mine\r\n"
    )
    assert (edited / "analysis/other.py").read_text() == "def warmup_cosine():\n    return 1\n"
    train = (edited / "train.py").read_text()
    assert "coming = cosine(step + 1, config.warmup, config.steps)  # my own" in train
    for file in edited.rglob("*.py"):
        py_compile.compile(str(file), doraise=True)
    assert "warmup_cosine" not in (edited / "runtime/optim.py").read_text()
    run(edited, "train.py", "--fast")
    (metrics,) = edited.glob("runs/*/metrics.jsonl")
    assert int(run(edited, "rates.py")) == json.loads(metrics.read_text().splitlines()[-1])["step"]


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HEADS = "        q = self.query(x).view(batch, time, self.heads, self.size).transpose(1, 2)\n"
MINE = "        q = self.query(x).view(batch, -1, self.heads, self.size).transpose(1, 2)\n"


@pytest.fixture
def upgraded(litgen: Run, tmp_path: Path) -> Path:
    """A language model of 0.1.0 whose owner edited model.py, upgraded."""
    folder = old(tmp_path, "0.1.0", "gpt")
    edit(folder / "model.py", HEADS, f"{HEADS}        assert q.isfinite().all()  # mine\n")
    assert litgen("upgrade", cwd=folder).returncode == 0
    return folder


def test_a_model_that_you_edited_can_be_split_over_processes(litgen: Run, upgraded: Path) -> None:
    text = (upgraded / "model.py").read_text()
    assert "        q = split_heads(self.query(x), self.size)\n        assert q.isfinite()" in text
    done = litgen("add", "tp", cwd=upgraded)
    assert (done.returncode, done.stderr) == (0, "")
    assert (upgraded / "model.py").read_text() == text


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["tp", "fsdp-tp", "cp"])
def test_a_model_that_you_edited_trains_split_over_processes(
    litgen: Run, upgraded: Path, strategy: str
) -> None:
    assert litgen("add", strategy, cwd=upgraded).returncode == 0
    run(upgraded, "-m", "pytest", "-q", "-k", "two_processes", "tests")


def test_attention_of_your_own_that_counts_all_heads_cannot(litgen: Run, tmp_path: Path) -> None:
    folder = old(tmp_path, "0.1.0", "gpt")
    edit(folder / "model.py", HEADS, MINE)
    assert litgen("upgrade", cwd=folder).returncode == 0
    before = state(folder)
    done = litgen("add", "cp", cwd=folder)
    assert done.returncode == 3 and state(folder) == before
    assert "model.py:75 in forward(): this counts all heads, and a process would" in done.stderr
    assert "by hand: take their number from the tensor: x.unflatten" in done.stderr
    edit(folder / "model.py", MINE, MINE.replace("view(batch, -1, self.heads", "own(self.size"))
    places = [f"--accept=model.py:{line}" for line in (76, 77)]
    assert litgen("add", "cp", *places, cwd=folder).returncode == 0


def test_undo_brings_all_of_it_back(litgen: Run, edited: Path) -> None:
    before = files(edited)
    assert litgen("upgrade", cwd=edited).returncode == 0
    assert "cosine" in (edited / "runtime/schedule.py").read_text()
    done = litgen("undo", cwd=edited)
    assert done.returncode == 0 and done.stdout.startswith("Undone: litgen upgrade\n")
    assert files(edited) == before
    assert litgen("upgrade", "--check", cwd=edited).returncode == 1


def test_a_kill_leaves_the_old_project_or_the_new(
    litgen: Run, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, found = own(edited), set()
    monkeypatch.chdir(edited)
    for at in (0, 40, 10_000):
        ended = killed(lambda: main(["upgrade", "-y"]), at)
        status = litgen("status", cwd=edited)
        assert status.returncode == 0, status.stderr
        is_old = own(edited) == before
        assert (read_project(edited).version == "0.1.0") is is_old
        assert not litgen("upgrade", "--check", cwd=edited).returncode or is_old
        found.add((ended, is_old))
        if not is_old:
            assert litgen("undo", cwd=edited).returncode == 0
            assert own(edited) == before
    assert {(KILLED, True), (DONE, False)} <= found


def test_files_that_are_yours_are_not_offered_again(litgen: Run, folder: Path) -> None:
    for path, line in {"README.md": "# My digits\n", "model.py": "import math  # mine\n"}.items():
        (folder / path).write_text(line + (folder / path).read_text())
    as_if_older(folder, "README.md", "# an older one\n")
    as_if_older(folder, "model.py", "# an older one\n")
    as_if_older(folder, "data.py", "# an older one\n", untouched=True)
    before = {path: (folder / path).read_text() for path in ("README.md", "model.py")}
    done = litgen("upgrade", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    for path, text in before.items():
        assert (folder / path).read_text() == text
        assert f"  {path}: yours, although the template changed it\n" in done.stdout
    assert "an older one" not in (folder / "data.py").read_text(), "that was not edited"
    assert litgen("upgrade", "--check", cwd=folder).returncode == 0, "nor at the next time"


@pytest.mark.parametrize("name", ["blocks.py", "net.py"], ids=["a class", "the whole file"])
def test_what_you_moved_out_of_a_file_of_yours_is_not_offered_again(
    litgen: Run, folder: Path, name: str
) -> None:
    text = (folder / "model.py").read_text().replace("GroupNorm(8", "GroupNorm(4")  # the older one
    as_if_older(folder, "model.py", text, untouched=True)
    if name == "net.py":
        (folder / "model.py").rename(folder / name)
        edit(folder / "train.py", "from model import", "from net import")
    else:
        at = text.index("class Block")
        imports = "import torch.nn.functional as F\nfrom torch import Tensor, nn\n\n\n"
        (folder / name).write_text(imports + text[at:])
        head = text.replace("from config", "from blocks import Block\nfrom config")
        (folder / "model.py").write_text(head[: head.index("class Block")].rstrip() + "\n")
    before = own(folder)
    done = litgen("upgrade", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    for path in {"model.py", name} & before.keys():
        assert (folder / path).read_text() == before[path]
    kept = name if name == "net.py" else "model.py"
    assert f"  {kept}: yours, although the template changed it\n" in done.stdout
    assert not (folder / "model.py").exists() or name == "blocks.py"
    assert litgen("upgrade", "--check", cwd=folder).returncode == 0, "nor at the next time"


def as_if_older(folder: Path, path: str, text: str, *, untouched: bool = False) -> None:
    """The project as a litgen would have left it whose templates had this text there."""
    from litgen_torch.project import with_record

    project = read_project(folder)
    tree = project.base | {path: text}
    record = with_record(tree, name=project.name, answers=project.answers, version=project.version)
    for name in record.keys() - tree.keys():
        (folder / name).write_text(record[name])
    if untouched:
        (folder / path).write_text(text)


DOUBTS = {
    "a star": (
        "from runtime.optim import *\n\nx = warmup_cosine(1, 2, 3)\n",
        "own.py:3",
        "from runtime.optim import *\n",
        "from runtime.optim import warmup_cosine\n",
    ),
    "getattr": (
        "from runtime import optim\n\nf = getattr(optim, 'warmup_cosine')\n",
        "own.py:3",
        "getattr(optim, 'warmup_cosine')",
        "optim.warmup_cosine",
    ),
    "a function that is passed on": (
        "from runtime.config import read_config\n\nREADERS = [read_config]\n",
        "own.py:3",
        "[read_config]",
        "[lambda *given: read_config(*given)]",
    ),
    "no Python": ("from runtime.optim import warmup_cosine\n\nx = (\n", "own.py:3", "(\n", "()\n"),
}


@pytest.mark.parametrize(("text", "place", "found", "by_hand"), DOUBTS.values(), ids=DOUBTS)
@pytest.mark.parametrize("options", [[], ["--conflicts=markers"]], ids=["plain", "markers"])
def test_what_can_only_be_guessed_is_refused_and_works_as_said(
    litgen: Run,
    folder: Path,
    text: str,
    place: str,
    found: str,
    by_hand: str,
    options: list[str],
) -> None:
    (folder / "own.py").write_text(text)
    before = state(folder)
    done = litgen("upgrade", *options, cwd=folder)
    assert (done.returncode, done.stdout) == (3, "")
    assert state(folder) == before
    assert f"  {place}: LG00" in done.stderr
    assert "nothing was changed: 1 place of yours cannot be followed" in done.stderr
    assert "template   " not in done.stderr
    said = re.search(r"by hand: (write )?(.*)\n", done.stderr)
    assert said and (said[2] in by_hand or not said[1])
    edit(folder / "own.py", found, by_hand)
    done = litgen("upgrade", *options, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    py_compile.compile(str(folder / "own.py"), doraise=True)


def test_a_doubt_can_be_accepted_and_the_rest_is_done(litgen: Run, folder: Path) -> None:
    text = "from runtime.optim import *\n\nx = warmup_cosine(1, 2, 3)\n"
    (folder / "own.py").write_text(text)
    told = json.loads(litgen("upgrade", "--json", cwd=folder).stdout)
    assert told["written"] is False
    (refusal,) = told["refusals"]
    done = litgen("upgrade", "--accept", refusal["accept"], cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "own.py:3: yours stays, as accepted" in done.stdout
    assert (folder / "own.py").read_text() == text
    assert read_project(folder).version == installed()


def test_a_function_of_the_library_that_you_changed_is_not_dropped(
    litgen: Run, folder: Path
) -> None:
    library = folder / "runtime/optim.py"
    edit(library, "floor: float = 0.1", "floor: float = 0.0")
    before = state(folder)
    done = litgen("upgrade", cwd=folder)
    assert done.returncode == 3
    assert "you changed warmup_cosine" in done.stderr
    assert "by hand: move yours to a file of your own under another name" in done.stderr
    assert state(folder) == before
    function = re.search(r"def warmup_cosine.*?\n\n\n", library.read_text(), re.S)
    assert function
    edit(library, function[0], "")
    mine = function[0].replace("warmup_cosine", "to_zero").rstrip()
    (folder / "own.py").write_text(f"import math\n\n\n{mine}\n")
    train = folder / "train.py"
    edit(train, "decay_groups, set_lr, warmup_cosine\n", "decay_groups, set_lr\n")
    edit(train, "from runtime.rng", "from own import to_zero\nfrom runtime.rng")
    edit(train, "warmup_cosine(", "to_zero(")
    done = litgen("upgrade", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lr = config.learning_rate * to_zero(step" in train.read_text()


@pytest.fixture
def conflict(tmp_path: Path) -> Path:
    """Template and owner changed the same line, below imports that a step rewrites."""
    folder = old(tmp_path, "0.1.0", "vit-ddp-bf16")
    edit(folder / "train.py", "seed_all(config.seed, 1 + world.rank)", "seed_all(7 + world.rank)")
    return folder


def test_what_does_not_fit_changes_nothing_and_can_be_accepted(litgen: Run, conflict: Path) -> None:
    before = state(conflict)
    done = litgen("upgrade", cwd=conflict)
    assert (done.returncode, done.stdout) == (3, "")
    assert state(conflict) == before
    lines = (conflict / "train.py").read_text().split("\n")
    (number,) = [n for n, line in enumerate(lines, 1) if "seed_all(7 + world.rank)" in line]
    assert f"train.py:{number} in main(): " in done.stderr, "the line in the file as it is"
    then = re.search(r"then: +litgen (.*?)  ", done.stderr)
    assert then and then[1] == f"upgrade --accept train.py:{number}"
    again = litgen(*shlex.split(then[1]), cwd=conflict)
    assert again.returncode == 0, again.stderr
    assert f"train.py:{number}: yours stays, as accepted" in again.stdout
    text = (conflict / "train.py").read_text()
    assert "seed_all(7 + world.rank)" in text and "* cosine(step" in text
    assert read_project(conflict).version == installed()


@pytest.fixture
def marked(litgen: Run, conflict: Path) -> Path:
    done = litgen("upgrade", "--conflicts=markers", cwd=conflict)
    assert done.returncode == 3
    assert "litgen upgrade --continue" in done.stderr and "litgen upgrade --abort" in done.stderr
    assert read_project(conflict).version == "0.1.0"
    return conflict


def test_resolved_it_is_finished(litgen: Run, marked: Path) -> None:
    assert litgen("upgrade", "--continue", cwd=marked).returncode == 3
    file = marked / "train.py"
    file.write_text(CONFLICT.sub(r"\2", file.read_text()))
    done = litgen("upgrade", "--continue", cwd=marked)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_project(marked).version == installed()
    assert not (marked / PENDING).exists()
    assert "nothing to do" in litgen("upgrade", cwd=marked).stdout


def test_taken_back_all_is_as_it_was(litgen: Run, conflict: Path) -> None:
    (conflict / "rates.py").write_text(RATES)
    before = own(conflict)
    litgen("upgrade", "--conflicts=markers", cwd=conflict)
    assert own(conflict) != before
    assert litgen("upgrade", cwd=conflict).returncode == 1, "it waits"
    assert litgen("upgrade", "--abort", cwd=conflict).returncode == 0
    assert own(conflict) == before
    assert read_project(conflict).version == "0.1.0"


def test_results_that_may_change_are_said_and_why(litgen: Run, tmp_path: Path) -> None:
    folder = old(tmp_path, "0.1.0", "gpt-bpe-fsdp-fp16")
    said = litgen("upgrade", "--dry-run", cwd=folder).stdout
    assert re.search(r"\d fix LG003 .* train.py replaced \(you had not touched it\)\n", said)
    assert "Your results may change (LG003): dropout" in said
    edit(folder / "train.py", "    model.train()\n", "    model.train()\n    print(1)\n")
    assert re.search(r"fix LG003 .* train.py merged\n", litgen("upgrade", cwd=folder).stdout)


def test_what_is_due_can_be_listed(litgen: Run, edited: Path) -> None:
    before = state(edited)
    done = litgen("upgrade", "--list", cwd=edited)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"0.1.0 → {installed()}"
    assert "rename LG001" in lines[1] and "argument LG002" in lines[2]
    assert "LG003" not in done.stdout, "that is about projects for many processes"
    told = json.loads(litgen("upgrade", "--list", "--json", cwd=edited).stdout)
    assert (told["version"], told["installed"]) == ("0.1.0", installed())
    assert [step["id"] for step in told["steps"]] == ["LG001", "LG002"]
    assert state(edited) == before
    litgen("upgrade", cwd=edited)
    assert "no step is due" in litgen("upgrade", "--list", cwd=edited).stdout
    assert json.loads(litgen("upgrade", "--list", "--json", cwd=edited).stdout)["steps"] == []


def test_json_says_what_each_step_met(litgen: Run, edited: Path) -> None:
    done = litgen("upgrade", "--json", "--diff", "-y", cwd=edited)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["command"] == ["litgen", "upgrade"]
    assert (told["from"], told["version"], told["written"]) == ("0.1.0", installed(), True)
    calls = {step["id"]: step["calls"] for step in told["steps"]}
    assert calls == {
        "LG001": {"analysis/plan.py": 1, "rates.py": 1, "train.py": 1},
        "LG002": {"rates.py": 1},
    }
    by_path = {file["path"]: file for file in told["files"]}
    assert (by_path["rates.py"]["added"], by_path["rates.py"]["removed"]) == (3, 3)
    assert "+++ b/rates.py" in told["diff"]


@pytest.mark.parametrize("options", [["--dry-run"], ["--check"], ["--diff"]], ids=" ".join)
def test_a_look_writes_nothing(litgen: Run, edited: Path, options: list[str]) -> None:
    before = state(edited)
    done = litgen("upgrade", *options, cwd=edited)
    assert done.returncode == (1 if "--check" in options else 0)
    assert "Nothing was written. To write it: litgen upgrade" in done.stdout
    assert state(edited) == before


def test_code_of_yours_that_git_has_no_copy_of_is_not_written_over(
    litgen: Run, edited: Path
) -> None:
    git(edited, "init", "-q")
    git(edited, "add", "-A")
    git(edited, "commit", "-qm", "as it is")
    edit(edited / "rates.py", "# as it was", "# uncommitted")
    before = state(edited)
    done = litgen("upgrade", cwd=edited)
    assert done.returncode == 1
    assert "rates.py" in done.stderr and "--force" in done.stderr
    assert state(edited) == before
    assert litgen("upgrade", "--force", cwd=edited).returncode == 0
    assert "strict=True)  # uncommitted" in (edited / "rates.py").read_text()


def test_it_can_be_told_to_which_version(litgen: Run, folder: Path) -> None:
    before = state(folder)
    refused = litgen("upgrade", "--to", "0.3.0", cwd=folder)
    assert refused.returncode == 1
    assert "fix: pip install 'litgen-torch==0.3.0' && litgen upgrade" in refused.stderr
    back = litgen("upgrade", "--to", "0.0.9", cwd=folder)
    assert back.returncode == 1 and "older" in back.stderr
    assert litgen("upgrade", "--to", "latest", cwd=folder).returncode == 2
    assert state(folder) == before
    done = litgen("upgrade", "--to", installed(), cwd=folder)
    assert (done.returncode, read_project(folder).version) == (0, installed())


@pytest.mark.parametrize("options", [[], ["--list"]], ids=["upgrade", "list"])
def test_a_project_of_a_newer_litgen_is_not_changed(
    litgen: Run, folder: Path, options: list[str]
) -> None:
    edit(folder / RECORD, '"0.1.0"', '"99.1.0"')
    before = state(folder)
    done = litgen("upgrade", *options, cwd=folder)
    assert done.returncode == 1
    assert "fix: pip install 'litgen-torch>=99.1.0'" in done.stderr
    assert state(folder) == before


def test_a_choice_that_is_no_more_is_said(litgen: Run, folder: Path) -> None:
    edit(folder / RECORD, 'strategy = "single"', 'strategy = "horovod"')
    before = state(folder)
    done = litgen("upgrade", cwd=folder)
    assert done.returncode == 1
    message, fix = done.stderr.splitlines()
    assert "unknown strategy 'horovod'" in message and "0.1.0" in message
    assert "pip install 'litgen-torch==0.1.0'" in fix and "one of: single, ddp" in fix
    assert state(folder) == before


def test_what_litgen_wrote_must_be_known(litgen: Run, folder: Path) -> None:
    (folder / ".litgen/base/train.py.base").unlink()
    done = litgen("upgrade", cwd=folder)
    assert done.returncode == 1
    assert "the base of 'train.py' is missing" in done.stderr


def test_code_that_cannot_be_read_is_not_passed_over(litgen: Run, folder: Path) -> None:
    (folder / "other.py").write_bytes(b"# \xe4\n")
    (folder / "own.py").write_bytes(b"# \xe4\nfrom runtime.optim import warmup_cosine\n")
    before = state(folder)
    done = litgen("upgrade", cwd=folder)
    assert done.returncode == 1
    assert "own.py is no UTF-8" in done.stderr and "save own.py as UTF-8" in done.stderr
    assert state(folder) == before
    (folder / "own.py").write_text("# ä\nfrom runtime.optim import warmup_cosine\n")
    assert litgen("upgrade", cwd=folder).returncode == 0
    assert "schedule import cosine" in (folder / "own.py").read_text()


def test_status_and_doctor_say_how_to_follow(litgen: Run, folder: Path) -> None:
    said = litgen("status", cwd=folder).stdout
    assert re.search(r"behind +\d+ files\n  to come +\d+ files\n  untouched", said)
    assert "to follow: litgen upgrade" in said
    full = litgen("status", "--all", cwd=folder).stdout
    assert "behind     train.py\n" in full and "to come    runtime/schedule.py\n" in full
    checks = json.loads(litgen("doctor", "--json", cwd=folder).stdout)["checks"]
    (version,) = [check for check in checks if check["name"] == "version"]
    assert (version["state"], version["fix"]) == ("note", "litgen upgrade")
    assert "fix: litgen upgrade" in litgen("add", "ddp", cwd=folder).stderr


@pytest.mark.parametrize("key", ["y", "n", ""], ids=["yes", "no", "enter"])
def test_at_a_terminal_the_owner_is_asked(edited: Path, key: str) -> None:
    before = own(edited)
    terminal = Terminal("upgrade", folder=edited, extra={"NO_COLOR": "1"})
    terminal.answer("Write it?", f"{key}\r".encode())
    assert terminal.finish() == 0
    assert terminal.screen.index("3 steps") < terminal.screen.index("Write it?")
    assert (own(edited) == before) is (key == "n")
