"""A run's losses as a picture, for the browser (SVG, light and dark) and for the terminal."""

import contextlib
import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from runtime.files import write_whole

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 728, 56, 352  # the edges of the plot inside the picture
SERIES = {"loss": "first", "val_loss": "second"}  # what is drawn, and its class in STYLE

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a } .title { font-weight: 600; fill: #1f2328 }
.ground { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #8c959f }
path { fill: none; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round }
path.first { stroke: #2f6feb } .dot.first { fill: #2f6feb }
path.second { stroke: #d9480f } .dot.second { fill: #d9480f }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 } .title { fill: #f0f6fc }
.ground { fill: #0d1117 } .grid { stroke: #262c36 } .axis { stroke: #656c76 }
path.first { stroke: #6ca4ff } .dot.first { fill: #6ca4ff }
path.second { stroke: #ff9a5c } .dot.second { fill: #ff9a5c }
}
"""

Point = tuple[float, float]


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a line that a kill tore is left out."""
    lines = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line, parse_constant=lambda _: None))
    return [line for line in lines if isinstance(line, dict) and isinstance(line.get("step"), int)]


def draw(metrics_file: Path, svg_file: Path) -> None:
    """Draw loss, and val_loss where there is one, over the steps.

    The scale is logarithmic where the largest value is more than 50 times the smallest. A value
    that was not finite leaves a gap.
    """
    lines = read_metrics(metrics_file)
    series = {name: [(x["step"], x[name]) for x in lines if name in x] for name in SERIES}
    values = [y for points in series.values() for _, y in points if y is not None]
    end = max((x for points in series.values() for x, _ in points), default=1)
    logarithmic = bool(values) and min(values) > 0 and max(values) > 50 * min(values)
    low, high, ticks = _axis(values, logarithmic)

    def across(step: float) -> float:
        return LEFT + (RIGHT - LEFT) * step / max(end, 1)

    def down(value: float) -> float:
        if logarithmic:
            value = math.log10(value)
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)

    name = escape(svg_file.resolve().parent.name)
    body = [f'<text class="title" x="{LEFT}" y="32">{name}</text>']
    for value in ticks:
        y = down(value)
        body.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(_text(LEFT - 10, y + 4.5, f"{value:.6g}", "end"))
    for step in _round_numbers(0, max(end, 1)):
        if step == int(step):
            x = across(step)
            body.append(f'<path class="axis" d="M{x:.1f} {BOTTOM}v5"/>')
            body.append(_text(x, BOTTOM + 22, f"{step:,.0f}", "middle"))
    body.append(f'<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>')
    body.append(_text(RIGHT, BOTTOM + 40, "step", "end"))
    if not values:
        body.append(_text((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2, "no loss was logged", "middle"))

    legend = []
    for key, points in series.items():
        known = [(x, y) for x, y in points if y is not None]
        if known:
            mark = f'<tspan class="dot {SERIES[key]}">●</tspan>'
            legend.append(f"{mark} {key} {known[-1][1]:.4g}")
        for piece in _pieces(points):
            route = "L".join(f"{across(x):.1f} {down(y):.1f}" for x, y in _thin(piece))
            body.append(f'<path class="{SERIES[key]}" d="M{route}h0"/>')
        if len(known) <= 40:
            for x, y in known:
                where = f'cx="{across(x):.1f}" cy="{down(y):.1f}"'
                body.append(f'<circle class="dot {SERIES[key]}" {where} r="3"/>')
    body.append(_text(RIGHT, 32, "&#160;&#160;&#160; ".join(legend), "end"))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
        f"<title>{name}: loss over steps</title>\n<style>{STYLE}</style>\n"
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )
    write_whole(svg_file, svg.encode())


def sparkline(values: Iterable[float | None], width: int = 24) -> str:
    """The values as a row of at most `width` blocks, the highest as a full one."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    size = max(1, math.ceil(len(known) / width))
    means = [sum(part) / len(part) for part in _chunks(known, size)]
    low, high = min(means, default=0), max(means, default=0)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (y - low) / ((high - low) or 1))] for y in means)


def _axis(values: Sequence[float], logarithmic: bool) -> tuple[float, float, list[float]]:
    """Where the axis begins and ends (logarithms, if it is so), and the values of its lines."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        if last - first <= 2:
            lines = [m * 10.0**k for k in range(first, last) for m in (1, 2, 5)] + [10.0**last]
        else:
            lines = [10.0**k for k in range(first, last + 1, math.ceil((last - first) / 6))]
        return first, last, lines
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    lines = _round_numbers(low, high)
    step = lines[1] - lines[0]
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return low, high, _round_numbers(low, high)


def _round_numbers(low: float, high: float) -> list[float]:
    """About five multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * 5.001 >= high - low)
    return [
        k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def _pieces(points: Iterable[tuple[float, float | None]]) -> list[list[Point]]:
    """The stretches between the gaps."""
    pieces: list[list[Point]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]


def _thin(points: list[Point], most: int = 1200) -> list[Point]:
    """At most about `most` points, every peak and valley among them."""
    if len(points) <= most:
        return points
    thinned = [points[0]]
    for part in _chunks(points, math.ceil(2 * len(points) / most)):
        thinned += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return [*thinned, points[-1]]


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
