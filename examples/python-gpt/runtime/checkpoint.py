"""Checkpoints: complete or not there at all, and exact.

A checkpoint is a folder `step-00000100`: the tensors as torch's distributed checkpoint writes them,
`rank-00000.pt` with each process's random state, and `run.json`, to be read by people too. It is
written under a hidden name, and renamed when all of it is on disk.

Nothing in it is run when it is read, whoever wrote it: see `runtime/reader.py`.
"""

import json
import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from runtime import rng, tensors
from runtime.checkpoint_files import FORMAT, damage_of, read_rank, write_rank
from runtime.errors import UserError
from runtime.files import make_folder, settle, sync, write_whole
from runtime.tensors import Groups, Tensors
from runtime.world import ELSEWHERE, World


class Checkpoints:
    """The newest `keep` checkpoints of a run. Its methods are collective.

    `also` holds groups of further tensors, each tensor by its name. They are saved with the model,
    and filled in place from a checkpoint that has the group; one that lacks it leaves them alone.
    `best` names further folders that stay. A `writer` is handed what a save has collected, and may
    write it later.
    """

    def __init__(
        self, folder: Path, keep: int = 2, world: World | None = None, *, also: Groups | None = None
    ) -> None:
        self.folder, self.keep, self.world = folder, keep, world or World()
        self.also = {**(also or {})}
        self.score: float | None = None  # of the step that is saved next; kept in its run.json
        self.best: Callable[[list[Path]], list[Path]] | None = None  # those that stay besides
        self.writer: Callable[[nn.Module, Tensors, Callable[..., None]], None] | None = None
        self._whole: Path | None = None  # so that `load` need not read it once more to know

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole. Those passed over because of damage are told.

        Raises UserError on all processes if there are checkpoints, and all are damaged.
        """
        found = self.world.broadcast(self._complete() if self.world.is_main else [])
        for path in reversed(found):
            damage = damage_of(path, self.world)
            if not damage:
                self._whole = path
                return path
            if self.world.is_main or damage != ELSEWHERE:
                print(f"{path} is damaged: {damage}\n  the one before it is taken", flush=True)
        if found:
            raise UserError(
                f"no checkpoint in {self.folder} is whole",
                f"rm -r {self.folder}    # then the same command starts anew",
            )
        return None

    def save(
        self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, **extra: Any
    ) -> None:
        """Save model, optimizer, random state and `extra` (what JSON can hold).

        It is on disk on return, unless there is a `writer`. Hyperparameters are not saved: they are
        the code's. Raises UserError on all processes if one of them cannot write; older checkpoints
        stay as they are.
        """
        found, random = tensors.collect(model, optimizer, self.also), rng.state()
        about: dict[str, Any] = {
            "format": FORMAT,
            "step": step,
            "processes": self.world.size,
            "rng_processes": self.world.rng_size,
            "torch": torch.__version__,
            "optimizer": type(optimizer).__name__,
            "score": self.score if math.isfinite(self.score or 0) else None,
            "extra": extra,
        }
        write = partial(self._write, about, random, found)
        if self.writer:
            self.writer(model, found, write)
        else:
            write(self.world)

    def _write(
        self,
        about: dict[str, Any],
        random: dict[str, Any],
        found: Tensors,
        world: World,
        copies: Tensors | None = None,
    ) -> None:
        """Write a checkpoint and publish it; with `copies`, their values."""
        final = self.folder / f"step-{about['step']:08d}"
        draft = final.with_name(f".{final.name}")
        failed = f"step {about['step']} could not be saved in {self.folder}"
        fix = "make room or give write access; the same command goes on from the last checkpoint"
        try:
            with world.together(failed, fix, OSError):
                if world.is_main:
                    self._sweep()
                    make_folder(draft)
            with world.together(failed, fix, OSError):
                tensors.write(draft, found, world, copies)
                write_rank(draft, world.rank, random)
            with world.together(failed, fix, OSError):
                if world.is_main:
                    about["files"] = settle([draft / ".metadata", *draft.glob("rank-*")])
                    write_whole(draft / "run.json", (json.dumps(about, indent=2) + "\n").encode())
                    self._publish(draft, final)
        except UserError:
            if world.is_main:
                shutil.rmtree(draft, ignore_errors=True)
            raise

    def load(
        self, path: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None
    ) -> dict[str, Any]:
        """Restore model, optimizer and random state; returns "step" and `extra` as saved.

        The number of processes and the strategy may differ from those that saved. Where the number
        is the same, random numbers go on to the bit. Raises UserError on all processes if the
        checkpoint is damaged or of another model.
        """
        fix = "checkpoints.latest() finds the newest one that is whole"
        if path != self._whole and (damage := damage_of(path, self.world)):
            raise UserError(f"{path} is damaged: {damage}", fix)
        about = json.loads((path / "run.json").read_text())
        if about["format"] != FORMAT:
            raise UserError(
                f"{path} has format {about['format']}, this library reads {FORMAT}",
                "bring back the runtime/ that wrote it, or start another run: --name NEW",
            )
        if optimizer and about["optimizer"] != type(optimizer).__name__:
            raise UserError(
                f"{path} was saved with {about['optimizer']}, not {type(optimizer).__name__}",
                f"use {about['optimizer']} again, or start another run: --name NEW",
            )
        with self.world.together(f"{path} cannot be read", fix, OSError):
            missing = tensors.read(path, model, optimizer, self.world, self.also)
        if missing and self.world.is_main:
            print(f"{path} has no {', '.join(missing)}, which begins anew")
        drew = about.get("rng_processes", about.get("data_processes", about["processes"]))
        if (about["processes"], drew) == (self.world.size, self.world.rng_size):
            rng.set_state(read_rank(path, self.world.rank)["rng"])
        else:  # no process has a past of its own: new streams, the same at every such start
            rng.seed_all(about["step"], 1 + self.world.rng_rank)
        return {"step": about["step"], **about["extra"]}

    def _complete(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _sweep(self) -> None:
        """Remove what a killed process left under hidden names."""
        for stale in self.folder.glob(".step-*"):
            shutil.rmtree(stale)

    def _publish(self, draft: Path, final: Path) -> None:
        """Make the written draft a checkpoint, then drop those beyond `keep`.

        Those of later steps are dropped too: the run went back behind them, as they are damaged.
        """
        sync(draft)
        if final.exists():
            final.rename(draft.with_name(f"{draft.name}.replaced"))
        draft.rename(final)
        sync(self.folder)
        found = self._complete()
        past = [path for path in found if path <= final]
        stay = past[-self.keep :] + (self.best(past) if self.best else [])
        for old in set(found) - set(stay):
            old.rename(old.with_name(f".{old.name}"))  # never half a checkpoint under a full name
        self._sweep()
