import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.plot import draw, read_metrics, sparkline

SVG = "{http://www.w3.org/2000/svg}"


def picture(folder: Path, lines: list[dict[str, object]]) -> ElementTree.Element:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw(folder / "metrics.jsonl", folder / "loss.svg")
    return ElementTree.parse(folder / "loss.svg").getroot()


def curves(root: ElementTree.Element, kind: str) -> list[list[tuple[float, float]]]:
    """The points of each stretch of a curve."""
    routes = [p.get("d", "") for p in root.iter(f"{SVG}path") if p.get("class") == kind]
    return [
        [tuple(map(float, point.split())) for point in route[1:].removesuffix("h0").split("L")]
        for route in routes
    ]


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def test_axes_have_round_numbers_and_the_legend_the_last_values(tmp_path: Path) -> None:
    lines = [{"step": s, "loss": 4 - s / 25, "val_loss": 4 - s / 50} for s in range(5, 51, 5)]
    shown = texts(picture(tmp_path, lines))
    assert {"0", "10", "50", "2.5", "4", "step"} <= set(shown)
    assert any("loss 2" in text and "val_loss 3" in text for text in shown)


def test_ten_thousand_points_are_thinned_but_keep_the_extremes(tmp_path: Path) -> None:
    lines = [{"step": s, "loss": 2 + math.sin(s)} for s in range(1, 10_001)]
    lines[7_000]["loss"], lines[3_000]["loss"] = 9.0, 0.5
    (points,) = curves(picture(tmp_path, lines), "first")
    assert len(points) < 1500
    assert points == sorted(points, key=lambda point: point[0])
    highest, lowest = min(points, key=lambda p: p[1]), max(points, key=lambda p: p[1])
    assert highest[0] == pytest.approx(64 + 664 * 0.7001, abs=0.1)
    assert lowest[0] == pytest.approx(64 + 664 * 0.3001, abs=0.1)


def test_a_value_that_was_not_finite_leaves_a_gap(tmp_path: Path) -> None:
    values = [3, 2.5, None, 2, 1.5, 1]
    lines = [{"step": s, "loss": v} for s, v in enumerate(values, 1)]
    assert [len(piece) for piece in curves(picture(tmp_path, lines), "first")] == [2, 3]


def test_a_huge_first_loss_does_not_flatten_the_rest(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 1e7}] + [{"step": s, "loss": 100 / s} for s in range(2, 101)]
    (points,) = curves(picture(tmp_path, lines), "first")
    assert points[-1][1] - points[1][1] > 50


def test_no_point_is_said_and_one_point_is_seen(tmp_path: Path) -> None:
    assert "no loss was logged" in texts(picture(tmp_path, []))
    assert len(list(picture(tmp_path, [{"step": 1, "loss": 2.0}]).iter(f"{SVG}circle"))) == 1


def test_the_name_of_the_run_cannot_break_the_picture(tmp_path: Path) -> None:
    folder = tmp_path / "a<b>&c"
    folder.mkdir()
    assert "a<b>&c" in texts(picture(folder, []))


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "m").write_text('{"step": 1, "loss": 2.0}\n\n7\n{"loss": 1}\n{"step": 2, "lo')
    assert read_metrics(tmp_path / "m") == [{"step": 1, "loss": 2.0}]


numbers = st.floats(-1e30, 1e30, allow_subnormal=False) | st.just(0.0)


@given(st.lists(st.none() | numbers, max_size=20))
def test_every_run_can_be_drawn(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    lines = [{"step": s, "loss": value} for s, value in enumerate(values, 1)]
    root = picture(tmp_path_factory.getbasetemp(), lines)
    points = [point for piece in curves(root, "first") for point in piece]
    assert len(points) == sum(value is not None for value in values)
    assert all(64 <= x <= 728 and 55.9 <= y <= 352.1 for x, y in points)


def test_a_sparkline_goes_from_the_highest_block_to_the_lowest() -> None:
    assert sparkline([3, 2.5, None, 1, math.nan, 0]) == "█▇▃▁"
    assert sparkline([5]) == "▁"
    assert sparkline([]) == ""
    assert len(sparkline(range(1000), 24)) == 24
