"""`litgen add`, `set` and `remove` where somebody else's template wrote the project.

A choice is an answer to one of its questions then: QUESTION ANSWER, or a yes-or-no QUESTION alone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click

from litgen_torch.change import Rules, Wanted
from litgen_torch.commands.editing import nothing_to_do, owners_files, plan, settle
from litgen_torch.commands.options import Options
from litgen_torch.content import is_binary
from litgen_torch.errors import LitgenError
from litgen_torch.following import answered, at_hand, upgraded
from litgen_torch.foreign import Template
from litgen_torch.origin import newest
from litgen_torch.project import UNSETTLED, Project, unsettled
from litgen_torch.render import Tree


def answer(project: Project, verb: str, words: tuple[str, ...], options: Options) -> None:
    """Carry another answer to a question into the owner's files."""
    if not 1 <= len(words) <= 2:
        raise click.UsageError(f"expected QUESTION ANSWER, as: litgen {verb} license MIT")
    name, word = words[0], words[1] if len(words) == 2 else None
    with at_hand(project, trust=options.trust) as template:
        template.check({name: None})
        wished = _given(verb, name, word, template, project.answers)
        wish = answered(template, project, wished, "" if wished else name)
    command = ["litgen", verb, *words]
    if wish.answers == project.answers:
        if verb == "remove" and not wished and str(project.answers.get(name)) == word:
            raise LitgenError(
                f"{name} {word} is the default, and nothing can take its place",
                f"litgen set {name} and another answer",
            )
        found = project.answers.get(name, "not asked")
        nothing_to_do(f"{name} is {shown(found)} already", options, command=command)
        return
    carry(project, wish, options, command=command)


def questions_of(project: Project) -> Mapping[str, Mapping[str, Any]]:
    """What the project's template asks, as it says it."""
    with at_hand(project, reads_only=True) as template:
        return template.questions


@dataclass(frozen=True)
class Compared:
    """A project with one answer, and with another in its place."""

    question: str
    answer: str
    other: str
    is_there: bool  # whether the project is the one with the answer
    having: Tree
    without: Tree


def compare_answers(project: Project, words: tuple[str, ...], *, trust: bool) -> Compared:
    """An answer beside what the project has or, where that is it, beside the default."""
    if not 1 <= len(words) <= 2:
        raise click.UsageError("expected QUESTION ANSWER, as: litgen explain license MIT")
    name, has = words[0], project.answers.get(words[0])
    with at_hand(project, trust=trust) as template:
        template.check({name: None})
        if len(words) == 1 and template.type_of(name) != "bool":
            raise LitgenError(f"which {name}?", f"litgen explain {name} and an answer")
        wished = template.answer(name, [words[1] if len(words) == 2 else "true"])
        having = answered(template, project, {name: wished})
        answer, is_there = having.answers[name], having.answers.get(name) == has
        if not is_there:
            other, without = has, project.base
        else:
            negated: dict[str, Any] = {name: str(not has)} if isinstance(has, bool) else {}
            default = answered(template, project, negated, "" if negated else name)
            other, without = default.answers.get(name), default.files
    if answer == other:
        raise LitgenError(
            f"{name} {shown(answer)} is what the project has, and the default as well",
            f"litgen explain {name} and another answer",
        )
    trees = [
        {p: t for p, t in each.items() if not is_binary(t)} for each in (having.files, without)
    ]
    return Compared(name, shown(answer), shown(other), is_there, trees[0], trees[1])


def upgrade_template(
    project: Project,
    options: Options,
    *,
    to: str | None,
    command: list[str],
    words: tuple[str, ...] = (),
) -> None:
    """Carry what became of the template since, or at another tag, branch or commit.

    The command is the one to be told again, and `words` are answers to what is asked only now.
    """
    assert project.template
    origin = newest(project.template, to)
    if origin.version == project.template.version and not unsettled(project):
        nothing_to_do(f"{origin.words} is the newest", options, command=command)
        return
    wish = upgraded(project, origin, pairs(words), trust=options.trust)
    carry(project, wish, options, command=command, ask=True)


def list_versions(project: Project, options: Options, *, to: str | None) -> None:
    """Say to which state of its template a project would go."""
    assert project.template
    here, there = project.template, newest(project.template, to)
    record = unsettled(project)
    if options.as_json:
        found = {"template": asdict(here), "newest": asdict(there), "record": record}
        click.echo(json.dumps(found, indent=2))
    elif here.version == there.version:
        after_a_merge = f"; {UNSETTLED}: litgen upgrade" if record else ""
        click.echo(f"{here.words} is the newest{after_a_merge}")
    else:
        click.echo(f"{here.words} → {there.words}; litgen upgrade --dry-run shows what changes")


def pairs(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """What was given by --with."""
    found = []
    for text in words:
        question, equals, answer = text.partition("=")
        if not (question and equals):
            raise click.BadParameter(f"{text!r} is not QUESTION=ANSWER", param_hint="--with")
        found.append((question, answer))
    return found


def carry(
    project: Project, wish: Wanted, options: Options, *, command: list[str], ask: bool = False
) -> None:
    """Merge, show and write."""
    if options.verify:
        raise LitgenError(
            "--verify trains as litgen's own templates do, and this is another", "leave it out"
        )
    mine = owners_files(project, wish.files)
    rules = Rules(leave=wish.leave)
    change = plan(project, mine, wish, options=options, rules=rules)
    settle(change, options, command=command, ask=ask)


def _given(
    verb: str, name: str, word: str | None, template: Template, answers: dict[str, Any]
) -> dict[str, Any]:
    """The answer that the words mean; none: the question's default."""
    kind, has = template.type_of(name), answers.get(name)
    if kind == "bool":
        wished = word or "true"
        if verb == "remove":
            return {name: "false"} if word is None else {} if _is(has, word) else {name: has}
        return {name: wished}
    if kind == "list" and word is not None and verb != "set":
        others = [item for item in has or [] if str(item) != word]
        if verb == "remove" and len(others) == len(has or []):
            return {name: has}
        return {name: others if verb == "remove" else [*others, word]}
    if verb == "remove":
        return {} if word is None or _is(has, word) else {name: has}
    if word is None:
        raise LitgenError(f"which {name}?", f"litgen {verb} {name} and an answer")
    return {name: template.answer(name, [word])}


def _is(answer: Any, word: str) -> bool:
    return shown(answer).lower() == word.lower()


def shown(answer: Any) -> str:
    """An answer as it is given on the command line."""
    if isinstance(answer, list):
        return ", ".join(map(shown, answer)) or "empty"
    return str(answer).lower() if isinstance(answer, bool) else str(answer)
