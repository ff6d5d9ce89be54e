"""The end of a run that has stopped getting better."""

import math
from typing import Any


class EarlyStopping:
    """Watches a score: after `patience` validations without a better one the run is over.

    A score is better if it is lower than the best one by more than `least`; higher, with
    `lower_is_better=False`. One that is not finite never is. Scores are the same on all processes,
    and so is the decision.
    """

    def __init__(self, patience: int, *, lower_is_better: bool = True, least: float = 0.0) -> None:
        self.patience, self.least = patience, least
        self.sign = 1 if lower_is_better else -1
        self.best: float | None = None
        self.best_step = self.waited = 0

    def __call__(self, step: int, score: float) -> bool:
        """Take the score of a validation; whether the run is over."""
        gain = math.inf if self.best is None else self.sign * (self.best - score)
        if math.isfinite(score) and gain > self.least:
            self.best, self.best_step, self.waited = score, step, 0
        else:
            self.waited += 1
        return self.over

    @property
    def over(self) -> bool:
        """Whether the run is over, with the patience as it is now: more of it lets it go on."""
        return self.waited >= self.patience

    @property
    def reason(self) -> str:
        """Why the run is over, in words."""
        best = "none finite" if self.best is None else f"{self.best:.3f} at step {self.best_step}"
        return f"validations without a better score: {self.waited} (the best: {best})"

    def state_dict(self) -> dict[str, Any]:
        """What has to be saved with a checkpoint, as JSON can hold it."""
        return {"best": self.best, "best_step": self.best_step, "waited": self.waited}

    def load_state_dict(self, saved: dict[str, Any] | None) -> None:
        """Go on from a saved state; from None, of a checkpoint that has none, begin to watch."""
        if saved is not None:
            self.best, self.best_step = saved["best"], saved["best_step"]
            self.waited = saved["waited"]
