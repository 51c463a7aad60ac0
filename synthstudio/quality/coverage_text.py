"""Coverage as text: tables at most 96 columns wide, thin bins marked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthstudio.core.arrays import I64
from synthstudio.core.bins import HEIGHTS
from synthstudio.core.labels import SHARES
from synthstudio.quality.coverage import Coverage, known_places, thin_below
from synthstudio.quality.gaps import PAIRS, Gap, gaps, thin_pairs

LISTED = 8
"""Maximum number of listed gaps."""
_CAUSES = dict(
    zip(SHARES, ("seen", "by itself", "by a person", "by an object", "outside"), strict=True)
)
_VIEWS = {
    "front_left": "front l",
    "front_right": "front r",
    "back_left": "back l",
    "back_right": "back r",
}


def text(found: Coverage, *, at_least: float | None = None) -> str:
    """Tables of marginals and pairs of axes; then the significant gaps."""
    rule = (
        f"fewer than {at_least:g}"
        if at_least is not None
        else "less than half of an even share of its table"
    )
    lines = [
        f"{found.frames} frames, {found.people} people, {int(found.counts.sum())} joints",
        f"* thin: {rule}   . empty",
    ]
    for section in (_people, _bodies, _joints, _causes, _gaps):
        lines += ["", *section(found, at_least)]
    return "\n".join(line.rstrip() for line in lines)


def _people(found: Coverage, at_least: float | None) -> list[str]:
    counts, rows, columns = _cut(found, "family", "view")
    views = [_VIEWS.get(name, name) for name in columns]
    title = "people by pose family and side seen"
    return _table(title, rows, views, counts, at_least=at_least, width=8)


def _bodies(found: Coverage, at_least: float | None) -> list[str]:
    counts = found.of_people("body")[:-1].reshape(-1, len(HEIGHTS))
    names = found.labels["body"][:-1]
    rows = [name.rsplit("-", 1)[0].replace("-", ", ") for name in names[:: len(HEIGHTS)]]
    return _table("people by body", rows, HEIGHTS, counts, at_least=at_least)


def _joints(found: Coverage, at_least: float | None) -> list[str]:
    counts, rows, columns = _cut(found, "joint", "cause")
    causes = [_CAUSES.get(name, name) for name in columns]
    return _table("joints by cause", rows, causes, counts, at_least=at_least, width=13)


def _causes(found: Coverage, at_least: float | None) -> list[str]:
    """Return joints by cause and fraction, and in the last line people by fraction."""
    counts, rows, columns = _cut(found, "cause", "fraction")
    named = [_CAUSES.get(name, name) for name in rows]
    title = "joints by cause and occluded fraction of the person"
    lines = _table(title, named, columns, counts, at_least=at_least)
    people = found.of_people("fraction")[: len(columns)]
    width, minimum = max(map(len, [*named, "all"])), thin_below(people, at_least)
    return [*lines, _line("people", people, width=width, cell=9, minimum=minimum)]


def _cut(found: Coverage, first: str, second: str) -> tuple[I64, list[str], list[str]]:
    def shown(axis: str, sums: I64) -> list[int]:
        """Impossible bins are shown only if not empty."""
        return sorted({*known_places(found, axis), *np.flatnonzero(sums).tolist()})

    counts, (rows, columns) = found.table((first, second), shown)
    return counts, rows, columns


def _table(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    counts: I64,
    *,
    at_least: float | None,
    width: int = 9,
) -> list[str]:
    """Return a table with sums; sums are compared with an even share of their line."""
    names = max(map(len, [*rows, "all"]))
    minimum = thin_below(counts, at_least)
    down, across = counts.sum(axis=1), counts.sum(axis=0)
    head = " " * names + "".join(f"{name:>{width - 1}} " for name in [*columns, "all"])
    lines = [title, head]
    for name, row, total in zip(rows, counts, down, strict=True):
        line = _line(name, row, width=names, cell=width, minimum=minimum)
        lines.append(line + _cell(int(total), width, thin_below(down, at_least)))
    sums = _line("all", across, width=names, cell=width, minimum=thin_below(across, at_least))
    return [*lines, sums + _cell(int(counts.sum()), width, 0)]


def _line(name: str, counts: I64, *, width: int, cell: int, minimum: float) -> str:
    return f"{name:<{width}}" + "".join(_cell(int(n), cell, minimum) for n in counts)


def _cell(count: int, width: int, minimum: float) -> str:
    return f"{count or '.':>{width - 1}}" + ("*" if 0 < count < minimum else " ")


def _gaps(found: Coverage, at_least: float | None) -> list[str]:
    """The worst gaps, one line each, and the number of other thin bins."""
    thin = sum(len(thin_pairs(found, pair, at_least=at_least)) for pair in PAIRS)
    if not thin:
        return ["nothing is thin"]
    worst = gaps(found, at_least=at_least)
    if not worst:
        return [
            f"{thin} thin bins of pairs, none statistically significant at this size:",
            "more frames fill them",
        ]
    listed = [(_gap_name(gap), gap) for gap in worst[:LISTED]]
    width = max(len(name) for name, _ in listed)
    even = ("an even share is", "expected from either alone")  # of one axis, of two
    lines = [
        f"  {name:<{width}}  {gap.count:,}, {even[len(gap.axes) - 1]} {gap.expected:,.0f}"
        for name, gap in listed
    ]
    more = len(worst) - len(listed)
    return [
        "largest gaps (--write FILE makes a recipe for them):",
        *lines,
        *([f"  and {more} more in --json"] if more else []),
        f"{thin} thin bins of pairs: the others follow from these or are not significant",
    ]


def _gap_name(gap: Gap) -> str:
    unit = "joints" if {"joint", "cause"} & set(gap.axes) else "people"
    named = [
        f"occluded {name}" if axis == "fraction" else _CAUSES.get(name, name)
        for axis, name in zip(gap.axes, gap.names, strict=True)
    ]
    return f"{unit}: {', '.join(named)}"
