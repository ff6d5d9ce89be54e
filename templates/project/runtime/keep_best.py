"""Checkpoints that stay because they scored well, however old they are."""

import json
from collections.abc import Iterable
from pathlib import Path


class Best:
    """Chooses the `keep` best checkpoints by the scores in their run.json.

    A lower score is better; a higher one, with `lower_is_better=False`. Of equal ones the earlier
    is; one that was saved without a score, or with one that is not finite, never is.
    """

    def __init__(self, keep: int, *, lower_is_better: bool) -> None:
        self.keep, self.lower_is_better = keep, lower_is_better

    def __call__(self, checkpoints: Iterable[Path]) -> list[Path]:
        """The best of these folders, best first."""
        scores = {path: score for path in checkpoints if (score := _score(path)) is not None}
        sign = 1 if self.lower_is_better else -1
        return sorted(scores, key=lambda path: (sign * scores[path], path))[: self.keep]


def _score(checkpoint: Path) -> float | None:
    try:
        score = json.loads((checkpoint / "run.json").read_text())["score"]
    except (OSError, ValueError, LookupError):  # damaged, or older than scores
        return None
    return float(score) if isinstance(score, (int, float)) else None
