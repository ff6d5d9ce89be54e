"""Runs a training script as `python SCRIPT ARGUMENT...` does, and watches it from within.

    PROBE='{"folder": ...}' python probe.py SCRIPT ARGUMENT...

All contenders train the model of the project whose folder is the first of PYTHONPATH. Its `forward`
is what all of them call once a step, so there the steps are counted, whoever calls: no contender
has a line for it. What is to be done then stands in PROBE, as JSON (`Plan`).
"""

import json
import os
import runpy
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook


@dataclass
class Plan:
    folder: str  # where each process leaves what it has seen
    turn: int = 0  # so many steps a turn; then the first process waits for its next one
    kill_at: int = 0  # in this step: kill -9
    pause: float = 0  # seconds of sleep in each step, so that a signal meets one
    gradients: bool = False  # keep the gradient of the first optimizer step, and end
    masks: bool = False  # keep the first dropout mask, and end


class Watch:
    """Called before each forward in training."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rank = plan, int(os.environ.get("RANK", "0"))
        self.folder = Path(plan.folder)
        self.steps, self.due, self.cpu = 0, 2 if plan.turn else 0, 0.0
        self.walls: list[float] = []
        self.model: nn.Module | None = None
        self.counter = os.open(self.file("steps"), os.O_RDWR | os.O_CREAT)
        self.file("pid").write_text(str(os.getpid()))

    def file(self, name: str) -> Path:
        return self.folder / f"{name}-{self.rank}"

    def __call__(self, model: nn.Module) -> None:
        self.steps += 1
        if self.plan.turn:
            self.walls.append(time.perf_counter())
            if self.steps == self.due:
                self.end_turn()
            return
        if self.plan.gradients and not self.model:
            torch.save(model.state_dict(), self.file("weights"))
        self.model = model
        os.pwrite(self.counter, b"%8d" % self.steps, 0)
        if self.plan.pause:
            time.sleep(self.plan.pause)
        if self.steps == self.plan.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def end_turn(self) -> None:
        """Tell what the turn took; the first process waits for the next, and with it all others."""
        seen = {"step": self.steps, "cpu": time.process_time() - self.cpu, "walls": self.walls}
        with self.file("turns").open("a", encoding="utf-8") as file:
            file.write(json.dumps(seen | {"peak": peak()}) + "\n")
        if not self.rank:
            with (self.folder / "go").open() as go:
                go.readline()
        self.due += self.plan.turn
        self.walls = [time.perf_counter()]
        self.cpu = time.process_time()

    def after_optimizer(self, optimizer: Any, *_: Any) -> None:
        """Not before: Lightning has the last forward and backward done within `step`."""
        assert self.model
        named = self.model.named_parameters()
        gradients = {name: p.grad.clone() for name, p in named if p.grad is not None}
        self.keep(gradients, "gradients")

    def keep(self, value: Any, name: str) -> None:
        draft = self.file(f"draft-{name}")
        torch.save(value, draft)
        draft.rename(self.file(name))
        if os.environ.get("WORLD_SIZE", "1") != "1":
            torch.distributed.barrier()  # or torchrun would end the other before it has written
        os._exit(0)


def peak() -> int:
    """Bytes, the most of this process that ever lay in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise SystemExit("memory is measured on Linux")


def watch_forward(watch: Watch) -> None:
    """Have the project's model call `watch` before each forward in training."""
    import model as project  # type: ignore[import-not-found]

    kind = project.GPT if hasattr(project, "GPT") else project.CNN
    forward = kind.forward

    def watched(module: nn.Module, *given: Any, **named: Any) -> Any:
        if module.training:
            watch(module)
        return forward(module, *given, **named)

    kind.forward = watched


def watch_dropout(watch: Watch) -> None:
    """Keep the mask of the first dropout."""

    def forward(self: nn.Dropout, input: Tensor) -> Tensor:
        mask = F.dropout(torch.ones_like(input), self.p, self.training)
        if self.training:
            watch.keep(mask, "masks")
        return input * mask

    nn.Dropout.forward = forward  # type: ignore[method-assign]


def main() -> None:
    plan = Plan(**json.loads(os.environ["PROBE"]))
    script, *arguments = sys.argv[1:]
    sys.path[:0] = [os.environ["PYTHONPATH"].split(os.pathsep)[0]]
    watch = Watch(plan)
    watch_forward(watch)
    if plan.masks:
        watch_dropout(watch)
    if plan.gradients:
        register_optimizer_step_post_hook(watch.after_optimizer)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
