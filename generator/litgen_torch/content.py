"""The bytes of files as text, all of them: what is no UTF-8 stands there as lone surrogates.

So a tree of texts also holds the pictures that somebody's template writes, and gives them back.
"""

from collections.abc import Iterable

LOSSLESS = "surrogateescape"


def to_bytes(text: str) -> bytes:
    """The bytes that a text stands for."""
    return text.encode("utf-8", LOSSLESS)


def from_bytes(data: bytes) -> str:
    """Any bytes as a text, from which `to_bytes` makes them again."""
    return data.decode("utf-8", LOSSLESS)


def is_binary(text: str | None) -> bool:
    """Whether a file is not for people to read: a zero byte, or no UTF-8."""
    if text is None:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in text


def binary(*trees: dict[str, str]) -> set[str]:
    """The paths of what is binary in one of the trees."""
    files: Iterable[tuple[str, str]] = (item for tree in trees for item in tree.items())
    return {path for path, text in files if is_binary(text)}
