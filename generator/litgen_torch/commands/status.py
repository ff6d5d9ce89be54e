"""`litgen status`: how each file stands to what litgen wrote, and would write today."""

import json
import shlex
from collections import Counter
from dataclasses import asdict, dataclass

import click

from litgen_torch.catalog import questions
from litgen_torch.commands import show
from litgen_torch.commands.answering import shown as as_given
from litgen_torch.commands.editing import open_project
from litgen_torch.compare import file_change
from litgen_torch.content import binary
from litgen_torch.pending import read_pending
from litgen_torch.places import read_tree
from litgen_torch.project import Project, from_templates
from litgen_torch.solve import pairs
from litgen_torch.versions import installed

COLOURS = {"untouched": None, "edited": "yellow", "deleted": "red", "new": "green"}


@dataclass(frozen=True)
class State:
    """One file. A file that only the installed litgen would write is new."""

    path: str
    state: str  # untouched, edited, deleted or new
    behind: bool  # the installed litgen would write it otherwise
    added: int = 0  # lines, by the owner
    removed: int = 0

    @property
    def is_yours(self) -> bool:
        """Whether it is the owner who made it what it is."""
        return self.state in ("edited", "deleted")

    @property
    def words(self) -> str:
        if self.state == "new":
            return "to come"
        if not self.behind:
            return self.state
        return f"{self.state}, behind" if self.is_yours else "behind"


@click.command()
@click.option("--all", "show_all", is_flag=True, help="Every file by its name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(show_all: bool, as_json: bool) -> None:
    """Show which files you edited or deleted, and which are behind the installed litgen."""
    project = open_project()
    states = states_of(project)
    pending = read_pending(project.folder)
    waiting = shlex.join(pending.command) if pending else None
    if as_json:
        about = {"name": project.name, "version": project.version, "installed": installed()}
        files = [asdict(state) for state in states]
        found = about | {"answers": project.answers, "pending": waiting, "files": files}
        if project.template:
            found |= {"template": asdict(project.template)}
        click.echo(json.dumps(found, indent=2, default=str))
        return
    who = project.template.words if project.template else f"litgen {project.version}"
    click.secho(f"{project.name} · {who} · {_answers(project)}", bold=True)
    click.echo("\n".join(_lines(states, show_all=show_all)))
    if any(state.state == "edited" for state in states):
        click.echo("what you changed: litgen diff")
    if (
        any(state.behind for state in states)
        or project.version != installed()
        and not project.template
    ):
        click.echo(f"behind: litgen {installed()} writes them otherwise; to follow: litgen upgrade")
    if waiting:
        click.echo(f"{waiting} waits for --continue or --abort")


def _lines(states: list[State], *, show_all: bool) -> list[str]:
    """A line for each file that the owner changed, and one for all others of a kind."""
    shown = [state for state in states if show_all or state.is_yours]
    others = Counter(state.words for state in states if state not in shown)
    words = [state.words for state in shown]
    wide = max(map(len, ["untouched", *words]))
    width = max((len(state.path) for state in shown if state.state == "edited"), default=0)
    lines = []
    for state, word in zip(shown, words, strict=True):
        path = state.path
        if state.state == "edited":
            path = f"{path:{width}}  {f'+{state.added}':>4} {f'-{state.removed}':>4}"
        lines.append(f"  {click.style(f'{word:{wide}}', fg=COLOURS[state.state])}  {path}")
    for word, number in sorted(others.items()):
        of_them = f"all {number} files" if number == len(states) else show.count(number, "file")
        lines.append(f"  {word:{wide}}  {of_them}")
    return lines


def states_of(project: Project) -> list[State]:
    """How each file stands to what litgen wrote, and would write today."""
    base = project.base
    # Somebody else's template is not at hand: `litgen upgrade --check` fetches it.
    today = base if project.template else from_templates(project.name, project.answers)
    mine = read_tree(project.folder, sorted(base), binary=binary(base))
    found = []
    for path in sorted(base.keys() | today.keys()):
        behind = base.get(path) != today.get(path)
        change = file_change(path, base.get(path), mine.get(path))
        if path not in base:
            found.append(State(path, "new", behind))
        elif path not in mine:
            found.append(State(path, "deleted", behind))
        elif mine[path] == base[path]:
            found.append(State(path, "untouched", behind))
        else:
            found.append(State(path, "edited", behind, change.added, change.removed))
    return found


def _answers(project: Project) -> str:
    if project.template:
        return ", ".join(f"{name} {as_given(answer)}" for name, answer in project.answers.items())
    own_words = {question.name for question in questions() if question.is_open}
    return ", ".join(
        f"{name} {value}" if name in own_words else value for name, value in pairs(project.answers)
    )
