"""`litgen new` and the other commands as processes: what they write, say and return."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from projects import LITGEN, Run

from litgen_torch.catalog import questions
from litgen_torch.project import read_project

FEATURES = [c.value for q in questions() if q.name == "feature" for c in q.choices]


def files(folder: Path) -> dict[str, str]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_text() for file in found}


def test_a_project_is_written_with_its_record(litgen: Run, tmp_path: Path) -> None:
    done = litgen("new", "proj", "-y")
    assert (done.returncode, done.stderr) == (0, "")
    project = read_project(tmp_path / "proj")
    assert project.name == "proj"
    assert {path for path in files(tmp_path / "proj") if not path.startswith(".litgen/")} == set(
        project.base
    )
    assert os.listdir(tmp_path) == ["proj"]


def test_the_last_line_gives_the_same_project(litgen: Run, tmp_path: Path) -> None:
    first = litgen("new", "one/proj", "--model", "gpt", "--with", "tokenizer=bpe")
    again = first.stdout.splitlines()[-1].strip()
    assert again.startswith("litgen new one/proj ")
    second = litgen(*shlex.split(again.replace("one/", "two/"))[1:])
    assert second.returncode == 0
    assert second.stderr == "", "every answer was given"
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_path_that_a_shell_would_split_is_quoted(litgen: Run, tmp_path: Path) -> None:
    (tmp_path / "my folder").mkdir()
    said = litgen("new", "my folder/proj", "-y").stdout
    assert "cd 'my folder/proj'" in said
    assert "litgen new 'my folder/proj' " in said


def test_without_a_terminal_it_never_waits_and_says_what_it_took(litgen: Run) -> None:
    done = litgen("new", "proj", "--strategy", "ddp")
    assert done.returncode == 0
    assert "--model cnn" in done.stderr
    assert "--strategy" not in done.stderr


def test_the_folder_in_which_one_stands_can_become_the_project(litgen: Run, tmp_path: Path) -> None:
    folder = tmp_path / "proj"
    folder.mkdir()
    done = litgen("new", ".", "-y", cwd=folder)
    assert done.returncode == 0
    assert "cd " not in done.stdout
    assert read_project(folder).name == "proj"


def test_a_dry_run_says_the_same_and_writes_nothing(litgen: Run, tmp_path: Path) -> None:
    dry = litgen("new", "proj", "-y", "--dry-run")
    assert dry.returncode == 0
    assert os.listdir(tmp_path) == []
    summary = litgen("new", "proj", "-y").stdout.partition("\n\n")[0]
    assert dry.stdout.startswith(summary)


@pytest.mark.parametrize("strategy", ["single", "deepspeed", "xla"])
def test_what_is_to_be_installed_next_is_what_its_readme_says(
    litgen: Run, tmp_path: Path, strategy: str
) -> None:
    told = json.loads(litgen("new", "proj", "--strategy", strategy, "-y", "--json").stdout)
    commands = [step.partition("    #")[0] for step in told["next"] if "pip" in step]
    block = (tmp_path / "proj/README.md").read_text().split("```")[1]
    assert commands == [line.partition("    #")[0] for line in block.splitlines() if "pip" in line]
    assert len(commands) == (3 if strategy == "deepspeed" else 1)


@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "written"])
def test_json_is_one_document_on_stdout(litgen: Run, tmp_path: Path, dry: bool) -> None:
    done = litgen("new", "proj", "--json", *(["--dry-run"] if dry else []))
    report = json.loads(done.stdout)
    assert report["written"] is not dry
    assert report["answers"]["model"] == "cnn"
    assert "train.py" in report["files"]
    assert (tmp_path / "proj").exists() is not dry


def test_answers_can_come_from_a_file_and_flags_go_before_it(litgen: Run, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('model = "vit"\nstrategy = "fsdp"\n')
    report = litgen("new", "p", "--answers", "a.toml", "--strategy", "ddp", "--json", "-y").stdout
    answers = json.loads(report)["answers"]
    assert (answers["model"], answers["strategy"]) == ("vit", "ddp")


def test_the_record_of_a_project_is_a_file_of_answers(litgen: Run, tmp_path: Path) -> None:
    litgen("new", "one/proj", "--model", "gpt", "--precision", "bf16", "-y")
    record = "one/proj/.litgen/project.toml"
    assert litgen("new", "two/proj", "--answers", record, "-y").returncode == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_add_ons_are_sets_whatever_their_order(litgen: Run, tmp_path: Path) -> None:
    words = [f"--with=feature={value}" for value in FEATURES]
    assert litgen("new", "one/proj", *words, *words[:1], "-y").returncode == 0
    (tmp_path / "a.toml").write_text(f"feature = {json.dumps(FEATURES[::-1])}")
    done = litgen("new", "two/proj", "--answers", "a.toml", "-y", "--json")
    assert json.loads(done.stdout)["answers"]["feature"] == sorted(FEATURES)
    again = shlex.split(json.loads(done.stdout)["again"])
    assert [word for word in again if "feature" in word] == [
        f"feature={v}" for v in sorted(FEATURES)
    ]
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert read_project(tmp_path / "one/proj").answers["feature"] == tuple(sorted(FEATURES))
    short = f"--with=feature={','.join(FEATURES)}"
    assert litgen("new", "three/proj", short, "-y").returncode == 0
    assert files(tmp_path / "one") == files(tmp_path / "three")


def test_a_set_on_the_command_line_takes_the_place_of_the_file_s(
    litgen: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(f"feature = {json.dumps(FEATURES)}")
    words = ["--answers", "a.toml", "--with", f"feature={FEATURES[-1]}", "--json", "-y"]
    report = json.loads(litgen("new", "p", *words).stdout)
    assert report["answers"]["feature"] == FEATURES[-1:]


REFUSED = {
    "unknown choice": (["p", "--strategy", "fspd"], "did you mean fsdp?"),
    "unknown kind": (["p", "--with", "tokeniser=bpe"], "did you mean tokenizer?"),
    "unknown add-on": (["p", "--with", "feature=complie"], "did you mean compile?"),
    "impossible add-on": (
        ["p", "--model", "gpt", "--with", "feature=metrics"],
        "the nearest that works: --task language-model --model gpt",
    ),
    "impossible": (["p", "--model", "gpt", "--data", "digits"], "the nearest that works: --"),
    "not empty": (["full"], "new or empty"),
    "a file": (["full/file"], "new or empty"),
    "space in the name": (["my model"], "litgen new my-model"),
    "code in the name": (['"; import os'], "litgen new import-os"),
    "template in the name": (["{{ 7*7 }}"], "litgen new 7-7"),
    "escape in the name": (["a\x1b[2Jb"], "litgen new a-2Jb"),
    "bidirectional name": (["a\u202eb"], "litgen new ab"),
    "empty name": ([""], "litgen new my-project"),
    "300 characters": (["a" * 300], "litgen new " + "a" * 64),
    "root": (["/"], "litgen new my-project"),
    "no answers file": (["p", "--answers", "none.toml"], "that can be read"),
    "a folder of answers": (["p", "--answers", "full"], "that can be read"),
    "answers that are no toml": (["p", "--answers", "bad.toml"], "lines such as"),
    "slip in the answers": (["p", "--answers", "slip.toml"], "did you mean model?"),
    "number in the answers": (["p", "--answers", "number.toml"], "fix:"),
    "word for a set": (["p", "--answers", "word.toml"], 'feature = ["'),
    "binary answers": (["p", "--answers", "binary.toml"], "fix:"),
}


@pytest.mark.parametrize(("words", "hint"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_two_lines_and_changes_nothing(
    litgen: Run, tmp_path: Path, words: list[str], hint: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    (tmp_path / "bad.toml").write_text("model = gpt")
    (tmp_path / "slip.toml").write_text('modle = "gpt"')
    (tmp_path / "number.toml").write_text("model = 1")
    (tmp_path / "word.toml").write_text('feature = "compile"')
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    before = sorted(tmp_path.rglob("*"))
    done = litgen("new", *words, "-y")
    assert done.returncode == 1
    message, fix = done.stderr.splitlines()
    assert message.startswith("litgen: ") and fix.startswith("  fix: ")
    assert hint in fix
    assert done.stderr.replace("\n", "").isprintable()
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


WRONG_USAGE = {
    "no command": [],
    "slip in a command": ["nwe"],
    "unknown flag": ["new", "p", "--modle", "gpt"],
    "no path": ["new"],
    "pair without choice": ["new", "p", "--with", "tokenizer"],
    "two choices": ["new", "p", "--with", "tokenizer=bpe", "--with", "tokenizer=bytes"],
    "unknown shell": ["completion", "tcsh"],
}


@pytest.mark.parametrize("words", WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage_returns_2(litgen: Run, tmp_path: Path, words: list[str]) -> None:
    done = litgen(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_slip_in_a_command_or_flag_is_understood(litgen: Run) -> None:
    assert "did you mean new?" in litgen("nwe").stderr
    assert "--model" in litgen("new", "p", "--modle", "gpt").stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; test_tree mounts a disk")
def test_a_folder_that_may_not_be_written_is_named(litgen: Run, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    done = litgen("new", "closed/proj", "-y")
    assert done.returncode == 1
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.3, 0.4, 0.5, 0.6])
def test_interrupted_it_leaves_all_or_nothing(tmp_path: Path, seconds: float) -> None:
    command = subprocess.Popen(
        [LITGEN, "new", "deep/er/proj", "-y"], cwd=tmp_path, stdout=-1, stderr=-1, text=True
    )
    try:
        command.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=30)
    if command.returncode:
        assert os.listdir(tmp_path) == []
    else:
        assert os.listdir(tmp_path / "deep/er") == ["proj"]
        read_project(tmp_path / "deep/er/proj")


def test_list_shows_every_choice_and_what_it_needs(litgen: Run) -> None:
    text, told = litgen("list").stdout, json.loads(litgen("list", "--json").stdout)
    assert [question["name"] for question in told] == [question.name for question in questions()]
    for question in questions():
        for choice in question.choices:
            assert f"{choice.value} " in text and choice.summary in text
    assert [q["name"] for q in told if q["many"]] == [q.name for q in questions() if q.many]
    needs = {c["value"]: c["needs"] for question in told for c in question["choices"]}
    assert needs["gpt"] == ["task language-model"]
    assert needs["ddp"] == needs["ema"] == []
    assert needs["metrics"] == ["task image-classification"]
    packages = {c["value"]: c["packages"] for question in told for c in question["choices"]}
    assert {value: brought for value, brought in packages.items() if brought} == {
        "digits": ["scikit-learn"],
        "folder": ["pillow"],
        "deepspeed": ["deepspeed"],
        "xla": ["torch_xla"],
        "bpe": ["tokenizers"],
        "float8": ["torchao"],
        "tensorboard": ["tensorboard"],
        "wandb": ["wandb"],
        "metrics": ["torchmetrics"],
    }


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    line = f"{shlex.quote(str(LITGEN))} list | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_calls_litgen(litgen: Run, shell: str) -> None:
    assert "_LITGEN_COMPLETE" in litgen("completion", shell).stdout


def test_completion_knows_commands_and_choices(litgen: Run) -> None:
    def completed(*words: str) -> str:
        line = shlex.join(["litgen", *words])
        position = str(len(words))
        extra = {"_LITGEN_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": position}
        return litgen(**extra).stdout

    assert "plain,new" in completed("n")
    assert "plain,language-model" in completed("new", "p", "--task", "l")
    assert "plain,cnn" in completed("new", "p", "--model", "c")


@pytest.mark.parametrize(
    ("extra", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False),
    ],
    ids=["pipe", "FORCE_COLOR", "NO_COLOR", "TERM=dumb"],
)
def test_colour_is_as_the_environment_wants(
    litgen: Run, extra: dict[str, str], coloured: bool
) -> None:
    plain = {"FORCE_COLOR": "", "NO_COLOR": "", "TERM": "xterm"}
    assert ("\x1b[" in litgen("list", **plain | extra).stdout) is coloured


def test_the_version_is_the_distribution_s(litgen: Run) -> None:
    from importlib.metadata import version

    assert litgen("--version").stdout == f"litgen {version('litgen-torch')}\n"


HEAVY = {"torch", "copier", "libcst", "black", "questionary", "prompt_toolkit", "jinja2", "yaml"}


def test_the_command_line_itself_imports_nothing_heavy() -> None:
    code = "import sys, litgen_torch.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert HEAVY.isdisjoint(loaded.stdout.split())


def test_a_default_project_needs_neither_torch_nor_copier_nor_black(tmp_path: Path) -> None:
    code = (
        "import sys; from litgen_torch.cli import main; main(['new', 'p', '-y']);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert (HEAVY - {"jinja2", "yaml"}).isdisjoint(loaded)
