"""All settings. `python train.py --help` lists them; each can be given there or in a TOML file."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass
class Config:
    name: str = "digits-cnn"  # in runs/<name>
    seed: int = 1337  # of weights, order of the data, dropout and augmentation
    steps: int = 600  # updates of the weights, in all
    batch_size: int = 64  # samples in a micro-batch, on each process
    accumulate: int = 1  # micro-batches to a step
    learning_rate: float = 3e-3  # at its highest
    warmup: int = 50  # steps up to there; from there it falls as a cosine
    weight_decay: float = 0.05  # of matrices; norms and biases are left alone
    clip: float = 1.0  # the longest gradient that a step may take; 0: any
    eval_every: int = 100  # steps from one validation to the next
    save_every: int = 100  # steps from one checkpoint to the next
    log_every: int = 10  # steps from one line of the log to the next
    keep: int = 2  # checkpoints that stay; older ones are deleted
    workers: int = 0  # processes that load data, beside each that trains
    fast: bool = False  # a few steps of everything: does it run here?

    widths: tuple[int, ...] = (32, 64)  # channels; all but the first halve the image
    depth: int = 2  # residual blocks of a stage
    dropout: float = 0.1  # part of the features set to zero before the last layer

    # What the digits are, and no settings.
    image_size: ClassVar[int] = 8
    channels: ClassVar[int] = 1

    def __post_init__(self) -> None:
        at_least_1 = ["steps", "batch_size", "accumulate", "eval_every", "save_every", "log_every"]
        at_least_1 += ["keep", "depth"]
        for name in at_least_1:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("warmup", "weight_decay", "clip", "workers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected more than 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, expected from 0 up to below 1")
        if not self.widths or any(width < 8 or width % 8 for width in self.widths):
            raise ValueError(f"widths are {self.widths}, expected multiples of 8")


# What --fast changes.
FAST = {
    "steps": 4,
    "warmup": 1,
    "eval_every": 2,
    "save_every": 2,
    "log_every": 1,
    "batch_size": 16,
}
