"""What owners do to the training itself."""

import ast

from edits.code import Code, found, functions, indented, is_simple, nodes, with_import
from edits.kind import DoesNotApplyError, Pick, Tree, edit
from edits.statements import TRAIN, insert


def swap(tree: Tree, path: str, old: str, new: str) -> Tree:
    if tree[path].count(old) != 1:
        raise DoesNotApplyError
    return tree | {path: tree[path].replace(old, new)}


def statement(tree: Tree, name: str) -> tuple[Code, ast.stmt]:
    """The only statement of train.py with this label."""
    options = found(tree, TRAIN, lambda place: name in place.name.split(" ", 1)[1])
    if len(options) != 1:
        raise DoesNotApplyError
    ((_, code, place),) = options.values()
    return code, place.node


@edit("an augmentation of one's own")
def augmentation(tree: Tree, pick: Pick) -> Tree:
    line = "image = self.images[index]\n"
    flip = "if self.augment and torch.rand(()) < 0.5:\n            image = image.flip(-1)\n"
    return swap(tree, "data.py", line, f"{line}        {flip}")


@edit("noise in the input")
def noise(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    function = next(f for n, f in functions(code).items() if n.startswith("loss_"))
    first = function.body[1]
    text = "if model.training and x.is_floating_point():\n    x = x + 0.01 * torch.randn_like(x)"
    return tree | {"train.py": code.changed(code.before(first, text))}


@edit("label smoothing", changes=True)
def smoothing(tree: Tree, pick: Pick) -> Tree:
    return swap(tree, "train.py", 'reduction="sum")', 'reduction="sum", label_smoothing=0.1)')


@edit("a schedule of one's own", changes=True)
def schedule(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "lr =")
    text = pick.of(
        "lr = config.learning_rate * 0.5 ** (step / 1000)",
        "lr = config.learning_rate * min(1.0, (step + 1) / 10) * own_fall(step, config.steps)",
    )
    made = code.changed(code.instead(node, text))
    own = "def own_fall(step: int, steps: int) -> float:\n    return 1 - step / steps\n\n"
    code = Code(made)
    return tree | {"train.py": code.changed(code.before(functions(code)["main"], own))}


@edit("the schedule in another file")
def schedule_file(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "lr =")
    made = code.changed(code.behind(node, "lr = fallen(lr, step)"))
    return tree | {
        "train.py": with_import(made, "from falling import fallen"),
        "falling.py": "def fallen(lr: float, step: int) -> float:\n    return lr * 0.999**step\n",
    }


@edit("another optimizer", changes=True)
def optimizer(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "main.optimizer =")
    text = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)"
    return tree | {"train.py": code.changed(code.instead(node, text))}


@edit("another class of optimizer, same arguments", changes=True)
def optimizer_class(tree: Tree, pick: Pick) -> Tree:
    return swap(tree, "train.py", "torch.optim.AdamW(", "torch.optim.Adam(")


@edit("an argument of the optimizer", changes=True)
def betas(tree: Tree, pick: Pick) -> Tree:
    new = "betas=(0.9, 0.99)"
    if "betas=(0.9, 0.95)" in tree["train.py"]:
        return swap(tree, "train.py", "betas=(0.9, 0.95)", new)
    return swap(tree, "train.py", "fused=True)", f"fused=True, {new})")


@edit("the first layer frozen")
def frozen(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "main.optimizer =")
    text = "# the first layer stays as it is\nnext(iter(model.parameters())).requires_grad_(False)"
    return tree | {"train.py": code.changed(code.before(node, text))}


@edit("a penalty in the loss")
def penalty(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "backward()")
    text = "loss = loss + 1e-6 * sum(p.square().sum() for p in model.parameters())"
    return tree | {"train.py": code.changed(code.before(node, text))}


@edit("noise in the gradient")
def gradient_noise(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "main.norm =")
    text = "for p in model.parameters():\n    if p.grad is not None:\n        p.grad.mul_(0.5)"
    return tree | {"train.py": code.changed(code.before(node, text))}


@edit("one more figure in validation", changes=True)
def more_scores(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    last = functions(code)["evaluate"].body[-1]
    if not isinstance(last, ast.Return) or not isinstance(last.value, ast.Dict):
        raise DoesNotApplyError
    end = code.span(last.value.values[0])[1]
    return tree | {"train.py": code.changed(((end, end), ', "val_own": 1.0'))}


@edit("one more figure in the log", changes=True)
def more_log(tree: Tree, pick: Pick) -> Tree:
    return swap(tree, "train.py", "norm=norm, lr=lr,", "norm=norm, lr=lr, own=1.0,")


@edit("more in the checkpoint", changes=True)
def more_saved(tree: Tree, pick: Pick) -> Tree:
    options = nodes(
        tree, TRAIN, lambda n: isinstance(n, ast.Call) and "checkpoints.save" in ast.unparse(n.func)
    )
    if len(options) != 1:
        raise DoesNotApplyError
    ((path, code, call),) = options.values()
    end = code.span(call)[1] - 1
    return tree | {path: code.changed(((end, end), ", best=0.0"))}


@edit("the best weights kept")
def best(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "progress()")
    loop = next(n for n in ast.walk(code.tree) if isinstance(n, ast.While))
    text = 'if scores and scores["val_loss"] < best:\n    best = scores["val_loss"]\n'
    kept = code.behind(node, f"{text}    log.say('best')")
    changes = [code.before(loop, 'best = float("inf")'), kept]
    return tree | {"train.py": code.changed(*changes)}


@edit("validation before training")
def first_scores(tree: Tree, pick: Pick) -> Tree:
    code, _ = statement(tree, "lr =")
    loop = next(n for n in ast.walk(code.tree) if isinstance(n, ast.While))
    return tree | {"train.py": code.changed(code.before(loop, 'print("validated:", step)'))}


@edit("a model of one's own")
def own_model(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["model.py"])
    first = next(n for n in code.tree.body if isinstance(n, ast.ClassDef))
    forward = next(n for n in first.body if getattr(n, "name", "") == "forward")
    put = code.before(forward.body[0], "self.own_calls = getattr(self, 'own_calls', 0) + 1")
    return tree | {"model.py": code.changed(put)}


@edit("the model printed")
def model_printed(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "main.model =")
    return tree | {"train.py": code.changed(code.behind(node, "print(model)"))}


@edit("weights loaded from a file")
def pretrained(tree: Tree, pick: Pick) -> Tree:
    code, node = statement(tree, "main.optimizer =")
    text = 'if config.name == "tuned":\n    model.load_state_dict(torch.load("start.pt"))'
    return tree | {"train.py": code.changed(code.before(node, text))}


@edit("numbers faster but less exact")
def matmul(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    first = functions(code)["main"].body[0]
    return tree | {
        "train.py": code.changed(code.before(first, 'torch.set_float32_matmul_precision("medium")'))
    }


@edit("the batch looked at once")
def batch_seen(tree: Tree, pick: Pick) -> Tree:
    options = found(
        tree, TRAIN, lambda p: is_simple(p) and "main.x, y =" in p.name.replace("(x, y)", "x, y")
    )
    path, code, place = pick(options)
    text = indented("if step == 0:\n    print(x.shape, y.shape)", "")
    return tree | {path: code.changed(code.behind(place.node, text))}


@edit("sleep to stay cool")
def sleep(tree: Tree, pick: Pick) -> Tree:
    return insert(tree, pick, "time.sleep(0.0)", needs="import time")


@edit("accuracy of each class")
def per_class(tree: Tree, pick: Pick) -> Tree:
    code = Code(tree["train.py"])
    function = functions(code)["evaluate"]
    loop = next(n for n in ast.walk(function) if isinstance(n, ast.For))
    changes = [code.before(loop, "seen = []"), code.behind(loop.body[-1], "seen.append(len(y))")]
    return tree | {"train.py": code.changed(*changes)}
