"""The codemod that gives an argument to every call of a function that has come to ask for it."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from litgen_torch.codemods.doubts import doubts, may_concern, unsure
from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Edit, Reference, Source
from litgen_torch.codemods.step import Doubt, Edits

COMMENT = re.compile(r"#[^\r\n]*")


@dataclass(frozen=True)
class AddKeyword:
    """Calls of `target` get `keyword=value`, where they do not have it."""

    target: str
    keyword: str
    value: str
    kind: ClassVar[str] = "argument"

    def is_due(self, base: Mapping[str, str]) -> bool:
        return True  # its owner may call it

    def concerns(self, text: str) -> bool:
        return may_concern(self.target, text)

    def edit(self, source: Source, others: Others) -> Edits:
        edits = Edits(doubts=list(doubts(source, self.target, others)))
        uses = [use for use in source.references(self.target) if isinstance(use.ctx, ast.Load)]
        edits.doubts += unsure(source, self.target, uses)
        for node in uses:
            if source.meanings(node) != {self.target}:
                continue
            call = source.parents[node]
            if not isinstance(call, ast.Call) or call.func is not node:
                if not self._is_given(call):
                    edits.doubts.append(self._value(source, node))
            elif not self._is_given(call):
                self._add(source, call, edits)
        return edits

    def _is_given(self, call: ast.AST) -> bool:
        """Whether a call has the argument: one of the function, or `partial(function, …)`."""
        return isinstance(call, ast.Call) and any(k.arg == self.keyword for k in call.keywords)

    def _value(self, source: Source, node: Reference) -> Doubt:
        name = source.words(node)
        reason = f"{name} is no call here, and whoever calls it has to give {self.keyword}="
        return Doubt(node, reason, f"lambda *given: {name}(*given)")

    def _add(self, source: Source, call: ast.Call, edits: Edits) -> None:
        if any(keyword.arg is None for keyword in call.keywords):
            by_hand = f"{self.keyword}={self.value} before the **"
            edits.doubts.append(Doubt(call, f"the ** may hold {self.keyword}", by_hand))
        elif not source.is_at(call):
            by_hand = "make the call in a line of its own before this one"
            edits.doubts.append(Doubt(call, "the call stands inside an f-string", by_hand))
        elif any(isinstance(arg, ast.GeneratorExp) for arg in call.args):
            by_hand = "put parentheses around the generator"
            edits.doubts.append(Doubt(call, "the call has a bare generator", by_hand))
        else:
            edits.text.append(_behind_the_others(source, call, f"{self.keyword}={self.value}"))
            edits.uses += 1


def _behind_the_others(source: Source, call: ast.Call, argument: str) -> Edit:
    """The argument at the end of the call: in a line of its own where the others have theirs."""
    closing = source.span(call)[1] - 1
    others = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not others:
        return closing, closing, argument
    last = max(others, key=lambda other: source.span(other)[1])
    start, end = source.span(last)
    rest = COMMENT.sub(lambda found: " " * len(found.group()), source.text[end:closing])
    rest = rest.rstrip(" \t\f\r\n\\")
    behind = end + len(rest)
    if not rest.endswith(","):
        return behind, behind, f", {argument}"
    line, own = source.line_start(closing), source.line_start(start)
    if source.text[line:closing].strip() or source.text[own:start].strip():
        return behind, behind, f" {argument}"
    indent = source.text[own:start]
    return line, line, f"{indent}{argument},{source.line_break(end)}"
