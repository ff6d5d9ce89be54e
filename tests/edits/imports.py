"""What owners do to imports."""

import ast
import re

from edits.code import Code, functions, with_import
from edits.kind import DoesNotApplyError, Pick, Tree, edit
from edits.structure import parts

Import = ast.Import | ast.ImportFrom
FILES = ("train.py", "data.py", "model.py")


def imports(code: Code) -> list[Import]:
    return [n for n in code.tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]


@edit("an import that is not used")
def unused(tree: Tree, pick: Pick) -> Tree:
    path = pick.of(*FILES, "config.py")
    line = pick.of("import math", "import os", "from collections import Counter", "import json")
    return tree | {path: with_import(tree[path], line)}


@edit("an import used at once")
def used(tree: Tree, pick: Pick) -> Tree:
    text = with_import(tree["train.py"], "import warnings")
    code = Code(text)
    put = code.behind(imports(code)[-1], '\nwarnings.filterwarnings("ignore")')
    return tree | {"train.py": code.changed(put)}


@edit("a name more from a module that is imported")
def one_more(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    options = {n.module: n for n in imports(code) if isinstance(n, ast.ImportFrom) and n.module}
    node = pick({name: options[name] for name in options if name in ("torch", "torch.utils.data")})
    more = {"torch": "float32", "torch.utils.data": "DataLoader"}[node.module]
    end = code.span(node)[1]
    return tree | {"train.py": code.changed(((end, end), f", {more}"))}


@edit("import torch as th")
def torch_alias(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("train.py", "train.py", "data.py", "model.py")
    if "import torch\n" not in tree[path]:
        raise DoesNotApplyError
    code = Code(tree[path].replace("import torch\n", "import torch as th\n", 1))
    names = [n for n in ast.walk(code.tree) if isinstance(n, ast.Name) and n.id == "torch"]
    pick.renamed["th"] = "torch"
    return tree | {path: code.changed(*(code.instead(n, "th") for n in names))}


@edit("functional imported from torch.nn")
def functional(tree: Tree, pick: Pick) -> Tree:
    path = pick.of(*FILES)
    old = "import torch.nn.functional as F"
    if old not in tree[path]:
        raise DoesNotApplyError
    return tree | {path: tree[path].replace(old, "from torch.nn import functional as F")}


@edit("a name imported as another")
def aliased(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    options = {
        alias.name: (node, alias)
        for node in imports(code)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is None and not re.search(rf"\bown_{alias.name}\b", tree["train.py"])
    }
    _, alias = pick(options)
    new = f"own_{alias.name}"
    pick.renamed[new] = alias.name
    names = [n for n in ast.walk(code.tree) if isinstance(n, ast.Name) and n.id == alias.name]
    changes = [code.instead(name, new) for name in names]
    changes.append(code.instead(alias, f"{alias.name} as {new}"))
    return tree | {"train.py": code.changed(*changes)}


@edit("a module imported instead of its names", changes=True)
def module_import(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    options = {
        n.module: n for n in imports(code) if isinstance(n, ast.ImportFrom) and "." in str(n.module)
    }
    node = pick(options)
    names = {alias.name for alias in node.names}
    used = [n for n in ast.walk(code.tree) if isinstance(n, ast.Name) and n.id in names]
    changes = [code.instead(n, f"{node.module}.{n.id}") for n in used]
    return tree | {"train.py": code.changed(*changes, code.instead(node, f"import {node.module}"))}


@edit("imports taken apart")
def apart(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("train.py", "train.py", "model.py")
    code = Code(tree[path])
    options = {ast.unparse(parts(n)[0]): n for n in imports(code) if len(n.names) > 1}
    node = pick(options)
    text = "\n".join(map(ast.unparse, parts(node)))
    return tree | {path: code.changed(code.instead(node, text))}


@edit("all imports taken apart")
def all_apart(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    return tree | {
        "train.py": code.changed(
            *(
                code.instead(n, "\n".join(map(ast.unparse, parts(n))))
                for n in imports(code)
                if len(n.names) > 1
            )
        )
    }


@edit("imports in one line", moves=True)
def merged(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    plain = [n for n in imports(code) if isinstance(n, ast.Import) and n.names[0].asname is None]
    if len(plain) < 2:
        raise DoesNotApplyError
    names = ", ".join(alias.name for n in plain for alias in n.names)
    changes = [(code.lines(n), "") for n in plain[1:]]
    return tree | {"train.py": code.changed(code.instead(plain[0], f"import {names}"), *changes)}


@edit("imports in another order", moves=True)
def reordered(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("train.py", "train.py", "config.py", "data.py")
    code = Code(tree[path])
    there = imports(code)
    way = pick.of("reversed", "by length")
    texts = [code.source(n) for n in there]
    texts = texts[::-1] if way == "reversed" else sorted(texts, key=lambda text: (len(text), text))
    changes = [code.instead(n, text) for n, text in zip(there, texts, strict=True)]
    return tree | {path: code.changed(*changes)}


@edit("an import inside a function", changes=True)
def inside(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    main = functions(code)["main"]
    elsewhere = {n.id for f in code.tree.body if f is not main for n in ast.walk(f) if named(n)}
    options = {
        ast.unparse(n): n
        for n in imports(code)
        if not elsewhere & {(a.asname or a.name).split(".")[0] for a in n.names}
    }
    node = pick(options)
    put = code.before(main.body[0], code.source(node))
    return tree | {"train.py": code.changed((code.lines(node), ""), put)}


def named(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


@edit("from __future__ import annotations")
def future(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("train.py", "config.py", "model.py")
    code = Code(tree[path])
    put = code.before(imports(code)[0], "from __future__ import annotations\n")
    return tree | {path: code.changed(put)}


@edit("imports for types alone")
def type_checking(tree: Tree, pick: Pick) -> Tree:
    text = with_import(tree["train.py"], "from typing import TYPE_CHECKING")
    code = Code(text)
    put = "\nif TYPE_CHECKING:\n    from pathlib import Path"
    return tree | {"train.py": code.changed(code.behind(imports(code)[-1], put))}


@edit("an import that may fail")
def optional(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    put = "\ntry:\n    import tqdm\nexcept ImportError:\n    tqdm = None"
    return tree | {"train.py": code.changed(code.behind(imports(code)[-1], put))}


@edit("a path before the imports", moves=True)
def path_first(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    own = [n for n in imports(code) if getattr(n, "module", "") == "config"]
    if not own:
        raise DoesNotApplyError
    return tree | {"train.py": code.changed(code.before(own[0], 'sys.path.insert(0, ".")\n'))}


@edit("comments on imports")
def commented(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    node = pick({ast.unparse(parts(n)[0]): n for n in imports(code)})
    end = code.span(node)[1]
    change = pick.of(True, False)
    put = ((end, end), "  # needed") if change else code.before(node, "# needed")
    return tree | {"train.py": code.changed(put)}
