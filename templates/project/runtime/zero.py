"""DeepSpeed's ZeRO under this project's loop: what a process keeps of the training is a part of it.

DeepSpeed exchanges gradients, clips and steps. Its own checkpoints are pickles for one number of
processes; here they are those of every other strategy, of which each process writes its part.
"""

import os
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from runtime.dist import Processes
from runtime.errors import UserError
from runtime.parts import Part

INSTALL = "pip install --no-build-isolation 'deepspeed>=0.19.8'    # torch first, and setuptools"
LOOP = {
    "train_micro_batch_size_per_gpu": 1,  # for its own figures only, which are not shown
    "managed_gradient_accumulation": False,  # a step has the batches between two calls of step()
}


class Place(NamedTuple):
    """Where a process's numbers of a parameter lie: of a row, which AdamW takes for its parameter.

    They are the parameter's own from its number `start` on.
    """

    row: Tensor
    numbers: slice
    start: int
    shape: torch.Size

    def part(self, row: Tensor) -> Part:
        return Part(row.detach()[self.numbers], self.start, self.shape)


class Zero(nn.Module):
    """A model that DeepSpeed trains, with `options` as in its config.json. Calls are collective.

    To be split before its first forward. Raises UserError where DeepSpeed is missing, or blocks are
    compiled that stage 3 would split.
    """

    engine: Any  # DeepSpeed's

    def __init__(self, model: nn.Module, world: Processes, options: dict[str, Any]) -> None:
        super().__init__()
        self.module, self.world, self.options = model, world, options
        self.stage: int = options["zero_optimization"]["stage"]
        if self.stage == 3 and any(module._compiled_call_impl for module in model.modules()):
            raise UserError(
                "compiled blocks do not go with --zero 3, whose hooks on each layer would be "
                "traced anew in each step",
                "--zero 2, or leave compile_blocks() out of train.py",
            )
        self.deepspeed = load_deepspeed(world)
        self.names = {parameter: name for name, parameter in model.named_parameters()}

    def split(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave to each process its part of the optimizer's work, in stage 3 of the weights."""
        with warnings.catch_warnings(action="ignore"):  # of the compiler, which it also reads
            engine, *_ = self.deepspeed.initialize(
                model=self.module, optimizer=optimizer, config=LOOP | self.options
            )
        # It holds the model as well, which is not to be found twice.
        self.__dict__["engine"], self.optimizer = engine, optimizer

    def forward(self, *args: Any) -> Any:
        return self.engine(*args)

    def step(self) -> float:
        """Clip, step, clear the gradients; return the norm of all of them before clipping.

        Where it is not finite the step is skipped, on all processes.
        """
        self.engine.step()
        return float(self.engine.get_global_grad_norm())

    # What a checkpoint is made of, by the model's own names.

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        parts = self._parts()
        for name, parameter in self.module.named_parameters(*args, **kwargs):
            yield name, parts.get(parameter, parameter)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        parts = self._parts()
        state = self.module.state_dict(keep_vars=True)
        return {name: parts.get(value, value) for name, value in state.items()}

    def optimizer_state(self) -> dict[str, dict[str, Tensor]]:
        """What AdamW keeps of each parameter, by its name: of this process's numbers."""
        return {
            self.names[parameter]: {
                key: place.part(value) if value.shape == place.row.shape else value
                for key, value in self.optimizer.state.get(place.row, {}).items()
            }
            for parameter, place in self._places().items()
        }

    def begin_optimizer(self, stored: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
        """The same, of zeros, for what a checkpoint has, which is then read into it."""
        keys: dict[str, dict[str, Any]] = {}
        for entry, about in stored.items():
            kind, _, rest = entry.partition(".")
            name, _, key = rest.rpartition(".")
            if kind == "optimizer":
                keys.setdefault(name, {})[key] = about
        counts_on = self.world.device if self.optimizer.defaults.get("fused") else "cpu"
        for parameter, place in self._places().items():
            state = self.optimizer.state[place.row]
            for key in keys.get(self.names[parameter], {}).keys() - state.keys():
                dtype = keys[self.names[parameter]][key].properties.dtype
                state[key] = (
                    torch.zeros((), dtype=dtype, device=counts_on)
                    if key == "step"
                    else torch.zeros(place.row.shape, dtype=dtype, device=place.row.device)
                )
        return self.optimizer_state()

    def settle(self) -> None:
        """To be called where weights were changed in place, as by a checkpoint."""
        self.engine.optimizer.refresh_fp32_params()  # stages 1 and 2 step in a copy
        self.reshard()

    def reshard(self) -> None:
        """Forget weights of others that are gathered."""
        if self.stage == 3:
            self.engine.optimizer.empty_partition_cache()

    def _parts(self) -> dict[Any, Part]:
        """In stage 3 a process has a part of each parameter, whose own tensor is empty then."""
        if self.stage < 3 or "engine" not in self.__dict__:
            return {}
        parts = {}
        for parameter in cast(Any, self.module.parameters()):
            numbers = parameter.ds_tensor.detach()
            start, count = _range(parameter, self.world.rank)
            parts[parameter] = Part(numbers[:count], start, parameter.ds_shape)
        return parts

    def _places(self) -> dict[Any, Place]:
        zero, places = self.engine.optimizer, {}
        if self.stage < 3:
            rows = zip(zero.single_partition_of_fp32_groups, zero.bit16_groups, strict=True)
            for row, parameter in [(row, p) for row, group in rows for p in group]:
                numbers, start = slice(0), 0
                if held := parameter._hp_mapping:  # else others have all of it
                    at, start = held.hp_fragment_address, held.lp_fragment_address.start
                    numbers = slice(at.start, at.start + at.numel)
                places[parameter] = Place(row, numbers, start, parameter.shape)
            return places
        for row, group in zip(zero.fp32_partitioned_groups_flat, zero.fp16_groups, strict=True):
            at = 0
            for parameter in group:
                start, count = _range(parameter, self.world.rank)
                places[parameter] = Place(row, slice(at, at + count), start, parameter.ds_shape)
                at += parameter.partition_numel()
        return places


def _range(parameter: Any, rank: int) -> tuple[int, int]:
    """Which numbers of a parameter stage 3 leaves to a process: the first, and how many."""
    most: int = parameter.partition_numel()
    start = rank * most
    return start, max(0, min(most, parameter.ds_numel - start))


def load_deepspeed(world: Processes) -> Any:
    """Import DeepSpeed, told what this run has found. Raises UserError where it is missing."""
    os.environ.setdefault("DS_ACCELERATOR", world.device.type)
    os.environ["LOCAL_RANK"] = str(world.local_rank)  # which torchrun sets, and no other launcher
    # It still calls torch by names that torch is giving up.
    warnings.filterwarnings("ignore", r".*torch\.distributed\.\w+` is deprecated", FutureWarning)
    try:
        with warnings.catch_warnings(action="ignore"):
            import deepspeed  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise UserError(f"this project trains with deepspeed: {error}", INSTALL) from None
    if not hasattr(deepspeed.DeepSpeedEngine, "managed_gradient_accumulation"):
        raise UserError(
            f"DeepSpeed {deepspeed.__version__} is installed, expected 0.19.8 or newer", INSTALL
        )
    # It would try all compilers, and on a CPU, in each process at once, make an operator with one
    # that only inference calls.
    deepspeed.ops.__compatible_ops__ = {}
    return deepspeed
