"""Projects for a launcher, whose steps take as long as PACE says, in seconds a sample of digits."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from projects import LITGEN

QUICK = ["--batch-size=4", "--log-every=1", "--eval-every=1000", "--warmup=2"]
PACED = "        time.sleep(float(os.environ.get('PACE', '0')) if self.augment else 0)\n"


def generate(folder: Path, *words: str) -> Path:
    """A project with these choices, whose samples come as slowly as PACE says."""
    new = [LITGEN, "new", folder, "-y", *words]
    done = subprocess.run(new, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    data = folder / "data.py"
    text = re.sub(r"( +def __getitem__.*\n)", rf"\1{PACED}", data.read_text(), count=1)
    assert PACED in text
    data.write_text(text.replace('"""\n', '"""\n\nimport os\nimport time\n', 1))
    return folder


def losses(project: Path, run: str) -> list[tuple[int, float]]:
    """The loss of each step of a run, as far as it is logged."""
    log = project / f"runs/{run}/metrics.jsonl"
    whole = log.read_text().splitlines(True) if log.exists() else []
    lines = [json.loads(line) for line in whole if line.endswith("\n")]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something is so, at most so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.5)
