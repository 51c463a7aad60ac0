"""Plots as SVG inside the page: no script, colours that hold in dark and light, titles to read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from synthstudio.report.html import escape

Point = tuple[float, float, float, float]  # x, y, low, high
COLOURS = {"visible": "#009e73", "hidden": "#d55e00", "all": "#8b9199"}
"""After Okabe and Ito (2008), as the other pages; each line has its own marks too."""
STYLE = (
    "<style>svg.plot{display:block;width:100%;height:auto;max-width:560px}"
    "svg.plot text{font-size:11px;fill:var(--soft)}svg.plot .grid{stroke:var(--line)}"
    "svg.plot .axis{stroke:var(--soft)}svg.plot .label{fill:var(--ink,currentColor)}"
    "</style>"
)
_W, _H = 360.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 10.0, 10.0, 36.0
_DASHES = {"visible": "", "hidden": "", "all": "4 3"}


def curves(series: Mapping[str, Sequence[Point]], *, across: str, up: str) -> str:
    """Return lines with bands over 0 to 1 both ways; points without a number are left out."""
    drawn = []
    for name, points in series.items():
        told = [p for p in points if all(math.isfinite(v) for v in p)]
        if told:
            drawn.append(_line(name, told))
    if not drawn:
        return '<p class="soft">nothing to measure</p>'
    legend = "".join(
        f'<span><i style="background:{COLOURS[n]}"></i>{escape(n)}</span>' for n in series
    )
    return f'<div class="legend">{legend}</div>' + _svg(
        _frame(across, up) + "".join(drawn), f"{up} over {across}"
    )


def reliability(said: Sequence[float], came: Sequence[float], count: Sequence[int]) -> str:
    """Return what was said against what came; discs are the larger the more joints they hold."""
    largest = max([*count, 1])
    parts = [
        f'<line class="axis" stroke-dasharray="4 3" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" '
        f'y2="{_y(1)}"/>'
    ]
    for s, c, n in zip(said, came, count, strict=True):
        if n and s is not None and c is not None and math.isfinite(s) and math.isfinite(c):
            radius = 2.5 + 7 * math.sqrt(n / largest)
            parts.append(
                f'<circle cx="{_x(s)}" cy="{_y(c)}" r="{radius:.1f}" fill="{COLOURS["visible"]}" '
                f'fill-opacity=".75"><title>said {s:.2f}, came {c:.2f}, {n:,} joints</title>'
                "</circle>"
            )
    return _svg(_frame("said to be visible", "were visible") + "".join(parts), "reliability")


def forest(rows: Sequence[tuple[str, float, float, float]], *, unit: str) -> str:
    """Return differences with their intervals about zero: (label, value, low, high)."""
    rows = [r for r in rows if all(math.isfinite(v) for v in r[1:])]
    if not rows:
        return '<p class="soft">nothing to compare</p>'
    reach = max(max(abs(low), abs(high)) for _, _, low, high in rows) or 1.0
    high = 22.0 * len(rows) + 34
    middle, half = 250.0, 84.0

    def x(value: float) -> str:
        return f"{middle + half * value / reach:.1f}"

    parts = [f'<line class="axis" x1="{middle}" x2="{middle}" y1="4" y2="{high - 26}"/>']
    for k, (label, value, low, top) in enumerate(rows):
        y = 15 + 22 * k
        ink = COLOURS["all"] if low <= 0 <= top else COLOURS["visible" if value > 0 else "hidden"]
        parts.append(
            f'<text class="label" x="0" y="{y + 4}">{escape(label)}</text>'
            f'<line x1="{x(low)}" x2="{x(top)}" y1="{y}" y2="{y}" stroke="{ink}" stroke-width="3"/>'
            f'<circle cx="{x(value)}" cy="{y}" r="4.5" fill="{ink}"><title>{value:+.1f} '
            f"({low:+.1f} to {top:+.1f}) {escape(unit)}</title></circle>"
        )
    for value in (-reach, 0.0, reach):
        parts.append(
            f'<text x="{x(value)}" y="{high - 10}" text-anchor="middle">{value:+.1f}</text>'
        )
    return _svg("".join(parts), f"differences in {unit}", high=high)


def _line(name: str, points: Sequence[Point]) -> str:
    ink = COLOURS[name]
    over = " ".join(f"{_x(x)},{_y(high)}" for x, _, _, high in points)
    under = " ".join(f"{_x(x)},{_y(low)}" for x, _, low, _ in reversed(points))
    way = " ".join(f"{_x(x)},{_y(y)}" for x, y, _, _ in points)
    marks = "".join(
        f'<circle cx="{_x(x)}" cy="{_y(y)}" r="3.5" fill="{ink}"><title>{escape(name)}: {y:.1%} '
        f"({low:.1%} to {high:.1%})</title></circle>"
        for x, y, low, high in points
    )
    return (
        f'<polygon points="{over} {under}" fill="{ink}" fill-opacity=".16"/>'
        f'<polyline points="{way}" fill="none" stroke="{ink}" stroke-width="2" '
        f'stroke-dasharray="{_DASHES[name]}"/>{marks}'
    )


def _frame(across: str, up: str) -> str:
    out = []
    for k in range(6):
        at = k / 5
        out.append(
            f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(at)}" y2="{_y(at)}"/>'
            f'<text x="{_LEFT - 5}" y="{_y(at)}" dy="4" text-anchor="end">{at:.0%}</text>'
            f'<text x="{_x(at)}" y="{_H - _BOTTOM + 15}" text-anchor="middle">{at:.1f}</text>'
        )
    middle, low = (_LEFT + _W - _RIGHT) / 2, _H - 4
    out.append(
        f'<text class="label" x="{middle}" y="{low}" text-anchor="middle">{escape(across)}</text>'
        f'<text class="label" x="{_LEFT + 6}" y="{_TOP + 11}">{escape(up)}</text>'
    )
    return "".join(out)


def _x(value: float) -> float:
    return round(_LEFT + (_W - _LEFT - _RIGHT) * min(max(value, 0.0), 1.0), 1)


def _y(value: float) -> float:
    return round(_H - _BOTTOM - (_H - _TOP - _BOTTOM) * min(max(value, 0.0), 1.0), 1)


def _svg(inside: str, name: str, *, high: float = _H) -> str:
    return (
        f'<svg class="plot" role="img" aria-label="{escape(name)}" viewBox="0 0 {_W:g} {high:g}">'
        f"{inside}</svg>"
    )
