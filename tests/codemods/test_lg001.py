"""LG001: warmup_cosine, wherever and however the owner uses it."""

import pytest
from codemods.tables import refuses, rewrites, taken

from litgen_torch.codemods.lg001_cosine import STEP

REWRITES = {
    "call": (
        "from runtime.optim import warmup_cosine\n\nprint(warmup_cosine(1, 2, 3))\n",
        "from runtime.schedule import cosine\n\nprint(cosine(1, 2, 3))\n",
    ),
    "last of several": (
        "from runtime.optim import set_lr, warmup_cosine\nwarmup_cosine(1, 2, 3)\n",
        "from runtime.optim import set_lr\nfrom runtime.schedule import cosine\ncosine(1, 2, 3)\n",
    ),
    "first of several": (
        "from runtime.optim import warmup_cosine, set_lr\nwarmup_cosine(1, 2, 3)\n",
        "from runtime.optim import set_lr\nfrom runtime.schedule import cosine\ncosine(1, 2, 3)\n",
    ),
    "sorted among its neighbours": (
        "from runtime.optim import set_lr, warmup_cosine\n"
        "from runtime.rng import seed_all\n"
        "from runtime.stop import Stop\n",
        "from runtime.optim import set_lr\n"
        "from runtime.rng import seed_all\n"
        "from runtime.schedule import cosine\n"
        "from runtime.stop import Stop\n",
    ),
    "alone, sorted among its neighbours": (
        "from runtime.optim import warmup_cosine  # mine\nfrom runtime.rng import seed_all\n"
        "x = 1\n",
        "from runtime.rng import seed_all\nfrom runtime.schedule import cosine  # mine\nx = 1\n",
    ),
    "alias": (
        "from runtime.optim import warmup_cosine as factor\nfactor(1, 2, 3)\n",
        "from runtime.schedule import cosine as factor\nfactor(1, 2, 3)\n",
    ),
    "alias that is the new name": (
        "from runtime.optim import warmup_cosine as cosine\ncosine(1, 2, 3)\n",
        "from runtime.schedule import cosine\ncosine(1, 2, 3)\n",
    ),
    "in parentheses": (
        "from runtime.optim import (\n    set_lr,\n    warmup_cosine,  # the rate\n)\n",
        "from runtime.optim import (\n    set_lr,\n)\n"
        "from runtime.schedule import cosine  # the rate\n",
    ),
    "in parentheses, without a last comma": (
        "from runtime.optim import (set_lr,  # one\n    warmup_cosine)\n",
        "from runtime.optim import (set_lr,  # one\n    )\nfrom runtime.schedule import cosine\n",
    ),
    "in parentheses, some in a line": (
        "from runtime.optim import (\n    clip_and_step, warmup_cosine,  # both\n    set_lr,\n)\n",
        "from runtime.optim import (\n    clip_and_step,  # both\n    set_lr,\n)\n"
        "from runtime.schedule import cosine\n",
    ),
    "in parentheses, alone": (
        "from runtime.optim import (  # why\n    warmup_cosine,\n)\nwarmup_cosine(1, 2, 3)\n",
        "from runtime.schedule import (  # why\n    cosine,\n)\ncosine(1, 2, 3)\n",
    ),
    "backslash": (
        "from runtime.optim import set_lr, \\\n    warmup_cosine\n",
        "from runtime.optim import set_lr\nfrom runtime.schedule import cosine\n",
    ),
    "semicolons": (
        "import os; from runtime.optim import set_lr, warmup_cosine; x = 1\n",
        "import os; from runtime.optim import set_lr; from runtime.schedule import cosine; x = 1\n",
    ),
    "in a function": (
        "def f():\n    from runtime.optim import set_lr, warmup_cosine\n"
        "    warmup_cosine(1, 2, 3)\n",
        "def f():\n    from runtime.optim import set_lr\n    from runtime.schedule import cosine\n"
        "    cosine(1, 2, 3)\n",
    ),
    "in an if of one line": (
        "if True: from runtime.optim import set_lr, warmup_cosine\n",
        "if True: from runtime.optim import set_lr; from runtime.schedule import cosine\n",
    ),
    "in try": (
        "try:\n\tfrom runtime.optim import warmup_cosine\nexcept ImportError:\n\traise\n",
        "try:\n\tfrom runtime.schedule import cosine\nexcept ImportError:\n\traise\n",
    ),
    "passed on": (
        "from runtime.optim import warmup_cosine\nALL = {'cosine': warmup_cosine}\n"
        "f(warmup_cosine)\n",
        "from runtime.schedule import cosine\nALL = {'cosine': cosine}\nf(cosine)\n",
    ),
    "module": (
        "from runtime import optim\n\noptim.warmup_cosine(1, 2, 3)\noptim.set_lr(o, 1)\n",
        "from runtime import optim, schedule\n\nschedule.cosine(1, 2, 3)\noptim.set_lr(o, 1)\n",
    ),
    "module among others": (
        "from runtime import optim, stop\n\noptim.warmup_cosine(1, 2, 3)\noptim.set_lr(o, 1)\n",
        "from runtime import optim, schedule, stop\n\nschedule.cosine(1, 2, 3)\n"
        "optim.set_lr(o, 1)\n",
    ),
    "module that is not used otherwise": (
        "from runtime import optim\n\nprint(optim.warmup_cosine(1, 2, 3))\n",
        "from runtime import schedule\n\nprint(schedule.cosine(1, 2, 3))\n",
    ),
    "module by another name": (
        "import runtime.optim as o\n\no.warmup_cosine(1, 2, 3)\no.set_lr(x, 1)\n",
        "import runtime.optim as o\nfrom runtime import schedule\n\n"
        "schedule.cosine(1, 2, 3)\no.set_lr(x, 1)\n",
    ),
    "module by another name, not used otherwise": (
        "import math\nimport runtime.optim as o\n\no.warmup_cosine(1, 2, 3)\n",
        "import math\nimport runtime.schedule as schedule\n\nschedule.cosine(1, 2, 3)\n",
    ),
    "module written out": (
        "import runtime.optim\n\nruntime.optim.warmup_cosine(1, 2, 3)\n",
        "import runtime.schedule\n\nruntime.schedule.cosine(1, 2, 3)\n",
    ),
    "module written out and used otherwise": (
        "import runtime.optim\nimport runtime.rng\n\nruntime.optim.warmup_cosine(1, 2, 3)\n"
        "runtime.optim.set_lr(o, 1)\n",
        "import runtime.optim\nimport runtime.schedule\nimport runtime.rng\n\n"
        "runtime.schedule.cosine(1, 2, 3)\nruntime.optim.set_lr(o, 1)\n",
    ),
    "module whose new name is taken": (
        "from runtime import optim\n\n"
        "schedule = [optim.warmup_cosine(i, 2, 3) for i in range(3)]\n",
        "from runtime import schedule as runtime_schedule\n\n"
        "schedule = [runtime_schedule.cosine(i, 2, 3) for i in range(3)]\n",
    ),
    "new name is taken": (
        "from runtime.optim import warmup_cosine\n\ncosine = warmup_cosine(1, 2, 3)\n",
        "from runtime.schedule import cosine as warmup_cosine\n\ncosine = warmup_cosine(1, 2, 3)\n",
    ),
    "shadowed": (
        "from runtime.optim import warmup_cosine\n\ndef f(warmup_cosine):\n"
        "    return warmup_cosine\n",
        "from runtime.schedule import cosine as warmup_cosine\n\n"
        "def f(warmup_cosine):\n    return warmup_cosine\n",
    ),
    "with a fallback": (
        "try:\n    from runtime.optim import warmup_cosine\nexcept ImportError:\n"
        "    warmup_cosine = None\n",
        "try:\n    from runtime.schedule import cosine as warmup_cosine\n"
        "except ImportError:\n    warmup_cosine = None\n",
    ),
    "exported": (
        "from runtime.optim import warmup_cosine\n\n__all__ = ['warmup_cosine']\n",
        "from runtime.schedule import cosine as warmup_cosine\n\n__all__ = ['warmup_cosine']\n",
    ),
    "exported later": (
        "from runtime.optim import warmup_cosine\n\n__all__ = []\n__all__ += ['warmup_cosine']\n",
        "from runtime.schedule import cosine as warmup_cosine\n\n"
        "__all__ = []\n__all__ += ['warmup_cosine']\n",
    ),
    "crlf, tabs, form feed, bom, no last line end": (
        "\ufefffrom runtime.optim import set_lr, warmup_cosine\r\n\x0c\r\nif 1:\r\n"
        "\tx=warmup_cosine( 1,2 , 3 )",
        "\ufefffrom runtime.optim import set_lr\r\nfrom runtime.schedule import cosine\r\n\x0c\r\n"
        "if 1:\r\n\tx=cosine( 1,2 , 3 )",
    ),
    "other characters before it": (
        "from runtime.optim import warmup_cosine\ns = 'äß€🙂', warmup_cosine(1, 2, 3), 'ü'\n",
        "from runtime.schedule import cosine\ns = 'äß€🙂', cosine(1, 2, 3), 'ü'\n",
    ),
    "what libcst does not give back": (
        "from runtime.optim import warmup_cosine\ntry:\n    pass\nexcept  E  :\n"
        "    warmup_cosine (1,2,3)\n",
        "from runtime.schedule import cosine\ntry:\n    pass\nexcept  E  :\n    cosine (1,2,3)\n",
    ),
    "in an f-string": (
        "from runtime.optim import warmup_cosine\n"
        "print(f'lr {warmup_cosine(1, 2, 3):.3f} ü {x}')\n",
        "from runtime.schedule import cosine\nprint(f'lr {cosine(1, 2, 3):.3f} ü {x}')\n",
    ),
    "broken over lines": (
        "from runtime import optim\nx = (optim\n     .warmup_cosine(1, 2, 3))\n",
        "from runtime import schedule\nx = (schedule.cosine(1, 2, 3))\n",
    ),
    "replaced by a test": (
        "from runtime import optim\n\noptim.warmup_cosine = lambda *given: 1.0\n",
        "from runtime import schedule\n\nschedule.cosine = lambda *given: 1.0\n",
    ),
    "decorated, nested, awaited": (
        "from runtime.optim import warmup_cosine\n\n@wrap(warmup_cosine)\n"
        "async def f(x=warmup_cosine):\n"
        "    return [warmup_cosine(i, 1, 2) for i in x if (y := warmup_cosine)]\n",
        "from runtime.schedule import cosine\n\n@wrap(cosine)\nasync def f(x=cosine):\n"
        "    return [cosine(i, 1, 2) for i in x if (y := cosine)]\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), REWRITES.values(), ids=REWRITES)
def test_it_rewrites(before: str, after: str) -> None:
    rewrites(STEP, before, after)


LEFT_ALONE = {
    "another function of this name": "from mylib import warmup_cosine\n\nwarmup_cosine(1, 2, 3)\n",
    "defined here": "def warmup_cosine(step):\n    return step\n\nwarmup_cosine(1)\n",
    "in prose": '"""As runtime.optim.warmup_cosine does."""\n# warmup_cosine\nx = 1\n',
    "a method": "class A:\n    def warmup_cosine(self):\n        return self.warmup_cosine()\n",
    "an attribute of something else": "from torch import optim\n\noptim.warmup_cosine()\n",
    "an option's value": "parser.add_argument('--schedule', default='warmup_cosine')\n",
    "a local module": "def f(optim):\n    return optim.warmup_cosine()\n",
    "getattr of something else": "from torch import optim\n\ngetattr(optim, name)(x)\n",
    "getattr with another name": "from runtime import optim\n\ngetattr(optim, 'set_lr')(x, 1)\n",
    "a star, and not this name": "from runtime.optim import *\n\nset_lr(x, 1)  # warmup_cosine\n",
}


@pytest.mark.parametrize("text", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_it_leaves_alone(text: str) -> None:
    rewrites(STEP, text, text)


REFUSES = {
    "star": (
        "from runtime.optim import *\n\nwarmup_cosine(1, 2, 3)\n",
        3,
        "from runtime.optim import warmup_cosine",
    ),
    "getattr": (
        "from runtime import optim\n\nf = getattr(optim, 'warmup_cosine')\n",
        3,
        "optim.warmup_cosine",
    ),
    "getattr with a name from elsewhere": (
        "import runtime.optim as o\n\nf = getattr(o, config.schedule)\n",
        3,
        "o.warmup_cosine",
    ),
    "setattr": (
        "from runtime import optim\nmonkeypatch.setattr(optim, 'warmup_cosine', f)\n",
        2,
        "",
    ),
    "vars": ("from runtime import optim\nf = vars(optim)['warmup_cosine']\n", 2, "by its text"),
    "path as text": (
        "def test(mocker):\n    mocker.patch('runtime.optim.warmup_cosine')\n",
        2,
        '"runtime.schedule.cosine"',
    ),
    "module by assignment": (
        "from runtime import optim\n\no = optim\no.warmup_cosine(1, 2, 3)\n",
        4,
        "optim.warmup_cosine",
    ),
    "one module or another": (
        "try:\n    from runtime import optim\nexcept ImportError:\n    import mine as optim\n"
        "optim.warmup_cosine(1, 2, 3)\n",
        5,
        "or not",
    ),
    "twice in one statement": (
        "from runtime.optim import warmup_cosine, warmup_cosine as w\n",
        1,
        "import it once",
    ),
    "a comment in front of a comma": (
        "from runtime.optim import (warmup_cosine  # why\n    , set_lr)\n",
        1,
        "into one line",
    ),
    "no python": ("from runtime.optim import warmup_cosine\ndef f(:\n", 2, "column 7"),
}


@pytest.mark.parametrize(("text", "line", "words"), REFUSES.values(), ids=REFUSES)
def test_it_refuses(text: str, line: int, words: str) -> None:
    refuses(STEP, text, line, words)


def test_relative_imports_are_followed() -> None:
    before = "from .optim import set_lr, warmup_cosine\n\nwarmup_cosine(1, 2, 3)\n"
    after = "from .optim import set_lr\nfrom .schedule import cosine\n\ncosine(1, 2, 3)\n"
    rewrites(STEP, before, after, "runtime/mine.py")
    rewrites(STEP, before, before, "mine/optimize.py")
    deeper = "from ..optim import warmup_cosine\n", "from ..schedule import cosine\n"
    rewrites(STEP, *deeper, "runtime/mine/loop.py")


TAKEN = {
    "from import": "from plot import warmup_cosine\n",
    "attribute": "import plot\n\nplot.warmup_cosine(1, 2, 3)\n",
    "star": "from plot import *\n\nx = 'warmup_cosine'\n",
    "as text": "patch('plot.warmup_cosine')\n",
}


@pytest.mark.parametrize("other", TAKEN.values(), ids=TAKEN)
def test_a_name_that_other_files_take_from_here_stays(other: str) -> None:
    text = "from runtime.optim import warmup_cosine\n\nx = warmup_cosine(1, 2, 3)\n"
    after = text.replace("runtime.optim import", "runtime.schedule import cosine as")
    rewrites(STEP, text, after, other=other)
    rewrites(
        STEP, text, after.replace("cosine as warmup_", "").replace("= warmup_", "= "), other="x"
    )


def test_a_name_that_comes_through_a_star_elsewhere_is_refused() -> None:
    text = "from mine.tools import warmup_cosine\n"
    words = "from runtime.optim import warmup_cosine"
    refuses(STEP, text, 1, words, mine_tools="from runtime.optim import *\n")
    rewrites(STEP, text, text, mine_tools="def warmup_cosine(): ...\n")


def test_uses_in_the_old_module_itself_are_followed() -> None:
    text = "import math\n\nfrom torch import nn\n\n\ndef warmup_cosine(step):\n    return step\n"
    mine = "\n\ndef mine(step):\n    return 2 * warmup_cosine(step)\n"
    after = text.replace("import nn\n", "import nn\n\nfrom runtime.schedule import cosine\n")
    rewrites(STEP, text, text, "runtime/optim.py")
    done = taken(STEP, text + mine, "runtime/optim.py")
    assert done.files["runtime/optim.py"] == after + mine.replace("warmup_", "")
    assert not done.refusals


def test_uses_are_counted_and_imports_are_not() -> None:
    text = "from runtime.optim import warmup_cosine\nwarmup_cosine(1, 2, 3), warmup_cosine\n"
    assert taken(STEP, text).uses == {"LG001": {"plot.py": 2}}
