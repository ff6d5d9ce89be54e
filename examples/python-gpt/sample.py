"""Write text with a trained model.   python sample.py --prompt "def " --temperature 0.8"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from config import Config
from data import END, VOCABULARY
from model import GPT
from runtime.checkpoint import Checkpoints
from runtime.config import load_config, read_config
from runtime.errors import UserError


@dataclass
class Sample:
    name: str = Config.name  # the run whose newest checkpoint writes
    prompt: str = ""  # what the text begins with; empty: a new document
    tokens: int = 400  # the most that are written; the end of a document comes first
    temperature: float = 0.8  # higher: more surprising; 0: always the likeliest
    top_k: int = 50  # the likeliest tokens that are drawn from; 0: all
    seed: int = 1  # the same seed, the same text

    def __post_init__(self) -> None:
        for name in ("tokens", "temperature", "top_k"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")


def main(sample: Sample) -> None:
    run = Path("runs") / sample.name
    checkpoints = Checkpoints(run / "checkpoints")
    newest = checkpoints.latest()
    if newest is None:
        raise UserError(f"no checkpoint in {run}", "train first: python train.py")
    config = read_config(Config, run / "config.toml", strict=False)
    model = GPT(config, VOCABULARY)
    checkpoints.load(newest, model)
    model.eval()

    prompt, end = list(sample.prompt.encode()), ord(END)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # tokens may be parts of a character
    print(sample.prompt, end="", flush=True)
    torch.manual_seed(sample.seed)
    for token in generate(model, prompt or [end], config.block, sample):
        if token == end:
            break
        print(decoder.decode(bytes([token])), end="", flush=True)
    print()


@torch.no_grad()
def generate(model: GPT, tokens: list[int], block: int, sample: Sample) -> Iterator[int]:
    for _ in range(sample.tokens):
        logits = model(torch.tensor([tokens[-block:]]))[0, -1]  # (vocabulary,)
        if sample.top_k:
            least = logits.topk(min(sample.top_k, len(logits))).values[-1]
            logits = logits.masked_fill(logits < least, float("-inf"))
        if sample.temperature:
            token = int(torch.multinomial((logits / sample.temperature).softmax(-1), 1))
        else:
            token = int(logits.argmax())
        tokens = [*tokens, token]
        yield token


if __name__ == "__main__":
    main(load_config(Sample))
