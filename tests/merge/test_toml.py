"""Merging TOML by keys: base, mine and new, and what comes of them."""

import tomllib
from textwrap import dedent

import pytest

from litgen_torch.merge.toml import merge_toml

TABLE = {
    "you changed nothing": ("a = 1\n", "a = 1\n", "a=2 # so\n", "a=2 # so\n"),
    "the template changed nothing": ("a = 1\n", "b = 1 # mine\n", "a   = 1\n", "b = 1 # mine\n"),
    "the template changed spaces only": ("a = 1\n", "a = 2\n", "a  =  1\n", "a = 2\n"),
    "both made the same change": ("a = 1\n", "a= 2\n", "a = 2\n", "a= 2\n"),
    "keys that are apart": ("a = 1\nb = 1\n", "a = 2\nb = 1\n", "a = 1\nb = 2\n", "a = 2\nb = 2\n"),
    "a key that is new": (
        "a = 1\nc = 1\n",
        "a = 5 # mine\n\n# about c\nc = 1\n",
        "a = 1\nb = 1\nc = 1\n",
        "a = 5 # mine\nb = 1\n\n# about c\nc = 1\n",
    ),
    "a new key takes its comments with it": (
        "[t]\na = 1\n",
        "[t]\na = 2\n",
        "[t]\na = 1\n# why b\nb = 1  # so\n",
        "[t]\na = 2\n# why b\nb = 1  # so\n",
    ),
    "a new key is first": (
        "[t]\na = 1\n",
        "[t] # mine\na = 2\n",
        "[t]\nz = 0\na = 1\n",
        "[t] # mine\nz = 0\na = 2\n",
    ),
    "a new key comes into an empty table": (
        "[t]\n",
        "[t]\n\n[mine]\nx = 1\n",
        "[t]\na = 1\n",
        "[t]\na = 1\n\n[mine]\nx = 1\n",
    ),
    "a new key at the top, above tables": (
        "[t]\na = 1\n",
        "# mine\n[t]\na = 2\n",
        "top = 1\n[t]\na = 1\n",
        "top = 1\n# mine\n[t]\na = 2\n",
    ),
    "your indentation and spaces": (
        "[t]\na = 1\n",
        "[t]\n    a=2\n",
        "[t]\na = 1\nb = 1\n",
        "[t]\n    a=2\n    b=1\n",
    ),
    "a key is deleted": (
        "[t]\na = 1\nb = 1\nc = 1\n",
        "[t]\na = 2\nb = 1\nc = 1\n",
        "[t]\na = 1\nc = 1\n",
        "[t]\na = 2\nc = 1\n",
    ),
    "a deleted key takes the template's comments with it": (
        "# why a\na = 1  # so\nb = 1\n",
        "# why a\na = 1  # so\nb = 2\n",
        "b = 1\n",
        "b = 2\n",
    ),
    "your comment stays where a key is deleted": (
        "# why a\na = 1\nb = 1\n",
        "# why a\n# I like a\na = 1  # mine\nb = 2\n",
        "b = 1\n",
        "# I like a\n# mine\nb = 2\n",
    ),
    "your comment stays at the end": (
        "[t]\na = 1\nb = 1\n",
        "[t]\na = 2\n# mine\nb = 1\n",
        "[t]\na = 1\n",
        "[t]\na = 2\n# mine\n",
    ),
    "you deleted what the template deletes": (
        "a = 1\nb = 1\n",
        "b = 2\n",
        "b = 1\n",
        "b = 2\n",
    ),
    "a value's comment changes with it": (
        "a = 16  # bits\nb = 1\n",
        "a = 16  # bits\nb = 2\n",
        "a = 32  # more bits\nb = 1\n",
        "a = 32  # more bits\nb = 2\n",
    ),
    "your comment stays beside a value that changes": (
        "a = 16  # bits\nb = 1\n",
        "a = 16  # mine\nb = 2\n",
        "a = 32  # more bits\nb = 1\n",
        "a = 32  # mine\nb = 2\n",
    ),
    "your quotes": ('a = "x"\nb = 1\n', "a = 'x'\nb = 2\n", 'a = "y"\nb = 1\n', "a = 'y'\nb = 2\n"),
    "a string that your quotes cannot hold": (
        'a = "x"\nb = 1\n',
        "a = 'x'\nb = 2\n",
        'a = "it\'s"\nb = 1\n',
        'a = "it\'s"\nb = 2\n',
    ),
    "quotes mean nothing": ('a = "x"\nb = 1\n', "a = 'x'\nb = 1\n", "b = 1\n", "b = 1\n"),
    "a number in another spelling": (
        "a = 1000\nb = 1\n",
        "a = 1_000\nb = 2\n",
        "a = 2000\nb = 1\n",
        "a = 2000\nb = 2\n",
    ),
    "a table that is new": (
        "[a]\nx = 1\n\n[c]\nx = 1\n",
        "[a]\nx = 2\ny = 1\n\n# about c\n[c]\nx = 1\n",
        "[a]\nx = 1\n\n# about b\n[b]\nx = 1\n\n[c]\nx = 1\n",
        "[a]\nx = 2\ny = 1\n\n# about b\n[b]\nx = 1\n\n# about c\n[c]\nx = 1\n",
    ),
    "a new table behind your own": (
        "[tool.a]\nx = 1\n",
        "[tool.a]\nx = 2\n\n[mine]\ny = 1\n",
        "[tool.a]\nx = 1\n\n[tool.b]\nx = 1\n",
        "[tool.a]\nx = 2\n\n[tool.b]\nx = 1\n\n[mine]\ny = 1\n",
    ),
    "a new table where you leave no empty lines": (
        "[a]\nx = 1\n\n[b]\nx = 1\n",
        "[a]\nx = 2\n[b]\nx = 1\n",
        "[a]\nx = 1\n\n[b]\nx = 1\n\n[c]\nx = 1\n",
        "[a]\nx = 2\n[b]\nx = 1\n[c]\nx = 1\n",
    ),
    "a table is deleted": (
        "[a]\nx = 1\n\n# about b\n[b]\nx = 1\n\n[c]\nx = 1\n",
        "[a]\nx = 2\n\n# about b\n[b]\nx = 1\n\n[c]\nx = 1\n",
        "[a]\nx = 1\n\n[c]\nx = 1\n",
        "[a]\nx = 2\n\n[c]\nx = 1\n",
    ),
    "your key stays in a table that is deleted": (
        "[a]\nx = 1\ny = 1\n",
        "[a]\nx = 1\ny = 1\nmine = 1\n",
        "",
        "[a]\nmine = 1\n",
    ),
    "you moved a table": (
        "[a]\nx = 1\n\n[b]\nx = 1\n",
        "[b]\nx = 1\n\n[a]\nx = 1\n",
        "[a]\nx = 2\n\n[b]\nx = 1\n",
        "[b]\nx = 1\n\n[a]\nx = 2\n",
    ),
    "you wrote a table with dotted keys": (
        "[tool.ruff]\nwidth = 100\n",
        "[tool]\nruff.width = 88\n",
        "[tool.ruff]\nwidth = 100\nfix = true\n",
        "[tool]\nruff.width = 88\nruff.fix = true\n",
    ),
    "the template wrote it with dotted keys": (
        "[tool]\nruff.width = 100\nruff.fix = false\n",
        "[tool.ruff]\nwidth = 88\nfix = false\n",
        "[tool]\nruff.width = 100\nruff.fix = true\nruff.show = 1\n",
        "[tool.ruff]\nwidth = 88\nfix = true\nshow = 1\n",
    ),
    "you wrote a table inline": (
        "[tool.ruff]\nwidth = 100\n",
        "[tool]\nruff = { width = 88 }\n",
        "[tool.ruff]\nwidth = 100\nfix = true\n",
        "[tool]\nruff = { width = 88, fix = true }\n",
    ),
    "a key of an inline table changes": (
        "r = {a = 1, b = 1, c = 1}\nx = 1\n",
        "r = {a = 1,b=1, c = 1} # mine\nx = 2\n",
        "r = {a = 2, c = 1, d = 'x'}\nx = 1\n",
        "r = {a = 2, c = 1, d = 'x'} # mine\nx = 2\n",
    ),
    "a new key below a dotted header": (
        "[tool.ruff.lint]\nx = 1\n",
        "[tool.ruff.lint]\nx = 2\n",
        "[tool.ruff]\nwidth = 1\n\n[tool.ruff.lint]\nx = 1\n",
        "[tool.ruff]\nwidth = 1\n\n[tool.ruff.lint]\nx = 2\n",
    ),
    "quoted keys": (
        '"a b" = 1\n"c.d" = 1\n',
        "'a b' = 1\n\"c.d\" = 2\n",
        '"a b" = 3\n"c.d" = 1\n"e/f" = 1\n',
        '\'a b\' = 3\n"c.d" = 2\n"e/f" = 1\n',
    ),
    "strings over many lines": (
        'a = """\nx # no comment\n"""\nb = 1\n',
        'a = """\nx # no comment\n"""\nb = 2 # mine\n',
        'a = """\ny ]\n"""\nb = 1\n',
        'a = """\ny ]\n"""\nb = 2 # mine\n',
    ),
    "dates and numbers that are none": (
        "a = 1979-05-27 07:32:00\nb = nan\nc = 1\n",
        "a = 1979-05-27T07:32:00\nb = nan\nc = 2\n",
        "a = 1979-05-28 07:32:00\nb = inf\nc = 1\n",
        "a = 1979-05-28 07:32:00\nb = inf\nc = 2\n",
    ),
    "elements that both add": (
        's = ["a", "b"]\n',
        's = ["a", "b", "mine"]\n',
        's = ["a", "b", "c"]\n',
        's = ["a", "b", "c", "mine"]\n',
    ),
    "elements that both delete": (
        's = ["a", "b", "c"]\n',
        's = ["b", "c"]\n',
        's = ["a", "b"]\n',
        's = ["b"]\n',
    ),
    "the first element": (
        's = ["b", "c"]\n',
        "s = [ 'b' ]\n",
        's = ["a", "b", "c"]\n',
        "s = [ 'a', 'b' ]\n",
    ),
    "the only element goes": (
        's = ["a"]\nt = 1\n',
        's = [ "a" ]\nt = 2\n',
        "s = []\nt = 1\n",
        "s = []\nt = 2\n",
    ),
    "an element comes into an empty array": (
        "s = []\nt = 1\n",
        "s = [ ]\nt = 2\n",
        's = [\n    "a",\n]\nt = 1\n',
        's = [\n    "a",\n]\nt = 2\n',
    ),
    "one element a line": (
        's = [\n    "a",\n    "c",\n]\n',
        's = [\n  "a", # mine\n  "c",\n  "d",\n]\n',
        's = [\n    "a",\n    "b",  # new\n    "c",\n    "e",\n]\n',
        's = [\n  "a", # mine\n  "b",  # new\n  "c",\n  "e",\n  "d",\n]\n',
    ),
    "no comma behind your last element": (
        's = [\n    "a",\n]\n',
        's = [\n    "a",\n    "x" # mine\n]\n',
        's = [\n    "a",\n    "b",\n]\n',
        's = [\n    "a",\n    "b",\n    "x" # mine\n]\n',
    ),
    "behind an element without comma": (
        's = [\n    "a",\n]\nt = 1\n',
        's = [\n    "a" # mine\n]\nt = 2\n',
        's = [\n    "a",\n    "b",\n]\nt = 1\n',
        's = [\n    "a", # mine\n    "b"\n]\nt = 2\n',
    ),
    "your comment at an element that goes": (
        's = [\n    "a",\n    "b",\n]\nt = 1\n',
        's = [\n    # about a\n    "a",  # mine\n    "b",\n]\nt = 2\n',
        's = [\n    "b",\n]\nt = 1\n',
        's = [\n    # about a\n    # mine\n    "b",\n]\nt = 2\n',
    ),
    "your other order of elements": (
        's = ["a", "b", "c"]\n',
        's = ["c", "a", "b"]\n',
        's = ["a", "b", "c", "d"]\n',
        's = ["c", "d", "a", "b"]\n',
    ),
    "the template's other order, which you have not changed": (
        's = ["a", "b", "c"]\nt = 1\n',
        's = ["a","b","c"]\nt = 2\n',
        's = ["c", "a", "b"]\nt = 1\n',
        's = ["c", "a", "b"]\nt = 2\n',
    ),
    "packages that both add": (
        '[project]\ndependencies = [\n    "torch>=2.9",\n]\n',
        '[project]\ndependencies = [\n    "torch==2.11",\n    "pandas",\n]\n',
        '[project]\ndependencies = [\n    "torch>=2.9",\n    "tensorboard",\n]\n',
        '[project]\ndependencies = [\n    "torch==2.11",\n    "tensorboard",\n    "pandas",\n]\n',
    ),
    "a package in another spelling": (
        '[project]\ndependencies = ["scikit-learn>=1, <2", "x"]\n',
        "[project]\ndependencies = ['Scikit_Learn <2,>=1', 'y']\n",
        '[project]\ndependencies = ["scikit-learn>=1.5", "x"]\n',
        "[project]\ndependencies = ['scikit-learn>=1.5', 'y']\n",
    ),
    "a package that you had already": (
        '[project]\ndependencies = ["torch"]\n',
        '[project]\ndependencies = ["torch", "wandb>=0.20"]\n',
        '[project]\ndependencies = ["torch", "wandb"]\n',
        '[project]\ndependencies = ["torch", "wandb>=0.20"]\n',
    ),
    "a package twice, by platform": (
        "[project]\ndependencies = [\"a>1; os_name=='nt'\", \"a>2; os_name!='nt'\"]\n",
        '[project]\ndependencies = ["a>1; os_name==\'nt\'", "a>2; os_name!=\'nt\'", "b"]\n',
        "[project]\ndependencies = [\"a>1; os_name=='nt'\", \"a>3; os_name!='nt'\"]\n",
        '[project]\ndependencies = ["a>1; os_name==\'nt\'", "a>3; os_name!=\'nt\'", "b"]\n',
    ),
    "groups that include others": (
        '[dependency-groups]\ndev = ["ruff", {include-group = "test"}]\n',
        '[dependency-groups]\ndev = ["ruff", {include-group = "test"}, "ipython"]\n',
        '[dependency-groups]\ndev = ["ruff>=1", {i'
        'nclude-group = "test"}, {include-group = "docs"}]\n',
        '[dependency-groups]\ndev = ["ruff>=1", {i'
        'nclude-group = "test"}, {include-group = "docs"}, "ipython"]\n',
    ),
    "tables of an array, by the key that tells them apart": (
        '[[o]]\nmodule = "a"\nx = 1\n\n[[o]]\nmodule = "b"\nx = 1\n',
        '[[o]]\nmodule = "mine"\nx = 1\n\n'
        '[[o]]\nmodule = "b"\nx = 1 # so\n\n[[o]]\nmodule = "a"\nx = 1\n',
        '[[o]]\nmodule = "a"\nx = 2\n\n[[o]]\nmodule = "b"\nx = 1\ny = 1\n',
        '[[o]]\nmodule = "mine"\nx = 1\n\n'
        '[[o]]\nmodule = "b"\nx = 1 # so\ny = 1\n\n[[o]]\nmodule = "a"\nx = 2\n',
    ),
    "tables that both add to an array": (
        '[[o]]\nmodule = "a"\n\n[z]\nx = 1\n',
        '[[o]]\nmodule = "a"\n\n[[o]]\nmodule = "mine"\n\n[z]\nx = 1\n',
        '[[o]]\nmodule = "a"\n\n[[o]]\nmodule = "b"  # new\ny = 1\n\n[z]\nx = 1\n',
        '[[o]]\nmodule = "a"\n\n[[o]]\nmodule = "b"  # new\ny = 1\n\n'
        '[[o]]\nmodule = "mine"\n\n[z]\nx = 1\n',
    ),
    "an array of tables begins": (
        "[a.b]\nx = 1\n\n[c]\nx = 1\n",
        "[a.b]\nx = 2\n\n[c]\nx = 1\n",
        '[a.b]\nx = 1\n\n[[a.b.o]]\nmodule = "m"\n\n[c]\nx = 1\n',
        '[a.b]\nx = 2\n\n[[a.b.o]]\nmodule = "m"\n\n[c]\nx = 1\n',
    ),
    "an array of tables ends": (
        '[a]\nx = 1\n\n[[o]]\nmodule = "m"  # why\n\n[c]\nx = 1\n',
        '[a]\nx = 2\n\n[[o]]\nmodule = "m"  # why\n\n[c]\nx = 1\n',
        "[a]\nx = 1\n\n[c]\nx = 1\n",
        "[a]\nx = 2\n\n[c]\nx = 1\n",
    ),
    "a table for one module, to which you added another": (
        '[[o]]\nmodule = "a.*"\nx = 1\n',
        '[[o]]\nmodule = ["a.*", "mine.*"]\nx = 1\n',
        '[[o]]\nmodule = "a.*"\nx = 1\ny = 1\n',
        '[[o]]\nmodule = ["a.*", "mine.*"]\nx = 1\ny = 1\n',
    ),
    "tables that you wrote inline": (
        '[[o]]\nmodule = "a"\nx = 1\n',
        'o = [\n  {module = "a", x = 1},\n]\n',
        '[[o]]\nmodule = "a"\nx = 2\n\n[[o]]\nmodule = "b"\n',
        'o = [\n  {module = "a", x = 2},\n  { module = "b" },\n]\n',
    ),
    "tables that the template wrote inline": (
        'o = [{name = "a", x = 1}]\n',
        '[[o]]\nname = "a"\nx = 1 # mine\n',
        'o = [{name = "a", x = 2}, {name = "b"}]\n',
        '[[o]]\nname = "a"\nx = 2 # mine\n\n[[o]]\nname = "b"\n',
    ),
    "tables below tables of an array": (
        '[[o]]\nname = "a"\n[o.t]\nx = 1\n[[o]]\nname = "b"\n[o.t]\nx = 1\n',
        '[[o]]\nname = "b"\n[o.t]\nx = 1\n[[o]]\nname = "a"\n[o.t]\nx = 1\n',
        '[[o]]\nname = "a"\n[o.t]\nx = 1\n[[o]]\nname = "b"\n[o.t]\nx = 2\ny = 1\n',
        '[[o]]\nname = "b"\n[o.t]\nx = 2\ny = 1\n[[o]]\nname = "a"\n[o.t]\nx = 1\n',
    ),
    "a value becomes a table": (
        'a = "x"\nb = 1\n',
        "a = 'x'\nb = 2\n",
        "b = 1\n\n[a]\nx = 1\n",
        "b = 2\n\n[a]\nx = 1\n",
    ),
    "a table becomes a value": (
        "b = 1\n\n[a]\nx = 1\n",
        "b = 2\n\n[a]\nx = 1 # mine\n",
        'a = "x"\nb = 1\n',
        'a = "x"\nb = 2\n# mine\n',
    ),
    "your newlines": (
        "a = 1\n[t]\nb = 1\n",
        "a = 1 # mine\r\n\r\n[t]\r\nb = 1\r\n",
        "a = 1\n[t]\nb = 2\ns = [\n    1,\n]\n\n[u]\nc = 1\n",
        "a = 1 # mine\r\n\r\n[t]\r\nb = 2\r\ns = [\r\n    1,\r\n]\r\n\r\n[u]\r\nc = 1\r\n",
    ),
    "your byte order mark": (
        "a = 1\nb = 1\n",
        "\ufeffa = 1\nb = 2\n",
        "a = 2\nb = 1\n",
        "\ufeffa = 2\nb = 2\n",
    ),
    "your last line without newline": (
        "a = 1\n",
        "b = 1\na = 1",
        "a = 2\nc = 1\n",
        "b = 1\na = 2\nc = 1",
    ),
    "your last comment stays last": (
        "a = 1\n",
        "a = 2\n# the end",
        "a = 1\nb = 1\n",
        "a = 2\nb = 1\n# the end",
    ),
}
REFUSED = {
    "the same key": (
        "a = 1\n[t]\nb = 1\n",
        "a = 1\n[t]\nb = 2 # mine\n",
        "a = 1\n[t]\nb = 3\n",
        (3, "[t] b", "b = 2 # mine", "b = 3"),
    ),
    "1 is not true and not 1.0": (
        "a = 1\n",
        "a = 1.0\n",
        "a = true\n",
        (1, "a", "a = 1.0", "a = true"),
    ),
    "both added a key": (
        "x = 1\n",
        "x = 1\na = 1\n",
        "x = 1\na = 2\n",
        (2, "a", "a = 1", "a = 2"),
    ),
    "you deleted the key": (
        "[t]\na = 1\nb = 1\n",
        "# mine\n[t]\nb = 1\n",
        "[t]\na = 2\nb = 1\n",
        (2, "[t] a", "", "a = 2"),
    ),
    "you deleted the table": (
        "[t]\na = 1\n",
        "x = 1\n",
        "[t]\na = 2\n",
        (0, "t", "", "[t]\na = 2"),
    ),
    "it deletes the key that you changed": (
        "[t]\na = 1\nb = 1\n",
        "[t]\na = 2\nb = 1\n",
        "[t]\nb = 1\n",
        (2, "[t] a", "a = 2", ""),
    ),
    "a package that you pinned": (
        '[project]\ndependencies = [\n    "x",\n    "torch>=2.9",\n]\n',
        '[project]\ndependencies = [\n    "x",\n    "torch==2.11",\n]\n',
        '[project]\ndependencies = [\n    "x",\n    "torch>=2.10",\n]\n',
        (4, "[project] dependencies", '"torch==2.11"', '"torch>=2.10"'),
    ),
    "a package that you deleted": (
        '[project]\ndependencies = ["x", "torch>=2.9"]\n',
        '[project]\ndependencies = ["x"]\n',
        '[project]\ndependencies = ["x", "torch>=2.10"]\n',
        (2, "[project] dependencies", "", '"torch>=2.10"'),
    ),
    "a package that both added": (
        '[project]\ndependencies = ["x"]\n',
        '[project]\ndependencies = ["x", "y>1"]\n',
        '[project]\ndependencies = ["x", "y>2"]\n',
        (2, "[project] dependencies", '"y>1"', '"y>2"'),
    ),
    "a package that it drops, and you pinned": (
        '[project]\ndependencies = ["x", "y"]\n',
        '[project]\ndependencies = ["x", "y==1"]\n',
        '[project]\ndependencies = ["x"]\n',
        (2, "[project] dependencies", '"y==1"', ""),
    ),
    "an array in which order may matter": (
        'a = ["-k", "x", "-k"]\n',
        'a = ["-k", "y", "-k"]\n',
        'a = ["-k", "x", "-k", "z"]\n',
        (1, "a", 'a = ["-k", "y", "-k"]', 'a = ["-k", "x", "-k", "z"]'),
    ),
    "tables that nothing tells apart": (
        "[[o]]\nx = 1\n",
        "[[o]]\nx = 2\n",
        "[[o]]\nx = 3\n",
        (1, "o", "[[o]]\nx = 2", "[[o]]\nx = 3"),
    ),
    "a table of an array that it deletes, and you changed": (
        '[[o]]\nname = "a"\nx = 1\n\n[[o]]\nname = "b"\n',
        '[[o]]\nname = "a"\nx = 2\n\n[[o]]\nname = "b"\n',
        '[[o]]\nname = "b"\n',
        (1, "o", '[[o]]\nname = "a"\nx = 2', ""),
    ),
    "a table that you made a value": (
        "[a]\nx = 1\n",
        "a = 1\n",
        "[a]\nx = 2\n",
        (1, "a", "a = 1", "[a]\nx = 2"),
    ),
    "a key of an inline table": (
        "r = {a = 1, b = 1}\n",
        "r = {a = 2, b = 1}\n",
        "r = {a = 3, b = 1}\n",
        (1, "[r] a", "a = 2", "a = 3"),
    ),
}
Three = tuple[str, str, str]


@pytest.mark.parametrize(("base", "mine", "new", "merged"), TABLE.values(), ids=TABLE)
def test_both_changes_are_in_the_result(base: str, mine: str, new: str, merged: str) -> None:
    found = merge_toml(base, mine, new, path="pyproject.toml")
    assert (found.text, found.refusals) == (merged, ())
    again = merge_toml(base, merged, new, path="pyproject.toml")
    assert (again.text, again.refusals) == (merged, ())


@pytest.mark.parametrize(("base", "mine", "new", "place"), REFUSED.values(), ids=REFUSED)
def test_what_both_changed_is_refused_and_stays(
    base: str, mine: str, new: str, place: tuple[int, str, str, str]
) -> None:
    found = merge_toml(base, mine, new, path="pyproject.toml")
    assert found.text == mine
    (refusal,) = found.refusals
    assert (refusal.line, refusal.where, refusal.yours, refusal.template) == place
    assert refusal.path == "pyproject.toml"
    accept = frozenset({place[0]})
    accepted = merge_toml(base, mine, new, path="pyproject.toml", accept=accept)
    assert (accepted.text, accepted.refusals) == (mine, ())
    other = merge_toml(base, mine, new, path="pyproject.toml", accept=frozenset({99}))
    assert other == found


def test_a_clean_change_is_made_beside_a_refused_one() -> None:
    found = merge_toml("a = 1\nb = 1\n", "a = 2\nb = 1\n", "a = 3\nb = 4\n", path="a.toml")
    assert found.text == "a = 2\nb = 4\n"
    assert [each.line for each in found.refusals] == [1]


MARKED = {
    "a key": (
        ("a = 1\nb = 1\n", "a = 2 # mine\nb = 1\n", "a = 3\nb = 4\n"),
        """\
        <<<<<<< yours
        a = 2 # mine
        =======
        a = 3
        >>>>>>> template
        b = 4
        """,
    ),
    "a key that you deleted": (
        ("[t]\na = 1\nb = 1\n", "[t]\nb = 1\n", "[t]\na = 2\nb = 1\n"),
        """\
        [t]
        <<<<<<< yours
        =======
        a = 2
        >>>>>>> template
        b = 1
        """,
    ),
    "a table that you deleted": (
        ("[t]\na = 1\n", "x = 1\n", "[t]\na = 2\n"),
        """\
        x = 1

        <<<<<<< yours
        =======
        [t]
        a = 2
        >>>>>>> template
        """,
    ),
    "two packages of one array": (
        (
            '[project]\ndependencies = ["x", "y"]\n',
            '[project]\n# mine\ndependencies = ["x>1", "y>1"]',
            '[project]\ndependencies = ["x>2", "y>2"]\n',
        ),
        """\
        [project]
        # mine
        <<<<<<< yours
        dependencies = ["x>1", "y>1"]
        =======
        dependencies = ["x>2", "y>2"]
        >>>>>>> template
        """,
    ),
}


@pytest.mark.parametrize(("three", "marked"), MARKED.values(), ids=MARKED)
def test_markers_hold_both_versions(three: Three, marked: str) -> None:
    found = merge_toml(*three, path="pyproject.toml", markers=True)
    assert found.text == dedent(marked)
    assert found.refusals


BROKEN = {
    "a value is missing": ("x = 1\na = \n", 2, "line 2, column 5"),
    "a key is there twice": ("a = 1\n\na = 2\n", 3, "line 3"),
    "the file ends in an array": ("a = [1,\n2", 2, "end of document"),
    "git's markers": ("<<<<<<< yours\na = 1\n=======\n", 1, "line 1, column 1"),
}


@pytest.mark.parametrize(("mine", "line", "words"), BROKEN.values(), ids=BROKEN)
def test_a_file_of_yours_that_is_not_toml_is_refused(mine: str, line: int, words: str) -> None:
    found = merge_toml("a = 1\n", mine, "a = 2\n", path="pyproject.toml")
    assert found.text == mine
    (refusal,) = found.refusals
    assert refusal.line == line and words in refusal.reason


def test_a_template_that_is_not_toml_is_merged_by_lines() -> None:
    three = "{{ a }}\n", "b = 1\n", "{{ c }}\n"
    assert merge_toml(*three, path="a.toml").refusals
    three = "{{ a }}\n\nb = 1\n", "\n\nb = 1\n", "{{ a }}\n\nb = 1\nc = 1\n"
    assert merge_toml(*three, path="a.toml").text == "\n\nb = 1\nc = 1\n"


def test_all_of_a_long_file_but_the_change_keeps_its_bytes() -> None:
    mine = "".join(
        f"[t{n}]   # {n}\nkey.a  =  [ 1,{n} ,\n  3 # x\n  , ] \n\n\n\t# deep\n'k' = '''\n[x]'''\n"
        for n in range(50)
    )
    base = mine.replace("\t# deep\n", "")
    new = base.replace("1,25 ,", "1,25 , 26,")
    found = merge_toml(base, mine, new, path="a.toml")
    assert found.text == mine.replace("1,25 ,", "1,25 ,\n  26,")
    assert tomllib.loads(found.text) == tomllib.loads(new)
