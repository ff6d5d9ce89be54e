"""A model's layers, split over processes by a plan that names them."""

import logging
import warnings
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from types import MethodType

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import ParallelStyle, parallelize_module

from runtime.errors import UserError


def apply_plan(
    model: nn.Module,
    mesh: DeviceMesh,
    plan: Mapping[str, ParallelStyle],
    shared: Mapping[str, int],
) -> None:
    """Hand the layers that a plan names to the processes of a mesh: torch's `parallelize_module`.

    UserError if these cannot share the numbers in `shared` evenly, or a layer is not there.
    """
    _share(mesh, shared)
    modules = dict(model.named_modules())
    for pattern in plan:
        if not any(_fits(name, pattern) for name in modules):
            raise UserError(
                f"plan.py splits {pattern}, and the model has no such layer",
                "name the layers there as model.py does",
            )
    # Notes of torch on what is meant here. FSDP's: what a layer returns may be a part of a DTensor;
    # nobody changes it in place. DTensor's: weights are gathered in two steps, once a run, and
    # processes on CPUs exchange parts by gathering all of them.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    for name in ("_redistribute", "_collective_utils"):
        logging.getLogger(f"torch.distributed.tensor.{name}").setLevel(logging.ERROR)
    parallelize_module(model, mesh, dict(plan))


def split_layers(
    model: nn.Module,
    mesh: DeviceMesh,
    plan: Mapping[str, ParallelStyle],
    shared: Mapping[str, int],
    whole: Iterable[str] = (),
) -> None:
    """Split a model's weights over the processes of a mesh, in place, as a plan says.

    Tied weights stay tied. What lies under the names in `whole` stays whole, and has to be computed
    alike on all these processes. Every other parameter must be in the plan: the gradients of one
    that is not would differ between processes, and its values drift apart without a word. UserError
    if one is not, or cannot be cut evenly, and where `apply_plan` raises one.
    """
    noted = {name: vars(parameter) for name, parameter in model.named_parameters()}
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    apply_plan(model, mesh, plan, shared)
    for first, *others in names.values():
        vars(model.get_parameter(first)).update(noted[first])  # what others wrote on a parameter
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
    model.forward = MethodType(_forward, model)  # type: ignore[method-assign]


def part_of(x: Tensor, mesh: DeviceMesh, dim: int = 1) -> Tensor:
    """This process's part of a tensor that a group shares, in the order of its processes."""
    return x.chunk(mesh.size(), dim)[mesh.get_local_rank()]


def _forward(model: nn.Module, x: Tensor) -> Tensor:
    """As the model's class has it; a batch without rows goes with one that is then left out.

    Over the shape of a view without rows torch's DTensor (2.13) broods for ever.
    """
    if len(x):
        return type(model).forward(model, x)
    return type(model).forward(model, x.new_zeros(1, *x.shape[1:]))[:0]


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
