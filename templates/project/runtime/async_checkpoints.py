"""Checkpoints written by a thread of their own, while training goes on.

A save copies the state to memory of the CPU, which is kept for the next one, and from there it is
written by the code that writes it without this module. What lies on a GPU is copied by the GPU in
the order of its work; what lies on the CPU, by the thread, until `wait_for_copy`.
"""

import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor, nn

from runtime.tensors import Tensors, local_part, named_state
from runtime.world import ELSEWHERE, World


class BackgroundWriter:
    """Writes for a run's checkpoints, as their `writer`. Made, called and finished collectively.

    A save waits for the one before it, and raises what went wrong there, as `finish` does. Between
    a save and `wait_for_copy`, which must be called before weights are changed, a model may compute
    forward and backward. Where Python ends early, what was begun is written first.
    """

    def __init__(self, world: World | None = None) -> None:
        self.world = (world or World()).aside()
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._copies: dict[str, Tensor] = {}
        self._copied: Future[None] | None = None
        self._written: Future[None] | None = None

    def __call__(self, model: nn.Module, found: Tensors, write: Callable[..., None]) -> None:
        self.finish()
        # What is no weight may change in the next forward, before anybody waits for the copy.
        state = named_state(model).items()
        buffers = {f"model.{name}" for name, x in state if not isinstance(x, nn.Parameter)}
        copies, later = {}, []
        for name, tensor in found.items():
            part = local_part(tensor).detach()
            copies[name] = copy = _like(part, self._copies.get(name))
            if part.device.type == "cpu" and name not in buffers:
                later.append((name, part, copy, part._version))
            else:  # to wait for, the GPU must not stop
                copy.copy_(part, non_blocking=part.is_cuda)
        self._copies = copies
        on_gpu = torch.cuda.Event() if torch.cuda.is_available() else None
        if on_gpu:
            on_gpu.record()

        def copy_parts() -> None:
            for _, part, copy, _ in later:
                copy.copy_(part)
            for name, part, _, version in later:
                if part._version != version:
                    raise RuntimeError(f"{name} was changed before wait_for_copy() was called")

        def write_copies(copied: Future[None]) -> None:
            error = copied.exception()
            if self.world.any(error is not None):
                raise error or RuntimeError(f"the state could not be copied: {ELSEWHERE}")
            if on_gpu:
                on_gpu.synchronize()
            write(self.world, copies)

        self._copied = self._thread.submit(copy_parts)
        self._written = self._thread.submit(write_copies, self._copied)

    def wait_for_copy(self) -> None:
        """Wait until weights may change again."""
        if self._copied:
            self._copied.result()

    def finish(self) -> None:
        """Wait until the last checkpoint is on disk. Raises what went wrong with it. Collective."""
        written, self._written = self._written, None
        if written:
            written.result()


def _like(part: Tensor, kept: Tensor | None) -> Tensor:
    """Memory of the CPU for a copy: that of the last one, if it fits."""
    if kept is not None and (kept.shape, kept.dtype) == (part.shape, part.dtype):
        return kept
    small = part.nbytes < 1 << 20
    copy = torch.empty(part.shape, dtype=part.dtype, pin_memory=part.is_cuda and small)
    if part.is_cuda and not small:
        # Only pinned memory is filled while others work; torch's own allocator would take the next
        # power of two of it.
        cudart = torch.cuda.cudart()
        torch.cuda.check_error(cudart.cudaHostRegister(copy.data_ptr(), copy.nbytes, 1))
        weakref.finalize(copy, cudart.cudaHostUnregister, copy.data_ptr())
    return copy
