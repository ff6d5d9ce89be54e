"""A short training that tests stop, resume and compare: every strategy, on data made up by step."""

import contextlib

import torch
from torch import nn

from runtime import dist, rng
from runtime.async_checkpoints import BackgroundWriter
from runtime.checkpoint import Checkpoints
from runtime.ema import EMA
from runtime.optim import clip_and_step, decay_groups, set_lr
from runtime.remote_checkpoints import RemoteCopies
from runtime.schedule import cosine
from runtime.world import World


class Net(nn.Module):
    """A layer, dropout, a tied layer and a buffer: what checkpoints have to bring back."""

    def __init__(self, width=8, dropout=0.1):
        super().__init__()
        self.first, self.second = nn.Linear(6, width), nn.Linear(width, width)
        self.second.bias = self.first.bias
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        return self.second(self.dropout(self.first(x).relu()))


def parallel(model, strategy, world):
    if strategy == "ddp":
        return nn.parallel.DistributedDataParallel(model)
    if strategy == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        return fully_shard(model, mesh=init_device_mesh("cpu", (world.size,)))
    if strategy == "compiled":
        return torch.compile(model, backend="eager")
    return model


def train(
    folder,
    strategy,
    until,
    *,
    save_at=(),
    scores=None,
    best=None,
    dropout=0.1,
    batch=8,
    width=8,
    decay=None,
    in_background=False,
    remote="",
    **checkpoints,
):
    """Go on from the newest checkpoint in `folder` up to step `until`; `scores` are by step.

    Returns the losses by step and the weights by name; with a decay, their averages as "ema.…" too.
    """
    alone = strategy in ("single", "compiled")
    world = World() if alone else dist.init(timeout_s=20)
    rng.seed_all(1)
    model = parallel(Net(width, dropout), strategy, world)
    rng.seed_all(1, 1 + world.rank)
    optimizer = torch.optim.AdamW(decay_groups(model, 0.1), fused=True)
    ema = EMA(model, decay) if decay else None
    also = {"ema": ema.tensors} if ema else None
    saved = Checkpoints(folder, **{"keep": 2, **checkpoints}, world=world, also=also)
    saved.best = best
    writer = saved.writer = BackgroundWriter(world) if in_background else None
    copies = RemoteCopies(remote, "run", saved)
    copies.fetch()
    step, losses = 0, {}
    if newest := saved.latest():
        step = saved.load(newest, model, optimizer)["step"]
    while step < until:
        set_lr(optimizer, 1e-2 * cosine(step, 2, 20))
        x = torch.randn(batch, 6, generator=torch.Generator().manual_seed(step))
        mine = x[world.rank :: world.size]
        loss = model(mine).square().sum() * world.size / batch
        loss.backward()
        if writer:
            writer.wait_for_copy()
        clip_and_step(optimizer, model.parameters(), 1.0)
        if ema:
            ema.update()
        step += 1
        losses[step] = float(loss.detach() if alone else world.mean(loss.detach()))
        saved.score = (scores or {}).get(step)
        if step in save_at:
            saved.save(step, model, optimizer, note="kept")
    if writer:
        writer.finish()
    copies.finish()
    weights = {}
    averages = {f"ema.{name}": tensor for name, tensor in ema.tensors.items()} if ema else {}
    for name, tensor in (model.state_dict() | averages).items():
        whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
        weights[name.removeprefix("module.").replace("_orig_mod.", "")] = whole.clone()
    if not alone:
        with contextlib.suppress(RuntimeError):
            dist.close()
    return losses, weights
