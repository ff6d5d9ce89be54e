"""The codemod for a function that has another name, or another module, by now."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from litgen_torch.codemods.doubts import doubts, may_concern, unsure
from litgen_torch.codemods.imports import beside, module_in, replaced
from litgen_torch.codemods.modules import follow_modules
from litgen_torch.codemods.others import Others
from litgen_torch.codemods.source import Source
from litgen_torch.codemods.step import Doubt, Edits


@dataclass(frozen=True)
class Rename:
    """What has the dotted path `target` has the path `new` afterwards, in the same package."""

    target: str
    new: str
    kind: ClassVar[str] = "rename"

    def is_due(self, base: Mapping[str, str]) -> bool:
        return True  # its owner may call it

    def concerns(self, text: str) -> bool:
        return may_concern(self.target, text)

    def edit(self, source: Source, others: Others) -> Edits:
        edits = Edits(doubts=list(doubts(source, self.target, others)))
        uses = source.references(self.target)
        sure = [use for use in uses if source.meanings(use) == {self.target}]
        names = [node for node in sure if isinstance(node, ast.Name)]
        attributes = [node for node in sure if isinstance(node, ast.Attribute)]
        # A name that may also stand for something else can go on to do so; a module's cannot.
        by_module = [use for use in uses if isinstance(use, ast.Attribute)]
        edits.doubts += unsure(source, self.target, by_module)
        self._refuse_text(source, edits)
        self._follow_imports(source, names, others, edits)
        self._follow_definition(source, names, edits)
        follow_modules(source, attributes, (self.target, self.new), others, edits)
        edits.uses = len(sure)
        return edits

    def _refuse_text(self, source: Source, edits: Edits) -> None:
        """The path as a text, such as in `mock.patch`; docstrings may say what they like."""
        for node in ast.walk(source.tree):
            is_it = isinstance(node, ast.Constant) and node.value == self.target
            if is_it and not isinstance(source.parents[node], ast.Expr):
                edits.doubts.append(Doubt(node, "the old path as a text", f'"{self.new}"'))

    def _follow_imports(
        self, source: Source, names: list[ast.Name], others: Others, edits: Edits
    ) -> None:
        """`from module import name`, and the uses of the name."""
        old, (module, new) = _last(self.target), self.new.rsplit(".", 1)
        imports = source.imports_of(self.target)
        called = new if imports and self._can_be_renamed(source, names, others) else old
        for statement, alias in imports:
            assert isinstance(statement, ast.ImportFrom)  # the other kind imports modules alone
            if [part.name for part in statement.names].count(old) > 1:
                edits.doubts.append(Doubt(statement, f"{old} is imported twice", "import it once"))
                continue
            local = alias.asname or called
            words = new if local == new else f"{new} as {local}"
            edits.text += replaced(source, statement, alias, module_in(statement, module), words)
        if called == new:
            edits.text += [(*source.span(name), new) for name in names if name.id == old]

    def _can_be_renamed(self, source: Source, names: list[ast.Name], others: Others) -> bool:
        """Whether the file can call it by its new name; if not, its import says `new as old`."""
        old = _last(self.target)
        uses = [use for use, _ in source.names.uses if use.id == old]
        bound = [b for scope in source.names.scopes for b in scope.bindings.get(old, [])]
        return (
            source.is_free(_last(self.new), self.new)
            and all(use in names and source.is_at(use) for use in uses)
            and all(binding.dotted == self.target for binding in bound)
            and not source.exports(old)
            and not others.take(old)
        )

    def _follow_definition(self, source: Source, names: list[ast.Name], edits: Edits) -> None:
        """Uses in the old module itself, which will not define it any more."""
        used = [n for n in names if not any(b.statement for b in source.bindings(n))]
        if not used:
            return
        module, new = self.new.rsplit(".", 1)
        imports = [n for n in source.tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        if not imports or not source.is_free(new, self.new):
            by_hand = f"another name for what is called {new} here"
            edits.doubts.append(Doubt(used[0], f"{used[0].id} leaves this file", by_hand))
            return
        last = imports[-1]
        package = getattr(last, "module", None) or last.names[0].name
        apart = "" if package.startswith(f"{module.partition('.')[0]}.") else source.line_break(0)
        edits.text.append(beside(source, last, f"{apart}from {module} import {new}"))
        edits.text += [(*source.span(name), new) for name in used]


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]
