"""What the other files of the project know of the one that is being edited."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from litgen_torch.codemods.names import absolute, module_of
from litgen_torch.codemods.source import Source


@dataclass(frozen=True)
class Others:
    """The Python files of a project by path, asked from one of them."""

    files: Mapping[str, str]
    path: str
    holding: dict[str, list[str]] = field(default_factory=dict)  # of names, the files with them

    def take(self, name: str) -> bool:
        """Whether another file may take this name from here: then it has to stay."""
        if name not in self.holding:  # shared by all files: each is looked at once for a name
            self.holding[name] = [path for path, text in self.files.items() if name in text]
        stem = PurePosixPath(self.path).stem
        modules = {module_of(self.path), stem}
        return any(
            _takes(path, self.files[path], module, name)
            for path in self.holding[name]
            for module in modules
            if path != self.path and stem in self.files[path]
        )

    def passes_on(self, module: str, name: str) -> bool:
        """Whether a module of the project has this name only by an import of `*`."""
        place = module.replace(".", "/")
        for path in (f"{place}.py", f"{place}/__init__.py"):
            if path in self.files:
                text = self.files[path]
                return name not in text and bool(re.search(r"\bimport\s*\*", text))
        return False


def _takes(path: str, text: str, module: str, name: str) -> bool:
    dotted = f"{module}.{name}"
    if re.search(rf"\b{re.escape(dotted)}\b", text):  # also as text: mock.patch("train.name")
        return True
    try:
        source = Source(path, text)
    except (SyntaxError, ValueError, RecursionError):
        return True
    if any(absolute(path, star) == module for star in source.stars()):
        return True
    return bool(source.references(dotted) or source.imports_of(dotted))
