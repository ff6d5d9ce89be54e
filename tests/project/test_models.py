"""The models that a project may have, and the settings that describe them."""

import pickle

import black
import pytest
import torch
import torch.nn.functional as F
from project.pieces import COMBINATIONS, load, rendered
from torch import nn

TINY = {
    "cnn": {"widths": (8, 16), "depth": 1},
    "vit": {"width": 16, "heads": 2, "depth": 2},
    "gpt": {"width": 16, "heads": 4, "depth": 2, "block": 12},
}


def build(modules, **settings):
    config = modules.config.Config(**settings)
    for name in ("CNN", "ViT", "GPT"):
        if network := getattr(modules.model, name, None):
            return config, network(config, 11).eval()


def inputs(config, count=3):
    if hasattr(config, "block"):
        return torch.randint(11, (count, config.block))
    return torch.randn(count, config.channels, config.image_size, config.image_size)


@pytest.fixture(params=[name for name in COMBINATIONS if "shards" not in name])  # GPT is GPT
def project(request, tmp_path, monkeypatch):
    torch.manual_seed(0)
    return load(request.param, tmp_path, monkeypatch), TINY[request.param[:3]]


def test_logits_have_a_number_for_each_class(project):
    modules, tiny = project
    config, model = build(modules, **tiny)
    shape = (3, config.block, 11) if hasattr(config, "block") else (3, 11)
    assert model(inputs(config)).shape == shape


def test_a_sample_s_logits_do_not_depend_on_its_batch(project):
    modules, tiny = project
    config, model = build(modules, **tiny)
    x = inputs(config)
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)


def test_no_norm_is_taken_over_a_batch_of_which_each_process_sees_a_part(project):
    modules, tiny = project
    config, model = build(modules, **tiny, dropout=0.0)
    x = inputs(config)
    model.train()
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)


def test_a_batch_may_have_no_rows(project):
    modules, tiny = project
    config, model = build(modules, **tiny)
    x = inputs(config)
    assert model(x[:0]).shape == model(x)[:0].shape


def test_every_weight_learns_and_one_batch_can_be_learnt_by_heart(project):
    modules, tiny = project
    config, model = build(modules, **tiny)
    x = inputs(config)
    y = torch.randint(11, model(x).shape[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(model(x).flatten(0, -2), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())
    assert losses[0] < 5 and losses[-1] < losses[0] / 2


def test_blocks_hold_most_of_the_model_and_it_can_be_pickled(project):
    modules, tiny = project
    _, model = build(modules, **tiny)
    assert isinstance(model.blocks, nn.ModuleList)
    assert pickle.loads(pickle.dumps(model)).state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_without_a_warning(project, dtype):
    modules, tiny = project
    config, model = build(modules, **tiny)
    x = inputs(config)
    with torch.autocast("cpu", dtype):
        half = model(x)
    torch.testing.assert_close(half.float(), model(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("kv_heads", [1, 2, None])
def test_gpt_sees_no_token_that_comes_later(tmp_path, monkeypatch, kv_heads):
    config, model = build(
        load("gpt-bytes", tmp_path, monkeypatch), **TINY["gpt"], kv_heads=kv_heads
    )
    x = inputs(config)
    changed = x.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 11
    torch.testing.assert_close(model(x)[:, :7], model(changed)[:, :7])
    assert not torch.allclose(model(x)[:, 7:], model(changed)[:, 7:])
    torch.testing.assert_close(model(x)[:, :5], model(x[:, :5]))


def test_gpt_shares_one_table_between_its_ends(tmp_path, monkeypatch):
    _, model = build(load("gpt-bytes", tmp_path, monkeypatch), **TINY["gpt"])
    assert model.head.weight is model.embedding.weight


def test_rotated_products_depend_on_the_distance_only(tmp_path, monkeypatch):
    module = load("gpt-bytes", tmp_path, monkeypatch).model
    cos, sin = module.rotary_tables(10, 8)
    q, k = torch.randn(2, 8)
    products = module.rotate(q.expand(10, 8), cos, sin) @ module.rotate(k.expand(10, 8), cos, sin).T
    torch.testing.assert_close(products[0, 3], products[5, 8])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cnn-digits", {"steps": 0}, "steps is 0, expected 1 or more"),
        ("cnn-digits", {"workers": -1}, "workers is -1, expected 0 or more"),
        (
            "cnn-digits",
            {"learning_rate": float("nan")},
            "learning_rate is nan, expected more than 0",
        ),
        ("cnn-digits", {"widths": (12,)}, r"widths are \(12,\), expected multiples of 8"),
        ("vit-digits", {"patch": 3}, "patch is 3, expected a divisor of 8"),
        ("vit-digits", {"width": 30}, r"width is 30, expected a multiple of heads \(4\)"),
        ("gpt-bytes", {"width": 30}, "width is 30, expected a multiple of 8"),
        ("gpt-bytes", {"kv_heads": 3}, "kv_heads is 3, expected a divisor of 4"),
        ("gpt-bytes", {"dropout": 1.0}, "dropout is 1.0, expected from 0 up to below 1"),
        ("gpt-bpe", {"vocab_size": 100}, "vocab_size is 100, expected from 257 to 65536"),
    ],
)
def test_impossible_settings_are_refused(tmp_path, monkeypatch, name, settings, message):
    modules = load(name, tmp_path, monkeypatch)
    with pytest.raises(ValueError, match=message):
        modules.config.Config(**settings)


def test_fast_changes_settings_that_exist(project):
    modules, _ = project
    modules.config.Config(**modules.config.FAST)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_rendered_text_is_as_black_leaves_it_and_names_no_other_choice(name):
    for file, text in rendered(name).items():
        assert black.format_str(text, mode=black.Mode(line_length=100)) == text, file
        assert max(len(line) for line in text.splitlines()) <= 100, file
        assert "#:" not in text and "{%" not in text
    whole = "".join(rendered(name).values()).lower()
    for other in {"cnn", "vit", "gpt", "bpe", "tokenizers", "pillow", "sklearn"}:
        needed = {
            "bpe": "bpe" in name,
            "tokenizers": "bpe" in name,
            "pillow": "folder" in name,
        }
        needed["sklearn"] = "digits" in name
        assert needed.get(other, other in name) or f" {other}" not in whole, other
