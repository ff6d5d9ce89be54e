"""Several processes: what they tell each other, and how a model's gradients are exchanged."""

import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from forked import forked
from torch import nn

from runtime import dist, rng
from runtime.dist import grad_sync
from runtime.errors import UserError
from runtime.mesh import lay_out
from runtime.world import World


def messages():
    world = dist.init(timeout_s=20)
    order = []
    with world.main_first():
        time.sleep(0.1 * (world.rank == 0))
        order.append(time.monotonic())
    told = (
        world.broadcast({"from": world.rank}),
        world.any(world.rank == 1),
        world.any(False),
        [float(x) for x in world.sum(world.rank, torch.tensor(2.5))],
        float(world.mean(world.rank)),
        world.is_main,
        world.size,
    )
    dist.close()
    return told, order[0]


def test_processes_tell_each_other_what_they_need():
    (first, main_done), (second, other_done) = forked(2, messages)
    assert first == ({"from": 0}, True, False, [1.0, 5.0], 0.5, True, 2)
    assert second == ({"from": 0}, True, False, [1.0, 5.0], 0.5, False, 2)
    assert main_done < other_done


def test_one_process_is_a_world_of_its_own():
    world = World()
    assert (world.rank, world.size, world.is_main) == (0, 1, True)
    assert world.broadcast("x") == "x" and world.any(True) and not world.any(False)
    with world.main_first():
        world.barrier()


def prepare(failing: int):
    world = dist.init(timeout_s=20)
    try:
        with world.main_first():
            if world.rank == failing:
                raise UserError("no folder", "give one")
    except SystemExit as left:
        return left.code
    return "done"


def test_where_the_first_cannot_prepare_the_data_the_others_leave_without_a_word():
    assert forked(2, prepare, 0) == ["no folder\n  fix: give one", 1]
    assert forked(2, prepare, 2) == ["done", "done"]


def flags():
    world = dist.init(timeout_s=20)
    signals = [15 if world.rank == 1 and step >= 2 else 0 for step in range(6)]
    seen = [world.highest_soon(signal, -step) for step, signal in enumerate(signals)]
    dist.close()
    return seen


def test_a_signal_to_one_process_reaches_all_at_the_same_step():
    assert forked(2, flags) == [[[0, 0], [0, 0], [0, -1], [15, -2], [15, -3], [15, -4]]] * 2


def exchanged(strategy, sync):
    """Gradients of the weight 1.0 for inputs 1 and 2, on each process."""
    world = dist.init(timeout_s=20)
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    if strategy == "ddp":
        model = nn.parallel.DistributedDataParallel(model)
    else:
        from torch.distributed.fsdp import fully_shard

        fully_shard(model)
    for last in (False, True):
        with grad_sync(model, last and sync):
            model(torch.full((1, 1), 1.0 + world.rank)).sum().backward()
    (weight,) = model.parameters()
    gradient = weight.grad
    if hasattr(gradient, "full_tensor"):
        gradient = gradient.full_tensor()
    value = None if gradient is None else float(gradient)
    dist.close()
    return value


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_gradients_are_exchanged_once_a_step(strategy):
    # Each process adds up two micro-batches, 2 and 4; DDP and FSDP average: 3.
    assert forked(2, exchanged, strategy, True) == [3.0, 3.0]


def test_without_exchange_gradients_stay_local():
    assert forked(2, exchanged, "ddp", False) == [2.0, 4.0]


def test_a_model_of_one_process_needs_no_exchange():
    assert isinstance(grad_sync(nn.Linear(1, 1), True), nullcontext)


def step_with_counts(counts, strategy):
    """The gradient of one step whose micro-batches hold so many targets, over all processes."""
    world = dist.init(timeout_s=20)
    torch.manual_seed(0)
    model = nn.Linear(3, 2, bias=False)
    data = torch.randn(2, 2, 16, 3, generator=torch.Generator().manual_seed(1))
    if strategy == "ddp":
        wrapped = nn.parallel.DistributedDataParallel(model)
    else:
        from torch.distributed.fsdp import fully_shard

        wrapped = fully_shard(model)
    mine = counts[world.rank]
    (total,) = world.sum(sum(mine))
    for i, count in enumerate(mine):
        with grad_sync(wrapped, i == len(mine) - 1):
            x = data[world.rank, i, :count]
            loss = wrapped(x).square().sum() * world.size / total
            loss.backward()
    gradient = model.weight.grad
    if hasattr(gradient, "full_tensor"):
        gradient = gradient.full_tensor()
    reference = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        whole = getattr(model.weight, "full_tensor", lambda: model.weight)()
        reference.weight.copy_(whole)
    rows = [data[r, i, : counts[r][i]] for r in range(world.size) for i in range(len(mine))]
    x = torch.cat(rows)
    (reference(x).square().sum() / len(x)).backward()
    dist.close()
    return float((gradient - reference.weight.grad).abs().max())


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("counts", [((1, 9), (4, 2)), ((0, 7), (16, 1)), ((0, 0), (3, 0))])
def test_unequal_micro_batches_give_the_gradient_of_one_large_batch(counts, strategy):
    assert max(forked(2, step_with_counts, counts, strategy)) < 1e-6


def dropped():
    world = dist.init(timeout_s=20)
    rng.seed_all(1)
    weights = nn.Linear(2, 2).weight.tolist()
    rng.seed_all(1, 1 + world.rank)
    mask = nn.Dropout(0.5)(torch.ones(64)).tolist()
    dist.close()
    return weights, mask


def test_processes_have_the_same_weights_and_different_dropout_masks():
    (weights, mask), (other_weights, other_mask) = forked(2, dropped)
    assert weights == other_weights
    assert mask != other_mask


class Heads(nn.Module):
    """A model of which one head takes no part in the loss."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, x):
        return self.used(x)


def unused(find):
    dist.init(timeout_s=20)
    model = nn.parallel.DistributedDataParallel(Heads(), find_unused_parameters=find)
    told = ""
    for _ in range(2):  # that a gradient is missing shows at the next forward
        try:
            model(torch.ones(1, 2)).sum().backward()
        except RuntimeError as error:
            told = str(error)
    dist.close()
    return told


def test_weights_that_the_loss_leaves_out_are_refused_by_ddp_unless_it_looks_for_them():
    for told in forked(2, unused, False):
        assert "find_unused_parameters=True" in told
    assert forked(2, unused, True) == ["", ""]


class Tables(nn.Module):
    """A model with a buffer, as a GPT's tables of positions."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("table", torch.zeros(()), persistent=False)

    def forward(self, x):
        return self.layer(x) + self.table


def after_a_forward(sent):
    world = dist.init(timeout_s=20)
    model = nn.parallel.DistributedDataParallel(Tables())
    model.broadcast_buffers = sent
    model.module.table.fill_(world.rank)
    model(torch.ones(1, 2))
    left = float(model.module.table)
    dist.close()
    return left


def test_buffers_travel_before_a_forward_only_where_ddp_is_left_to_send_them():
    assert forked(2, after_a_forward, False) == [0.0, 1.0]
    assert forked(2, after_a_forward, True) == [0.0, 0.0]


def sharded():
    from torch.distributed.fsdp import fully_shard

    world = dist.init(timeout_s=20)
    rng.seed_all(1)
    model = nn.Linear(4, 8)
    expected = model.weight.detach().clone()
    fully_shard(model)
    rng.seed_all(1, 1 + world.rank)
    mine = model.weight.to_local().tolist()
    mask = nn.functional.dropout(torch.ones(64), 0.5).tolist()
    same = torch.equal(model.weight.full_tensor(), expected)
    dist.close()
    return same, mine, mask


def test_the_shards_of_fsdp_are_the_parts_of_one_model_and_masks_differ():
    (whole, shard, mask), (other_whole, other_shard, other_mask) = forked(2, sharded)
    assert whole and other_whole
    assert shard != other_shard and mask != other_mask


def launched(variables):
    import os

    rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        del os.environ[name]
    for name, value in zip(variables, (rank, size, rank), strict=True):
        os.environ[name] = value
    world = dist.init(timeout_s=20)
    total = float(world.sum(1)[0])
    dist.close()
    return total


@pytest.mark.parametrize("launcher", list(dist.LAUNCHERS))
def test_each_launcher_is_understood(launcher):
    assert forked(2, launched, dist.LAUNCHERS[launcher]) == [2.0, 2.0]


def test_srun_over_several_machines_has_to_say_where_to_meet(monkeypatch):
    for name, value in zip(dist.LAUNCHERS["srun"], ("0", "4", "0"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NNODES", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="export MASTER_ADDR="):
        dist.init(timeout_s=5)


def laid_out(shard):
    world = dist.init(timeout_s=20)
    lay_out(world, shard=shard)
    mesh = world.mesh
    found = dict(zip(mesh.mesh_dim_names, mesh.shape, strict=True)), list(mesh.get_coordinate())
    dist.close()
    return found


@pytest.mark.parametrize(("shard", "groups"), [(2, 2), (0, 1)], ids=["of two", "of a machine"])
def test_processes_are_laid_out_in_groups_of_neighbours(shard, groups):
    found = forked(4, laid_out, shard)
    size = 4 // groups
    assert [sizes for sizes, _ in found] == [{"replicate": groups, "shard": size}] * 4
    assert [place for _, place in found] == [[n // size, n % size] for n in range(4)]


def laid_out_badly():
    try:
        lay_out(dist.init(timeout_s=20), shard=3)
    except UserError as error:
        return error.found, error.fix
    finally:
        dist.close()


def test_a_group_that_does_not_divide_the_processes_is_told_with_one_that_does():
    told = ("shard is 3, which does not divide 4 processes", "--shard 2")
    assert forked(4, laid_out_badly) == [told] * 4


def absent():
    dist.GRACE_S = -58  # so that torch's own limit comes before that of the watch
    world = dist.init(timeout_s=60)
    if world.rank == 0:
        try:
            world.any(True)  # rank 1 never comes
        except UserError as error:
            return f"{error}: {error.__cause__}"
    time.sleep(4)
    return ""


def test_a_collective_that_one_process_misses_fails_in_time():
    message, _ = forked(2, absent)
    assert message.startswith("waited in vain for the other processes")
    assert "imed out" in message or "timeout" in message.lower()


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
from runtime import dist
world = dist.init()
print(world.rank, world.size, world.device, float(world.sum(3)[0]))
dist.close()
"""


def test_without_a_launcher_one_process_is_a_group_of_one():
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-W", "error", "-c", ALONE, root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0", "1", "cpu", "3.0"], done.stderr


def left_many_times():
    import os

    for i in range(10):
        os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + (i > 0))
        _train_and_leave()
    return True


def _train_and_leave():
    dist.init(timeout_s=20)
    model = nn.parallel.DistributedDataParallel(nn.Linear(3, 2))
    model(torch.ones(4, 3)).sum().backward()
    dist.close()  # the model, which knows the group, is freed after it


def test_a_group_can_be_left_before_its_model_is_freed():
    assert forked(2, left_many_times) == [True, True]


LEAVING = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from runtime import dist
world = dist.init()
model = fully_shard(nn.Linear(3, 2), mesh=init_device_mesh("cpu", (world.size,)))
model(torch.ones(4, 3)).sum().backward()
sys.setswitchinterval(1000)  # a thread that waits for Python's lock waits until it is given away
dist.close()
"""


def test_a_run_that_ended_well_is_not_aborted_while_python_ends(tmp_path):
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += ["2", str(script), str(Path(__file__).parents[2])]
    # Threads that meet by chance: more so where processes crowd each other.
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], "\n".join(errors)
