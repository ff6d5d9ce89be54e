"""A moving average of the weights, which often scores better than the weights themselves."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from runtime.tensors import local_part, named_state


class EMA:
    """Averages of a model's weights: `average = decay * average + (1 - decay) * weight`.

    Made like an optimizer, once the model is where it trains and wrapped as it stays. Each process
    averages its own part of sharded weights; nothing is gathered. `tensors` belong into the
    checkpoint; after one without them, the averages begin with the weights of the next update.

    Buffers are averaged too, but for whole numbers such as counters, which are copied. Weights of
    16 bits are averaged in 32: what an update adds is too little for 16.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = model, decay
        # By identity: a weight that is tied has two names, and is to be averaged and swapped once.
        unique: dict[int, tuple[str, Tensor]] = {}
        for name, weight in named_state(model).items():
            unique.setdefault(id(weight), (name, weight))
        self._weights = [weight for _, weight in unique.values()]
        self._averages = [_wide(weight.detach().clone()) for weight in self._weights]
        self._updates = torch.zeros((), dtype=torch.int64)
        self.tensors = {"updates": self._updates}
        for (name, _), average in zip(unique.values(), self._averages, strict=True):
            self.tensors[f"average.{name}"] = average

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the weights; to be called after each step.

        After n updates the decay is n / (n + 9) at most, for a young average would otherwise be
        mostly the random weights of the beginning: (1 + t) / (10 + t) as in TensorFlow's
        ExponentialMovingAverage (`num_updates`), after a first update that copies the weights.
        """
        updates = int(self._updates)  # it lies on the CPU: nobody waits for a device
        decay = min(self.decay, updates / (updates + 9))
        # Looked up at each call: at its first forward FSDP may lay a weight's local part anew.
        pairs = list(zip(_local(self._averages), _local(self._weights), strict=True))
        if floats := [pair for pair in pairs if pair[0].is_floating_point()]:
            averages, weights = zip(*floats, strict=True)
            torch._foreach_lerp_(averages, [_wide(weight) for weight in weights], 1 - decay)
        for average, weight in pairs:
            if not average.is_floating_point():
                average.copy_(weight)
        self._updates += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the averages are the model's weights: to validate, to write them.

        Neither train nor save a checkpoint there. Before the first update nothing is changed.
        """
        if not self._updates:
            yield
            return
        kept = [weight.clone() for weight in _local(self._weights)]  # there are no gradients now
        self._put(_local(self._averages))
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for module in self.model.modules():
            # FSDP keeps the root's weights gathered after a forward without a backward, and would
            # use those of before the swap.
            reshard = getattr(module, "reshard", None)
            if reshard is not None:
                reshard()
        for weight, value in zip(_local(self._weights), values, strict=True):
            weight.copy_(value)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _local(tensors: list[Tensor]) -> list[Tensor]:
    """This process's part of each: arithmetic by element needs no more."""
    return [local_part(x) for x in tensors]
