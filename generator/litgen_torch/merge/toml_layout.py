"""TOML as it is written: its statements and values, with the spaces and comments around each.

tomllib says what a text means, and this where it says so; joined again, the pieces are the text.
Only text that tomllib has accepted is taken apart here.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field

Path = tuple[str | int, ...]  # keys, and positions in arrays

SPACE = re.compile(r"[ \t]*")
BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
COMMENT = re.compile(r"(?:[ \t]*#[^\r\n]*)?")
LINE_END = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r?\n)?")
EQUALS = re.compile(r"[ \t]*=[ \t]*")
KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
DOT = re.compile(r"(?:[ \t]*\.[ \t]*)?")
SCALAR = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?""""{0,2}|"(?:\\.|[^"\\\n])*"'
    r"|'''[\s\S]*?''''{0,2}|'[^'\n]*'"
    r"|\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+|[^\s,\]}#]+"
)


@dataclass
class Value:
    """A scalar, or an array or inline table with what is in it."""

    start: int
    text: str = ""
    brackets: str = ""
    elements: list["Element"] = field(default_factory=list)
    end: str = ""  # before the closing bracket

    def __str__(self) -> str:
        inside = "".join(map(str, self.elements)) + self.end
        return self.brackets[:1] + (inside if self.brackets else self.text) + self.brackets[1:]

    def surroundings(self) -> Iterator[str]:
        """The spaces and comments in it, in order."""
        for element in self.elements:
            yield element.lead
            yield from element.value.surroundings()
            yield from (element.gap, element.tail)
        yield self.end


@dataclass
class Element:
    """An element of an array, or a pair of an inline table, up to a comment on its line."""

    lead: str
    keys: tuple[str, ...]
    head: str  # "key = "
    value: Value
    gap: str = ""  # before the comma
    comma: str = ""
    tail: str = ""

    def __str__(self) -> str:
        return f"{self.lead}{self.head}{self.value}{self.gap}{self.comma}{self.tail}"


@dataclass
class Statement:
    """A header or a pair, with the lines above it that say nothing to TOML."""

    start: int
    lead: str
    head: str  # "[table]", or "key = "
    keys: tuple[str, ...]  # as they are written
    path: Path  # what they mean
    value: Value  # an empty one in headers
    tail: str

    def __str__(self) -> str:
        return f"{self.lead}{self.body()}"

    @property
    def is_header(self) -> bool:
        return not str(self.value)

    def body(self) -> str:
        return f"{self.head}{self.value}{self.tail}"


@dataclass
class Layout:
    """A whole file."""

    statements: list[Statement]
    end: str

    def __str__(self) -> str:
        return "".join(map(str, self.statements)) + self.end

    def comments(self) -> list[str]:
        """All comments, in order."""
        found = []
        for each in self.statements:
            for text in (each.lead, *each.value.surroundings(), each.tail):
                found += comments(text)
        return found + comments(self.end)

    def below(self, path: Path) -> list[Statement]:
        """The statements that make up what is at a path."""
        return [each for each in self.statements if each.path[: len(path)] == path]

    def find(self, path: Path) -> Statement | Element | None:
        """What holds the value at a path; none holds a table that headers or dotted keys make."""
        for statement in self.statements:
            size = len(statement.path)
            if not statement.is_header and statement.path == path[:size]:
                return statement if size == len(path) else _inside(statement.value, path[size:])
        return None


def scan(text: str) -> Layout:
    """Take a valid TOML text apart."""
    return _Scanner(text).layout()


def scan_value(text: str) -> Value:
    """Take a valid value apart."""
    return _Scanner(text).value()


def comments(surroundings: str) -> list[str]:
    """The comments in a text that has nothing but spaces and comments."""
    return [each.rstrip() for each in re.findall(r"#[^\r\n]*", surroundings)]


def _inside(value: Value, path: Path) -> Element | None:
    for position, element in enumerate(value.elements):
        keys: Path = element.keys or (position,)
        if path == keys:
            return element
        if path[: len(keys)] == keys:
            return _inside(element.value, path[len(keys) :])
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.section: Path = ()
        self.tables: dict[Path, int] = {}  # how many each array of tables has so far

    def layout(self) -> Layout:
        statements = list[Statement]()
        while True:
            lead = self.take(BLANK)
            # The indentation is the statement's, so that lines can be put above it.
            above = lead.rstrip(" \t")
            if self.at == len(self.text):
                return Layout(statements, lead)
            statements.append(self.statement(above, lead[len(above) :]))

    def take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        assert found
        self.at = found.end()
        return found[0]

    def skip(self, text: str) -> str:
        assert self.text.startswith(text, self.at)
        self.at += len(text)
        return text

    def next(self) -> str:
        return self.text[self.at : self.at + 1]

    def statement(self, lead: str, indent: str) -> Statement:
        start = self.at
        if self.next() == "[":
            size = 2 if self.text.startswith("[[", start) else 1
            head = self.skip("[" * size) + self.take(SPACE)
            keys, written = self.keys()
            head += written + self.take(SPACE) + self.skip("]" * size)
            path = self.section = self.resolve(keys, is_array=size == 2)
            empty, tail = Value(start), self.take(LINE_END)
            return Statement(start, lead, indent + head, keys, path, empty, tail)
        keys, written = self.keys()
        head = indent + written + self.take(EQUALS)
        path = self.section + keys
        return Statement(start, lead, head, keys, path, self.value(), self.take(LINE_END))

    def keys(self) -> tuple[tuple[str, ...], str]:
        keys, written = [], ""
        while True:
            key = self.take(KEY)
            keys.append(tomllib.loads(f"x = {key}")["x"] if key[0] in "\"'" else key)
            dot = self.take(DOT)
            written += key + dot
            if not dot:
                return tuple(keys), written

    def resolve(self, keys: tuple[str, ...], *, is_array: bool) -> Path:
        path: Path = ()
        for key in keys[:-1]:
            path += (key,)
            path += (self.tables[path] - 1,) if path in self.tables else ()
        path += (keys[-1],)
        if is_array:
            self.tables[path] = self.tables.get(path, 0) + 1
            path += (self.tables[path] - 1,)
        return path

    def value(self) -> Value:
        value = Value(self.at)
        if self.next() not in "[{":
            value.text = self.take(SCALAR)
            return value
        value.brackets = self.skip(self.next())
        lead = self.take(BLANK)
        while self.next() not in "]}":
            value.elements.append(self.element(lead, has_key=value.brackets == "{"))
            lead = self.take(BLANK)
        value.end = lead
        value.brackets += self.skip(self.next())
        return value

    def element(self, lead: str, *, has_key: bool) -> Element:
        keys, written = self.keys() if has_key else ((), "")
        head = written + (self.take(EQUALS) if has_key else "")
        element, after = Element(lead, keys, head, self.value()), self.at
        element.gap = self.take(BLANK)
        if self.next() == ",":
            element.comma = self.skip(",")
        else:
            # The last one: a comment on its line is its own, what follows is before the bracket.
            element.gap, self.at = "", after
        element.tail = self.take(COMMENT)
        return element
