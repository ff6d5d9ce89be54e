"""Reading the files of a project: every byte, and nothing from outside."""

from pathlib import Path

import pytest

from litgen_torch.errors import LitgenError
from litgen_torch.places import read_tree

TEXTS = {"crlf.py": "a\r\nb\rc\n", "bom.py": "\ufeffx\n", "empty.py": "", "no-end.py": "ü\0\x0c"}


def test_texts_are_read_with_every_byte(tmp_path: Path) -> None:
    for path, text in TEXTS.items():
        (tmp_path / path).write_bytes(text.encode())
    assert read_tree(tmp_path, [*TEXTS, "absent.py", "empty.py/absent.py"]) == TEXTS


def test_what_is_no_text_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"x = 1\ny = 2\nname = 'M\xfcller'\n")
    with pytest.raises(LitgenError, match="latin.py:3 is no UTF-8: byte 0xfc"):
        read_tree(tmp_path, ["latin.py"])


def test_links_are_followed_inside_the_project_only(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "sub").mkdir(parents=True)
    (project / "sub/real.py").write_text("x\n")
    (project / "inside.py").symlink_to(project / "sub/real.py")
    (project / "outside.py").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "project-2").mkdir()
    (project / "neighbour.py").symlink_to(tmp_path / "project-2/x.py")
    assert read_tree(project, ["inside.py"]) == {"inside.py": "x\n"}
    for path in ("outside.py", "neighbour.py"):
        with pytest.raises(LitgenError, match=f"{path} leads out of the project"):
            read_tree(project, [path])


def test_a_project_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x.py").write_text("x\n")
    (tmp_path / "link").symlink_to("real")
    assert read_tree(tmp_path / "link", ["x.py"]) == {"x.py": "x\n"}
