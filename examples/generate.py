"""Write the examples anew: `make examples`. A test holds that they equal what litgen generates.

python examples/generate.py            # the projects
python examples/generate.py --train    # and, where loss.svg is missing, train for the picture
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
LITGEN = Path(sys.executable).with_name("litgen")
PROJECTS = {
    "digits-cnn": ["--model", "cnn", "--data", "digits"],
    "python-gpt": ["--model", "gpt", "--data", "text"],
}


def generate(name: str, folder: Path) -> None:
    """Make the example in a folder that is new or empty."""
    command = [LITGEN, "new", str(folder / name), *PROJECTS[name], "-y"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    for name in PROJECTS:
        project, picture = HERE / name, HERE / f"{name}.svg"
        shutil.rmtree(project, ignore_errors=True)
        generate(name, HERE)
        if "--train" in sys.argv and not picture.exists():
            subprocess.run([sys.executable, "train.py"], cwd=project, check=True)
            shutil.copy(project / "runs" / name / "loss.svg", picture)


if __name__ == "__main__":
    main()
