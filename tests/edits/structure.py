"""Definitions that owners add, put into another order, into other files, or take apart."""

import ast

from edits.code import (
    Code,
    Place,
    found,
    functions,
    is_simple,
    names_in,
    own_nodes,
    pairs,
    with_import,
)
from edits.kind import DoesNotApplyError, Pick, Tree, edit
from edits.statements import OFTEN, TRAIN, has_block, wrapped

OWN_FUNCTION = '''
def own_average(values: list[float]) -> float:
    """Something of the owner's."""
    total = 0.0
    for value in values:
        total += value
    return total / max(1, len(values))

'''
OWN_CLASS = '''
class Own:
    """Something of the owner's."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

'''


@edit("a function of one's own")
def own_function(tree: Tree, pick: Pick) -> Tree:
    return add_definition(tree, pick, OWN_FUNCTION)


@edit("a class of one's own")
def own_class(tree: Tree, pick: Pick) -> Tree:
    return add_definition(tree, pick, OWN_CLASS)


def add_definition(tree: Tree, pick: Pick, text: str) -> Tree:
    kinds = (ast.FunctionDef, ast.ClassDef)
    options = found(tree, OFTEN, lambda p: isinstance(p.node, kinds) and p.scope is None)
    path, code, place = pick(options)
    return tree | {path: code.changed(code.before(place.node, f"{text.lstrip()}\n\n"))}


@edit("a function of one's own, called in the loop")
def own_called(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, TRAIN, lambda p: getattr(p.scope, "name", "") == "main")
    path, code, place = pick(options)
    main = functions(code)["main"]
    return tree | {
        path: code.changed(
            code.before(main, f"{OWN_FUNCTION.lstrip()}\n\n"),
            code.behind(place.node, "print(own_average([1.0, 2.0]))"),
        )
    }


@edit("a constant at the top")
def constant(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("train.py", "data.py", "model.py")
    code = Code(tree[path])
    last = [n for n in code.tree.body if isinstance(n, (ast.Import, ast.ImportFrom))][-1]
    return tree | {path: code.changed(code.behind(last, "\nOWN_LIMIT = 10"))}


@edit("a lambda at the top")
def a_lambda(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    last = [n for n in code.tree.body if isinstance(n, (ast.Import, ast.ImportFrom))][-1]
    return tree | {"train.py": code.changed(code.behind(last, "\nown = lambda value: value"))}


def in_order(tree: Tree, path: str, names: list[str]) -> Tree:
    """The same definitions in another order, in the places that they had."""
    code = Code(tree[path])
    there = {n.name: n for n in code.tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    spans = [code.lines(node) for node in there.values()]
    texts = [code.raw[slice(*code.lines(there[name]))].decode() for name in names]
    return tree | {path: code.changed(*zip(spans, texts, strict=True))}


def definitions(tree: Tree, path: str) -> list[str]:
    body = Code(tree[path]).tree.body
    return [n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]


@edit("definitions in the other order", moves=True)
def reversed_definitions(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("train.py", "model.py")
    names = definitions(tree, path)
    if (
        len(names) < 2
        or path == "model.py"
        and any("(Block)" in t for t in tree[path].splitlines())
    ):
        raise DoesNotApplyError
    return in_order(tree, path, names[::-1])


@edit("definitions in the order of the alphabet", moves=True)
def sorted_definitions(tree: Tree, pick: Pick) -> Tree:
    return in_order(tree, "train.py", sorted(definitions(tree, "train.py")))


@edit("main comes first", moves=True)
def main_first(tree: Tree, pick: Pick) -> Tree:
    names = definitions(tree, "train.py")
    return in_order(tree, "train.py", ["main", *(name for name in names if name != "main")])


def moved(tree: Tree, pick: Pick, source: str, names: list[str], home: str) -> Tree:
    """Some definitions in a file of their own, and imported back."""
    code = Code(tree[source])
    there = {n.name: n for n in code.tree.body if getattr(n, "name", "") in names}
    if home in tree or not there:
        raise DoesNotApplyError
    bodies = [code.raw[slice(*code.lines(node))].decode() for node in there.values()]
    used = set[str]().union(*(names_in(node)[1] for node in there.values()))
    imports = [
        ast.unparse(part)
        for node in code.tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for part in parts(node)
        if (part.names[0].asname or part.names[0].name).split(".")[0] in used
    ]
    rest = code.changed(*((code.lines(node), "") for node in there.values()))
    rest = with_import(rest, f"from {home.removesuffix('.py')} import {', '.join(there)}")
    return tree | {
        source: without_unused(rest, used),
        home: "\n".join(imports) + "\n\n\n" + "\n\n".join(bodies),
    }


def parts(node: ast.Import | ast.ImportFrom) -> list[ast.Import | ast.ImportFrom]:
    """An import as imports of one name each."""
    if isinstance(node, ast.Import):
        return [ast.Import([alias]) for alias in node.names]
    return [ast.ImportFrom(node.module, [alias], node.level) for alias in node.names]


def without_unused(text: str, candidates: set[str]) -> str:
    """The file without imports that nothing in it needs any more."""
    code = Code(text)
    used = names_in(code.tree)[1]
    changes = []
    for node in code.tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            left = [
                a
                for a in node.names
                if (name := (a.asname or a.name).split(".")[0]) in used or name not in candidates
            ]
            if not left:
                changes.append((code.lines(node), ""))
            elif left != node.names:
                node.names = left
                changes.append(code.instead(node, ast.unparse(node)))
    return code.changed(*changes)


@edit("evaluate in a file of its own")
def evaluate_moved(tree: Tree, pick: Pick) -> Tree:
    losses = [
        n for n in ("loss_and_logits", "loss_sum", "count") if f"def {n}(" in tree["train.py"]
    ]
    return moved(tree, pick, "train.py", [*losses, "evaluate"], "evaluate.py")


@edit("the loss in a file of its own")
def loss_moved(tree: Tree, pick: Pick) -> Tree:
    losses = [
        n for n in ("loss_and_logits", "loss_sum", "count") if f"def {n}(" in tree["train.py"]
    ]
    return moved(tree, pick, "train.py", losses, pick.of("losses.py", "objective.py"))


@edit("the model's blocks in a file of their own")
def blocks_moved(tree: Tree, pick: Pick) -> Tree:
    names = definitions(tree, "model.py")
    return moved(tree, pick, "model.py", names[1:], "blocks.py")


@edit("settings in another file")
def settings_moved(tree: Tree, pick: Pick) -> Tree:
    if "settings.py" in tree:
        raise DoesNotApplyError
    made = {path: text for path, text in tree.items() if path != "config.py"}
    made["settings.py"] = tree["config.py"]
    for path in made:
        if path.endswith(".py") and "/" not in path:
            made[path] = made[path].replace("from config import", "from settings import")
    return made


@edit("some statements in a function of their own", changes=True)
def extracted(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        pair = [place.node, *place.after[:1]]
        is_main = getattr(place.scope, "name", "") == "main"
        return is_simple(place) and is_main and len(pair) == 2 and not has_block(pair[1])

    path, code, place = pick(pairs(found(tree, TRAIN, fits)))
    pair = [place.node, place.after[0]]
    if any(isinstance(n, (ast.Return, ast.Break)) for n in pair):
        raise DoesNotApplyError
    main = functions(code)["main"]
    (bound1, read1), (bound2, read2) = names_in(pair[0]), names_in(pair[1])
    local = names_in(main)[0]
    inputs = sorted((read1 | read2 - bound1) & local)
    outputs = sorted(bound1 | bound2)
    body = "\n".join(indent(code.source(node)) for node in pair)
    given = f"\n    return {', '.join(outputs)}" if outputs else ""
    text = (
        f"def own_part({', '.join(f'{n}: object' for n in inputs)}) -> object:\n{body}{given}\n\n"
    )
    call = f"{', '.join(outputs)} = " * bool(outputs) + f"own_part({', '.join(inputs)})"
    start, end = code.span(pair[0])[0], code.span(pair[1])[1]
    return tree | {path: code.changed(code.before(main, text), ((start, end), call))}


def indent(text: str) -> str:
    return "    " + "\n    ".join(ast.unparse(ast.parse(text)).splitlines())


@edit("a decorator of one's own", changes=True)
def decorated(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    function = pick(functions(code))
    text = "def own(function: object) -> object:\n    return function\n\n\n@own"
    return tree | {"train.py": code.changed(code.before(function, text))}


@edit("a method more")
def method(tree: Tree, pick: Pick) -> Tree:
    options = found(
        tree, ("model.py", "data.py", "config.py"), lambda p: isinstance(p.node, ast.ClassDef)
    )
    path, code, place = pick(options)
    text = '\ndef own(self) -> int:\n    """Words of mine."""\n    return 1'
    return tree | {path: code.changed(code.behind(place.node.body[-1], text))}


@edit("an attribute more")
def attribute(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        return isinstance(place.node, ast.FunctionDef) and place.node.name == "__init__"

    path, code, place = pick(found(tree, ("model.py", "data.py"), fits))
    return tree | {path: code.changed(code.behind(place.node.body[-1], "self.own = 1"))}


@edit("another way to start main", changes=True)
def other_start(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    last = code.tree.body[-1]
    call = last.body[-1]
    inner = code.source(call.value.args[0])
    text = pick.of(
        f"raise SystemExit({inner})",
        f"code = {inner}\n    sys.exit(code)",
        f"try:\n        sys.exit({inner})\n    except KeyboardInterrupt:\n        sys.exit(130)",
        f'print("here we go")\n    sys.exit({inner})',
    )
    return tree | {"train.py": code.changed(code.instead(call, text))}


@edit("started by a function of its own", changes=True)
def cli(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    last = code.tree.body[-1]
    inner = code.source(last.body[-1])
    text = f'def cli() -> None:\n    {inner}\n\n\nif __name__ == "__main__":\n    cli()\n'
    return tree | {"train.py": code.changed((code.lines(last), text))}


@edit("main always runs", changes=True)
def always(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    last = code.tree.body[-1]
    return tree | {"train.py": code.changed((code.lines(last), f"{code.source(last.body[-1])}\n"))}


@edit("main in two functions", changes=True)
def setup_apart(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    main = functions(code)["main"]
    loop = next(n for n in main.body if isinstance(n, ast.While))
    finish = main.body[main.body.index(loop) + 1 :]
    used = set[str]().union(*(names_in(n)[1] for n in finish))
    names = sorted(used & names_in(main)[0])
    start, end = code.lines(finish[0])[0], code.lines(finish[-1])[1]
    body = code.raw[start:end].decode()
    head = f"def end({', '.join(f'{name}: Any' for name in names)}) -> int:\n"
    call = f"    return end({', '.join(names)})\n"
    return tree | {
        "train.py": code.changed(code.before(main, f"{head}{body}\n"), ((start, end), call))
    }


@edit("a statement under a flag of one's own")
def flagged(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, TRAIN))
    if any(isinstance(n, ast.NamedExpr) for n in own_nodes(place.node)):
        raise DoesNotApplyError
    last = [n for n in code.tree.body if isinstance(n, (ast.Import, ast.ImportFrom))][-1]
    return tree | {
        path: code.changed(
            code.behind(last, "\nOWN_FLAG = True"),
            wrapped(code, [place.node], "if OWN_FLAG:", ""),
        )
    }
