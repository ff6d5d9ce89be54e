"""What owners change in the template's own statements, or take out of it."""

import ast

from edits.code import (
    Code,
    Place,
    found,
    indented,
    is_docstring,
    is_simple,
    names_in,
    nodes,
    own_nodes,
    pairs,
)
from edits.kind import DoesNotApplyError, Pick, Tree, edit
from edits.statements import OFTEN, TRAIN, has_block


def replace(tree: Tree, option: tuple[str, Code, ast.AST], text: str) -> Tree:
    path, code, node = option
    return tree | {path: code.changed(code.instead(node, text))}


@edit("another number", changes=True)
def number(tree: Tree, pick: Pick) -> Tree:
    def is_number(node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) and type(node.value) in (int, float)

    option = pick(nodes(tree, OFTEN, is_number))
    return replace(tree, option, f"{option[2].value + 1}")


@edit("another text", changes=True)
def other_text(tree: Tree, pick: Pick) -> Tree:
    def is_text(node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) and isinstance(node.value, str)

    options = nodes(tree, OFTEN, is_text)
    path, code, node = pick({k: o for k, o in options.items() if '"""' not in o[1].source(o[2])})
    return replace(tree, (path, code, node), repr(f"{node.value}_mine").replace("'", '"'))


@edit("another value for a keyword", changes=True)
def keyword_value(tree: Tree, pick: Pick) -> Tree:
    options = {
        f"{name} {keyword.arg}": (path, code, keyword.value)
        for name, (path, code, call) in calls(tree).items()
        for keyword in call.keywords
        if keyword.arg
    }
    option = pick(options)
    return replace(tree, option, f"({option[1].source(option[2])})  or None".replace("  ", " "))


def calls(tree: Tree) -> dict[str, tuple[str, Code, ast.Call]]:
    """The calls of train.py, named by their statement and the function called."""
    there = {}
    for path, code, place in found(tree, TRAIN, lambda place: True).values():
        for node in own_nodes(place.node):
            if isinstance(node, ast.Call):
                there[f"{place.name}: {ast.unparse(node.func)}()"] = (path, code, node)
    return there


@edit("one keyword more", changes=True)
def keyword_added(tree: Tree, pick: Pick) -> Tree:
    options = {name: o for name, o in calls(tree).items() if o[2].args and not starred(o[2])}
    path, code, call = pick(options)
    last = max([*call.args, *(k.value for k in call.keywords)], key=lambda n: code.span(n)[1])
    end = code.span(last)[1]
    return tree | {path: code.changed(((end, end), ", own=1"))}


def starred(call: ast.Call) -> bool:
    generators = [a for a in call.args if isinstance(a, (ast.Starred, ast.GeneratorExp))]
    return bool(generators) or any(keyword.arg is None for keyword in call.keywords)


@edit("an argument wrapped in a call", changes=True)
def argument_wrapped(tree: Tree, pick: Pick) -> Tree:
    options = {
        f"{name} {i} {ast.unparse(argument)}": (path, code, argument)
        for name, (path, code, call) in calls(tree).items()
        for i, argument in enumerate(call.args)
        if not isinstance(argument, (ast.Starred, ast.GeneratorExp))
    }
    option = pick(options)
    return replace(tree, option, f"own({option[1].source(option[2])})")


@edit("a positional argument given by its name", changes=True)
def by_name(tree: Tree, pick: Pick) -> Tree:
    names = {"cosine": "steps", "Log": "step", "evaluate": "device", "clip_and_step": "clip"}
    options = {
        name: (path, code, call)
        for name, (path, code, call) in calls(tree).items()
        if ast.unparse(call.func) in names and not starred(call) and not call.keywords
    }
    path, code, call = pick(options)
    last = call.args[-1]
    text = f"{names[ast.unparse(call.func)]}={code.source(last)}"
    return replace(tree, (path, code, last), text)


@edit("a condition with one more part", changes=True)
def condition(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, OFTEN, lambda p: isinstance(p.node, (ast.If, ast.While))))
    test = place.node.test
    return replace(tree, (path, code, test), f"({code.source(test)}) and not 2 > 3")


@edit("a condition with one more alternative", changes=True)
def alternative(tree: Tree, pick: Pick) -> Tree:
    def is_or(node: ast.AST) -> bool:
        return isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)

    path, code, node = pick(nodes(tree, OFTEN, is_or))
    return replace(tree, (path, code, node), f"{code.source(node)} or 2 > 3")


@edit("a factor more", changes=True)
def factor(tree: Tree, pick: Pick) -> Tree:
    kinds = (ast.Assign, ast.AugAssign)
    options = found(tree, TRAIN, lambda p: is_simple(p) and isinstance(p.node, kinds))
    path, code, place = pick(options)
    return replace(tree, (path, code, place.node.value), f"2 * ({code.source(place.node.value)})")


@edit("another operator", changes=True)
def operator(tree: Tree, pick: Pick) -> Tree:
    path, code, node = pick(nodes(tree, OFTEN, lambda n: isinstance(n, ast.BinOp)))
    text = f"own_op({code.source(node.left)}, {code.source(node.right)})"
    return replace(tree, (path, code, node), text)


@edit("walrus", changes=True)
def walrus(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        node = place.node
        return is_simple(place) and isinstance(node, ast.Assign) and is_name(node.targets[0])

    path, code, place = pick(found(tree, TRAIN, fits))
    name, value = place.node.targets[0].id, code.source(place.node.value)
    text = f"if ({name} := {value}) is None:\n    raise ValueError({name!r})"
    return replace(
        tree, (path, code, place.node), text.replace("\n", f"\n{code.indent(place.node)}")
    )


def is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


@edit("a type for a variable", changes=True)
def annotated(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        node = place.node
        return is_simple(place) and isinstance(node, ast.Assign) and is_name(node.targets[0])

    path, code, place = pick(found(tree, OFTEN, fits))
    return replace(tree, (path, code, place.node.targets[0]), f"{place.node.targets[0].id}: object")


@edit("another type for an argument", changes=True)
def argument_type(tree: Tree, pick: Pick) -> Tree:
    options = {
        f"{place.name} {arg.arg}": (path, code, arg.annotation)
        for path, code, place in found(tree, OFTEN, is_function).values()
        for arg in place.node.args.args
        if arg.annotation
    }
    option = pick(options)
    return replace(tree, option, f"{option[1].source(option[2])} | None")


def is_function(place: Place) -> bool:
    return isinstance(place.node, ast.FunctionDef)


@edit("another type returned", changes=True)
def returned_type(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, OFTEN, lambda p: is_function(p) and p.node.returns is not None)
    path, code, place = pick(options)
    return replace(tree, (path, code, place.node.returns), '"object"')


@edit("types taken away", changes=True)
def types_gone(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(
        found(tree, OFTEN, lambda p: is_function(p) and bool(p.node.args.args))
    )
    changes = [
        ((code.span(arg)[0] + len(arg.arg), code.span(arg)[1]), "")
        for arg in place.node.args.args
        if arg.annotation
    ]
    return tree | {path: code.changed(*changes)}


@edit("a parameter more")
def parameter(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(
        found(tree, OFTEN, lambda p: is_function(p) and bool(p.node.args.args))
    )
    args = place.node.args
    if args.kwonlyargs or args.vararg or args.kwarg:
        raise DoesNotApplyError
    last = max([*args.args, *args.defaults], key=lambda n: code.span(n)[1])
    end = code.span(last)[1]
    return tree | {path: code.changed(((end, end), ", own: bool = False"))}


@edit("a parameter more, and given in each call", changes=True)
def parameter_given(tree: Tree, pick: Pick) -> Tree:
    made = tree["train.py"]
    code = Code(made)
    function = pick({n.name: n for n in code.tree.body if isinstance(n, ast.FunctionDef)})
    last = function.args.args[-1]
    end = code.span(last)[1]
    changes = [((end, end), ", scale: float = 1.0")]
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function.name:
            ends = [code.span(a)[1] for a in [*node.args, *(k.value for k in node.keywords)]]
            changes.append(((max(ends), max(ends)), ", scale=0.5"))
    return tree | {"train.py": code.changed(*changes)}


@edit("a default for a parameter", changes=True)
def parameter_default(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, OFTEN, lambda p: is_function(p) and len(p.node.args.args) > 1)
    path, code, place = pick(options)
    if place.node.args.defaults:
        raise DoesNotApplyError
    end = code.span(place.node.args.args[-1])[1]
    return tree | {path: code.changed(((end, end), " = None"))}


@edit("x += y written out", changes=True)
def written_out(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, OFTEN, lambda p: isinstance(p.node, ast.AugAssign)))
    target, value = code.source(place.node.target), code.source(place.node.value)
    sign = {ast.Add: "+", ast.Mult: "*"}[type(place.node.op)]
    return replace(tree, (path, code, place.node), f"{target} = {target} {sign} {value}")


@edit("an argument put into a variable of its own", changes=True)
def extracted_argument(tree: Tree, pick: Pick) -> Tree:
    options = {
        f"{name} {ast.unparse(argument)}": (path, code, place, argument)
        for name, (path, code, place) in found(tree, TRAIN).items()
        for call in own_nodes(place.node)
        if isinstance(call, ast.Call)
        for argument in call.args
        if isinstance(argument, (ast.Attribute, ast.Call, ast.BinOp))
    }
    path, code, place, argument = pick(options)
    made = code.changed(
        code.before(place.node, f"own_value = {code.source(argument)}"),
        code.instead(argument, "own_value"),
    )
    return tree | {path: made}


@edit("two assignments in one", changes=True)
def two_in_one(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        pair = [place.node, *place.after[:1]]
        plain = [isinstance(n, ast.Assign) and is_name(n.targets[0]) for n in pair]
        return is_simple(place) and len(pair) == 2 and all(plain) and independent(*pair)

    path, code, place = pick(pairs(found(tree, TRAIN, fits)))
    pair = [place.node, place.after[0]]
    targets = ", ".join(code.source(n.targets[0]) for n in pair)
    text = f"{targets} = {', '.join(code.source(n.value) for n in pair)}"
    start, end = code.span(pair[0])[0], code.span(pair[1])[1]
    return tree | {path: code.changed(((start, end), text))}


def independent(one: ast.AST, other: ast.AST) -> bool:
    """Whether neither uses what the other sets."""
    (bound1, read1), (bound2, read2) = names_in(one), names_in(other)
    return not (bound1 & (bound2 | read2) or bound2 & read1)


@edit("two statements swapped", changes=True, moves=True)
def swapped(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        following = place.after[:1]
        return is_simple(place) and bool(following) and independent(place.node, following[0])

    options = pairs(found(tree, TRAIN, fits))
    path, code, place = pick({k: o for k, o in options.items() if not has_block(o[2].after[0])})
    other = place.after[0]
    if isinstance(other, (ast.Return, ast.Break, ast.Raise)):
        raise DoesNotApplyError
    spans = code.lines(place.node), code.lines(other)
    texts = [code.raw[start:end].decode() for start, end in spans]
    return tree | {path: code.changed((spans[0], texts[1]), (spans[1], texts[0]))}


@edit("a statement deleted", changes=True)
def deleted(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, OFTEN, lambda p: not is_docstring(p) and len(p.block) > 1)
    path, code, place = pick({k: o for k, o in options.items() if not has_block(o[2].node)})
    return tree | {path: code.changed((code.lines(place.node), ""))}


@edit("a block deleted", changes=True)
def block_deleted(tree: Tree, pick: Pick) -> Tree:
    kinds = (ast.If, ast.With, ast.For)
    path, code, place = pick(
        found(tree, OFTEN, lambda p: isinstance(p.node, kinds) and len(p.block) > 1)
    )
    return tree | {path: code.changed((code.lines(place.node), ""))}


@edit("a statement commented out", changes=True)
def commented_out(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, TRAIN, lambda p: is_simple(p) and len(p.block) > 1)
    path, code, place = pick(options)
    start, end = code.lines(place.node, with_comments=False)
    lines = code.raw[start:end].decode().splitlines()
    text = indented("".join(f"# {line.strip()}\n" for line in lines), code.indent(place.node))
    return tree | {path: code.changed(((start, end), text))}


@edit("a statement twice")
def twice(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, TRAIN, lambda p: is_simple(p) and isinstance(p.node, ast.Expr))
    path, code, place = pick(options)
    return tree | {path: code.changed(code.behind(place.node, code.source(place.node)))}


@edit("a feature taken out by hand", changes=True)
def feature_gone(tree: Tree, pick: Pick) -> Tree:
    word = pick.of("log.progress", "log.start", "log.finish", "set_lr", "seed_all", "model.train")
    code = Code(tree["train.py"])
    function = next(n for n in code.tree.body if getattr(n, "name", "") == "main")
    gone = [
        n
        for n in function.body
        for n in ast.walk(n)
        if is_line(n) and ast.unparse(n).startswith(word)
    ]
    if not gone:
        raise DoesNotApplyError
    return tree | {"train.py": code.changed(*((code.lines(n), "") for n in gone))}


def is_line(node: ast.AST) -> bool:
    return isinstance(node, (ast.Assign, ast.Expr))
