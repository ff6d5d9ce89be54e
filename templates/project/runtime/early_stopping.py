"""The end of a run that has stopped getting better."""

import math

import torch


class EarlyStopping:
    """Watches a score: after `patience` validations without a better one the run is over.

    A score is better if it is lower than the best one by more than `least`; higher, with
    `lower_is_better=False`. One that is not finite never is. Scores are the same on all processes,
    and so is the decision. `tensors` belong into the checkpoint; after one without them, the watch
    begins anew.
    """

    def __init__(self, patience: int, *, lower_is_better: bool = True, least: float = 0.0) -> None:
        self.patience, self.least = patience, least
        self.sign = 1 if lower_is_better else -1
        # On the CPU, where looking at them keeps nobody waiting.
        self.tensors = {
            "best": torch.tensor(math.nan, dtype=torch.float64),
            "best_step": torch.tensor(0),
            "waited": torch.tensor(0),
        }

    def __call__(self, step: int, score: float) -> bool:
        """Take the score of a validation; whether the run is over."""
        best = float(self.tensors["best"])
        gain = math.inf if math.isnan(best) else self.sign * (best - score)
        if math.isfinite(score) and gain > self.least:
            self.tensors["best"].fill_(score)
            self.tensors["best_step"].fill_(step)
            self.tensors["waited"].zero_()
        else:
            self.tensors["waited"] += 1
        return self.over

    @property
    def over(self) -> bool:
        """Whether the run is over, with the patience as it is now: more of it lets it go on."""
        return int(self.tensors["waited"]) >= self.patience

    @property
    def reason(self) -> str:
        """Why the run is over, in words."""
        best, step, waited = (self.tensors[name].item() for name in ("best", "best_step", "waited"))
        shown = "none finite" if math.isnan(best) else f"{best:.3f} at step {step}"
        return f"validations without a better score: {waited} (the best: {shown})"
