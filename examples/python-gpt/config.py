"""All settings. `python train.py --help` lists them; each can be given there or in a TOML file."""

from dataclasses import dataclass


@dataclass
class Config:
    name: str = "python-gpt"  # in runs/<name>
    seed: int = 1337  # of weights, order of the data, dropout and augmentation
    steps: int = 1000  # updates of the weights, in all
    batch_size: int = 16  # samples in a micro-batch, on each process
    accumulate: int = 1  # micro-batches to a step
    learning_rate: float = 3e-3  # at its highest
    warmup: int = 50  # steps up to there; from there it falls as a cosine
    weight_decay: float = 0.1  # of matrices; norms and biases are left alone
    clip: float = 1.0  # the longest gradient that a step may take; 0: any
    eval_every: int = 100  # steps from one validation to the next
    save_every: int = 100  # steps from one checkpoint to the next
    log_every: int = 10  # steps from one line of the log to the next
    keep: int = 2  # checkpoints that stay; older ones are deleted
    workers: int = 1  # processes that load data, beside each that trains
    fast: bool = False  # a few steps of everything: does it run here?

    width: int = 128  # numbers that stand for one token between the layers
    depth: int = 4  # layers
    heads: int = 4  # attention heads of a layer
    kv_heads: int | None = None  # heads of keys and values, which heads share; none: one for each
    block: int = 128  # tokens that the model sees at once
    dropout: float = 0.0  # part of the activations set to zero; 0.1 or 0.2 where data are few

    data: str = "python"  # a file or folder of text; "python": the sources of Python's own library
    pattern: str = "*"  # which files of a folder are read, at any depth
    eval_samples: int = 128  # windows of the held-out text that a validation reads

    def __post_init__(self) -> None:
        at_least_1 = ["steps", "batch_size", "accumulate", "eval_every", "save_every", "log_every"]
        at_least_1 += ["keep", "width", "depth", "heads", "block", "eval_samples"]
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
        if self.width % (2 * self.heads):
            raise ValueError(f"width is {self.width}, expected a multiple of {2 * self.heads}")
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            raise ValueError(f"kv_heads is {self.kv_heads}, expected a divisor of {self.heads}")


# What --fast changes.
FAST = {
    "steps": 4,
    "warmup": 1,
    "eval_every": 2,
    "save_every": 2,
    "log_every": 1,
    "batch_size": 4,
    "eval_samples": 8,
}
