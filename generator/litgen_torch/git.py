"""What git knows of a project's files; a project needs no git."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from litgen_torch.errors import LitgenError
from litgen_torch.places import place

# What a hook has in its environment says of another repository; ssh and passwords are as wanted.
OF_A_HOOK = {
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "INDEX_FILE", "PREFIX", "COMMON_DIR", "NAMESPACE", "CONFIG"),
        *("OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "QUARANTINE_PATH", "SHALLOW_FILE"),
    )
}
MARKER = re.compile(r"^(<{7}|\|{7}|>{7})( |$)", re.MULTILINE)
MIDDLE = "======="  # in prose it underlines a title


def uncommitted(folder: Path, paths: Iterable[str]) -> list[str]:
    """Those of the paths whose last changes git could not bring back, in the order given.

    Files that git does not track, or ignores, are not among them: git has no version of them that
    they could differ from, as in a project without git.
    """
    root = Path(os.path.realpath(folder))
    if not any((parent / ".git").exists() for parent in (root, *root.parents)):
        return []
    # git does not look behind links, so it is asked for what they lead to.
    real = {path: place(folder, path).relative_to(root).as_posix() for path in paths}
    changed = _changed(root, sorted(set(real.values()))) if real else set()
    return [path for path in real if real[path] in changed]


def markers(path: str, text: str) -> list[int]:
    """The lines that hold a conflict's markers."""
    lines = enumerate(text.split("\n"), 1)
    is_prose = path.endswith(".md")
    return [
        number
        for number, line in lines
        if MARKER.match(line) or line.rstrip() == MIDDLE and not is_prose
    ]


def in_conflict(text: str) -> int:
    """The first line that a merge has left between two versions; 0 where none has.

    A row of equals signs alone says nothing: it may underline a title in somebody's docstring.
    """
    mark = MARKER.search(text)
    return text.count("\n", 0, mark.start()) + 1 if mark else 0


def _changed(root: Path, paths: list[str]) -> set[str]:
    prefix = _git(root, "rev-parse", "--show-prefix").removesuffix("\n")
    options = ["--porcelain", "-z", "--no-renames", "--untracked-files=no"]
    lines = _git(root, "status", *options, "--", *paths).split("\0")
    return {line[3:].removeprefix(prefix) for line in lines if line}


def run_git(folder: str | Path, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Git in a folder; as with a shell, 127 where there is none."""
    settings = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    settings |= {"GIT_LITERAL_PATHSPECS": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    settings.setdefault("GIT_TERMINAL_PROMPT", "0")  # nobody knows that git is asking
    try:
        return subprocess.run(["git", *words], cwd=folder, env=settings, capture_output=True)
    except OSError:
        return subprocess.CompletedProcess([], 127, b"", b"git is not installed")


def _git(root: Path, *words: str) -> str:
    done = run_git(root, *words)
    if done.returncode == 127:
        return ""  # no git: nothing is tracked, as far as anybody here can tell
    if done.returncode:
        said = os.fsdecode(done.stderr).partition("\n")[0].removeprefix("fatal: ")
        raise LitgenError(f"git cannot say what is committed: {said}", "git status")
    return os.fsdecode(done.stdout)
