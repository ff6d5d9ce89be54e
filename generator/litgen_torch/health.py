"""Is all well? The checks of `litgen doctor`: first where training runs, then the project."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from litgen_torch import staging
from litgen_torch.catalog import packages
from litgen_torch.environment import probe, python_of
from litgen_torch.errors import LitgenError
from litgen_torch.git import in_conflict
from litgen_torch.origin import Origin, newest
from litgen_torch.pending import read_pending
from litgen_torch.project import (
    UNSETTLED,
    Project,
    python_files,
    read_project,
    unsettled,
    written_by,
)
from litgen_torch.versions import installed, is_newer

OLDEST_TORCH = "2.9"  # unless the project asks for another


@dataclass(frozen=True)
class Check:
    """One thing looked at. `fix` is what to type where it is not well."""

    name: str
    state: Literal["ok", "note", "bad"]
    words: str
    fix: str = ""


def check_environment(folder: Path, project: Project | None) -> list[Check]:
    """Python, torch and the hardware, as the project's own Python sees them."""
    python = python_of(folder)
    pyproject = _pyproject(folder) if project else ""
    needs = _packages(pyproject)
    if project and project.template and "torch" not in needs:
        return [Check("python", "ok", python)]
    try:
        found = probe(python, [name for name in needs if name != "torch"])
    except LitgenError as error:
        return [Check("python", "bad", error.message, error.hint)]
    pip = f"{python} -m pip install"
    checks = [Check("python", "ok", f"{found['python']}, {python}")]
    if "torch_error" in found:
        words = f"cannot be imported: {found['torch_error']}"
        return [*checks, Check("torch", "bad", words, f"{pip} torch"), *_missing(found, pip)]
    answers = project.answers if project else {}
    return [
        *checks,
        _torch(found, pyproject, pip),
        *_missing(found, pip),
        _devices(found),
        _bf16(found, is_used=answers.get("precision") in ("bf16", "bf16-true")),
        _gloo(found, is_used=answers.get("strategy", "single") not in ("single", "xla")),
        *_torchvision(found, pip),
    ]


def _torch(found: dict[str, Any], pyproject: str, pip: str) -> Check:
    asked = re.search(r'"torch(>=|==)([\d.]+)', pyproject)
    oldest = asked[2] if asked else OLDEST_TORCH
    if asked and asked[1] == "==" and found["torch"].partition("+")[0] != oldest:
        words = f"{found['torch']}, expected {oldest} and no other"
        return Check("torch", "bad", words, f"{pip} torch=={oldest}")
    if is_newer(oldest, found["torch"]):
        words = f"{found['torch']}, expected {oldest} or newer"
        return Check("torch", "bad", words, f"{pip} 'torch>={oldest}'")
    return Check("torch", "ok", found["torch"])


def _missing(found: dict[str, Any], pip: str) -> list[Check]:
    names = " ".join(found["missing"])
    fix = f"{pip} {names}"
    if "deepspeed" in found["missing"]:  # it is built beside the torch that is there
        fix = f"{pip} setuptools wheel && {pip} --no-build-isolation {names}"
    return [Check("packages", "bad", f"not installed: {names}", fix)] if names else []


def _devices(found: dict[str, Any]) -> Check:
    names = found["devices"]
    return Check("devices", "ok", ", ".join(names) if names else "no accelerator: the CPU")


def _bf16(found: dict[str, Any], *, is_used: bool) -> Check:
    kind = found["bf16"]
    if kind == "no":
        fix = "litgen set precision fp16" if is_used else ""
        return Check("bf16", "bad" if is_used else "note", "not supported here", fix)
    if kind == "slow":
        fix = "litgen set precision fp32" if is_used else ""
        return Check("bf16", "note", "works on this CPU, but slower than fp32", fix)
    return Check("bf16", "ok", "supported")


def _gloo(found: dict[str, Any], *, is_used: bool) -> Check:
    if not found["gloo"]:
        return Check("gloo", "ok", "two processes on this machine hear each other")
    words = f"two processes on this machine do not hear each other: {found['gloo']}"
    return Check("gloo", "bad" if is_used else "note", words, "export GLOO_SOCKET_IFNAME=lo")


def _torchvision(found: dict[str, Any], pip: str) -> list[Check]:
    error = found["torchvision"]
    if not error:
        return []
    if "torchvision::" not in error and "libc10_cuda" not in error:
        return [Check("torchvision", "bad", error, f"{pip} --force-reinstall torchvision")]
    build = "cpu" if "+cpu" in found["torch"] else (found["torch"].partition("+")[2] or "cu128")
    index = f"https://download.pytorch.org/whl/{build}"
    words = "made for another build of torch; torchmetrics and timm fail with it: " + error
    return [Check("torchvision", "bad", words, f"{pip} --index-url {index} torchvision")]


def check_project(folder: Path) -> tuple[list[Check], Project | None]:
    """The record, the base and the code; the project if it can be read."""
    checks = list(_interrupted(folder))
    project = None
    try:
        project = read_project(folder)
        checks.append(
            _template(project.template) if project.template else _version(project.version)
        )
        checks.append(_record(project))
    except LitgenError as error:
        newer = is_newer(written_by(folder), installed())
        checks.append(_version(written_by(folder)) if newer else _bad("record", error))
    return [*checks, *_code(folder)], project


def _record(project: Project) -> Check:
    other = unsettled(project)
    if other and project.version == installed():
        return Check("record", "note", f"{UNSETTLED}: {_some(other)}", "litgen upgrade")
    return Check("record", "ok", f"answers, and {len(project.base)} files as litgen wrote them")


def _some(paths: list[str]) -> str:
    more = len(paths) - 4
    return ", ".join(paths) if more <= 0 else f"{', '.join(paths[:4])} and {more} more"


def _bad(name: str, error: LitgenError) -> Check:
    return Check(name, "bad", error.message, error.hint)


def _version(version: str) -> Check:
    here = installed()
    words = f"written by litgen {version}, and this is {here}"
    if is_newer(version, here):
        return Check("version", "bad", words, f"pip install 'litgen-torch>={version}'")
    if version != here:
        return Check("version", "note", words, "litgen upgrade")
    return Check("version", "ok", f"written by litgen {version}, which this is")


def _template(origin: Origin) -> Check:
    try:
        now = newest(origin)
    except LitgenError as error:
        return Check("template", "note", error.message, error.hint)
    if now.version != origin.version:
        return Check("template", "note", f"{origin.words}; there is {now.words}", "litgen upgrade")
    return Check("template", "ok", f"{origin.words}, the newest")


def _interrupted(folder: Path) -> Iterator[Check]:
    if staging.pending(folder):
        yield Check("change", "bad", "a change was interrupted half-way", "litgen status")
    try:
        pending = read_pending(folder)
    except LitgenError as error:
        yield _bad("change", error)
        return
    if pending:
        verb = pending.command[1]
        words = f"{' '.join(pending.command)!r} left markers and is not finished"
        yield Check("change", "bad", words, f"litgen {verb} --continue, or --abort")


def _code(folder: Path) -> list[Check]:
    """Every Python file parses, and none holds the markers of a conflict."""
    checks, paths = [], [*python_files(folder), "pyproject.toml"]
    for path in paths:
        try:
            text = (folder / path).read_text(encoding="utf-8")
            if line := in_conflict(text):
                words = f"{path}:{line}: a conflict's marker"
                checks.append(Check("code", "bad", words, f"edit {path}"))
            elif path.endswith(".py"):
                ast.parse(text)
            else:
                tomllib.loads(text)
        except SyntaxError as error:
            words = f"{path}:{error.lineno}: {error.msg}"
            checks.append(Check("code", "bad", words, f"edit {path}"))
        except FileNotFoundError:
            continue  # a project may do without
        except (OSError, ValueError) as error:
            checks.append(Check("code", "bad", f"{path}: {error}", f"edit {path}"))
    return checks or [Check("code", "ok", f"every Python file parses ({len(paths) - 1})")]


def _pyproject(folder: Path) -> str:
    try:
        return (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _packages(pyproject: str) -> list[str]:
    try:
        return packages(pyproject) if pyproject else []
    except (ValueError, KeyError, TypeError):  # the owner's file; what is wrong with it is said
        return []
