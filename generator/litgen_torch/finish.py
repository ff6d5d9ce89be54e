"""From rendered text to files fit to be written: the only door to black."""

import ast

from litgen_torch.render import Tree

LINE_LENGTH = 100


def finish(tree: Tree, name: str) -> Tree:
    """Check that every Python file parses, and format those that black would change.

    The templates are held stable under black by a test. What a user types, the project's name, can
    only change that by making its line too long, so black, which takes longer than all the rest, is
    asked only then.
    """
    finished = {}
    for path, text in tree.items():
        if path.endswith(".py"):
            ast.parse(text, path)
            if any(name in line and len(line) > LINE_LENGTH for line in text.splitlines()):
                import black

                text = black.format_str(text, mode=black.Mode(line_length=LINE_LENGTH))
        finished[path] = text
    return finished


def layout(code: str, width: int) -> str:
    """A piece of Python as black lays it out in lines of this width."""
    import black

    return black.format_str(code, mode=black.Mode(line_length=width))
