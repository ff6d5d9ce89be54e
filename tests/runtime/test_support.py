"""Which device a precision is made for, and what is said on another."""

import pytest
import torch

from runtime.errors import UserError
from runtime.support import MADE_FOR, check_support, is_made_for
from runtime.world import World

GPU = {
    "V100": ((7, 0), {"fp16", "fp64"}),
    "A100": ((8, 0), {"fp16", "fp64", "bf16", "bf16-true", "tf32"}),
    "RTX 3090": ((8, 6), {"fp16", "bf16", "bf16-true", "tf32"}),
    "RTX 4090": ((8, 9), {"fp16", "bf16", "bf16-true", "tf32", "float8"}),
    "H100": ((9, 0), {"fp16", "fp64", "bf16", "bf16-true", "tf32", "float8"}),
    "GTX 1080": ((6, 1), set()),
}


@pytest.mark.parametrize(("capability", "expected"), GPU.values(), ids=GPU)
def test_a_gpu_is_known_by_its_capability(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    device = torch.device("cuda", 0)
    assert {name for name in MADE_FOR if is_made_for(name, device)} == expected


def test_a_cpu_is_made_for_64_bits_and_not_for_tf32_or_float8():
    cpu = torch.device("cpu")
    assert [is_made_for(name, cpu) for name in ("fp64", "tf32", "float8")] == [True, False, False]


def test_other_hardware_is_said_or_ends_the_run_as_configured(capsys):
    cpu = torch.device("cpu")
    check_support("fp64", cpu, "stop")
    assert capsys.readouterr().out == ""
    check_support("float8", cpu, "go-on")
    assert "float8 is made for CUDA 8.9 and later, and this is cpu" in capsys.readouterr().out
    with pytest.raises(UserError, match="CUDA 8.9.*this is cpu\n  fix: --on-wrong-hardware go-on"):
        check_support("float8", cpu, "stop")


def test_one_process_of_a_machine_says_so_for_all(capsys):
    world = World()
    world.local_rank = 1
    check_support("tf32", torch.device("cpu"), "go-on", world)
    assert capsys.readouterr().out == ""
