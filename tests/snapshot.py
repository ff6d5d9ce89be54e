"""Projects as a released version wrote them: one text file a version, `tests/snapshots/0.1.0.txt`.

    python tests/snapshot.py        # adds the file of the installed version; at a release, once

An archive rather than folders: no tool collects, lints or formats what is in it. It is read as it
stands: `==== path lines` and that many lines, or `==== path = path` for a file that was there.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from projects import LITGEN

FOLDER = Path(__file__).parent / "snapshots"
MARK = "==== "
# A name, and the words behind `litgen new NAME`. Between them they have every choice of a slot.
PROJECTS = {
    "cnn": ["--model", "cnn"],
    "cnn-folder-ddp-fp16": ["--data", "folder", "--strategy", "ddp", "--precision", "fp16"],
    "vit-ddp-bf16": ["--model", "vit", "--strategy", "ddp", "--precision", "bf16"],
    "gpt": ["--model", "gpt"],
    "gpt-bpe-fsdp-fp16": [
        *["--model", "gpt", "--with", "tokenizer=bpe"],
        *["--strategy", "fsdp", "--precision", "fp16"],
    ],
}


def versions() -> list[str]:
    """The versions that there are snapshots of."""
    return sorted(file.stem for file in FOLDER.glob("*.txt"))


def read_snapshot(version: str) -> dict[str, dict[str, str]]:
    """The projects of a version by name: each a text by path, `.litgen/` included."""
    found: dict[str, str] = {}
    with (FOLDER / f"{version}.txt").open(encoding="utf-8", newline="\n") as stream:
        for header in stream:
            assert header.startswith(MARK), header
            path, *rest = header.removeprefix(MARK).split()
            if rest[0] == "=":
                found[path] = found[rest[1]]
            else:
                found[path] = "".join(next(stream) for _ in range(int(rest[0])))
    projects: dict[str, dict[str, str]] = {}
    for path, text in found.items():
        name, _, inside = path.partition("/")
        projects.setdefault(name, {})[inside] = text
    return projects


def write_snapshot(files: dict[str, str]) -> str:
    """The archive of these files: a text that was there before is only named."""
    seen: dict[str, str] = {}
    parts = []
    for path, text in files.items():
        first = seen.setdefault(text, path)
        if first == path:
            assert " " not in path and (not text or text.endswith("\n")), path
            parts.append(f"{MARK}{path} {text.count(chr(10))}\n{text}")
        else:
            parts.append(f"{MARK}{path} = {first}\n")
    return "".join(parts)


def main() -> None:
    version = subprocess.check_output([LITGEN, "--version"], text=True).split()[1]
    target = FOLDER / f"{version}.txt"
    if target.exists():
        sys.exit(f"{target} is there: what was released does not change")
    with tempfile.TemporaryDirectory() as folder:
        for name, words in PROJECTS.items():
            subprocess.run([LITGEN, "new", name, *words, "-y"], cwd=folder, check=True)
        # `.litgen` after the files: its base is then only named.
        found = (file for file in Path(folder).rglob("*") if file.is_file())
        paths = {file.relative_to(folder).as_posix(): file for file in found}
        ordered = sorted(paths, key=lambda path: ("/.litgen/" in path, path))
        text = write_snapshot({path: paths[path].read_bytes().decode() for path in ordered})
    FOLDER.mkdir(exist_ok=True)
    target.write_bytes(text.encode())


if __name__ == "__main__":
    main()
