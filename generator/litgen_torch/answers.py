"""All decisions about what a project shall be: which answers are valid, and what fills the gaps."""

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from litgen_torch.catalog import Answer, Question
from litgen_torch.errors import LitgenError
from litgen_torch.render import condition
from litgen_torch.solve import gathered, in_words, narrowed, nearest, obstacle, pairs, solutions

Answers = dict[str, Answer]

FLAGS = ("task", "model", "data", "strategy", "precision")  # the other kinds go by --with
LONGEST_NAME = 64
MANY = 8  # words, which nobody reads where one of them is close
VALID_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def complete(questions: Sequence[Question], given: Mapping[str, Answer]) -> Answers:
    """The given answers, and for the rest the first defaults with which all of them can be had.

    Raises LitgenError for an unknown question or choice, and for a combination that is impossible:
    with the reason and the nearest one that works.
    """
    check_known(questions, given)
    given = gathered(questions, pairs(given))
    if found := next(solutions(questions, given), None):
        return found
    raise LitgenError(
        obstacle(questions, given),
        "the nearest that works: " + " ".join(flags(nearest(questions, given) or {})),
    )


def with_choice(questions: Sequence[Question], answers: Answers, kind: str, choice: str) -> Answers:
    """The answers of a project with this choice: added to a set, or in the place of a slot's.

    Later slots that do not fit it any more go back to what fits. What was answered before it, and
    the members of sets, stay: LitgenError says why they exclude it, and what to change first.
    """
    question = _named(questions, kind)
    check_known(questions, {kind: question.answer(choice)})
    others = [value for _, value in pairs({kind: answers[kind]})] if question.many else []
    return _settled(questions, answers, answers | {kind: question.answer(choice, *others)}, kind)


def without_choice(
    questions: Sequence[Question], answers: Answers, kind: str, choice: str
) -> Answers:
    """The answers of a project without this choice: a set without it, or a slot at its default.

    Raises LitgenError if the project does not have it, or cannot be without it.
    """
    question = _named(questions, kind)
    check_known(questions, {kind: question.answer(choice)})
    has = [value for name, value in pairs(answers) if name == kind]
    if choice not in has:
        first = f"litgen remove {kind} {has[0]}" if has else f"litgen add {kind} {choice}"
        raise LitgenError(
            f"this project has no {kind} {choice}; its {kind}: {', '.join(has) or 'none'}", first
        )
    if question.many:
        left: Answer = tuple(value for value in has if value != choice)
    elif (left := question.first(answers)) == choice:
        others = [c.value for c in question.choices if c.value != choice] or ["ANOTHER"]
        raise LitgenError(
            f"{kind} {choice} is the default, and nothing can take its place",
            f"litgen add {kind} {' or '.join(others)}",
        )
    return _settled(questions, answers, answers | {kind: left}, kind)


def kind_of(questions: Sequence[Question], choice: str) -> str:
    """The kind of a choice that is named alone; LitgenError if there is none, or several."""
    kinds = {
        question.name: [c.value for c in question.choices if c.value == choice]
        for question in questions
    }
    found = [kind for kind, values in kinds.items() if values]
    if len(found) == 1:
        return found[0]
    if found:
        raise LitgenError(
            f"{choice!r} can be a {' or a '.join(found)}", f"say which: {found[0]} {choice}"
        )
    if choice in kinds:
        question = _named(questions, choice)
        values = [c.value for c in question.choices]
        fix = f"and one of: {', '.join(values)}" if values else question.default
        raise LitgenError(f"which {choice}?", f"{choice} {fix}")
    known = [c.value for question in questions for c in question.choices]
    raise LitgenError(f"unknown choice {choice!r}", suggestion(choice, known))


def with_defaults(questions: Sequence[Question], answers: Mapping[str, Answer]) -> Answers:
    """What templates see: also the questions that do not apply, at their defaults, as in copier."""
    seen = dict(answers)
    for question in questions:
        seen.setdefault(question.name, question.first(seen))
    return seen


def asked(questions: Sequence[Question], found: Answers) -> Answers:
    """The answers without those to open questions that the others do not ask, as after a merge."""
    seen = with_defaults(questions, found)
    idle = {question.name for question in questions if question.is_open}
    idle -= {question.name for question in questions if question.applies(seen)}
    return {kind: answer for kind, answer in found.items() if kind not in idle}


def check_known(questions: Sequence[Question], given: Mapping[str, Answer]) -> None:
    """Raise LitgenError for a question or a choice that does not exist."""
    for name, answer in given.items():
        question = _named(questions, name)
        known = [choice.value for choice in question.choices] or [question.default]
        if question.many is isinstance(answer, str):
            found, expected = ("one word", "a list") if question.many else ("a list", "one word")
            example = f'["{known[0]}"]' if question.many else f'"{known[0]}"'
            raise LitgenError(f"{name} is {found}, expected {expected}", f"{name} = {example}")
        for _, value in pairs({name: answer}):
            expected = condition(question.check, {name: value}) if question.is_open else ""
            if expected:
                raise LitgenError(f"{name} is {value!r}, expected {expected}", f"{name} {known[0]}")
            if not question.is_open and value not in known:
                raise LitgenError(f"unknown {name} {value!r}", suggestion(value, known))


def read_answers(questions: Sequence[Question], found: Mapping[str, object]) -> Answers:
    """Answers as a TOML file has them; raises LitgenError for what is none."""
    answers: Answers = {}
    in_own_words = {question.name for question in questions if question.is_open}
    for kind, answer in found.items():
        if kind in in_own_words and type(answer) is int:  # a number needs no quotes
            answer = str(answer)
        listed = answer if isinstance(answer, list) else [answer]
        values = [value for value in listed if isinstance(value, str)]
        if odd := [value for value in listed if not isinstance(value, str)]:
            raise LitgenError(f"{kind} is {odd[0]!r}, not text", f'{kind} = "…"')
        answers[kind] = tuple(sorted(set(values))) if isinstance(answer, list) else values[0]
    check_known(questions, answers)
    return answers


def flags(answers: Mapping[str, Answer]) -> list[str]:
    """The words on the command line that give these answers."""
    words = []
    for name, value in pairs(answers):
        words += [f"--{name}", value] if name in FLAGS else ["--with", f"{name}={value}"]
    return words


def suggestion(word: str, known: Iterable[str]) -> str:
    """The possible words, and which of them was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(word.lower(), known, n=1)
    if close and len(known) > MANY:
        return f"did you mean {close[0]}?"
    return f"one of: {', '.join(known)}" + (f" — did you mean {close[0]}?" if close else "")


def check_name(name: str) -> str:
    """A name that can be a distribution's and a folder's, or LitgenError with one that would do."""
    if VALID_NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    shown = ascii(name)  # nothing in it steers a terminal
    shown = shown if len(shown) <= LONGEST_NAME + 2 else shown[:LONGEST_NAME] + "…'"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9]+", plain)
    better = "-".join(words)[:LONGEST_NAME].strip("-") or "my-project"
    raise LitgenError(
        f"{shown} cannot be a project's name: expected letters, digits and . _ - between them, "
        f"at most {LONGEST_NAME}",
        f"litgen new {better}",
    )


def _named(questions: Sequence[Question], kind: str) -> Question:
    if found := next((question for question in questions if question.name == kind), None):
        return found
    kinds = [question.name for question in questions]
    raise LitgenError(f"unknown kind {kind!r}", suggestion(kind, kinds))


def _settled(
    questions: Sequence[Question], answers: Answers, wanted: Answers, kind: str
) -> Answers:
    """What is wanted, where needed with other answers to the slots that come after this kind."""
    after = itertools.dropwhile(lambda question: question.name != kind, questions)
    later = [question.name for question in after if not question.many and question.name != kind]
    kept = [pair for pair in pairs(wanted) if pair[0] not in later]
    if found := nearest(questions, wanted, kept):
        return found
    # The change that was asked for, with as little as possible of the rest given up.
    changed = [pair for pair in pairs(wanted) if pair not in pairs(answers)]
    other = pairs(nearest(questions, wanted, changed) or {})
    for pair in () if other else changed:
        if enough := narrowed(questions, *pair):
            question, fitting = enough
            raise LitgenError(
                f"{kind} needs {in_words(question, fitting)}",
                f"litgen add {question.name} {fitting[0]}",
            )
    in_sets = {question.name for question in questions if question.many}
    steps = [f"remove {k} {v}" for k, v in kept if k in in_sets and (k, v) not in other]
    steps += [f"add {k} {v}" for k, v in other if k not in in_sets and (k, v) not in kept]
    raise LitgenError(obstacle(questions, gathered(questions, kept)), f"litgen {steps[0]}")
