"""Every project that there is, and the command that makes one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from litgen_torch.answers import complete
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError

LITGEN = Path(sys.executable).with_name("litgen")
Run = Callable[..., subprocess.CompletedProcess[str]]


def every_project() -> list[dict[str, str]]:
    """The answers of every project that there is."""
    found: list[dict[str, str]] = [{}]
    for question in questions():
        values = [choice.value for choice in question.choices]
        longer = [answers | {question.name: value} for answers in found for value in values]
        without = [answers for answers in found if not any(map(_goes, _with(answers, longer)))]
        found = [answers for answers in longer if _goes(answers)] + without
    return found


def project_id(answers: dict[str, str]) -> str:
    return "-".join(list(answers.values())[1:])


def _with(answers: dict[str, str], longer: list[dict[str, str]]) -> list[dict[str, str]]:
    return [other for other in longer if answers.items() <= other.items()]


def _goes(given: dict[str, str]) -> bool:
    try:
        complete(questions(), given)
    except LitgenError:
        return False
    return True
