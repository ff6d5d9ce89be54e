"""Settings: a dataclass, filled from its defaults, a TOML file and the command line.

Fields and their types are all there is to declare; a comment behind a field is its help.
"""

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from runtime.errors import UserError
from runtime.files import write_whole

T = TypeVar("T")


def load_config(
    cls: Callable[..., T], argv: list[str] | None = None, fast: Mapping[str, Any] | None = None
) -> T:
    """The settings: the command line goes before the file of `--config`, that before the defaults.

    With `--fast`, what the command line does not give comes from `fast`, and the name ends in
    "-fast": a trial touches no other run. A mistake, which includes a ValueError of the class's own
    `__post_init__`, ends the program with two lines on stderr and exit code 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    program = Path(sys.argv[0]).name
    if "--help" in argv or "-h" in argv:
        from runtime.help import help_text  # only now: it reads the class's source

        print(help_text(cls, program))
        sys.exit()
    try:
        kinds = kinds_of(cls) | {"config": str, "print_config": bool}
        given = _typed(_pairs(argv, kinds), kinds)
        file, show = given.pop("config", None), given.pop("print_config", False)
        values = (_read(cls, file) if file else {}) | given
        if values.get("fast", getattr(cls, "fast", False)):
            values = values | dict(fast or {}) | given
            name = values.get("name", getattr(cls, "name", "run"))
            values["name"] = f"{name.removesuffix('-fast')}-fast"
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            if is_required(field) and field.name not in values:
                raise ValueError(f"no value for {dashed(field.name)!r}")
        config = cls(**values)
    except ValueError as error:
        found = " ".join(str(error).split())
        sys.stderr.write(f"{program}: {found}\n  fix: python {program} --help\n")
        sys.exit(2)
    if show:
        sys.stdout.write(_toml(config))
        sys.exit()
    return config


def save_config(config: Any, path: Path) -> None:
    """Write all settings as TOML, the whole file or none of it. None is written as "none"."""
    write_whole(path, _toml(config).encode())


def read_config(cls: Callable[..., T], path: Path, *, strict: bool) -> T:
    """The settings that `save_config` wrote; raises UserError if they do not fit the class.

    If not `strict`, settings that the class does not have are left out, and named on stderr.
    """
    try:
        return cls(**_read(cls, path, strict))
    except ValueError as error:
        raise UserError(str(error), f"put {path} right, or train another run: --name NEW") from None


def kinds_of(cls: Any) -> dict[str, Any]:
    """The types of a dataclass by the names of its fields."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def _pairs(argv: list[str], kinds: dict[str, Any]) -> Iterator[tuple[str, str]]:
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        key = name.replace("-", "_")
        if equals:
            yield name, value
        elif not word.startswith("--"):
            raise ValueError(f"cannot read {word!r}; settings are given as --name value")
        elif key not in kinds and kinds.get(key.removeprefix("no_")) is bool:
            yield name[len("no-") :], "false"
        elif kinds.get(key) is bool:
            yield name, words.pop(0) if words[:1] in (["true"], ["false"]) else "true"
        elif key in kinds and (not words or words[0].startswith("--")):
            raise ValueError(f"no value behind {word!r}")
        else:
            yield name, words.pop(0) if words else ""


def _read(cls: Any, path: str | Path, strict: bool = True) -> dict[str, Any]:
    import tomllib  # takes as long as all the rest, and most runs read no file

    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        for key in () if strict else [*found]:
            if key.replace("-", "_") not in kinds_of(cls):
                sys.stderr.write(f"{path}: left out, there is no such setting: {dashed(key)}\n")
                del found[key]
        return _typed(found.items(), kinds_of(cls))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', error)}") from None


def _typed(pairs: Iterable[tuple[str, Any]], kinds: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        name, shown = key.replace("-", "_"), dashed(key)
        if name not in kinds:
            near = get_close_matches(shown, map(dashed, kinds), n=1)
            advice = f"did you mean {near[0]!r}?" if near else "--help lists all"
            raise ValueError(f"no setting {shown!r}; {advice}")
        if name in values:
            raise ValueError(f"{shown!r} is given twice")
        try:
            values[name] = _convert(value, kinds[name])
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            kind = "finite " * isinstance(error, FloatingPointError) + describe(kinds[name])
            raise ValueError(f"{shown!r} is {value!r}, expected {kind}") from None
    return values


def _convert(value: Any, kind: Any) -> Any:
    """The value as this type; a text is read as on the command line, wherever it stands."""
    origin, options = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {str(option): option for option in options}[str(value)]
    if origin in (Union, UnionType):  # X | None
        others = [option for option in options if option is not NoneType]
        return None if value == "none" else _convert(value, others[0])
    if origin in (tuple, list):
        if isinstance(value, str):
            value = [word.strip() for word in value.strip("()[] ").split(",") if word.strip()]
        return origin([_convert(item, options[0]) for item in value])
    if isinstance(value, str):
        value.encode()  # what is no valid text could not be written to a file
        value = value if kind is str else _parse(value)
    if kind is int and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # 1e3; from 2**53 on, floats leave whole numbers out
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise TypeError
    if kind is float and not math.isfinite(value):
        raise FloatingPointError
    return value


def _parse(text: str) -> bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)


def describe(kind: Any) -> str:
    """A type as --help and messages call it: `int`, `int|none`, `int,…`."""
    origin, options = get_origin(kind), get_args(kind)
    if origin in (tuple, list):
        return f"{describe(options[0])},…"
    if origin in (Literal, Union, UnionType):
        return "|".join(str(o) if origin is Literal else describe(o) for o in options)
    return {bool: "true|false", NoneType: "none"}.get(kind) or str(kind.__name__)


def is_required(field: Any) -> bool:
    """Whether a dataclass's field has no default."""
    return field.default is field.default_factory is dataclasses.MISSING


def dashed(name: str) -> str:
    """A name as it is typed."""
    return name.replace("_", "-")


def _toml(config: Any) -> str:
    return "".join(f"{name} = {plain(getattr(config, name))}\n" for name in kinds_of(type(config)))


def plain(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(plain, value))}]"
    # JSON and TOML write the rest alike, but for one control character.
    text = json.dumps("none" if value is None else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
