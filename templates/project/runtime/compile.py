"""Time to start for time to train: torch.compile, block by block."""

from collections.abc import Iterable

import torch
from torch import nn

# Compiled forms of one piece of code. Blocks of other widths, training, validation and the last,
# smaller batch need one each; torch's own limit of 8 would leave the rest as it is.
MOST_FORMS = 64


def compile_blocks(blocks: Iterable[nn.Module]) -> None:
    """Let each block be compiled in place, when it is first called; names of parameters stay.

    To be called after `checkpoint_activations`, so that the compiler sees what is computed twice,
    and before the model is spread over processes. Blocks that are alike are compiled once, and FSDP
    gathers the weights of each between two of them: in a whole model that would break the code up.
    See https://docs.pytorch.org/tutorials/recipes/regional_compilation.html.
    """
    torch.compiler.config.recompile_limit = MOST_FORMS
    for block in blocks:
        block.compile()
