"""The litgen command in a process of its own, without the time that Python takes to import it.

A server that has imported what litgen uses, and done nothing else, forks for every command: the
child is what `litgen WORDS` is once Python has read it.
"""

import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

from litgen_torch.cli import main

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(
    ["black", "copier", "jinja2", "libcst.metadata", "litgen_torch.cli", "tomlkit"]
)


def run_litgen(
    words: tuple[str, ...], folder: Path, environment: dict[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with no input, and with the output captured."""
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place, name) for name in ("stdout", "stderr")]
        process = _fork.Process(target=_litgen, args=(words, folder, environment, outputs))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout)
        assert process.exitcode is not None
        said = [output.read_text() for output in outputs]
    return subprocess.CompletedProcess(words, process.exitcode, *said)


def _litgen(
    words: tuple[str, ...], folder: Path, environment: dict[str, str], outputs: list[Path]
) -> None:
    for descriptor, output in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    main([*words])
