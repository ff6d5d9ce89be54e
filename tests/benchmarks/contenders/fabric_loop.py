"""Lightning Fabric, as its guides "Convert PyTorch code to Fabric", "Saving and loading a
checkpoint" and "Gradient accumulation" write a loop."""

from typing import Any

import torch
from lightning.fabric import Fabric  # type: ignore[import-not-found]
from torch.utils.data import DataLoader
from work import Work, loss_of, run


def main(work: Work) -> None:
    strategy = "ddp" if work.processes > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=work.processes, strategy=strategy)
    fabric.launch()
    fabric.seed_everything(work.seed + (fabric.global_rank if work.extra else 0))
    train_set, val_set = work.data()
    plain = work.build()
    if work.evaluate:
        evaluate(work, fabric, plain, val_set)
        return
    model, optimizer = fabric.setup(plain, work.optimizer(plain))
    scheduler = work.scheduler(optimizer)
    loader = DataLoader(train_set, work.batch_size, shuffle=True, drop_last=True)
    loader = fabric.setup_dataloaders(loader)
    state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "step": 0, "epoch": 0}
    file = work.saves / "checkpoint.ckpt"
    if file.exists():
        fabric.load(file, state)

    model.train()
    micro = 0
    while state["step"] < work.steps:
        if hasattr(loader.sampler, "set_epoch"):
            loader.sampler.set_epoch(state["epoch"])
        for x, y in loader:
            if state["step"] == work.steps:
                break
            micro += 1
            accumulating = micro % work.accumulate != 0
            with fabric.no_backward_sync(model, enabled=accumulating):
                loss = loss_of(model(x), y)
                fabric.backward(loss / work.accumulate)
            if accumulating:
                continue
            if work.clip:
                fabric.clip_gradients(model, optimizer, max_norm=work.clip)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            state["step"] += 1
            if work.log_every and state["step"] % work.log_every == 0:
                fabric.print(f"step {state['step']} loss {loss.item():.4f}", flush=True)
            if work.save_every and state["step"] % work.save_every == 0:
                fabric.save(file, state)
        state["epoch"] += 1
    work.result(plain)


@torch.no_grad()
def evaluate(work: Work, fabric: Fabric, plain: Any, val_set: Any) -> None:
    model = fabric.setup(plain)
    loader = fabric.setup_dataloaders(DataLoader(val_set, work.batch_size))
    model.eval()
    loss, right, count = torch.zeros(3)
    for x, y in loader:
        logits = model(x)
        loss += loss_of(logits, y) * len(y)
        right += (logits.argmax(1) == y).sum()
        count += len(y)
    loss, right, count = fabric.all_reduce(torch.stack([loss, right, count]), reduce_op="sum")
    work.result(plain, loss=float(loss / count), accuracy=float(right / count))


if __name__ == "__main__":
    run(main)
