"""Random state: seeded from one number, saved and restored to the bit."""

import random
import sys
from typing import Any

import torch

XLA = "torch_xla.core.xla_model"  # loaded where a run has XLA's devices


def seed_all(seed: int, stream: int = 0) -> None:
    """Seed torch, Python and (where they are loaded) NumPy and XLA.

    Different streams of one seed are unrelated: stream 0 makes the same weights on every process,
    a stream per process makes different dropout masks.
    """
    mixed = mix(seed, stream)
    torch.manual_seed(mixed)
    random.seed(mixed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(mixed % 2**32)
    if xla := sys.modules.get(XLA):
        xla.set_rng_state(mixed)


def mix(*numbers: int) -> int:
    """One number from several, a non-negative 63-bit one: the same in every process and run."""
    # Python salts the hash of text, never that of whole numbers.
    return hash(numbers) & (2**63 - 1)


def state() -> dict[str, Any]:
    """The random state of this process, of nothing but tensors, lists and numbers.

    So `torch.load(weights_only=True)` reads it back, which refuses tuples of arrays.
    """
    version, internal, gauss = random.getstate()
    saved: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, list(internal), gauss],
    }
    if numpy := sys.modules.get("numpy"):
        name, keys, *rest = numpy.random.get_state()
        saved["numpy"] = [name, keys.tolist(), *rest]
    if torch.cuda.is_available():
        saved["cuda"] = torch.cuda.get_rng_state()
    elif torch.backends.mps.is_available():
        saved["mps"] = torch.mps.get_rng_state()
    if xla := sys.modules.get(XLA):
        saved["xla"] = xla.get_rng_state()
    return saved


def set_state(saved: dict[str, Any]) -> None:
    """Go back to a state that `state` returned."""
    torch.set_rng_state(saved["torch"])
    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
    if "numpy" in saved and (numpy := sys.modules.get("numpy")):
        numpy.random.set_state(saved["numpy"])
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state(saved["cuda"])
    if "mps" in saved and torch.backends.mps.is_available():
        torch.mps.set_rng_state(saved["mps"])
    if "xla" in saved and (xla := sys.modules.get(XLA)):
        xla.set_rng_state(saved["xla"])
