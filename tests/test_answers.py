"""Answers: what is valid, what fills the gaps, and what is said where nothing can."""

import itertools
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import project_id, some_projects

from litgen_torch.answers import (
    Answers,
    check_name,
    complete,
    flags,
    kind_of,
    read_answers,
    with_choice,
    without_choice,
)
from litgen_torch.catalog import Choice, Question, questions
from litgen_torch.errors import LitgenError
from litgen_torch.solve import gathered, needed, pairs

DEFAULTS = {
    "task": "image-classification",
    "model": "cnn",
    "data": "digits",
    "strategy": "single",
    "precision": "fp32",
    "logger": (),
    "feature": (),
    "launcher": (),
}
WORDS = ("1", "2")  # for open questions; of `time` none of them is an answer


def some_of(question: Question) -> st.SearchStrategy[str | tuple[str, ...]]:
    if question.is_open:
        return st.sampled_from([question.default, *(w for w in WORDS if is_answer(question, w))])
    one = st.sampled_from([choice.value for choice in question.choices])
    some = st.sets(one, max_size=3).map(lambda many: tuple(sorted(many)))
    return some if question.many else one


def is_answer(question: Question, word: str) -> bool:
    return not question.chosen(word)[0].obstacle({question.name: word})


# Of the open questions two: the more are asked in vain, the longer is the way to what works.
SOME_ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        question.name: some_of(question)
        for question in questions()
        if not question.is_open or question.name in ("nodes", "time")
    },
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
@settings(max_examples=20, deadline=None)
def test_answers_are_kept_or_refused_with_the_nearest_that_works(said: Answers) -> None:
    try:
        project = complete(questions(), said)
    except LitgenError as error:
        nearest = typed(error.hint)
        assert complete(questions(), nearest) == nearest
        changed = set(pairs(said)) - set(pairs(nearest))
        assert changed
        for count in range(len(changed)):  # no smaller change would have done
            for kept in itertools.combinations(pairs(said), len(pairs(said)) - count):
                with pytest.raises(LitgenError):
                    complete(questions(), gathered(questions(), kept))
    else:
        assert project.items() >= said.items()
        assert complete(questions(), project) == project


@pytest.mark.parametrize("answers", some_projects(), ids=project_id)
def test_the_flags_of_a_project_give_the_same_project(answers: Answers) -> None:
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


def made_up(name: str, *choices: str, many: bool = False, **needs: str) -> Question:
    """A question whose choices have these conditions: `yoga="task == 'run'"`."""
    conditions = {c: f"{{% if not ({when}) %}}needs it{{% endif %}}" for c, when in needs.items()}
    listed = tuple(Choice(c, f"about {c}", conditions.get(c, "")) for c in choices)
    return Question(name, f"Which {name}?", choices[0], "", listed, many)


SPORTS = (
    made_up("task", "run", "swim"),
    made_up("shoe", "none", "spike", spike="task == 'run'"),
    made_up("coach", "alone", "trainer"),
    made_up(
        "extra",
        "music",
        "partner",
        "yoga",
        many=True,
        partner="coach == 'trainer'",
        yoga="'music' not in extra",
    ),
)
PLAIN: Answers = {"task": "run", "shoe": "none", "coach": "alone", "extra": ()}
WITH_PARTNER = PLAIN | {"coach": "trainer", "extra": ("partner",)}


def test_a_set_has_no_order_and_each_choice_once() -> None:
    for said in (("yoga", "partner"), ("partner", "yoga", "partner")):
        assert complete(SPORTS, {"extra": said})["extra"] == ("partner", "yoga")
    assert read_answers(SPORTS, {"extra": ["yoga", "partner"]}) == {"extra": ("partner", "yoga")}


def test_what_a_choice_of_a_set_needs_follows_from_it() -> None:
    assert complete(SPORTS, {"extra": ("partner",)}) == WITH_PARTNER
    assert needed(SPORTS, "extra", "partner") == ["coach trainer"]
    assert needed(SPORTS, "extra", "music") == []


def test_an_impossible_set_is_refused_with_why_and_the_nearest() -> None:
    with pytest.raises(LitgenError) as refused:
        complete(SPORTS, {"coach": "alone", "extra": ("partner", "yoga")})
    assert refused.value.message == (
        "coach alone and extra partner do not go together: partner needs coach trainer"
    )
    assert "--with extra=yoga" in refused.value.hint
    with pytest.raises(LitgenError, match="^extra music and extra yoga do not go together$"):
        complete(SPORTS, {"extra": ("music", "yoga")})


CHANGES = {
    "adds to a set": (PLAIN, "extra", "yoga", {"extra": ("yoga",)}),
    "adds to what is there": (WITH_PARTNER, "extra", "music", {"extra": ("music", "partner")}),
    "has it already": (WITH_PARTNER, "extra", "partner", {}),
    "switches a slot": (PLAIN, "shoe", "spike", {"shoe": "spike"}),
    "is that already": (PLAIN, "coach", "alone", {}),
    "later slots follow": (
        PLAIN | {"shoe": "spike"},
        "task",
        "swim",
        {"task": "swim", "shoe": "none"},
    ),
}


@pytest.mark.parametrize(("before", "kind", "choice", "changed"), CHANGES.values(), ids=CHANGES)
def test_a_choice_is_added(before: Answers, kind: str, choice: str, changed: Answers) -> None:
    after = with_choice(SPORTS, before, kind, choice)
    assert after == before | changed
    assert with_choice(SPORTS, after, kind, choice) == after, "twice is once"


REFUSED_CHANGES = {
    "needs an earlier slot": (PLAIN, "shoe", "spik", "did you mean spike"),
    "unknown kind": (PLAIN, "shoes", "spike", "did you mean shoe"),
    "swimmers": (PLAIN | {"task": "swim"}, "shoe", "spike", "litgen add task run"),
    "a set's choice needs a slot": (PLAIN, "extra", "partner", "litgen add coach trainer"),
    "excludes another": (
        PLAIN | {"extra": ("music",)},
        "extra",
        "yoga",
        "litgen remove extra music",
    ),
    "is needed by a set": (WITH_PARTNER, "coach", "alone", "litgen remove extra partner"),
}


@pytest.mark.parametrize(
    ("before", "kind", "choice", "hint"), REFUSED_CHANGES.values(), ids=REFUSED_CHANGES
)
def test_a_choice_that_cannot_be_added_is_refused_with_what_to_do_first(
    before: Answers, kind: str, choice: str, hint: str
) -> None:
    with pytest.raises(LitgenError) as refused:
        with_choice(SPORTS, before, kind, choice)
    assert hint in refused.value.hint


def test_a_choice_is_removed() -> None:
    assert without_choice(SPORTS, WITH_PARTNER, "extra", "partner") == WITH_PARTNER | {"extra": ()}
    assert without_choice(SPORTS, PLAIN | {"coach": "trainer"}, "coach", "trainer") == PLAIN
    swimmer = PLAIN | {"task": "swim"}
    assert without_choice(SPORTS, swimmer, "task", "swim") == PLAIN


@pytest.mark.parametrize(
    ("before", "kind", "choice", "message", "hint"),
    [
        (PLAIN, "extra", "yoga", "no extra yoga; its extra: none", "litgen add extra yoga"),
        (WITH_PARTNER, "extra", "yoga", "its extra: partner", "litgen remove extra partner"),
        (PLAIN, "coach", "trainer", "its coach: alone", "litgen remove coach alone"),
        (PLAIN, "coach", "alone", "is the default", "litgen add coach trainer"),
        (PLAIN, "extra", "yogo", "unknown extra", "did you mean yoga?"),
        (WITH_PARTNER, "coach", "trainer", "partner needs coach trainer", "remove extra partner"),
    ],
)
def test_a_choice_that_cannot_be_removed_is_refused_with_why(
    before: Answers, kind: str, choice: str, message: str, hint: str
) -> None:
    with pytest.raises(LitgenError) as refused:
        without_choice(SPORTS, before, kind, choice)
    assert message in refused.value.message and hint in refused.value.hint


def test_a_choice_can_be_named_alone_where_its_name_is_unique() -> None:
    assert [kind_of(SPORTS, choice) for choice in ("swim", "yoga")] == ["task", "extra"]
    assert kind_of(questions(), "fsdp") == "strategy"
    twice = (*SPORTS, made_up("noise", "music", "quiet"))
    for asked, message, hint in [
        ("music", "'music' can be a extra or a noise", "extra music"),
        ("coach", "which coach?", "coach and one of: alone, trainer"),
        ("yogi", "unknown choice 'yogi'", "did you mean yoga?"),
    ]:
        with pytest.raises(LitgenError) as refused:
            kind_of(twice, asked)
        assert refused.value.message == message and hint in refused.value.hint


@pytest.mark.parametrize("answers", some_projects(), ids=project_id)
def test_adding_and_removing_gives_the_same_answers_again(answers: Answers) -> None:
    for question in questions():
        for choice in (choice.value for choice in question.choices if question.many):
            if choice not in answers[question.name] and not needed(
                questions(), question.name, choice
            ):
                more = with_choice(questions(), answers, question.name, choice)
                assert choice in more[question.name]
                assert without_choice(questions(), more, question.name, choice) == answers


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        ({"task": ["run"]}, 'task = "run"'),
        ({"extra": "yoga"}, 'extra = ["music"]'),
        ({"extra": [1]}, "extra = "),
        ({"extra": [["yoga"]]}, "extra = "),
        ({"extra": ["yogo"]}, "did you mean yoga?"),
        ({"task": 3}, "task = "),
    ],
)
def test_answers_of_the_wrong_shape_are_refused(found: dict[str, object], hint: str) -> None:
    with pytest.raises(LitgenError) as refused:
        read_answers(SPORTS, found)
    assert hint in refused.value.hint


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


def typed(text: str) -> Answers:
    """The answers that a text's flags give."""
    words = shlex.split(text[text.index("--") :]) if "--" in text else []
    found = zip(words[::2], words[1::2], strict=True)
    given = [v.split("=") if k == "--with" else (k.removeprefix("--"), v) for k, v in found]
    answers = gathered(questions(), ((kind, choice) for kind, choice in given))
    sets = {question.name: () for question in questions() if question.many and answers}
    return sets | answers
