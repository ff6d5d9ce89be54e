"""What an owner may do to any Python file: small edits, drawn by chance and applied to its text.

An edit is its kind and a number that says where; so hypothesis can leave edits out, and a failure
can be told in a line.
"""

import ast
import re
import textwrap
from collections.abc import Callable
from random import Random

from hypothesis import strategies as st

from litgen_torch.render import Tree

Edit = tuple[str, int]  # a kind of KINDS, and where
Change = Callable[[str, ast.Module, Random], str]
KINDS: dict[str, Change] = {}


def kind(change: Change) -> Change:
    """Register a kind of edit by its function's name."""
    KINDS[change.__name__] = change
    return change


def edits(most: int = 4) -> st.SearchStrategy[list[Edit]]:
    """Several edits of one file."""
    return st.lists(
        st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 9999)), min_size=1, max_size=most
    )


def edited(text: str, edits: list[Edit]) -> str:
    """The file after these edits; one that would leave no Python behind is left out."""
    for name, number in edits:
        changed = KINDS[name](text, ast.parse(text), Random(number))
        try:
            ast.parse(changed)
        except (SyntaxError, ValueError):
            continue
        text = changed
    return text


def edited_tree(tree: Tree, chosen: dict[str, list[Edit]]) -> Tree:
    """A project of which some files are edited."""
    return tree | {path: edited(tree[path], edits) for path, edits in chosen.items()}


@kind
def insert_a_statement(text: str, tree: ast.Module, random: Random) -> str:
    at = random.choice(_inside(tree))
    put = random.choice(["mine({n})", "mine_{n} = {n}", "if mine({n}):\n    mine()"])
    return _put_above(text, at, put.format(n=random.randrange(1000, 9999)))


@kind
def append_a_statement(text: str, tree: ast.Module, random: Random) -> str:
    return f"{text}\n\ndef mine_{random.randrange(1000, 9999)}():\n    return 1\n"


@kind
def comment_above(text: str, tree: ast.Module, random: Random) -> str:
    return _put_above(text, random.choice(_inside(tree)), f"# mine{random.randrange(9999)}")


@kind
def comment_behind(text: str, tree: ast.Module, random: Random) -> str:
    at = random.choice([s for s in _inside(tree) if not hasattr(s, "body")] or _inside(tree))
    lines = text.split("\n")
    if lines[at.end_lineno - 1].endswith('"""') or "#" in lines[at.end_lineno - 1]:
        return text
    lines[at.end_lineno - 1] += f"  # mine{random.randrange(9999)}"
    return "\n".join(lines)


@kind
def delete_a_statement(text: str, tree: ast.Module, random: Random) -> str:
    at = random.choice(_removable(tree))
    return _replace(text, at, "")


@kind
def comment_a_statement_out(text: str, tree: ast.Module, random: Random) -> str:
    at = random.choice(_removable(tree))
    return _replace(text, at, textwrap.indent(_source(text, at), "# ", lambda line: True))


@kind
def change_a_number(text: str, tree: ast.Module, random: Random) -> str:
    found = [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and type(n.value) in (int, float) and not _in_string(n, tree)
    ]
    if not found:
        return text
    at = random.choice(found)
    return _splice(text, at, str(random.randrange(1000, 9999)))


@kind
def add_an_argument(text: str, tree: ast.Module, random: Random) -> str:
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and not _in_string(n, tree)]
    calls = [n for n in calls if n.lineno == n.end_lineno]
    if not calls:
        return text
    at = random.choice(calls)
    code = ast.get_source_segment(text, at) or ""
    comma = ", " if (at.args or at.keywords) and not code[:-1].rstrip().endswith(",") else ""
    return _splice(text, at, f"{code[:-1]}{comma}mine={random.randrange(1000, 9999)})")


@kind
def put_under_a_condition(text: str, tree: ast.Module, random: Random) -> str:
    at = random.choice(_inside(tree))
    return _replace(text, at, f"if mine:\n{textwrap.indent(_source(text, at), '    ')}")


@kind
def write_a_statement_twice(text: str, tree: ast.Module, random: Random) -> str:
    at = random.choice([s for s in _inside(tree) if not hasattr(s, "body")] or _inside(tree))
    return _put_above(text, at, _source(text, at))


@kind
def swap_two_statements(text: str, tree: ast.Module, random: Random) -> str:
    pairs = [pair for block in _blocks(tree) for pair in zip(block, block[1:], strict=False)]
    if not pairs:
        return text
    one, other = random.choice(pairs)
    first, second = _source(text, one), _source(text, other)
    return _replace(_replace(text, other, first), one, second)


@kind
def rename_a_variable(text: str, tree: ast.Module, random: Random) -> str:
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    if not functions:
        return text
    at = random.choice(functions)
    stored = {
        n.id for n in ast.walk(at) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    if not stored:
        return text
    name = random.choice(sorted(stored))
    new = f"mine_{name}"
    nodes = [n for n in ast.walk(at) if isinstance(n, ast.Name) and n.id == name]
    if any(_in_string(n, tree) for n in nodes):
        return text
    for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset), reverse=True):
        text = _splice(text, node, new)
    return text


@kind
def use_single_quotes(text: str, tree: ast.Module, random: Random) -> str:
    return re.sub(r"""(?<!["\w'])"([\w ./-]*)"(?!")""", r"'\1'", text)


@kind
def wider_calls(text: str, tree: ast.Module, random: Random) -> str:
    """Join every call that is broken over lines and has no comment in it."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and n.lineno != n.end_lineno]
    for at in sorted(calls, key=lambda n: (n.lineno, n.col_offset), reverse=True)[:3]:
        code = ast.get_source_segment(text, at) or ""
        if "#" not in code and '"""' not in code:
            text = _splice(text, at, re.sub(r",?\s*\n\s*(?=\))", "", code).replace("\n", " "))
            break
    return text


@kind
def blank_lines(text: str, tree: ast.Module, random: Random) -> str:
    return _put_above(text, random.choice(_inside(tree)), "")


def _blocks(tree: ast.Module) -> list[list[ast.stmt]]:
    lists = [getattr(n, f, None) for n in ast.walk(tree) for f in ("body", "orelse", "finalbody")]
    return [some for some in lists if isinstance(some, list) and some]


def _inside(tree: ast.Module) -> list[ast.stmt]:
    """Statements above which another may stand: no docstring, nothing before __future__."""
    found = [s for block in _blocks(tree) for s in block]
    return [s for s in found if s.col_offset or not _is_head(s)] or found


def _removable(tree: ast.Module) -> list[ast.stmt]:
    return [s for b in _blocks(tree) if len(b) > 1 for s in b if not _is_head(s)] or tree.body[-1:]


def _is_head(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Import, ast.ImportFrom)) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _first_line(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def _source(text: str, at: ast.stmt) -> str:
    """A statement's own lines, without their common indentation."""
    return textwrap.dedent("\n".join(text.split("\n")[_first_line(at) - 1 : at.end_lineno]))


def _put_above(text: str, at: ast.stmt, code: str) -> str:
    lines = text.split("\n")
    line = _first_line(at) - 1
    lines[line:line] = textwrap.indent(code, " " * at.col_offset).split("\n")
    return "\n".join(lines)


def _replace(text: str, at: ast.stmt, code: str) -> str:
    lines = text.split("\n")
    put = textwrap.indent(code, " " * at.col_offset).split("\n") if code else []
    lines[_first_line(at) - 1 : at.end_lineno] = put
    return "\n".join(lines)


def _splice(text: str, at: ast.expr, code: str) -> str:
    """The text with another expression in the place of one; columns count bytes."""
    lines = text.encode().split(b"\n")
    last = at.end_lineno or at.lineno
    end = lines[last - 1][at.end_col_offset :]
    start = lines[at.lineno - 1][: at.col_offset]
    lines[at.lineno - 1 : last] = [start + code.encode() + end]
    return b"\n".join(lines).decode()


def _in_string(node: ast.AST, tree: ast.Module) -> bool:
    """Whether a node stands in an f-string, whose positions are not to be relied on everywhere."""
    return any(
        node is inner
        for f in ast.walk(tree)
        if isinstance(f, ast.JoinedStr)
        for inner in ast.walk(f)
    )
