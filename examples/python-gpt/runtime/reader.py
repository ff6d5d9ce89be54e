"""Reads a checkpoint's tensors, and runs nothing that somebody may have put into its files.

torch's distributed checkpoint keeps its plan in `.metadata`, a pickle, which can name any function
to be called. Here it may name only what a plan of tensors is made of.
"""

import pickle
import re
from enum import Enum
from pathlib import PurePath
from typing import Any

import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

from runtime.errors import UserError

PLAN = {
    "torch.distributed.checkpoint.metadata": {
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size"},
}
# What unpickling raises where the bytes are no pickle, or one of something else.
UNREADABLE = (pickle.UnpicklingError, AttributeError, EOFError, LookupError, TypeError, ValueError)


class Reader(FileSystemReader):
    """Torch's reader, but for the unpickling. Raises UserError for what is no plan of tensors."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        try:
            with open(self._get_metadata_path(kwargs.get("rank")), "rb") as file:
                metadata = _Plan(file).load()
            if not isinstance(metadata, Metadata):
                raise pickle.UnpicklingError("it is no plan")
            for name, about in metadata.state_dict_metadata.items():
                if not isinstance(about, TensorStorageMetadata):  # else a pickle would be read
                    raise pickle.UnpicklingError(f"{name} is no tensor")
            for stored in (metadata.storage_data or {}).values():
                if not re.fullmatch(r"__\d+_\d+\.distcp", stored.relative_path):
                    raise pickle.UnpicklingError(f"{stored.relative_path} is no file of it")
        except UNREADABLE as error:
            raise UserError(
                f"{self.path} is not as this library writes checkpoints: {error}",
                "do not load it: what it asks for could be anybody's code",
            ) from error
        return metadata


class _Plan(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "pathlib":  # where it was saved, maybe on another system
            return PurePath
        if name in PLAN.get(module, ()):
            return super().find_class(module, name)
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        if (module, name) == ("builtins", "getattr"):  # Python 3.11.0 to 3.11.3 writes enums so
            return _member
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _member(kind: type, name: str) -> Enum:
    if not issubclass(kind, Enum):  # which only a kind of the plan can be
        raise pickle.UnpicklingError(f"it asks for {name} of {kind}")
    return kind[name]
