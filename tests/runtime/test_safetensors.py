"""The weights of any checkpoint as one file: all of them, to the bit, without the model's code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_checkpoint import damage, equal, in_processes
from training import train

from runtime.errors import UserError
from runtime.safetensors import DTYPES, main, read_weights, save_safetensors

ROOT = Path(__file__).parents[2]


def opened(path):
    """A file read as the format's description says, and what it tells of itself."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    assert length % 8 == 0 and content[8:9] == b"{"
    about, end, weights = header.pop("__metadata__"), 0, {}
    kinds = {name: dtype for dtype, name in DTYPES.items()}
    for name, entry in header.items():
        begin, end_of_it = entry["data_offsets"]
        assert begin == end, "no holes, in order"
        end = end_of_it
        whole = torch.frombuffer(bytearray(data[begin:end]) or bytearray(1), dtype=torch.uint8)
        whole = whole[: end - begin].view(kinds[entry["dtype"]])
        weights[name] = whole.reshape(entry["shape"])
    assert end == len(data)
    assert all(isinstance(value, str) for value in about.values())
    return weights, about


def run(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "runtime.safetensors", *words],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(("strategy", "size"), [("single", 1), ("ddp", 2), ("fsdp", 2)])
def test_any_strategy_s_checkpoint_gives_the_whole_weights(tmp_path, strategy, size):
    _, weights = in_processes(size, tmp_path / "run" / "checkpoints", strategy, 2, save_at=[1, 2])
    main(tmp_path / "run", None, average=True)
    found, about = opened(tmp_path / "run" / "model.safetensors")
    assert equal(found, weights)
    assert about == {"format": "pt", "checkpoint": "step-00000002"}
    main(tmp_path / "run" / "checkpoints" / "step-00000002", tmp_path / "w.pt", average=True)
    assert equal(torch.load(tmp_path / "w.pt", weights_only=True), weights)


def test_the_average_is_written_where_there_is_one_tied_weights_too(tmp_path):
    _, state = train(tmp_path, "single", 3, save_at=[3], decay=0.9)
    averages = {name[12:]: x for name, x in state.items() if name.startswith("ema.average.")}
    trained = {name: x for name, x in state.items() if not name.startswith("ema.")}
    found = read_weights(tmp_path / "step-00000003")
    assert equal({name: found[name] for name in averages}, averages)
    assert found.keys() - averages.keys() == {"second.bias"}
    assert torch.equal(found["second.bias"], averages["first.bias"])
    assert not equal(found, trained)
    assert equal(read_weights(tmp_path / "step-00000003", average=False), trained)


def test_every_dtype_and_shape_is_written_to_the_bit(tmp_path):
    whole = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) * 9
    weights = {str(dtype): whole.to(dtype) for dtype in DTYPES}
    weights |= {"scalar": torch.tensor(7), "empty": torch.zeros(0, 3), "turned": whole.T}
    save_safetensors(tmp_path / "w.safetensors", weights)
    found, _ = opened(tmp_path / "w.safetensors")
    assert found.keys() == weights.keys()
    for name, weight in weights.items():
        assert (found[name].dtype, found[name].shape) == (weight.dtype, weight.shape)
        assert found[name].float().equal(weight.float()), name
    with pytest.raises(UserError, match="c is torch.complex64, for which safetensors has no name"):
        save_safetensors(tmp_path / "w.safetensors", {"c": whole.to(torch.complex64)})
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_the_library_of_that_name_reads_it(tmp_path):
    train(tmp_path / "checkpoints", "single", 1, save_at=[1])
    main(tmp_path, None, average=True)
    found = load_file(tmp_path / "model.safetensors")
    assert equal(found, read_weights(tmp_path / "checkpoints" / "step-00000001"))


def test_it_is_a_command_and_says_what_it_wrote(tmp_path):
    train(tmp_path / "run" / "checkpoints", "single", 2, save_at=[1, 2])
    damage(tmp_path / "run" / "checkpoints" / "step-00000002")
    done = run("run", cwd=tmp_path)
    assert "step-00000002 is damaged: __0_0" in done.stdout, done.stderr
    assert (
        done.stdout.splitlines()[-1]
        == "step-00000001 → run/model.safetensors: 5 tensors, 129 numbers"
    )
    done = run("nothing", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "no checkpoint in nothing\n  fix: python -m runtime.safetensors runs/NAME"
    )


@pytest.mark.parametrize(
    ("run", "to", "told"),
    [
        ("run/checkpoints/step-00000002", None, "step-00000002 is damaged: __0_0"),
        ("run", "no/w.safetensors", "no/w.safetensors could not be written: .Errno 2"),
        ("run", "no/w.pt", "no/w.pt could not be written: Parent directory .*no does not"),
    ],
)
def test_what_cannot_be_read_or_written_is_named(tmp_path, run, to, told):
    train(tmp_path / "run" / "checkpoints", "single", 2, save_at=[1, 2])
    damage(tmp_path / "run" / "checkpoints" / "step-00000002")
    with pytest.raises(UserError, match=told):
        main(tmp_path / run, to and tmp_path / to, average=False)
