"""Templates to text, with the settings that copier would use: the only door to jinja2.

Built-in templates are rendered here, in memory, in milliseconds; a test holds that `copier copy`
gives the same bytes.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment

Tree = dict[str, str]  # path below the project's folder, with /, to text


@cache
def templates_folder() -> Path:
    """The templates: inside the installed package, or beside it in the repository."""
    installed = Path(__file__).parent / "_templates"
    return installed if installed.exists() else Path(__file__).parents[2] / "templates"


@cache
def settings() -> dict[str, Any]:
    """What copier.yml says: questions, and settings under names that begin with an underscore."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (templates_folder() / "copier.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, loader)
    return found


def render(answers: Mapping[str, object]) -> Tree:
    """Every file that a project with these answers gets."""
    root = templates_folder() / settings()["_subdirectory"]
    left_out = {evaluate(item, answers) for item in settings()["_exclude"]} - {""}
    tree = {}
    for file in _files(root):
        path = file.relative_to(root).as_posix()
        if not left_out.isdisjoint([path.removesuffix(".jinja"), *Path(path).parts]):
            continue
        if file.suffix == ".jinja":
            source = file.relative_to(templates_folder()).as_posix()
            tree[path.removesuffix(".jinja")] = _environment().get_template(source).render(answers)
        else:
            tree[path] = file.read_text(encoding="utf-8")
    return dict(sorted(tree.items()))


def evaluate(template: str, answers: Mapping[str, object]) -> str:
    """One template, such as a line of copier.yml, with these answers."""
    return _compiled(template).render(answers).strip()


def condition(template: str, answers: Mapping[str, object]) -> str:
    """The same for one that includes no other; it is evaluated once for what it depends on."""
    needed = {name: answers[name] for name in variables(template) if name in answers}
    return _condition(template, frozenset(needed.items()))


@lru_cache(maxsize=10_000)
def _condition(template: str, needed: frozenset[tuple[str, object]]) -> str:
    return evaluate(template, dict(needed))


@cache
def variables(template: str) -> frozenset[str]:
    """The answers on which a template depends that includes no other."""
    return frozenset(find_undeclared_variables(_environment().parse(template)))


def _files(folder: Path) -> list[Path]:
    # Path.rglob does not walk into folders that are symbolic links, as runtime/ is here.
    found = []
    for path in folder.iterdir():
        found += _files(path) if path.is_dir() else [path]
    return found


@cache
def _environment() -> Environment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(templates_folder()),
        undefined=StrictUndefined,
        **settings()["_envops"],
    )
    environment.filters["regex_search"] = lambda text, pattern: re.search(pattern, text)
    return environment


@cache
def _compiled(template: str) -> Template:
    return _environment().from_string(template)
