"""Which device a precision is made for: elsewhere it is slow, imitated, or no gain."""

import torch

from runtime.errors import UserError
from runtime.world import World

MADE_FOR = {
    "bf16": "CUDA 8.0 and later, or a CPU with AVX-512",
    "bf16-true": "CUDA 8.0 and later, or a CPU with AVX-512",
    "fp16": "CUDA 7.0 and later",
    "tf32": "CUDA 8.0 and later",
    "fp64": "a CPU, or CUDA of a data centre",
    "float8": "CUDA 8.9 and later",
}
WIDE_64 = ((6, 0), (7, 0), (8, 0), (9, 0), (10, 0))  # CUDA with half as many products of 64 bits


def check_support(
    precision: str, device: torch.device, otherwise: str, world: World | None = None
) -> None:
    """Say so if the device is not made for the precision; end the run if `otherwise` is "stop"."""
    if is_made_for(precision, device):
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    found = f"{precision} is made for {MADE_FOR[precision]}, and this is {name}"
    if otherwise == "stop":
        raise UserError(found, "--on-wrong-hardware go-on, or train elsewhere")
    if (world or World()).local_rank == 0:
        print(f"{found}: slower, or no gain", flush=True)


def is_made_for(precision: str, device: torch.device) -> bool:
    """Whether the device computes with the precision by itself, and fast."""
    if device.type == "cuda" and torch.version.hip is None:
        at_least = torch.cuda.get_device_capability(device)
        if precision == "fp64":
            return at_least in WIDE_64
        return at_least >= {"fp16": (7, 0), "float8": (8, 9)}.get(precision, (8, 0))
    if device.type == "cpu":
        # Without its instructions oneDNN computes in 32 bits and casts; older torch cannot tell.
        cpu = {"bf16": "bf16", "bf16-true": "bf16", "fp16": "fp16"}.get(precision)
        told = getattr(torch.ops.mkldnn, f"_is_mkldnn_{cpu}_supported", None)
        return precision == "fp64" or bool(cpu and (told is None or told()))
    return precision.startswith("bf16") or precision == "fp16" or device.type == "cuda"
