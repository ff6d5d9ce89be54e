"""Three versions of a TOML file as data: which edits carry the template's change into the owner's.

Tables are merged key by key. Arrays are sets: of packages where they are requirements, of tables by
the key that tells these apart, else of scalars. Other arrays are one value.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from litgen_torch.merge.toml_layout import Path

Data = Any  # as tomllib reads it
Three = tuple[Data, Data, Data]  # base, mine, new
Name = Callable[[Data], str]

MISSING: Data = object()
TELLING = ("module", "name", "id", "key", "repo", "path")  # keys that tell tables apart
PACKAGE = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?([^;]*)(.*)", re.S)


@dataclass(frozen=True)
class Edit:
    """One change of the owner's file: what the template has at `source` goes to `at`."""

    kind: str  # "set", "add", "delete", "arrange"
    at: Path
    source: Path
    # Of an array's elements, as they shall be: from "mine" or "new", and where they are in that.
    order: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Conflict:
    """A place that both changed."""

    at: Path
    source: Path
    reason: str


@dataclass
class Plan:
    """What is to be done, and what the owner's file means once it is done."""

    edits: list[Edit] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    data: Data = None


def plan_edits(base: Data, mine: Data, new: Data) -> Plan:
    """How to carry the change from base to new into mine: whole files, as data."""
    plan = Plan()
    plan.data = _table(plan, (base, mine, new), (), ())
    return plan


def same(one: Data, other: Data) -> bool:
    """Whether two values mean the same in TOML, where 1, 1.0 and true differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    is_nan = one != one and other != other
    return type(one) is type(other) and (is_nan or bool(one == other))


def _value(plan: Plan, three: Three, at: Path, source: Path) -> Data:
    """What becomes of a value. Its holder adds it, or deletes it if it is MISSING then."""
    base, mine, new = three
    if same(base, new) or same(mine, new):
        return mine
    if same(base, mine) and MISSING in (mine, new):
        return new
    if _are(dict, (_or({}, base), mine, _or({}, new))):
        rest = _table(plan, (_or({}, base), mine, _or({}, new)), at, source)
        if not rest and mine and new == {}:
            plan.edits.append(Edit("set", at, source))  # nothing in it says that it is there
        return MISSING if new is MISSING and not rest else rest
    if _are(list, (_or([], base), mine, new)):
        return _array(plan, (_or([], base), mine, new), at, source)
    return _whole(plan, three, at, source)


def _whole(plan: Plan, three: Three, at: Path, source: Path) -> Data:
    base, mine, new = three
    if same(base, mine):
        plan.edits.append(Edit("set", at, source))
        return new
    reason = "both you and the template changed this"
    if mine is MISSING:
        reason = "you deleted this, and the template changes it"
    elif new is MISSING:
        reason = "the template deletes this, and you changed it"
    elif base is MISSING:
        reason = "both you and the template added this"
    plan.conflicts.append(Conflict(at, source, reason))
    return mine


def _table(plan: Plan, three: Three, at: Path, source: Path) -> Data:
    base, mine, new = three
    merged = dict(mine)
    for key in [*new, *(key for key in base if key not in new)]:
        place = (*at, key), (*source, key)
        found = _value(plan, _at(three, key), *place)
        if found is not MISSING:
            merged[key] = found
            if key not in mine:
                plan.edits.append(Edit("add", *place))
        elif key in mine:
            del merged[key]
            plan.edits.append(Edit("delete", *place))
    return merged


def _array(plan: Plan, three: Three, at: Path, source: Path) -> Data:
    name = _naming(three, source)
    if name is None:
        return _whole(plan, three, at, source)
    named = before, yours, theirs = _named(three, name)
    mine_at, new_at = _positions(yours), _positions(theirs)
    started, merged = len(plan.edits), dict[str, Data]()
    for key in [*yours, *(key for key in theirs if key not in yours)]:
        values = _at(named, key)
        if is_requirements(source):
            values = _respelled(values)
        is_gone = key in before and key not in theirs and not same(values[0], values[1])
        found = (_whole if is_gone else _value)(
            plan, values, (*at, mine_at.get(key, -1)), (*source, new_at.get(key, -1))
        )
        if found is not MISSING:
            merged = _with(merged, key, found, list(yours if key in yours else theirs))
    if same(three[0], three[1]) and not same(list(merged.values()), three[2]):
        del plan.edits[started:]  # the template changed the order
        return _whole(plan, three, at, source)
    if list(merged) != list(yours):
        order = [("mine", mine_at[k]) if k in yours else ("new", new_at[k]) for k in merged]
        plan.edits.append(Edit("arrange", at, source, tuple(order)))
    return list(merged.values())


def _with(merged: dict[str, Data], key: str, value: Data, names: list[str]) -> dict[str, Data]:
    """The elements and one more: behind the nearest that goes before it, else before the next."""
    at, present = names.index(key), list(merged)
    before = [present.index(each) + 1 for each in reversed(names[:at]) if each in merged]
    after = [present.index(each) for each in names[at:] if each in merged]
    place = [*before, *after, len(present)][0]
    items = list(merged.items())
    return dict([*items[:place], (key, value), *items[place:]])


def is_requirements(path: Path) -> bool:
    """Whether the array at a path lists packages."""
    return bool(path) and (
        path[-1] in ("dependencies", "requires")
        or path[:2] == ("project", "optional-dependencies")
        or path[0] == "dependency-groups"
    )


def _naming(three: Three, path: Path) -> Name | None:
    """What tells the elements of three arrays apart, if anything does."""
    elements = [each for side in three for each in side]
    names: list[Name] = []
    if is_requirements(path) and all(isinstance(each, str | dict) for each in elements):
        names = [_package, _package_and_marker, _text]
    elif all(isinstance(each, dict) for each in elements):
        keys = [key for key in TELLING if all(key in each for each in elements)]
        names = [_by(key) for key in keys]
    elif not any(isinstance(each, dict | list) for each in elements):
        names = [_text]
    for name in names:
        if all(len({name(each) for each in side}) == len(side) for side in three):
            return name
    return None


def _by(key: str) -> Name:
    def name(table: Data) -> str:
        value = table[key]
        # mypy's `module` may be a list of modules: the first one stands for it.
        return _text(value[0] if isinstance(value, list) and value else value)

    return name


def _text(value: Data) -> str:
    return json.dumps(value, default=repr, sort_keys=True)


def _package(requirement: Data) -> str:
    found = PACKAGE.match(requirement) if isinstance(requirement, str) else None
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else _text(requirement)


def _package_and_marker(requirement: Data) -> str:
    return _package(requirement) + str(requirement).partition(";")[2]


def _meaning(requirement: Data) -> Data:
    """A requirement in one spelling of the many that mean the same."""
    found = PACKAGE.match(requirement) if isinstance(requirement, str) else None
    if not found:
        return requirement
    extras, versions, marker = (
        re.sub(r"\s", "", each or "").replace("'", '"') for each in found.groups()[1:]
    )
    versions = ",".join(sorted(versions.strip("()").split(",")))
    return f"{_package(requirement)}{extras}{versions}{marker}"


def _respelled(three: Three) -> Three:
    """Three requirements, in mine's spelling where they mean the same, else in new's."""
    base, mine, new = three
    if mine is not MISSING:
        is_enough = base is MISSING and new is not MISSING and _meaning(new) == _package(new)
        new = mine if is_enough or _meaning(new) == _meaning(mine) else new
        base = mine if _meaning(base) == _meaning(mine) else base
    return (new if _meaning(base) == _meaning(new) else base), mine, new


def _named(three: Three, name: Name) -> Three:
    base, mine, new = ({name(each): each for each in side} for side in three)
    return base, mine, new


def _at(three: Three, key: str) -> Three:
    base, mine, new = (each.get(key, MISSING) for each in three)
    return base, mine, new


def _positions(names: Iterable[str]) -> dict[str, int]:
    return {name: position for position, name in enumerate(names)}


def _or(default: Data, value: Data) -> Data:
    return default if value is MISSING else value


def _are(kind: type, values: Three) -> bool:
    return all(isinstance(each, kind) for each in values)
