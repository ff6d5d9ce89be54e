"""The log for TensorBoard as well.   tensorboard --logdir runs"""

from pathlib import Path
from typing import Any

from runtime.errors import UserError


class TensorBoard:
    """Event files in runs/<name>/tensorboard; what lies beyond the checkpoint is not shown."""

    def __init__(self, folder: Path, step: int, config: Any) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(f"the log needs more: {error}", "pip install tensorboard") from None
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __call__(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()  # so that no value waits in a buffer for a kill

    def close(self) -> None:
        self.writer.close()
