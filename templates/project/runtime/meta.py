"""A model that no process ever holds as a whole, with the very weights that it would have had.

It is built on torch's meta device, where tensors have a shape and no memory. What its constructors
do to each parameter, and the random state in which they do it, is noted, and done when the model is
split: to a parameter at a time, of which each process then keeps its part. So numbers are drawn
twice, and nothing in model.py has to know of it.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from runtime.errors import UserError

aten = torch.ops.aten
# What was done before one of these to a whole parameter does not matter any more.
ANEW = {aten.normal_.default, aten.uniform_.default, aten.fill_.Scalar, aten.zero_.default}
# Those of nn.init that leave a tensor without memory alone: noted as a whole, not by what they do.
WHOLE = ("trunc_normal_", "orthogonal_", "sparse_", "dirac_")


class Change(NamedTuple):
    """What is done in place to a parameter, or to a part of it."""

    operation: Callable[..., Any]
    arguments: dict[str, Any]
    target: str  # the argument that is changed
    part: tuple[Any, Any, int]  # its size, stride and offset
    dtype: torch.dtype
    random: Tensor  # the state in which it draws numbers, if it does


@contextlib.contextmanager
def weights_later() -> Iterator[None]:
    """Here modules are made without memory for their parameters, which `make_weights` gives them.

    That concerns what is made without values (`torch.empty`), as torch's own modules do. Random
    numbers are drawn all the same: whatever is drawn behind this stays as it is.
    """
    notes, parameters = _Notes(), list[nn.Parameter]()
    with contextlib.ExitStack() as stack:
        hook = register_module_parameter_registration_hook(
            lambda module, name, parameter: parameters.append(parameter)
        )
        stack.callback(hook.remove)
        for name in WHOLE:
            original = getattr(nn.init, name)
            stack.callback(setattr, nn.init, name, original)
            setattr(nn.init, name, partial(notes.call, original))
        stack.enter_context(_Guard())
        stack.enter_context(notes)
        yield
    for parameter in parameters:
        if parameter is not None and parameter.is_meta:
            # On the parameter itself, wherever it is put before it is made.
            parameter.changes = notes.of(parameter)  # type: ignore[attr-defined]


class _Notes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._changes: dict[int, tuple[Any, list[Change]]] = {}  # with the memory that is changed
        self._aside = False  # while something is only tried, here:
        self._memory = torch.empty(0, dtype=torch.uint8)

    def of(self, tensor: Tensor) -> list[Change]:
        memory = tensor.untyped_storage()
        return self._changes.setdefault(memory._cdata, (memory, []))[1]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is aten.empty.memory_format and not self._aside:
            return func(*args, **{**kwargs, "device": "meta", "pin_memory": False})
        schema = func._schema.arguments
        given = dict(zip((each.name for each in schema), args, strict=False)) | kwargs
        if func is aten._to_copy.default and args[0].is_meta:  # as of `.to(device)`
            moved = func(*args, **{**kwargs, "device": "meta"})
            self.of(moved).extend(self.of(args[0]))
            return moved
        for each in schema:
            if each.alias_info and each.alias_info.is_write and _is_meta(given.get(each.name)):
                draws = torch.Tag.nondeterministic_seeded in func.tags
                self._note(func, given, each.name, draws)
        return func(*args, **kwargs)

    def call(self, function: Any, tensor: Tensor, *arguments: Any, **options: Any) -> Tensor:
        """Note a call of one of `WHOLE`."""
        given = inspect.signature(function).bind(tensor, *arguments, **options).arguments
        if tensor.is_meta:
            self._note(function, given, "tensor", draws=True)
        else:
            function(**given)
        return tensor

    def _note(self, operation: Any, given: dict[str, Any], target: str, draws: bool) -> None:
        tensor = given[target]
        part = tensor.size(), tensor.stride(), tensor.storage_offset()
        random = (given.get("generator") or torch.default_generator).get_state()
        size = tensor.untyped_storage().nbytes()
        if draws:  # what comes after it draws as if it had been done
            self._aside = True
            if len(self._memory) < size:
                self._memory = torch.empty(size, dtype=torch.uint8)
            trial = self._memory[:size].view(tensor.dtype).as_strided(*part)
            operation(**given | {target: trial})
            self._aside = False
        changes = self.of(tensor)
        if operation in ANEW and tensor.nbytes == size:
            changes.clear()
        given = {n: v for n, v in given.items() if n not in (target, "generator")}
        changes.append(Change(operation, given, target, part, tensor.dtype, random))


def _is_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_meta


class _Guard(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if result is True and getattr(func, "__self__", None) is torch.Tensor.is_meta:
            caller = sys._getframe(1)
            if caller.f_globals.get("__name__") == nn.init.__name__:
                raise UserError(
                    f"{caller.f_code.co_name} would do nothing to a tensor without memory",
                    "call it by its full name, as in nn.init.trunc_normal_(…)",
                )
        return result


def make_weights(module: nn.Module, device: torch.device) -> None:
    """Give what is below a module its memory and first values: all of it, or this process's part.

    To be called on what is split next, block by block; tied parameters belong to one call. Raises
    UserError where a parameter's values cannot be had again.
    """
    made: dict[nn.Parameter, nn.Parameter] = {}
    state = torch.get_rng_state()
    for name, owner in module.named_modules():
        for own, parameter in owner._parameters.items():
            if parameter is not None and parameter.is_meta:
                if parameter not in made:
                    made[parameter] = _make(parameter, device, f"{name}.{own}".lstrip("."))
                owner._parameters[own] = made[parameter]
        for own, buffer in owner._buffers.items():
            owner._buffers[own] = None if buffer is None else buffer.to(device)
    torch.set_rng_state(state)


@torch.no_grad()
def _make(parameter: nn.Parameter, device: torch.device, name: str) -> nn.Parameter:
    changes: list[Change] = getattr(parameter, "changes", [])
    if not changes or any(_is_meta(v) for c in changes for v in c.arguments.values()):
        raise UserError(
            f"{name}, made without memory, is given its values in a way that cannot be repeated",
            "make it with values: torch.zeros or torch.randn in the place of torch.empty",
        )
    whole = torch.empty(parameter.shape, dtype=changes[0].dtype)
    for change in changes:
        torch.set_rng_state(change.random)
        change.operation(**change.arguments, **{change.target: whole.as_strided(*change.part)})
    value = whole.to(device, parameter.dtype)
    if isinstance(parameter, DTensor):  # every process has drawn the same, and takes its part
        mesh, placements = parameter.device_mesh, parameter.placements
        value = distribute_tensor(value, mesh, placements, src_data_rank=None)
    return nn.Parameter(value, parameter.requires_grad)
