"""How often a property is tried: the same few examples each time, or many others with EXAMPLES."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings


def often(examples: int) -> Callable[[Any], Any]:
    """So many examples, always the same ones; EXAMPLES=1000 tries that many, drawn anew."""
    wished = os.environ.get("EXAMPLES")
    return settings(
        max_examples=int(wished or examples),
        derandomize=not wished,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
