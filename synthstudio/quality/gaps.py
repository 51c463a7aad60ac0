"""Gaps of a data set: bins with too few counts, their statistical significance, and as text.

Tables of text are at most 96 columns wide, thin bins marked.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import pdtr

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.people import HEIGHTS
from synthstudio.quality.coverage import Coverage, known_places, thin_below

PAIRS = (("joint", "cause"), ("cause", "fraction"), ("family", "view"))
"""The pairs of axes with listed thin bins."""
GAP_PAIRS = (("joint", "cause"), ("family", "view"))
"""Without cause x fraction, where most bins follow from the definition."""
LISTED = 8
"""Maximum number of listed gaps."""
_CAUSES = dict(
    zip(VISIBILITY, ("seen", "by itself", "by a person", "by an object", "outside"), strict=True)
)
_VIEWS = {
    "front_left": "front l",
    "front_right": "front r",
    "back_left": "back l",
    "back_right": "back r",
}
CHANCE = 0.01
"""Probability of a false gap per table."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A value of one axis, or of a pair of axes, with far less than `expected`.

    For one axis an even share is expected; for a pair, the product of both
    frequencies. Counts are joints if an axis is joint or cause, else people.
    """

    axes: tuple[str, ...]
    names: tuple[str, ...]
    count: int
    expected: float


def gaps(found: Coverage, *, at_least: float | None = None) -> list[Gap]:
    """Gaps along single axes and `GAP_PAIRS`, emptiest first.

    A bin is a gap when it holds less than half of what is expected (or less than `at_least`)
    and the Poisson probability of that is below one in a hundred tables (Bonferroni over
    its bins). Joints of one person are hidden together, so for bins that one person can be in
    several times the test counts people. Pairs with a value that is a gap itself
    are not repeated.
    """
    single = [
        gap
        for axis in ("cause", "fraction", "view", "family", "body")
        for gap in _of_axis(found, axis, at_least)
    ]
    alone = {(gap.axes[0], gap.names[0]) for gap in single}
    pairs = [
        gap
        for pair in GAP_PAIRS
        for gap in _of_pair(found, pair, at_least)
        if alone.isdisjoint(zip(gap.axes, gap.names, strict=True))
    ]
    return [g for kind in (single, pairs) for g in sorted(kind, key=lambda g: g.count / g.expected)]


def _of_axis(found: Coverage, axis: str, at_least: float | None) -> list[Gap]:
    counts = found.of_joints(axis) if axis == "cause" else found.of_people(axis)
    places = known_places(found, axis)
    here = counts[places]
    expected = np.full(here.shape, here.sum() / max(1, here.size))
    several = len(found.skeleton.joints) if axis == "cause" else 1
    names = [[found.labels[axis][k] for k in places]]
    return _listed((axis,), names, here, expected, _is_gap(here, expected, several, at_least))


def _of_pair(found: Coverage, pair: tuple[str, str], at_least: float | None) -> list[Gap]:
    here, names = _known(found, pair)
    down, across = here.sum(axis=1), here.sum(axis=0)
    expected = np.outer(down, across) / max(1, here.sum())
    return _listed(pair, names, here, expected, _is_gap(here, expected, 1, at_least))


def _listed(
    axes: tuple[str, ...], names: Sequence[Sequence[str]], here: I64, expected: F64, which: Bool
) -> list[Gap]:
    return [
        Gap(
            axes=axes,
            names=tuple(line[k] for line, k in zip(names, at, strict=True)),
            count=int(here[at]),
            expected=float(expected[at]),
        )
        for at in map(tuple, np.argwhere(which))
    ]


def _is_gap(counts: I64, expected: F64, several: int, at_least: float | None) -> Bool:
    few = counts < (0.5 * expected if at_least is None else at_least)
    chance = pdtr(np.ceil(counts / several), expected / several)  # Poisson's cdf
    return np.asarray(few & (expected > 0) & (chance < CHANCE / max(1, counts.size)))


def thin_pairs(
    found: Coverage, pair: tuple[str, str], *, at_least: float | None = None
) -> list[tuple[str, str, int]]:
    """Return the bins of two axes with fewer than `at_least`, thinnest first, with their counts.

    Counts people, or joints if one axis is joint or cause. By default a bin is thin with less than
    half of an even share. Impossible bins (unknown, unlabelled) are excluded.
    """
    here, names = _known(found, pair)
    minimum = thin_below(here, at_least)
    bins = [
        (a, b, int(here[i, j]))
        for (i, a), (j, b) in itertools.product(enumerate(names[0]), enumerate(names[1]))
        if here[i, j] < minimum
    ]
    return sorted(bins, key=lambda each: each[2])


def _known(found: Coverage, pair: tuple[str, str]) -> tuple[I64, list[list[str]]]:
    return found.table(pair, lambda axis, sums: known_places(found, axis))


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
    for section in (_people, _bodies, _joints, _causes, _gap_lines):
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


def _gap_lines(found: Coverage, at_least: float | None) -> list[str]:
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
