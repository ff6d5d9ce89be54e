"""Two versions of files beside each other."""

import subprocess
from pathlib import Path

import pytest

from litgen_torch.compare import Edits, edits, file_change, unified

PAIRS = {
    "changed": ("a\nb\nc\n", "a\nB\nc\n"),
    "no newline at the end": ("a\nb", "a\nc"),
    "a newline at the end comes": ("a\nb", "a\nb\n"),
    "windows": ("a\r\nb\r\n", "a\r\nc\r\n"),
    "form feed and line separator": ("a\x0cb\u2028c\nd\n", "a\x0cb\u2028c\ne\n"),
    "new": (None, "a\n"),
    "deleted": ("a\nb\n", None),
}


@pytest.mark.parametrize(("before", "after"), PAIRS.values(), ids=PAIRS)
def test_git_applies_a_diff_to_the_byte(
    tmp_path: Path, before: str | None, after: str | None
) -> None:
    file = tmp_path / "f"
    if before is not None:
        file.write_bytes(before.encode())
    sides = [{} if text is None else {"f": text} for text in (before, after)]
    diff = unified(sides[0], sides[1])
    command = ["git", "apply", "-p1", "-"]
    subprocess.run(command, cwd=tmp_path, input=diff.encode(), check=True)
    assert (file.read_bytes().decode() if file.exists() else None) == after


NAMES = {
    "a changed function": ("def f(): 1\n", "def f(): 2\n", [("~", "f()")]),
    "an added class": ("", "class C: pass\n", []),
    "a method": ("class C:\n  x = 1\n", "class C:\n  x = 2\n", [("~", "class C")]),
    "a removed constant": ("A = 1\nB = 2\n", "A = 1\n", [("-", "B")]),
    "only laid out otherwise": ("def f(): return 1\n", "def f():\n    return 1  # one\n", []),
    "an imported name": (
        "from a import b\n",
        "from a import b, c as d\nimport e\n",
        [("+", "import e"), ("+", "from a import c as d")],
    ),
    "no Python": ("def f(: 1\n", "def f(): 2\n", []),
}


@pytest.mark.parametrize(("before", "after", "names"), NAMES.values(), ids=NAMES)
def test_what_differs_is_named(before: str, after: str, names: list[tuple[str, str]]) -> None:
    assert list(file_change("a.py", before, after).names) == names


BASE = "x = 1\ny = f(x)\nif y:\n    z = 2\n"
OWN = {
    "nothing": (BASE, Edits()),
    "a statement": (BASE + "print(x)\n", Edits(1, 0)),
    "a changed statement counts once": (BASE.replace("x = 1", "x = 3"), Edits(1, 0)),
    "a changed head counts, what is in it does not": (BASE.replace("if y", "if x"), Edits(1, 0)),
    "a comment": (BASE.replace("x = 1", "x = 1  # one"), Edits(0, 1)),
    "layout": (BASE.replace("f(x)", "f( x )"), Edits(0, 0, True)),
    "all": ("# mine\n" + BASE.replace("f(x)", "f( x )") + "print(x)\n", Edits(1, 1, True)),
    "no Python": (BASE + "if:\n", Edits()),
}


@pytest.mark.parametrize(("mine", "expected"), OWN.values(), ids=OWN)
def test_what_the_owner_wrote_is_counted(mine: str, expected: Edits) -> None:
    after = mine + "new = 1\n"
    assert edits({"a.py": BASE}, {"a.py": mine}, {"a.py": after}, ["a.py"]) == expected


def test_what_does_not_stay_is_not_counted() -> None:
    mine = BASE + "print(x)  # mine\n"
    after = {"a.py": BASE + "new = 1\n"}
    assert edits({"a.py": BASE}, {"a.py": mine}, after, ["a.py"]) == Edits()
