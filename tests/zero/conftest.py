"""For the tests of DeepSpeed: one thread a process, and DeepSpeed read once for all forks."""

import os
import sys
import warnings
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: forked processes must not wait for its threads
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))  # forked, and how strategies compare


@pytest.fixture(scope="session")
def read_deepspeed() -> None:
    os.environ["DS_ACCELERATOR"] = "cpu"
    with warnings.catch_warnings(action="ignore"):
        import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401  # what takes longest
