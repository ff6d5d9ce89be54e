"""The learning rate over a run: what it is multiplied by at a step.

Functions of the step alone: there is no scheduler to save, and a skipped step or another number of
processes cannot put them out of pace. All begin with `warmup` steps in which the rate goes up in a
line, and end at `floor`.
"""

import math


def cosine(step: int, warmup: int, steps: int, floor: float = 0.1) -> float:
    """Down from the first step after the warm-up, in half a cosine (arXiv:1608.03983)."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * _progress(step, warmup, steps)))


def linear(step: int, warmup: int, steps: int, floor: float = 0.1) -> float:
    """Down from the first step after the warm-up, in a line."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * (1 - _progress(step, warmup, steps))


def wsd(step: int, warmup: int, steps: int, floor: float = 0.1, decay: float = 0.2) -> float:
    """Warm-up, stable, decay: at its highest up to the last `decay` of the steps, then down.

    Until the decay begins nothing depends on `steps`, so a run can be made longer from a checkpoint
    before it (MiniCPM, arXiv:2404.06395). It goes down as one minus a square root, fast at first,
    which ends lower than a line does (arXiv:2405.18392).
    """
    if step < warmup:
        return (step + 1) / warmup
    stable = max(warmup, steps - round(decay * steps))  # the first step of the decay
    return floor + (1 - floor) * (1 - math.sqrt(_progress(step, stable, steps)))


def _progress(step: int, first: int, last: int) -> float:
    """How far the step is on the way from first to last: 0 before it, 1 behind it."""
    return min(1.0, max(0.0, (step - first) / max(1, last - first)))
