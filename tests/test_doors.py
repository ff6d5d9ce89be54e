"""The shape of the code: each outside package has its one door, and nothing outgrows its budget."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import paired_projects, project_id, some_projects

from litgen_torch.answers import Answers, complete, with_choice, with_defaults
from litgen_torch.catalog import questions
from litgen_torch.render import render

REPOSITORY = Path(__file__).parents[1]
GENERATOR = REPOSITORY / "generator/litgen_torch"
MODULES = {file.relative_to(GENERATOR).as_posix(): file for file in GENERATOR.rglob("*.py")}
RUNTIME = {file.name: file for file in (REPOSITORY / "runtime").glob("*.py")}

DOORS = {
    "click": lambda path: path == "cli.py" or path.startswith("commands/"),
    "questionary": lambda path: path == "commands/ask.py",
    "jinja2": lambda path: path == "render.py",
    "yaml": lambda path: path == "render.py",
    "black": lambda path: path == "finish.py",
    "copier": lambda path: path == "foreign.py",
    "packaging": lambda path: path == "origin.py",
    "torch": lambda path: path == "probe.py",  # run by another Python, never imported
    "tomlkit": lambda path: path == "record.py" or path.startswith("merge/toml"),
    "libcst": lambda path: path.startswith("merge/"),
}


@pytest.mark.parametrize("path", MODULES)
def test_outside_packages_come_in_by_their_doors(path: str) -> None:
    for package in imported(MODULES[path]) - sys.stdlib_module_names - {"litgen_torch"}:
        assert package in DOORS, f"{package} has no door"
        assert DOORS[package](path), package


@pytest.mark.parametrize("package", DOORS)
def test_a_door_is_in_use(package: str) -> None:
    assert any(package in imported(file) for file in MODULES.values())


def test_no_module_imports_what_is_slow_before_it_is_used() -> None:
    modules = [
        f"litgen_torch.{path.removesuffix('.py').replace('/', '.')}"
        for path in MODULES
        if not path.endswith("__init__.py")
        and (not path.startswith("merge/") or path in ("merge/outcome.py", "merge/trees.py"))
    ]
    assert "litgen_torch.cli" in modules
    code = f"import sys, {', '.join(modules)}; print(*{{n.partition('.')[0] for n in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"torch", "copier", "libcst", "black", "questionary", "prompt_toolkit"}
    assert slow.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("path", MODULES)
def test_a_module_of_the_generator_keeps_its_budget(path: str) -> None:
    text = MODULES[path].read_text()
    assert text.count("\n") <= 300
    for function in functions(ast.parse(text)):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno + 1 <= 40, function.name
        assert depth(function) <= 3, function.name


@pytest.mark.parametrize("name", RUNTIME)
def test_a_file_of_the_runtime_keeps_its_budget(name: str) -> None:
    assert RUNTIME[name].read_text().count("\n") <= 200


def with_all(**given: str) -> Answers:
    """A project of these choices with all add-ons that go with them."""
    answers = complete(questions(), given)
    for question in questions():
        for choice in question.choices if question.many else ():
            if not choice.obstacle(answers):
                answers = with_choice(questions(), answers, question.name, choice.value)
    return answers


FULL = [
    with_all(data="shards", strategy="cp", precision="fp16"),
    with_all(data="shards", strategy="pp", precision="float8"),
    with_all(data="folder", model="vit", strategy="fsdp-tp", precision="bf16"),
]


@pytest.mark.parametrize("answers", (*some_projects(), *paired_projects(), *FULL), ids=project_id)
def test_train_py_keeps_its_budget(answers: Answers) -> None:
    tree = render({"project_name": "some-project", **with_defaults(questions(), answers)})
    is_smallest = answers == complete(questions(), {})
    added = len(answers["logger"] + answers["feature"])
    most = min(205, 161 + 9 * added) if added else 115 if is_smallest else 161
    assert tree["train.py"].count("\n") <= most


NESTED = {
    "flat": ("x = 1", 0),
    "elif is as deep as if": ("if a:\n  x\nelif b:\n  x\nelif c:\n  x", 1),
    "if in else": ("if a:\n  x\nelse:\n  y\n  if b:\n    x", 2),
    "except": ("try:\n  x\nexcept E:\n  if a:\n    x", 2),
    "with, for, match": ("with a:\n  for b in c:\n    match b:\n      case 1:\n        x", 3),
    "a function is measured by itself": ("if a:\n  def f():\n    if b:\n      x", 1),
}


@pytest.mark.parametrize(("code", "expected"), NESTED.values(), ids=NESTED)
def test_nesting_is_measured_as_it_is_read(code: str, expected: int) -> None:
    assert depth(ast.parse(code)) == expected


def imported(file: Path) -> set[str]:
    """The first names of all that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file.name} imports relatively"
            names.add(node.module.partition(".")[0])
    return names


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)


def depth(node: ast.AST) -> int:
    """How many blocks the innermost statement below a node is in; a function counts by itself."""
    children = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.FunctionDef)]
    return max((_is_deeper(child, node) + depth(child) for child in children), default=0)


def _is_deeper(node: ast.AST, parent: ast.AST) -> bool:
    # `elif` is an `if` alone in the `else` of another, but it is read beside it.
    is_elif = isinstance(parent, ast.If) and parent.orelse == [node] and isinstance(node, ast.If)
    return isinstance(node, BLOCKS) and not is_elif
