"""How often a change meets an owner's edits as it should: litgen, git and copier side by side.

    python tests/benchmarks/merge.py --cases 3000 --copier 60
    python tests/benchmarks/merge.py --cases 300 --show wrong --diff

A case is a project, what its owner did to it, and one `litgen add` or `litgen remove`. What comes
of it should be what the templates make of the new answers, with the same edits done to that
(tests/edits/judge.py says when it is). `git merge-file` merges the same files three ways; `copier
update` does what it does with a template that is a git repository. Neither says it where the
change was refused: markers in a file, a file that both sides changed, count as refused for them.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from edits.cases import Case, case
from edits.copier_update import CopierTemplate
from edits.judge import difference, is_rightful, judge
from edits.kind import KINDS, Tree

from litgen_torch.merge.trees import merge

CLASSES = ("right", "order", "said", "refused", "wrong")


@dataclass
class Outcome:
    """What one tool made of one case."""

    kind: str
    reasons: list[str]
    milliseconds: float
    result: Tree
    is_rightful: bool = False


@dataclass
class Sums:
    """What one tool made of all of them."""

    kinds: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    rightful: int = 0

    def add(self, outcome: Outcome) -> None:
        self.kinds[outcome.kind] += 1
        self.times.append(outcome.milliseconds)
        self.rightful += outcome.is_rightful


def litgen(some: Case) -> Outcome:
    before = dict(some.mine)
    start = time.process_time()
    merged = merge(some.base, some.mine, some.new)
    spent = 1000 * (time.process_time() - start)
    if merged.refusals:
        assert some.mine == before
        reasons = [f"{r.path}:{r.line} {r.where}: {r.reason}" for r in merged.refusals]
        return Outcome("refused", reasons, spent, some.mine, is_rightful(some))
    verdict = judge(some, merged.tree, merged.kept)
    return Outcome(verdict.kind, verdict.reasons, spent, merged.tree)


def git(some: Case) -> Outcome:
    """Three-way merges of lines, file by file; what one side deleted goes if the other left it."""
    result, refused, spent = dict(some.mine), list[str](), 0.0
    for path in sorted(some.base.keys() | some.new.keys()):
        base, mine, new = (tree.get(path) for tree in (some.base, some.mine, some.new))
        if base == new or mine == new:
            continue
        if mine == base:
            result.pop(path, None)
            result |= {path: new} if new is not None else {}
        elif base is None or mine is None or new is None:
            refused.append(path)
        else:
            text, conflicts, milliseconds = merge_file(base, mine, new)
            result[path], spent = text, spent + milliseconds
            refused += [path] * bool(conflicts)
    if refused:
        return Outcome("refused", refused, spent, result, is_rightful(some))
    verdict = judge(some, result)
    return Outcome(verdict.kind, verdict.reasons, spent, result)


def merge_file(base: str, mine: str, new: str) -> tuple[str, int, float]:
    """What `git merge-file` says: the text, how many conflicts, and the time it took."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("mine", mine), ("base", base), ("new", new)):
            Path(folder, name).write_bytes(text.encode())
        command = ["git", "merge-file", "-p", "mine", "base", "new"]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True)
        spent = 1000 * (time.perf_counter() - start)
    return done.stdout.decode(), done.returncode, spent


def copier(some: Case, template: CopierTemplate) -> Outcome:
    start = time.perf_counter()
    result, refused = template.update(some)
    spent = 1000 * (time.perf_counter() - start)
    if refused:
        return Outcome("refused", refused, spent, result, is_rightful(some))
    verdict = judge(some, result)
    return Outcome(verdict.kind, verdict.reasons, spent, result)


def show(some: Case, outcome: Outcome, *, diff: bool) -> None:
    print(f"\n{outcome.kind}{' rightly' * outcome.is_rightful}: {some.title}")
    for reason in outcome.reasons[:6]:
        print(f"    {reason}")
    if diff:
        print(difference(some, outcome.result))


def table(sums: dict[str, Sums]) -> None:
    print(
        "\n" + " " * 16 + "".join(f"{name:>14}" for name in CLASSES) + "   of the refused, rightly"
    )
    for name, found in sums.items():
        total = sum(found.kinds.values())
        cells = [f"{found.kinds[k]} = {100 * found.kinds[k] / total:.1f} %" for k in CLASSES]
        print(f"{name:16}" + "".join(f"{cell:>14}" for cell in cells) + f"   {found.rightful}")
    for name, found in sums.items():
        print(f"{name:16}{statistics.median(found.times):6.0f} ms a case (median)")


def by_kind(worst: dict[str, Counter[str]]) -> None:
    print("\nnot merged as they should be, by the first of the owner's edits:")
    for name, kinds in sorted(worst.items(), key=lambda item: -sum(item[1].values())):
        print(f"    {name:48}{', '.join(f'{k} {n}' for k, n in sorted(kinds.items()))}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--copier", type=int, default=0, help="so many of them by copier too")
    parser.add_argument("--show", choices=CLASSES, action="append", default=[])
    parser.add_argument("--diff", action="store_true", help="with --show: beside the oracle")
    parser.add_argument("--kinds", action="store_true", help="what failed, by kind of edit")
    parser.add_argument("--without-git", action="store_true")
    options = parser.parse_args()

    tools: dict[str, Callable[[Case], Outcome]] = {"litgen": litgen}
    if not options.without_git:
        tools["git merge-file"] = git
    sums, worst = defaultdict[str, Sums](Sums), defaultdict[str, Counter[str]](Counter)
    step = max(1, options.cases // options.copier) if options.copier else 0
    with CopierTemplate() as template:
        for number in range(options.first, options.first + options.cases):
            some = case(number)
            for name, tool in tools.items():
                outcome = tool(some)
                sums[name].add(outcome)
                if name == "litgen" and outcome.kind in options.show:
                    show(some, outcome, diff=options.diff)
                if name == "litgen" and outcome.kind in ("refused", "wrong"):
                    first = [*KINDS][number % len(KINDS)]
                    worst[first][outcome.kind + " rightly" * outcome.is_rightful] += 1
            if step and number % step == 0:
                sums["copier update"].add(copier(some, template))
    if options.kinds:
        by_kind(worst)
    print(f"\n{len(KINDS)} kinds of edit, {options.cases} cases from number {options.first}")
    table(sums)
    return int(sums["litgen"].kinds["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
