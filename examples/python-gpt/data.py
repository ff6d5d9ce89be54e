"""Text as windows of tokens. It is read once, and kept under prepared/ as files of tokens.

A token is a byte. Another text: `python train.py --data FOLDER`.
"""

import codecs
import hashlib
import sysconfig
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from config import Config
from runtime.errors import UserError

VOCABULARY = 256  # a token is a byte of UTF-8
TOKEN = torch.uint8  # how a token is kept on disk
END = "\0"  # stands behind every document

# Left out of Python's library: what it installs, its tests, and tables that hardly are programs.
NOT_PYTHON = {"site-packages", "dist-packages", "encodings", "pydoc_data"}
NOT_PYTHON |= {"test", "tests", "idle_test"}


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """A file of tokens as windows of `block` tokens; the target of each is the one that follows."""

    def __init__(self, file: Path, vocab_size: int, block: int, limit: int | None = None) -> None:
        self.vocab_size, self.block = vocab_size, block
        self.arguments = (file, vocab_size, block, limit)
        size = file.stat().st_size // TOKEN.itemsize
        self.tokens = torch.from_file(str(file), size=size, dtype=TOKEN)  # mapped, not read
        self.windows = (size - 1) // block
        self.length = min(self.windows, limit or self.windows)

    def __reduce__(self) -> tuple[type, tuple[Path, int, int, int | None]]:
        return Windows, self.arguments  # a loader worker maps the file anew and copies nothing

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        start = index * self.windows // self.length * self.block  # a limited set is spread evenly
        window = self.tokens[start : start + self.block + 1].long()
        return window[:-1], window[1:]  # (block,), (block,)


class Document(NamedTuple):
    """A text from one file: its bytes from `start` up to `end`."""

    path: Path
    start: int
    end: int


def load_data(config: Config) -> tuple[Windows, Windows]:
    """Return windows to train on and to validate on; prepares the text where it is new."""
    folder = prepare(config)
    vocab_size = VOCABULARY
    train_set = Windows(folder / "train.bin", vocab_size, config.block)
    val_set = Windows(folder / "val.bin", vocab_size, config.block, config.eval_samples)
    for part, windows in (("training", train_set), ("validation", val_set)):
        if not len(windows):
            raise UserError(
                f"data {config.data!r}: {len(windows.tokens)} tokens for {part}, "
                f"a window needs {config.block + 1}",
                "give more text, or a smaller --block",
            )
    return train_set, val_set


def prepare(config: Config) -> Path:
    """Return the folder with the tokens of this text; it is written as a whole or not at all."""
    files = find_files(config)
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    key = hashlib.sha256(repr(states).encode()).hexdigest()[:16]
    folder = Path("prepared") / key
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{key}-") as temporary:
            part = Path(temporary) / "part"
            part.mkdir()
            train, val = split(files)
            write_tokens(train, part / "train.bin")
            write_tokens(val, part / "val.bin")
            part.rename(folder)
    except OSError as error:
        if not folder.exists():  # else another run was quicker
            raise UserError(
                f"cannot prepare the text: {error}", "make the file readable, or room on the disk"
            ) from error
    return folder


def find_files(config: Config) -> list[Path]:
    data = Path(config.data)
    try:
        if config.data == "python":
            library = Path(sysconfig.get_path("stdlib"))
            files = [path for path in sorted(library.rglob("*.py")) if is_python(path, library)]
        elif data.is_dir():
            next(data.iterdir(), None)  # may raise; in a closed folder rglob just finds nothing
            files = [path for path in sorted(data.rglob(config.pattern)) if is_shown(path, data)]
        elif data.is_file():
            files = [data]
        else:
            raise UserError(
                f"no file or folder {config.data!r}", "give one that exists with --data"
            )
    except (OSError, ValueError, NotImplementedError) as error:  # a closed folder, a bad pattern
        raise UserError(
            f"cannot look for {config.pattern!r} in {config.data!r}: {error}",
            "make the folder readable, or give another --pattern or --data",
        ) from error
    if not files:
        raise UserError(
            f"no file {config.pattern!r} in {config.data!r}",
            "give another --pattern or --data, or make the folder readable",
        )
    return files


def is_python(path: Path, library: Path) -> bool:
    if NOT_PYTHON.intersection(path.relative_to(library).parts):
        return False
    try:
        return bool(path.read_bytes().decode())
    except UnicodeDecodeError:
        return False


def is_shown(path: Path, folder: Path) -> bool:
    return path.is_file() and not any(part[0] == "." for part in path.relative_to(folder).parts)


def split(files: list[Path]) -> tuple[list[Document], list[Document]]:
    """Hold out every tenth file, by the hashes of their names; of a single file its last tenth."""
    documents = [Document(path, 0, path.stat().st_size) for path in files]
    if len(documents) == 1:
        path, start, end = documents[0]
        cut = next_character(path, end * 9 // 10)
        return [Document(path, start, cut)], [Document(path, cut, end)]
    documents.sort(key=lambda document: hashlib.sha256(document.path.name.encode()).digest())
    held_out = documents[::10]
    del documents[::10]
    return documents, held_out


def next_character(path: Path, position: int) -> int:
    """The first byte from `position` on that begins a character of UTF-8."""
    with path.open("rb") as file:
        file.seek(position)
        following = file.read(4)
    return position + next((i for i, byte in enumerate(following) if byte & 0xC0 != 0x80), 0)


def write_tokens(documents: list[Document], file: Path) -> None:
    with file.open("wb") as out:
        for document in documents:
            for text in chain(read_text(document), [END]):
                out.write(text.encode())


def read_text(document: Document) -> Iterator[str]:
    """Yield a document in pieces of at most a megabyte, so that its length does not matter."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    path, position, end = document
    with path.open("rb") as file:
        file.seek(position)
        while piece := file.read(min(2**20, end - position)):
            position += len(piece)
            try:
                yield decoder.decode(piece, final=position == end)
            except UnicodeDecodeError as error:
                # The decoder's bytes end at `position`, but may begin before this piece.
                byte = position - len(error.object) + error.start
                raise UserError(
                    f"{path}: byte {byte} is not UTF-8",
                    "convert the file, or leave it out with --pattern",
                ) from error
