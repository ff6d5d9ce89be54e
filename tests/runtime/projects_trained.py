"""A generated project's own `main`, called in forked processes: in a second, not in ten."""

import json
import warnings
from pathlib import Path
from typing import Any

from forked import enter, forked

import runtime

SMALL = {"steps": 6, "warmup": 1, "eval_every": 3, "save_every": 3, "log_every": 1}
SMALL |= {"batch_size": 4, "accumulate": 2, "dropout": 0.0}
SMALL_MODEL = {
    "cnn": {"widths": (8, 16), "depth": 1},
    "vit": {"width": 16, "heads": 2, "depth": 2},
    "gpt": {"width": 32, "depth": 2, "block": 16, "eval_samples": 9, "pattern": "*.py"},
}


def trained(
    project: Path, model: str, processes: int = 1, **settings: Any
) -> list[dict[str, float]]:
    """Train as `train.py` does; the lines of metrics.jsonl."""
    assert ended(project, model, processes, **settings) == [0] * processes
    name = settings.get("name", "run")
    lines = (project / "runs" / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def ended(project: Path, model: str, processes: int = 1, **settings: Any) -> list[int]:
    """Train likewise; the exit code of each process."""
    settings = SMALL | SMALL_MODEL[model] | {"name": "run"} | settings
    if model == "gpt":
        settings["data"] = str(Path(runtime.__file__).parent)
    return forked(processes, _main, project, settings)


def _main(project: Path, settings: dict[str, Any]) -> int:
    enter(project)
    warnings.simplefilter("error")
    import config
    import train

    code: int = train.main(config.Config(**settings))
    return code
