"""The weights in a checkpoint as one file, for others: safetensors, or what torch.load reads.

    python -m runtime.safetensors runs/NAME                            its newest checkpoint
    python -m runtime.safetensors runs/NAME/checkpoints/step-00000100  this one
    python -m runtime.safetensors runs/NAME --to weights.pt            a plain state_dict

One process reads any checkpoint, whatever saved it, and needs none of the project's own code. Where
there is a moving average (ema), that is written, for that is what was validated.
"""

import argparse
import ctypes
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.checkpoint import Checkpoints
from runtime.checkpoint_files import damage_of, plain_errors
from runtime.errors import UserError
from runtime.files import replacing
from runtime.numbers import short
from runtime.world import World

AVERAGE = "ema.average."
# What https://huggingface.co/docs/safetensors calls them; of torch's, the others are rare.
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def read_weights(checkpoint: Path, *, average: bool = True) -> dict[str, Tensor]:
    """The whole weights by the model's names: their moving average, if wanted and there."""
    import torch.distributed.checkpoint as dcp

    from runtime.reader import Reader

    with plain_errors():
        stored: dict[str, Any] = Reader(checkpoint).read_metadata().state_dict_metadata
        groups = ("model.", AVERAGE) if average else ("model.",)
        found = {
            name: torch.empty(about.size, dtype=about.properties.dtype)
            for name, about in stored.items()
            if name.startswith(groups)
        }
        dcp.load(found, storage_reader=Reader(checkpoint), no_dist=True)
    weights, averages = (
        {n.removeprefix(group): x for n, x in found.items() if n.startswith(group)}
        for group in ("model.", AVERAGE)
    )
    for name in weights.keys() - averages.keys() if averages else ():
        # A weight that is tied has several names, and one average.
        twin = next((n for n in averages if torch.equal(weights[n], weights[name])), None)
        averages[name] = averages[twin] if twin else weights[name]
    return {name: averages.get(name, weight) for name, weight in weights.items()}


def save_safetensors(path: Path, weights: dict[str, Tensor], **about: str) -> None:
    """Write a file of the published format: the length of a header, the header, all bytes.

    Our own lines, as the library needs nothing but torch. A tensor with two names is written twice.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt", **about}}
    end = 0
    for name, weight in weights.items():
        if weight.dtype not in DTYPES:
            raise UserError(
                f"{name} is {weight.dtype}, for which safetensors has no name",
                "write a plain state_dict instead: --to weights.pt",
            )
        place = [end, end := end + weight.nbytes]
        shape = list(weight.shape)
        header[name] = {"dtype": DTYPES[weight.dtype], "shape": shape, "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the bytes are aligned
    with replacing(path) as draft, draft.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for weight in weights.values():
            whole = weight.cpu().contiguous()
            if whole.nbytes:  # without NumPy, which has no bfloat16 either
                file.write((ctypes.c_char * whole.nbytes).from_address(whole.data_ptr()))


def main(source: Path, target: Path | None, *, average: bool) -> None:
    run, checkpoint = source, None
    if (source / "checkpoints").is_dir():
        checkpoint = Checkpoints(source / "checkpoints").latest()
    elif (source / "run.json").exists():
        run, checkpoint = source.absolute().parents[1], source
        if damage := damage_of(source, World()):
            raise UserError(f"{source} is damaged: {damage}", "take another one")
    if checkpoint is None:
        raise UserError(f"no checkpoint in {source}", "python -m runtime.safetensors runs/NAME")
    weights = read_weights(checkpoint, average=average)
    target = target or run / "model.safetensors"
    try:
        if target.suffix == ".safetensors":
            save_safetensors(target, weights, checkpoint=checkpoint.name)
        else:
            with replacing(target) as draft:
                torch.save(weights, draft)
    except (OSError, RuntimeError) as error:  # torch's zip writer hides why a write failed
        found = f"{target} could not be written: {error.__context__ or error}"
        raise UserError(
            found, "make room or give write access, or another place: --to FILE"
        ) from error
    size = sum(weight.numel() for weight in weights.values())
    print(f"{checkpoint.name} → {target}: {len(weights)} tensors, {short(size)} numbers")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m runtime.safetensors", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", type=Path, help="a run, or one of its checkpoints")
    parser.add_argument("--to", type=Path, help="another file; .safetensors, else for torch.load")
    parser.add_argument("--trained", action="store_true", help="never the moving average")
    given = parser.parse_args()
    main(given.source, given.to, average=not given.trained)
