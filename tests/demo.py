"""Train the project that `make demo` generated, and say what it reached.

python tests/demo.py FOLDER [STEPS]    # with STEPS: only so many, and any accuracy will do
"""

import json
import subprocess
import sys
import time
from pathlib import Path

EXPECTED = 0.98  # of the validation images


def main(folder: str, steps: str = "") -> int:
    start = time.monotonic()
    name = f"{steps}-steps" if steps else "demo"
    options = ["--name", name, *(["--steps", steps] if steps else [])]
    trained = subprocess.run([sys.executable, "train.py", *options], cwd=folder)
    if trained.returncode:
        return trained.returncode
    metrics = Path(folder, "runs", name, "metrics.jsonl")
    accuracy = json.loads(metrics.read_text().splitlines()[-1])["val_accuracy"]
    seconds = time.monotonic() - start
    print(f"demo: {accuracy:.1%} of the validation images right after {seconds:.0f} s", end="")
    if steps:
        print(f" and {steps} steps")
        return 0
    print(f", expected at least {EXPECTED:.0%}")
    return 0 if accuracy >= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
