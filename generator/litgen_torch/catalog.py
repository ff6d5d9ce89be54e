"""What can be chosen: the questions of templates/copier.yml as values."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from litgen_torch.render import condition, settings

Answer = str | tuple[str, ...]  # one choice, or a set's: sorted, each once


@dataclass(frozen=True)
class Choice:
    """One answer to a question. `condition` is a template: empty if it fits the other answers."""

    value: str
    summary: str
    condition: str
    page: str = ""  # where more is said of it

    def obstacle(self, answers: Mapping[str, Answer]) -> str:
        """What this choice needs that the other answers do not give, in words."""
        return condition(self.condition, answers) if self.condition else ""


@dataclass(frozen=True)
class Question:
    """Something to choose: one of the choices or, if `many`, any number of them.

    Without choices it is open: any text is an answer for which the template `check` is empty, which
    else says what is expected. `default` and `when` are templates over the other answers; where
    many can be chosen, none is the default.
    """

    name: str
    help: str
    default: str
    when: str
    choices: tuple[Choice, ...]
    many: bool = False
    check: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is answered in the user's own words, such as a number."""
        return not self.choices

    def applies(self, answers: Mapping[str, Answer]) -> bool:
        """Whether the question makes sense with these answers to the questions before it."""
        return condition(self.when, answers) != "False" if self.when else True

    def values(self, answers: Mapping[str, Answer]) -> list[str]:
        """The choices, the default for these answers first."""
        first = condition(self.default, answers)
        if self.is_open:
            return [first]
        return sorted((choice.value for choice in self.choices), key=lambda value: value != first)

    def first(self, answers: Mapping[str, Answer]) -> Answer:
        """The default for these answers."""
        return () if self.many else self.values(answers)[0]

    def answer(self, *values: str) -> Answer:
        """The answer that consists of these choices."""
        return tuple(sorted(set(values))) if self.many else values[0]

    def chosen(self, answer: Answer) -> list[Choice]:
        """The choices of which an answer consists."""
        values = (answer,) if isinstance(answer, str) else answer
        if self.is_open:
            return [Choice(value, self.help, self.check) for value in values]
        return [choice for choice in self.choices if choice.value in values]


@cache
def questions() -> tuple[Question, ...]:
    """All questions but the project's name, in the order in which they are asked."""
    return tuple(
        Question(
            name=name,
            help=about["help"],
            default="" if about.get("multiselect") else about["default"],
            when=str(about.get("when", "")),
            choices=tuple(
                Choice(
                    choice["value"], summary, choice.get("validator", ""), choice.get("page", "")
                )
                for summary, choice in about.get("choices", {}).items()
            ),
            many=about.get("multiselect", False),
            check=about.get("validator", ""),
        )
        for name, about in settings().items()
        if not name.startswith("_") and name != "project_name"
    )


def packages(pyproject: str) -> list[str]:
    """The Python packages that a project with this pyproject.toml needs."""
    requirements = tomllib.loads(pyproject)["project"]["dependencies"]
    return [re.split(r"[^\w.-]", requirement)[0] for requirement in requirements]
