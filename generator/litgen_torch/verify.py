"""Does a change leave training as it was? A few steps before and after, in copies of the project.

The copies lie in a temporary folder: code as files of their own, all else (data) as links, beside
them links to what lies beside the project, so that paths such as ../data lead where they always do.
"""

import ast
import json
import math
import os
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litgen_torch.change import Change
from litgen_torch.environment import python_of
from litgen_torch.errors import LitgenError
from litgen_torch.render import Tree

# Two ways to the same sum may round otherwise; a change that matters is far above this.
TOLERANCE = 1e-5
LEFT_OUT = {"runs", "__pycache__"}  # besides folders that begin with a dot


@dataclass(frozen=True)
class Losses:
    """The loss of each step before and after a change."""

    seed: int | None
    before: tuple[float, ...]
    after: tuple[float, ...]
    may_differ: bool

    @property
    def largest(self) -> float:
        """The largest difference."""
        return max(map(_distance, self.before, self.after))

    @property
    def agree(self) -> bool:
        """Whether the losses are as they should be."""
        if self.may_differ:
            return all(map(math.isfinite, self.after)) or not all(map(math.isfinite, self.before))
        return self.largest <= TOLERANCE * max(1.0, *map(abs, self.before))

    @property
    def words(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        steps = "1 step" if len(self.before) == 1 else f"{len(self.before)} steps"
        return f"{steps} before and after{seed}, largest difference in loss {self.largest:.3g}"


def _distance(a: float, b: float) -> float:
    if math.isfinite(a) and math.isfinite(b):
        return abs(a - b)
    return 0.0 if str(a) == str(b) else math.inf  # nan is nowhere near itself


def verify(change: Change, steps: int) -> Losses:
    """Train the project as it is and as it would be, from the same seed, on the CPU."""
    folder, python = change.project.folder, python_of(change.project.folder)
    given = _last_settings(folder)
    losses = list[tuple[float, ...]]()
    for tree, when in ((change.mine, "as it is"), (change.merge.tree, "with this change")):
        with tempfile.TemporaryDirectory(prefix="litgen-verify-") as scratch:
            place = _copy(folder, Path(scratch), tree, known=change.mine)
            words = [python, "train.py", *_settings(tree.get("config.py", ""), steps, given)]
            found = _train(words, place, when)
        if len(found) != steps:
            raise LitgenError(
                f"train.py {when} wrote {len(found)} losses to metrics.jsonl in {steps} steps",
                "leave --verify out",
            )
        losses.append(tuple(found))
    seed = given.get("seed", _defaults(change.mine.get("config.py", "")).get("seed"))
    return Losses(seed, losses[0], losses[1], change.alters_losses)


def _copy(folder: Path, scratch: Path, tree: Tree, *, known: Tree) -> Path:
    place = scratch / folder.name
    for neighbour in folder.parent.iterdir():
        if neighbour != folder:
            (scratch / neighbour.name).symlink_to(neighbour)
    _link(folder, place, tree.keys() | known.keys())
    for path, text in tree.items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return place


def _link(source: Path, place: Path, code: set[str], inside: str = "") -> None:
    """Link what a folder holds, but for the paths of code."""
    place.mkdir()
    for entry in source.iterdir():
        path = f"{inside}{entry.name}"
        if path in code or entry.is_dir() and _is_left_out(entry.name):
            continue
        if any(other.startswith(f"{path}/") for other in code):
            _link(entry, place / entry.name, code, f"{path}/")
        else:
            (place / entry.name).symlink_to(entry.absolute())


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name in LEFT_OUT


def _settings(config: str, steps: int, given: dict[str, Any]) -> list[str]:
    """What train.py is called with: few steps, small; else as the last run was."""
    ours: dict[str, Any] = {"name": "verify", "steps": steps, "log_every": 1}
    ours |= {"eval_every": steps, "save_every": steps, "fast": True}
    if known := _defaults(config):
        ours = {name: value for name, value in ours.items() if name in known}
        small = _fast(config)
        ours |= {n: v for n, v in given.items() if n in known and n not in ours and n not in small}
    return [f"--{name.replace('_', '-')}={_word(value)}" for name, value in ours.items()]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_word, value)) if isinstance(value, list) else str(value)


def _defaults(config: str) -> dict[str, Any]:
    """The settings that config.py declares, with those defaults that are constants."""
    return {
        field.target.id: getattr(field.value, "value", None)
        for node in _parsed(config).body
        if isinstance(node, ast.ClassDef) and node.name == "Config"
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def _fast(config: str) -> set[str]:
    """The settings that --fast makes small."""
    return {
        str(key.value)
        for node in _parsed(config).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FAST"
        for key in getattr(node.value, "keys", [])
        if isinstance(key, ast.Constant)
    }


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def _last_settings(folder: Path) -> dict[str, Any]:
    """The settings of the newest run, so that it trains on the owner's data with his numbers."""
    files = sorted(folder.glob("runs/*/config.toml"), key=lambda file: file.stat().st_mtime)
    try:
        return tomllib.loads(files[-1].read_text(encoding="utf-8")) if files else {}
    except (OSError, ValueError):
        return {}


def _train(words: list[str], place: Path, when: str) -> list[float]:
    # On the CPU, where equal means equal; and no logger shall tell anybody of this run.
    quiet = {"CUDA_VISIBLE_DEVICES": "", "WANDB_MODE": "disabled", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        words,
        cwd=place,
        env=os.environ | quiet,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise LitgenError(
            f"train.py {when} ends with {done.returncode}: {said}",
            "put that right, or leave --verify out",
        )
    lines = [
        json.loads(line)
        for file in place.glob("runs/*/metrics.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    losses = [line["loss"] for line in lines if "loss" in line]
    return [math.nan if loss is None else float(loss) for loss in losses]
