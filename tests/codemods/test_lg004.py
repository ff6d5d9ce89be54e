"""LG004: attention that counts the heads of the settings, as litgen wrote it and as edited."""

import subprocess
import sys
from pathlib import Path

import pytest
from codemods.tables import rewrites, taken
from snapshot import read_snapshot

from litgen_torch.codemods.heads import counting_all_heads
from litgen_torch.codemods.lg004_heads import STEP

SPLIT = '''

def split_heads(x, size):
    """(a, b, heads * size) to (a, heads, b, size), for the heads that are here."""
    return x.unflatten(-1, (x.shape[-1] // size, size)).transpose(1, 2)
'''


def attention(body: str, more: str = "") -> str:
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    return f"class Mine(nn.Module):\n    def forward(self, x):\n{lines}{more}"


BEFORE = (
    "a, b, c = x.shape\n"
    "q = self.query(x).view(a, b, self.heads, self.size).transpose(1, 2)\n"
    "return self.out(f(q).transpose(1, 2).reshape(a, b, c))"
)
AFTER = (
    "q = split_heads(self.query(x), self.size)\n"
    "return self.out(f(q).transpose(1, 2).flatten(2))  # (a, b, c)"
)
REWRITES = {
    "as it was": (attention(BEFORE), attention(AFTER, SPLIT)),
    "lines of mine between": (
        attention(BEFORE.replace("return", "print(q)  # mine\nreturn")),
        attention(AFTER.replace("return", "print(q)  # mine\nreturn"), SPLIT),
    ),
    "a size that I use": (
        attention(BEFORE.replace("f(q)", "f(q, c)")),
        attention("a, b, c = x.shape\n" + AFTER.replace("f(q)", "f(q, c)"), SPLIT),
    ),
    "its line has a comment": (
        attention(BEFORE.replace("x.shape", "x.shape  # mine")),
        attention("a, b, c = x.shape  # mine\n" + AFTER, SPLIT),
    ),
    "the size is computed": (
        attention(BEFORE.replace("self.size", "c // self.heads")),
        attention(
            "a, b, c = x.shape\n" + AFTER.replace("self.size", "c // self.heads"),
            SPLIT,
        ),
    ),
    "keys and values have fewer heads": (
        attention(BEFORE.replace("self.heads", "self.kv_heads").replace("view", "reshape")),
        attention(AFTER, SPLIT),
    ),
    "a comment behind": (
        attention(f"{BEFORE}  # mine"),
        attention(AFTER.replace("# (a, b, c)", "# mine"), SPLIT),
    ),
    "classes and functions behind": (
        attention(BEFORE, "\n\nclass B: ...  # mine\n\n\n# of g\n@f\ndef g(): ...\n"),
        attention(AFTER, f"\n\nclass B: ...  # mine\n{SPLIT}\n\n# of g\n@f\ndef g(): ...\n"),
    ),
    "typed": (
        "from torch import Tensor\n" + attention(BEFORE),
        "from torch import Tensor\n"
        + attention(AFTER, SPLIT.replace("(x, size)", "(x: Tensor, size: int) -> Tensor", 1)),
    ),
    "tabs and crlf": (
        attention(BEFORE).replace("    ", "\t").replace("\n", "\r\n"),
        (attention(AFTER).replace("    ", "\t") + SPLIT).replace("\n", "\r\n"),
    ),
}


@pytest.mark.parametrize(("before", "after"), REWRITES.values(), ids=REWRITES)
def test_it_rewrites(before: str, after: str) -> None:
    rewrites(STEP, before, after, "model.py")


LEFT_ALONE = {
    "a comment in it": BEFORE.replace("a, b, self", "a, b,  # mine\n    self"),
    "sizes from elsewhere": BEFORE.replace("a, b, c = x.shape", "a, b, c = 1, 2, 3"),
    "a size to be found": BEFORE.replace("self.size", "-1"),
    "x is another by then": BEFORE.replace("q = ", "x = x.flatten(0, 1)\nq = "),
    "a size is another by then": BEFORE.replace("q = ", "b = b + 1\nq = "),
    "of something else": BEFORE.replace("self.query(x)", "self.query(y)"),
    "other sizes": BEFORE.replace("a, b, self.heads", "len(x), b, self.heads"),
    "other dimensions": BEFORE.replace("self.size).transpose(1, 2)", "self.size).transpose(0, 1)"),
    "a function of mine has the name": BEFORE + "\ndef split_heads(): ...",
    "two pairs of names": "a, b, c = x.shape\nd, e, f = y.shape\n"
    "x.view(a, b, self.heads, 1).transpose(1, 2)\ny.view(d, e, self.heads, 1).transpose(1, 2)",
}


@pytest.mark.parametrize("body", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_it_leaves_alone(body: str) -> None:
    rewrites(STEP, attention(body), attention(body), "model.py")


OLD = {name: read_snapshot("0.1.0")[name]["model.py"] for name in ("gpt", "vit-ddp-bf16")}


@pytest.mark.parametrize("text", OLD.values(), ids=OLD)
def test_no_head_is_counted_in_what_litgen_wrote_once_it_is_rewritten(text: str) -> None:
    assert [*counting_all_heads("model.py", text)]
    assert not [*counting_all_heads("model.py", taken(STEP, text, "model.py").files["model.py"])]


SAME = """
import sys, torch, config
from model import Attention as A
from rewritten import Attention as B
c = config.Config()
torch.manual_seed(0)
a, b = A(c).eval(), B(c).eval()
b.load_state_dict(a.state_dict())
more = [torch.randn(5, c.width // c.heads // 2) for _ in range(2)] if "gpt" in sys.argv else []
x = torch.randn(2, 5, c.width)
assert torch.equal(a(x, *more), b(x, *more))
"""


@pytest.mark.parametrize("name", OLD)
def test_the_numbers_are_the_same(tmp_path: Path, name: str) -> None:
    files = read_snapshot("0.1.0")[name]
    files["rewritten.py"] = taken(STEP, OLD[name], "model.py").files["model.py"]
    for path in ("config.py", "model.py", "rewritten.py"):
        (tmp_path / path).write_text(files[path])
    (tmp_path / "same.py").write_text(SAME)
    subprocess.run([sys.executable, "same.py", name], cwd=tmp_path, check=True)


COUNTING = {
    "view": "q.view(a, b, self.heads, self.size)",
    "reshape by a list": "torch.reshape(q, (a, b, self.kv_heads, -1))",
    "unflatten": "q.unflatten(-1, (self.heads, -1))",
    "einops": "rearrange(q, 'b t (h d) -> b h t d', h=self.heads)",
}


@pytest.mark.parametrize("words", COUNTING.values(), ids=COUNTING)
def test_a_layout_by_all_heads_is_found(words: str) -> None:
    (found,) = counting_all_heads("model.py", attention(f"q = {words}"))
    assert (found.line, found.where, found.yours) == (3, "forward()", f"q = {words}")


NOT_COUNTING = {
    "from the tensor": "q.view(a, b, q.shape[-1] // self.size, self.size)",
    "the size": "q.unflatten(-1, (-1, width // self.heads))",
    "another function": "attend(q, self.heads)",
}


@pytest.mark.parametrize("words", NOT_COUNTING.values(), ids=NOT_COUNTING)
def test_a_layout_by_the_heads_that_are_there_is_none(words: str) -> None:
    assert not [*counting_all_heads("model.py", attention(f"q = {words}"))]


def test_a_file_that_is_no_python_counts_nothing() -> None:
    assert not [*counting_all_heads("model.py", "class A(:\n    self.heads,\n")]
