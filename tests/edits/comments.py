"""What owners write for people: comments and docstrings."""

import ast
import re

from edits.code import Code, found, is_docstring
from edits.kind import DoesNotApplyError, Pick, Tree, edit
from edits.statements import OFTEN, TRAIN, insert, many

WORDS = "# mine, because of an idea"


@edit("comment above")
def comment_above(tree: Tree, pick: Pick) -> Tree:
    return insert(tree, pick, WORDS, above=True)


@edit("comment below")
def comment_below(tree: Tree, pick: Pick) -> Tree:
    return insert(tree, pick, WORDS)


@edit("comment at the end of a line")
def comment_at_end(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, OFTEN))
    end = code.span(place.node)[1]
    if b"#" in code.raw[end : code.lines(place.node)[1]]:
        raise DoesNotApplyError
    return tree | {path: code.changed(((end, end), f"  {WORDS}"))}


@edit("comments at many places")
def comments_everywhere(tree: Tree, pick: Pick) -> Tree:
    return many(tree, pick, "# mine, number {number}", 12)


@edit("comments at the ends of many lines")
def many_ends(tree: Tree, pick: Pick) -> Tree:
    def free(name: str) -> bool:
        _, code, place = options[name]
        return b"#" not in code.raw[code.span(place.node)[1] : code.lines(place.node)[1]]

    options = found(tree, TRAIN)
    changes, code = [], Code("")
    chosen = pick.some({name: options[name] for name in options if free(name)}, 8)
    for i, (_, code, place) in enumerate(chosen):
        end = code.span(place.node)[1]
        changes.append(((end, end), f"  # mine {i}"))
    return tree | {"train.py": code.changed(*changes)}


@edit("comment at the end of a block")
def comment_in_block(tree: Tree, pick: Pick) -> Tree:
    kinds = (ast.If, ast.For, ast.While, ast.With)
    path, code, place = pick(found(tree, OFTEN, lambda p: isinstance(p.node, kinds)))
    return tree | {path: code.changed(code.behind(place.node.body[-1], WORDS))}


@edit("comment at the start of a block")
def comment_first(tree: Tree, pick: Pick) -> Tree:
    kinds = (ast.If, ast.For, ast.While, ast.With)
    path, code, place = pick(found(tree, OFTEN, lambda p: isinstance(p.node, kinds)))
    return tree | {path: code.changed(code.before(place.node.body[0], WORDS))}


@edit("comment at the top of a file")
def comment_at_top(tree: Tree, pick: Pick) -> Tree:
    path = pick.of(*OFTEN)
    return tree | {path: f"# Copyright of mine\n{tree[path]}"}


@edit("comment at the end of a file")
def comment_at_bottom(tree: Tree, pick: Pick) -> Tree:
    path = pick.of(*OFTEN)
    return tree | {path: f"{tree[path]}# the end\n"}


@edit("a banner above a function")
def banner(tree: Tree, pick: Pick) -> Tree:
    kinds = (ast.FunctionDef, ast.ClassDef)
    options = found(tree, OFTEN, lambda p: isinstance(p.node, kinds) and p.scope is None)
    path, code, place = pick(options)
    text = "# ----------------\n# what follows\n# ----------------"
    return tree | {path: code.changed(code.before(place.node, text))}


@edit("code commented out as a note")
def old_code(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, TRAIN))
    text = "# if step % 50 == 0:\n#     loss = smooth(loss, 0.9)\n#     print(step, loss)\n"
    return tree | {path: code.changed(code.before(place.node, text))}


@edit("a comment of the template's deleted", changes=True)
def comment_deleted(tree: Tree, pick: Pick) -> Tree:
    options = {
        f"{path} {match[0].strip()}": (path, match.span())
        for path in OFTEN
        for match in re.finditer(r"(?m)^ +# .*\n|  # (?!type).*$", tree[path])
    }
    path, (start, end) = pick(options)
    return tree | {path: tree[path][:start] + tree[path][end:]}


@edit("a comment of the template's changed", changes=True)
def comment_changed(tree: Tree, pick: Pick) -> Tree:
    options = {
        f"{path} {match[0]}": (path, match.start())
        for path in OFTEN
        for match in re.finditer(r"(?m)(?<=# )[A-Za-z][^\"\n]*$", tree[path])
    }
    path, start = pick(options)
    return tree | {path: f"{tree[path][:start]}mine: {tree[path][start:]}"}


@edit("a docstring for a function")
def docstring_added(tree: Tree, pick: Pick) -> Tree:
    def bare(place: object) -> bool:
        node = getattr(place, "node", None)
        kinds = (ast.FunctionDef, ast.ClassDef)
        return isinstance(node, kinds) and ast.get_docstring(node) is None

    path, code, place = pick(found(tree, OFTEN, bare))
    return tree | {path: code.changed(code.before(place.node.body[0], '"""Words of mine."""'))}


@edit("a docstring changed", changes=True)
def docstring_changed(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, OFTEN, is_docstring))
    return tree | {path: code.changed(code.instead(place.node, '"""Other words, of mine."""'))}


@edit("a docstring with more lines")
def docstring_longer(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, OFTEN, is_docstring))
    source = code.source(place.node)
    indent = code.indent(place.node)
    end = "" if "\n" in source else f"\n{indent}"
    text = f'{source.removesuffix(chr(34) * 3)}{end}\n{indent}And more, of mine.\n{indent}"""'
    return tree | {path: code.changed(code.instead(place.node, text))}


@edit("a docstring deleted", changes=True)
def docstring_deleted(tree: Tree, pick: Pick) -> Tree:
    options = found(tree, OFTEN, lambda p: is_docstring(p) and p.scope is not None)
    path, code, place = pick({name: o for name, o in options.items() if len(o[2].block) > 1})
    return tree | {path: code.changed((code.lines(place.node), ""))}


@edit("words at the start of the module's docstring")
def module_words(tree: Tree, pick: Pick) -> Tree:
    path = pick.of("train.py", "config.py", "data.py")
    start = tree[path].index('"""') + 3
    return tree | {path: f"{tree[path][:start]}Of mine. {tree[path][start:]}"}
