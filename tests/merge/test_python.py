"""The structural merge of Python where a table says too little."""

import pytest

from litgen_torch.merge.python import Task, merge_python
from litgen_torch.merge.trees import merge

# LibCST forgets a space of it.
ODD = "    try:\n        import q\n    except  ImportError  :\n        q = None\n"


def test_a_file_that_libcst_does_not_write_back_keeps_every_space_where_nothing_changes():
    base = f"def f():\n{ODD}    one()\n\n\ndef g():\n    two()\n    three()\n"
    mine = base.replace("two()", "mine()  # two")
    merged = merge_python(base, mine, base.replace("three()", "four()"), Task("f.py"))
    assert not merged.refusals
    assert merged.text == mine.replace("three()", "four()")


def test_a_function_that_libcst_does_not_write_back_is_merged_by_lines():
    base = f"def f():\n    one()\n{ODD}    two()\n"
    mine = base.replace("one()", "mine()")
    merged = merge_python(base, mine, base.replace("two()", "three()"), Task("f.py"))
    assert not merged.refusals
    assert merged.text == mine.replace("two()", "three()")


def test_a_line_that_both_changed_beside_what_libcst_does_not_write_back_is_refused():
    base = f"def f():\n    first()\n{ODD}    two()\n"
    mine, new = base.replace("first", "mine"), base.replace("first", "new").replace("two", "three")
    merged = merge_python(base, mine, new, Task("f.py"))
    assert merged.text == mine.replace("two", "three")
    assert [refusal.line for refusal in merged.refusals] == [2]


@pytest.mark.parametrize(
    "mine", ["def f(:\n    one()\n", "def f():\n    other = 1\n"], ids=["broken", "clashing"]
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
