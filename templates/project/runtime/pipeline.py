"""Batches that pass through the stages of a model, one to a process, in parts: microbatches."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import PipelineScheduleSingle

from runtime.dist import Processes
from runtime.errors import UserError
from runtime.stage import tied


class Pipeline(nn.Module):
    """A model of which each process of a group has kept a stage. Calls are collective.

    `shape` is that of what a stage hands to the next, for a row of a batch. The schedule, any of
    torch.distributed.pipelining with one stage to a process, says which microbatch is computed
    when; `microbatches` is their number, 0 for that of the stages. With `autocast` a stage computes
    in that type. UserError if a batch cannot be cut so.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_sum: Callable[[Tensor, Tensor], Tensor],
        schedule: Callable[..., PipelineScheduleSingle],
        world: Processes,
        *,
        shape: tuple[int, ...],
        batch_size: int,
        microbatches: int = 0,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.module, self.loss_sum, self.world, self.shape = model, loss_sum, world, shape
        self.group = world.mesh["stages"].get_group()
        self.stage, stages = dist.get_rank(self.group), dist.get_world_size(self.group)
        self.is_first, self.is_last = self.stage == 0, self.stage == stages - 1
        self.tied = tied(model, self.stage)
        self.dtype = next(model.parameters()).dtype
        self.divisor: Tensor | float = 1.0
        if autocast:
            within = torch.autocast(world.device.type, autocast)
            model.forward = within(model.forward)  # type: ignore[method-assign]
        model.register_forward_hook(self._check)

        microbatches = microbatches or stages
        if microbatches < stages or batch_size % microbatches:
            enough = max(microbatches, stages)
            raise UserError(
                f"{batch_size} samples cannot be cut into {microbatches} equal microbatches, one "
                f"or more for each of {stages} stages",
                f"--microbatches {enough} --batch-size {-(-batch_size // enough) * enough}",
            )
        rows = batch_size // microbatches
        between = torch.empty(rows, *shape, dtype=self.dtype, device="meta", requires_grad=True)
        stage = PipelineStage(
            model, self.stage, stages, world.device, between, between, group=self.group
        )
        self.schedule = schedule(stage, microbatches, self._loss, scale_grads=False)
        # NCCL has to know the group before two of it talk to each other.
        dist.all_reduce(torch.zeros(1, device=world.device), group=self.group)

    def step(self, x: Tensor, y: Tensor, divisor: Tensor | float) -> Tensor:
        """Forward and backward of a batch; the loss, divided, and its gradients as those of it."""
        self.divisor = divisor
        losses: list[Tensor] = []
        try:
            self.schedule.step(x, target=y, losses=losses, return_outputs=False)
        except RuntimeError as error:
            if isinstance(error.__cause__, UserError):  # what _check said, which torch has wrapped
                raise error.__cause__ from None
            raise
        loss = torch.zeros((), dtype=torch.float64, device=x.device)
        if self.is_last:
            loss += torch.stack(losses).detach().sum()
        dist.broadcast(loss, group=self.group, group_src=dist.get_world_size(self.group) - 1)
        return loss

    def forward(self, x: Tensor) -> Tensor:
        """Forward alone, of any number of rows; what the last stage returns is the model's."""
        if not self.is_first:
            x = torch.empty(len(x), *self.shape, dtype=self.dtype, device=x.device)
            if len(x):
                dist.recv(x, group=self.group, group_src=self.stage - 1)
        x = self.module(x)
        if len(x) and not self.is_last:
            dist.send(x.contiguous(), group=self.group, group_dst=self.stage + 1)
        return x

    def share_gradients(self) -> None:
        """Once a step: add up those of tied weights, average those of equal stages."""
        for weight, stages in self.tied.items():
            if not weight.requires_grad:
                continue
            grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            parts = {s: grad if s == self.stage else torch.empty_like(grad) for s in stages}
            ends = [
                dist.P2POp(way, x, group=self.group, group_peer=other)
                for other, part in parts.items()
                for way, x in ((dist.isend, grad), (dist.irecv, part))
                if other != self.stage
            ]
            for work in dist.batch_isend_irecv(ends):
                work.wait()
            weight.grad = torch.stack([*parts.values()]).sum(0)  # in one order: equal to the bit
        if self.world.data_size > 1:
            group = self.world.mesh["data"].get_group()
            grads = [weight.grad for weight in self.parameters() if weight.grad is not None]
            for work in [dist.all_reduce(g, dist.ReduceOp.AVG, group, True) for g in grads]:
                work.wait()

    def grad_norm(self) -> Tensor:
        """The norm of the gradient of all stages; a tied weight's counts once."""
        grads = [
            weight.grad
            for weight in self.parameters()
            if weight.grad is not None and self.tied.get(weight, [self.stage])[0] == self.stage
        ]
        norm = nn.utils.get_total_norm(grads).to(self.world.device)
        square = norm.double().square()
        dist.all_reduce(square, group=self.group)
        return square.sqrt().to(norm.dtype)

    # A checkpoint has the model's own names, and of each process what it holds.
    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        return self.module.named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        state = self.module.state_dict(*args, **kwargs)
        return {name: x for name, x in state.items() if not x.is_meta}

    def elsewhere(self) -> dict[str, Tensor]:
        """What other stages hold, by name: shapes without numbers."""
        return {name: x for name, x in self.module.state_dict().items() if x.is_meta}

    def gather_stages(self, held: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the stages hold, by name, together on the main process; elsewhere nothing."""
        parts: list[Any] = [{}] * dist.get_world_size(self.group)
        if self.world.data_rank == 0:
            into = parts if self.is_first else None
            dist.gather_object(held, into, group=self.group, group_dst=0)
        found = {name: x for part in parts for name, x in part.items()}
        return {name: found[name] for name in self.module.state_dict() if name in found}

    def _loss(self, output: Tensor, y: Tensor) -> Tensor:
        return self.loss_sum(output, y) / self.divisor

    def _check(self, model: nn.Module, given: Any, handed_on: Tensor) -> None:
        found = tuple(handed_on.shape[1:]), handed_on.dtype
        if not self.is_last and found != (self.shape, self.dtype):
            raise UserError(
                f"stage {self.stage} hands on {found}, and plan.py says {self.shape, self.dtype}",
                "let between() in plan.py say what a block of model.py returns",
            )
