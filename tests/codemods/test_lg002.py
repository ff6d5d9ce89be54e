"""LG002: read_config, wherever and however the owner calls it."""

import pytest
from codemods.tables import refuses, rewrites, taken

from litgen_torch.codemods.lg002_strict import STEP

IMPORT = "from runtime.config import read_config\n"
REWRITES = {
    "call": ("c = read_config(C, path)\n", "c = read_config(C, path, strict=True)\n"),
    "by keyword": (
        "read_config(cls=C, path=f(1, 2))  # mine\n",
        "read_config(cls=C, path=f(1, 2), strict=True)  # mine\n",
    ),
    "none": ("read_config()\n", "read_config(strict=True)\n"),
    "last comma": ("read_config(C, p,)\n", "read_config(C, p, strict=True)\n"),
    "a line each": (
        "c = read_config(\n    C,  # all\n    path,  # where\n    # done\n)\n",
        "c = read_config(\n    C,  # all\n    path,  # where\n    # done\n    strict=True,\n)\n",
    ),
    "a line each, tabs and crlf": (
        "c = read_config(\r\n\tC,\r\n\tpath,\r\n)\r\n",
        "c = read_config(\r\n\tC,\r\n\tpath,\r\n\tstrict=True,\r\n)\r\n",
    ),
    "a line for all": (
        "c = read_config(\n    C, path\n)\n",
        "c = read_config(\n    C, path, strict=True\n)\n",
    ),
    "a line for all, with a comment": (
        "c = read_config(\n    C, path  # here )\n)\n",
        "c = read_config(\n    C, path, strict=True  # here )\n)\n",
    ),
    "an argument in parentheses": (
        "read_config(C, (a /\n  'b'))\n",
        "read_config(C, (a /\n  'b'), strict=True)\n",
    ),
    "star": ("read_config(*given)\n", "read_config(*given, strict=True)\n"),
    "one in another": (
        "read_config(read_config(A, p).cls, p)\n",
        "read_config(read_config(A, p, strict=True).cls, p, strict=True)\n",
    ),
    "in an f-string": (
        "print(f'{read_config(C, p)!r:>9}, é')\n",
        "print(f'{read_config(C, p, strict=True)!r:>9}, é')\n",
    ),
    "lambda": ("f = lambda *g: read_config(*g)\n", "f = lambda *g: read_config(*g, strict=True)\n"),
    "semicolons": (
        "a = read_config(C, p); b = 'ü', read_config(C, q)\n",
        "a = read_config(C, p, strict=True); b = 'ü', read_config(C, q, strict=True)\n",
    ),
    "broken by backslash": (
        "c = read_config \\\n  (C, p \\\n  )\n",
        "c = read_config \\\n  (C, p, strict=True \\\n  )\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), REWRITES.values(), ids=REWRITES)
def test_it_rewrites(before: str, after: str) -> None:
    rewrites(STEP, IMPORT + before, IMPORT + after)


IMPORTS = {
    "alias": "from runtime.config import read_config as f\nf(C, p{})\n",
    "module": "from runtime import config\nconfig.read_config(C, p{})\n",
    "module by another name": "import runtime.config as c\nc.read_config(C, p{})\n",
    "module written out": "import runtime.config\nruntime.config.read_config(C, p{})\n",
    "in a function": "def f():\n  from runtime.config import read_config as r\n"
    "  return r(C, p{})\n",
    "in a class": "class A:\n  from runtime.config import read_config\n  c = read_config(C, p{})\n",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_it_follows_imports(text: str) -> None:
    rewrites(STEP, text.format(""), text.format(", strict=True"))


def test_calls_beside_its_definition_are_rewritten() -> None:
    text = "def read_config(cls, path):\n  ...\n\ndef mine(p):\n  return read_config(C, p{})\n"
    rewrites(STEP, text.format(""), text.format(", strict=True"), "runtime/config.py")


LEFT_ALONE = {
    "given already": IMPORT + "read_config(C, p, strict=False)\n",
    "given by partial": IMPORT
    + "from functools import partial\nf = partial(read_config, strict=True)\n",
    "another function of this name": "from omegaconf import read_config\n\nread_config(p)\n",
    "defined here": "def read_config(path): ...\n\nread_config(1)\n",
    "a method": "class A:\n    def read_config(self): ...\n\nA().read_config()\n",
    "an argument of this name": IMPORT + "def f(read_config):\n    return read_config(1)\n",
    "imported only": IMPORT,
}


@pytest.mark.parametrize("text", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_it_leaves_alone(text: str) -> None:
    rewrites(STEP, text, text)


AS_VALUE = "lambda *given: read_config(*given)"
REFUSES = {
    "passed on": (IMPORT + "configs = map(read_config, classes, paths)\n", 2, AS_VALUE),
    "another name": (IMPORT + "read = read_config\nread(C, p)\n", 2, AS_VALUE),
    "partial": (
        IMPORT + "from functools import partial\nf = partial(read_config, C)\n",
        3,
        AS_VALUE,
    ),
    "decorator": (IMPORT + "@read_config\ndef f(): ...\n", 2, AS_VALUE),
    "two stars": (IMPORT + "read_config(C, **options)\n", 2, "strict=True before the **"),
    "star": ("from runtime.config import *\n\nread_config(C, p)\n", 3, IMPORT.strip()),
    "getattr": (
        "from runtime import config\n\ngetattr(config, 'read_config')(C, p)\n",
        3,
        "config.read_config",
    ),
    "module by assignment": (
        "from runtime import config\n\nc = config\nc.read_config(C, p)\n",
        4,
        "config.read_config",
    ),
    "one function or another": (
        "try:\n    from runtime.config import read_config\nexcept ImportError:\n"
        "    def read_config(c, p): ...\nread_config(C, p)\n",
        5,
        "or not",
    ),
    "generator": (IMPORT + "read_config(x for x in y)\n", 2, "parentheses"),
    "no python": (IMPORT + "\nif True\n    x = 1\n", 3, "column"),
}


@pytest.mark.parametrize(("text", "line", "words"), REFUSES.values(), ids=REFUSES)
def test_it_refuses(text: str, line: int, words: str) -> None:
    refuses(STEP, text, line, words)


F_STRINGS = {
    "the same twice": "x = f'{read_config(C, p)} {read_config(C, p)}'\n",
    "over lines": "x = f'''\nü\n{read_config(C, p)}\n  {read_config(C, q)}'''\n",
    "beside others": "x = 'a' f'{read_config(C, p)}' 'é' f'{read_config(C, q)}'\n",
    "nested": "x = f'{y:{read_config(C, p)}}'\n",
    "broken": "x = f'''{\nread_config(C,\n p)}'''\n",
    "with braces": "x = f'{{read_config(C, p)}} {read_config(C, p)}'\n",
}


@pytest.mark.parametrize("text", F_STRINGS.values(), ids=F_STRINGS)
def test_a_call_in_an_f_string_is_rewritten_or_refused(text: str) -> None:
    # Before Python 3.12 the syntax tree is wrong about where some of them are.
    done = taken(STEP, IMPORT + text)
    if not done.refusals:
        expected = text.replace("(C, p)", "(C, p, strict=True)").replace(
            "p)}'''", "p, strict=True)}'''"
        )
        expected = expected.replace("(C, q)", "(C, q, strict=True)")
        expected = expected.replace("{{read_config(C, p, strict=True)", "{{read_config(C, p)")
        assert done.files["plot.py"] == IMPORT + expected


BY_HAND = {
    "passed on": (
        IMPORT + f"configs = map({AS_VALUE}, classes, paths)\n",
        IMPORT + f"configs = map({AS_VALUE[:-1]}, strict=True), classes, paths)\n",
    ),
    "two stars": (IMPORT + "read_config(C, strict=True, **options)\n",) * 2,
    "star": (IMPORT + "\nread_config(C, p)\n", IMPORT + "\nread_config(C, p, strict=True)\n"),
    "getattr": (
        "from runtime import config\n\nconfig.read_config(C, p)\n",
        "from runtime import config\n\nconfig.read_config(C, p, strict=True)\n",
    ),
}


@pytest.mark.parametrize(("text", "after"), BY_HAND.values(), ids=BY_HAND)
def test_what_it_says_to_write_by_hand_is_followed(text: str, after: str) -> None:
    rewrites(STEP, text, after)


def test_calls_are_counted() -> None:
    text = IMPORT + "read_config(C, p)\nread_config(C, q)\nread_config(C, q, strict=True)\n"
    assert taken(STEP, text).uses == {"LG002": {"plot.py": 2}}
