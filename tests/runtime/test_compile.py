"""Compiled blocks: the same training, the same names, under every strategy."""

import os

import pytest
import torch
from forked import forked
from test_activation_checkpointing import Net, spread

from runtime import dist, rng
from runtime.activation_checkpointing import checkpoint_activations
from runtime.checkpoint import Checkpoints
from runtime.compile import compile_blocks
from runtime.errors import UserError
from runtime.tensors import save_weights
from runtime.world import World

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch.compile itself brings about
SPREAD = [("single", 1), ("ddp", 2), ("fsdp", 2)]


def trained(strategy, folder, until, *, save_at=0, again=False, dropout=0.0, **options):
    """Losses by step of a training that resumes, with compiled blocks if there are options."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    world = World() if strategy == "single" else dist.init(timeout_s=50)
    rng.seed_all(1)
    model = Net()
    for block in model.blocks:
        block.dropout.p = dropout
    if again:
        checkpoint_activations(model.blocks)
    if options:
        compile_blocks(model.blocks, **options)
    model = spread(model, strategy, world)
    rng.seed_all(1, 1 + world.rank)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    checkpoints, step, losses = Checkpoints(folder, world=world), 0, {}
    if newest := checkpoints.latest():
        step = checkpoints.load(newest, model, optimizer)["step"]
    while step < until:
        x = torch.randn(4, 8, generator=torch.Generator().manual_seed(2 * step + world.rank))
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        losses[step] = float(loss.detach())
        if step == save_at:
            checkpoints.save(step, model, optimizer)
    model.eval()
    with torch.no_grad():
        assert [len(model(torch.ones(rows, 8))) for rows in (3, 0, 1)] == [3, 0, 1]
    save_weights(folder / "weights.pt", model, world)
    if strategy != "single":
        dist.close()
    return losses


def in_processes(size, *args, **options):
    return forked(size, _trained, args, options)[0]


def _trained(args, options):
    return trained(*args, **options)


@pytest.mark.parametrize("again", [False, True], ids=["plain", "with recomputed activations"])
@pytest.mark.parametrize(
    ("strategy", "size"),
    [pytest.param(*row, marks=pytest.mark.slow if row[0] == "ddp" else ()) for row in SPREAD],
)
def test_compiled_blocks_train_as_written_ones_do(tmp_path, strategy, size, again):
    for name in ("written", "compiled"):
        (tmp_path / name).mkdir()
    options = {"again": again, "save_at": 2}
    written = in_processes(size, strategy, tmp_path / "written", 4, **options)
    compiled = in_processes(
        size, strategy, tmp_path / "compiled", 4, backend="aot_eager", **options
    )
    assert compiled == pytest.approx(written, rel=1e-4)
    # Weights and checkpoints have plain names, and each goes on from the other's.
    assert torch.load(tmp_path / "compiled" / "weights.pt").keys() == Net().state_dict().keys()
    assert in_processes(1, "single", tmp_path / "compiled", 3).keys() == {3}


def graphs_of(blocks, call):
    """The operations of every graph that is compiled during the call."""
    found = []

    def backend(graph, inputs):
        found.append([str(node.target) for node in graph.graph.nodes])
        return graph.forward

    torch._dynamo.reset()
    compile_blocks(blocks, backend=backend)
    call()
    return found


def test_equal_blocks_are_compiled_once_and_whole():
    model = Net()
    graphs = graphs_of(model.blocks, lambda: model(torch.ones(2, 8)))
    assert len(graphs) == 2  # with an input that needs no gradient, and with one that does
    assert all(" ".join(graph).count("linear") == 2 for graph in graphs)


def test_blocks_that_are_computed_again_are_compiled_and_not_passed_over():
    model = Net()
    checkpoint_activations(model.blocks)
    graphs = graphs_of(model.blocks, lambda: model(torch.ones(2, 8)).sum().backward())
    assert len(graphs) == 2 and all("tag_activation_checkpoint" in graph for graph in graphs)


def test_without_a_compiler_it_says_what_to_do(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"no 'no-such-compiler'\n  fix: install one, or set TORCH"):
        compile_blocks(Net().blocks)
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    compile_blocks(Net().blocks)


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True], ids=["plain", "with recomputed activations"])
def test_compiled_to_machine_code_a_resumed_run_is_equal_to_the_bit(tmp_path, again):
    """With dropout; its random numbers are drawn in the compiled code."""
    options = {"again": again, "dropout": 0.3, "dynamic": False}
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = trained("single", tmp_path / "whole", 6, **options)
    torch._dynamo.reset()
    trained("single", tmp_path / "cut", 4, save_at=3, **options)
    torch._dynamo.reset()
    resumed = trained("single", tmp_path / "cut", 6, **options)
    assert resumed == {step: whole[step] for step in (4, 5, 6)}
