"""Ignite, as its guides and its CIFAR10 example write it: Engine, idist.auto_*, Checkpoint.

Going on: "Resuming the training" and "Dataflow synchronization", with a DeterministicEngine.
"""

from typing import Any

import ignite.distributed as idist  # type: ignore[import-not-found]
import torch
from ignite.engine import (  # type: ignore[import-not-found]
    Engine,
    Events,
    create_supervised_evaluator,
)
from ignite.engine.deterministic import DeterministicEngine  # type: ignore[import-not-found]
from ignite.handlers import Checkpoint, DiskSaver  # type: ignore[import-not-found]
from ignite.handlers.param_scheduler import LRScheduler  # type: ignore[import-not-found]
from ignite.metrics import Accuracy, Loss  # type: ignore[import-not-found]
from ignite.utils import manual_seed  # type: ignore[import-not-found]
from torch import nn
from work import Work, loss_of, run


def training(local_rank: int, work: Work) -> None:
    manual_seed(work.seed + idist.get_rank())
    train_set, val_set = work.data()
    plain = work.build()
    model = idist.auto_model(plain)
    if work.evaluate:
        evaluate(work, model, plain, val_set)
        return
    optimizer = idist.auto_optim(work.optimizer(model))
    loader = idist.auto_dataloader(
        train_set, batch_size=work.batch_size * work.processes, shuffle=True, drop_last=True
    )

    def train_step(engine: Engine, batch: Any) -> float:
        x, y = batch
        model.train()
        loss = loss_of(model(x), y) / work.accumulate
        loss.backward()
        if engine.state.iteration % work.accumulate == 0:
            if work.clip:
                nn.utils.clip_grad_norm_(model.parameters(), work.clip)
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    trainer = DeterministicEngine(train_step) if work.save_every else Engine(train_step)
    scheduler = LRScheduler(work.scheduler(optimizer))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(every=work.accumulate), scheduler)
    if hasattr(loader.sampler, "set_epoch"):

        @trainer.on(Events.EPOCH_STARTED)
        def set_epoch(engine: Engine) -> None:
            loader.sampler.set_epoch(engine.state.epoch)

    if work.log_every and idist.get_rank() == 0:

        @trainer.on(Events.ITERATION_COMPLETED(every=work.log_every * work.accumulate))
        def log(engine: Engine) -> None:
            print(f"step {engine.state.iteration} loss {engine.state.output:.4f}", flush=True)

    if work.save_every:
        parts = {"trainer": trainer, "model": model, "optimizer": optimizer, "rates": scheduler}
        saver = DiskSaver(str(work.saves), require_empty=False)
        every = Events.ITERATION_COMPLETED(every=work.save_every * work.accumulate)
        trainer.add_event_handler(every, Checkpoint(parts, saver, n_saved=1))
        if saves := sorted(work.saves.glob("*.pt"), key=lambda path: path.stat().st_mtime):
            Checkpoint.load_objects(parts, torch.load(saves[-1], weights_only=False))
    trainer.run(loader, max_iters=work.steps * work.accumulate)
    work.result(plain)


def evaluate(work: Work, model: nn.Module, plain: nn.Module, val_set: Any) -> None:
    metrics = {"loss": Loss(loss_of), "accuracy": Accuracy()}
    evaluator = create_supervised_evaluator(model, metrics=metrics)
    loader = idist.auto_dataloader(
        val_set, batch_size=work.batch_size * work.processes, shuffle=False
    )
    found = evaluator.run(loader).metrics
    work.result(plain, **found)


def main(work: Work) -> None:
    with idist.Parallel(backend="gloo" if work.processes > 1 else None) as parallel:
        parallel.run(training, work)


if __name__ == "__main__":
    run(main)
