"""The end of a step where XLA computes: the devices decide, and the host does not wait for it."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from runtime.log import Log


@torch.no_grad()
def clip_and_step(
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[Tensor],
    max_norm: float,
    max_value: float = 0,
) -> Tensor:
    """Clip the gradient to a norm, step, clear the gradients; return the norm before clipping.

    As `runtime.optim` does it: if the norm is not finite, weights and optimizer stay as they were.
    Here both are computed, and the devices choose. What a new optimizer keeps has to begin as
    zeros, as AdamW's does.
    """
    trained = [p for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
    if max_norm:
        nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
    if max_value:
        nn.utils.clip_grad_value_(trained, max_value, foreach=False)
    before = {id(x): x.clone() for x in _changing(optimizer)}
    optimizer.step()
    is_finite = norm.isfinite()
    for x in _changing(optimizer):
        x.copy_(torch.where(is_finite, x, before.get(id(x), 0)))
    optimizer.zero_grad()
    return norm


def _changing(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]
    for state in optimizer.state.values():
        yield from state.values()


class Progress:
    """`log.progress`, one step late: a norm is read when the devices are busy with the next step.

    To be called after each step. The last one's norm is waited for.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self._before: tuple[int, Tensor] | None = None

    def __call__(self, step: int, norm: Tensor) -> None:
        if self._before:
            self._tell(*self._before)
        self._before = step, norm
        if step == self.log.steps:
            self._tell(step, norm)

    def _tell(self, step: int, norm: Tensor) -> None:
        self.log.progress(step, norm.item())
