"""Merging by lines: base, mine and new, and what comes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litgen_torch.merge.text import merge_text

TABLE = {
    "you changed nothing": ("a\nb\n", "a\nb\n", "a\nB\n", "a\nB\n"),
    "you changed nothing, and the newlines change": ("a\n", "a\n", "a\r\n", "a\r\n"),
    "the template changed nothing": ("a\nb\n", "a\nX\n", "a\nb\n", "a\nX\n"),
    "lines that are apart": ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n"),
    "both insert, apart": ("a\nb\n", "x\na\nb\n", "a\nb\ny\n", "x\na\nb\ny\n"),
    "both make the same change": ("a\nb\n", "a\nB\n", "a\nB\n", "a\nB\n"),
    "both delete the same line": ("a\nb\nc\n", "a\nc\n", "a\nc\n", "a\nc\n"),
    "you have the template's line and more": ("a\n", "a\nx\ny\n", "a\ny\n", "a\nx\ny\n"),
    "the template has your line and more": ("a\n", "a\nx\n", "a\nw\nx\n", "a\nw\nx\n"),
    "the template deletes a line": ("a\nb\nc\n", "a\nb\nc\nd\n", "b\nc\n", "b\nc\nd\n"),
    "your newlines stay": ("a\nb\nc\n", "A\r\nb\r\nc\r\n", "a\nb\nC\n", "A\r\nb\r\nC\r\n"),
    "the template's newlines do not matter": (
        "a\r\nb\r\nc\r\n",
        "A\nb\nc\n",
        "a\r\nb\r\nC\r\n",
        "A\nb\nC\n",
    ),
    "mixed newlines stay where they are": (
        "a\nb\nc\n",
        "A\nb\r\nc\r\n",
        "a\nb\nC\n",
        "A\nb\r\nC\r\n",
    ),
    "only your newlines differ": ("a\nb\n", "a\r\nb\r\n", "a\nB\n", "a\r\nB\r\n"),
    "your byte order mark stays": ("a\nb\n", "\ufeffa\nb\n", "a\nB\n", "\ufeffa\nB\n"),
    "a mark that you removed": ("\ufeffa\nb\n", "a\nb\n", "\ufeffa\nB\n", "a\nB\n"),
    "your last line has no newline": ("a\nb\nc\n", "a\nb\nc", "A\nb\nc\n", "A\nb\nc"),
    "a line behind one without newline": ("a\nb\n", "A\nb", "a\nb\nc\n", "A\nb\nc"),
    "the template's last line has no newline": ("a\nb\n", "A\nb\n", "a\nb\nc", "A\nb\nc\n"),
    "a line that occurs often": (
        "-\n" * 300 + "b\nc\n",
        "x\n" + "-\n" * 300 + "b\nc\n",
        "-\n" * 300 + "b\nC\n",
        "x\n" + "-\n" * 300 + "b\nC\n",
    ),
    "form feeds and other breaks end no line": (
        "a\x0cb\u2028c\nd\ne\n",
        "a\x0cB\u2028c\nd\ne\n",
        "a\x0cb\u2028c\nd\nE\n",
        "a\x0cB\u2028c\nd\nE\n",
    ),
}
REFUSED = {
    "the same line": ("a\nb\nc\n", "a\nX\nc\n", "a\nY\nc\n", (2, "X\n", "Y\n")),
    "lines side by side": ("a\nb\nc\n", "A\nb\nc\n", "a\nB\nc\n", (1, "A\nb\n", "a\nB\n")),
    "you deleted what it changes": ("a\nb\nc\n", "a\nc\n", "a\nB\nc\n", (2, "", "B\n")),
    "it deletes what you changed": ("a\nb\nc\n", "a\nB\nc\n", "a\nc\n", (2, "B\n", "")),
    "you emptied the file": ("a\nb\n", "", "a\nB\n", (1, "", "a\nB\n")),
    "you deleted the last line": ("a\nb\n", "a\n", "a\nB\n", (1, "", "B\n")),
    "both insert at one place": ("a\n", "a\nx\n", "a\ny\n", (2, "x\n", "y\n")),
    "both insert and one line is equal": ("a\n", "a\nx\nz\n", "a\ny\nz\n", (2, "x\nz\n", "y\nz\n")),
    "lines of different newlines": ("a\r\nb\r\n", "a\nX\n", "a\r\nY\r\n", (2, "X\n", "Y\n")),
}


@pytest.mark.parametrize(("base", "mine", "new", "merged"), TABLE.values(), ids=TABLE)
def test_both_changes_are_in_the_result(base: str, mine: str, new: str, merged: str) -> None:
    found = merge_text(base, mine, new, path="notes.txt")
    assert (found.text, found.refusals) == (merged, ())


@pytest.mark.parametrize(("base", "mine", "new", "place"), REFUSED.values(), ids=REFUSED)
def test_what_both_changed_is_refused_and_stays(
    base: str, mine: str, new: str, place: tuple[int, str, str]
) -> None:
    found = merge_text(base, mine, new, path="notes.txt")
    assert found.text == mine
    assert [(each.line, each.yours, each.template) for each in found.refusals] == [place]
    assert found.refusals[0].path == "notes.txt"


@pytest.mark.parametrize(("base", "mine", "new", "place"), REFUSED.values(), ids=REFUSED)
def test_at_an_accepted_line_yours_stays(
    base: str, mine: str, new: str, place: tuple[int, str, str]
) -> None:
    found = merge_text(base, mine, new, path="notes.txt", accept=frozenset({place[0]}))
    assert (found.text, found.refusals) == (mine, ())


def test_any_line_of_a_place_can_be_accepted_and_no_other() -> None:
    three = "a\nb\nc\nd\n", "a\nX\nY\nd\n", "a\nP\nQ\nd\n"
    for line in range(6):
        found = merge_text(*three, path="notes.txt", accept=frozenset({line}))
        assert (not found.refusals) == (line in (2, 3))


def test_a_clean_change_is_made_beside_a_refused_one() -> None:
    three = "a\nb\nc\nd\n", "a\nB\nc\nd\n", "a\nX\nc\nD\n"
    found = merge_text(*three, path="notes.txt")
    assert found.text == "a\nB\nc\nD\n"
    assert [each.line for each in found.refusals] == [2]


MARKED = {
    "in the middle": (
        ("a\nb\nc\n", "a\nX\nc\n", "a\nY\nc\n"),
        "a\n<<<<<<< yours\nX\n=======\nY\n>>>>>>> template\nc\n",
    ),
    "deleted": (
        ("a\nb\nc\n", "a\nc\n", "a\nB\nc\n"),
        "a\n<<<<<<< yours\n=======\nB\n>>>>>>> template\nc\n",
    ),
    "last line without newline": (
        ("a\nb", "a\nX", "a\nY"),
        "a\n<<<<<<< yours\nX\n=======\nY\n>>>>>>> template\n",
    ),
    "other newlines": (
        ("a\nb\n", "a\r\nX\r\n", "a\nY\n"),
        "a\r\n<<<<<<< yours\r\nX\r\n=======\r\nY\r\n>>>>>>> template\r\n",
    ),
}


@pytest.mark.parametrize(("three", "marked"), MARKED.values(), ids=MARKED)
def test_markers_hold_both_versions(three: tuple[str, str, str], marked: str) -> None:
    found = merge_text(*three, path="notes.txt", markers=True)
    assert found.text == marked
    assert len(found.refusals) == 1


def test_ignored_patterns_of_both_are_kept() -> None:
    three = "runs/\n", "runs/\nnotes/\n*.png\n", "runs/\nwandb/\n*.png\n"
    assert merge_text(*three, path=".gitignore").text == "runs/\nnotes/\n*.png\nwandb/\n"
    assert merge_text(*three, path="docs/.gitignore").text == "runs/\nnotes/\n*.png\nwandb/\n"
    assert merge_text(*three, path="notes.txt").refusals


def test_the_order_of_patterns_with_exceptions_is_not_guessed() -> None:
    three = "runs/\n", "runs/\n!runs/best\n", "runs/\nruns/*.pt\n"
    assert merge_text(*three, path=".gitignore").refusals


LINES = st.lists(st.sampled_from("abcd"), max_size=8).map(
    lambda chars: "".join(f"{c}\n" for c in chars)
)


@given(LINES, LINES)
def test_without_an_edit_of_yours_the_result_is_the_template(base: str, new: str) -> None:
    assert merge_text(base, base, new, path="a").text == new
    crlf = base.replace("\n", "\r\n")
    if base:
        assert merge_text(base, crlf, new, path="a").text == new.replace("\n", "\r\n")


@given(LINES, LINES)
def test_without_a_change_of_the_template_your_file_stays(base: str, mine: str) -> None:
    for text in (mine, mine.replace("\n", "\r\n"), "\ufeff" + mine, mine.removesuffix("\n")):
        assert merge_text(base, text, base, path="a").text == text
        assert merge_text(base, text, text, path="a").text == text


@given(LINES, LINES, LINES)
def test_lines_that_only_you_have_are_never_lost(base: str, mine: str, new: str) -> None:
    own = mine.replace("a", "mine")  # neither base nor new has such a line
    found = merge_text(base, own, new, path="a")
    assert found.text.count("mine") == own.count("mine")
    kept = merge_text(base, own, new, path="a", markers=True)
    assert kept.text.count("mine") == own.count("mine")


@given(LINES, LINES, LINES)
def test_a_merge_knows_neither_side(base: str, mine: str, new: str) -> None:
    one, other = merge_text(base, mine, new, path="a"), merge_text(base, new, mine, path="a")
    assert len(one.refusals) == len(other.refusals)
    if not one.refusals:
        assert one.text == other.text


def test_lines_of_prose_that_only_touch_are_merged():
    base, mine, new = "a\nb\nc\n", "A\nb\nc\n", "a\nB\nc\nd\n"
    merged = merge_text(base, mine, new, path="AGENTS.md")
    assert not merged.refusals
    assert merged.text == "A\nB\nc\nd\n"


def test_two_insertions_at_one_place_in_prose_are_refused():
    merged = merge_text("a\nb\n", "a\nx\nb\n", "a\ny\nb\n", path="README.md")
    assert merged.text == "a\nx\nb\n"
    assert merged.refusals
