import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config import load_config, read_config, save_config
from runtime.errors import UserError

FAST = {"steps": 4, "learning_rate": 0.5}


@dataclass
class Config:
    """With a docstring and a blank line, as many have."""

    name: str = "digits"  # the run's folder
    steps: int = 600  # updates of the weights
    learning_rate: float = 3e-3  # at its highest
    fast: bool = False  # a few steps of everything

    # model
    widths: tuple[int, ...] = (32, 64)  # channels
    heads: int | None = None  # none: one for each
    sizes: list[int] = field(default_factory=lambda: [1, 2])
    image_size: ClassVar[int] = 8

    broken: Literal["refuse", "skip"] = "refuse"  # files that are no image

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}, expected 1 or more")


HELP = """
  --name str             the run's folder [digits]
  --steps int            updates of the weights [600]
  --learning-rate float  at its highest [0.003]
  --fast true|false      a few steps of everything [false]

model
  --widths int,…         channels [32, 64]
  --heads int|none       none: one for each [none]
  --sizes int,…           [1, 2]

  --broken refuse|skip   files that are no image [refuse]

  --config FILE          a TOML file of settings; the command line goes before it
  --print-config         print all settings as TOML, and leave
"""


@dataclass
class Needy:
    data: str  # where the data lie
    seed: "int" = 1


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("--steps 7", {"steps": 7}),
        ("--steps=7", {"steps": 7}),
        ("steps=7", {"steps": 7}),
        ("--steps 1e3", {"steps": 1000}),
        ("--steps 1_000", {"steps": 1000}),
        ("--learning-rate 1", {"learning_rate": 1.0}),
        ("--learning_rate 1e-4", {"learning_rate": 1e-4}),
        ("learning-rate=-1", {"learning_rate": -1.0}),
        ("--widths 8,16,32", {"widths": (8, 16, 32)}),
        ("--widths 8", {"widths": (8,)}),
        ("--heads 4", {"heads": 4}),
        ("--heads none", {"heads": None}),
        ("--sizes 3", {"sizes": [3]}),
        ("--broken skip", {"broken": "skip"}),
        ("--no-fast", {"fast": False}),
        ("--fast false --steps 9", {"fast": False, "steps": 9}),
    ],
)
def test_a_setting_is_given_in_any_of_the_usual_ways(argv: str, expected: dict) -> None:
    assert asdict(load_config(Config, argv.split())) == asdict(Config(**expected))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--learning-rat 3", "no setting 'learning-rat'; did you mean 'learning-rate'?"),
        ("--fst", "no setting 'fst'; did you mean 'fast'?"),
        ("--zzz=1", "no setting 'zzz'; --help lists all"),
        ("--steps ten", "'steps' is 'ten', expected int"),
        ("--steps 1.5", "'steps' is '1.5', expected int"),
        ("--steps 1e30", "'steps' is '1e30', expected int"),
        ("--steps true", "'steps' is 'true', expected int"),
        ("--learning-rate nan", "'learning-rate' is 'nan', expected finite float"),
        ("--learning-rate=-inf", "'learning-rate' is '-inf', expected finite float"),
        ("--learning-rate 1e999", "'learning-rate' is '1e999', expected finite float"),
        ("--learning-rate x", "'learning-rate' is 'x', expected float"),
        ("--heads x", "'heads' is 'x', expected int|none"),
        ("--widths 8,x", "'widths' is '8,x', expected int,…"),
        ("--broken skp", "'broken' is 'skp', expected refuse|skip"),
        ("fast=yes", "'fast' is 'yes', expected true|false"),
        ("--steps", "no value behind '--steps'"),
        ("--name --steps 3", "no value behind '--name'"),
        ("--steps 3 steps=4", "'steps' is given twice"),
        ("--fast --no-fast", "'fast' is given twice"),
        ("600", "cannot read '600'; settings are given as --name value"),
        ("--steps 0", "steps is 0, expected 1 or more"),
        ("--image-size 3", "no setting 'image-size'; --help lists all"),
    ],
)
def test_a_mistake_is_told_in_two_lines(
    argv: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["some/where/train.py"])
    with pytest.raises(SystemExit) as exit:
        load_config(Config, argv.split())
    assert exit.value.code == 2
    fix = "  fix: python train.py --help\n"
    assert capsys.readouterr() == ("", f"train.py: {message}\n{fix}")


words = st.sampled_from(
    ["--steps", "steps=3", "--name", "=", "--", "", "-", "--fast", "--no-fast", "--no-", "--config"]
    + ["--print-config", "--widths=", "--heads", "none", "1e999", "nan", "--broken", "skip", "\n"]
)


@given(st.lists(words | st.text(max_size=6) | st.text(max_size=3).map(lambda t: f"--name={t}")))
def test_any_command_line_gives_a_config_or_ends_with_two_lines(argv: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr(sys.stderr, "write", written.append)
        patch.setattr(sys, "stdout", type("Nowhere", (), {"write": lambda self, text: None})())
        try:
            assert isinstance(load_config(Config, argv, FAST), Config)
        except SystemExit as exit:
            assert exit.code in (None, 0) or exit.code == 2
            assert len(written) == (1 if exit.code == 2 else 0)
            assert all(len(text.splitlines()) == 2 for text in written)


text = st.text(st.characters(exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        Config,
        name=text,
        steps=st.integers(min_value=1),
        learning_rate=floats,
        widths=st.lists(st.integers()).map(tuple),
        heads=st.none() | st.integers(),
        sizes=st.lists(st.integers()),
        broken=st.sampled_from(["refuse", "skip"]),
        fast=st.booleans(),
    )
)
def test_what_is_saved_is_read_again(tmp_path_factory: pytest.TempPathFactory, config: Config):
    path = tmp_path_factory.getbasetemp() / "config.toml"
    save_config(config, path)
    assert read_config(Config, path, strict=True) == config
    tomllib.loads(path.read_text(encoding="utf-8"))


def test_settings_that_are_no_more_are_left_out_if_asked_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("steps = 5\nema-decay = 0.9\nwidth = 3\nlearning-rate = 1\n")
    with pytest.raises(UserError, match="no setting 'ema-decay'"):
        read_config(Config, file, strict=True)
    assert capsys.readouterr().err == ""
    assert read_config(Config, file, strict=False) == Config(steps=5, learning_rate=1.0)
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == [
        "ema-decay",
        "width",
    ]
    file.write_text("steps = 5\nname = 3\nx = 1\n")
    with pytest.raises(UserError, match="'name' is 3"):
        read_config(Config, file, strict=False)


def test_the_command_line_beats_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('steps = 5\nlearning-rate = 1\nheads = "none"\nwidths = [8]\n')
    config = load_config(Config, ["--config", str(file), "--steps", "6"])
    assert config == Config(steps=6, learning_rate=1.0, widths=(8,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"step = 1", "no setting 'step'; did you mean 'steps'?"),
        (b"steps = 1.5", "'steps' is 1.5, expected int"),
        (b"name = 3", "'name' is 3, expected str"),
        (b"learning-rate = nan", "'learning-rate' is nan, expected finite float"),
        (b"learning-rate = -inf", "'learning-rate' is -inf, expected finite float"),
        (b"learning-rate = 'nan'", "'learning-rate' is 'nan', expected finite float"),
        (b"fast = 1", "'fast' is 1, expected true|false"),
        (b"widths = 8", "'widths' is 8, expected int,…"),
        (b"[steps]\na = 1", "'steps' is {'a': 1}, expected int"),
        (b"learning-rate = 1\nlearning_rate = 2", "'learning-rate' is given twice"),
        (b"steps", ""),
        (b"name = '\xff'", ""),
    ],
)
def test_a_mistake_in_a_file_names_the_file(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    with pytest.raises(SystemExit) as exit:
        load_config(Config, [f"--config={file}"])
    error = capsys.readouterr().err
    assert exit.value.code == 2
    assert f"{file}: {message}" in error and error.count("\n") == 2
    with pytest.raises(UserError, match="a.toml"):
        read_config(Config, file, strict=True)


def test_a_file_that_is_not_there_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        load_config(Config, ["--config", "nowhere.toml"])
    assert exit.value.code == 2
    assert "nowhere.toml: No such file or directory\n  fix: " in capsys.readouterr().err


def test_fast_replaces_what_is_not_given() -> None:
    assert load_config(Config, ["--fast"], FAST) == Config("digits-fast", 4, 0.5, True)
    given = load_config(Config, ["--fast", "--steps", "7", "--name", "x"], FAST)
    assert given == Config("x-fast", 7, 0.5, True)
    assert load_config(Config, [], FAST) == Config()


def test_printed_settings_are_a_file_of_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        load_config(Config, ["--steps", "9", "--print-config"])
    assert not exit.value.code
    (tmp_path / "a.toml").write_text(capsys.readouterr().out)
    assert load_config(Config, ["--config", str(tmp_path / "a.toml")]) == Config(steps=9)


def test_help_shows_types_defaults_comments_and_headings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit:
        load_config(Config, ["--help"])
    assert not exit.value.code
    assert capsys.readouterr().out.split("\n", 1)[1] == HELP


def test_a_setting_without_default_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_config(Needy, ["data=x"]) == Needy("x")
    with pytest.raises(SystemExit):
        load_config(Needy, [])
    assert "no value for 'data'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        load_config(Needy, ["--help"])
    assert "where the data lie [required]" in capsys.readouterr().out


def test_a_list_default_is_not_shared() -> None:
    load_config(Config, []).sizes.append(3)
    assert load_config(Config, []).sizes == [1, 2]


def test_settings_are_read_without_torch() -> None:
    program = "import sys, runtime.config; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=60)
