"""The litgen command as a process, for every test of the generator."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from command import run_litgen
from projects import Run

hypothesis.settings.register_profile("litgen", deadline=None)  # no test of ours depends on time
hypothesis.settings.load_profile("litgen")


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """litgen ends by ignoring Ctrl-C, which pytest must not."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def litgen(tmp_path: Path) -> Run:
    """Runs the command in an empty folder, without a terminal."""

    def run(*words: str, cwd: Path = tmp_path, **extra: str) -> subprocess.CompletedProcess[str]:
        return run_litgen(words, cwd, os.environ | extra)

    return run
