"""What formatters and editors do to whole files."""

import ast
import io
import re
import tokenize

import black

from edits.code import Code, found, is_simple
from edits.kind import DoesNotApplyError, Pick, Tree, edit
from edits.statements import TRAIN

FILES = ("train.py", "config.py", "data.py", "model.py")


def everywhere(tree: Tree, change: object) -> Tree:
    assert callable(change)
    return tree | {path: change(text) for path, text in tree.items() if path.endswith(".py")}


def laid_out(tree: Tree, width: int, **options: bool) -> Tree:
    mode = black.Mode(line_length=width, **options)
    made = everywhere(tree, lambda text: black.format_str(text, mode=mode))
    pyproject = made["pyproject.toml"].replace("line-length = 100", f"line-length = {width}")
    return made | {"pyproject.toml": pyproject}


def width(columns: int) -> None:
    @edit(f"black at {columns} columns", is_layout=True)
    def formatted(tree: Tree, pick: Pick) -> Tree:
        return laid_out(tree, columns)


for _columns in (60, 79, 88, 120, 160):
    width(_columns)


@edit("black without its commas", is_layout=True)
def without_commas(tree: Tree, pick: Pick) -> Tree:
    return laid_out(tree, 72, magic_trailing_comma=False)


def single_quoted(text: str) -> str:
    lines = text.splitlines(True)
    for token in reversed([*tokenize.generate_tokens(io.StringIO(text).readline)]):
        word = token.string
        plain = word.startswith('"') and not word.startswith('"""') and "'" not in word
        if token.type == tokenize.STRING and plain and "\\" not in word:
            row, column = token.start
            line = lines[row - 1]
            lines[row - 1] = f"{line[:column]}'{word[1:-1]}'{line[column + len(word) :]}"
    return "".join(lines)


@edit("single quotes", is_layout=True)
def single_quotes(tree: Tree, pick: Pick) -> Tree:
    return everywhere(tree, single_quoted)


@edit("single quotes at 79 columns", is_layout=True)
def quotes_and_width(tree: Tree, pick: Pick) -> Tree:
    return everywhere(laid_out(tree, 79), single_quoted)


def in_texts(text: str) -> set[int]:
    """The lines that begin inside a text of several lines."""
    inner = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            inner |= set(range(token.start[0] + 1, token.end[0] + 1))
    return inner


def indent(text: str, unit: str) -> str:
    """The file with another unit of indentation, but for texts of several lines."""
    inner = in_texts(text)
    lines = text.splitlines(True)
    for i, line in enumerate(lines, 1):
        depth = (len(line) - len(line.lstrip(" "))) // 4
        if i not in inner:
            lines[i - 1] = unit * depth + line[4 * depth :]
    return "".join(lines)


@edit("tabs", is_layout=True)
def tabs(tree: Tree, pick: Pick) -> Tree:
    return everywhere(tree, lambda text: indent(text, "\t"))


@edit("two spaces", is_layout=True)
def two_spaces(tree: Tree, pick: Pick) -> Tree:
    return everywhere(tree, lambda text: indent(text, "  "))


@edit("tabs in one file", is_layout=True)
def tabs_once(tree: Tree, pick: Pick) -> Tree:
    path = pick.of(*FILES)
    return tree | {path: indent(tree[path], "\t")}


@edit("CRLF everywhere", is_layout=True)
def crlf(tree: Tree, pick: Pick) -> Tree:
    return {path: text.replace("\n", "\r\n") for path, text in tree.items()}


@edit("CRLF in Python files", is_layout=True)
def crlf_code(tree: Tree, pick: Pick) -> Tree:
    return everywhere(tree, lambda text: text.replace("\n", "\r\n"))


@edit("a byte order mark", is_layout=True)
def mark(tree: Tree, pick: Pick) -> Tree:
    path = pick.of(*FILES)
    return tree | {path: f"\ufeff{tree[path]}"}


@edit("no newline at the end", is_layout=True)
def no_newline(tree: Tree, pick: Pick) -> Tree:
    path = pick.of(*FILES, "pyproject.toml", "README.md")
    return tree | {path: tree[path].rstrip("\n")}


@edit("blanks at line ends", is_layout=True)
def blanks(tree: Tree, pick: Pick) -> Tree:
    return tree | {"train.py": re.sub(r"(?m)(?<=[:)])$", "  ", tree["train.py"])}


@edit("no blank lines in functions", is_layout=True)
def dense(tree: Tree, pick: Pick) -> Tree:
    return everywhere(tree, without_blank_lines)


def without_blank_lines(text: str) -> str:
    lines, inner = text.splitlines(True), in_texts(text)
    following = [*lines[1:], ""]
    return "".join(
        line
        for i, line in enumerate(lines, 1)
        if line.strip() or i in inner or not following[i - 1].startswith(" ")
    )


@edit("blank lines between all statements of main", is_layout=True)
def airy(tree: Tree, pick: Pick) -> Tree:
    head, main = tree["train.py"].split("def main(", 1)
    return tree | {"train.py": f"{head}def main(" + re.sub(r"(?<=[)\w])\n(?=    \w)", "\n\n", main)}


@edit("semicolons", is_layout=True)
def semicolons(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, TRAIN, lambda p: is_simple(p) and p.after[:1] != []))
    following = place.after[0]
    small = (ast.Assign, ast.Expr, ast.AugAssign)
    between = (code.span(place.node)[1], code.span(following)[0])
    if not isinstance(following, small) or b"#" in code.raw[slice(*between)]:
        raise DoesNotApplyError
    return tree | {path: code.changed((between, "; "))}


@edit("one-line suites", is_layout=True)
def one_line(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, FILES, lambda p: isinstance(p.node, ast.If) and not p.node.orelse)
    path, code, place = pick({k: o for k, o in options.items() if len(o[2].node.body) == 1})
    only = place.node.body[0]
    between = (code.span(place.node.test)[1], code.span(only)[0])
    if hasattr(only, "body") or b"#" in code.raw[slice(*between)]:
        raise DoesNotApplyError
    if b"\n" in code.raw[slice(*code.span(only))]:
        raise DoesNotApplyError
    return tree | {path: code.changed((between, ": "))}


@edit("parentheses that are not needed", is_layout=True)
def parentheses(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, TRAIN, lambda p: is_simple(p) and isinstance(p.node, ast.Assign))
    path, code, place = pick(options)
    value = code.source(place.node.value)
    return tree | {path: code.changed(code.instead(place.node.value, f"({value})"))}


@edit("backslashes", is_layout=True)
def backslashes(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, TRAIN, lambda p: is_simple(p) and isinstance(p.node, ast.Assign))
    path, code, place = pick(options)
    start = code.span(place.node.value)[0]
    inner = f"\\\n{code.indent(place.node)}    "
    return tree | {path: code.changed(((start, start), inner))}


@edit("calls over many lines", is_layout=True)
def exploded(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    calls = [n for n in ast.walk(code.tree) if isinstance(n, ast.Call) and len(n.args) > 1]
    ends = {
        code.span([*n.args, *(k.value for k in n.keywords)][-1])[1] for n in calls if not starred(n)
    }
    made = code.changed(*(((end, end), ",") for end in ends if code.raw[end : end + 1] == b")"))
    return tree | {"train.py": black.format_str(made, mode=black.Mode(line_length=100))}


def starred(call: ast.Call) -> bool:
    return any(isinstance(a, (ast.Starred, ast.GeneratorExp)) for a in call.args) or any(
        k.arg is None for k in call.keywords
    )


@edit("a form feed between functions", is_layout=True)
def form_feed(tree: Tree, pick: Pick) -> Tree:
    return tree | {"train.py": tree["train.py"].replace("\n\n\ndef main", "\n\x0c\n\ndef main", 1)}


@edit("dict(…) in lines of its own", is_layout=True)
def magic_comma(tree: Tree, pick: Pick) -> Tree:
    text = tree["config.py"]
    made = re.sub(r"(?m)^(        at_least_1 = \[)(.*)\]$", r"\1\2,]", text)
    return tree | {"config.py": black.format_str(made, mode=black.Mode(line_length=100))}
