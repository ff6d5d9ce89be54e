"""Render the modules that a task brings (config, model, data, sample) and import them."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest

ROOT = Path(__file__).parents[2]
COMBINATIONS = {
    "cnn-digits": ("image-classification", "cnn", "digits", "bytes"),
    "vit-digits": ("image-classification", "vit", "digits", "bytes"),
    "cnn-folder": ("image-classification", "cnn", "folder", "bytes"),
    "vit-folder": ("image-classification", "vit", "folder", "bytes"),
    "gpt-bytes": ("language-model", "gpt", "text", "bytes"),
    "gpt-bpe": ("language-model", "gpt", "text", "bpe"),
    "gpt-shards": ("language-model", "gpt", "shards", "bytes"),
    "gpt-shards-bpe": ("language-model", "gpt", "shards", "bpe"),
}


def rendered(name: str) -> dict[str, str]:
    """The text of each module of this combination, by its file name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "templates"),
        undefined=jinja2.StrictUndefined,
        line_statement_prefix="#:",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    answers = dict(zip(("task", "model", "data", "tokenizer"), COMBINATIONS[name], strict=True))
    files = ["config.py", "model.py", "data.py"]
    files += ["sample.py"] if answers["task"] == "language-model" else []
    return {
        file: environment.get_template(f"project/{file}.jinja").render(
            answers, project_name=name, strategy="single", precision="fp32", feature=[], logger=[]
        )
        for file in files
    }


def load(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Write the modules to `folder`, make it the current one, and import them from there."""
    for file, text in rendered(name).items():
        (folder / file).write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    for module in ("config", "model", "data", "sample"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return SimpleNamespace(
        **{module: importlib.import_module(module) for module in ("config", "model", "data")}
    )
