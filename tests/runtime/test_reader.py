"""What somebody else put into a checkpoint is never run, nor read from elsewhere."""

import io
import json
import os
import pickle
import zlib
from enum import Enum
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from forked import forked
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, StorageMeta
from training import Net, train

from runtime import dist
from runtime.checkpoint import Checkpoints
from runtime.errors import UserError


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def checkpoint(tmp_path):
    train(tmp_path / "c", "single", 1, save_at=[1])
    return tmp_path / "c" / "step-00000001"


def rewrite(checkpoint, name, content):
    """Change a file as somebody would who knows of the checksums."""
    (checkpoint / name).write_bytes(content)
    about = json.loads((checkpoint / "run.json").read_text())
    about["files"][name] = zlib.crc32(content)
    (checkpoint / "run.json").write_text(json.dumps(about))


def plan(checkpoint):
    return dcp.FileSystemReader(checkpoint).read_metadata()


def refused(checkpoint, reason):
    model = Net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=f"{reason}\n  fix: do not load it"):
        Checkpoints(checkpoint.parent).load(checkpoint, model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_payload_in_the_plan_is_not_run(tmp_path, checkpoint):
    trap = tmp_path / "run"
    rewrite(checkpoint, ".metadata", pickle.dumps(Payload(trap)))
    refused(checkpoint, "it asks for posix.mkdir")
    changed = plan(train_again(checkpoint))
    changed.planner_data["hidden"] = Payload(trap)
    rewrite(checkpoint, ".metadata", pickle.dumps(changed))
    refused(checkpoint, "it asks for posix.mkdir")
    assert not trap.exists()
    dcp.FileSystemReader(checkpoint).read_metadata()  # it would have been
    assert trap.exists()


def train_again(checkpoint):
    """A sound checkpoint of the same."""
    train(checkpoint.parent / "again", "single", 1, save_at=[1])
    return checkpoint.parent / "again" / checkpoint.name


def test_a_payload_in_the_place_of_a_tensor_is_not_run(tmp_path, checkpoint):
    trap, changed = tmp_path / "run", plan(checkpoint)
    name = "model.first.bias"
    for other, reason in [
        (BytesStorageMetadata(), "it asks for .*BytesStorageMetadata"),
        (StorageMeta(), f"{name} is no tensor"),
    ]:
        changed.state_dict_metadata[name] = other
        rewrite(checkpoint, ".metadata", pickle.dumps(changed))
        refused(checkpoint, reason)

    changed = plan(train_again(checkpoint))
    payload = io.BytesIO()
    torch.save(Payload(trap), payload)
    (where,) = {info.relative_path for info in changed.storage_data.values()}
    for info in changed.storage_data.values():
        info.offset, info.length = 0, len(payload.getvalue())
    rewrite(checkpoint, ".metadata", pickle.dumps(changed))
    (checkpoint / where).write_bytes(payload.getvalue())
    files = torch.load(checkpoint / "rank-00000.pt", weights_only=True)
    files["files"][where] = zlib.crc32(payload.getvalue())
    content = io.BytesIO()
    torch.save(files, content)
    rewrite(checkpoint, "rank-00000.pt", content.getvalue())
    with pytest.raises(UserError, match="cannot be read: what lies in the place of a tensor is"):
        Checkpoints(checkpoint.parent).load(checkpoint, Net())
    assert not trap.exists()


def test_a_payload_in_the_random_state_is_not_run(tmp_path, checkpoint):
    content = io.BytesIO()
    torch.save({"rng": Payload(tmp_path / "run"), "files": {}}, content)
    rewrite(checkpoint, "rank-00000.pt", content.getvalue())
    with pytest.raises(UserError, match="is damaged: rank-00000.pt is not as it was written"):
        Checkpoints(checkpoint.parent).load(checkpoint, Net())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", ["../step-00000001/__0_0.distcp", "/etc/passwd", ".."])
def test_a_plan_reads_nothing_from_outside_of_its_folder(checkpoint, path):
    changed = plan(checkpoint)
    for info in changed.storage_data.values():
        info.relative_path = path
    rewrite(checkpoint, ".metadata", pickle.dumps(changed))
    refused(checkpoint, f"{path} is no file of it")


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps({"a": 1}), pickle.dumps(1)[:-1]])
def test_what_is_no_plan_is_refused_in_two_lines(checkpoint, content):
    rewrite(checkpoint, ".metadata", content)
    refused(checkpoint, r"is not as this library writes checkpoints: .*")


def load_in_one_of_many(folder):
    world = dist.init(timeout_s=20)
    try:
        Checkpoints(folder, world=world).load(folder / "step-00000001", Net())
    except UserError as error:
        return str(error)
    return "loaded"


def test_all_processes_refuse_it(checkpoint):
    rewrite(checkpoint, ".metadata", pickle.dumps(Payload(checkpoint / "run")))
    for told in forked(2, load_in_one_of_many, checkpoint.parent):
        assert "it asks for posix.mkdir" in told


def test_paths_of_another_system_are_no_hindrance(checkpoint, monkeypatch):
    content = (checkpoint / ".metadata").read_bytes()
    name = type(Path()).__name__.encode()
    assert name in content
    # Of the same length, so that the pickle stays one.
    rewrite(
        checkpoint,
        ".metadata",
        content.replace(name, b"NoSuchPath"[: len(name)].ljust(len(name), b"_")),
    )
    assert Checkpoints(checkpoint.parent).load(checkpoint, Net())["step"] == 1


class Older(pickle.Pickler):
    """Writes the members of an enumeration as Python 3.11.2 does."""

    def reducer_override(self, value):
        return (getattr, (type(value), value.name)) if isinstance(value, Enum) else NotImplemented


def test_a_plan_that_an_older_python_wrote_is_read(checkpoint):
    older = io.BytesIO()
    Older(older).dump(plan(checkpoint))
    assert b"getattr" in older.getvalue()
    rewrite(checkpoint, ".metadata", older.getvalue())
    assert Checkpoints(checkpoint.parent).load(checkpoint, Net())["step"] == 1


@pytest.mark.parametrize("of", [(StorageMeta, "__init__"), ("text", "join")], ids=["class", "text"])
def test_an_attribute_of_anything_else_is_refused(checkpoint, of):
    class Attribute:
        def __reduce__(self):
            return getattr, of

    rewrite(checkpoint, ".metadata", pickle.dumps(Attribute()))
    refused(checkpoint, "is not as this library writes checkpoints: .+")
