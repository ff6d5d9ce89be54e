"""Averages of the weights: right, sharded as these are, and part of the checkpoint."""

import pytest
import torch
from forked import forked
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training import Net, parallel, train

from runtime import dist, rng
from runtime.checkpoint import Checkpoints
from runtime.ema import EMA
from runtime.errors import UserError
from runtime.tensors import save_weights
from runtime.world import World

WORLDS = [("single", 1), ("ddp", 1), ("ddp", 2), ("fsdp", 1), ("fsdp", 2), ("compiled", 1)]


def in_processes(size, folder, strategy, until, **options):
    """The main process's losses, weights and averages, after all have trained."""
    return forked(size, _train, folder, strategy, until, {"decay": 0.9, **options})[0]


def _train(folder, strategy, until, options):
    return train(folder, strategy, until, **options)


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def furthest(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one.keys() | other.keys())


def averages(ema):
    return {
        name.removeprefix("average."): value.clone()
        for name, value in ema.tensors.items()
        if name != "updates"
    }


def moved(model, step):
    """Change every weight, as a training step would."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for weight in model.parameters():
            weight += torch.randn(weight.shape, generator=generator)


def test_the_averages_are_those_of_torch():
    """Below the warm-up's first value, 1/10, decay is constant, as in torch's AveragedModel."""
    model = nn.Linear(3, 2)
    ema, reference = EMA(model, 0.1), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.1))
    for step in range(5):
        moved(model, step)
        ema.update()
        reference.update_parameters(model)
        assert equal(averages(ema), reference.module.state_dict())


def test_decay_grows_into_its_value():
    model = nn.Linear(3, 2, bias=False)
    ema, expected, decays = EMA(model, 0.75), torch.zeros(2, 3), []
    for step in range(40):
        decays.append(min(0.75, (1 + step - 1) / (10 + step - 1)))
        moved(model, step)
        expected = decays[-1] * expected + (1 - decays[-1]) * model.weight.detach()
        ema.update()
        torch.testing.assert_close(averages(ema)["weight"], expected)
    assert decays[:3] == [0, 1 / 10, 2 / 11] and decays[-1] == 0.75


def test_weights_of_16_bits_are_averaged_in_32_where_small_updates_count():
    model = nn.Linear(2, 1, bias=False).bfloat16()
    nn.init.ones_(model.weight)
    ema = EMA(model, 0.999)
    for _ in range(9000):
        ema.update()
    nn.init.constant_(model.weight, 1.5)
    ema.update()  # by 0.0005, of which 16 bits would see nothing
    expected = torch.full((1, 2), 1.0005)
    torch.testing.assert_close(averages(ema)["weight"], expected, rtol=0, atol=1e-6)
    with ema.applied():
        assert model.weight.dtype == torch.bfloat16 and model.weight[0, 0].item() == 1
    assert torch.equal(model.weight, torch.full((1, 2), 1.5, dtype=torch.bfloat16))
    torch.testing.assert_close(averages(ema)["weight"], expected, rtol=0, atol=1e-6)


class Counting(nn.Module):
    """A weight, a running mean, a counter, and a table that no checkpoint has."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("table", torch.zeros(2), persistent=False)


def test_counters_are_copied_and_running_means_averaged():
    model = Counting()
    ema = EMA(model, 0.1)
    ema.update()
    model.mean.fill_(10), model.count.fill_(7)
    ema.update()
    found = averages(ema)
    assert found.keys() == {"weight", "mean", "count"}
    assert found["mean"].tolist() == pytest.approx([9, 9]) and found["count"] == 7


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_within_the_block_the_averages_are_the_weights_and_after_it_no_more(error):
    model = Net()  # with a tied bias, which must not be swapped twice
    ema = EMA(model, 0.1)
    for step in range(3):
        moved(model, step)
        ema.update()
    before, expected = {k: v.clone() for k, v in model.state_dict().items()}, averages(ema)
    try:
        with ema.applied():
            swapped = {name: v.clone() for name, v in model.named_parameters()}
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    assert all(torch.equal(swapped[name], expected[name]) for name in swapped)
    assert not any(torch.equal(swapped[name], before[name]) for name in swapped)
    assert equal(before, model.state_dict()) and equal(expected, averages(ema))


def test_before_the_first_update_the_weights_stand_for_their_averages():
    model = nn.Linear(2, 2)
    ema = EMA(model, 0.9)
    moved(model, 0)
    before = model.weight.clone()
    with ema.applied():
        assert torch.equal(model.weight, before)


def test_a_block_under_autocast_sees_the_averages():
    """Autocast keeps the weights that it has cast, as long as one of its regions lasts."""
    model = nn.Linear(2, 2)
    ema = EMA(model, 0.1)

    def scores():
        with torch.autocast("cpu", torch.bfloat16):
            return model(torch.ones(1, 2))

    for step in range(3):
        scores().sum().backward()
        moved(model, step)
        ema.update()
    trained = scores()
    with torch.no_grad(), ema.applied():
        averaged = scores()
    model.load_state_dict(averages(ema))
    assert torch.equal(averaged, scores()) and not torch.equal(averaged, trained)


def validated_between_steps(strategy, folder):
    """Scores of weights, averages, weights again, then weights after a step, and weights.pt."""
    world = World() if strategy == "single" else dist.init(timeout_s=20)
    rng.seed_all(1)
    model = parallel(Net(width=7, dropout=0.0), strategy, world)  # 7: unequal shards
    ema = EMA(model, 0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.linspace(-1, 1, 24).view(4, 6)

    def step():
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        ema.update()

    @torch.no_grad()
    def score():
        return float(model(x).square().mean())

    for _ in range(4):
        step()
    scores = [score()]
    with ema.applied():
        scores.append(score())
        save_weights(folder / f"{strategy}.pt", model, world)
    scores.append(score())
    with ema.applied():
        scores.append(score())
    step()
    scores.append(score())
    if strategy != "single":
        dist.close()
    return scores


def test_no_strategy_goes_on_with_weights_of_before_the_swap(tmp_path):
    """FSDP keeps weights gathered after a forward that no backward follows."""
    (expected,) = forked(1, validated_between_steps, "single", tmp_path)
    plain, averaged, again, once_more, after = expected
    assert plain == again and averaged == once_more and len({plain, averaged, after}) == 3
    weights = torch.load(tmp_path / "single.pt")
    for strategy in ("ddp", "fsdp"):
        for scores in forked(2, validated_between_steps, strategy, tmp_path):
            assert scores == pytest.approx(expected, rel=1e-5)
        assert furthest(torch.load(tmp_path / f"{strategy}.pt"), weights) < 1e-6


@pytest.mark.parametrize(("strategy", "size"), WORLDS)
def test_resumed_averages_equal_those_of_a_run_that_never_stopped_to_the_bit(
    tmp_path, strategy, size
):
    losses, weights = in_processes(size, tmp_path / "whole", strategy, 9)
    in_processes(size, tmp_path / "cut", strategy, 6, save_at=[5])
    resumed, resumed_weights = in_processes(size, tmp_path / "cut", strategy, 9)
    assert resumed == {step: loss for step, loss in losses.items() if step > 5}
    assert equal(weights, resumed_weights)
    assert weights["ema.updates"] == 9 and not torch.equal(
        weights["ema.average.first.weight"], weights["first.weight"]
    )


@pytest.mark.parametrize(("saver", "saver_size"), [("single", 1), ("ddp", 2), ("fsdp", 2)])
def test_averages_go_on_under_any_other_strategy(tmp_path, saver, saver_size):
    options = {"dropout": 0.0, "width": 7}
    _, expected = in_processes(1, tmp_path / "whole", "single", 8, **options)
    in_processes(saver_size, tmp_path / "run", saver, 4, save_at=[4], **options)
    for loader, loader_size in [("single", 1), ("ddp", 2), ("fsdp", 2)]:
        _, weights = in_processes(loader_size, tmp_path / "run", loader, 8, **options)
        assert furthest(expected, weights) < 2e-5


def test_a_checkpoint_without_averages_lets_them_begin_anew_and_says_so(tmp_path, capsys):
    train(tmp_path, "single", 3, save_at=[3])
    model = Net()
    ema = EMA(model, 0.9)
    checkpoints = Checkpoints(tmp_path, also={"ema": ema.tensors})
    checkpoints.load(checkpoints.latest(), model)
    newest = tmp_path / "step-00000003"
    assert capsys.readouterr().out == f"{newest} has no ema, which begins anew\n"
    loaded = {name: value.clone() for name, value in model.named_parameters()}
    with ema.applied():
        assert equal(loaded, dict(model.named_parameters()))
    ema.update()
    assert all(torch.equal(value, averages(ema)[name]) for name, value in loaded.items())


def test_averages_in_a_checkpoint_do_not_disturb_a_project_without_them(tmp_path, capsys):
    _, weights = train(tmp_path, "single", 3, save_at=[3], decay=0.9)
    model = Net()
    Checkpoints(tmp_path).load(tmp_path / "step-00000003", model)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert capsys.readouterr().out == ""


def test_averages_of_other_weights_are_refused_by_name(tmp_path):
    train(tmp_path, "single", 1, save_at=[1], decay=0.9)
    other = {"updates": torch.zeros(()), "average.third": torch.zeros(2)}
    checkpoints = Checkpoints(tmp_path, also={"ema": other})
    with pytest.raises(UserError, match=r"ema.average.third is missing there, \[2\] here"):
        checkpoints.load(checkpoints.latest(), Net())


def test_a_model_without_floats_is_no_error():
    model = nn.Module()
    model.register_buffer("count", torch.ones((), dtype=torch.int64))
    ema = EMA(model, 0.9)
    ema.update()
    assert averages(ema) == {"count": 1}
