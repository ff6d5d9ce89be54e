"""The Python with which a project trains, which need not be the one that litgen runs in."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litgen_torch.errors import LitgenError

PROBE = Path(__file__).with_name("probe.py")
PATIENCE = 120  # seconds; importing torch for the first time takes long on a slow disk


def python_of(folder: Path) -> str:
    """The project's own environment if it has one, else what `python` is in this shell."""
    own = folder / ".venv/bin/python"
    if os.access(own, os.X_OK):
        return str(own)
    return shutil.which("python") or sys.executable


def probe(python: str, packages: Sequence[str]) -> dict[str, Any]:
    """What probe.py finds out in that Python about torch, the hardware and these packages."""
    try:
        done = subprocess.run(
            [python, "-I", str(PROBE), *packages],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout.rpartition("\n{")[2].join(["{", ""]))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise LitgenError(f"{python} does not answer: {error}", "python -V") from error
    return found
