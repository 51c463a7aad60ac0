"""Self-contained HTML pages: templates/*.html rendered by Jinja2, pictures as data, charts.

Charts are numbers here, markup in templates/plots.html.
"""

import base64
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from synthstudio.core.arrays import U8
from synthstudio.evaluation.intervals import Interval

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture for a page: JPEG bytes as a data URI. `caption` may hold markup."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str | Markup


@functools.cache
def environment() -> jinja2.Environment:
    """Templates with autoescaping; undefined names are errors."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["thousands"] = lambda value: f"{value:,}"
    made.filters["words"] = lambda name: str(name).replace("_", " ")
    return made


def render(template: str, **context: Any) -> bytes:
    """Render a page; it loads no external resources."""
    return (environment().get_template(template).render(context) + "\n").encode()


def macro(template: str, name: str) -> Callable[..., Markup]:
    return getattr(environment().get_template(template).module, name)  # type: ignore[no-any-return]


def embed(rgb: U8, caption: str | Markup, *, alt: str, width: int = 640) -> Picture:
    """Embed a picture (h, w, 3), shrunk to at most `width` pixels."""
    if rgb.shape[1] > width:
        size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    data = cv2.imencode(".jpg", rgb[..., ::-1], [int(cv2.IMWRITE_JPEG_QUALITY), 80])[1].tobytes()
    uri = f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
    return Picture(uri=uri, width=rgb.shape[1], height=rgb.shape[0], alt=alt, caption=caption)


# Charts -------------------------------------------------------------------------------------------


Point = tuple[float, float, float, float]  # x, y, low, high
Range = tuple[str, float, float]  # label, median, 95th percentile
Trade = tuple[str, float, float, bool]  # label, milliseconds, percent, whether it was picked
# After Okabe and Ito (2008): distinguishable with every common kind of colour vision.
CAUSE_COLOURS = {
    "visible": "#009e73",
    "self": "#e69f00",
    "person": "#cc79a7",
    "object": "#3a86c8",
    "truncated": "#8b9199",
    "unknown": "#b8a25e",
    "unlabelled": "#c9ccd1",
}
COLOURS = {"visible": "#009e73", "hidden": "#d55e00", "all": "#8b9199"}
SIDES = {"generated": "#3a86c8", "photos": "#e07b00"}
_PAIR_W, _PAIR_H, _PAIR_BOTTOM, _PAIR_TOP, _PAIR_LEFT = 360.0, 132.0, 108.0, 6.0, 12.0
_W, _H = 360.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 10.0, 10.0, 36.0
_FOREST_MIDDLE, _FOREST_HALF, _FOREST_ROW = 250.0, 84.0, 22
_DASHES = {"visible": "", "hidden": "", "all": "4 3"}


def bars(counts: Mapping[str, int], *, maximum: int = 0) -> Markup:
    """Horizontal bars with counts; more than `maximum` names are summed as others."""
    rows = list(counts.items())
    if maximum and len(rows) > maximum:
        others = sum(n for _, n in rows[maximum - 1 :])
        rows = [*rows[: maximum - 1], (f"{len(rows) - maximum + 1} others", others)]
    total, largest = sum(counts.values()), max([n for _, n in rows], default=0)
    return macro("plots.html", "bars")(
        [
            (
                name,
                f"{n:,} · {n / total:.0%}" if total else f"{n:,}",
                100 * n / largest if largest else 0,
            )
            for name, n in rows
        ]
    )


def columns(labels: Sequence[str], counts: Sequence[int], *, axis: Sequence[str]) -> Markup:
    """Upright bars; `labels` are tooltips, `axis` is the axis title."""
    largest = max([*counts, 1])
    rows = [(label, n, 100 * n / largest) for label, n in zip(labels, counts, strict=True)]
    return macro("plots.html", "columns")(rows, axis)


def stacked(rows: Mapping[str, Mapping[str, int]], colours: Mapping[str, str]) -> Markup:
    """A stacked bar of fractions per row, with one legend; empty parts are left out."""
    used = {n: c for n, c in colours.items() if any(row.get(n) for row in rows.values())}
    lines = []
    for label, row in rows.items():
        total = sum(row.get(name, 0) for name in used) or 1
        parts = [(name, row.get(name, 0), row.get(name, 0) / total) for name in used]
        lines.append((label, parts, parts[0][2] if parts else 0))
    return macro("plots.html", "stacked")(lines, used)


def heat(rows: Sequence[str], names: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    largest = max([n for row in counts for n in row] + [1])
    lines = [
        (label, [(n, 0.55 * (n / largest) ** 0.5) for n in row])
        for label, row in zip(rows, counts, strict=True)
    ]
    return macro("plots.html", "heat")(lines, names)


def curves(series: Mapping[str, Sequence[Point]], *, across: str, up: str) -> Markup:
    """Lines with bands over 0 to 1 both ways; NaN points are left out."""
    lines = []
    for name, given in series.items():
        points = [p for p in given if all(math.isfinite(v) for v in p)]
        if points:
            over = [f"{_x(x)},{_y(high)}" for x, _, _, high in points]
            under = [f"{_x(x)},{_y(low)}" for x, _, low, _ in reversed(points)]
            lines.append(
                {
                    "colour": COLOURS[name],
                    "dashes": _DASHES[name],
                    "band": " ".join(over + under),
                    "points": " ".join(f"{_x(x)},{_y(y)}" for x, y, _, _ in points),
                    "marks": [
                        (_x(x), _y(y), f"{name}: {y:.1%} ({low:.1%} to {high:.1%})")
                        for x, y, low, high in points
                    ],
                }
            )
    if not lines:
        return macro("plots.html", "nothing")("nothing to measure")
    colours = {name: COLOURS[name] for name in series}
    return macro("plots.html", "curves")(_axes(across, up), lines, colours)


def reliability(
    predicted: Sequence[float], observed: Sequence[float], count: Sequence[int]
) -> Markup:
    """Predicted against observed; disc area follows the number of joints."""
    largest = max([*count, 1])
    discs = [
        (
            _x(p),
            _y(o),
            f"{2.5 + 7 * math.sqrt(n / largest):.1f}",
            f"predicted {p:.2f}, observed {o:.2f}, {n:,} joints",
        )
        for p, o, n in zip(predicted, observed, count, strict=True)
        if n and p is not None and o is not None and math.isfinite(p) and math.isfinite(o)
    ]
    axes = _axes("predicted visible", "were visible")
    return macro("plots.html", "reliability")(axes, discs, COLOURS["visible"])


def paired(edges: Sequence[float], fractions: Sequence[Sequence[float]], *, unit: str) -> Markup:
    """Two overlaid histograms, generated and photos: fractions (2, B) over edges (B + 1)."""
    used = [k for k in range(len(edges) - 1) if any(side[k] for side in fractions)]
    if not used:
        return macro("plots.html", "nothing")("nothing to compare")
    first, last = used[0], used[-1] + 1
    low, high = edges[first], edges[last]
    top = max(max(side) for side in fractions)
    x = _scale(low, high, _PAIR_LEFT, _PAIR_W - _PAIR_LEFT)
    y = _scale(0, top, _PAIR_BOTTOM, _PAIR_TOP)
    shapes = []
    for (name, colour), side in zip(SIDES.items(), fractions, strict=True):
        if any(side):
            steps = [f"{x(edges[k + e])},{y(side[k])}" for k in range(first, last) for e in (0, 1)]
            ends = [f"{x(low)},{_PAIR_BOTTOM}", *steps, f"{x(high)},{_PAIR_BOTTOM}"]
            shapes.append((name, colour, " ".join(ends)))
    ticks = [(x(v), f"{v:g}") for v in _round_numbers(low, high)]
    size = (f"{_PAIR_W:g}", f"{_PAIR_H:g}", f"{_PAIR_BOTTOM:g}")
    return macro("plots.html", "paired")(shapes, ticks, unit, size)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """The linear function from values `low` to `high` to coordinates `start` to `end`."""
    return lambda value: round(start + (end - start) * (value - low) / (high - low), 1)


def _round_numbers(low: float, high: float) -> list[float]:
    """Three to seven multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(f for f in (1, 2, 5, 10) if f * power >= rough)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + k) * step, 12) for k in range(count)]


def paired_bars(rows: Sequence[tuple[str, float, float]]) -> Markup:
    """Bars of generated people and of photos per row: (label, share, share)."""
    maximum = max([v for _, *pair in rows for v in pair] + [1e-9])
    lines = [
        (
            label,
            [(SIDES[n], 100 * v / maximum, f"{v:.1%}") for n, v in zip(SIDES, pair, strict=True)],
        )
        for label, *pair in rows
    ]
    return macro("plots.html", "paired_bars")(lines)


def paired_stacks(
    rows: Sequence[tuple[str, Sequence[Sequence[float]], str]], colours: Mapping[str, str]
) -> Markup:
    """Two stacked bars per row, generated above photos: (label, (2, K) fractions, a note)."""
    lines = [
        (label, [[(n, s) for n, s in zip(colours, side, strict=True)] for side in fractions], note)
        for label, fractions, note in rows
    ]
    return macro("plots.html", "paired_stacks")(lines, colours)


def forest(rows: Sequence[tuple[str, Interval]]) -> Markup:
    """Differences in points with their intervals about zero; NaN rows are left out."""
    known = [(n, d) for n, d in rows if all(map(math.isfinite, (d.value, d.low, d.high)))]
    if not known:
        return macro("plots.html", "nothing")("nothing to compare")
    reach = max(max(abs(d.low), abs(d.high)) for _, d in known) or 1.0
    x = _scale(0, reach, _FOREST_MIDDLE, _FOREST_MIDDLE + _FOREST_HALF)
    lines = [
        {
            "label": label,
            "y": 15 + _FOREST_ROW * k,
            "x": x(d.value),
            "low": x(d.low),
            "high": x(d.high),
            "colour": COLOURS[
                "all" if not d.excludes_zero else "visible" if d.value > 0 else "hidden"
            ],
            "title": f"{d.text(scale=100)} points",
        }
        for k, (label, d) in enumerate(known)
    ]
    ticks = [(x(value), f"{100 * value:+.1f}") for value in (-reach, 0.0, reach)]
    height = _FOREST_ROW * len(known) + 34
    return macro("plots.html", "forest")(lines, ticks, _FOREST_MIDDLE, f"{_W:g}", height)


def _axes(across: str, up: str) -> dict[str, object]:
    return {
        "width": f"{_W:g}",
        "height": int(_H),
        "left": _LEFT,
        "right": _W - _RIGHT,
        "top": _TOP,
        "bottom": _H - _BOTTOM,
        "ticks": [(_y(k / 5), _x(k / 5), f"{k / 5:.0%}", f"{k / 5:.1f}") for k in range(6)],
        "across": across,
        "up": up,
    }


def _x(value: float) -> float:
    return round(_LEFT + (_W - _LEFT - _RIGHT) * min(max(value, 0.0), 1.0), 1)


def _y(value: float) -> float:
    return round(_H - _BOTTOM - (_H - _TOP - _BOTTOM) * min(max(value, 0.0), 1.0), 1)


def ranges(rows: Sequence[Range]) -> Markup:
    """A row of milliseconds per median with a line to the 95th percentile, from zero."""
    left, width = 210.0, 560.0
    maximum = max(high for _, _, high in rows) or 1.0
    x = _scale(0, maximum, left, width - 90)
    lines = [
        (label, 16 + 22 * k, x(middle), x(high), f"{middle:.2f} ms")
        for k, (label, middle, high) in enumerate(rows)
    ]
    return macro("plots.html", "ranges")(lines, left, width, 22 * len(rows) + 12)


def trade(points: Sequence[Trade]) -> Markup:
    """Percent over milliseconds from zero; the picked one is highlighted."""
    width, height, left, bottom = 560.0, 300.0, 44.0, 266.0
    points = [p for p in points if math.isfinite(p[2])]
    if not points:
        return macro("plots.html", "nothing")("nothing to compare")
    slow = 1.15 * max(ms for _, ms, _, _ in points)
    low, high = min(p[2] for p in points), max(p[2] for p in points)
    low, high = low - 0.1 * (high - low) - 0.5, high + 0.1 * (high - low) + 0.5
    x, y = _scale(0, slow, left, width - 90), _scale(low, high, bottom, 12)
    dots = [
        (
            x(ms),
            y(at),
            label,
            SIDES["photos" if picked else "generated"],
            f"{at:.1f} %, {ms:.2f} ms",
        )
        for label, ms, at, picked in points
    ]
    ticks = [(x(slow * k / 4), bottom + 16, "middle", f"{slow * k / 4:.2g} ms") for k in range(5)]
    steps = [low + (high - low) * k / 4 for k in range(5)]
    ticks += [(left - 5, y(at) + 4, "end", f"{at:.1f}") for at in steps]
    return macro("plots.html", "trade")(dots, ticks, left, bottom, width, height)
