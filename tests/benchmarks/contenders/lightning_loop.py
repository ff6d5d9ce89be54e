"""Lightning's Trainer, as its guides write a module: self.log, ModelCheckpoint, ckpt_path="last".

`extra` adds torchdata's StatefulDataLoader, which the guides name for going on within an epoch, the
random state in the checkpoint, by the module's own hooks, and a seed of its own for each process.
"""

import os
import warnings
from typing import Any

import lightning as L  # type: ignore[import-not-found]
import torch
from lightning.pytorch.callbacks import ModelCheckpoint  # type: ignore[import-not-found]
from lightning.pytorch.loggers import CSVLogger  # type: ignore[import-not-found]
from torch import Tensor
from torch.utils.data import DataLoader
from work import Work, loss_of, run

assert L.__version__ not in ("2.6.2", "2.6.3"), "these releases were malicious"
warnings.filterwarnings("ignore", ".*does not have many workers.*")


class Module(L.LightningModule):
    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work, self.model = work, work.build()
        self.random: Tensor | None = None
        if work.evaluate:
            from torchmetrics.classification import MulticlassAccuracy

            self.accuracy = MulticlassAccuracy(10, average="micro")

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        x, y = batch
        loss = loss_of(self.model(x), y)
        if self.work.log_every:
            self.log("loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        x, y = batch
        logits = self.model(x)
        self.accuracy(logits, y)
        self.log("loss", loss_of(logits, y), sync_dist=True)
        self.log("accuracy", self.accuracy)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.work.optimizer(self)
        scheduler = {"scheduler": self.work.scheduler(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.work.extra:
            checkpoint["random"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.random = checkpoint.get("random")

    def on_train_batch_start(self, batch: Any, index: int) -> None:
        if self.random is not None:
            torch.set_rng_state(self.random)
            self.random = None


def main(work: Work) -> None:
    rank = int(os.environ.get("RANK", "0"))
    L.seed_everything(work.seed + (rank if work.extra else 0))
    train_set, val_set = work.data()
    module = Module(work)
    callbacks = []
    if work.save_every or work.leave:
        every = work.save_every or work.steps + 1
        callbacks = [
            ModelCheckpoint(
                work.saves, every_n_train_steps=every, save_last=True, save_on_exception=work.leave
            )
        ]
    logger = CSVLogger(work.folder) if work.log_every else False
    trainer = L.Trainer(
        accelerator="cpu",
        devices=work.processes,
        strategy="ddp" if work.processes > 1 else "auto",
        max_steps=work.steps,
        accumulate_grad_batches=work.accumulate,
        gradient_clip_val=work.clip or None,
        logger=logger,
        log_every_n_steps=work.log_every or 50,
        callbacks=callbacks,
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=work.folder,
    )
    if work.evaluate:
        found = trainer.validate(module, DataLoader(val_set, work.batch_size), verbose=False)[0]
        work.result(module.model, **found)
        return
    kind: Any = DataLoader
    if work.extra:
        from torchdata.stateful_dataloader import (  # type: ignore[import-not-found]
            StatefulDataLoader,
        )

        kind = StatefulDataLoader
    loader = kind(train_set, work.batch_size, shuffle=True, drop_last=True)
    trainer.fit(module, loader, ckpt_path="last" if callbacks else None)
    if trainer.global_step == work.steps:
        work.result(module.model)


if __name__ == "__main__":
    run(main)
