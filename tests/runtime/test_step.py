"""What a step of a generated project must not do, seen from outside: its own `main`, forked."""

import os
import re
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from forked import enter, forked
from matrix.test_matrix import generate
from projects_trained import SMALL, SMALL_MODEL, trained
from torch.utils._python_dispatch import TorchDispatchMode

from runtime.checkpoint import Checkpoints
from runtime.schedule import cosine


@pytest.fixture(scope="module")
def ddp(tmp_path_factory):
    """A project and the lines of its log, by one process and by two."""
    project = generate(tmp_path_factory.mktemp("ddp"), strategy="ddp")
    return project, [
        trained(project, "cnn", n, name=f"{n}", batch_size=8 // n, learning_rate=0.01)
        for n in (1, 2)
    ]


def test_the_learning_rate_does_not_depend_on_the_number_of_processes(ddp):
    expected = [0.01 * cosine(step, SMALL["warmup"], SMALL["steps"]) for step in range(6)]
    for lines in ddp[1]:
        assert [line["lr"] for line in lines] == expected


def test_a_step_is_one_update_of_the_weights_however_many_batches_and_processes(ddp):
    project, _ = ddp
    for name in ("1", "2"):
        newest = Checkpoints(project / "runs" / name / "checkpoints").latest()
        assert newest.name == "step-00000006"
        saved = {"optimizer.head.weight.step": torch.zeros(())}
        with warnings.catch_warnings(action="ignore"):  # that it is done in one process
            dcp.load(saved, storage_reader=dcp.FileSystemReader(newest), no_dist=True)
        assert float(saved["optimizer.head.weight.step"]) == 6


def test_validation_in_between_does_not_alter_training_under_autocast(tmp_path):
    project = generate(tmp_path, precision="bf16")
    often = trained(project, "cnn", name="often", eval_every=1)
    seldom = trained(project, "cnn", name="seldom", eval_every=6)
    assert [line["loss"] for line in often] == [line["loss"] for line in seldom]
    assert sum("val_loss" in line for line in often) == 6


class Waits(TorchDispatchMode):
    """Counts how often a number is fetched from the device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def waits(project, steps):
    enter(project)
    import config
    import train

    rarely = {"eval_every": 1000, "save_every": 1000, "log_every": 1000, "steps": steps}
    settings = SMALL | SMALL_MODEL["cnn"] | rarely | {"name": f"{steps}"}
    with Waits() as mode:
        train.main(config.Config(**settings))
    return mode.count


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_step_waits_for_the_device_once(tmp_path, precision):
    project = generate(tmp_path, precision=precision)
    (few,), (many,) = forked(1, waits, project, 3), forked(1, waits, project, 8)
    assert many - few == 8 - 3


SETS = r"set_float32_matmul_precision|allow_tf32|fp32_precision"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "tf32", "fp64"])
def test_the_precision_of_products_is_set_once_and_only_where_it_was_chosen(tmp_path, precision):
    project = generate(tmp_path, precision=precision)
    found = [re.findall(SETS, file.read_text()) for file in project.rglob("*.py")]
    assert [name for names in found for name in names] == (
        ["set_float32_matmul_precision"] if precision == "tf32" else []
    )


def test_a_forked_process_computes_with_one_thread():
    assert forked(1, torch.get_num_threads) == [1]
    assert os.environ["OMP_NUM_THREADS"] == "1"
