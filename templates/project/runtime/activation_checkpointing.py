"""Memory for time: what a block computes forward is thrown away, and computed again backward."""

from collections.abc import Iterable
from types import MethodType
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_activations(blocks: Iterable[nn.Module]) -> None:
    """Keep only each block's inputs for backward; losses and gradients stay equal to the bit.

    To be called before the model is compiled or spread over processes. Costs about a third more
    time. Names of parameters stay as they are, for it is `forward` that is exchanged; no module is
    put into another. Random numbers are the same both times, and so is dropout.
    See https://docs.pytorch.org/docs/stable/checkpoint.html.
    """
    for block in blocks:
        block.forward = MethodType(_forward, block)  # type: ignore[method-assign]


def _forward(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    # A function of a module, as in a class: other callables, functools.partial for one, are passed
    # over by torch.compile without a word.
    return checkpoint(type(block).forward, block, *args, use_reentrant=False, **kwargs)
