"""How the owner writes: the template's statements are laid out like that before they go in."""

import ast
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import libcst as cst

from litgen_torch.finish import LINE_LENGTH, layout

COMMON_WIDTHS = (79, 80, 88, 100, 120)


@dataclass(frozen=True)
class Style:
    """A line length, and the quote that strings stand in."""

    width: int = LINE_LENGTH
    quote: str = '"'
    indent: str = "    "

    def __call__(self, node: Any, depth: int) -> Any:
        """The statement in this style, `depth` blocks deep; the same node if it is so already."""
        if self == Style():
            return node
        lines = getattr(node, "leading_lines", ())
        code = cst.Module([node.with_changes(leading_lines=())]).code
        code = layout(code, width=max(self.width - 4 * depth, 40))
        module = cst.parse_module(code)
        if self.quote == "'":
            module = module.visit(_SingleQuotes())
        if self.indent != "    ":
            module = module.visit(_Indents(self.indent))
        if len(module.body) != 1:
            return node
        return module.body[0].with_changes(leading_lines=lines)


def style_of(text: str, template: str, pyproject: str) -> Style:
    """The owner's style: what his settings say, else what his file looks like."""
    indent = re.search(r"(?m)^[ \t]+(?=\S)", text)
    return Style(_width(text, template, pyproject), _quote(text), indent[0] if indent else "    ")


def _width(text: str, template: str, pyproject: str) -> int:
    if (found := _setting(pyproject)) and found != LINE_LENGTH:
        return found
    longest, before = (max(map(len, t.splitlines()), default=0) for t in (text, template))
    if text == template or longest == before:
        return LINE_LENGTH
    if longest < before and longest <= 88:
        return next(width for width in COMMON_WIDTHS if width >= longest)
    if LINE_LENGTH < longest <= COMMON_WIDTHS[-1] and _code_is_wider(text):
        return COMMON_WIDTHS[-1]
    return LINE_LENGTH


def _code_is_wider(text: str) -> bool:
    """Whether several lines of code, not only comments, are longer than the template's."""
    long = [line for line in text.splitlines() if len(line) > LINE_LENGTH and "#" not in line]
    return len(long) > 1


def _setting(pyproject: str) -> int | None:
    try:
        tools = tomllib.loads(pyproject).get("tool", {})
        found = tools.get("ruff", {}).get("line-length") or tools.get("black", {}).get(
            "line-length"
        )
    except (tomllib.TOMLDecodeError, AttributeError):
        return None
    return found if isinstance(found, int) and found > 20 else None


def _quote(text: str) -> str:
    quotes = _quotes(text)
    return "'" if quotes["'"] > 3 * quotes['"'] else '"'


def _quotes(text: str) -> Counter[str]:
    """Counts the quotes of short strings. Long ones, docstrings mostly, are always double."""
    strings = re.findall(r"""(?<!['"\w])[rbf]{0,2}(['"])(?!\1)""", text)
    return Counter(strings)


class _Indents(cst.CSTTransformer):
    """Lines inside brackets, which LibCST leaves as they are, are indented as the blocks."""

    def __init__(self, indent: str) -> None:
        super().__init__()
        self.indent = indent

    def leave_ParenthesizedWhitespace(
        self,
        original_node: cst.ParenthesizedWhitespace,
        updated_node: cst.ParenthesizedWhitespace,
    ) -> cst.ParenthesizedWhitespace:
        depth = len(updated_node.last_line.value) // 4
        return updated_node.with_changes(last_line=cst.SimpleWhitespace(self.indent * depth))


class _SingleQuotes(cst.CSTTransformer):
    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        value = updated_node.value
        if not value.startswith('"') or value.startswith('"""') or "'" in value or "\\" in value:
            return updated_node
        single = f"'{value[1:-1]}'"
        same = ast.literal_eval(single) == ast.literal_eval(value)
        return updated_node.with_changes(value=single) if same else updated_node

    def leave_FormattedString(
        self, original_node: cst.FormattedString, updated_node: cst.FormattedString
    ) -> cst.FormattedString:
        code = cst.Module([]).code_for_node(updated_node)
        if updated_node.start != 'f"' or "'" in code or "\\" in code or '"' in code[2:-1]:
            return updated_node
        return updated_node.with_changes(start="f'", end="'")
