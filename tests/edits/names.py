"""What owners rename: a variable, an argument, a function, a class, a settings field."""

import ast
import re
from collections.abc import Iterable

from edits.code import Code, functions
from edits.kind import DoesNotApplyError, Pick, Tree, edit
from edits.statements import OFTEN

OTHER = {"model": "net", "optimizer": "opt", "step": "iteration", "config": "cfg", "x": "inputs"}
OTHER |= {
    "y": "targets",
    "lr": "rate",
    "folder": "run_folder",
    "sampler": "sequence",
    "norm": "size",
}
OTHER |= {"batches": "stream", "checkpoints": "saver", "log": "journal", "loss": "error_sum"}
OTHER |= {"scores": "figures", "stop": "halt", "train_set": "train_data", "val_set": "held_out"}


def other_name(name: str, pick: Pick) -> str:
    new = OTHER.get(name, f"own_{name}")
    pick.renamed[new] = name
    return new


def renamed(code: Code, within: Iterable[ast.AST], old: str, new: str) -> str:
    """The text with another name in some nodes, in f-strings too."""
    changes, texts = [], []
    for node in within:
        if isinstance(node, ast.JoinedStr):
            texts.append(code.span(node))
        elif isinstance(node, ast.Name) and node.id == old:
            changes.append(code.instead(node, new))
        elif isinstance(node, (ast.arg, ast.keyword)) and node.arg == old:
            start = code.span(node)[0]
            changes.append(((start, start + len(old)), new))
        elif isinstance(node, ast.alias) and node.name == old:
            changes.append(code.instead(node, new))
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == old:
            line = code.starts[node.lineno - 1]
            start = code.raw.index(f" {old}".encode(), line) + 1
            changes.append(((start, start + len(old)), new))
    changes = [c for c in changes if not any(s <= c[0][0] < e for s, e in texts)]
    for start, end in texts:
        text = code.raw[start:end].decode()
        other = re.sub(rf"(?<![\w.]){old}\b(?=[^{{]*\}})", new, text)
        changes += [((start, end), other)] if other != text else []
    return code.changed(*changes)


def is_free(tree: Tree, path: str, name: str) -> bool:
    return not re.search(rf"\b{name}\b", tree[path])


def local_names(function: ast.FunctionDef) -> list[str]:
    """The variables of a function, without its arguments."""
    every = [n for n in ast.walk(function) if isinstance(n, ast.Name)]
    stored = {n.id for n in every if isinstance(n.ctx, ast.Store)}
    return sorted(stored - {a.arg for a in function.args.args} - {"_"})


def rename_local(tree: Tree, pick: Pick, path: str, count: int) -> Tree:
    options = {
        f"{path} {name} {variable}": (name, variable)
        for name, function in functions(Code(tree[path])).items()
        for variable in local_names(function)
        if is_free(tree, path, OTHER.get(variable, f"own_{variable}"))
    }
    text = tree[path]
    for name, variable in pick.some(options, count):
        code = Code(text)
        function = functions(code)[name]
        inner = [n for n in ast.walk(function) if not isinstance(n, ast.keyword)]
        text = renamed(code, inner, variable, other_name(variable, pick))
    return tree | {path: text}


@edit("a variable renamed")
def variable(tree: Tree, pick: Pick) -> Tree:
    return rename_local(tree, pick, "train.py", 1)


@edit("five variables renamed")
def five_variables(tree: Tree, pick: Pick) -> Tree:
    return rename_local(tree, pick, "train.py", 5)


@edit("a variable renamed in another file")
def variable_elsewhere(tree: Tree, pick: Pick) -> Tree:
    return rename_local(tree, pick, pick.of("data.py", "tests/test_training.py"), 1)


@edit("a name renamed in the whole file")
def everywhere(tree: Tree, pick: Pick) -> Tree:
    old = pick.of("model", "optimizer", "config", "x", "y", "loss", "device", "batch")
    new = OTHER.get(old, f"own_{old}")
    code = Code(tree["train.py"])
    if not is_free(tree, "train.py", new):
        raise DoesNotApplyError
    own = {"loss_and_logits", "loss_sum", "evaluate", "main", "count"}
    keywords = [
        k
        for n in ast.walk(code.tree)
        if isinstance(n, ast.Call) and ast.unparse(n.func) not in own
        for k in n.keywords
    ]
    inner = [n for n in ast.walk(code.tree) if n not in keywords and not isinstance(n, ast.alias)]
    return tree | {"train.py": renamed(code, inner, old, other_name(old, pick))}


@edit("an argument renamed")
def argument(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    options = {
        f"{name} {arg.arg}": (function, arg.arg)
        for name, function in functions(code).items()
        for arg in function.args.args
        if is_free(tree, "train.py", OTHER.get(arg.arg, f"own_{arg.arg}"))
    }
    function, old = pick(options)
    inner = [n for n in ast.walk(function) if not isinstance(n, ast.keyword)]
    called = [
        k
        for n in ast.walk(code.tree)
        if isinstance(n, ast.Call) and ast.unparse(n.func) == function.name
        for k in n.keywords
    ]
    return tree | {"train.py": renamed(code, [*inner, *called], old, other_name(old, pick))}


def rename_definition(tree: Tree, pick: Pick, old: str, new: str, home: str) -> Tree:
    """Another name for a definition, in all files that know it."""
    made = dict(tree)
    pick.renamed[new] = old
    for path, text in tree.items():
        if path.endswith(".py") and re.search(rf"\b{old}\b", text):
            code = Code(text)
            if path == home or any(alias.name == old for alias in aliases(code)):
                made[path] = renamed(code, [*ast.walk(code.tree)], old, new)
    return made


def aliases(code: Code) -> list[ast.alias]:
    return [node for node in ast.walk(code.tree) if isinstance(node, ast.alias)]


@edit("a function renamed")
def function(tree: Tree, pick: Pick) -> Tree:
    names = [name for name in functions(Code(tree["train.py"])) if name != "parallelize"]
    old = pick({name: name for name in names})
    return rename_definition(tree, pick, old, f"own_{old}", "train.py")


@edit("load_data renamed in all files")
def loader(tree: Tree, pick: Pick) -> Tree:
    return rename_definition(tree, pick, "load_data", "read_samples", "data.py")


@edit("the model's class renamed in all files")
def model_class(tree: Tree, pick: Pick) -> Tree:
    first = next(n for n in Code(tree["model.py"]).tree.body if isinstance(n, ast.ClassDef))
    return rename_definition(tree, pick, first.name, "Network", "model.py")


@edit("the model's class renamed, and called as it was where it is imported")
def model_class_by_alias(tree: Tree, pick: Pick) -> Tree:
    made, code = model_class(tree, pick), Code(tree["train.py"])
    first = next(n for n in Code(tree["model.py"]).tree.body if isinstance(n, ast.ClassDef))
    (alias,) = [alias for alias in aliases(code) if alias.name == first.name]
    return made | {"train.py": code.changed(code.instead(alias, f"Network as {first.name}"))}


@edit("a definition of any file renamed in all files")
def any_definition(tree: Tree, pick: Pick) -> Tree:
    text = "\n".join(tree.values())
    options = {
        f"{path} {node.name}": (path, node.name)
        for path in tree
        if path.endswith(".py")
        for node in Code(tree[path]).tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not re.match(r"_|test_|main$|parallelize$", node.name)
        and len(re.findall(rf"(?m)^(?:def|class) {node.name}\b", text)) == 1
        and not re.search(rf"\.{node.name}\b(?! import)", text)
    }
    home, old = pick(options)
    return rename_definition(
        tree, pick, old, f"Own{old}" if old[0].isupper() else f"own_{old}", home
    )


@edit("the class of settings renamed")
def settings_class(tree: Tree, pick: Pick) -> Tree:
    if any(
        "Config" in tree[p] for p in tree if p.startswith("runtime/") and "import Config" in tree[p]
    ):
        raise DoesNotApplyError
    return rename_definition(tree, pick, "Config", "Settings", "config.py")


@edit("a function of the library's renamed")
def library_function(tree: Tree, pick: Pick) -> Tree:
    home, old = pick.of(
        ("runtime/optim.py", "set_lr"),
        ("runtime/rng.py", "seed_all"),
        ("runtime/stop.py", "Stop"),
        ("runtime/optim.py", "decay_groups"),
    )
    return rename_definition(tree, pick, old, f"{old}_of_mine" if old != "Stop" else "Ending", home)


@edit("a settings field renamed in all files")
def settings_field(tree: Tree, pick: Pick) -> Tree:
    old = pick.of("clip", "weight_decay", "keep", "workers", "accumulate", "warmup", "dropout")
    new = f"own_{old}"
    made = dict(tree)
    for path in OFTEN:
        text = re.sub(rf"\b(config|self)\.{old}\b", rf"\1.{new}", tree[path])
        if path == "config.py":
            text = re.sub(rf'(?m)^(    ){old}:|"{old}"', lambda m: m[0].replace(old, new), text)
        made[path] = text
    pick.renamed[new] = old
    return made
