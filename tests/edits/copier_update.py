"""`copier update` on the same cases: our templates as the git repository that it asks for."""

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from types import TracebackType

from edits.cases import Case
from edits.kind import Tree
from litgen_torch.answers import Answers, with_defaults
from litgen_torch.catalog import questions
from litgen_torch.render import templates_folder

WHO = ["-c", "user.name=owner", "-c", "user.email=owner@example.org"]
ANSWERS = "{{ _copier_conf.answers_file }}.jinja"
BESIDE = (".copier-answers.yml", ".git/")


class CopierTemplate:
    """A template repository in a temporary folder, made when it is first needed."""

    def __enter__(self) -> "CopierTemplate":
        self.folder = Path(tempfile.mkdtemp())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder)

    def update(self, case: Case) -> tuple[Tree, list[str]]:
        """The files after an update with other answers, and those that hold conflicts."""
        import copier

        project = self.folder / "proj"
        shutil.rmtree(project, ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copier.run_copy(
                str(self._repository()), project, data=_data(case.before), quiet=True, defaults=True
            )
            _git(project, "init", "-q")
            _commit(project)
            _write(project, case)
            _commit(project)
            copier.run_update(
                project, data=_data(case.after), quiet=True, defaults=True, overwrite=True
            )
        result = _read(project)
        refused = [path for path, text in result.items() if "<<<<<<< " in text]
        refused += [path for path in result if path.endswith(".rej")]
        return result, refused

    def _repository(self) -> Path:
        folder = self.folder / "template"
        if not folder.exists():
            shutil.copytree(
                templates_folder(), folder, ignore=shutil.ignore_patterns("__pycache__")
            )
            text = "{{ _copier_answers|to_nice_yaml }}"
            (folder / "project" / ANSWERS).write_text(text)
            _git(folder, "init", "-q")
            _commit(folder)
            _git(folder, "tag", "v1")
        return folder


def _data(answers: Answers) -> dict[str, object]:
    seen = with_defaults(questions(), answers)
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in seen.items()}
    return {"project_name": "proj", **listed}


def _write(project: Path, case: Case) -> None:
    for path in case.base.keys() - case.mine.keys():
        (project / path).unlink()
    for path, text in case.mine.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_bytes(text.encode())


def _read(project: Path) -> Tree:
    found = (file for file in project.rglob("*") if file.is_file())
    paths = {file.relative_to(project).as_posix(): file for file in found}
    return {
        path: file.read_bytes().decode()
        for path, file in paths.items()
        if not path.startswith(BESIDE)
    }


def _commit(folder: Path) -> None:
    _git(folder, "add", "-A", "-f")
    _git(folder, *WHO, "commit", "-q", "--allow-empty", "-m", "as it is")


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
