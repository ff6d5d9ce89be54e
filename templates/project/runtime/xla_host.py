"""What XLA's devices hold, on the host: for checkpoints, and for weights.pt."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from runtime.tensors import Tensors, named_state
from runtime.world import World
from runtime.xla import torch_xla


def on_host(writer: Callable[..., None] | None = None) -> Callable[..., None]:
    """A writer for checkpoints, which fetches all tensors; `writer`, if any, is handed these."""

    def write_fetched(model: nn.Module, found: Tensors, write: Callable[..., None]) -> None:
        fetched = fetch(found)
        if writer:
            writer(model, fetched, write)
        else:
            write(World(), fetched)

    return write_fetched


class OnHost(nn.Module):
    """The model's weights as they are now, on the host: for `save_weights`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._fetched = fetch(named_state(model))

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self._fetched


def fetch(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors on the CPU, whole. What is split is joined there, so that nothing is compiled."""
    on_devices = [x for x in tensors.values() if x.device.type == "xla"]
    torch_xla()._XLAC._xla_sync_multi(
        on_devices, [], True, True
    )  # as `sync`, but draws no new seed
    return {name: _whole(x.detach()) for name, x in tensors.items()}


def _whole(x: Tensor) -> Tensor:
    if x.device.type != "xla" or "devices=" not in torch_xla()._XLAC._get_xla_sharding_spec(x):
        return x.cpu()
    whole = torch.empty(x.shape, dtype=x.dtype)
    for part in torch_xla("distributed.spmd").XLAShardedTensor(x).local_shards:
        places = tuple(part.indices)  # those of the whole that it holds, before any padding
        whole[places] = part.data[tuple(slice(place.stop - place.start) for place in places)]
    return whole
