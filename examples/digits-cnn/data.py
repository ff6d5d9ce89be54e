"""Handwritten digits: 1,797 grey images of 8 × 8 pixels that scikit-learn brings along."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset

from config import Config


class Digits(Dataset[tuple[Tensor, int]]):
    """Images from -1 to 1 with their class; `augment` shifts each by up to a pixel, at random."""

    classes = list("0123456789")

    def __init__(self, images: Tensor, labels: list[int], augment: bool) -> None:
        self.images, self.labels, self.augment = images, labels, augment

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.augment:
            down, right = torch.randint(3, (2,)).tolist()
            image = F.pad(image, (1, 1, 1, 1), value=-1)[:, down : down + 8, right : right + 8]
        return image, self.labels[index]  # (1, 8, 8)


def load_data(config: Config) -> tuple[Digits, Digits]:
    """Return four fifths to train on and one fifth to validate on, the same ones for every seed."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    # Drawn by lot: they come in the order of counting, so every fifth would be a 4 or a 9.
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, val = order[len(order) // 5 :], order[: len(order) // 5]
    return (
        Digits(images[train], labels[train].tolist(), augment=True),
        Digits(images[val], labels[val].tolist(), augment=False),
    )
