"""What a process keeps of a model whose layers are dealt to stages: the layers of its own.

Of the others it keeps names and shapes, on torch's device "meta", which holds no numbers: so every
weight has the same name whatever the number of stages.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from runtime.errors import UserError


class Elsewhere(nn.Module):
    """In the place of a layer that another stage has: what comes in goes out as it is."""

    stage: int

    def __init__(self, layer: nn.Module, stage: int) -> None:
        super().__init__()
        self.stage = stage
        for name, child in layer.named_children():
            self.add_module(name, child)
        for name, parameter in layer.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in layer.named_buffers(recurse=False):
            self.register_buffer(name, buffer, persistent=name in layer.state_dict())

    def forward(self, x: Tensor, *_: Any) -> Tensor:
        return x


def keep_stage(
    model: nn.Module, stage: int, plan: Sequence[Sequence[str]], shape: tuple[int, ...]
) -> None:
    """Keep the layers of one stage, in place; the plan names those of each stage, in their order.

    `shape` is that of what a stage hands to the next, for a row. A weight that is tied to one of
    another stage stays on both. UserError if the plan does not give every layer to one stage, or
    the model does more than to pass what one layer returns to the next.
    """
    layers = dict(_layers(model))
    _check(model, layers, plan)
    for number, names in enumerate(plan):
        for name in names:
            model.set_submodule(name, Elsewhere(layers[name], number))
    _check_that_it_passes(model, torch.empty(1, *shape))
    for name in plan[stage]:
        model.set_submodule(name, layers.pop(name))

    kept = {weight for name in plan[stage] for weight in model.get_submodule(name).parameters()}
    gone: dict[Tensor, nn.Parameter] = {}  # what is tied stays so
    for module in (m for name in layers for m in model.get_submodule(name).modules()):
        for own, weight in [*module.named_parameters(recurse=False, remove_duplicate=False)]:
            if weight not in kept:
                gone.setdefault(weight, nn.Parameter(weight.to("meta"), requires_grad=False))
                setattr(module, own, gone[weight])
        for own, buffer in [*module.named_buffers(recurse=False)]:
            setattr(module, own, buffer.to("meta"))


def tied(model: nn.Module, stage: int) -> dict[nn.Parameter, list[int]]:
    """The weights that other stages have too, in an order that all agree on, and all who do."""
    others: dict[nn.Parameter, set[int]] = {}
    for layer in model.modules():
        if isinstance(layer, Elsewhere):
            for weight in layer.parameters():
                if not weight.is_meta:
                    others.setdefault(weight, {stage}).add(layer.stage)
    return {weight: sorted(others[weight]) for weight in model.parameters() if weight in others}


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList):
            yield from ((f"{name}.{number}", layer) for number, layer in enumerate(child))
        else:
            yield name, child


def _check(
    model: nn.Module, layers: Mapping[str, nn.Module], plan: Sequence[Sequence[str]]
) -> None:
    times = Counter(name for names in plan for name in names)
    for name in [*times, *layers]:
        if name not in layers:
            raise UserError(
                f"plan.py names {name}, and the model has no such layer",
                "name the layers there as model.py does",
            )
        if times[name] != 1:
            raise UserError(
                f"plan.py gives {name} to {times[name] or 'no'} stages",
                "let it name every layer of model.py once",
            )
    for name, _ in model.named_parameters(recurse=False):
        raise UserError(
            f"{name} is a weight outside of any layer, so no stage has it",
            "make a layer of it in model.py, and name that in plan.py",
        )
    if empty := [number for number, names in enumerate(plan) if not names]:
        fewer = max(n for n in range(1, len(plan)) if len(plan) % n == 0)
        raise UserError(
            f"there are {len(plan)} stages, and stage {empty[0]} is left without a layer",
            f"--stages {fewer}, or more layers: --depth {len(plan)}",
        )


def _check_that_it_passes(model: nn.Module, x: Tensor) -> None:
    """Whether a model without layers returns what it is given, as it has to on every stage."""
    try:
        passed = model(x) is x
    except Exception:
        passed = False
    if not passed:
        raise UserError(
            f"{type(model).__name__}.forward does more than pass on what its layers return, and "
            "every stage would do that",
            "make a layer of it in model.py, and name that in plan.py",
        )
