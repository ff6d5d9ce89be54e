"""A loop by hand, as PyTorch's tutorials write it: DistributedDataParallel, a general checkpoint.

https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html
https://docs.pytorch.org/tutorials/beginner/ddp_series_multigpu.html
"""

import contextlib
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler
from work import Work, loss_of, run


def main(work: Work) -> None:
    torch.manual_seed(work.seed)
    many = work.processes > 1
    if many:
        dist.init_process_group("gloo")
    train_set, val_set = work.data()
    plain = work.build()
    model: Any = DistributedDataParallel(plain) if many else plain
    if work.evaluate:
        evaluate(work, plain, val_set)
        return
    optimizer = work.optimizer(model)
    sampler: Any = DistributedSampler(train_set, seed=work.seed) if many else None
    loader = DataLoader(
        train_set, work.batch_size, shuffle=not many, sampler=sampler, drop_last=True
    )
    file = work.saves / "checkpoint.pt"
    step = epoch = 0
    if file.exists():
        saved = torch.load(file, weights_only=True)
        plain.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step, epoch = saved["step"], saved["epoch"]

    model.train()
    micro = 0
    while step < work.steps:
        if sampler:
            sampler.set_epoch(epoch)
        for x, y in loader:
            if step == work.steps:
                break
            micro += 1
            last = micro % work.accumulate == 0
            with contextlib.nullcontext() if last or not many else model.no_sync():
                loss = loss_of(model(x), y) / work.accumulate
                loss.backward()
            if not last:
                continue
            for group in optimizer.param_groups:
                group["lr"] = work.learning_rate * work.rate(step)
            if work.clip:
                nn.utils.clip_grad_norm_(model.parameters(), work.clip)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            main_process = not many or dist.get_rank() == 0
            if work.log_every and step % work.log_every == 0 and main_process:
                print(f"step {step} loss {loss.item():.4f}", flush=True)
            if work.save_every and step % work.save_every == 0 and main_process:
                saved = {"model": plain.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(saved | {"step": step, "epoch": epoch}, file)
        epoch += 1
    work.result(plain)
    if many:
        dist.destroy_process_group()


@torch.no_grad()
def evaluate(work: Work, model: nn.Module, val_set: Dataset[Any]) -> None:
    many = work.processes > 1
    sampler: Any = DistributedSampler(val_set, shuffle=False) if many else None
    loader = DataLoader(val_set, work.batch_size, sampler=sampler)
    model.eval()
    loss, correct, count = torch.zeros(3)
    for x, y in loader:
        logits = model(x)
        loss += loss_of(logits, y) * len(y)
        correct += (logits.argmax(1) == y).sum()
        count += len(y)
    found = torch.stack([loss, correct, count])
    if many:
        dist.all_reduce(found)
    work.result(model, loss=float(found[0] / found[2]), accuracy=float(found[1] / found[2]))


if __name__ == "__main__":
    run(main)
