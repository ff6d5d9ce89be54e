"""What owners do to their settings."""

import ast
import re

from edits.code import Code, Place, found
from edits.kind import DoesNotApplyError, Pick, Tree, edit

CONFIG = ("config.py",)


def is_field(place: Place) -> bool:
    return isinstance(place.node, ast.AnnAssign) and isinstance(place.scope, ast.ClassDef)


def add_field(tree: Tree, pick: Pick, text: str) -> Tree:
    path, code, place = pick(found(tree, CONFIG, is_field))
    return tree | {path: code.changed(code.behind(place.node, text))}


@edit("a field of one's own")
def field(tree: Tree, pick: Pick) -> Tree:
    return add_field(tree, pick, "own_rate: float = 0.5  # something of mine")


@edit("fields of one's own with a comment")
def fields(tree: Tree, pick: Pick) -> Tree:
    return add_field(tree, pick, '\n# mine\nown_mode: str = "a"\nown_size: int = 3\n')


@edit("a field of one's own with its check")
def field_checked(tree: Tree, pick: Pick) -> Tree:
    made = add_field(tree, pick, "own_rate: float = 0.5  # something of mine")
    text = 'if self.own_rate < 0:\n    raise ValueError(f"own_rate is {self.own_rate}")'
    return made | {"config.py": with_check(made["config.py"], text, pick.of("first", "last"))}


def with_check(text: str, check: str, where: str) -> str:
    code = Code(text)
    body = next(n for n in ast.walk(code.tree) if getattr(n, "name", "") == "__post_init__").body
    put = code.before(body[0], check) if where == "first" else code.behind(body[-1], check)
    return code.changed(put)


@edit("a check of one's own")
def check(tree: Tree, pick: Pick) -> Tree:
    text = 'if self.steps < self.warmup:\n    raise ValueError("too few steps")'
    where = pick.of("first", "last")
    return tree | {"config.py": with_check(tree["config.py"], text, where)}


@edit("another default", changes=True)
def default(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, CONFIG, is_field))
    value = place.node.value
    return tree | {
        path: code.changed(code.instead(value, f"({code.source(value)})  or 1".replace("  ", " ")))
    }


@edit("many other defaults", changes=True)
def defaults(tree: Tree, pick: Pick) -> Tree:
    text = tree["config.py"]
    new = {"steps": "9000", "batch_size": "48", "learning_rate": "1e-3", "warmup": "99"}
    for name, value in new.items():
        text = re.sub(rf"(?m)^(    {name}: \w+ = )[\w.-]+", rf"\g<1>{value}", text)
    return tree | {"config.py": text}


@edit("another type for a field", changes=True)
def field_type(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, CONFIG, is_field))
    node = place.node.annotation
    return tree | {path: code.changed(code.instead(node, f"{code.source(node)} | None"))}


@edit("a field deleted", changes=True)
def field_deleted(tree: Tree, pick: Pick) -> Tree:
    path, code, place = pick(found(tree, CONFIG, is_field))
    return tree | {path: code.changed((code.lines(place.node), ""))}


def plain_fields(code: Code) -> list[ast.AnnAssign]:
    config = next(n for n in code.tree.body if isinstance(n, ast.ClassDef))
    return [
        n
        for n in config.body
        if isinstance(n, ast.AnnAssign) and "ClassVar" not in ast.unparse(n.annotation)
    ]


def reordered(tree: Tree, order: list[str]) -> Tree:
    """The fields that are there in this order, in the places that they had."""
    code = Code(tree["config.py"])
    there = {n.target.id: n for n in plain_fields(code)}
    spans = [code.lines(n, with_comments=False) for n in there.values()]
    names = [name for name in order if name in there]
    texts = [code.raw[slice(*code.lines(there[n], with_comments=False))].decode() for n in names]
    return tree | {"config.py": code.changed(*zip(spans, texts, strict=True))}


def field_names(tree: Tree) -> list[str]:
    return [n.target.id for n in plain_fields(Code(tree["config.py"]))]


@edit("fields in the order of the alphabet", moves=True)
def fields_sorted(tree: Tree, pick: Pick) -> Tree:
    return reordered(tree, sorted(field_names(tree)))


@edit("fields in the other order", moves=True)
def fields_reversed(tree: Tree, pick: Pick) -> Tree:
    return reordered(tree, field_names(tree)[::-1])


@edit("a field in another place", moves=True)
def field_moved(tree: Tree, pick: Pick) -> Tree:
    names = field_names(tree)
    name = pick({name: name for name in names[1:]})
    return reordered(tree, [name, *(other for other in names if other != name)])


@edit("some fields in a dataclass of their own", moves=True)
def split(tree: Tree, pick: Pick) -> Tree:
    own = pick.of(("learning_rate", "warmup", "weight_decay", "clip"), ("seed", "workers", "keep"))
    code = Code(tree["config.py"])
    there = [n for n in plain_fields(code) if n.target.id in own]
    config = next(n for n in code.tree.body if isinstance(n, ast.ClassDef))
    lines = "".join(code.raw[slice(*code.lines(n))].decode() for n in there)
    head = code.source(config).split(":", 1)[0]
    start = code.span(config)[0]
    other = f"@dataclass\nclass Own:\n{lines}\n\n{head}(Own)"
    changes = [(code.lines(n), "") for n in there]
    return tree | {"config.py": code.changed(((start, start + len(head)), other), *changes)}


@edit("arguments for the dataclass", changes=True)
def decorator(tree: Tree, pick: Pick) -> Tree:
    way = pick.of("@dataclass(kw_only=True)", "@dataclass(slots=True)")
    return tree | {"config.py": tree["config.py"].replace("@dataclass\n", f"{way}\n", 1)}


@edit("a property of the settings")
def prop(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["config.py"])
    config = next(n for n in code.tree.body if isinstance(n, ast.ClassDef))
    text = "\n@property\ndef own_total(self) -> int:\n    return self.steps * self.batch_size"
    return tree | {"config.py": code.changed(code.behind(config.body[-1], text))}


@edit("one more value for --fast")
def fast_added(tree: Tree, pick: Pick) -> Tree:
    keys = {k.value: v for k, v in zip(*fast(tree), strict=True)}
    code = Code(tree["config.py"])
    name = pick({name: name for name in keys})
    node = next(v for k, v in zip(*fast(tree), strict=True) if k.value == name)
    end = code.span(node)[1]
    return tree | {"config.py": code.changed(((end, end), ',\n    "weight_decay": 0'))}


def fast(tree: Tree) -> tuple[list[ast.Constant], list[ast.expr]]:
    for node in Code(tree["config.py"]).tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return node.value.keys, node.value.values
    raise DoesNotApplyError


@edit("another value for --fast", changes=True)
def fast_changed(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["config.py"])
    name = pick({key.value: key.value for key in fast(tree)[0]})
    node = next(v for k, v in zip(*fast(tree), strict=True) if k.value == name)
    return tree | {"config.py": code.changed(code.instead(node, "3"))}


@edit("presets of one's own")
def presets(tree: Tree, pick: Pick) -> Tree:
    text = '\n\n# Mine.\nLARGE = {"batch_size": 512, "steps": 100_000}\n'
    return tree | {"config.py": f"{tree['config.py'].rstrip()}\n{text}"}


@edit("checks in another order", moves=True)
def checks_swapped(tree: Tree, pick: Pick) -> Tree:
    def fits(place: Place) -> bool:
        following = place.after[:1]
        is_pair = isinstance(place.node, ast.If) and isinstance(
            following[:1] and following[0], ast.If
        )
        return is_pair and getattr(place.scope, "name", "") == "__post_init__"

    path, code, place = pick(found(tree, CONFIG, fits))
    spans = code.lines(place.node), code.lines(place.after[0])
    texts = [code.raw[slice(*span)].decode() for span in spans]
    return tree | {path: code.changed((spans[0], texts[1]), (spans[1], texts[0]))}
