"""How long it takes to change a project.

    python tests/benchmarks/edit.py

The merge: train.py, 300 lines long with its owner's additions, from one process in fp32 to FSDP in
fp16; CPU time. A control merges the same file where nothing but one comment differs.

The command: `litgen add strategy ddp`, start of Python and all, on a project with every add-on
whose owner edited train.py; wall time, and what the processes took of the CPU.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from startup import timed

from litgen_torch.answers import complete, with_defaults
from litgen_torch.catalog import questions
from litgen_torch.merge.trees import merge
from litgen_torch.render import Tree, render

ROUNDS = 15
OWN = '''

def own_{i}(values: list[float], limit: float = 1.0) -> float:
    """Something of the owner's."""
    total = 0.0
    for value in values:
        if value > limit:  # too large
            total += limit
        else:
            total += value
    return total / max(1, len(values))
'''


def project(**choices: str) -> Tree:
    answers = with_defaults(questions(), complete(questions(), choices))
    return render({"project_name": "p", **answers})


def edited(text: str) -> str:
    """As its owner left it, 300 lines long."""
    head, main = text.split("def main(", 1)
    i = 0
    while (head + main).count("\n") < 300:
        head, i = head.rstrip() + OWN.format(i=i) + "\n\n", i + 1
    main = main.replace("    model.train()\n", "    # mine\n    model.train()\n", 1)
    return f"{head}def main({main}"


def cpu(work: Callable[[], object]) -> list[float]:
    """Milliseconds of CPU of each round."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        found.append(1000 * (time.process_time() - start))
    return found


def show(what: str, times: list[float], limit: str) -> None:
    low, middle, high = statistics.quantiles(times, n=4)
    print(f"{what:58} {middle:6.0f} ms   quartiles {low:.0f} … {high:.0f}   limit {limit}")


def commands() -> list[tuple[float, float]]:
    """Wall and CPU milliseconds of each `litgen add` on the largest project."""
    litgen = str(Path(sys.executable).with_name("litgen"))
    chosen = ["--strategy", "fsdp", "--precision", "fp16"]
    for question in questions():
        if question.many:
            pairs = [f"{question.name}={choice.value}" for choice in question.choices]
            chosen += [word for pair in pairs for word in ("--with", pair)]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        subprocess.run([litgen, "new", project, "-y", *chosen], check=True, capture_output=True)
        file = project / "train.py"
        file.write_text(edited(file.read_text()))
        for i in range(ROUNDS):
            choice = ("ddp", "fsdp")[i % 2]
            words = [litgen, "add", "strategy", choice, "-y"]
            found.append(timed(words, project))
    return [(1000 * wall, 1000 * cpu) for wall, cpu in found]


def main() -> None:
    base = {"train.py": project()["train.py"]}
    new = {"train.py": project(strategy="fsdp", precision="fp16")["train.py"]}
    mine = {"train.py": edited(base["train.py"])}
    touched = {"train.py": base["train.py"].replace("import sys\n", "import sys  # first\n", 1)}
    assert merge(base, mine, new).tree != mine and not merge(base, mine, new).refusals
    show(
        "merging 300 lines of train.py, single fp32 → fsdp fp16",
        cpu(lambda: merge(base, mine, new)),
        "150 ms",
    )
    show("  control: a comment was changed", cpu(lambda: merge(base, mine, touched)), "—")
    times = commands()
    show("litgen add on the largest project, wall", [wall for wall, _ in times], "1500 ms")
    show("  its CPU time", [spent for _, spent in times], "—")


if __name__ == "__main__":
    main()
