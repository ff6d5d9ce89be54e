"""The words of a project's files, and what a merge may do to them.

Names, numbers, operators, and the words in strings and comments are counted. Brackets, commas,
quotes and layout are no words.
"""

import ast
import io
import re
import token
import tokenize
from collections import Counter
from collections.abc import Callable, Mapping

from litgen_torch.render import Tree

SILENT = {"(", ")", "[", "]", "{", "}", ",", ";"}
FREE = {"pass"}  # what a block is left with whose statements all went
TEXTS = {token.STRING, token.COMMENT, getattr(token, "FSTRING_MIDDLE", token.STRING)}
Names = Mapping[str, str]


def words(text: str, names: Names | None = None) -> Counter[str]:
    """How often each word stands in a file; what is called otherwise has its name in `names`."""
    found: Counter[str] = Counter()
    text = text.removeprefix("\ufeff")
    try:
        ast.parse(text)
        tokens = [*tokenize.generate_tokens(io.StringIO(text).readline)]
    except (SyntaxError, ValueError, tokenize.TokenError):
        return Counter(re.findall(r"\w+", text))
    for each in tokens:
        if each.type in TEXTS:
            found.update(map(_named(names), re.findall(r"\w+", _value(each.string))))
        elif each.type == token.NUMBER:
            found[repr(ast.literal_eval(each.string))] += 1
        elif each.type in (token.NAME, token.OP) and each.string not in SILENT:
            found[_named(names)(each.string)] += 1
    return found


def lost(base: Tree, mine: Tree, new: Tree, merged: Tree, names: Names) -> set[str]:
    """Words of mine that merged has too few of, if the template did not take as many away."""
    taken = _of(base, names) - _of(new, names) | _of(base) - _of(new)
    return (_of(mine) - taken - _of(merged)).keys() - FREE


def invented(base: Tree, mine: Tree, new: Tree, merged: Tree, names: Names) -> set[str]:
    """Words of merged that neither mine has nor the template brings."""
    brought = _of(new, names) - _of(base, names) | _of(new) - _of(base)
    return (_of(merged) - _of(mine) - brought).keys() - FREE


def _of(tree: Tree, names: Names | None = None) -> Counter[str]:
    return sum((words(text, names) for text in tree.values()), Counter[str]())


def _named(names: Names | None) -> Callable[[str], str]:
    return lambda word: (names or {}).get(word, word)


def _value(string: str) -> str:
    """What a string says, without its escapes; a comment as it is."""
    try:
        return str(ast.literal_eval(string))
    except (SyntaxError, ValueError):
        return string
