"""The log for Weights & Biases as well: offline, until WANDB_MODE=online says otherwise.

Later, `wandb sync runs/<name>/wandb/offline-run-*` sends it.
"""

import contextlib
import os
import re
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runtime.errors import UserError


class WandB:
    """A run in runs/<name>/wandb, the same one however often the training is resumed.

    What was logged beyond the checkpoint is logged again; wandb shows both, over the metric `step`.
    """

    def __init__(self, folder: Path, step: int, config: Any) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError(f"the log needs more: {error}", "pip install wandb") from None
        identity = folder / "wandb" / "id"
        if not identity.exists():
            identity.parent.mkdir(exist_ok=True)
            identity.write_text(secrets.token_hex(4))
        try:
            self.run: Any = wandb.init(
                project=os.environ.get("WANDB_PROJECT", re.sub(r"[/\\#?%:]", "-", Path.cwd().name)),
                name=config.name,
                id=identity.read_text(),
                resume="allow",
                dir=folder,
                config=asdict(config),
                mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
                settings=wandb.Settings(console="off", silent=True),  # the terminal is the log's
            )
        except wandb.Error as error:
            raise UserError(f"wandb: {error}", "wandb login    # or WANDB_MODE=offline") from error
        self.run.define_metric("*", step_metric="step")

    def __call__(self, step: int, values: dict[str, float]) -> None:
        if self.run is None:
            return
        try:
            self.run.log({"step": step, **values})
        except Exception as error:
            # The signal that asks this run to save and leave ends wandb's own process at once.
            print(f"wandb logs no more ({error}); metrics.jsonl has everything", flush=True)
            self.close()

    def close(self) -> None:
        import wandb

        if self.run is not None:
            for leave in (self.run.finish, wandb.teardown):
                with contextlib.suppress(Exception):  # its process may be gone
                    leave()
        self.run = None
