"""Versions of litgen: the installed one, and which of two is newer."""

import re


def installed() -> str:
    """The installed version of litgen."""
    from importlib.metadata import version

    return version("litgen-torch")


def is_newer(version: str, than: str) -> bool:
    """Whether a version is newer than another; what follows the numbers does not count."""
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> list[int]:
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return numbers + [0] * (3 - len(numbers))
