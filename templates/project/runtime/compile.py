"""Blocks of a model, turned into code for this processor by torch.compile."""

import os
import shutil
import sys
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch._functorch import config as functorch

from runtime.errors import UserError

MOST_FORMS = 64  # of the code of a block, for all blocks of its class together


def compile_blocks(blocks: Iterable[nn.Module], **options: Any) -> None:
    """Compile each block in place, with the options of torch.compile.

    That happens at the first call, takes from seconds to minutes, and is kept for the next start;
    equal blocks are compiled once. To be called after `checkpoint_activations`, so that what is
    computed twice is compiled too, and before the model is spread over processes, so that a block's
    gradients travel while the next one's are computed. Names of parameters stay as they are.
    TORCH_COMPILE_DISABLE=1 runs the blocks as they are written. Raises UserError where there is no
    compiler. See https://docs.pytorch.org/tutorials/recipes/regional_compilation.html.
    """
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    compiler = os.environ.get("CXX", usual)
    off = os.environ.get("TORCH_COMPILE_DISABLE") == "1"
    if not (off or torch.cuda.is_available() or shutil.which(compiler)):
        raise UserError(
            f"torch.compile needs a C++ compiler, and there is no {compiler!r}",
            "install one, or set TORCH_COMPILE_DISABLE=1",
        )
    # Other shapes, training and validation need code of their own; torch's limit of 8 is for one.
    torch.compiler.config.recompile_limit = MOST_FORMS
    # On a GPU, dropout that is computed twice would draw from generators that torch keeps hidden:
    # no checkpoint has their state, and a resumed run would be another.
    functorch.graphsafe_rng_functionalization = False
    for block in blocks:
        block.compile(**options)
