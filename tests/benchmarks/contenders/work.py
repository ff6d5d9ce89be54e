"""What all contenders do: the same model of the same project, its data, optimizer and rates.

    python NAME_loop.py '{"steps": 100, ...}'    # the fields of Work; in the project's folder

A contender's file is nothing but the loop, as the documentation of its library writes it.
"""

import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset


@dataclass
class Work:
    folder: str  # of this run: checkpoints, logs, results
    settings: dict[str, Any]  # of the project
    steps: int
    batch_size: int
    accumulate: int
    learning_rate: float
    warmup: int
    weight_decay: float
    clip: float  # 0: none
    log_every: int  # 0: nothing is logged
    save_every: int  # 0: never
    seed: int
    evaluate: bool  # do not train: evaluate, and keep what was found
    leave: bool  # save on SIGTERM, where the library has something for it
    tokens: bool  # losses of tokens, of which micro-batches have unequally many
    extra: bool  # with code beside what the documentation recommends

    @property
    def processes(self) -> int:
        return int(os.environ.get("WORLD_SIZE", "1"))

    @property
    def out(self) -> Path:
        return Path(self.folder)

    @property
    def saves(self) -> Path:
        return self.out / "checkpoints"

    def data(self) -> tuple[Dataset[Any], Dataset[Any]]:
        from data import load_data  # type: ignore[import-not-found]

        pair: tuple[Dataset[Any], Dataset[Any]] = load_data(self.config)
        return pair

    def build(self) -> nn.Module:
        """The project's model; the global generator says with which weights."""
        import model  # type: ignore[import-not-found]

        kind, outputs = (model.GPT, 256) if hasattr(model, "GPT") else (model.CNN, 10)
        built: nn.Module = kind(self.config, outputs)
        return built

    @property
    def config(self) -> Any:
        from config import Config  # type: ignore[import-not-found]

        return Config(**self.settings)

    def optimizer(self, model: nn.Module) -> torch.optim.AdamW:
        return torch.optim.AdamW(
            model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )

    def rate(self, step: int) -> float:
        """What the learning rate is multiplied by: up in a line, down as a cosine."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def scheduler(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)

    def result(self, model: nn.Module, **found: float) -> None:
        """Keep the weights, and what an evaluation found; on the main process."""
        if os.environ.get("RANK", "0") == "0":
            torch.save(model.state_dict(), self.out / "weights.pt")
            (self.out / "found.json").write_text(json.dumps(found))


def loss_of(logits: Tensor, y: Tensor) -> Tensor:
    """The mean over images, or over the tokens that are to be predicted."""
    return F.cross_entropy(logits.flatten(0, -2), y.flatten())


def run(main: Callable[[Work], None]) -> None:
    work = Work(**json.loads(sys.argv[1]))
    work.saves.mkdir(parents=True, exist_ok=True)
    main(work)
