"""Projects from templates that are not litgen's: made, edited by hand, changed, taken back."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from projects import Run
from terminal import ENTER, Terminal
from test_add import edit, git, state

from litgen_torch.project import RECORD, read_project
from litgen_torch.render import templates_folder

QUESTIONS = """\
_secret_questions: [token]
_subdirectory: files
_skip_if_exists: [notes.md]
title:
  type: str
  default: "{{ _folder_name }}"
store:
  type: str
  choices: [sqlite, postgres]
  default: sqlite
port:
  type: int
  default: 5432
  when: "{{ store == 'postgres' }}"
  validator: "{% if port < 1024 %}a port below 1024 is the system's{% endif %}"
docker:
  type: bool
  default: false
plugins:
  type: str
  multiselect: true
  choices: [mail, cache, queue]
  default: [mail]
token:
  type: str
  default: ""
"""
APP = '''\
"""{{ title }}"""

import os

STORE = "{{ store }}"
{% if store == "postgres" %}PORT = {{ port }}
{% endif %}PLUGINS = {{ plugins }}
TOKEN = "{{ token }}"


def main() -> None:
    """Start."""
    print(STORE, PLUGINS)
    print(os.getcwd())
'''
PICTURE = b"\x89PNG\r\n\x1a\n\x00\xff\xfe"
TEMPLATE: dict[str, str | bytes] = {
    "copier.yml": QUESTIONS,
    "files/app.py.jinja": APP,
    "files/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers|to_nice_yaml }}",
    "files/{% if docker %}Dockerfile{% endif %}": "FROM scratch\n",
    "files/notes.md": "Notes.\n",
    "files/logo.png": PICTURE,
    "files/run.sh": "#!/bin/sh\necho run\n",
    "files/plain.txt": "{{ not rendered }}\n",
}
WORDS = ["--with", "store=postgres", "--with", "plugins=cache", "--with", "plugins=mail"]


def files(folder: Path) -> dict[str, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}


def write(folder: Path, tree: dict[str, str | bytes]) -> Path:
    for path, text in tree.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        if path.endswith(".sh"):
            file.chmod(0o755)
    return folder


def release(folder: Path, tag: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", tag)
    git(folder, "tag", tag)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A template that is a plain folder."""
    return write(tmp_path / "template", TEMPLATE)


@pytest.fixture
def repository(folder: Path) -> Path:
    """One that is a git repository, with two versions."""
    git(folder, "init", "-q", "-b", "main")
    release(folder, "1.9.0")
    edit(folder / "files/app.py.jinja", "import os\n", "import os\nimport sys\n")
    edit(folder / "files/app.py.jinja", "    print(os", "    print(sys.version)\n    print(os")
    (folder / "files/logo.png").write_bytes(PICTURE + b"2")
    (folder / "files/notes.md").write_text("Other notes.\n")
    (folder / "copier.yml").write_text(QUESTIONS + "colour:\n  type: str\n  default: blue\n")
    release(folder, "1.10.0")
    (folder / "files/notes.md").write_text("Not for everybody yet.\n")
    release(folder, "2.0.0rc1")
    return folder


def made(litgen: Run, source: Path, *words: str) -> Path:
    done = litgen("new", "proj", "--template", str(source), *words)
    assert done.returncode == 0, done.stderr
    return source.parent / "proj"


SOURCES = ["folder", "repository"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_project_is_what_copier_would_write(
    litgen: Run, source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place = request.getfixturevalue(source)
    proj = made(litgen, place, *WORDS)
    data = ["-d", "store=postgres", "-d", "plugins=[cache, mail]"]
    copier = Path(os.sys.executable).with_name("copier")  # type: ignore[attr-defined]
    subprocess.run(
        [copier, "copy", "-q", "--defaults", *data, place, tmp_path / "other/proj"], check=True
    )
    written = {p: t for p, t in files(proj).items() if not p.startswith(".litgen/")}
    assert written == files(tmp_path / "other/proj")
    assert os.access(proj / "run.sh", os.X_OK) and not os.access(proj / "app.py", os.X_OK)
    assert read_project(proj).answers["plugins"] == ["mail", "cache"]


@pytest.mark.parametrize("source", SOURCES)
def test_the_line_at_its_end_gives_the_same_project(
    litgen: Run, source: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(source)
    done = litgen("new", "proj", "--template", str(place), *WORDS, "--json")
    again = shlex.split(json.loads(done.stdout)["again"])
    before = files(place.parent / "proj")
    shutil.rmtree(place.parent / "proj")
    assert litgen(*again[1:]).returncode == 0
    assert files(place.parent / "proj") == before


def test_answers_may_come_from_a_file_or_another_project(litgen: Run, folder: Path) -> None:
    answers = folder.parent / "answers.toml"
    answers.write_text('store = "postgres"\nport = 6000\nplugins = ["queue"]\n')
    proj = made(litgen, folder, "--answers", str(answers), "--with", "port=7000")
    text = (proj / "app.py").read_text()
    assert "PORT = 7000" in text and "['queue']" in text
    other = litgen("new", "o", "--template", str(folder), "--answers", str(proj / RECORD))
    assert other.returncode == 0, other.stderr
    assert "PORT = 7000" in (folder.parent / "o/app.py").read_text()


def test_a_dry_run_writes_nothing(litgen: Run, folder: Path) -> None:
    done = litgen("new", "proj", "--template", str(folder), "--dry-run")
    assert done.returncode == 0 and "app.py" in done.stdout
    assert not (folder.parent / "proj").exists()


def test_on_a_terminal_the_template_s_questions_are_asked(folder: Path) -> None:
    terminal = Terminal("new", "proj", "--template", str(folder), folder=folder.parent, extra={})
    for question, keys in (
        ("title", b"\r"),
        ("store", b"\x1b[B\r"),
        ("port", ENTER),
        ("docker", b"y"),
        ("plugins", ENTER),
        ("token", b"hush\r"),
        ("Write it?", ENTER),
    ):
        terminal.answer(question, keys)
    assert terminal.finish() == 0, terminal.screen
    answers = read_project(folder.parent / "proj").answers
    assert (answers["store"], answers["docker"]) == ("postgres", True)
    assert "hush" in (folder.parent / "proj/app.py").read_text()


MINE = "    print('mine')  # my own line\n"


@pytest.mark.parametrize("source", SOURCES)
def test_other_answers_are_carried_into_what_you_made_of_it(
    litgen: Run, source: str, request: pytest.FixtureRequest
) -> None:
    proj = made(litgen, request.getfixturevalue(source))
    edit(proj / "app.py", "    print(os", f"{MINE}    print(os")
    before = state(proj)
    for words in (["set", "store", "postgres"], ["add", "docker"], ["add", "plugins", "queue"]):
        done = litgen(*words, cwd=proj)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    text = (proj / "app.py").read_text()
    for words in (MINE, 'STORE = "postgres"\nPORT = 5432\n', "['mail', 'queue']"):
        assert words in text
    assert (proj / "Dockerfile").read_text() == "FROM scratch\n"
    assert "port: 5432" in (proj / ".copier-answers.yml").read_text()
    for words in (["remove", "plugins", "queue"], ["remove", "docker"], ["remove", "store"]):
        done = litgen(*words, cwd=proj)
        assert done.returncode == 0, done.stderr
    undo = f"{proj}/.litgen/undo/"
    after = {path: data for path, data in state(proj).items() if not path.startswith(undo)}
    assert {p: d for p, (d, _) in after.items()} == {p: d for p, (d, _) in before.items()}


def test_undo_takes_an_answer_back(litgen: Run, folder: Path) -> None:
    proj = made(litgen, folder)
    before = files(proj)
    assert litgen("add", "docker", cwd=proj).returncode == 0
    assert litgen("undo", cwd=proj).returncode == 0
    assert files(proj) == before


NOTHING = {
    "add": ["add", "store", "sqlite"],
    "a member": ["add", "plugins", "mail"],
    "remove": ["remove", "store", "postgres"],
    "remove a member": ["remove", "plugins", "queue"],
    "remove a no": ["remove", "docker"],
}


@pytest.mark.parametrize("words", NOTHING.values(), ids=NOTHING)
def test_what_is_so_already_is_said(litgen: Run, folder: Path, words: list[str]) -> None:
    proj = made(litgen, folder)
    before = state(proj)
    done = litgen(*words, cwd=proj)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to do" in done.stdout
    assert state(proj) == before


REFUSED = {
    "a slip in a question": (["add", "stroe", "sqlite"], "did you mean store?"),
    "a slip in an answer": (["add", "store", "postgers"], "did you mean postgres?"),
    "no member": (["add", "plugins", "mial"], "did you mean mail?"),
    "no number": (["set", "port", "many"], "expected a whole number"),
    "no yes and no no": (["set", "docker", "perhaps"], "true or false"),
    "not asked": (["set", "port", "6000"], "store == 'postgres'"),
    "not valid": (["set", "title", "{{ 7 * 7 }}", "x"], "QUESTION ANSWER"),
    "secret": (["set", "token", "hush"], "secret"),
    "the default": (["remove", "store", "sqlite"], "litgen set store"),
    "no answer": (["add", "store"], "litgen add store and an answer"),
    "verify": (["add", "docker", "--verify"], "leave it out"),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_changes_nothing(litgen: Run, folder: Path, words: list[str], said: str) -> None:
    proj = made(litgen, folder)
    before = state(proj)
    done = litgen(*words, cwd=proj)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert said in done.stderr and "Traceback" not in done.stderr
    assert state(proj) == before


def test_the_template_s_own_check_of_an_answer_is_heard(litgen: Run, folder: Path) -> None:
    proj = made(litgen, folder, *WORDS)
    done = litgen("set", "port", "80", cwd=proj)
    assert done.returncode == 1
    assert "a port below 1024 is the system's" in done.stderr


def test_answers_are_data_and_never_a_template(litgen: Run, folder: Path) -> None:
    proj = made(litgen, folder)
    assert litgen("set", "title", "{{ 7 * 7 }}", cwd=proj).returncode == 0
    assert '"""{{ 7 * 7 }}"""' in (proj / "app.py").read_text()


def test_where_it_does_not_fit_both_ways_are_open(litgen: Run, folder: Path) -> None:
    proj = made(litgen, folder)
    edit(proj / "app.py", 'STORE = "sqlite"', 'STORE = "mine"')
    before = files(proj)
    done = litgen("set", "store", "postgres", cwd=proj)
    assert done.returncode == 3 and files(proj) == before
    assert "litgen set store postgres --accept app.py:5" in done.stderr
    done = litgen("set", "store", "postgres", "--conflicts=markers", cwd=proj)
    assert done.returncode == 3 and "<<<<<<< yours" in (proj / "app.py").read_text()
    assert litgen("set", "--abort", cwd=proj).returncode == 0
    assert {p: t for p, t in files(proj).items() if "/undo/" not in p} == before
    done = litgen("set", "store", "postgres", "--accept", "app.py:5", cwd=proj)
    assert done.returncode == 0, done.stderr
    assert 'STORE = "mine"\nPORT = 5432' in (proj / "app.py").read_text()


def test_what_a_template_writes_anew_each_time_is_no_change(litgen: Run, folder: Path) -> None:
    (folder / "files/key.txt.jinja").write_text("{{ 999999999999|ans_random }}\n")
    proj = made(litgen, folder)
    before = (proj / "key.txt").read_text()
    assert litgen("add", "docker", cwd=proj).returncode == 0
    assert (proj / "key.txt").read_text() == before


def test_a_secret_is_only_in_the_files_that_have_it(litgen: Run, folder: Path) -> None:
    done = litgen("new", "proj", "--template", str(folder), "--with", "token=hush")
    assert "token: secret" in done.stdout
    assert "hush" not in done.stdout.partition("The same project again:")[2]
    proj = folder.parent / "proj"
    holding = [path for path, data in files(proj).items() if b"hush" in data]
    assert holding == ["app.py"]
    assert litgen("set", "store", "postgres", cwd=proj).returncode == 0
    assert 'TOKEN = "hush"' in (proj / "app.py").read_text()
    assert "token" not in read_project(proj).answers


TASKS = '_tasks:\n  - "echo done > task.txt"\n  - [sh, -c, "echo said"]\n'


def test_code_of_a_template_is_named_and_only_run_where_it_is_trusted(
    litgen: Run, folder: Path
) -> None:
    edit(folder / "copier.yml", "_subdirectory", f"{TASKS}_subdirectory")
    done = litgen("new", "proj", "--template", str(folder))
    assert done.returncode == 1 and not (folder.parent / "proj").exists()
    assert "'echo done > task.txt'" in done.stderr and "--trust" in done.stderr
    done = litgen("new", "proj", "--template", str(folder), "--trust", "--json")
    assert json.loads(done.stdout)["files"].count("task.txt") == 1
    proj = folder.parent / "proj"
    assert (proj / "task.txt").read_text() == "done\n"
    before = state(proj)
    assert "--trust" in litgen("add", "docker", cwd=proj).stderr
    assert state(proj) == before
    assert litgen("add", "docker", "--trust", cwd=proj).returncode == 0
    assert "--trust" in litgen("explain", "docker", cwd=proj).stderr


def test_an_extension_is_code_as_well(litgen: Run, folder: Path) -> None:
    edit(folder / "copier.yml", "_subdirectory", "_jinja_extensions: [nowhere.Here]\n_subdirectory")
    done = litgen("new", "proj", "--template", str(folder))
    assert done.returncode == 1 and "nowhere.Here" in done.stderr
    done = litgen("new", "proj", "--template", str(folder), "--trust")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2


BROKEN: dict[str, tuple[dict[str, str | bytes], str]] = {
    "no YAML": ({"copier.yml": "a: b: c\n"}, "line 1"),
    "no Jinja": ({"files/a.jinja": "x\n{% if %}\n"}, "files/a.jinja:2"),
    "no such name": ({"files/a.jinja": "x\n{{ a.b }}\n"}, "files/a.jinja:2"),
    "an error in it": ({"files/a.jinja": "{{ 1 / 0 }}\n"}, "division by zero"),
    "a path upwards": ({"files/{{ '..' }}/{{ '..' }}/x": "x"}, "outside the project"),
    "an absolute path": ({"copier.yml": "at: /etc/x\n", "{{ at }}": "x"}, "outside the project"),
    "litgen's own folder": ({"files/.litgen/project.toml": "x"}, "litgen's own"),
    "a newer copier": ({"copier.yml": "_min_copier_version: '99'\n"}, ">= 99"),
    "an unknown type": ({"copier.yml": "a:\n  type: colour\n  default: x\n"}, "colour"),
    "a question without a default": ({"copier.yml": "a:\n  type: str\n"}, "is required"),
    "nothing": ({"copier.yml": "_exclude: ['*']\n"}, "writes no file"),
}


@pytest.mark.parametrize(("tree", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_template_is_two_lines_and_writes_nothing(
    litgen: Run, folder: Path, tree: dict[str, str | bytes], said: str
) -> None:
    write(folder, tree)
    done = litgen("new", "proj", "--template", str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    message, fix = done.stderr.splitlines()
    assert said in message and fix.startswith("  fix: ")
    assert sorted(os.listdir(folder.parent)) == ["template"]


@pytest.mark.parametrize("kept", ["true", "false"])
def test_a_link_out_of_a_template_is_not_followed(litgen: Run, folder: Path, kept: str) -> None:
    edit(folder / "copier.yml", "_subdirectory", f"_preserve_symlinks: {kept}\n_subdirectory")
    (folder / "files/link").symlink_to("/etc/passwd")
    done = litgen("new", "proj", "--template", str(folder))
    assert done.returncode == 1 and "link" in done.stderr
    assert not (folder.parent / "proj").exists()


SOURCES_REFUSED = {
    "nowhere": (["nowhere"], "neither a folder here nor a git URL"),
    "no answer": (["https://localhost:1/x.git"], "git ls-remote https://localhost:1/x.git"),
    "a password": (["https://me:secret@localhost:1/x.git"], "password"),
    "a ref of a folder": (["template", "--ref", "v1"], "leave --ref out"),
}


@pytest.mark.parametrize(("words", "said"), SOURCES_REFUSED.values(), ids=SOURCES_REFUSED)
def test_a_template_that_cannot_be_had_is_two_lines(
    litgen: Run, folder: Path, words: list[str], said: str
) -> None:
    done = litgen("new", "proj", "--template", *words)
    assert done.returncode == 1 and said in done.stderr
    assert len(done.stderr.splitlines()) == 2


WRONG_USAGE = {
    "a kind of litgen's": ["--template", "template", "--strategy", "ddp"],
    "trust without a template": ["--trust"],
    "ref without a template": ["--ref", "v1"],
    "no answer": ["--template", "template", "--with", "store"],
}


@pytest.mark.parametrize("words", WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage_is_2(litgen: Run, folder: Path, words: list[str]) -> None:
    assert litgen("new", "proj", *words).returncode == 2
    assert not (folder.parent / "proj").exists()


def test_the_newest_version_is_taken_or_the_one_that_is_named(
    litgen: Run, repository: Path
) -> None:
    proj = made(litgen, repository)
    record = tomllib.loads((proj / RECORD).read_text())["template"]
    assert record["ref"] == "1.10.0" and len(record["commit"]) == 40
    assert "_commit: 1.10.0" in (proj / ".copier-answers.yml").read_text()
    assert f"_src_path: {repository}" in (proj / ".copier-answers.yml").read_text()
    for ref in ("1.9.0", "main", record["commit"]):
        done = litgen("new", ref, "--template", str(repository), "--ref", ref)
        assert done.returncode == 0, done.stderr
    assert "import sys" not in (proj.parent / "1.9.0/app.py").read_text()
    assert (proj.parent / "main/notes.md").read_text() == "Not for everybody yet.\n"
    done = litgen("new", "x", "--template", str(repository), "--ref", "1.9")
    assert done.returncode == 1 and "did you mean 1.9.0?" in done.stderr


def test_an_answer_is_changed_with_the_version_that_wrote_the_project(
    litgen: Run, repository: Path
) -> None:
    proj = made(litgen, repository, "--ref", "1.9.0")
    assert litgen("add", "docker", cwd=proj).returncode == 0
    assert "import sys" not in (proj / "app.py").read_text()
    assert (proj / "logo.png").read_bytes() == PICTURE


def test_a_folder_that_changed_is_not_taken_for_the_one_that_wrote_the_project(
    litgen: Run, folder: Path
) -> None:
    proj = made(litgen, folder)
    edit(folder / "files/app.py.jinja", "import os\n", "import os\nimport sys\n")
    before = state(proj)
    done = litgen("add", "docker", cwd=proj)
    assert done.returncode == 1 and "fix: litgen upgrade" in done.stderr
    assert state(proj) == before


@pytest.mark.parametrize("source", SOURCES)
def test_a_template_that_is_gone_is_said_and_nothing_else_is_lost(
    litgen: Run, source: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(source)
    proj = made(litgen, place)
    edit(proj / "app.py", "    print(os", f"{MINE}    print(os")
    place.rename(place.with_name("elsewhere"))
    before = state(proj)
    for words in (["add", "docker"], ["diff", "--template"]):
        done = litgen(*words, cwd=proj)
        assert done.returncode == 1 and RECORD in done.stderr
        assert len(done.stderr.splitlines()) == 2
    assert MINE in litgen("diff", cwd=proj).stdout
    assert litgen("status", cwd=proj).returncode == 0
    assert state(proj) == before
    edit(proj / RECORD, str(place), str(place.with_name("elsewhere")))
    assert litgen("add", "docker", cwd=proj).returncode == 0


def test_status_diff_and_explain_know_the_template(litgen: Run, repository: Path) -> None:
    proj = made(litgen, repository, "--ref", "1.9.0")
    edit(proj / "app.py", "    print(os", f"{MINE}    print(os")
    (proj / "logo.png").write_bytes(b"\xffmine\x00")
    told = json.loads(litgen("status", "--json", cwd=proj).stdout)
    assert told["template"]["ref"] == "1.9.0"
    edited = [file["path"] for file in told["files"] if file["state"] == "edited"]
    assert edited == ["app.py", "logo.png"]
    said = litgen("diff", cwd=proj).stdout
    assert MINE in said and "Binary files a/logo.png and b/logo.png differ" in said
    assert "+import sys" in litgen("diff", "--template", cwd=proj).stdout
    told = json.loads(litgen("explain", "store", "postgres", "--json", cwd=proj).stdout)
    lines = [line for piece in told["pieces"] for _, line in piece["lines"]]
    assert 'STORE = "postgres"' in lines and "PORT = 5432" in lines
    assert told["in_project"] is False
    assert "Dockerfile" in litgen("explain", "docker", cwd=proj).stdout


def test_doctor_says_whether_there_is_a_newer_one(litgen: Run, repository: Path) -> None:
    def template() -> dict[str, str]:
        told = json.loads(litgen("doctor", "--json", cwd=proj).stdout)
        assert told["sound"]
        return next(check for check in told["checks"] if check["name"] == "template")

    proj = made(litgen, repository, "--ref", "1.9.0")
    found = template()
    assert (found["state"], found["fix"]) == ("note", "litgen upgrade")
    assert "1.10.0" in found["words"]
    shutil.rmtree(repository)
    found = template()
    assert found["state"] == "note" and RECORD in found["fix"]


def test_doctor_finds_the_record_of_a_template_s_project_as_litgen_writes_it(
    litgen: Run, folder: Path
) -> None:
    proj = made(litgen, folder, *WORDS)
    for words in (["add", "docker"], ["set", "store", "sqlite"]):
        told = json.loads(litgen("doctor", "--json", cwd=proj).stdout)
        record = next(check for check in told["checks"] if check["name"] == "record")
        assert record["state"] == "ok", record
        assert litgen(*words, cwd=proj).returncode == 0


def test_a_missing_base_is_made_again_by_the_template(litgen: Run, repository: Path) -> None:
    proj = made(litgen, repository)
    (proj / ".litgen/base/app.py.base").unlink()
    assert litgen("add", "docker", cwd=proj).returncode == 0
    assert read_project(proj).base["app.py"] == (proj / "app.py").read_text()


def test_git_merges_branches_that_each_gave_another_answer(litgen: Run, repository: Path) -> None:
    proj = made(litgen, repository)
    edit(proj / "app.py", "    print(os", f"{MINE}    print(os")
    git(proj, "init", "-q", "-b", "main")
    git(proj, "add", "-A")
    git(proj, "commit", "-qm", "as written")
    git(proj, "checkout", "-qb", "other")
    for branch, words in (("other", ["add", "docker"]), ("main", ["set", "store", "postgres"])):
        git(proj, "checkout", "-q", branch)
        assert litgen(*words, cwd=proj).returncode == 0
        git(proj, "add", "-A")
        git(proj, "commit", "-qm", branch)
    git(proj, "merge", "-q", "other")
    assert json.loads(litgen("doctor", "--json", cwd=proj).stdout)["sound"]
    answers = read_project(proj).answers
    assert (answers["docker"], answers["store"]) == (True, "postgres")
    for words in (["doctor"], ["upgrade", "--list"]):
        assert "as after a merge" in litgen(*words, cwd=proj).stdout
    done = litgen("upgrade", cwd=proj)
    assert done.returncode == 0, done.stderr
    for words in (["doctor"], ["upgrade", "--list"]):
        assert "as after a merge" not in litgen(*words, cwd=proj).stdout
    assert "nothing to do" in litgen("upgrade", cwd=proj).stdout
    done = litgen("add", "plugins", "cache", cwd=proj)
    assert done.returncode == 0, done.stderr
    assert MINE in (proj / "app.py").read_text()


def test_list_shows_the_template_s_questions(litgen: Run, folder: Path) -> None:
    edit(folder / "copier.yml", "_subdirectory", f"{TASKS}_subdirectory")
    proj = made(litgen, folder, "--trust")
    said = litgen("list", cwd=proj).stdout
    assert "one of  sqlite, postgres" in said and "here    mail" in said
    assert json.loads(litgen("list", "--json", cwd=proj).stdout)["port"]["default"] == 5432


def test_litgen_s_own_templates_are_a_template_like_any_other(litgen: Run, tmp_path: Path) -> None:
    def train(proj: Path) -> None:
        text = re.sub(r"\bmodel\b", "net", (proj / "train.py").read_text())
        (proj / "train.py").write_text(text.replace("from net", "from model"))
        edit(proj / "train.py", "    net.train()\n    while", f"{MINE}    net.train()\n    while")
        for words in (["strategy", "ddp"], ["feature", "ema"], ["precision", "fp16"]):
            assert litgen("add", *words, cwd=proj).returncode == 0

    litgen("new", "theirs/proj", "--template", str(templates_folder()))
    litgen("new", "ours/proj", "-y")
    for proj in (tmp_path / "theirs/proj", tmp_path / "ours/proj"):
        train(proj)
    theirs, ours = (
        {p: t for p, t in files(tmp_path / each / "proj").items() if not p.startswith(".litgen/")}
        for each in ("theirs", "ours")
    )
    assert theirs == ours
    assert MINE.encode() in ours["train.py"]


DAMAGE = {
    "no commit": ('commit = "', 'comit = "'),
    "a commit that is an option": ('commit = "', 'commit = "--upload-pack=x'),
    "a source that is an option": ('source = "', 'source = "--upload-pack=x'),
    "a source that is a number": ('source = "', 'source = 1 # "'),
    "a path upwards": ("  app.py", "  ../app.py"),
}


@pytest.mark.parametrize(("found", "put"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_refused(litgen: Run, repository: Path, found: str, put: str) -> None:
    proj = made(litgen, repository)
    for file in (proj / RECORD, proj / ".litgen/base.sha256"):
        file.write_text(file.read_text().replace(found, put))
    before = state(proj)
    done = litgen("add", "docker", cwd=proj)
    assert done.returncode == 1 and "damaged" in done.stderr
    assert state(proj) == before


def test_control_c_at_a_question_leaves_nothing(folder: Path) -> None:
    terminal = Terminal("new", "proj", "--template", str(folder), folder=folder.parent, extra={})
    terminal.answer("title", b"\x03")
    assert terminal.finish() == 130
    assert "nothing was changed" in terminal.screen
    assert sorted(os.listdir(folder.parent)) == ["template"]


@pytest.mark.parametrize("source", SOURCES)
def test_what_became_of_a_template_is_carried_into_what_you_made_of_it(
    litgen: Run, source: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(source)
    proj = made(litgen, place, *(["--ref", "1.9.0"] if source == "repository" else []))
    edit(proj / "app.py", "    print(os", f"{MINE}    print(os")
    edit(proj / "notes.md", "Notes", "My notes")
    assert litgen("add", "docker", cwd=proj).returncode == 0
    if source == "folder":
        edit(place / "files/app.py.jinja", "import os\n", "import os\nimport sys\n")
        (place / "files/logo.png").write_bytes(PICTURE + b"2")
    before = files(proj)
    done = litgen("upgrade", cwd=proj)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    text = (proj / "app.py").read_text()
    assert "import os\nimport sys\n" in text and f"{MINE}    print(os.getcwd())" in text
    assert (proj / "logo.png").read_bytes() == PICTURE + b"2"
    assert (proj / "notes.md").read_text() == "My notes.\n"
    assert "nothing to do" in litgen("upgrade", cwd=proj).stdout
    assert litgen("undo", cwd=proj).returncode == 0
    after = {path: data for path, data in files(proj).items() if "/undo/" not in path}
    assert after == {path: data for path, data in before.items() if "/undo/" not in path}


def test_an_upgrade_of_an_untouched_project_is_what_new_would_write(
    litgen: Run, repository: Path
) -> None:
    proj = made(litgen, repository, "--ref", "1.9.0", *WORDS)
    done = litgen("upgrade", "--with", "colour=red", cwd=proj)
    assert "template 1.9.0" in done.stdout and "→ template 1.10.0" in done.stdout
    upgraded = {path: data for path, data in files(proj).items() if "/undo/" not in path}
    shutil.rmtree(proj)
    made(litgen, repository, *WORDS, "--with", "colour=red")
    new = files(proj)
    for path in ("notes.md", ".litgen/base/notes.md.base", ".litgen/base.sha256"):
        upgraded.pop(path), new.pop(path)  # written once, and then the owner's
    assert upgraded == new


def test_an_upgrade_goes_where_it_is_told_and_never_back_by_itself(
    litgen: Run, repository: Path
) -> None:
    proj = made(litgen, repository, "--ref", "2.0.0rc1")
    assert "nothing to do" in litgen("upgrade", cwd=proj).stdout
    assert litgen("upgrade", "--to", "1.9.0", cwd=proj).returncode == 0
    assert "import sys" not in (proj / "app.py").read_text()
    assert "1.10.0" in litgen("upgrade", "--list", cwd=proj).stdout
    assert litgen("upgrade", "--check", cwd=proj).returncode == 1
    refused = litgen("upgrade", "--to", "1.9.9", cwd=proj)
    assert refused.returncode == 1 and "one of: " in refused.stderr


def test_a_branch_is_followed(litgen: Run, repository: Path) -> None:
    proj = made(litgen, repository, "--ref", "main")
    (repository / "files/plain.txt").write_text("more\n")
    git(repository, "commit", "-qam", "more")
    assert litgen("upgrade", cwd=proj).returncode == 0
    assert (proj / "plain.txt").read_text() == "more\n"


def test_questions_that_came_and_answers_that_fit_no_more_are_said(
    litgen: Run, folder: Path
) -> None:
    proj = made(litgen, folder, *WORDS)
    text = QUESTIONS.replace("[sqlite, postgres]", "[sqlite, mysql]")
    (folder / "copier.yml").write_text(f"{text}colour:\n  type: str\n")
    before = state(proj)
    done = litgen("upgrade", cwd=proj)
    assert done.returncode == 1 and "fix: --with colour=…" in done.stderr
    assert state(proj) == before
    done = litgen("upgrade", "--with", "colour=red", cwd=proj)
    assert done.returncode == 0, done.stderr
    assert "store is 'sqlite' now: 'postgres' does not fit any more" in done.stdout
    assert "port is not asked any more" in done.stdout
    assert read_project(proj).answers["colour"] == "red"


def test_an_upgrade_that_does_not_fit_changes_nothing(litgen: Run, repository: Path) -> None:
    proj = made(litgen, repository, "--ref", "1.9.0")
    edit(proj / "app.py", "import os\n", "import os.path\n")
    (proj / "logo.png").write_bytes(b"\xffmine")
    edit(proj / "app.py", "    print(os.getcwd())\n", "    print(os.path.abspath('.'))\n")
    edit(repository / "files/app.py.jinja", "os.getcwd()", "os.getcwdb()")
    release(repository, "3.0.0")
    before = files(proj)
    done = litgen("upgrade", cwd=proj)
    assert done.returncode == 3 and files(proj) == before
    then = re.search(r"then: +litgen (.*?)(  |$)", done.stderr, re.MULTILINE)
    assert then, done.stderr
    done = litgen(*shlex.split(then[1]), cwd=proj)
    assert done.returncode == 0, done.stderr
    assert "logo.png: yours, although the template changed it" in done.stdout
    assert (proj / "logo.png").read_bytes() == b"\xffmine"
    assert "os.path.abspath" in (proj / "app.py").read_text()


def test_an_upgrade_runs_no_code_that_is_not_trusted(litgen: Run, folder: Path) -> None:
    proj = made(litgen, folder)
    edit(folder / "copier.yml", "_subdirectory", f"{TASKS}_subdirectory")
    before = state(proj)
    done = litgen("upgrade", cwd=proj)
    assert done.returncode == 1 and "--trust" in done.stderr and state(proj) == before
    assert litgen("upgrade", "--trust", cwd=proj).returncode == 0
    assert (proj / "task.txt").read_text() == "done\n"
