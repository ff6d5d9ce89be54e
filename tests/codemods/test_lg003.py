"""LG003: it is due where litgen wrote the line, and there is nothing of the owner's to follow."""

import pytest
from codemods.tables import rewrites
from snapshot import read_snapshot

from litgen_torch.codemods.follow import take
from litgen_torch.codemods.lg003_first_process import STEP

MANY = {name for name in read_snapshot("0.1.0") if "ddp" in name or "fsdp" in name}


@pytest.mark.parametrize("name", read_snapshot("0.1.0"))
def test_it_is_due_where_there_are_many_processes(name: str) -> None:
    base = read_snapshot("0.1.0")[name]
    found = [step.corrects for step in take([STEP], base, base).steps]
    assert found == (["train.py"] if name in MANY else [])


def test_code_of_the_owner_s_stays() -> None:
    text = "def main():\n    seed_all(config.seed, 1 + world.rank)\n"
    rewrites(STEP, text, text, "train.py")
