"""What all benchmarks print: where they ran, and numbers with their spread."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import distributions, version
from pathlib import Path


def place() -> str:
    """The versions and the machine. A machine that was lent may have torch and not litgen."""
    python = f"python {platform.python_version()}"
    names = {"litgen": "litgen-torch", "torch": "torch"}
    found = {each.name for each in distributions()}
    packages = ", ".join(f"{n} {version(d)}" for n, d in names.items() if d in found)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{python}, {packages} · {cores} × {_cpu()}"


def spread(values: Sequence[float], digits: int) -> str:
    """The median and, behind it, the quartiles: half of the values lie between these."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f}  ({low:.{digits}f} … {high:.{digits}f})"


def _cpu() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
