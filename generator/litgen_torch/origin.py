"""Where somebody else's template comes from: a folder, or a git repository at a commit.

No state of it is kept. A project's record names the source and the state with which it was written,
and both are fetched again when a change needs them. The record is untrusted input.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from litgen_torch.answers import suggestion
from litgen_torch.errors import LitgenError
from litgen_torch.git import run_git

SHORTCUTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
URL = re.compile(r"[a-z+]+://|[\w.-]+@[\w.-]+:")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
NOT_THE_TEMPLATE = {".git", ".svn", "__pycache__", ".DS_Store"}
MOVED = "put it back, or write its new place as `source` into .litgen/project.toml"
SHOWN = 12  # names of tags and branches


@dataclass(frozen=True)
class Origin:
    """A state of a template."""

    source: str  # a folder, or what git clones
    version: str  # the commit or, of a folder that is no repository, a hash of what it holds
    ref: str = ""  # the tag or branch by which the commit was found
    is_git: bool = True

    @property
    def name(self) -> str:
        """What people call it."""
        return re.split(r"[/:]", self.source.rstrip("/"))[-1].removesuffix(".git")

    @property
    def words(self) -> str:
        state = self.version[:10] if self.is_git else f"as of {self.version[:10]}"
        return f"{self.name} {self.ref} ({state})" if self.ref else f"{self.name} {state}"


def find(source: str, ref: str | None = None) -> Origin:
    """The template at a place: at a tag, branch or commit, else at its newest tag, else its head.

    The newest is by PEP 440, as copier has it: no pre-releases, and what is no version not at all.
    """
    place, is_git = _located(source)
    if is_git:
        refs = _refs(place)
        return _at(place, refs, ref) if ref else _newest(place, refs)
    if ref:
        raise LitgenError(f"{place} is no git repository: it has no {ref}", "leave --ref out")
    return Origin(place, _hash(Path(place)), is_git=False)


def newest(origin: Origin, ref: str | None = None) -> Origin:
    """The state to which an upgrade goes.

    Who is on a branch follows it; a version is not left for one that is older.
    """
    if not origin.is_git and not Path(origin.source).is_dir():
        raise _gone(origin.source, "no such folder", MOVED)
    if ref or not origin.is_git:
        return find(origin.source, ref)
    refs = _refs(origin.source, MOVED)
    if f"refs/heads/{origin.ref}" in refs and f"refs/tags/{origin.ref}" not in refs:
        return _at(origin.source, refs, origin.ref)
    found, here = _newest(origin.source, refs), _version(origin.ref)
    there = _version(found.ref)
    is_older = here is not None and (there is None or there < here)
    return origin if is_older else found


@contextmanager
def fetched(origin: Origin) -> Iterator[Path]:
    """The template's files as they are in that state, for as long as they are needed."""
    if not origin.is_git:
        yield Path(origin.source)
        return
    with tempfile.TemporaryDirectory(prefix="litgen-template-") as scratch:
        folder = Path(scratch) / "template"
        clone = ("clone", "-q", "--no-checkout", "--", origin.source, str(folder))
        _git(scratch, origin.source, MOVED, *clone)
        checkout = ["-c", "advice.detachedHead=false", "checkout", "-q", origin.version]
        if run_git(folder, *checkout).returncode:
            # Not reachable from a branch or tag: cloned only where it is asked for by name.
            run_git(folder, "fetch", "-q", "origin", origin.version)
            if run_git(folder, *checkout).returncode:
                raise LitgenError(
                    f"{origin.source} has no commit {origin.version} any more", "litgen upgrade"
                )
        yield folder


def to_record(origin: Origin) -> dict[str, str]:
    """What a project's record says of the template."""
    state = {"commit": origin.version} if origin.is_git else {"content": origin.version}
    return {"source": origin.source} | ({"ref": origin.ref} if origin.ref else {}) | state


def from_record(record: Any) -> Origin:
    """The same read; raises ValueError for what is none."""
    found = {key: record.get(key, "") for key in ("source", "ref", "commit", "content")}
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError("the template: expected text")
    version = found["commit"] or found["content"]
    if not COMMIT.fullmatch(version) or not found["source"] or found["source"].startswith("-"):
        raise ValueError("the template: expected a source, and a commit or a hash of its content")
    return Origin(found["source"], version, found["ref"], is_git=bool(found["commit"]))


def answers_to_record(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Answers as TOML can say them; what it cannot say, such as null, is JSON in it."""
    return {name: _to_toml(answer) for name, answer in answers.items()}


def answers_from_record(record: Any) -> dict[str, Any]:
    """The same read; raises ValueError for what is none."""
    return {
        name: json.loads(answer["json"]) if _is_json(answer) else answer
        for name, answer in record.items()
    }


def _is_json(answer: Any) -> bool:
    return isinstance(answer, dict) and answer.keys() == {"json"}


def _to_toml(answer: Any) -> Any:
    plain = (str, bool, int, float)
    if isinstance(answer, plain) or (
        isinstance(answer, list) and all(isinstance(item, plain) for item in answer)
    ):
        return answer
    return {"json": json.dumps(answer, default=str)}


def _located(source: str) -> tuple[str, bool]:
    """The folder or the URL, and whether git knows it."""
    path = Path(source).expanduser()
    if source and path.exists():
        is_repository = (path / ".git").exists() or (path / "objects").is_dir()
        return os.path.abspath(path), is_repository or path.is_file()
    url = source.removeprefix("git+")
    for shortcut, prefix in SHORTCUTS.items():
        if url.startswith(shortcut):
            url = f"{prefix}{url.removeprefix(shortcut).strip('/')}"
    if not URL.match(url):
        raise LitgenError(
            f"no template at {source!r}: it is neither a folder here nor a git URL",
            "a folder, https://…/template.git or gh:owner/template",
        )
    if "://" in url and urlsplit(url).password:
        raise LitgenError(
            "the template's URL holds a password, which the project's record would tell",
            "leave it out, and let git ask for it: git help credentials",
        )
    return url, True


def _refs(source: str, hint: str = "") -> dict[str, str]:
    """The repository's HEAD, branches and tags, and the commits to which they lead."""
    words = ["ls-remote", "--", source, "HEAD", "refs/heads/*", "refs/tags/*"]
    found = {}
    for line in _git(os.getcwd(), source, hint or f"git ls-remote {source}", *words).splitlines():
        commit, _, ref = line.partition("\t")
        found[ref.removesuffix("^{}")] = commit  # a tag's own commit comes after the tag
    if not found:
        raise LitgenError(f"{source} has no commit yet", "git commit, in the template")
    return found


def _at(source: str, refs: dict[str, str], ref: str) -> Origin:
    for full in (f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
        if full in refs:
            return Origin(source, refs[full], ref)
    if COMMIT.fullmatch(ref):
        return Origin(source, ref)
    names = sorted(name.split("/", 2)[-1] for name in refs if name != "HEAD")
    raise LitgenError(
        f"{source} has no tag or branch {ref!r}, and it is no whole commit",
        suggestion(ref, names if len(names) <= SHOWN else [*names[-SHOWN:]]),
    )


def _newest(source: str, refs: dict[str, str]) -> Origin:
    tags = [name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/")]
    versions = [(version, tag) for tag in tags if (version := _version(tag)) is not None]
    finished = [pair for pair in versions if not pair[0].is_prerelease]
    if finished:
        return _at(source, refs, max(finished)[1])
    return Origin(source, refs.get("HEAD") or next(iter(refs.values())))


def _version(tag: str) -> Any:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(tag)
    except InvalidVersion:
        return None


def _hash(folder: Path) -> str:
    """One number for all that lies in a folder: names, contents, what may be run."""
    found = hashlib.sha256()
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - NOT_THE_TEMPLATE)
        for name in sorted(set(names) - NOT_THE_TEMPLATE):
            file = Path(inside, name)
            mode = "link" if file.is_symlink() else bool(file.stat().st_mode & 0o100)
            data = file.read_bytes() if file.is_file() else b""
            about = [file.relative_to(folder).as_posix(), mode, hashlib.sha256(data).hexdigest()]
            found.update(json.dumps(about).encode())
    return found.hexdigest()


def _git(folder: str | Path, source: str, hint: str, *words: str | Path) -> str:
    done = run_git(folder, *words)
    if done.returncode:
        raise _gone(source, os.fsdecode(done.stderr), hint)
    return os.fsdecode(done.stdout)


def _gone(source: str, said: str, hint: str) -> LitgenError:
    lines = [line.removeprefix("fatal: ") for line in said.strip().splitlines()]
    shown = next((line for line in lines if line.strip()), "git does not say why")
    return LitgenError(f"the template at {source} cannot be had: {shown}", hint)
