"""What owners do to files that are no code, and to whole files."""

import ast
import re

from edits.code import Code
from edits.kind import DoesNotApplyError, Pick, Tree, edit

PYPROJECT = "pyproject.toml"


def swap(tree: Tree, path: str, old: str, new: str) -> Tree:
    if path not in tree or tree[path].count(old) != 1:
        raise DoesNotApplyError
    return tree | {path: tree[path].replace(old, new)}


@edit("a dependency more")
def dependency(tree: Tree, pick: Pick) -> Tree:
    way = pick.of("first", "last")
    text = tree[PYPROJECT]
    if way == "first":
        return swap(tree, PYPROJECT, "dependencies = [\n", 'dependencies = [\n    "tqdm",\n')
    made, count = re.subn(r"(?s)(\ndependencies = \[.*?)\n\]", r'\1\n    "tqdm",\n]', text, count=1)
    return tree | {PYPROJECT: made if count else text}


@edit("dependencies in one line")
def one_line(tree: Tree, pick: Pick) -> Tree:
    def joined(match: re.Match[str]) -> str:
        return "dependencies = [" + ", ".join(re.findall(r'"[^"]+"', match[0])) + "]"

    return tree | {
        PYPROJECT: re.sub(r"(?s)(?m:^)dependencies = \[.*?\n\]", joined, tree[PYPROJECT])
    }


@edit("dependencies sorted", moves=True)
def sorted_dependencies(tree: Tree, pick: Pick) -> Tree:
    def ordered(match: re.Match[str]) -> str:
        return f"{match[1]}{''.join(sorted(match[2].splitlines(True)))}]"

    pattern = r"(?s)((?m:^)dependencies = \[\n)(.*?)(?m:^)\]"
    return tree | {PYPROJECT: re.sub(pattern, ordered, tree[PYPROJECT])}


@edit("a dependency of the template's pinned", changes=True)
def pinned(tree: Tree, pick: Pick) -> Tree:
    return swap(tree, PYPROJECT, '"torch>=2.9"', '"torch==2.9.1"')


@edit("another version and a description")
def version(tree: Tree, pick: Pick) -> Tree:
    new = 'version = "1.4.0"\ndescription = "Something of mine"'
    return swap(tree, PYPROJECT, 'version = "0.1.0"', new)


@edit("another line length", changes=True)
def line_length(tree: Tree, pick: Pick) -> Tree:
    text = tree[PYPROJECT].replace("line-length = 100", "line-length = 110")
    return tree | {PYPROJECT: text}


@edit("a table of one's own")
def table(tree: Tree, pick: Pick) -> Tree:
    return tree | {PYPROJECT: f'{tree[PYPROJECT]}\n[tool.own]\nkey = "value"\nlist = [1, 2]\n'}


@edit("comments in pyproject.toml")
def toml_comments(tree: Tree, pick: Pick) -> Tree:
    head = pick.of("[project]", "[tool.ruff]", "[tool.black]", "dependencies = [")
    return swap(tree, PYPROJECT, f"{head}\n", f"{head}\n# mine\n")


@edit("a rule more for ruff", changes=True)
def ruff(tree: Tree, pick: Pick) -> Tree:
    return swap(tree, PYPROJECT, '"SIM"]', '"SIM", "RUF"]')


@edit("tables in another order", moves=True)
def tables(tree: Tree, pick: Pick) -> Tree:
    first, *rest = re.split(r"(?m)^(?=\[)", tree[PYPROJECT])
    whole = [part if part.endswith("\n\n") else f"{part.rstrip()}\n\n" for part in rest]
    if any(part.startswith("[[") for part in whole):
        raise DoesNotApplyError
    return tree | {PYPROJECT: first + "".join([whole[0], *sorted(whole[1:])]).rstrip() + "\n"}


@edit("a script and an extra in pyproject.toml")
def script(tree: Tree, pick: Pick) -> Tree:
    new = '\n[project.optional-dependencies]\nplots = ["matplotlib"]\n\n[project.urls]\nhome = "https://example.org"\n'
    return tree | {PYPROJECT: tree[PYPROJECT] + new}


@edit("a paragraph at the end of the README")
def readme_end(tree: Tree, pick: Pick) -> Tree:
    return tree | {"README.md": f"{tree['README.md']}\n## Mine\nWords of mine.\n"}


@edit("a paragraph in the README")
def readme_middle(tree: Tree, pick: Pick) -> Tree:
    head = pick.of("## Settings", "## A run", "## Files")
    return swap(tree, "README.md", f"{head}\n", f"## Mine\nWords of mine.\n\n{head}\n")


@edit("another title")
def readme_title(tree: Tree, pick: Pick) -> Tree:
    return tree | {"README.md": "# My project\n" + tree["README.md"].split("\n", 1)[1]}


@edit("a section of the README deleted", changes=True)
def readme_section(tree: Tree, pick: Pick) -> Tree:
    head = pick.of("## A run", "## Settings", "## Files")
    text = re.sub(rf"(?ms)^{head}\n.*?(?=^## |\Z)", "", tree["README.md"])
    return tree | {"README.md": text}


@edit("the README written anew", changes=True)
def readme_anew(tree: Tree, pick: Pick) -> Tree:
    return tree | {"README.md": "# Mine\n\nAll words are mine.\n"}


@edit("a line in AGENTS.md")
def agents(tree: Tree, pick: Pick) -> Tree:
    head = pick.of("## Commands", "## Invariants", "## Where what is")
    return swap(tree, "AGENTS.md", f"{head}\n", f"{head}\n- Words of mine.\n")


@edit("a line in .gitignore")
def gitignore(tree: Tree, pick: Pick) -> Tree:
    text = tree[".gitignore"]
    return tree | {".gitignore": pick.of(f"{text}own/\n", f"own/\n{text}")}


@edit("a test of one's own")
def own_test(tree: Tree, pick: Pick) -> Tree:
    path = "tests/test_training.py"
    code = Code(tree[path])
    node = pick({n.name: n for n in code.tree.body if isinstance(n, ast.FunctionDef)})
    text = "def test_mine() -> None:\n    assert 1 + 1 == 2\n\n"
    return tree | {path: code.changed(code.before(node, text))}


@edit("a test at the end")
def last_test(tree: Tree, pick: Pick) -> Tree:
    path = "tests/test_training.py"
    return tree | {path: f"{tree[path]}\n\ndef test_mine() -> None:\n    assert 1 + 1 == 2\n"}


@edit("a file of tests")
def tests_file(tree: Tree, pick: Pick) -> Tree:
    return tree | {"tests/test_own.py": "def test_mine() -> None:\n    assert 1 + 1 == 2\n"}


@edit("a test deleted", changes=True)
def test_deleted(tree: Tree, pick: Pick) -> Tree:
    path = "tests/test_training.py"
    code = Code(tree[path])
    named = {n.name: n for n in code.tree.body if isinstance(n, ast.FunctionDef)}
    node = pick({name: n for name, n in named.items() if name.startswith("test_")})
    return tree | {path: code.changed((code.lines(node), ""))}


@edit("longer waits in tests", changes=True)
def waits(tree: Tree, pick: Pick) -> Tree:
    path = "tests/test_training.py"
    return tree | {path: tree[path].replace("timeout=300", "timeout=900")}


@edit("another tolerance", changes=True)
def tolerance(tree: Tree, pick: Pick) -> Tree:
    path = "tests/test_training.py"
    return tree | {path: re.sub(r"(?m)^TOLERANCE = .*$", "TOLERANCE = 1e-2", tree[path])}


def deletion(path: str) -> None:
    @edit(f"{path} deleted", changes=True)
    def deleted(tree: Tree, pick: Pick) -> Tree:
        if path not in tree:
            raise DoesNotApplyError
        return {other: text for other, text in tree.items() if other != path}


for _path in ("README.md", "AGENTS.md", "tests/test_training.py", "sample.py", ".gitignore"):
    deletion(_path)


@edit("files of one's own")
def own_files(tree: Tree, pick: Pick) -> Tree:
    return tree | {
        "notes.md": "# Notes\n",
        "tools/look.py": "import json\nimport sys\n\nprint(json.load(open(sys.argv[1])))\n",
    }


@edit("the library changed")
def library(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("runtime/optim.py", "runtime/log.py", "runtime/schedule.py", "runtime/world.py")
    return tree | {path: f"{tree[path]}\n\ndef own() -> int:\n    return 1\n"}


@edit("an add-on's part of the library changed", changes=True)
def add_on(tree: Tree, pick: Pick) -> Tree:
    names = ("dist", "ema", "profiler", "early_stopping", "compile", "log_wandb")
    path = pick({p: p for name in names if (p := f"runtime/{name}.py") in tree})
    return tree | {path: f"{tree[path]}\n\ndef own() -> int:\n    return 1\n"}


@edit("the tests in another folder", moves=True)
def tests_moved(tree: Tree, pick: Pick) -> Tree:
    old, new = "tests/test_training.py", "tests/slow/test_training.py"
    if old not in tree:
        raise DoesNotApplyError
    made = {path: text for path, text in tree.items() if path != old}
    return made | {new: tree[old]}
