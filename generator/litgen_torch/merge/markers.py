"""Git's markers around the places that a merge refused, for those who ask for them."""

import re
import textwrap

from litgen_torch.merge.source import Source, Statement, parse
from litgen_torch.merge.written import code_of

BEGIN, END = "__litgen_begin_{}__", "__litgen_end_{}__"


def mark(source: Source, conflicts: list[tuple[Statement, str]]) -> str:
    """The file with both versions of each refused statement between markers."""
    places: dict[Statement, list[str]] = {}
    for statement, template in conflicts:
        if statement in statement.block.statements:
            places.setdefault(statement, []).append(template)
    for i, statement in enumerate(places):
        _surround(statement, i)
    text = code_of(source)
    for i, templates in enumerate(places.values()):
        text = _write(text, i, "\n".join(templates))
    return text


def _surround(statement: Statement, i: int) -> None:
    block = statement.block
    place = block.statements.index(statement)
    begin, end = (parse(name.format(i) + "\n").root.statements[0] for name in (BEGIN, END))
    block.statements[place : place + 1] = [begin, statement, end]
    block.adopt()


def _write(text: str, i: int, template: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    text = re.sub(rf"[ \t]*{BEGIN.format(i)}(?=\r?\n)", "<<<<<<< yours", text)
    found = re.search(rf"([ \t]*){END.format(i)}(?=\r?\n|$)", text)
    assert found
    theirs = textwrap.indent(template, found[1]).replace("\n", newline)
    lines = newline.join(["=======", *([theirs] if theirs else []), ">>>>>>> template"])
    return text[: found.start()] + lines + text[found.end() :]
