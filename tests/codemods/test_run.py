"""Steps over whole projects: which are due, in which order, and how little else is touched."""

import tracemalloc
from collections.abc import Iterator, Mapping
from itertools import pairwise

import pytest
from codemods.tables import taken
from snapshot import read_snapshot

from litgen_torch.codemods import lg001_cosine, lg002_strict, lg003_first_process, lg004_heads
from litgen_torch.codemods.keyword import AddKeyword
from litgen_torch.codemods.rename import Rename
from litgen_torch.codemods.run import STEPS, due, rewrite
from litgen_torch.codemods.step import Step
from litgen_torch.merge.lines import line_in
from litgen_torch.versions import is_newer

BOTH = (
    "from runtime.config import read_config\n"
    "from runtime.optim import set_lr, warmup_cosine\n"
    "\n"
    "read_config(C, p)\n"
    "warmup_cosine(1, 2, 3)\n"
)


def test_steps_have_their_order_and_names() -> None:
    assert [step.id for step in STEPS] == sorted({step.id for step in STEPS})
    assert all(is_newer(step.new, step.old) for step in STEPS)
    assert not any(is_newer(earlier.new, later.new) for earlier, later in pairwise(STEPS))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.id)
def test_a_step_shows_its_diff(step: Step) -> None:
    modules = (lg001_cosine, lg002_strict, lg003_first_process, lg004_heads)
    module = next(module for module in modules if step is module.STEP)
    lines = (module.__doc__ or "").splitlines()
    assert lines[0].startswith(step.id)
    assert {line[0] for line in lines if line[:1] in ("-", "+")} == {"-", "+"}


DUE = {
    ("0.1.0", "0.2.0"): ["LG001", "LG002", "LG003", "LG004"],
    ("0.1.0", "0.1.0"): [],
    ("0.2.0", "0.2.0"): [],
    ("0.1.0", "0.1.9"): [],
    ("0.1.5", "1.0.0"): ["LG001", "LG002", "LG003", "LG004"],
    ("0.10.0", "0.11.0"): [],
}


@pytest.mark.parametrize(("versions", "expected"), DUE.items(), ids=map(str, DUE))
def test_steps_between_two_versions_are_due(versions: tuple[str, str], expected: list[str]) -> None:
    assert [step.id for step in due(*versions)] == expected


def test_all_steps_are_taken_over_all_files() -> None:
    done = rewrite(STEPS, {"a.py": BOTH, "b/c.py": BOTH, "d.txt": BOTH, "e.py": "x = 1\n"})
    assert done.files == dict.fromkeys(
        ("a.py", "b/c.py"),
        "from runtime.config import read_config\n"
        "from runtime.optim import set_lr\n"
        "from runtime.schedule import cosine\n"
        "\n"
        "read_config(C, p, strict=True)\n"
        "cosine(1, 2, 3)\n",
    )
    assert done.uses == {id: {"a.py": 1, "b/c.py": 1} for id in ("LG001", "LG002")}


def test_a_later_step_sees_what_an_earlier_made() -> None:
    rename = Step("A", "", "1", "2", Rename("runtime.a.f", "runtime.b.g"))
    keyword = Step("B", "", "2", "3", AddKeyword("runtime.b.g", "x", "1"))
    again = Step("C", "", "3", "4", Rename("runtime.b.g", "runtime.c.h"))
    text = "from runtime.a import f\n\nf(2)\n"
    done = rewrite([rename, keyword, again], {"p.py": text})
    assert done.files == {"p.py": "from runtime.c import h\n\nh(2, x=1)\n"}


def test_refusals_name_lines_of_the_file_as_it_is_and_can_be_accepted() -> None:
    text = BOTH + "f = read_config\n"
    done = rewrite(STEPS, {"a.py": text})
    assert [(r.path, r.line, r.yours) for r in done.refusals] == [("a.py", 6, "f = read_config")]
    accepting = rewrite(STEPS, {"a.py": text}, {("a.py", 6)})
    assert not accepting.refusals
    assert accepting.files == done.files


def test_a_refusal_says_in_what_it_is() -> None:
    text = "from runtime.optim import *\nclass A:\n  def f(self):\n    warmup_cosine(1, 2, 3)\n"
    [refusal] = taken(lg001_cosine.STEP, text).refusals
    assert (refusal.line, refusal.where) == (4, "f()")


@pytest.mark.parametrize("name", read_snapshot("0.1.0"))
def test_what_litgen_wrote_itself_is_never_refused(name: str) -> None:
    files = {p: t for p, t in read_snapshot("0.1.0")[name].items() if not p.startswith(".litgen")}
    done = rewrite(STEPS, files)
    assert not done.refusals
    attention = {"model.py"} if "class Attention" in files["model.py"] else set()
    assert {*done.files} == {"train.py"} | ({"sample.py"} & {*files}) | attention
    again = rewrite(STEPS, files | done.files)
    assert not again.files and not again.refusals


LINES = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 0: 0}


@pytest.mark.parametrize(("after", "before"), LINES.items())
def test_a_line_is_found_as_it_was(after: int, before: int) -> None:
    assert line_in("a\nb\nNEW\nc\nX\ne\n", "a\nb\nc\nd\ne\n", after) == before


class Lazy(Mapping[str, str]):
    """Files of 100 kB that are made when they are asked for; of these, one concerns a step."""

    def __getitem__(self, path: str) -> str:
        return BOTH if path == "7.py" else f"x = {path!r}\n" + "y = 1\n" * 20_000

    def __contains__(self, path: object) -> bool:
        return path in [*self]

    def __iter__(self) -> Iterator[str]:
        return (f"{number}.py" for number in range(len(self)))

    def __len__(self) -> int:
        return 100


def test_files_that_no_step_concerns_are_not_kept() -> None:
    tracemalloc.start()
    done = rewrite(STEPS, Lazy())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {*done.files} == {"7.py"}
    assert peak < 3_000_000, "less than a third of all"
