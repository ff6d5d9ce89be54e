"""Many processes, one per device: set-up, and the few messages that the training loop exchanges.

Small messages travel over gloo on the CPU, gradients over NCCL where there are GPUs.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from runtime.errors import UserError
from runtime.world import T, World

# Who started this process, and where they say its rank, the world's size, its rank on this machine.
LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "srun": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
}


_LEFT: list[object] = []  # groups that were left, and their last messages: until the process ends


class Processes(World):
    """All processes of a run; `rank` is this one's number among `size`, `device` is its own."""

    mesh: DeviceMesh  # their numbers in several dimensions, where `init` was told of any

    def __init__(self, device: torch.device, local_rank: int) -> None:
        super().__init__(device)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.data_rank, self.data_size = self.rank, self.size
        self.local_rank = local_rank
        self._flag: tuple[Tensor, dist.Work] | None = None

    def barrier(self) -> None:
        dist.all_reduce(torch.zeros(1))  # dist.barrier() would pick a GPU by itself

    def broadcast(self, value: T) -> T:
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def any(self, flag: bool) -> bool:
        seen = torch.tensor(int(flag))
        dist.all_reduce(seen, dist.ReduceOp.MAX)
        return bool(seen)

    def highest_soon(self, value: int) -> int:
        # The reduction runs behind the next step's work and is read one call later, so that all
        # processes learn of a signal at the same step without ever waiting for each other.
        previous, flag = self._flag, torch.tensor(value)
        work = dist.all_reduce(flag, dist.ReduceOp.MAX, async_op=True)
        self._flag = (flag, work)
        if previous is None:
            return 0
        previous[1].wait()
        return int(previous[0])

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        if self.local_rank > 0:
            self.barrier()
        yield
        if self.local_rank == 0:
            self.barrier()

    def sum(self, *values: Tensor | float) -> list[Tensor]:
        """Each value summed over the data, in one all-reduce. Collective.

        Processes that read the same data have the same value, which counts once.
        """
        total = torch.stack([torch.as_tensor(v, device=self.device).double() for v in values])
        dist.all_reduce(total)
        return list(total * (self.data_size / self.size))

    def mean(self, value: Tensor | float) -> Tensor:
        """The value's mean over all processes. Collective."""
        return self.sum(value)[0] / self.data_size


def init(
    timeout_s: float = 600, *, shard: int | None = None, tensor: int | None = None
) -> Processes:
    """Join the processes that torchrun, srun or mpirun started; alone, be a group of one.

    A collective that some process never reaches raises after `timeout_s` seconds.

    With `shard` or `tensor` so many neighbours are a group; 0: those of a machine, -1: all. Then
    `world.mesh` is of two dimensions, the second for a place in the group. In "replicate" x "shard"
    a group holds one copy of the model. In "data" x "tensor" it computes one together, on the same
    data: `data_rank` is the group's number. UserError if processes are left over.
    """
    variables = next((v for v in LAUNCHERS.values() if all(name in os.environ for name in v)), None)
    rank, size, local_rank = (
        (int(os.environ[name]) for name in variables) if variables else (0, 1, 0)
    )
    device = torch.device("cpu")
    if torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise UserError(
                f"process {local_rank} has no GPU: this machine has {torch.cuda.device_count()}",
                f"torchrun --nproc-per-node {torch.cuda.device_count()} train.py",
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    # A backend for CPU tensors always: flags and checkpoint plans must not pass through the GPU.
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=_rendezvous(size) if variables else None,
        store=None if variables else dist.HashStore(),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=timeout_s),
    )
    world = Processes(device, local_rank)
    if shard is not None:
        world.mesh = _mesh(world, "replicate", "shard", shard)
    if tensor is not None:
        world.mesh = _mesh(world, "data", "tensor", tensor)
        world.data_rank, world.data_size = world.mesh.get_local_rank("data"), world.mesh.size(0)
    return world


def _mesh(world: Processes, outer: str, inner: str, size: int) -> DeviceMesh:
    """All processes as a mesh of two dimensions: neighbours differ in the inner one."""
    on_a_machine = torch.tensor(world.local_rank + 1)
    dist.all_reduce(on_a_machine, dist.ReduceOp.MAX)
    size = {0: int(on_a_machine), -1: world.size}.get(size, size)
    if world.size % size:
        fitting = max(n for n in range(1, size) if world.size % n == 0)
        raise UserError(
            f"{inner} is {size}, which does not divide {world.size} processes",
            f"--{inner} {fitting}",
        )
    shape = (world.size // size, size)
    return init_device_mesh(world.device.type, shape, mesh_dim_names=(outer, inner))


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
    _LEFT.append(dist.group.WORLD)
    # Nobody takes the meeting point away from the others. The message is kept: gloo's thread would
    # need Python's lock to free its tensor, and abort the process where Python is ending already.
    work = dist.all_reduce(torch.zeros(1), async_op=True)
    _LEFT.append(work)
    work.wait()
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
