"""Around `optimizer.step()`: who decays, at which rate, how far a step goes."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: matrices decay, biases and norms' gains do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use this learning rate from now on, in every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_and_step(
    optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor], max_norm: float
) -> float:
    """Clip the gradient to a norm, step, clear the gradients; return the norm before clipping.

    The norm is that of the whole gradient, over all processes. If it is not finite, weights and
    optimizer stay as they were: one NaN would otherwise reach every weight. A `max_norm` of 0 clips
    nothing.
    """
    trained = [p for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
    if hasattr(norm, "full_tensor"):  # of sharded gradients: each process holds a part
        norm = norm.full_tensor()
    length = norm.item()  # the one time in a step that the host waits for the device
    if math.isfinite(length):
        if 0 < max_norm < length:
            nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
        optimizer.step()
    optimizer.zero_grad()
    return length
