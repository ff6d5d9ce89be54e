"""What the files of a project have at their tops, and what they import from each other."""

import ast
import re
from collections.abc import Collection, Iterator, Set
from functools import lru_cache
from pathlib import PurePosixPath

from litgen_torch.merge.meaning import parsed
from litgen_torch.render import Tree

Broken = tuple[str, str, str]  # a file, its import or use, and what that would not find
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def newly_broken(before: Tree, after: Tree, written: Collection[str]) -> dict[Broken, int]:
    """Imports that would find nothing, and did before; and their lines.

    Looked at is only what changed itself, or may import something of a file that did. Modules of
    the project are also those that litgen has ever `written`.
    """
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    stems = "|".join(sorted({re.escape(PurePosixPath(path).stem) for path in changed}))
    words = re.compile(rf"\b({stems})\b")
    paths = {path for path, text in after.items() if path in changed or words.search(text)}
    known = _files([*before, *after, *written]).keys()
    there = _broken(before, paths, known)
    return {key: line for key, line in _broken(after, paths, known).items() if key not in there}


def _broken(tree: Tree, paths: set[str], known: Set[str]) -> dict[Broken, int]:
    """Imports of what no file of the project has; `known` are its modules, those gone too."""
    files = _files(tree)
    imports = [
        (path, node, alias)
        for path in paths & set(files.values())
        for node in _imports(tree[path])
        for alias in node.names
    ]
    found: dict[Broken, int] = {}
    for path, node, alias in imports:
        module, name = getattr(node, "module", None), alias.name
        have = set_in(tree[files[module]]) if module in files else frozenset()
        whole = f"{module}.{name}" if module else name
        is_gone = whole in known and whole not in files or module in known - files.keys()
        if is_gone or have and name not in have | {"*"}:
            words = f"from {module} import {name}" if module else f"import {name}"
            found[path, words, whole] = node.lineno
        elif whole in files and (alias.asname or "." not in name):
            found |= {
                (path, words, f"{whole}.{attribute}"): line
                for words, attribute, line in _missing(
                    tree[path], alias.asname or name, set_in(tree[files[whole]])
                )
                if f"{whole}.{attribute}" not in files
            }
    return found


def _missing(text: str, called: str, has: frozenset[str]) -> Iterator[tuple[str, str, int]]:
    """What a file reads of a module that has no such thing, and on which lines."""
    tree = tree_of(text)
    if has and "__getattr__" not in has and not is_set(tree, called):
        for (of, name), line in reads(tree).items():
            if of == called and name not in has and not name.startswith("__"):
                yield f"{of}.{name}", name, line


def _files(tree: Collection[str]) -> dict[str, str]:
    """The modules of a project, and their files."""
    return {path[:-3].replace("/", "."): path for path in tree if path.endswith(".py")}


@lru_cache(256)
def _imports(text: str) -> list[ast.ImportFrom | ast.Import]:
    if "import" not in text:
        return []
    return [
        node for node in ast.walk(tree_of(text)) if isinstance(node, ast.ImportFrom | ast.Import)
    ]


def module_of(path: str) -> str:
    """What a file is imported as."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def source_of(path: str, module: str | None, level: int) -> str:
    """The module that an import in a file names, from the top of the project."""
    folders = path.split("/")[:-level] if level else []
    return ".".join([*folders, *([module] if module else [])])


@lru_cache(256)
def set_in(text: str) -> frozenset[str]:
    """All names that are set anywhere in a file."""
    nodes = [*ast.walk(tree_of(text))]
    names = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names |= {n.asname or n.name for n in nodes if isinstance(n, ast.alias)}
    return frozenset(names | {n.name for n in nodes if isinstance(n, Definition)})


def tree_of(text: str) -> ast.Module:
    """The tree of a file; an empty one where it does not parse."""
    try:
        return parsed(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def bindings(tree: ast.Module, path: str, module: str, name: str) -> Iterator[str]:
    """What a file calls a name that it imports from a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and module == source_of(path, node.module, node.level):
            yield from (alias.asname or name for alias in node.names if alias.name == name)


def modules(tree: ast.Module, path: str, module: str) -> Iterator[str]:
    """What a file calls a module that it imports."""
    package, _, last = module.rpartition(".")
    yield from bindings(tree, path, package, last) if package else ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases = [alias for alias in node.names if alias.name == module]
            yield from (alias.asname or module for alias in aliases)


def reads(tree: ast.Module) -> dict[tuple[str, str], int]:
    """The attributes of names that a file reads, and where it does last."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    return {(n.value.id, n.attr): n.lineno for n in nodes if isinstance(n.value, ast.Name)}


def is_set(tree: ast.Module, name: str) -> bool:
    """Whether a name is not that of one import alone."""
    nodes = [*ast.walk(tree)]
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    others = [node for node in nodes if not isinstance(node, (ast.alias, ast.keyword))]
    return (
        name in stored
        or any(name in (getattr(n, "arg", ""), getattr(n, "name", "")) for n in others)
        or len({what for what, called in _imported(nodes) if called == name}) > 1
    )


def _imported(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """What is imported, and its name."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            start = f"{node.level} {node.module}" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                yield f"{start} {alias.name}", alias.asname or alias.name.partition(".")[0]
