"""Run by `litgen doctor` in the project's own Python, never imported: what there is to train with.

    python probe.py PACKAGE...

Prints one line of JSON. Needs nothing but the standard library; torch is what is asked about.
"""

import contextlib
import importlib
import importlib.metadata
import json
import os
import platform
import signal
import sys
import tempfile
from datetime import timedelta
from typing import Any

PATIENCE = 20  # seconds for two processes to find each other on one machine


def main(packages: list[str]) -> None:
    """Print all that was found; a question that ends in an exception has its words as answer."""
    found: dict[str, Any] = {"python": platform.python_version(), "executable": sys.executable}
    found["missing"] = [name for name in packages if not _is_installed(name)]
    try:
        import torch
    except Exception as error:  # of any kind: a broken installation raises what it likes
        found["torch_error"] = _words(error)
    else:
        found["torch"] = torch.__version__
        # First of all, because a process that has talked to CUDA cannot be forked.
        found["gloo"] = _talk_in_two_processes()
        found["devices"] = _devices()
        found["bf16"] = _bf16()
        found["torchvision"] = _import_error("torchvision")
    print("\n" + json.dumps(found), flush=True)


def _is_installed(package: str) -> bool:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version(package)
        return True
    return False


def _talk_in_two_processes() -> str:
    """Sum a number over two processes with gloo; "" if that works, else why it does not."""
    if not hasattr(os, "fork"):
        return "this system cannot fork"
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            os._exit(0 if _talk(1, folder) == "" else 1)
        words = _talk(0, folder)
        with contextlib.suppress(ProcessLookupError):
            if words:
                os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return words or ("" if status == 0 else "the second process failed")


def _talk(rank: int, folder: str) -> str:
    import torch
    from torch import distributed

    signal.signal(signal.SIGALRM, signal.SIG_DFL if rank else _too_late)
    signal.alarm(PATIENCE)  # gloo's own time limit does not hold for all that it waits for
    try:
        distributed.init_process_group(
            "gloo",
            init_method=f"file://{folder}/meeting",
            rank=rank,
            world_size=2,
            timeout=timedelta(seconds=PATIENCE),
        )
        total = torch.ones(1)
        distributed.all_reduce(total)
        distributed.destroy_process_group()
        return "" if total.item() == 2 else f"1 + 1 came out as {total.item()}"
    except Exception as error:
        return _words(error)
    finally:
        signal.alarm(0)


def _too_late(*_: object) -> None:
    raise TimeoutError(f"no answer within {PATIENCE} s")


def _devices() -> list[str]:
    """The accelerators, by the names that torch gives them."""
    import torch

    found = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found + (["mps"] if torch.backends.mps.is_available() else [])


def _bf16() -> str:
    """How 16-bit brain floats are computed here: "cuda", "mps", "cpu", "slow" or "no"."""
    import torch

    if torch.cuda.is_available():
        return "cuda" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    device = "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        x = torch.ones(8, 8, dtype=torch.bfloat16, device=device)
        works = bool(((x @ x) == 8).all())
    except Exception:
        return "no"
    if device == "cpu" and works:
        # Any CPU computes with them; one without instructions for it is slower than in 32 bits.
        fast = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
        return "cpu" if fast() else "slow"
    return device if works else "no"


def _import_error(package: str) -> str:
    """Why an installed package cannot be imported; "" if it can be, or is not there."""
    if not _is_installed(package):
        return ""
    try:
        importlib.import_module(package)
    except Exception as error:
        return _words(error)
    return ""


def _words(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1:])
