"""Merging TOML of any data in any layout: nothing is lost, nothing done twice."""

import tomllib
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from litgen_torch.merge.toml import merge_toml
from litgen_torch.merge.toml_arrays import inline, key_text
from litgen_torch.merge.toml_layout import scan
from litgen_torch.merge.toml_plan import same


def _named(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda table: {"name": name, **table}


SCALARS = st.one_of(
    st.booleans(), st.integers(0, 3), st.sampled_from(["", "x", "it's", 'a"b', "#"])
)
NAMES = st.sampled_from(["a", "b", "c d", "e.f"])
SETS = st.lists(st.sampled_from(["p", "q", "r", "s"]), unique=True, max_size=3)
TABLES = st.lists(st.sampled_from(["m", "n", "o"]), unique=True, max_size=3).flatmap(
    lambda names: st.tuples(
        *(st.dictionaries(NAMES, SCALARS, max_size=2).map(_named(name)) for name in names)
    ).map(list)
)
DATA = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS | SETS | TABLES,
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=4,
    ),
    max_size=4,
)


class Writer:
    """Writes data as TOML, in a layout drawn by chance."""

    def __init__(self, random: Random, comment: str = "", *, dotted: bool = True) -> None:
        self.random, self.comment, self.dots, self.count = random, comment, dotted, 0

    def text(self, data: dict[str, Any]) -> str:
        return self.table(data, [])

    def chance(self) -> bool:
        return self.random.random() < 0.4

    def said(self, before: str = "", after: str = "") -> str:
        if not self.comment or not self.chance():
            return ""
        self.count += 1
        return f"{before}# {self.comment} {self.count}{after}"

    def table(self, data: dict[str, Any], prefix: list[str]) -> str:
        """The pairs of a table, and then its tables with headers of their own."""
        pairs, tables = "", ""
        keys = list(data)
        self.random.shuffle(keys)
        for key in keys:
            value, name = data[key], key_text(key)
            path = [*prefix, name]
            is_tables = isinstance(value, list) and value and isinstance(value[0], dict)
            if isinstance(value, dict) and value and self.dots and self.chance():
                pairs += self.dotted(value, name)
            elif isinstance(value, dict) and self.chance():
                tables += self.header("[", path, "]") + self.table(value, path)
            elif is_tables and self.chance():
                for each in value:
                    tables += self.header("[[", path, "]]") + self.table(each, path)
            else:
                pairs += self.pair(name, value)
        return pairs + tables

    def dotted(self, data: dict[str, Any], name: str) -> str:
        return "".join(
            (
                self.dotted(value, f"{name}.{key_text(key)}")
                if isinstance(value, dict) and value and self.chance()
                else self.pair(f"{name}.{key_text(key)}", value)
            )
            for key, value in data.items()
        )

    def header(self, opening: str, path: list[str], closing: str) -> str:
        blank = "\n" if self.chance() else ""
        return (
            f"{blank}{self.said(after=chr(10))}{opening}{'.'.join(path)}{closing}{self.said(' ')}\n"
        )

    def pair(self, name: str, value: Any) -> str:
        equals = self.random.choice([" = ", "=", "  =  "])
        return f"{self.said(after=chr(10))}{name}{equals}{self.value(value)}{self.said('  ')}\n"

    def value(self, value: Any) -> str:
        if isinstance(value, list) and value and self.chance():
            inside = "".join(
                f"{self.said('  ', chr(10))}  {self.value(each)},{self.said(' ')}\n"
                for each in value
            )
            return f"[\n{inside}]"
        if isinstance(value, list):
            space = " " if self.chance() else ""
            return f"[{space}{', '.join(map(self.value, value))}{space}]"
        if isinstance(value, dict):
            pairs = (f"{key_text(key)} = {self.value(each)}" for key, each in value.items())
            return f"{{{', '.join(pairs)}}}"
        is_literal = isinstance(value, str) and "'" not in value and self.chance()
        return f"'{value}'" if is_literal else inline(value)


@given(DATA, st.randoms(use_true_random=False))
def test_a_text_taken_apart_and_joined_is_the_same(data: dict[str, Any], random: Random) -> None:
    writer = Writer(random, "mine")
    text = writer.text(data)
    assert same(tomllib.loads(text), data)
    for each in (text, text.replace("\n", "\r\n"), text.rstrip("\n")):
        layout = scan(each)
        assert str(layout) == each
        assert len(layout.comments()) == writer.count


@given(DATA, DATA, st.randoms(use_true_random=False))
def test_of_a_file_that_you_only_wrote_anew_the_data_become_the_templates(
    base: dict[str, Any], new: dict[str, Any], random: Random
) -> None:
    for dotted in (False, True):
        mine = Writer(random, "mine", dotted=dotted).text(base)
        found = merge_toml(Writer(random).text(base), mine, Writer(random).text(new), path="a.toml")
        if dotted and found.refusals:  # one in 3,000: a header for what dotted keys define
            assert found.text == mine
            continue
        assert not found.refusals
        assert same(tomllib.loads(found.text), new)
        assert comments(found.text) == comments(mine)


@given(DATA, DATA, DATA, st.randoms(use_true_random=False))
def test_keys_and_comments_that_only_you_have_are_never_lost(
    base: dict[str, Any], own: dict[str, Any], new: dict[str, Any], random: Random
) -> None:
    mine = Writer(random, "mine").text(own)
    texts = Writer(random, "old").text(base), mine, Writer(random, "new").text(new)
    found = merge_toml(*texts, path="a.toml")
    assert keys(own) - keys(base) <= keys(tomllib.loads(found.text))
    assert {each for each in comments(found.text) if "mine" in each} == set(comments(mine))
    merged = found.text
    again = merge_toml(texts[0], merged, texts[2], path="a.toml")
    assert again.text == merged and len(again.refusals) == len(found.refusals)
    lines = frozenset(refusal.line for refusal in found.refusals)
    accepted = merge_toml(*texts, path="a.toml", accept=lines)
    assert (accepted.text, accepted.refusals) == (merged, ())


@given(DATA, DATA, DATA, st.randoms(use_true_random=False))
def test_a_merge_knows_neither_side(
    base: dict[str, Any], mine: dict[str, Any], new: dict[str, Any], random: Random
) -> None:
    texts = [Writer(random).text(each) for each in (base, mine, new)]
    one = merge_toml(texts[0], texts[1], texts[2], path="a.toml")
    other = merge_toml(texts[0], texts[2], texts[1], path="a.toml")
    if not one.refusals and not other.refusals:
        assert unordered(tomllib.loads(one.text)) == unordered(tomllib.loads(other.text))


def comments(text: str) -> list[str]:
    return sorted(scan(text).comments())


def keys(data: Any, at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The paths of all that is in tables."""
    if not isinstance(data, dict):
        return {at}
    return {at}.union(*(keys(value, (*at, key)) for key, value in data.items()))


def unordered(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: unordered(value) for key, value in data.items()}
    return sorted(map(repr, map(unordered, data))) if isinstance(data, list) else data
