"""`litgen status`, `diff`, `explain`, `eject`: what a project is told to be."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from projects import Run
from test_add import edit, files, state

from litgen_torch.catalog import questions
from litgen_torch.project import SUMS, read_project


@pytest.fixture
def folder(litgen: Run, tmp_path: Path) -> Path:
    litgen("new", "proj", "--strategy", "ddp", "-y")
    return tmp_path / "proj"


def test_status_says_how_each_file_stands(litgen: Run, folder: Path) -> None:
    edit(folder / "train.py", "    model.train()\n    while", "    while")
    (folder / "AGENTS.md").unlink()
    (folder / "own.py").write_text("x = 1\n")
    told = json.loads(litgen("status", "--json", cwd=folder).stdout)
    states = {file["path"]: file["state"] for file in told["files"]}
    assert states.pop("train.py") == "edited"
    assert states.pop("AGENTS.md") == "deleted"
    assert set(states.values()) == {"untouched"} and "own.py" not in states
    assert not any(file["behind"] for file in told["files"])
    assert (told["version"], told["pending"]) == (told["installed"], None)
    text = litgen("status", cwd=folder / "runtime").stdout
    others = len(states)
    assert text.splitlines()[1:] == [
        "  deleted    AGENTS.md",
        "  edited     train.py    +0   -1",
        f"  untouched  {others} files",
        "what you changed: litgen diff",
    ]
    full = litgen("status", "--all", cwd=folder).stdout
    assert [line.split()[1] for line in full.splitlines()[1:-1]] == sorted(
        [*states, "train.py", "AGENTS.md"]
    )


def test_status_of_an_untouched_project_is_short(litgen: Run, folder: Path) -> None:
    head, files, *more = litgen("status", cwd=folder).stdout.splitlines()
    assert head.startswith("proj · litgen ") and "ddp" in head
    assert files == f"  untouched  all {len(read_project(folder).base)} files"
    assert not more


def test_a_file_that_today_s_templates_write_otherwise_is_behind(litgen: Run, folder: Path) -> None:
    as_if_older(folder, "runtime/rng.py", "older\n")
    told = json.loads(litgen("status", "--json", cwd=folder).stdout)
    assert [f["path"] for f in told["files"] if f["behind"]] == ["runtime/rng.py"]
    said = litgen("status", cwd=folder).stdout
    assert "\n  behind     1 file\n" in said and "litgen upgrade" in said
    assert "  behind     runtime/rng.py\n" in litgen("status", "--all", cwd=folder).stdout
    diff = litgen("diff", "--template", cwd=folder).stdout
    assert diff.startswith("--- a/runtime/rng.py\n+++ b/runtime/rng.py\n") and "-older\n" in diff


def as_if_older(folder: Path, path: str, text: str) -> None:
    """The project as a litgen would have left it whose templates had this text there."""
    from litgen_torch.project import with_record

    project = read_project(folder)
    tree = project.base | {path: text}
    (folder / path).write_text(text)
    record = with_record(tree, name="proj", answers=project.answers, version=project.version)
    for file in (SUMS, f".litgen/base/{path}.base"):
        (folder / file).write_text(record[file])


def test_diff_shows_what_you_changed_and_nothing_else(litgen: Run, folder: Path) -> None:
    done = litgen("diff", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")
    edit(folder / "train.py", "    model.train()\n    while", "    while")
    (folder / "model.py").unlink()
    (folder / "own.py").write_text("x = 1\n")
    told = json.loads(litgen("diff", "--json", cwd=folder).stdout)
    assert [(f["path"], f["status"]) for f in told["files"]] == [
        ("model.py", "deleted"),
        ("train.py", "changed"),
    ]
    assert litgen("diff", cwd=folder).stdout == told["diff"]
    one = litgen("diff", "../train.py", cwd=folder / "runtime").stdout
    assert "-    model.train()" in one and "model.py" not in one
    assert litgen("diff", ".", cwd=folder / "runtime").stdout == ""
    nowhere = litgen("diff", "own.py", cwd=folder)
    assert nowhere.returncode == 1 and "own.py" in nowhere.stderr


def test_explain_finds_the_lines_where_you_have_them(litgen: Run, folder: Path) -> None:
    edit(folder / "train.py", '"""Train', '"""\n\nMine.\n\nTrain')
    edit(folder / "train.py", "gradient_as_bucket_view=True", "gradient_as_bucket_view=False")
    text = (folder / "train.py").read_text()
    (folder / "train.py").write_text(re.sub(r"\bsampler\b", "order", text))
    told = json.loads(litgen("explain", "ddp", "--json", cwd=folder).stdout)
    assert (told["kind"], told["choice"], told["in_project"]) == ("strategy", "ddp", True)
    lines = (folder / "train.py").read_text().split("\n")
    found = {t: n for p in told["pieces"] if p["path"] == "train.py" for n, t in p["lines"]}
    assert all(lines[number - 1] == text for text, number in found.items())
    assert "    order = TrainSampler(" in found
    number = found["    return DistributedDataParallel(model, gradient_as_bucket_view=False)"]
    whole = [piece["path"] for piece in told["pieces"] if piece["whole"]]
    assert whole == ["runtime/dist.py", "runtime/watch.py"]
    text = litgen("explain", "ddp", cwd=folder).stdout
    assert f"{number:5}      return DistributedDataParallel(model, gradient_as" in text
    assert "Many processes, one per device" in text
    assert "you changed this" in text


def test_explain_finds_what_you_moved_to_another_file(litgen: Run, folder: Path) -> None:
    text = (folder / "train.py").read_text()
    start = text.index("def parallelize")
    end = text.index("def ", start + 1)
    end = text.rindex("\n\n\n", start, end) + 3
    imports = "from torch import nn\nfrom torch.nn.parallel import DistributedDataParallel\n\n"
    head = f"{imports}from model import CNN\nfrom runtime.dist import Processes\n\n\n"
    (folder / "spread.py").write_text(head + text[start:end].rstrip() + "\n")
    text = text[:start] + text[end:]
    (folder / "train.py").write_text(
        text.replace(
            "from runtime.tensors import save_weights\n",
            "from runtime.tensors import save_weights\nfrom spread import parallelize\n",
        )
    )
    told = json.loads(litgen("explain", "ddp", "--json", cwd=folder).stdout)
    found = [text for p in told["pieces"] if p["path"] == "spread.py" for _, text in p["lines"]]
    assert any("return DistributedDataParallel(" in line for line in found)


@pytest.mark.parametrize("inside", [True, False], ids=["in a project", "outside"])
def test_explain_shows_what_a_choice_would_bring(litgen: Run, folder: Path, inside: bool) -> None:
    before = state(folder)
    done = litgen("explain", "precision", "fp16", cwd=folder if inside else folder.parent)
    assert done.returncode == 0
    assert "scaler.unscale_(optimizer)  # before clipping" in done.stdout
    assert "litgen add precision fp16" in done.stdout
    assert state(folder) == before


def test_explain_knows_needs_and_packages(litgen: Run) -> None:
    told = json.loads(litgen("explain", "bpe", "--json").stdout)
    assert (told["needs"], told["packages"]) == (["task language-model"], ["tokenizers"])
    assert "needs task language-model, package tokenizers" in litgen("explain", "bpe").stdout


PAGES = {
    choice.value: choice.page
    for question in questions()
    for choice in question.choices
    if choice.page
}
OF_TORCH = "https://docs.pytorch.org/docs/stable/"
STAYS = (OF_TORCH, "https://docs.pytorch.org/tutorials/", "https://docs.pytorch.org/xla/master/")


@pytest.mark.parametrize("choice", PAGES)
def test_a_page_that_says_more_is_one_that_stays(choice: str) -> None:
    page = urlsplit(PAGES[choice])
    assert page.scheme == "https" and page.netloc and not page.query
    if "pytorch" in page.netloc:
        assert PAGES[choice].startswith(STAYS) and page.path.endswith(".html")
    assert not re.search(r"/v?\d+\.\d+/", page.path), "the page of one version"


def test_explain_names_a_page_that_says_more(litgen: Run) -> None:
    page = f"{OF_TORCH}distributed.fsdp.fully_shard.html"
    assert f"\n  more: {page}\n" in litgen("explain", "fsdp").stdout
    assert json.loads(litgen("explain", "fsdp", "--json").stdout)["page"] == page
    assert "more:" not in litgen("explain", "single").stdout
    assert PAGES.keys() >= {"ddp", "fsdp", "bf16", "fp16", "compile"}


def test_explain_of_a_default_shows_what_another_would_replace(litgen: Run) -> None:
    said = litgen("explain", "strategy", "single").stdout
    assert "open_run(config)" in said and "without it:" in said


def test_explain_of_a_slip(litgen: Run) -> None:
    done = litgen("explain", "strategy", "fspd")
    assert done.returncode == 1 and "did you mean fsdp?" in done.stderr


def test_eject_removes_what_litgen_keeps_and_nothing_else(litgen: Run, folder: Path) -> None:
    before = files(folder)
    done = litgen("eject", cwd=folder)
    assert done.returncode == 1 and "fix: litgen eject -y" in done.stderr
    assert files(folder) == before
    done = litgen("eject", "-y", cwd=folder)
    assert done.returncode == 0 and "litgen add" in done.stdout
    assert files(folder) == {p: t for p, t in before.items() if not p.startswith(".litgen/")}
    assert not (folder / ".litgen").exists()
    gone = litgen("status", cwd=folder)
    assert gone.returncode == 1 and "no project of litgen's" in gone.stderr
