"""What the tests of all codemods do with their tables."""

from litgen_torch.codemods.run import Rewritten, rewrite
from litgen_torch.codemods.step import Step


def taken(step: Step, text: str, path: str = "plot.py", **others: str) -> Rewritten:
    """One step over one file, beside others; of these, `_` in a name stands for `/`."""
    beside = {f"{name.replace('_', '/')}.py": text for name, text in others.items()}
    return rewrite([step], {path: text, **beside})


def rewrites(step: Step, before: str, after: str, path: str = "plot.py", **others: str) -> None:
    """The step makes this of it, refuses nothing, and has nothing to do a second time."""
    done = taken(step, before, path, **others)
    assert not done.refusals
    assert done.files.get(path, before) == after
    again = taken(step, after, path, **others)
    assert (again.files.get(path, after), again.refusals) == (after, [])


def refuses(
    step: Step, text: str, line: int, words: str, path: str = "plot.py", **others: str
) -> None:
    """The step refuses just this line, with these words among what it says."""
    done = taken(step, text, path, **others)
    assert [(refusal.path, refusal.line) for refusal in done.refusals] == [(path, line)]
    [refusal] = done.refusals
    assert words in f"{refusal.reason} | {refusal.by_hand}"
    assert refusal.yours == text.splitlines()[line - 1].strip()
