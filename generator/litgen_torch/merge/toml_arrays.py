"""Arrays and inline tables as they are written: elements come and go, the rest keeps its bytes."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from litgen_torch.merge.toml_layout import Element, Value, comments

Keeps = Callable[[str], bool]  # whether a comment stays although what it stands at goes

LAST_LINE = re.compile(r"(?:\r?\n)?[ \t]*\Z")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def insert_element(value: Value, position: int, element: Element) -> None:
    """Insert an element of the template's, written as those that are there."""
    others, lead = value.elements, _lead(value, position)
    follows = others[position].lead if position < len(others) else value.end
    above = "".join(lead + comment for comment in comments(element.lead))
    element = replace(element, gap="", comma=",", lead=lead)
    if "\n" in lead:
        element.lead = above + lead
    if not follows.startswith(("\n", "\r\n")):
        element.tail = ""  # a comment would swallow what follows
    if position < len(others):
        if position == 0 and "\n" not in follows:
            others[0].lead = follows or " "
    elif others:
        element.comma, others[-1].comma = others[-1].comma, ","
    else:
        element.comma = "," if "\n" in lead else ""
    if strings := [each.value.text for each in others if each.value.text]:
        element.value.text = with_quotes_of(strings[0], element.value.text)
    others.insert(position, element)


def remove_element(value: Value, position: int, keeps: Keeps) -> list[str]:
    """Remove an element. Its comments that are to stay do, and are returned if none may be here."""
    removed = value.elements.pop(position)
    around = [removed.lead, *removed.value.surroundings(), removed.gap, removed.tail]
    kept = [comment for text in around for comment in comments(text) if keeps(comment)]
    kept, homeless = ([], kept) if value.brackets == "{}" else (kept, [])
    is_last = position == len(value.elements)
    follows = value.end if is_last else value.elements[position].lead
    lead = _last_line(removed.lead)
    if "\n" not in follows and (kept or position == 0 and not is_last):
        follows = lead
    follows = "".join((lead or "\n") + comment for comment in kept) + follows
    if not is_last:
        value.elements[position].lead = follows
    else:
        value.end = follows if value.elements or comments(follows) else ""
        if value.elements and not removed.comma:
            value.elements[-1].comma = ""
    return homeless


def with_quotes_of(like: str, text: str) -> str:
    """A one-line string in the quotes that another has, where it can be written so."""
    is_plain = re.fullmatch(r"\"[^\"'\\]*\"|'[^\"'\\]*'", text)
    if not is_plain or like[:1] not in ("'", '"') or like[:3] in ("'''", '"""'):
        return text
    return like[0] + text[1:-1] + like[0]


def inline(data: Any) -> str:
    """A value on one line."""
    if isinstance(data, dict):
        pairs = [f"{key_text(key)} = {inline(value)}" for key, value in data.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(data, list):
        return f"[{', '.join(map(inline, data))}]"
    if isinstance(data, bool | str):
        return json.dumps(data, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(data)  # numbers, and dates and times


def key_text(key: str) -> str:
    """A key, in quotes where it needs them."""
    return key if BARE_KEY.fullmatch(key) else inline(key)


def _lead(value: Value, position: int) -> str:
    """The spaces before an element that is put here."""
    others = value.elements
    if not others:
        indent = re.search(r"\r?\n[ \t]+", value.end) or re.search(r"\r?\n", value.end)
        return indent[0] + ("" if indent[0].endswith((" ", "\t")) else "    ") if indent else ""
    if 0 < position == len(others) == 1 and "\n" not in others[0].lead:
        return " "
    return _last_line(others[min(position, len(others) - 1)].lead)


def _last_line(lead: str) -> str:
    found = LAST_LINE.search(lead)
    assert found
    return found[0]
