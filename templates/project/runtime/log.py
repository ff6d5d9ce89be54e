"""What a run tells: lines on the terminal, metrics.jsonl for programs, loss.svg for the eye.

Only the main process prints and writes; on the others the same calls do nothing.
"""

import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from runtime.config import save_config
from runtime.errors import UserError
from runtime.files import write_whole
from runtime.lock import hold
from runtime.numbers import as_text, short
from runtime.plot import draw, read_metrics, sparkline
from runtime.world import World

FIX = "make room or give write access, or start another run: --name NEW"
MOST_SKIPS = 20  # in a row: more than the loss scale of fp16 needs to find its place


def open_run(config: Any, world: World | None = None) -> Path:
    """Make the folder runs/<config.name> and hold it until this process ends. Collective.

    --fast empties it first. Raises UserError if another process holds it.
    """
    world = world or World()
    folder, failure = Path("runs", config.name), ("", "")
    if not config.name.isprintable() or config.name in ("..", "") or folder.name != config.name:
        raise UserError(f"{config.name!r} cannot be the name of a folder", "--name first-try")
    try:
        if world.is_main:
            hold(folder, empty=getattr(config, "fast", False))
    except UserError as error:
        failure = error.found, error.fix
    except OSError as error:
        failure = f"{folder} cannot be written: {error.strerror}", FIX
    failure = world.broadcast(failure)
    if any(failure):
        raise UserError(*failure)
    return folder


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}", FIX) from error


class Log:
    """The log of one run, from `step` on: what an earlier process logged beyond it is removed.

    `also` are further logs: `start` makes each as `kind(folder, step, config)`, and they are called
    with step and values, which need not be finite, and closed in the end.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        step: int = 0,
        *,
        per_step: int,
        unit: str,
        world: World | None = None,
        also: Sequence[Callable[[Path, int, Any], Any]] = (),
    ) -> None:
        self.folder, self.steps, self.first = folder, steps, step
        self.per_step, self.unit = per_step, unit  # a step sees so many of these
        self.is_main = (world or World()).is_main
        self.metrics = folder / "metrics.jsonl"
        self.also, self._loggers = [*also], list[Any]()
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._began = self._last = self._drawn = time.monotonic()
        self._last_step, self._rate = step, ""
        self._skips = self._skips_in_a_row = 0
        if self.is_main:
            lines = read_metrics(self.metrics) if self.metrics.exists() else []
            kept = [json.dumps(line) + "\n" for line in lines if 0 < line["step"] <= step]
            with _writing(folder):
                write_whole(self.metrics, "".join(kept).encode())

    def start(self, config: Any, model: nn.Module, device: str) -> None:
        """Print what is trained, where, from which step on, and keep the settings as config.toml.

        To be called once the checkpoint is loaded: settings that do not fit the run stay out of it.
        """
        if self.is_main:
            with _writing(self.folder):
                save_config(config, self.folder / "config.toml")
                self._loggers = [kind(self.folder, self.first, config) for kind in self.also]
        # DistributedDataParallel holds the model as `module`; fully_shard renames its class.
        kind = type(getattr(model, "module", model)).__name__.removeprefix("FSDP")
        size = short(sum(p.numel() for p in model.parameters()))
        resumed = f" · resumed from step {self.first}" if self.first else ""
        about = f"{config.name} · {kind}, {size} parameters · {device} · seed {config.seed}"
        self.say(f"{about}{resumed} → {self.folder}")
        self._began = self._last = time.monotonic()

    def __call__(self, step: int, **metrics: Any) -> None:
        """Add a line to metrics.jsonl and print it. Metrics are numbers or tensors of one number.

        In the file a number that is not finite is null.
        """
        if not self.is_main:
            return
        values = {key: float(value) for key, value in metrics.items()}
        line = {key: value if math.isfinite(value) else None for key, value in values.items()}
        # Closed at once, so that no line waits in a buffer for a kill.
        with _writing(self.folder), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **line}) + "\n")
        with _writing(self.folder):
            for logger in self._loggers:
                logger(step, values)
        now = time.monotonic()
        if step > self._last_step:
            pace = (step - self._last_step) * self.per_step / max(now - self._last, 1e-9)
            self._rate = f"{short(pace)} {self.unit}/s"
        self._last, self._last_step = now, step
        shown = {key: f"{key} {as_text(key, value)}" for key, value in values.items()}
        scores = [shown.pop(key) for key in values if key.startswith("val_")]
        self.say("   ".join([self._line(step, *shown.values()), *scores]))

    def progress(self, step: int, norm: float) -> None:
        """Show on a terminal how far the run is, and watch for steps skipped for their gradient.

        To be called after each step. Raises UserError after 20 skipped steps in a row.
        """
        if math.isfinite(norm):
            self._skips_in_a_row = 0
        else:
            self._skip(step, norm)
        if not (self._live and self.is_main) or time.monotonic() < self._drawn + 0.1:
            return
        self._drawn = time.monotonic()
        done = 24 * step // self.steps
        bar = "━" * done + "─" * (24 - done)
        line = self._line(step, bar)[: shutil.get_terminal_size().columns - 1]  # or it would wrap
        sys.stdout.write(f"\r{line}\x1b[K")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a line, in the place of the progress line."""
        if self.is_main:
            encoding = sys.stdout.encoding or "utf-8"
            text = text.encode(encoding, "replace").decode(encoding)  # a log file may be ASCII
            print(f"\r\x1b[K{text}" if self._live else text, flush=True)

    def finish(self, step: int) -> None:
        """Draw loss.svg and print the last line: the result, or how the run goes on."""
        if not self.is_main:
            return
        for logger in self._loggers:
            logger.close()
        with _writing(self.folder):
            draw(self.metrics, self.folder / "loss.svg")
        if step < self.steps:
            self.say(f"saved step {step} of {self.steps}. The same command goes on from there.")
            return
        lines = read_metrics(self.metrics)
        last = {key: line[key] for line in lines for key in line if line[key] is not None}
        scores = {k: f"{k} {as_text(k, last[k])}" for k in last if k.startswith("val_")}
        if "val_loss" in last:
            known = [line for line in lines if line.get("val_loss") is not None]
            best, place = min((line["val_loss"], line["step"]) for line in known)
            scores["val_loss"] += f" (best {as_text('val_loss', best)} at {place})"
        curve = sparkline(line.get("loss") for line in lines)
        weights, picture = self.folder / "weights.pt", self.folder / "loss.svg"
        self.say(f"done: {', '.join(scores.values()) or 'nothing was validated'}")
        self.say(f"  weights {weights} · curve {picture}  {curve}")

    def _skip(self, step: int, norm: float) -> None:
        self._skips, self._skips_in_a_row = self._skips + 1, self._skips_in_a_row + 1
        if self._skips & (self._skips - 1) == 0:  # the 1st, 2nd, 4th, 8th, …: enough to notice
            count = f"; {self._skips} so far" if self._skips > 1 else ""
            self.say(f"step {step} was skipped: its gradient is not finite ({norm}){count}")
        if self._skips_in_a_row == MOST_SKIPS:
            raise UserError(
                f"{MOST_SKIPS} steps in a row had a gradient that is not finite",
                "look for nan in the data, or lower --learning-rate",
            )

    def _line(self, step: int, *parts: str) -> str:
        seconds = (time.monotonic() - self._began) * (self.steps - step) / (step - self.first or 1)
        minutes, hours = int(seconds) // 60, int(seconds) // 3600
        clock = f"{hours}:{minutes % 60:02}" if hours else str(minutes)
        left = f"left {clock}:{int(seconds) % 60:02}"
        place = f"step {step:>{len(str(self.steps)) + 1}}/{self.steps}"
        return "   ".join(filter(None, [place, *parts, self._rate, left]))
