"""Accelerate, as its guides write a loop.

Checkpointing: save_state, load_state and skip_first_batches, the step in the folder's name, as in
its example by_feature/checkpointing.py. Reproducibility: a seedable sampler, set_epoch. Losses of
tokens: "Gradient accumulation on training samples of variable size". Metrics: gather_for_metrics.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator  # type: ignore[import-not-found]
from accelerate.utils import DataLoaderConfiguration, set_seed  # type: ignore[import-not-found]
from torch import Tensor
from torch.utils.data import DataLoader
from work import Work, loss_of, run


def main(work: Work) -> None:
    accelerator = Accelerator(
        cpu=True,
        gradient_accumulation_steps=work.accumulate,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
    )
    # device_specific, each process its own seed, is an argument that the guides leave out.
    set_seed(work.seed, device_specific=work.extra)
    train_set, val_set = work.data()
    plain = work.build()
    if work.evaluate:
        evaluate(work, accelerator, plain, val_set)
        return
    optimizer = work.optimizer(plain)
    loader = DataLoader(train_set, work.batch_size, shuffle=True, drop_last=True)
    model, optimizer, loader, scheduler = accelerator.prepare(
        plain, optimizer, loader, work.scheduler(optimizer)
    )
    first = 0
    if saves := sorted(work.saves.glob("step_*"), key=lambda path: int(path.name[5:])):
        accelerator.load_state(str(saves[-1]))
        first = int(saves[-1].name[5:])

    batches = endless(accelerator, loader, first * work.accumulate)
    model.train()
    for step in range(first + 1, work.steps + 1):
        if work.accumulate > 1 or work.tokens:
            loss = accumulate(work, accelerator, model, batches)
        else:
            x, y = next(batches)
            loss = loss_of(model(x), y)
            accelerator.backward(loss)
        if work.clip:
            accelerator.clip_grad_norm_(model.parameters(), work.clip)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if work.log_every and step % work.log_every == 0:
            accelerator.print(f"step {step} loss {loss.item():.4f}", flush=True)
        if work.save_every and step % work.save_every == 0:
            accelerator.save_state(str(work.saves / f"step_{step}"))
    work.result(plain)
    accelerator.end_training()


def endless(accelerator: Accelerator, loader: Any, done: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch, from behind as many batches as are done."""
    epoch, skip = divmod(done, len(loader))
    while True:
        loader.set_epoch(epoch)
        yield from accelerator.skip_first_batches(loader, skip) if skip else loader
        epoch, skip = epoch + 1, 0


def accumulate(work: Work, accelerator: Accelerator, model: Any, batches: Any) -> Tensor:
    """The gradient of one step, all of whose tokens weigh the same."""
    micro_batches = [next(batches) for _ in range(work.accumulate)]
    items = torch.stack([(y != -100).sum() for _, y in micro_batches]).sum()
    items = accelerator.gather(items).sum().item()
    for index, (x, y) in enumerate(micro_batches):
        waits = index < work.accumulate - 1 and accelerator.num_processes > 1
        with model.no_sync() if waits else contextlib.nullcontext():
            loss = F.cross_entropy(model(x).flatten(0, -2), y.flatten(), reduction="sum")
            loss = loss * work.accumulate * accelerator.num_processes / items
            accelerator.backward(loss)
    return loss


@torch.no_grad()
def evaluate(work: Work, accelerator: Accelerator, plain: Any, val_set: Any) -> None:
    model, loader = accelerator.prepare(plain, DataLoader(val_set, work.batch_size))
    model.eval()
    losses, right = [], []
    for x, y in loader:
        logits = model(x)
        loss = F.cross_entropy(logits, y, reduction="none")
        loss, hit = accelerator.gather_for_metrics((loss, logits.argmax(1) == y))
        losses.append(loss)
        right.append(hit)
    loss, hit = torch.cat(losses), torch.cat(right)
    work.result(plain, loss=float(loss.mean()), accuracy=float(hit.float().mean()))


if __name__ == "__main__":
    run(main)
