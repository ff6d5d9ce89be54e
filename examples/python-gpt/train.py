"""Train a GPT on text.

However it was stopped, the same command goes on from the last checkpoint.

    python train.py
    python train.py --learning-rate 3e-4 --save-every 50
"""

import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from config import FAST, Config
from data import load_data
from model import GPT
from runtime.checkpoint import Checkpoints
from runtime.config import load_config
from runtime.data import TrainSampler, eval_batches, to_device, train_batches
from runtime.log import Log, open_run
from runtime.optim import clip_and_step, decay_groups, set_lr
from runtime.rng import seed_all
from runtime.schedule import cosine
from runtime.stop import Stop, leave_on_signal
from runtime.tensors import save_weights


def loss_sum(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy summed over the tokens to predict: who calls divides by their number, once."""
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")


def count(y: Tensor) -> Tensor:
    """Tokens to predict: all but those set to -100, which cross_entropy leaves out (padding)."""
    return (y != -100).sum()


@torch.no_grad()
def evaluate(
    model: nn.Module, val_set: Dataset[Any], config: Config, device: torch.device
) -> dict[str, float]:
    """Mean loss: every token counts once."""
    model.eval()
    loss, tokens = torch.zeros(2, device=device)
    for batch in eval_batches(val_set, config.batch_size, workers=config.workers):
        x, y = to_device(batch, device)
        loss += loss_sum(model, x, y)
        tokens += count(y)
    model.train()
    return {"val_loss": float(loss / tokens)}


def main(config: Config) -> int:
    leave_on_signal()  # at once, while there is no step to save
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    folder = open_run(config)
    train_set, val_set = load_data(config)

    seed_all(config.seed)
    model = GPT(config, train_set.vocab_size).to(device)
    groups = decay_groups(model, config.weight_decay)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
    sampler = TrainSampler(train_set, config.batch_size, config.accumulate, seed=config.seed)
    checkpoints = Checkpoints(folder / "checkpoints", config.keep)

    step = 0
    if newest := checkpoints.latest():
        saved = checkpoints.load(newest, model, optimizer)
        step = saved["step"]
        sampler.resume(step, saved["sampler"])
    batches = train_batches(train_set, sampler, config.workers)
    per_step = sampler.step_size * config.block
    log = Log(folder, config.steps, step, per_step=per_step, unit="tok")
    log.start(config, model, device.type)
    stop = Stop()  # from here on after a step, which is saved

    model.train()
    while step < config.steps:
        lr = config.learning_rate * cosine(step, config.warmup, config.steps)
        set_lr(optimizer, lr)

        step_loss = torch.zeros((), device=device)
        # All micro-batches first: one number, the tokens of the whole step, divides their losses.
        micro_batches = [next(batches) for _ in range(config.accumulate)]
        tokens = sum(count(y) for _, y in micro_batches)
        for batch in micro_batches:
            x, y = to_device(batch, device)
            loss = loss_sum(model, x, y) / tokens
            loss.backward()
            step_loss += loss.detach()
        norm = clip_and_step(optimizer, model.parameters(), config.clip)
        step += 1

        scores = {}
        if step % config.eval_every == 0 or step == config.steps:
            scores = evaluate(model, val_set, config, device)
        if scores or step % config.log_every == 0:
            log(step, loss=step_loss, norm=norm, lr=lr, **scores)
        log.progress(step, norm)

        stopping = stop.requested()
        if stopping or step == config.steps or step % config.save_every == 0:
            checkpoints.save(step, model, optimizer, sampler=sampler.state_dict())
        if stopping:
            break

    if step == config.steps:
        save_weights(folder / "weights.pt", model)
    log.finish(step)
    return 0 if step == config.steps else stop.exit_code


if __name__ == "__main__":
    sys.exit(main(load_config(Config, fast=FAST)))
