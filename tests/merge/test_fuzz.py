"""Any Python, and files that are none: it is merged or refused, and never anything else happens."""

import ast
from collections import Counter

import hypothesmith
import pytest
from hypothesis import given
from hypothesis import strategies as st
from often import often

from litgen_torch.merge.outcome import Merged
from litgen_torch.merge.python import Task, merge_python
from litgen_torch.merge.text import merge_text

SEED = '''"""A file."""

import os
from math import (
    cos,
    sin,
)


@cached
def f(x, *, y=1):
    """Text."""
    with open(x) as stream:  # why
        for line in stream:
            if line:
                g(line, y)
            else:
                continue
    return {"a": [1, 2], **os.environ}


class A(B):
    x: int = 0

    async def h(self):
        try:
            await (z := self.x)
        except (OSError, ValueError) as error:
            raise error from None
        finally:
            print(f"{cos(1):.3f} {sin(2)=}")


if __name__ == "__main__":
    f(1); A()
'''
NODES = hypothesmith.from_node(auto_target=False)
BROKEN = {
    "empty": "",
    "blank lines only": "\n\n\n",
    "spaces only": "   ",
    "a comment only": "# mine",
    "a docstring only": '"""mine"""',
    "old ends of lines": "a = 1\rmine = 2\r",
    "a deep chain": f"mine = {'+'.join('1' * 3000)}\n",
    "a NUL": "a = 1\0\n",
    "a lone surrogate": "a = '\udce4'\n",
    "a control character": "a = 1\x07\n",
    "a mark in the middle": "a = 1\n\ufeffb = 2\n",
    "wrong indentation": "def f():\n    a()\n      b()\n",
    "tabs and spaces mixed": "def f():\n        a()\n\tb()\n",
    "an open bracket": "f(1,\n",
    "an open text": '"""mine\n',
    "a backslash at the end": "a = 1\\",
    "markers of git": "<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> other\n",
    "Python 2": "print 'mine'\n",
    "no Python at all": "{\\rtf1 mine}",
    "a huge number": f"mine = {'9' * 6000}\n",
    "a huge text": f"mine = {'x' * 200_000!r}\n",
    "a long line": f"mine = [{', '.join(map(str, range(1_000)))}]\n",
    "deep brackets": f"mine = {'(' * 60}1{')' * 60}\n",
    "too deep brackets": f"mine = {'(' * 250}1{')' * 250}\n",
    "deep blocks": "".join(f"{' ' * n}if mine:\n" for n in range(60)) + " " * 60 + "a()\n",
    "mixed ends of lines": "a = 1\r\nmine = 2\nb = 3\r\n",
    "a form feed": "a = 1\n\x0c\nmine = 2\n",
    "another break of lines": "mine = '\u2028\x85'\n",
}


@pytest.mark.parametrize("mine", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("markers", [False, True], ids=["plain", "markers"])
def test_an_odd_file_of_yours_is_merged_or_refused(mine: str, markers: bool) -> None:
    new = SEED.replace("return", "a = 5\n    return").replace("x: int = 0", "x: int = 3")
    for base in ("a = 1\n", SEED):
        found = merge_python(base, mine, new, Task("f.py", markers=markers))
        _check(base, mine, found, markers=markers)


@often(25)
@given(st.integers(0, len(SEED)), st.text(max_size=3), st.integers(0, 30))
def test_a_file_cut_anywhere_is_merged_or_refused(at: int, put: str, gone: int) -> None:
    mine = SEED[:at] + put + SEED[at + gone :]
    new = SEED.replace("x: int = 0", "x: int = 3")
    _check(SEED, mine, merge_python(SEED, mine, new, Task("f.py")))


@often(30)
@given(hypothesmith.from_grammar(), st.sampled_from(["a = 1\n", "", SEED]))
def test_any_python_of_yours_is_merged_or_refused(mine: str, base: str) -> None:
    _check(base, mine, merge_python(base, mine, f"{base}b = 2\n", Task("f.py")))


@pytest.mark.slow
@often(60)
@given(NODES, NODES)
def test_any_python_of_the_templates_is_merged_or_refused(base: str, new: str) -> None:
    mine = f"{base}\nmine = 1\n"
    _check(base, mine, merge_python(base, mine, new, Task("f.py")))


@often(100)
@given(st.text(), st.text(), st.text())
def test_any_text_is_merged_or_refused(base: str, mine: str, new: str) -> None:
    found = merge_text(base, mine, new, path="a")
    assert found.refusals or not _mine(mine) - _mine(found.text)


def _check(base: str, mine: str, found: Merged, *, markers: bool = False) -> None:
    """What is Python stays Python; what is not is left as it is, and said where."""
    assert markers or not _mine(mine) - _mine(found.text)
    if not _is_python(mine):
        (refusal,) = found.refusals
        assert markers or found.text == mine
        assert refusal.line >= 1 and refusal.reason
    elif not found.refusals:
        assert _is_python(found.text)


def _is_python(text: str) -> bool:
    try:
        ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _mine(text: str) -> Counter[str]:
    return Counter(word for word in text.split() if "mine" in word)
