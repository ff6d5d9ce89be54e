"""The files of a project: as copier writes them, sound, and nothing of what was not chosen."""

import ast
import difflib
import itertools
import re
from pathlib import Path

import black
import pytest
from projects import every_project, paired_projects, project_id, some_projects

from litgen_torch.answers import Answers, complete, with_choice, with_defaults
from litgen_torch.catalog import questions
from litgen_torch.finish import LINE_LENGTH, finish
from litgen_torch.render import Tree, render, templates_folder
from litgen_torch.solve import Pair, gathered, pairs, possible

PROJECTS = some_projects()
# Of each choice one project, and every seventh.
LAST = {choice: number for number, answers in enumerate(PROJECTS) for choice in pairs(answers)}
SOME = [PROJECTS[number] for number in sorted({*LAST.values(), *range(0, len(PROJECTS), 7)})]


def rendered(answers: Answers, name: str = "some-project") -> Tree:
    return render({"project_name": name, **with_defaults(questions(), answers)})


def copied(folder: Path, answers: Answers) -> Tree:
    import copier

    data = {"project_name": "some-project"}
    # Copier keeps the order in which they are chosen; it must not matter.
    data |= {k: v if isinstance(v, str) else [*reversed(v)] for k, v in answers.items()}
    copier.run_copy(str(templates_folder()), folder, data=data, defaults=True, quiet=True)
    return {
        file.relative_to(folder).as_posix(): file.read_bytes().decode()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_some_projects_have_every_choice() -> None:
    chosen = {pair for answers in SOME for pair in pairs(answers)}
    assert chosen == {pair for answers in PROJECTS for pair in pairs(answers)}


def test_any_two_choices_meet_where_there_are_add_ons() -> None:
    def cells(answers: Answers) -> set[Pair]:
        absent = [
            (question.name, f"no {choice.value}")
            for question in questions()
            for choice in (question.choices if question.many else ())
            if choice.value not in answers[question.name]
        ]
        return {*pairs(answers), *absent}

    members = [(q.name, c.value) for q in questions() if q.many for c in q.choices]
    slots = [(q.name, c.value) for q in questions() if not q.many for c in q.choices]
    off = [(name, f"no {value}") for name, value in members]
    wanted = [*itertools.product(members, slots + off), *itertools.combinations(members, 2)]
    wanted += [*itertools.product(off, slots)]
    found = [cells(answers) for answers in every_project()]
    for (name, one), (other_name, other) in wanted:
        real = [(n, v) for n, v in ((name, one), (other_name, other)) if not v.startswith("no ")]
        is_same = name == other_name and other == f"no {one}"
        if not is_same and possible(questions(), gathered(questions(), real)):
            assert any({(name, one), (other_name, other)} <= have for have in found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # copier's own
@pytest.mark.parametrize("answers", SOME[::2], ids=project_id)
def test_copier_writes_the_same_files(answers: Answers, tmp_path: Path) -> None:
    assert copied(tmp_path / "project", answers) == rendered(answers)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("answers", every_project(), ids=project_id)
def test_copier_writes_the_same_files_for_every_project(answers: Answers, tmp_path: Path) -> None:
    assert copied(tmp_path / "project", answers) == rendered(answers)


@pytest.mark.parametrize("answers", PROJECTS, ids=project_id)
def test_every_file_is_sound_and_finished(answers: Answers) -> None:
    tree = rendered(answers)
    assert finish(tree, "some-project") == tree
    for path, text in tree.items():
        assert text == "" or re.search(r"[^\n]\n\Z", text), f"{path} ends in no or in empty lines"
        assert not re.search(r"[ \t\r]$", text, re.M), f"{path} has spaces at the end of a line"
        assert not re.search(r"^\s*#:|\{%|\{#", text, re.M), f"{path} has a piece of a template"


@pytest.mark.parametrize("answers", SOME, ids=project_id)
def test_black_has_nothing_to_change(answers: Answers) -> None:
    stable_under_black(rendered(answers))


@pytest.mark.slow
@pytest.mark.parametrize("answers", every_project(), ids=project_id)
def test_black_has_nothing_to_change_in_any_project(answers: Answers) -> None:
    stable_under_black(rendered(answers))


@pytest.mark.parametrize("name", ["a", "a" * 64])
def test_a_name_of_any_length_fits(name: str) -> None:
    stable_under_black(finish(rendered(PROJECTS[0], name), name))


def test_only_a_line_with_the_name_in_it_can_need_black() -> None:
    long = f"x = ( 1 )  # {'long ' * 30}\n"
    assert finish({"train.py": long}, "some-project") == {"train.py": long}
    assert finish({"train.py": long}, "long")["train.py"].startswith("x = 1 ")


def stable_under_black(tree: Tree) -> None:
    mode = black.Mode(line_length=LINE_LENGTH, target_versions={black.TargetVersion.PY311})
    for path, text in tree.items():
        if path.endswith(".py"):
            assert black.format_str(text, mode=mode) == text, path


FOREIGN = {
    "single": r"xla|timeout|torchrun|DistributedD|fully_shard|runtime.dist|process.group|\bmesh\b",
    "ddp": r"fully_shard|MixedPrecisionPolicy|device_mesh|config\.shard\b|--shard\b",
    "fsdp": r"DistributedDataParallel|config\.shard\b|--shard\b",
    "hsdp": r"DistributedDataParallel|init_device_mesh",
    "tp": r"DistributedDataParallel|fully_shard|init_device_mesh|config\.shard\b|--shard\b",
    "fsdp-tp": r"DistributedDataParallel|init_device_mesh|config\.shard\b|--shard\b",
    "pp": r"DistributedData|fully_shard|config\.shard\b|--shard\b|ColwiseParallel|grad_sync",
    "cp": r"DistributedDataParallel|init_device_mesh|config\.shard\b|--shard\b|ColwiseParallel",
    "deepspeed": r"DistributedDataParallel|fully_shard|\bmesh\b|grad_sync|clip_and_step",
    "xla": r"DistributedData|fully_shard|device_mesh|torchrun --|runtime.dist|\bProcesses\b",
    "fp32": r"autocast|[sS]caler|bfloat16|float16|wrong_hardware|support|double|tf32",
    "bf16": r"[sS]caler|\bfloat16|\.to\(torch|float8|torchao|double|matmul_precision",
    "fp16": r"bfloat16|float8|torchao|double|matmul_precision",
    "tf32": r"autocast|[sS]caler|float16|float8|torchao|double|MixedPrecision",
    "bf16-true": r"autocast|[sS]caler|\bfloat16|float8|torchao|double|matmul_precision",
    "fp64": r"autocast|[sS]caler|float16|float8|torchao|matmul_precision|MixedPrecision",
    "float8": r"[sS]caler|\bfloat16|\.to\(torch|double|matmul_precision",
    "cnn": r"class (ViT|GPT)\b|scaled_dot_product",
    "vit": r"class (CNN|GPT)\b|conv3x3|GroupNorm",
    "gpt": r"class (CNN|ViT)\b|[Cc]onv2d",
    "digits": r"\bPIL\b|Image\b",
    "folder": r"sklearn|load_digits",
    "bytes": r"tokenizers\b",
    "text": r"StreamSampler|\b[sS]hards\b|runtime.shards|gzip|import json",
    "shards": r"TrainSampler|train_batches|\bWindows\b|\.bin\b",
}
PLANNED = ("tp", "fsdp-tp", "cp", "pp")  # strategies that a plan.py tells the layers
GROUPED = ("hsdp", *PLANNED)  # and those whose processes stand in groups
# What only a project with this add-on has.
ADDED = {
    "tensorboard": r"(?i)tensorboard",
    "wandb": r"(?i)wandb",
    "ema": r"\b(?i:ema)\b|ema_",
    "metrics": r"torchmetrics|val_metrics|metrics\.py",
    "early-stopping": r"early_stopping|EarlyStopping|patience",
    "keep-best": r"keep_best|keep-best",
    "safetensors": r"safetensors",
    "async-checkpoints": r"BackgroundWriter|while training goes on",
    "activation-checkpointing": r"checkpoint_activations",
    "profiler": r"(?i)profiler",
    "remote-checkpoints": r"RemoteCopies|config\.remote|--remote",
    "time-limit": r"max_minutes|[tT]ime_?[lL]imit",
    "schedule": r"wsd|schedule\(|config\.schedule|the schedule",
    "compile": r"compile_blocks|(?i:torch[._]compile)",
    "meta-init": r"weights_later|make_weights|holds the whole model",
    "torchrun": r"launch/torchrun\.sh",
    "slurm": r"(?i)slurm|sbatch",
    "mpi": r"(?i)\bmpi|mpirun\.sh",
    "docker": r"(?i)dockerfile|docker build",
    "kubernetes": r"launch/kubernetes\.yaml|(?i:kubectl|kubeflow)",
    "skypilot": r"(?i)skypilot|\bsky\b",
    "ray": r"(?i)\bray\b",
}
LAUNCHERS = {
    "torchrun": "launch/torchrun.sh",
    "slurm": "launch/slurm.sbatch",
    "mpi": "launch/mpirun.sh",
    "docker": "launch/Dockerfile",
    "kubernetes": "launch/kubernetes.yaml",
    "skypilot": "launch/skypilot.yaml",
    "ray": "launch/ray_train.py",
}
COMMANDS = ("safetensors",)  # beside train.py, which they leave alone
OWN_FILES = (
    "train.py",
    "model.py",
    "data.py",
    "config.py",
    "sample.py",
    "README.md",
    "pyproject.toml",
)


@pytest.mark.parametrize("answers", PROJECTS, ids=project_id)
def test_nothing_of_a_choice_that_was_not_made_is_there(answers: Answers) -> None:
    tree = rendered(answers)
    added = [value for _, value in pairs({k: v for k, v in answers.items() if type(v) is tuple})]
    for _, value in pairs(answers):
        for path in OWN_FILES if value in FOREIGN else ():
            found = re.search(FOREIGN[value], tree.get(path, ""))
            assert not found, f"{value}: {path}: {found}"
    for value, pattern in ADDED.items():
        found = [path for path in (*OWN_FILES, "tests/test_training.py") if path in tree]
        found = [path for path in found if re.search(pattern, tree[path])]
        assert bool(found) is (value in added), (value, found)
    assert ("metrics.py" in tree) == ("metrics" in answers["feature"])
    for value, path in LAUNCHERS.items():
        assert (path in tree) == (value in answers["launcher"])
    many = answers["strategy"] not in ("single", "xla")
    several = many and {*answers["launcher"]} - {"docker"} != set()
    assert ("runtime/machines.py" in tree) == several
    modules = {"tensorboard": "log_tensorboard", "wandb": "log_wandb", "meta-init": "meta"}
    for value in ADDED.keys() - {"metrics", "schedule", *LAUNCHERS}:
        module = modules.get(value, value)
        path = f"runtime/{module.replace('-', '_')}.py"
        assert (path in tree) is (value in added)
    assert ("sample.py" in tree) == (answers["task"] == "language-model")
    assert ("runtime/support.py" in tree) == (answers["precision"] != "fp32")
    assert ("runtime/float8.py" in tree) == (answers["precision"] == "float8")
    assert ("runtime/dist.py" in tree) == many
    pipelined = answers["strategy"] == "pp"
    assert ("runtime/mesh.py" in tree) == (answers["strategy"] in GROUPED)
    assert ("plan.py" in tree) == (answers["strategy"] in PLANNED)
    assert ("runtime/split.py" in tree) == (answers["strategy"] in PLANNED and not pipelined)
    for path in ("runtime/stage.py", "runtime/pipeline.py"):
        assert (path in tree) == pipelined
    for path in ("runtime/zero.py", "runtime/parts.py"):
        assert (path in tree) == (answers["strategy"] == "deepspeed")
    named = any(re.search("(?i)deepspeed", tree.get(path, "")) for path in OWN_FILES)
    assert named == (answers["strategy"] == "deepspeed")
    assert ("runtime/watch.py" in tree) == many
    for path in ("runtime/xla.py", "runtime/xla_host.py", "runtime/xla_step.py"):
        assert (path in tree) == (answers["strategy"] == "xla")


@pytest.mark.parametrize("strategy", ["single", "fsdp", "hsdp", "fsdp-tp", "deepspeed"])
def test_commands_name_the_data_where_there_are_none_to_begin_with(strategy: str) -> None:
    given = {"model": "vit", "strategy": strategy}
    for data in ("folder", "digits"):
        tree = rendered(complete(questions(), given | {"data": data}))
        block = tree["README.md"].split("```")[1]
        commands = re.findall(
            r"(?:python|torchrun) .*?train\.py[^#`\n]*", block + tree["AGENTS.md"]
        )
        commands = [command for command in commands if "--help" not in command]
        assert len(commands) >= 4
        assert {"--data FOLDER" in command for command in commands} == {data == "folder"}


def test_every_add_on_has_its_folder_and_each_piece_its_place() -> None:
    members = {c.value for q in questions() if q.many for c in q.choices}
    assert members == ADDED.keys()
    folder = templates_folder() / "add_ons"
    assert {path.name for path in folder.iterdir()} == members
    sources = [path.read_text() for path in templates_folder().rglob("*.jinja")]
    for piece in folder.rglob("*.jinja"):
        assert any(f'/{piece.stem}.jinja"' in source for source in sources), piece


def test_the_order_in_which_add_ons_are_chosen_does_not_matter() -> None:
    for answers in paired_projects():
        turned = {k: v if isinstance(v, str) else v[::-1] for k, v in answers.items()}
        assert rendered(turned) == rendered(answers)


@pytest.mark.parametrize("added", [name for name in ADDED if name not in LAUNCHERS])
def test_an_add_on_is_a_few_lines_of_train_py(added: str) -> None:
    kind = next(q.name for q in questions() for c in q.choices if c.value == added)
    for strategy in ("single", "fsdp") if added != "meta-init" else ("fsdp", "tp"):
        model = {"model": "vit"} if strategy == "tp" else {}
        plain = complete(questions(), {"strategy": strategy, **model})
        before, after = (
            rendered(answers)["train.py"].splitlines()
            for answers in (plain, with_choice(questions(), plain, kind, added))
        )
        diff = [*difflib.ndiff(before, after)]
        least = 0 if added in COMMANDS else 1
        assert least <= len([line for line in diff if line.startswith("+ ")]) <= 9
        assert len([line for line in diff if line.startswith("- ")]) <= 2


def test_the_library_is_copied_byte_for_byte() -> None:
    library = Path(__file__).parents[1] / "runtime"
    for path, text in rendered(PROJECTS[0]).items():
        if path.startswith("runtime/"):
            assert (library / Path(path).name).read_bytes() == text.encode()


def test_python_that_does_not_parse_is_a_bug_and_said_so() -> None:
    with pytest.raises(SyntaxError):
        finish({"train.py": "def main(:\n"}, "some-project")


def test_every_module_that_a_project_imports_is_there() -> None:
    for answers in PROJECTS:
        tree = rendered(answers)
        for path, text in tree.items():
            for node in ast.walk(ast.parse(text)) if path.endswith(".py") else ():
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runtime."):
                    assert (
                        f"{node.module}.py".replace(".", "/", 1) in tree
                    ), f"{path}: {node.module}"
