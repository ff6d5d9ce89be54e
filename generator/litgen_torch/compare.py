"""Two versions of a project's files beside each other: as a diff, by name, and as counts."""

import ast
import difflib
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from litgen_torch.content import is_binary
from litgen_torch.render import Tree

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # the statements in a statement
ABSENT = "/dev/null"


@dataclass(frozen=True)
class FileChange:
    """What becomes of one file: `names` are the definitions and imports that differ."""

    path: str
    status: str  # new, changed or deleted
    added: int  # lines
    removed: int
    names: tuple[tuple[str, str], ...] = ()  # (sign, what)


@dataclass(frozen=True)
class Edits:
    """What the owner wrote into files that a change touches, and still stands there."""

    statements: int = 0
    comments: int = 0
    layout: bool = False


def changed(before: Tree, after: Tree) -> list[str]:
    """The paths that are not the same in both."""
    return sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))


def file_change(path: str, before: str | None, after: str | None) -> FileChange:
    """What differs between two versions of a file, of which one may not exist."""
    lines = list(_diff(path, before, after))[2:]
    return FileChange(
        path,
        "new" if before is None else "deleted" if after is None else "changed",
        sum(line.startswith("+") for line in lines),
        sum(line.startswith("-") for line in lines),
        tuple(_names(before, after)) if before and after and path.endswith(".py") else (),
    )


def unified(before: Tree, after: Tree) -> str:
    """All differences, as `patch -p1` and `git apply` take them."""
    return "".join(
        line
        for path in changed(before, after)
        for line in _diff(path, before.get(path), after.get(path))
    )


def hunks(before: str, after: str) -> int:
    """In how many places two texts differ."""
    blocks = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    return sum(tag != "equal" for tag, *_ in blocks.get_opcodes())


def edits(base: Tree, mine: Tree, after: Tree, paths: Iterable[str]) -> Edits:
    """The owner's own statements and comments in these files, as far as they stay."""
    statements = comments = 0
    layout = False
    for path in paths:
        texts = [tree.get(path) for tree in (base, mine, after)]
        if path.endswith(".py") and texts[0] != texts[1] and None not in texts:
            try:
                old, own, then = (_meanings(text or "") for text in texts)
                old_notes, own_notes, notes = (_comments(text or "") for text in texts)
            except (SyntaxError, tokenize.TokenError):
                continue
            statements += ((own - old) & then).total()
            comments += ((own_notes - old_notes) & notes).total()
            layout |= _is_laid_out_otherwise(texts[0] or "", texts[1] or "")
    return Edits(statements, comments, layout)


def _diff(path: str, before: str | None, after: str | None) -> Iterator[str]:
    names = (ABSENT if before is None else f"a/{path}", ABSENT if after is None else f"b/{path}")
    if is_binary(before) or is_binary(after):
        yield f"Binary files {names[0]} and {names[1]} differ\n"
        return
    old, new = _lines(before or ""), _lines(after or "")
    for line in difflib.unified_diff(old, new, names[0], names[1]):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
    if not old and not new and (before is None or after is None):  # an empty file comes or goes
        yield from (f"--- {names[0]}\n", f"+++ {names[1]}\n")


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)  # to str.splitlines a form feed ends a line too


def _names(before: str, after: str) -> Iterator[tuple[str, str]]:
    """The definitions that changed, came or went, then the imports."""
    try:
        was, then = ast.parse(before), ast.parse(after)
    except SyntaxError:
        return
    old, new = _definitions(was), _definitions(then)
    for name in list(new) + [name for name in old if name not in new]:
        if old.get(name) != new.get(name):
            yield "+" if name not in old else "-" if name not in new else "~", name
    gone, come = _imports(was), _imports(then)
    yield from (("+", line) for line in _import_lines(come - gone))
    yield from (("-", line) for line in _import_lines(gone - come))


def _definitions(tree: ast.Module) -> dict[str, str]:
    """What each function and class at the top is, and the rest under names of its own."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[f"{node.name}()"] = ast.dump(node)
        elif isinstance(node, ast.ClassDef):
            found[f"class {node.name}"] = ast.dump(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found[", ".join(map(ast.unparse, targets))] = ast.dump(node)
    return found


def _imports(tree: ast.Module) -> set[tuple[str, str]]:
    """Modules, and names from modules, that are imported at the top."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {("", _as(alias)) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {("." * node.level + (node.module or ""), _as(alias)) for alias in node.names}
    return found


def _as(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _import_lines(found: Iterable[tuple[str, str]]) -> list[str]:
    by_module: dict[str, list[str]] = {}
    for module, name in sorted(found):
        by_module.setdefault(module, []).append(name)
    plain = [f"import {name}" for name in by_module.pop("", [])]
    return plain + [
        f"from {module} import {', '.join(names)}" for module, names in by_module.items()
    ]


def _meanings(text: str) -> Counter[str]:
    """Every statement without its layout; of one that holds others, its head."""
    return Counter(
        _meaning(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)
    )


def _meaning(node: ast.stmt) -> str:
    parts = [_word(value) for name, value in ast.iter_fields(node) if name not in BLOCKS]
    return f"{type(node).__name__}({', '.join(parts)})"


def _word(part: object) -> str:
    if isinstance(part, list):
        return f"[{', '.join(map(_word, part))}]"
    return ast.dump(part) if isinstance(part, ast.AST) else repr(part)


def _comments(text: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


def _is_laid_out_otherwise(base: str, mine: str) -> bool:
    """Whether statements that the owner left as they are stand there in other words."""
    old, own = _sources(base), _sources(mine)
    return any(own[meaning].isdisjoint(old[meaning]) for meaning in own.keys() & old.keys())


def _sources(text: str) -> dict[str, set[bytes]]:
    """The simple statements as they are written, without indentation."""
    lines, found = re.split(rb"\r\n|\r|\n", text.encode()), dict[str, set[bytes]]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            source = lines[node.lineno - 1 : node.end_lineno]
            source[-1] = source[-1][: node.end_col_offset]
            source[0] = source[0][node.col_offset :]
            found.setdefault(_meaning(node), set()).add(b"\n".join(map(bytes.strip, source)))
    return found
