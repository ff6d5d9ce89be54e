"""What only a GPU can show, of projects that were generated before: torch is all it needs.

    python tests/benchmarks/cuda.py check PROJECT...   killed and resumed: equal to the bit?
    python tests/benchmarks/cuda.py speed PROJECT      a compiled GPT beside loops of others

`check` trains each project twice undisturbed, then once killed (kill -9) and resumed, by torch's
usual kernels and by its deterministic ones; the second undisturbed run is the control. `speed` has
a project made with `--task language-model --precision bf16 --with tokenizer=bpe --with
feature=compile` and trains 124 M parameters: by its train.py, by a bare loop (twice: the control),
by the bare loop with compiled blocks as train.py has them, and by Lightning.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

# A project's train.py as `python train.py` runs it; then the most memory that it held at once.
WRAPPER = """
import runpy, sys, torch
if {deterministic}:
    torch.use_deterministic_algorithms(True)
sys.argv = ["train.py", *{arguments!r}]
try:
    runpy.run_path("train.py", run_name="__main__")
finally:
    print("peak", torch.cuda.max_memory_allocated())
"""
CHECK = ["--steps=24", "--warmup=2", "--eval-every=6", "--save-every=3", "--log-every=1"]
CHECK += ["--batch-size=8", "--accumulate=2", "--workers=2", "--dropout=0.1"]

STEPS, EVERY, WARM = 100, 10, 20
BATCH, BLOCK = 32, 1024
GPT2 = {"width": 768, "depth": 12, "heads": 12, "block": BLOCK, "batch_size": BATCH}
GPT2 |= {"vocab_size": 50304, "workers": 2, "eval_samples": 32, "learning_rate": 6e-4}
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16, as the makers state it


def wrapped(arguments: list[str], deterministic: bool = False) -> list[str]:
    """The command that runs a project's train.py with these arguments."""
    return [sys.executable, "-c", WRAPPER.format(deterministic=deterministic, arguments=arguments)]


def start(project: Path, command: list[str]) -> subprocess.Popen[str]:
    environment = {"OMP_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    environment |= {"PYTHONPATH": str(project), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
        cwd=project,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def check(project: Path, kinds: Sequence[bool] = (False, True)) -> str:
    """One line on a project: how far runs of it are apart."""
    parts = [project.name]
    for deterministic in kinds:
        kind = "deterministic" if deterministic else "usual kernels"
        runs = [f"{name}-{kind[0]}" for name in ("whole", "again", "killed")]
        commands = [wrapped([*CHECK, f"--name={run}"], deterministic) for run in runs]
        finish(start(project, commands[0]))
        finish(start(project, commands[1]))
        killed = start(project, commands[2])
        log = project / "runs" / runs[2] / "metrics.jsonl"
        while not log.exists() or len(log.read_text().splitlines()) < 11:
            assert killed.poll() is None, killed.communicate()[0]
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        resumed = re.search(
            r"resumed from step (\d+)", output := finish(start(project, commands[2]))
        )
        assert resumed, output
        found, control = (apart(project, runs[0], other) for other in (runs[2], runs[1]))
        parts.append(f"{kind}: resumed at {resumed[1]}, {found} (control: {control})")
    return "\n  ".join(parts)


def apart(project: Path, one: str, other: str) -> str:
    """The largest difference of losses, norms and scores, and of weights; or "equal"."""
    folders = [project / "runs" / name for name in (one, other)]
    lines = [(f / "metrics.jsonl").read_text().splitlines() for f in folders]
    weights = [torch.load(f / "weights.pt", weights_only=True) for f in folders]
    numbers = [[json.loads(line) for line in each] for each in lines]
    equal = numbers[0] == numbers[1]
    if equal and all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0]):
        return "equal to the bit"
    assert len(numbers[0]) == len(numbers[1])
    loss = max(abs(a[k] - b[k]) for a, b in zip(*numbers, strict=True) for k in a if k in b)
    weight = max(float((weights[0][k] - weights[1][k]).abs().max()) for k in weights[0])
    return f"apart by {loss:.1e}, weights {weight:.1e}"


def bare(project: Path, blocks: bool) -> None:
    """A loop as nanoGPT's, of the project's model and data, without any of its library."""
    sys.path.insert(0, str(project))
    from config import Config  # type: ignore[import-not-found]
    from data import load_data  # type: ignore[import-not-found]
    from model import GPT  # type: ignore[import-not-found]

    config = Config(**GPT2)
    train_set, _ = load_data(config)
    torch.manual_seed(0)
    model = GPT(config, train_set.vocab_size).cuda()
    if blocks:
        for block in model.blocks:
            block.compile()
    run = model if blocks else torch.compile(model)
    decays = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decays, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=True)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        at = torch.randint(len(train_set.tokens) - BLOCK - 1, (BATCH,)).tolist()
        x = torch.stack([train_set.tokens[i : i + BLOCK].long() for i in at])
        y = torch.stack([train_set.tokens[i + 1 : i + 1 + BLOCK].long() for i in at])
        x, y = x.pin_memory(), y.pin_memory()
        return x.cuda(non_blocking=True), y.cuda(non_blocking=True)

    x, y = batch()
    for step in range(1, STEPS + 1):
        with torch.autocast("cuda", torch.bfloat16):
            logits = run(x)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        x, y = batch()  # while the GPU is at the model
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % EVERY == 0:
            print(f"step {step} loss {loss.item():.4f}", flush=True)
    print("peak", torch.cuda.max_memory_allocated())


def lightning(project: Path) -> None:
    """The same model and data in Lightning's Trainer, with all that can be switched off, off."""
    import pytorch_lightning as pl  # type: ignore[import-not-found]

    assert pl.__version__ not in ("2.6.2", "2.6.3"), "these releases were malicious"
    sys.path.insert(0, str(project))
    from config import Config
    from data import load_data
    from model import GPT

    config = Config(**GPT2)
    train_set, _ = load_data(config)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.compile(GPT(config, train_set.vocab_size))

        def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
            x, y = batch
            logits = self.model(x)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
            if (self.global_step + 1) % EVERY == 0:
                print(f"step {self.global_step + 1} loss {loss.item():.4f}", flush=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            # Not fused: with that Lightning refuses to clip.
            return torch.optim.AdamW(self.parameters(), lr=6e-4, betas=(0.9, 0.95))

    pl.seed_everything(0)
    loader = torch.utils.data.DataLoader(
        train_set, BATCH, shuffle=True, num_workers=2, pin_memory=True, drop_last=True
    )
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    trainer = pl.Trainer(
        max_steps=STEPS, precision="bf16-mixed", gradient_clip_val=1.0, devices=1, **off
    )
    trainer.fit(Module(), loader)
    print("peak", torch.cuda.max_memory_allocated())


def measure(project: Path, command: list[str]) -> tuple[list[float], float]:
    """Tokens a second from every `EVERY`th step on to the next, and the peak memory in GiB."""
    process = start(project, command)
    assert process.stdout is not None
    seen, output, peak = dict[int, float](), list[str](), 0.0
    for line in process.stdout:
        output.append(line)
        if match := re.match(r"step +(\d+)", line):
            seen.setdefault(int(match[1]), time.monotonic())
        elif line.startswith("peak"):
            peak = int(line.split()[1]) / 2**30
    if process.wait():
        print("".join(output[-20:]))
        return [], peak
    steps = [step for step in sorted(seen) if step >= WARM]
    return [EVERY * BATCH * BLOCK / (seen[b] - seen[a]) for a, b in pairwise(steps)], peak


def speed(project: Path, rounds: int) -> None:
    card = torch.cuda.get_device_name()
    print(f"python {sys.version.split()[0]}, torch {torch.__version__} · {card}")
    settings = [f"--{key.replace('_', '-')}={value}" for key, value in GPT2.items()]
    settings += [f"--steps={STEPS}", f"--log-every={EVERY}", "--eval-every=1000"]
    settings += ["--save-every=1000", "--warmup=20"]
    here = [sys.executable, __file__]
    loops = {"bare": "bare", "control": "bare", "bare, blocks": "blocks", "lightning": "lightning"}
    rates: dict[str, list[float]] = {loop: [] for loop in ("train.py", *loops)}
    peaks: dict[str, float] = {}
    for turn in range(rounds):
        commands = {"train.py": wrapped([*settings, f"--name=speed-{turn}"])}
        commands |= {loop: [*here, what, str(project)] for loop, what in loops.items()}
        for loop, command in commands.items():
            found, peaks[loop] = measure(project, command)
            rates[loop] += found
            print(turn, loop, f"{statistics.median(found or [0]):,.0f}", flush=True)
    parameters = 12 * 12 * 768**2 + 50304 * 768
    per_token = 6 * parameters + 12 * 12 * 768 * BLOCK
    peak = next((flops for name, flops in PEAK.items() if name in card), float("nan"))
    print(f"{'':14}tokens/s (quartiles){'':12}of bare   MFU     GiB")
    base = statistics.median(rates["bare"])
    for loop, values in rates.items():
        if len(values) > 1:
            low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
            spread = f"{middle:,.0f} ({low:,.0f} … {high:,.0f})"
            share = middle * per_token / peak
            print(f"{loop:14}{spread:32}{middle / base:.3f}     {share:.1%}   {peaks[loop]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["check", "speed", "bare", "blocks", "lightning"])
    parser.add_argument("projects", nargs="+", type=lambda text: Path(text).resolve())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--usual", action="store_true", help="check: the usual kernels only")
    given = parser.parse_args()
    if given.what == "check":
        print(f"torch {torch.__version__} · {torch.cuda.get_device_name()}")
        kinds = (False,) if given.usual else (False, True)
        with ThreadPoolExecutor(4) as pool:
            for line in pool.map(partial(tried, kinds=kinds), given.projects):
                print(line, flush=True)
    elif given.what == "speed":
        speed(given.projects[0], given.rounds)
    elif given.what == "lightning":
        lightning(given.projects[0])
    else:
        bare(given.projects[0], blocks=given.what == "blocks")


def tried(project: Path, kinds: Sequence[bool]) -> str:
    try:
        return check(project, kinds)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return f"{project.name}: FAILED {str(error)[-1500:]}"


if __name__ == "__main__":
    main()
