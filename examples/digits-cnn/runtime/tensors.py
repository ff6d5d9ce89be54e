"""The tensors of a model and its optimizer, to and from files, sharded or not.

Everything goes by the parameters' plain names, whatever wraps the model (DDP, torch.compile), and
sharded parameters (FSDP) stay sharded: each process reads and writes its own part, and torch's
distributed checkpoint (DCP) cuts them anew where the number of processes or the strategy differs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime.checkpoint_files import plain_errors
from runtime.errors import UserError
from runtime.files import replacing
from runtime.world import World

# Who writes what is the same in each save, and takes seconds to settle among many processes. Before
# torch 2.13 a save that failed could leave half a plan for the next one.
SAFE_TO_KEEP_PLANS = torch.__version__ >= "2.13"

Tensors = Mapping[str, Tensor]  # by name
Groups = Mapping[str, Mapping[str, Tensor]]  # further tensors: group -> name -> tensor


def collect(model: nn.Module, optimizer: torch.optim.Optimizer, also: Groups) -> Tensors:
    """All that a checkpoint holds, by name; nothing is copied."""
    found = _of_model(model) | _flat(also)
    own = getattr(model, "optimizer_state", None)  # DeepSpeed keeps it in rows of its own
    state = own() if own else {n: optimizer.state.get(p, {}) for n, p in _parameters(model)}
    found |= _flat({f"optimizer.{name}": values for name, values in state.items()})
    if odd := [name for name, value in found.items() if not isinstance(value, Tensor)]:
        raise TypeError(f"only tensors can be saved, and {odd[0]} is none")
    return found


def write(folder: Path, found: Tensors, world: World, copies: Tensors | None = None) -> None:
    """Write what was collected to a folder, synced to disk. Collective.

    With `copies`, the values are taken from there: of each tensor this process's part.
    """
    import torch.distributed.checkpoint as dcp  # 0.5 s, so not before it is needed

    class FromCopies(dcp.DefaultSavePlanner):
        def lookup_object(self, index: Any) -> Any:
            if not copies:
                return super().lookup_object(index)
            part, copy = found[index.fqn], copies[index.fqn]
            return part.of(copy).__get_tensor_shard__(index) if hasattr(part, "of") else copy

    with plain_errors():
        dcp.save(
            dict(found),
            storage_writer=dcp.FileSystemWriter(folder),
            planner=FromCopies(enable_plan_caching=world.size > 1 and SAFE_TO_KEEP_PLANS),
            process_group=world.group,
            no_dist=world.size == 1,
        )


def read(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    world: World,
    also: Groups,
) -> list[str]:
    """Fill all of it from a folder, in place; return the groups that it does not have. Collective.

    Raises UserError if the folder's tensors are not those of this model, by name and shape.
    """
    import torch.distributed.checkpoint as dcp

    from runtime.reader import Reader

    with plain_errors():
        metadata = Reader(folder).read_metadata()
    stored: dict[str, Any] = metadata.state_dict_metadata
    there = {name.partition(".")[0] for name in stored}
    wanted = _of_model(model) | _flat({name: also[name] for name in also if name in there})
    # Of a pipeline each process has a stage, and knows what the others have.
    others: Tensors = getattr(model, "elsewhere", dict)()
    known = wanted | {f"model.{name}": value for name, value in others.items()}
    for name in sorted(known.keys() | {name for name in stored if name.startswith("model.")}):
        saved = list(stored[name].size) if name in stored else "missing"
        here = list(known[name].shape) if name in known else "missing"
        if saved != here:
            raise UserError(
                f"{folder} is of another model: {name.removeprefix('model.')} is {saved} there, "
                f"{here} here",
                "take the settings from the run's config.toml, or start another run: --name NEW",
            )
    begin: Any = getattr(model, "begin_optimizer", lambda stored: _empty_state(stored, model))
    state = begin(stored) if optimizer else {}
    wanted |= _flat({f"optimizer.{name}": values for name, values in state.items()})
    with plain_errors():
        dcp.load(wanted, storage_reader=Reader(folder), no_dist=world.size == 1)
    if settle := getattr(model, "settle", None):
        settle()
    elif optimizer:
        names = {id(parameter): name for name, parameter in _parameters(model)}
        order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
        groups = optimizer.state_dict()["param_groups"]
        filled = {i: state[name] for i, name in enumerate(order) if name in state}
        optimizer.load_state_dict({"state": filled, "param_groups": groups})
    return [name for name in also if name not in there]


def save_weights(path: Path, model: nn.Module, world: World | None = None) -> None:
    """Write the whole model's weights to one file, which `torch.load` reads. Collective."""
    weights = {}
    gather = getattr(model, "gather_stages", None)  # of a pipeline each process has a stage
    for name, tensor in _of_model(model).items():
        whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
        if world is None or world.is_main or gather:
            weights[name.removeprefix("model.")] = whole.cpu()
    if gather:
        weights = gather(weights)
    if weights:
        try:
            with replacing(path) as draft:
                torch.save(weights, draft)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{path} could not be written: {error.__context__ or error}",
                "make room; the same command goes on from the last checkpoint",
            ) from error


def named_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's own parameters and buffers by their plain names; a tied one has several."""
    state = _unwrapped(model).state_dict(keep_vars=True)
    return {name.replace("_orig_mod.", ""): value for name, value in state.items()}


def local_part(x: Tensor) -> Tensor:
    """This process's part of a tensor, which may be sharded."""
    part: Tensor = x.to_local() if hasattr(x, "to_local") else x
    return part


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def _parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in _unwrapped(model).named_parameters():
        if not parameter.is_meta:
            yield name.replace("_orig_mod.", ""), parameter


def _of_model(model: nn.Module) -> dict[str, Tensor]:
    return {f"model.{name}": value.detach() for name, value in named_state(model).items()}


def _flat(groups: Groups) -> dict[str, Tensor]:
    return {f"{group}.{name}": x for group, named in groups.items() for name, x in named.items()}


def _empty_state(stored: dict[str, Any], model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Tensors to read the stored optimizer state into, per parameter: sharded as the parameter is.

    So the optimizer never has to make its state by a step, which would move the weights.
    """
    parameters = dict(_parameters(model))
    state: dict[str, dict[str, Tensor]] = {}
    for entry, about in stored.items():
        name, _, key = entry.removeprefix("optimizer.").rpartition(".")
        if entry.startswith("optimizer.") and name in parameters:
            parameter, dtype = parameters[name], about.properties.dtype
            same_shape = about.size == parameter.shape
            empty = (
                torch.zeros_like(parameter, dtype=dtype)
                if same_shape
                else torch.zeros(about.size, dtype=dtype)
            )
            state.setdefault(name, {})[key] = empty
    return state
