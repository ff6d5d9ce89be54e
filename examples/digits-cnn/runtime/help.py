"""What `--help` prints: the settings as they stand in the source, with the comments behind them."""

import ast
import dataclasses
import inspect
import tokenize
from typing import Any

from runtime.config import dashed, describe, is_required, kinds_of, plain


def help_text(cls: Any, program: str) -> str:
    """A line for each field: name, type, the comment behind it, default.

    Blocks of fields stay apart as in the source; a comment line above a block is its heading.
    """
    usages = {name: f"  --{dashed(name)} {describe(kind)}" for name, kind in kinds_of(cls).items()}
    width = max(map(len, [*usages.values(), "  --print-config"])) + 2
    notes, lines = _notes(cls), []
    for field in dataclasses.fields(cls):
        if field.init:
            above, comment = notes.get(field.name, ([], ""))
            lines += [*above, f"{usages[field.name]:{width}}{comment} [{_default(field)}]"]
    settings = "\n".join(lines).strip("\n")
    return f"""usage: {program} [--setting value | setting=value] …

{settings}

{'  --config FILE':{width}}a TOML file of settings; the command line goes before it
{'  --print-config':{width}}print all settings as TOML, and leave"""


def _default(field: Any) -> str:
    if is_required(field):
        return "required"
    made = field.default_factory is not dataclasses.MISSING
    return plain(field.default_factory() if made else field.default).strip('[]"')


def _notes(cls: Any) -> dict[str, tuple[list[str], str]]:
    """For each field the lines above it, blank and heading, where a block begins; its comment."""
    source = inspect.cleandoc("\n" + inspect.getsource(cls))
    lines = source.splitlines(keepends=True)
    tokens = tokenize.generate_tokens(iter(lines).__next__)
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    blank = {row for row, line in enumerate(lines, 1) if not line.strip()}
    notes: dict[str, tuple[list[str], str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            row, last = node.lineno, node.end_lineno or node.lineno
            above = [""] if row - 1 in blank else []
            if row - 2 in blank and lines[row - 2].lstrip().startswith("#"):
                above = ["", comments[row - 1]]
            comment = " ".join(comments[own] for own in range(row, last + 1) if own in comments)
            notes.setdefault(node.target.id, (above, comment))
    return notes
