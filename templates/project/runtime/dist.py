"""Many processes, one per device: set-up, and the few messages that the training loop exchanges.

Small messages travel over gloo on the CPU, gradients over NCCL where there are GPUs.
"""

import contextlib
import copy
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from runtime.errors import UserError
from runtime.watch import Watch
from runtime.world import T, World

# Who started this process, and where they say its rank, the world's size, its rank on this machine.
LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "srun": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
}

GRACE_S = 30  # for all processes to say where they stand, before torch gives one up
_ASIDE: list[dist.ProcessGroup] = []  # further groups of all processes
_LEFT: list[object] = []  # groups that were left, and their last messages: until the process ends


class Processes(World):
    """All processes of a run; `rank` is this one's number among `size`, `device` is its own."""

    mesh: DeviceMesh  # their numbers in two dimensions, where `lay_out` gave them any

    def __init__(self, device: torch.device, local_rank: int, timeout: timedelta) -> None:
        super().__init__(device)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.data_rank, self.data_size = self.rng_rank, self.rng_size = self.rank, self.size
        self.local_rank, self.timeout = local_rank, timeout
        self._flag: tuple[Tensor, dist.Work] | None = None
        self.watch: Watch | None = None

    def moved(self) -> None:
        if self.watch:
            self.watch.moved()

    def aside(self, timeout: timedelta | None = None) -> "Processes":
        # In one group, messages of two threads would meet in another order on another process.
        other = copy.copy(self)
        other.group = dist.new_group(backend="gloo", timeout=timeout or self.timeout)
        other._flag = other.watch = None  # which watches the thread that trains
        _ASIDE.append(other.group)
        return other

    def barrier(self) -> None:
        self.moved()
        # dist.barrier() would pick a GPU by itself.
        dist.all_reduce(torch.zeros(1), group=self.group)

    def broadcast(self, value: T) -> T:
        self.moved()
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.group, device=torch.device("cpu"))
        return box[0]

    def gather(self, value: T) -> list[T]:
        self.moved()
        values = [value] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def any(self, flag: bool) -> bool:
        self.moved()
        seen = torch.tensor(int(flag))
        try:
            dist.all_reduce(seen, dist.ReduceOp.MAX, group=self.group)
        except RuntimeError as missed:  # the timeout, or the end of another process
            raise UserError(
                "waited in vain for the other processes, as where one saves a checkpoint alone",
                "see what they say; all of them save and load, never one under `if world.is_main:`",
            ) from missed
        return bool(seen)

    def highest_soon(self, value: int) -> int:
        # The reduction runs behind the next step's work and is read one call later, so that all
        # processes learn of a signal at the same step without ever waiting for each other.
        self.moved()
        previous, flag = self._flag, torch.tensor(value)
        work = dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.group, async_op=True)
        self._flag = (flag, work)
        if previous is None:
            return 0
        previous[1].wait()
        return int(previous[0])

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        others = self.aside(timedelta(days=365))  # it may take long
        is_first = failed = self.local_rank == 0
        with self.watch.paused() if self.watch else nullcontext():
            if not is_first and others.any(False):
                sys.exit(1)  # where it failed says why
            try:
                yield
                failed = False
            finally:
                failed_anywhere = is_first and others.any(failed)
        if failed_anywhere:
            sys.exit(1)

    def sum(self, *values: Tensor | float) -> list[Tensor]:
        """Each value summed over the data, once for processes that read the same. Collective."""
        self.moved()
        total = torch.stack([torch.as_tensor(v, device=self.device).double() for v in values])
        dist.all_reduce(total, group=self.group)
        return list(total * (self.data_size / self.size))

    def mean(self, value: Tensor | float) -> Tensor:
        """The value's mean over all processes. Collective."""
        return self.sum(value)[0] / self.data_size


def init(timeout_s: float = 600) -> Processes:
    """Join the processes that torchrun, srun or mpirun started; alone, be a group of one.

    One of several that stands still for `timeout_s` seconds ends, and says where; 0 is no limit.
    """
    variables = next((v for v in LAUNCHERS.values() if all(name in os.environ for name in v)), None)
    rank, size, local_rank = [int(os.environ[v]) for v in variables] if variables else [0, 1, 0]
    device = torch.device("cpu")
    if torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise UserError(
                f"process {local_rank} has no GPU: this machine has {torch.cuda.device_count()}",
                f"torchrun --nproc-per-node {torch.cuda.device_count()} train.py",
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    timeout = timedelta(seconds=timeout_s + GRACE_S) if timeout_s else timedelta(days=365)
    # A backend for CPU tensors always: flags and checkpoint plans must not pass through the GPU.
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=_rendezvous(size) if variables else None,
        store=None if variables else dist.HashStore(),
        rank=rank,
        world_size=size,
        timeout=timeout,
    )
    world = Processes(device, local_rank, timeout)
    if timeout_s and size > 1:
        world.watch = Watch(f"process {rank} of {size}", timeout_s)
    return world


def _rendezvous(size: int) -> str:
    """Where the processes meet: what the launcher says, else this machine."""
    several_machines = int(os.environ.get("SLURM_NNODES", 1)) > 1
    if "MASTER_ADDR" not in os.environ and several_machines:
        raise UserError(
            f"{size} processes on several machines do not know where to meet",
            "export MASTER_ADDR=$(scontrol show hostnames | head -n 1) MASTER_PORT=29500",
        )
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    return "env://"


def close() -> None:
    """Leave the group: the last line of a run that ends well. Collective."""
    # If DDP's reducer held the last reference, freeing the model would join gloo's thread while
    # holding Python's lock, for which that thread may be waiting.
    _LEFT.extend([dist.group.WORLD, *_ASIDE])
    # Nobody takes the meeting point away from the others. The message is kept: gloo's thread would
    # need Python's lock to free its tensor, and abort the process where Python is ending already.
    for group in (None, *_ASIDE):
        work = dist.all_reduce(torch.zeros(1), group=group, async_op=True)
        _LEFT.append(work)
        work.wait()
    _ASIDE.clear()
    dist.destroy_process_group()


def grad_sync(model: nn.Module, sync: bool) -> AbstractContextManager[None]:
    """Around forward and backward: exchange gradients here, or only add them up locally.

    Forward has to be inside: DDP decides there whether its backward will communicate. FSDP keeps
    unsharded gradients in memory until the micro-batch that does.
    """
    if isinstance(model, DistributedDataParallel):
        return nullcontext() if sync else model.no_sync()
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(sync)
    return nullcontext()
