"""A model's layers, split over processes by a plan that names them."""

import logging
import warnings
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch

import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import ParallelStyle, parallelize_module

from runtime.errors import UserError


def split_layers(
    model: nn.Module,
    mesh: DeviceMesh,
    plan: Mapping[str, ParallelStyle],
    shared: Mapping[str, int],
    whole: Iterable[str] = (),
) -> nn.Module:
    """Split the model over the processes of a mesh, in place: `parallelize_module`, made safe.

    The processes must be able to share evenly the numbers in `shared`, and every dimension that is
    cut. Tied weights stay tied. What lies under the names in `whole` stays whole, and has to be
    computed alike on all these processes. Every other parameter must be in the plan: the gradients
    of one that is not would differ between processes, and its values drift apart without a word.
    UserError says which of it does not hold.
    """
    _share(mesh, shared)
    # Two notes of torch on what is meant here: FSDP's, that what a layer returns may be a part of a
    # DTensor (nobody changes it in place), and that weights are gathered in two steps, once a run.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)

    modules = dict(model.named_modules())
    for pattern in plan:
        if not any(_fits(name, pattern) for name in modules):
            raise UserError(
                f"plan.py splits {pattern}, and the model has no such layer",
                "name the layers there as model.py does",
            )
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    parallelize_module(model, mesh, dict(plan))
    for first, *others in names.values():
        for name in others:
            owner, _, own = name.rpartition(".")
            setattr(model.get_submodule(owner), own, model.get_parameter(first))

    for name, parameter in model.named_parameters():
        if isinstance(parameter, DTensor):
            for placement in parameter.placements:
                if isinstance(placement, Shard):
                    _share(mesh, {f"a dimension of {name}": parameter.shape[placement.dim]})
        elif not any(name == each or name.startswith(f"{each}.") for each in whole):
            raise UserError(
                f"plan.py does not say how {name} is split",
                "give its layer a line there: SequenceParallel() for a norm",
            )
    return model


def _share(mesh: DeviceMesh, numbers: Mapping[str, int]) -> None:
    size = mesh.size()
    for name, number in numbers.items():
        if number % size:
            fitting = max(n for n in range(1, size) if not any(m % n for m in numbers.values()))
            fix = f"torchrun --nproc-per-node {fitting} train.py"
            if size < dist.get_world_size():
                fix = f"--{(mesh.mesh_dim_names or ('tensor',))[0]} {fitting}"
            raise UserError(f"{name} is {number}, which {size} processes cannot share evenly", fix)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is one that the pattern means: `*` is any one part of it."""
    return name.count(".") == pattern.count(".") and fnmatch(name, pattern)
