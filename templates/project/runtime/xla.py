"""XLA's devices, TPUs above all: one process drives all of its machine, as if they were one.

torch only notes what it is asked for. `sync` hands it over as a graph, which XLA compiles where it
is new, cuts up for the devices (SPMD), and runs while the host goes on. So a step must ask for the
same again: another shape is another graph, and a number that the host reads makes it wait.
See https://docs.pytorch.org/xla/release/r2.9/perf/spmd_basic.html
"""

import importlib
import logging
import os
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn

from runtime.data import map_tensors
from runtime.errors import UserError

INSTALL = "pip install torch==2.9.0 torch_xla==2.9.0    # on a TPU: 'torch_xla[tpu]==2.9.0'"


class Devices:
    """All XLA devices of this machine. `device` is torch's name for all of them together.

    `shard` neighbours hold one copy of the weights together: 1 is a copy on each, 0 one copy in
    all. A batch is split over all devices, whatever they hold.
    """

    def __init__(self, shard: int) -> None:
        self.device = torch.device("xla")
        self.kind: str = torch_xla("runtime").device_type()
        self.count: int = torch_xla("runtime").global_runtime_device_count()
        if self.count % (shard or self.count):
            fitting = max(n for n in range(1, shard) if self.count % n == 0)
            raise UserError(
                f"shard is {shard}, which does not divide {self.count} devices",
                f"--shard {fitting}",
            )
        self.shard = shard or self.count
        shape = (self.count // self.shard, self.shard)
        self._mesh = torch_xla("distributed.spmd").Mesh(
            list(range(self.count)), shape, ("replicate", "shard")
        )

    def take(self, model: nn.Module) -> None:
        """Move the model to the devices. `model.to(device)` would give what is tied two copies."""
        names: dict[int, list[str]] = {}
        for name, weight in model.named_parameters(remove_duplicate=False):
            names.setdefault(id(weight), []).append(name)
        model.to(self.device)
        for first, *others in names.values():
            for module, _, name in (other.rpartition(".") for other in others):
                setattr(model.get_submodule(module), name, model.get_parameter(first))

    def split(self, batch: Any) -> Any:
        """The batch on the devices, of its rows a part on each."""
        return map_tensors(batch, self._split)

    def _split(self, x: Tensor) -> Tensor:
        x = x.to(self.device)
        if x.ndim:  # padded where the rows do not share out evenly; no result sees the padding
            self._mark(x, 0, ("replicate", "shard"))
        return x

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Split each over the devices that share a copy, by the first side that they divide.

        The gradients of those that have any are split likewise, when they are computed.
        """
        for x in tensors if self.shard > 1 else ():
            side = next((i for i, size in enumerate(x.shape) if size % self.shard == 0), None)
            if side is None:
                continue
            self._mark(x, side, "shard")
            if x.requires_grad and x.is_leaf:
                x.register_post_accumulate_grad_hook(self._spread_gradient)

    def keep_rows(self, modules: Iterable[nn.Module]) -> None:
        """Let what these return stay split by rows: then it is weights that travel, as under FSDP.

        Of another split, which XLA may prefer by itself, it would not always find a cheap way back.
        """
        for module in modules if self.shard > 1 else ():
            module.register_forward_hook(self._keep_rows)

    def _keep_rows(self, module: nn.Module, args: Any, x: Tensor) -> None:
        if len(x) % self.count == 0:
            self._mark(x, 0, ("replicate", "shard"))

    def _spread_gradient(self, x: Tensor) -> None:
        if x.grad is not None:
            self.spread([x.grad])

    def _mark(self, x: Tensor, side: int, axes: str | tuple[str, ...]) -> None:
        torch_xla("distributed.spmd").mark_sharding(
            x, self._mesh, tuple(axes if i == side else None for i in range(x.ndim))
        )

    def sync(self) -> None:
        """Let the devices do what was asked for so far; nobody waits."""
        torch_xla().sync()


def start(shard: int = 1) -> Devices:
    """Make ready for all XLA devices of this machine; raises UserError where that cannot be.

    To be called before any other tensor is on them. Products of 32 bits are computed in 32 bits: a
    TPU would take 16 by itself.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(
            "xla is one process for all devices, and this is one of several", "python train.py"
        )
    check_versions()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's warnings about itself
    try:
        runtime = torch_xla("runtime")
        logging.getLogger("torch_xla.backends").setLevel(logging.ERROR)  # it warns at every call
        runtime.use_spmd()
        torch_xla("backends").set_mat_mul_precision("highest")
        here = runtime.addressable_runtime_device_count()
        everywhere = runtime.global_runtime_device_count()
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            f"XLA finds no device: {str(error).strip().splitlines()[0].split('. ')[0]}",
            "PJRT_DEVICE=CPU python train.py    # to try it without a TPU",
        ) from error
    if here < everywhere:
        raise UserError(
            f"of {everywhere} devices {here} are on this machine, and xla was not tried on several",
            "take a TPU that is one machine, or the strategy fsdp on GPUs",
        )
    return Devices(shard)


def check_versions() -> None:
    """Raise UserError unless torch_xla is there, and made for this torch."""
    try:
        found = metadata.version("torch_xla")
    except metadata.PackageNotFoundError:
        raise UserError(
            "the strategy xla needs torch_xla, which is not installed", INSTALL
        ) from None
    made_for, here = (version.split(".")[:2] for version in (found, torch.__version__))
    if made_for != here:
        raise UserError(
            f"torch_xla {found} loads beside torch {'.'.join(made_for)}, "
            f"and this is torch {torch.__version__}",
            INSTALL,
        )


def torch_xla(name: str = "") -> Any:
    """torch_xla, or a module of it: loaded where it is needed, and without types."""
    return importlib.import_module(f"torch_xla.{name}".rstrip("."))
