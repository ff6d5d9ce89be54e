"""Around `optimizer.step()`: who decays, at which rate, how far a step goes."""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T", bound=Tensor)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: matrices decay, biases and norms' gains do not.

    Parameters that other processes share than the rest, as under tensor parallelism, have groups of
    their own.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": group, "weight_decay": weight_decay if decays else 0.0}
        for decays in (True, False)
        for group in by_mesh(p for p in parameters if (p.ndim >= 2) is decays)
    ]


def by_mesh(tensors: Iterable[T]) -> list[list[T]]:
    """The tensors in groups of those that the same processes share: torch mixes them nowhere."""
    groups: dict[Any, list[T]] = {}
    for tensor in tensors:
        groups.setdefault(getattr(tensor, "device_mesh", None), []).append(tensor)
    return list(groups.values())


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use this learning rate from now on, in every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_and_step(
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[Tensor],
    max_norm: float,
    max_value: float = 0,
    norm: Tensor | None = None,
) -> float:
    """Clip the gradient to a norm, step, clear the gradients; return the norm before clipping.

    The norm is that of the whole gradient, over all processes; it is given where others have other
    parameters. If it is not finite, weights and optimizer stay as they were: one NaN would
    otherwise reach every weight. A `max_norm` of 0 clips nothing. A `max_value` then cuts every
    single number of the gradient off at plus or minus it.
    """
    trained = by_mesh(p for p in parameters if p.grad is not None)
    if norm is None:
        norms = [
            nn.utils.get_total_norm([p.grad for p in group if p.grad is not None])
            for group in trained
        ]
        # Of sharded gradients each process holds a part.
        norms = [norm.full_tensor() if hasattr(norm, "full_tensor") else norm for norm in norms]
        norm = norms[0] if len(norms) == 1 else nn.utils.get_total_norm(norms)
    length = norm.item()  # the one time in a step that the host waits for the device
    if math.isfinite(length):
        for group in trained:
            if 0 < max_norm < length:
                nn.utils.clip_grads_with_norm_(group, max_norm, norm)
            if max_value:
                nn.utils.clip_grad_value_(group, max_value, foreach=False)
        optimizer.step()
    optimizer.zero_grad()
    return length
