"""Projects of each precision train: close to 32 bits, as close as their numbers allow."""

from itertools import product

import pytest
import torch
from matrix.test_matrix import generate
from projects_trained import SMALL_MODEL, trained

from litgen_torch.answers import complete, with_choice
from litgen_torch.catalog import questions
from litgen_torch.errors import LitgenError
from litgen_torch.solve import possible

# How far the losses of six steps may be from those of 32 bits; on a CPU tf32 is 32 bits.
NEAR = {"bf16": 1e-2, "fp16": 1e-2, "tf32": 0, "bf16-true": 2e-2, "float8": 2e-2, "fp64": 3e-5}
WEIGHTS = {"bf16-true": torch.bfloat16, "fp64": torch.float64}
STRATEGIES = [choice.value for q in questions() if q.name == "strategy" for choice in q.choices]
QUICK = [("cnn", "fsdp", "bf16-true"), ("gpt", "single", "float8"), ("cnn", "single", "tf32")]
CASES = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow, id="-".join(case))
    for case in product(SMALL_MODEL, STRATEGIES, NEAR)
    if possible(questions(), dict(zip(("model", "strategy", "precision"), case, strict=True)))
]


def losses(lines):
    return [line[key] for line in lines for key in ("loss", "val_loss") if key in line]


@pytest.mark.parametrize(("model", "strategy", "precision"), CASES)
def test_a_precision_trains_as_32_bits_do(tmp_path, model, strategy, precision):
    processes = 1 if strategy == "single" else 2
    found = {}
    for each in ("fp32", precision):
        project = generate(tmp_path / each, model=model, strategy=strategy, precision=each)
        found[each] = losses(trained(project, model, processes))
    assert len(found["fp32"]) == 8
    assert found[precision] == pytest.approx(found["fp32"], rel=NEAR[precision], abs=0)
    if precision not in ("tf32", "fp32"):
        assert found[precision] != found["fp32"]
    weights = torch.load(tmp_path / precision / "runs/run/weights.pt", weights_only=True)
    expected = WEIGHTS.get(precision, torch.float32)
    assert {value.dtype for value in weights.values()} == {expected}


@pytest.mark.parametrize(
    ("model", "strategy"),
    [
        ("cnn", "fsdp"),
        pytest.param("vit", "ddp", marks=pytest.mark.slow),
        pytest.param("gpt", "ddp", marks=pytest.mark.slow),
        pytest.param("gpt", "fsdp", marks=pytest.mark.slow),
    ],
)
def test_no_sum_of_a_project_in_64_bits_is_rounded_to_32(tmp_path, model, strategy):
    project = generate(tmp_path / "p", model=model, strategy=strategy, precision="fp64")
    one = losses(trained(project, model, 1, name="one", batch_size=16, accumulate=1))
    two = losses(trained(project, model, 2, name="two", batch_size=4, accumulate=2))
    assert two == pytest.approx(one, rel=1e-12)


def test_fp16_for_stages_is_refused_where_one_would_not_see_the_others_infinities():
    with pytest.raises(LitgenError) as refused:
        complete(questions(), {"strategy": "pp", "precision": "fp16"})
    assert "strategy pp and precision fp16 do not go together" in refused.value.message
    (fp16,) = [c for q in questions() for c in q.choices if c.value == "fp16"]
    assert "the infinities of one stage only" in fp16.obstacle({"model": "gpt", "strategy": "pp"})


def test_float8_for_a_model_without_linear_layers_is_refused_with_the_reason():
    with pytest.raises(LitgenError) as refused:
        complete(questions(), {"model": "cnn", "precision": "float8"})
    assert "float8 needs model vit or gpt" in refused.value.message
    with pytest.raises(LitgenError) as refused:
        with_choice(questions(), complete(questions(), {}), "precision", "float8")
    assert "float8 needs model vit or gpt" in refused.value.message
    assert refused.value.hint == "litgen add model vit"
