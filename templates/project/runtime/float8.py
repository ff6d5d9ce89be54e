"""Linear layers that multiply in 8 bits: weights, and what the layers return, stay as they are."""

import logging
from collections.abc import Iterable
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.errors import UserError
from runtime.support import is_made_for


def use_float8(blocks: Iterable[nn.Module], device: torch.device) -> None:
    """Let torchao multiply in the blocks' linear layers, forward and backward (arXiv:2209.05433).

    Each tensor is scaled by its own largest value, there and then: there is nothing to save. Where
    a device has no such products they are imitated: as exact as on one that has, but slow. Layers
    with a side that is no multiple of 16 are left out. To be called before the blocks are compiled
    or spread over processes; only compiled does the scaling cost less than the products save. Names
    of parameters stay as they are. Raises UserError where torchao is missing.
    """
    try:
        logging.disable(logging.WARNING)  # of what torchao has for machines other than this one
        from torchao.float8 import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            Float8LinearConfig,
            convert_to_float8_training,
        )
    except ImportError as error:
        raise UserError(f"float8 needs more: {error}", "pip install torchao") from None
    finally:
        logging.disable(logging.NOTSET)
    # Backward multiplies over the rows of a batch: of them, too, 16 at a time.
    config = Float8LinearConfig(emulate=not is_made_for("float8", device), pad_inner_dim=True)
    for block in blocks:
        convert_to_float8_training(block, config=config, module_filter_fn=_fits)
        for layer in block.modules():
            if isinstance(layer, nn.Linear) and type(layer) is not nn.Linear:
                layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]


def _forward(layer: nn.Linear, x: Tensor) -> Tensor:
    """As torchao has it; a batch without rows, as validation may have, has no largest value."""
    if x.numel():
        y: Tensor = type(layer).forward(layer, x)
        return y
    return F.linear(x, layer.weight, layer.bias)


def _fits(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and all(side % 16 == 0 for side in module.weight.shape)
