"""Settings: a dataclass, filled from its defaults, a TOML file and the command line.

The fields and their types are all there is to declare. What a comment says behind a field is its
help. Of the same setting, the command line beats the file, and the file the default.
"""

import dataclasses
import inspect
import io
import json
import os
import sys
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

OPTIONS = {
    "config": "a TOML file of settings; those given here as well beat it",
    "print_config": "print all settings as TOML and leave",
    "help": "print this and leave",
}


def load_config(
    cls: type[T], argv: list[str] | None = None, fast: Mapping[str, Any] | None = None
) -> T:
    """The settings, from `--key value`, `--key=value`, `key=value` and `--config FILE`.

    `--fast` takes the values of `fast` for what is not given, and adds "-fast" to the name, so that
    a trial run touches no other. A mistake, which includes a ValueError of the class's own
    `__post_init__`, ends the program with one line on stderr and exit code 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    program = Path(sys.argv[0]).name
    if "--help" in argv or "-h" in argv:
        print(_help(cls, program))
        sys.exit(0)
    try:
        given = dict(_pairs(argv, _kinds(cls)))
        show, file = given.pop("print_config", None), given.pop("config", None)
        values = (_read_file(cls, file) if file else {}) | _typed(cls, given)
        if values.get("fast", getattr(cls, "fast", False)):
            values = {**(fast or {}), **values}
        for field in dataclasses.fields(cls):
            if _required(field) and field.name not in values:
                raise ValueError(f"no value for {_dashed(field.name)!r}")
        config: Any = cls(**values)
        if getattr(config, "fast", False):
            config = dataclasses.replace(config, name=f"{config.name}-fast")
    except ValueError as error:
        sys.stderr.write(f"{program}: {' '.join(str(error).split())}\n")
        sys.exit(2)
    if show:
        sys.stdout.write(_toml(config))
        sys.exit(0)
    return config


def save_config(config: Any, path: Path) -> None:
    """Write all settings as TOML: the whole file or none of it. None is written as "none"."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(_toml(config), encoding="utf-8", newline="\n")
    os.replace(draft, path)


def read_config(cls: type[T], path: Path) -> T:
    """The settings that `save_config` wrote. Raises ValueError, which names file and setting."""
    return cls(**_read_file(cls, path))


def _kinds(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def _pairs(argv: list[str], kinds: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    words, seen = list(argv), set()
    while words:
        word = words.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        name = key.replace("-", "_")
        if not equals:
            if not word.startswith("--"):
                raise ValueError(f"cannot read {word!r}; settings are given as --name value")
            positive = name.removeprefix("no_")
            if name not in kinds and kinds.get(positive) is bool:
                name, value = positive, "false"
            elif name == "print_config" or kinds.get(name) is bool:
                value = words.pop(0) if words[:1] in (["true"], ["false"]) else "true"
            elif name != "config" and name not in kinds:
                raise ValueError(_unknown(key, kinds))
            elif not words or words[0].startswith("--"):
                raise ValueError(f"no value behind {word!r}")
            else:
                value = words.pop(0)
        if name in seen:
            raise ValueError(f"{_dashed(name)!r} is given twice")
        seen.add(name)
        yield name, value


def _read_file(cls: Any, path: str | Path) -> dict[str, Any]:
    import tomllib  # costs more than all of the rest, and most runs need no file

    try:
        return _typed(cls, tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _typed(cls: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    kinds = _kinds(cls)
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in kinds:
            raise ValueError(_unknown(key, kinds))
        if name in values:
            raise ValueError(f"{_dashed(name)!r} is given twice")
        try:
            values[name] = _convert(value, kinds[name])
        except (ValueError, TypeError, LookupError, OverflowError):
            wanted = _describe(kinds[name])
            raise ValueError(f"{_dashed(name)!r} is {value!r}, expected {wanted}") from None
    return values


def _convert(value: Any, kind: Any) -> Any:
    """The value as this type; text is read as on the command line, wherever it comes from."""
    origin, options = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {str(option): option for option in options}[str(value)]
    if origin in (Union, UnionType):
        if value == "none" and NoneType in options:
            return None
        return _convert(value, next(option for option in options if option is not NoneType))
    if origin in (tuple, list):
        if isinstance(value, str):
            value = [word.strip() for word in value.strip("()[] ").split(",") if word.strip()]
        return origin(_convert(item, options[0]) for item in value)
    if kind is str and isinstance(value, str):
        value.encode()  # what is no valid text could not be written to a file
    elif isinstance(value, str):
        value = _number(value)
    if kind is int and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # 1e3; above 2**53 floats leave whole numbers out
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _number(text: str) -> bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)


def _describe(kind: Any) -> str:
    """The type, as --help and messages call it."""
    origin, options = get_origin(kind), get_args(kind)
    if origin in (tuple, list):
        return f"{_describe(options[0])},…"
    if origin in (Literal, Union, UnionType):
        words = [option if origin is Literal else _describe(option) for option in options]
        return "|".join(map(str, words))
    return {bool: "true|false", NoneType: "none"}.get(kind, kind.__name__)


def _unknown(key: str, kinds: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(_dashed(key), [_dashed(name) for name in [*kinds, *OPTIONS]], n=1)
    advice = f"did you mean {near[0]!r}?" if near else "--help lists all"
    return f"no setting {_dashed(key)!r}; {advice}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _toml(config: Any) -> str:
    return "".join(f"{name} = {_plain(getattr(config, name))}\n" for name in _kinds(type(config)))


def _plain(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, float):
        return repr(value)
    # JSON and TOML write the rest alike, but for one control character.
    text = "none" if value is None else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _help(cls: Any, program: str) -> str:
    kinds, notes = _kinds(cls), _notes(cls)
    usages = {name: f"  --{_dashed(name)} {_describe(kind)}" for name, kind in kinds.items()}
    usages |= {name: f"  --{_dashed(name)}" for name in OPTIONS} | {"config": "  --config FILE"}
    width = max(map(len, usages.values())) + 2
    lines = [f"usage: {program} [--setting value | setting=value] …", ""]
    for field in dataclasses.fields(cls):
        if field.name in kinds:
            heading, comment = notes.get(field.name, (None, ""))
            if heading is not None and len(lines) > 2:
                lines.append("")
            if heading:
                lines.append(heading)
            lines.append(f"{usages[field.name]:{width}}{comment} [{_default(field)}]")
    return "\n".join([*lines, "", *(f"{usages[name]:{width}}{OPTIONS[name]}" for name in OPTIONS)])


def _default(field: Any) -> str:
    if _required(field):
        return "required"
    made = field.default_factory is not dataclasses.MISSING
    value = field.default_factory() if made else field.default
    return value if isinstance(value, str) else _plain(value).strip('[]"')


def _required(field: Any) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _notes(cls: Any) -> dict[str, tuple[str | None, str]]:
    """For each field the comment behind it; and "" or a heading where a block of fields begins."""
    notes: dict[str, tuple[str | None, str]] = {}
    heading: str | None = ""
    statement, comment = [], ""
    try:
        source = io.StringIO(inspect.getsource(cls))
        for token in tokenize.generate_tokens(source.readline):
            text = token.string
            if token.type == tokenize.COMMENT and statement:
                comment = f"{comment} {text.lstrip('# ')}".strip()
            elif token.type == tokenize.COMMENT and heading is not None:
                heading = f"{heading} {text.lstrip('# ')}".strip()
            elif token.type == tokenize.NEWLINE:
                is_field = statement[1:2] == [":"]
                if is_field:
                    notes.setdefault(statement[0], (heading, comment))
                heading, statement, comment = None if is_field else "", [], ""
            elif token.type == tokenize.NL and not statement and not token.line.strip():
                heading = ""
            elif text.strip() and token.type != tokenize.NL:
                statement.append(text)
    except (OSError, TypeError):  # the class was not read from a file
        pass
    return notes
