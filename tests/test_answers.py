"""Answers: what is valid, what fills the gaps, and what is said where nothing can."""

import itertools
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import every_project, project_id

from litgen_torch.answers import check_name, complete, flags
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError

DEFAULTS = {
    "task": "image-classification",
    "model": "cnn",
    "data": "digits",
    "strategy": "single",
    "precision": "fp32",
}
VALUES = {question.name: [c.value for c in question.choices] for question in questions()}
SOME_ANSWERS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
)


def test_without_answers_the_defaults_are_a_project() -> None:
    assert complete(questions(), {}) == DEFAULTS


@pytest.mark.parametrize(
    ("said", "follows"),
    [
        ({"model": "gpt"}, {"task": "language-model", "data": "text", "tokenizer": "bytes"}),
        ({"data": "text"}, {"task": "language-model", "model": "gpt"}),
        ({"tokenizer": "bpe"}, {"task": "language-model", "model": "gpt"}),
        ({"model": "vit"}, {"task": "image-classification", "data": "digits"}),
        ({"task": "language-model"}, {"model": "gpt", "data": "text", "tokenizer": "bytes"}),
        ({"strategy": "fsdp"}, {"task": "image-classification", "precision": "fp32"}),
    ],
    ids=lambda part: "-".join(part.values()),
)
def test_what_is_not_said_follows_from_what_is(
    said: dict[str, str], follows: dict[str, str]
) -> None:
    assert complete(questions(), said).items() >= (said | follows).items()


@given(SOME_ANSWERS)
@settings(max_examples=200, deadline=None)
def test_answers_are_kept_or_refused_with_the_nearest_that_works(said: dict[str, str]) -> None:
    try:
        project = complete(questions(), said)
    except LitgenError as error:
        nearest = typed(error.hint)
        assert complete(questions(), nearest) == nearest
        changed = [name for name in said if nearest.get(name) != said[name]]
        assert changed
        for count in range(len(changed)):  # no smaller change would have done
            for left_out in itertools.combinations(said, count):
                kept = {name: value for name, value in said.items() if name not in left_out}
                with pytest.raises(LitgenError):
                    complete(questions(), kept)
    else:
        assert project.items() >= said.items()
        assert complete(questions(), project) == project


@pytest.mark.parametrize("answers", every_project(), ids=project_id)
def test_the_flags_of_a_project_give_the_same_project(answers: dict[str, str]) -> None:
    assert complete(questions(), typed(shlex.join(flags(answers)))) == answers


def test_the_reason_names_the_answers_that_exclude_each_other() -> None:
    with pytest.raises(LitgenError) as refused:
        complete(questions(), {"task": "image-classification", "model": "gpt", "strategy": "ddp"})
    assert "gpt" in refused.value.message
    assert "needs task language-model" in refused.value.message
    assert "--strategy ddp" in refused.value.hint


@pytest.mark.parametrize(
    ("kind", "value", "meant"),
    [
        ("strategy", "fspd", "fsdp"),
        ("model", "GPT", "gpt"),
        ("data", "digit", "digits"),
        ("task", "language", "language-model"),
        ("tokeniser", "bpe", "tokenizer"),
    ],
)
def test_a_slip_of_the_pen_is_understood(kind: str, value: str, meant: str) -> None:
    with pytest.raises(LitgenError) as refused:
        complete(questions(), {kind: value})
    assert f"did you mean {meant}?" in refused.value.hint


@pytest.mark.parametrize("name", ["a", "A1", "my-project", "my_project", "x.y", "9", "a" * 64])
def test_a_distribution_name_is_a_project_name(name: str) -> None:
    assert check_name(name) == name


BAD_NAMES = {
    "space": "my model",
    "code": '"; import os',
    "template": "{{ 7*7 }}",
    "long": "a" * 300,
    "one too long": "a" * 65,
    "empty": "",
    "dots": "..",
    "dash first": "-y",
    "dash last": "a-",
    "newline": "model\n",
    "escape": "a\x1b[2Jb",
    "null": "a\0b",
    "bidirectional": "a\u202eb",
    "zero width": "a\u200bb",
    "accent": "modèle",
    "full width": "\uff4d\uff4f",
    "kanji": "模型",
    "surrogate": "a\udcffb",
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_any_other_name_is_refused_with_one_that_would_do(name: str) -> None:
    refused_well(name)


@given(st.text(max_size=80))
@settings(deadline=None)
def test_no_name_does_harm(name: str) -> None:
    try:
        assert check_name(name) == name
    except LitgenError:
        refused_well(name)
    else:
        assert name.isascii() and name.isprintable() and not set(name) & set(" /\\\"'{}%;$`")


def refused_well(name: str) -> None:
    with pytest.raises(LitgenError) as refused:
        check_name(name)
    better = refused.value.hint.split()[-1]
    assert check_name(better) == better
    assert refused.value.message.isprintable()  # nothing in it steers the terminal
    assert len(refused.value.message) < 400


def typed(text: str) -> dict[str, str]:
    """The answers that a text's flags give."""
    words = shlex.split(text[text.index("--") :]) if "--" in text else []
    pairs = zip(words[::2], words[1::2], strict=True)
    return dict(v.split("=") if k == "--with" else (k.removeprefix("--"), v) for k, v in pairs)
