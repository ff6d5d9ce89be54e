"""Processes in groups of neighbours: two numbers for each, the group's and the place in it."""

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from runtime.dist import Processes
from runtime.errors import UserError


def lay_out(
    world: Processes,
    *,
    shard: int | None = None,
    tensor: int | None = None,
    context: int | None = None,
    stages: int | None = None,
) -> None:
    """Give `world.mesh` two dimensions: the groups, and the places in each. Collective.

    One of the arguments says how many neighbours are a group; 0: those of a machine, -1: all. In
    "replicate" x "shard" a group holds one copy of the model. In "data" x "tensor", "data" x
    "context" and "data" x "stages" it works on the same data, each process on a part of the layers,
    of the window or of the depth: then `world.data_rank` is the group's number, of
    `world.data_size`. UserError if processes are left.
    """
    if shard is not None:
        _lay_out(world, "replicate", "shard", shard)
    for name, size in (("tensor", tensor), ("context", context), ("stages", stages)):
        if size is not None:
            _lay_out(world, "data", name, size)
            world.data_rank, world.data_size = world.mesh.get_local_rank("data"), world.mesh.size(0)
    if stages is None:  # those that compute a layer together draw the same random numbers
        world.rng_rank, world.rng_size = world.data_rank, world.data_size


def _lay_out(world: Processes, groups: str, places: str, size: int) -> None:
    on_a_machine = torch.tensor(world.local_rank + 1)
    dist.all_reduce(on_a_machine, dist.ReduceOp.MAX)
    size = {0: int(on_a_machine), -1: world.size}.get(size, size)
    if world.size % size:
        fitting = max(n for n in range(1, size) if world.size % n == 0)
        raise UserError(
            f"{places} is {size}, which does not divide {world.size} processes",
            f"--{places} {fitting}",
        )
    shape = (world.size // size, size)
    world.mesh = init_device_mesh(world.device.type, shape, mesh_dim_names=(groups, places))
