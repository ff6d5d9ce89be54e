"""Lines that owners write between those of the template, and around them."""

import ast

from edits.code import (
    Code,
    Place,
    found,
    functions,
    indented,
    is_simple,
    names_in,
    pairs,
    with_import,
)
from edits.kind import DoesNotApplyError, Pick, Tree, edit

TRAIN = ("train.py",)
OFTEN = ("train.py", "data.py", "model.py", "config.py")


def value_of(place: Place) -> str:
    """Something to print at a statement: what it sets, or a word."""
    bound = sorted(names_in(place.node)[0])
    return f"{bound[0]!r}, {bound[0]}" if bound else repr("here")


def insert(tree: Tree, pick: Pick, text: str, *, above: bool = False, needs: str = "") -> Tree:
    """Lines beside some statement of train.py; {value} is what that sets."""
    path, code, place = pick(found(tree, TRAIN))
    text = text.replace("{value}", value_of(place))
    put = code.before if above else code.behind
    made = code.changed(put(place.node, text))
    return tree | {path: with_import(made, needs) if needs else made}


@edit("print what was set")
def print_behind(tree: Tree, pick: Pick) -> Tree:
    return insert(tree, pick, "print({value})")


@edit("print before")
def print_above(tree: Tree, pick: Pick) -> Tree:
    return insert(tree, pick, 'print("now", flush=True)', above=True)


@edit("log what was set")
def logging_behind(tree: Tree, pick: Pick) -> Tree:
    text = 'logging.getLogger("own").info("%s %s", {value})'
    path, code, place = pick(found(tree, TRAIN, lambda p: is_simple(p) and bool(bound(p))))
    made = code.changed(code.behind(place.node, text.replace("{value}", value_of(place))))
    return tree | {path: with_import(made, "import logging")}


def bound(place: Place) -> set[str]:
    return names_in(place.node)[0]


@edit("two lines and a comment")
def two_lines(tree: Tree, pick: Pick) -> Tree:
    return insert(tree, pick, "# mine: look at it\nprint({value})\nprint()", above=pick.of(0, 0))


@edit("prints at many places")
def many_prints(tree: Tree, pick: Pick) -> Tree:
    return many(tree, pick, "print({number}, {value})", 8)


def many(tree: Tree, pick: Pick, text: str, count: int) -> Tree:
    path, changes, code = "train.py", [], None
    for i, (_, code, place) in enumerate(pick.some(found(tree, TRAIN), count)):
        own = text.replace("{number}", str(i)).replace("{value}", value_of(place))
        changes.append(code.behind(place.node, own))
    assert code
    return tree | {path: code.changed(*changes)}


@edit("print in every branch")
def print_in_branch(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, OFTEN, lambda p: isinstance(p.node, ast.If))
    path, code, place = pick(options)
    return tree | {path: code.changed(code.before(place.node.body[0], 'print("this way")'))}


@edit("print at the start of a block")
def print_at_start(tree: Tree, pick: Pick) -> Tree:
    kinds = (ast.For, ast.While, ast.With)
    path, code, place = pick(found(tree, OFTEN, lambda p: isinstance(p.node, kinds)))
    return tree | {path: code.changed(code.before(place.node.body[0], 'print("in it")'))}


@edit("print at the end of a block")
def print_at_end(tree: Tree, pick: Pick) -> Tree:
    kinds = (ast.For, ast.While, ast.With, ast.If)
    path, code, place = pick(found(tree, OFTEN, lambda p: isinstance(p.node, kinds)))
    last = place.node.body[-1]
    if isinstance(last, (ast.Return, ast.Raise, ast.Break)):
        raise DoesNotApplyError
    return tree | {path: code.changed(code.behind(last, 'print("at its end")'))}


@edit("count how often")
def counter(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, TRAIN))
    first = place.scope.body[0]
    put = code.behind if isinstance(first, ast.Expr) else code.before
    changes = [put(first, "own_count = 0"), code.behind(place.node, "own_count += 1")]
    return tree | {path: code.changed(*changes)}


@edit("measure the time of a statement")
def timing(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, TRAIN))
    made = code.changed(
        code.before(place.node, "began = time.perf_counter()"),
        code.behind(place.node, 'print("seconds", time.perf_counter() - began)'),
    )
    return tree | {path: with_import(made, "import time")}


@edit("assert what was set")
def assertion(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, TRAIN, lambda p: is_simple(p) and bool(bound(p))))
    name = sorted(bound(place))[0]
    return tree | {path: code.changed(code.behind(place.node, f"assert {name} is not None"))}


@edit("raise where it is not finite")
def check_finite(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, TRAIN, lambda p: is_simple(p) and "loss" in bound(p)))
    text = 'if not torch.isfinite(loss).all():\n    raise ValueError("loss is not finite")'
    return tree | {path: code.changed(code.behind(place.node, text))}


@edit("return early")
def early_return(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    function = functions(code)[pick.of("evaluate", "main")]
    text = {
        "evaluate": "if config.fast:\n    return {}",
        "main": "if not config.steps:\n    return 0",
    }
    first = next(n for n in function.body if not isinstance(n, ast.Expr))
    return tree | {"train.py": code.changed(code.before(first, text[function.name]))}


@edit("continue early")
def early_continue(tree: Tree, pick: Pick) -> Tree:
    loops = (ast.For, ast.While)
    path, code, place = pick(found(tree, OFTEN, lambda p: isinstance(p.node, loops)))
    text = "if 2 > 3:  # never\n    continue"
    return tree | {path: code.changed(code.before(place.node.body[0], text))}


@edit("break at the end of a loop")
def late_break(tree: Tree, pick: Pick) -> Tree:
    loops = (ast.For, ast.While)
    path, code, place = pick(found(tree, TRAIN, lambda p: isinstance(p.node, loops)))
    return tree | {path: code.changed(code.behind(place.node.body[-1], "if 2 > 3:\n    break"))}


@edit("say it in the log")
def log_say(tree: Tree, pick: Pick) -> Tree:
    def knows_log(place: Place) -> bool:
        is_main = getattr(place.scope, "name", "") == "main"
        return is_simple(place) and is_main and "log" in set().union(*names_in(place.node))

    path, code, place = pick(found(tree, TRAIN, knows_log))
    return tree | {path: code.changed(code.behind(place.node, 'log.say("something of mine")'))}


@edit("several lines in one place")
def several(tree: Tree, pick: Pick) -> Tree:
    text = "total = 0\nfor i in range(3):\n    total += i\nprint(total)"
    return insert(tree, pick, text, above=pick.of(True, False))


WRAPS = {
    "with": ("with contextlib.nullcontext():", "", "import contextlib"),
    "if": ("if config.steps > 0:", "", ""),
    "if and else": ("if config.steps > 0:", 'else:\n    print("nothing to do")', ""),
    "try and except": ("try:", "except KeyboardInterrupt:\n    raise", ""),
    "try and finally": ("try:", 'finally:\n    print("done")', ""),
    "for": ("for _ in range(1):", "", ""),
}


def wrapped(code: Code, nodes: list[ast.stmt], head: str, tail: str) -> tuple[tuple[int, int], str]:
    """A change: some statements in a block of their own."""
    start, end = code.lines(nodes[0])[0], code.lines(nodes[-1])[1]
    indent, inside = code.indent(nodes[0]), code.raw[start:end].decode()
    if '"""' in inside:
        raise DoesNotApplyError
    inner = "".join(f"    {line}" if line.strip() else line for line in inside.splitlines(True))
    return (start, end), indented(head, indent) + inner + (indented(tail, indent) if tail else "")


def wrap(tree: Tree, pick: Pick, way: str) -> Tree:
    head, tail, needs = WRAPS[way]

    def fits(place: Place) -> bool:
        own = (ast.Assign, ast.AugAssign, ast.Expr, ast.If, ast.For, ast.While, ast.With)
        in_main = getattr(place.scope, "name", "") == "main"
        return in_main and isinstance(place.node, own) and not isinstance(place.scope, ast.ClassDef)

    path, code, place = pick(found(tree, TRAIN, fits))
    if way == "for" and any(isinstance(n, (ast.Break, ast.Continue)) for n in ast.walk(place.node)):
        raise DoesNotApplyError
    made = code.changed(wrapped(code, [place.node], head, tail))
    return tree | {path: with_import(made, needs) if needs else made}


def wrapping(way: str) -> None:
    edit(f"{way} around a statement")(lambda tree, pick: wrap(tree, pick, way))


for _way in WRAPS:
    wrapping(_way)


@edit("with around a function's statements")
def with_all(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    function = functions(code)[pick.of("evaluate", "main")]
    body = [n for n in function.body if not isinstance(n, ast.Expr) or not has_text(n)]
    made = code.changed(wrapped(code, body, "with torch.inference_mode(False):", ""))
    return tree | {"train.py": made}


def has_text(node: ast.Expr) -> bool:
    return isinstance(node.value, ast.Constant)


@edit("try around the loop")
def try_loop(tree: Tree, pick: Pick) -> Tree:
    (_, code, place), *_ = found(tree, TRAIN, lambda p: isinstance(p.node, ast.While)).values()
    tail = pick.of("except KeyboardInterrupt:\n    print('stopped')", "finally:\n    print('over')")
    return tree | {"train.py": code.changed(wrapped(code, [place.node], "try:", tail))}


@edit("with around two statements")
def with_two(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        return is_simple(place) and bool(place.after) and not has_block(place.after[0])

    path, code, place = pick(pairs(found(tree, TRAIN, fits)))
    head = 'with torch.profiler.record_function("mine"):'
    if isinstance(place.after[0], (ast.Return, ast.Break)):
        raise DoesNotApplyError
    return tree | {path: code.changed(wrapped(code, [place.node, place.after[0]], head, ""))}


def has_block(node: ast.stmt) -> bool:
    return hasattr(node, "body")


@edit("an else to an if")
def else_branch(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        return isinstance(place.node, ast.If) and not place.node.orelse and place.scope is not None

    path, code, place = pick(found(tree, OFTEN, fits))
    end = code.lines(place.node)[1]
    text = indented('else:\n    print("not so")', code.indent(place.node))
    return tree | {path: code.changed(((end, end), text))}


@edit("a function inside main")
def inner_function(tree: Tree, pick: Pick) -> Tree:
    text = "\ndef own(value: float) -> float:\n    return value + 1\n\nprint(own(1.0))"
    return insert(tree, pick, text, above=pick.of(True, False))
