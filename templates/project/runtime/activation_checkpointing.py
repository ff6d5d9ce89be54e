"""Memory for time: what a block computes forward is thrown away, and computed again backward."""

from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

aten = torch.ops.aten
# Not attention: a dropout inside of it that is not drawn again would shift all that come after it.
PRODUCTS = [aten.mm.default, aten.addmm.default, aten.bmm.default, aten.convolution.default]


def checkpoint_activations(blocks: Iterable[nn.Module], keep_products: bool = False) -> None:
    """Keep only each block's inputs for backward; losses and gradients stay equal to the bit.

    To be called before the model is compiled or spread over processes. Costs about a third more
    time; less with `keep_products`, where what matrix products and convolutions result in is kept
    as well. Names of parameters stay as they are, for it is `forward` that is exchanged; no module
    is put into another. Random numbers are the same both times, and so is dropout.
    See https://docs.pytorch.org/docs/stable/checkpoint.html.
    """
    for block in blocks:
        block.forward = MethodType(  # type: ignore[method-assign]
            _all_but_products if keep_products else _all, block
        )


# Functions of a module, as in a class: other callables, functools.partial for one, are passed over
# by torch.compile without a word.
def _all(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return checkpoint(type(block).forward, block, *args, use_reentrant=False, **kwargs)


def _all_but_products(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    forward = type(block).forward
    return checkpoint(forward, block, *args, use_reentrant=False, context_fn=_contexts, **kwargs)


def _contexts() -> Any:
    return create_selective_checkpoint_contexts(PRODUCTS)
