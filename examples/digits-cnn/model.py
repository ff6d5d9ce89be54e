"""A small ResNet (arXiv 1512.03385), with GroupNorm instead of BatchNorm.

It looks at one image at a time: the same samples give the same gradient, however they are split.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from config import Config


class CNN(nn.Module):
    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        width = config.widths[0]
        self.stem = nn.Conv2d(config.channels, width, 3, padding=1)
        self.blocks = nn.ModuleList()
        for stage, following in enumerate(config.widths):
            for index in range(config.depth):
                stride = 2 if stage > 0 and index == 0 else 1
                self.blocks.append(Block(width, following, stride))
                width = following
        self.norm = nn.GroupNorm(8, width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (batch, widths[0], height, width)
        for block in self.blocks:
            x = block(x)
        x = F.relu(self.norm(x)).mean(dim=(2, 3))  # (batch, widths[-1])
        return self.head(self.dropout(x))  # (batch, classes)


class Block(nn.Module):
    """Two convolutions around which the input is carried; norms come first (arXiv 1603.05027)."""

    def __init__(self, width: int, following: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, following, 3, stride, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(8, following)
        self.conv2 = nn.Conv2d(following, following, 3, padding=1, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or width != following:
            self.shortcut = nn.Conv2d(width, following, 1, stride, bias=False)

        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        # A block that starts as its shortcut lets a deep network learn from the first step on.
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return self.shortcut(x) + y
