"""Who takes part beside litgen, and how each is run: `contenders/` has a loop of each library.

litgen's is the train.py of a project that `litgen new` writes. What belongs to a project's owner is
changed as an owner would, so that everybody has the same model and data: an MLP for the smallest
step, no random augmentation, five images to validate on, tokens of which few count.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "contenders"
COMMAND = Path(sys.executable).with_name("litgen")
DISTRIBUTIONS = ("lightning", "accelerate", "transformers", "pytorch-ignite")

MLP = '''"""A small MLP, under the name that train.py asks for."""

from torch import Tensor, nn

from config import Config


class CNN(nn.Module):
    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        sizes = [64, *config.widths]
        hidden = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
        self.layers = nn.ModuleList(hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(self.dropout(x))
'''

TOKENS = '''"""Eight windows; of their targets 1, 3, 32, 17, 2, 29, 5 and 11 count."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from config import Config

COUNT = [1, 3, 32, 17, 2, 29, 5, 11]


class Windows(Dataset[tuple[Tensor, Tensor]]):
    vocab_size = 256

    def __init__(self) -> None:
        self.tokens = torch.randint(256, (8, 33), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        target = self.tokens[index, 1:].clone()
        target[COUNT[index] :] = -100
        return self.tokens[index, :-1], target


def load_data(config: Config) -> tuple[Windows, Windows]:
    return Windows(), Windows()
'''


@dataclass(frozen=True, eq=False)
class Entrant:
    name: str
    script: str  # of contenders/; none: the project's own train.py
    work: dict[str, Any] = field(default_factory=dict)
    add_ons: tuple[str, ...] = ()
    note: str = ""  # where there is more than one of the same library

    @property
    def label(self) -> str:
        return f"{self.name}, {self.note}" if self.note else self.name


def versions() -> str:
    """The peers' versions; some releases must never have been installed."""
    found = {name: version(name) for name in DISTRIBUTIONS}
    if found["lightning"] in ("2.6.2", "2.6.3"):
        raise SystemExit("lightning 2.6.2 and 2.6.3 were malicious releases: remove them")
    return ", ".join(f"{name} {number}" for name, number in found.items())


BARE = Entrant("bare loop", "bare_loop.py")
LITGEN = Entrant("litgen", "")
LIGHTNING = Entrant("Lightning Trainer", "lightning_loop.py")
FABRIC = Entrant("Fabric", "fabric_loop.py")
ACCELERATE = Entrant("Accelerate", "accelerate_loop.py")
TRANSFORMERS = Entrant("HF Trainer", "transformers_loop.py")
IGNITE = Entrant("Ignite", "ignite_loop.py")
ALL = (LITGEN, BARE, LIGHTNING, FABRIC, ACCELERATE, TRANSFORMERS, IGNITE)

DEFAULTS: dict[str, Any] = {
    "steps": 100,
    "batch_size": 64,
    "accumulate": 1,
    "learning_rate": 1e-3,
    "warmup": 50,
    "weight_decay": 0.05,
    "clip": 1.0,
    "log_every": 10,
    "save_every": 0,
    "seed": 0,
}
OF_LIBRARIES = {"evaluate": False, "leave": False, "tokens": False, "extra": False}
SIZES: dict[str, dict[str, Any]] = {
    "mlp": {"widths": [128, 128], "dropout": 0.1},
    "wide": {"widths": [2048] * 7, "dropout": 0.1},
    "cnn": {"widths": [16, 32], "depth": 1, "dropout": 0.1},
    "five": {"widths": [16, 32], "depth": 1},
    "gpt": {"width": 64, "depth": 2, "heads": 4, "block": 64},
    "tokens": {"width": 64, "depth": 2, "heads": 4, "block": 32},
}


class Workshop:
    """The projects, made once each, and all that runs in them."""

    def __init__(self, root: Path) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs is ended first
        self.root, self.runs = root, list[Run]()
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

    def project(self, kind: str, entrant: Entrant, processes: int) -> Path:
        """The project of the entrant; libraries share the smallest one's model and data."""
        strategy = "ddp" if processes > 1 and not entrant.script else "single"
        folder = self.root / "-".join((kind, strategy, *entrant.add_ons))
        if not folder.exists():
            model = "gpt" if kind in ("gpt", "tokens") else "cnn"
            choices = ["--model", model, "--strategy", strategy, "-y"]
            if entrant.add_ons:
                choices += ["--with", f"feature={','.join(entrant.add_ons)}"]
            subprocess.run([COMMAND, "new", folder, *choices], check=True, capture_output=True)
            change(folder, kind)
        return folder

    def start(
        self,
        entrant: Entrant,
        kind: str,
        name: str,
        *,
        processes: int = 1,
        plan: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        **work: Any,
    ) -> "Run":
        """Run an entrant; `name` tells its runs apart, the same one goes on where it was."""
        project = self.project(kind, entrant, processes)
        name = f"{entrant.label}-{name}-{processes}".replace(" ", "-").replace(",", "")
        folder, seen = project / "runs" / name, project / "seen" / name
        folder.mkdir(parents=True, exist_ok=True)
        seen.mkdir(parents=True, exist_ok=True)
        for old in seen.iterdir():
            old.unlink()
        os.mkfifo(seen / "go")
        sizes = SIZES[kind] | (settings or {})
        given = DEFAULTS | {"settings": sizes, "folder": str(folder)} | entrant.work | work
        if entrant.script:
            words = [str(HERE / entrant.script), json.dumps(OF_LIBRARIES | given)]
        else:
            words = ["train.py", f"--name={name}", *flags(given)]
        launch = [sys.executable]
        if processes > 1:
            launch += ["-m", "torch.distributed.run", "--standalone"]
            launch += [f"--nproc-per-node={processes}"]
        environment = self.environment | {
            "PROBE": json.dumps({"folder": str(seen), **(plan or {})}),
            "PYTHONPATH": str(project),
        }
        output = (folder / "output.txt").open("w")
        process = subprocess.Popen(
            [*launch, str(HERE / "probe.py"), *words],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        output.close()
        self.runs.append(Run(folder, seen, process))
        return self.runs[-1]

    def close(self) -> None:
        """End what still runs."""
        for run in self.runs:
            if run.process.poll() is None:
                run.end()


@dataclass
class Run:
    """An entrant at work."""

    folder: Path  # its checkpoints, weights, output
    seen: Path  # what the probe keeps
    process: subprocess.Popen[bytes]

    def wait(self, seconds: float) -> int:
        """The exit code; raises TimeoutError once it is ended for being late."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise TimeoutError(f"not over after {seconds:.0f} s") from None

    def end(self) -> None:
        """Kill all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for rank, pid in self.pids().items():  # torchrun gives each a session of its own
            if self.is_alive(rank):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def turns(self, rank: int) -> list[dict[str, Any]]:
        """What the process told of the turns that it has ended."""
        file = self.seen / f"turns-{rank}"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def cpu(self, rank: int) -> float:
        """Ticks of CPU time so far, of 10 ms each; 0 where it has ended."""
        try:
            stat = Path("/proc", str(self.pids()[rank]), "stat").read_text()
        except OSError:
            return 0.0
        return sum(map(float, stat.rpartition(")")[2].split()[11:13]))

    def signal(self, rank: int) -> None:
        """SIGTERM to this process alone."""
        os.kill(self.pids()[rank], signal.SIGTERM)

    def is_alive(self, rank: int) -> bool:
        try:
            about = Path("/proc", str(self.pids()[rank]))
            state = (about / "stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z" and b"probe.py" in (about / "cmdline").read_bytes()
        except (OSError, KeyError):
            return False

    def steps(self, rank: int = 0) -> int:
        """So many steps have begun."""
        file = self.seen / f"steps-{rank}"
        return int(file.read_text() or 0) if file.exists() else 0

    def pids(self) -> dict[int, int]:
        """The processes, by rank."""
        files = self.seen.glob("pid-*")
        return {int(f.name.removeprefix("pid-")): int(f.read_text() or 0) for f in files}

    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")


def change(folder: Path, kind: str) -> None:
    """What the owner of the project changes in it."""
    data, model = folder / "data.py", folder / "model.py"
    if kind == "tokens":
        data.write_text(TOKENS)
    elif kind != "gpt":
        text = swapped(data.read_text(), "augment=True", "augment=False")
        if kind == "five":
            text = swapped(text, "order[: len(order) // 5]\n", "order[:5]\n")
        if kind in ("mlp", "wide"):  # longer epochs, so that their ends do not count for much
            text = swapped(
                text,
                "Digits(images[train], labels[train].tolist()",
                "Digits(images[train].repeat(8, 1, 1, 1), labels[train].tolist() * 8",
            )
            model.write_text(MLP)
        data.write_text(text)


def swapped(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise SystemExit(f"{old!r} is there {text.count(old)} times in data.py, expected once")
    return text.replace(old, new)


def flags(work: dict[str, Any]) -> list[str]:
    """The same settings on the command line of train.py."""
    never = 1_000_000_000
    named = {key: work[key] for key in DEFAULTS}
    named |= {key: named[key] or never for key in ("log_every", "save_every")}
    named |= {"eval_every": never, "workers": 0, "keep": 1} | work["settings"]
    return [f"--{key.replace('_', '-')}={written(value)}" for key, value in named.items()]


def written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
