"""What can be chosen: the questions of templates/copier.yml as values."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache

from litgen_torch.render import evaluate, settings


@dataclass(frozen=True)
class Choice:
    """One answer to a question. `condition` is a template: empty if it fits the other answers."""

    value: str
    summary: str
    condition: str

    def obstacle(self, answers: dict[str, str]) -> str:
        """What this choice needs that the other answers do not give, in words."""
        return evaluate(self.condition, answers) if self.condition else ""


@dataclass(frozen=True)
class Question:
    """Something to choose. `default` and `when` are templates over the other answers."""

    name: str
    help: str
    default: str
    when: str
    choices: tuple[Choice, ...]

    def applies(self, answers: dict[str, str]) -> bool:
        """Whether the question makes sense with these answers to the questions before it."""
        return evaluate(self.when, answers) != "False" if self.when else True

    def values(self, answers: dict[str, str]) -> list[str]:
        """The choices, the default for these answers first."""
        first = evaluate(self.default, answers)
        return sorted((choice.value for choice in self.choices), key=lambda value: value != first)

    def choice(self, value: str) -> Choice:
        return next(choice for choice in self.choices if choice.value == value)


@cache
def questions() -> tuple[Question, ...]:
    """The questions that offer choices, in the order in which they are asked."""
    return tuple(
        Question(
            name=name,
            help=about["help"],
            default=about["default"],
            when=str(about.get("when", "")),
            choices=tuple(
                Choice(choice["value"], summary, choice.get("validator", ""))
                for summary, choice in about["choices"].items()
            ),
        )
        for name, about in settings().items()
        if not name.startswith("_") and "choices" in about
    )


def packages(pyproject: str) -> list[str]:
    """The Python packages that a project with this pyproject.toml needs."""
    dependencies = tomllib.loads(pyproject)["project"]["dependencies"]
    return [re.split(r"[^\w.-]", dependency)[0] for dependency in dependencies]
