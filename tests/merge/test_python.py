"""The structural merge of Python where a table says too little."""

import pytest

from litgen_torch.merge.python import Task, merge_python
from litgen_torch.merge.trees import merge

# LibCST forgets a space of it.
ODD = "try:\n    import q\nexcept  ImportError  :\n    q = None\n\n\n"


def test_a_file_that_libcst_does_not_write_back_is_merged_by_lines():
    base = "import a\n\n\ndef f():\n    one()\n    two()\n\n\ndef g():\n    three()\n"
    mine = ODD + base
    new = base.replace("three()", "four()")
    merged = merge_python(base, mine, new, Task("f.py"))
    assert not merged.refusals
    assert merged.text == mine.replace("three()", "four()")


def test_a_file_that_libcst_does_not_write_back_refuses_the_lines_that_both_changed():
    base = "def f():\n    one()\n    two()\n"
    mine = ODD + base.replace("one", "mine")
    merged = merge_python(base, mine, base.replace("one", "new"), Task("f.py"))
    assert merged.text == mine
    assert [(r.line, r.yours, r.template) for r in merged.refusals] == [
        (8, "    mine()\n", "    new()\n")
    ]


@pytest.mark.parametrize(
    "mine", ["def f(:\n    one()\n", "def f():\n    two = one()\n"], ids=["broken", "clashing"]
)
def test_markers_around_a_file_that_is_refused_as_a_whole_hold_the_template_s_changes(mine):
    base, new = "def f():\n    one()\n", "def f():\n    one()\n    two()\n"
    task = Task("f.py", markers=True)
    merged = merge_python(base, mine, new, task)
    assert merged.refusals
    assert "    two()\n>>>>>>> template\n" in merged.text


def test_a_file_of_the_same_name_stands_between_markers_beside_the_template_s():
    merged = merge({}, {"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}, markers=True)
    assert merged.tree["a.py"] == "<<<<<<< yours\nx = 1\n=======\nx = 2\n>>>>>>> template\n"


def test_a_file_that_you_deleted_comes_back_between_markers_only():
    base, new = {"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}
    assert "a.py" not in merge(base, {}, new).tree
    marked = merge(base, {}, new, markers=True)
    assert marked.tree["a.py"] == "<<<<<<< yours\n=======\nx = 2\n>>>>>>> template\n"


def test_your_wrapper_beside_what_the_template_wraps_stays_outside():
    base = "def f():\n    a = one()\n    b = two(a)\n"
    mine = "def f():\n    a = one()\n    if a:\n        b = two(a)\n"
    new = "def f():\n    with scope():\n        a = one()\n    b = two(a)\n"
    merged = merge_python(base, mine, new, Task("f.py"))
    assert merged.text == (
        "def f():\n    with scope():\n        a = one()\n    if a:\n        b = two(a)\n"
    )
