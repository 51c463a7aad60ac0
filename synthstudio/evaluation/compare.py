"""Runs side by side, tested on the same people: each figure, and each difference to the first.

An *arm* is one way to train: one evaluation, or several that differ in their seed. Intervals
draw seeds first and then whole groups of frames (bootstrap.py), for both sides alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.evaluation import localization, weighted
from synthstudio.evaluation.bootstrap import Interval, few_seeds, paired_interval, ratio_interval
from synthstudio.evaluation.compare_figures import FIGURES
from synthstudio.evaluation.save import Evaluation
from synthstudio.evaluation.table import Answers

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]
Sides = tuple[F64, F64]
SEED = 2022
_NEAR_PX = 0.5
ASKED = ("decode", "flip", "bank")
"""How a network may be asked (`about` of an evaluation)."""
WEIGHTED_ROUNDS = 500
"""Draws for figures that are no sum over people (AP, AUROC, F1, calibration): they cost more."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train; `runs` are its seeds."""

    name: str
    runs: tuple[Evaluation, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure of every arm. `scale` and `unit` say how to print it; `less`: less is better.

    `differences`: of each arm to the first; None for the first, and where it cannot be tested.
    """

    name: str
    values: tuple[Interval, ...]
    differences: tuple[Interval | None, ...]
    unit: str = ""
    scale: float = 100
    less: bool = False


def compare(arms: Sequence[Arm], *, rounds: int = 2000) -> list[Row]:
    """Return every figure of all arms.

    ModelError when they were not asked about the same people of the same data set.

    Joints count that all runs saw (networks of another shape cut other windows).
    """
    if len(arms) < 2:
        raise ModelError(
            "one run has nothing to be compared with",
            where="compare",
            expected="two evaluations or more",
        )
    _check_same(arms)
    seen = np.logical_and.reduce([run.answers.known for arm in arms for run in arm.runs])
    rows = []
    for name, unit, scale, less, count in _figures():
        sides = [_sides(arm, seen, count) for arm in arms]
        if not any(counts.any() for _, counts in sides):
            continue
        values = tuple(ratio_interval(*s, seed=SEED, rounds=rounds) for s in sides)
        tested = [
            paired_interval(s, sides[0], seed=SEED, rounds=rounds)
            if s[0].shape == sides[0][0].shape
            else None
            for s in sides[1:]
        ]
        rows.append(
            Row(
                name=name,
                values=values,
                differences=(None, *tested),
                unit=unit,
                scale=scale,
                less=less,
            )
        )
    return rows + _weighted(arms, seen, min(rounds, WEIGHTED_ROUNDS))


Count = Callable[[Answers, Bools], tuple[F64, F64]]
"""Answers and the joints that count (P, J) -> sums and counts of each person (P,)."""


def _figures() -> list[tuple[str, str, float, bool, Count]]:
    """Return (name, unit, scale, whether less is better, how to count)."""
    out: list[tuple[str, str, float, bool, Count]] = []
    for part in ("hidden", "visible", "all"):
        for at in (0.05, 0.1, 0.2):
            out.append((f"PCK@{at:g} {part}", "%", 100, False, _pck(part, at)))
    out += [
        ("PCK@0.1 clean frames", "%", 100, False, _clean),
        ("cost where it hides", "points", 100, False, _cost),
        ("distance, hidden joints", "% of the box", 100, True, _distance("hidden")),
        ("distance, visible joints", "% of the box", 100, True, _distance("visible")),
    ]
    for part in ("hidden", "visible"):
        for name in _LIFTS:
            out.append((f"{name} {part}", "mm", 1000, True, _lift(name, part)))
    return out


def _part(answers: Answers, seen: Bools, name: str) -> Bools:
    states = {"hidden": (STATE_HIDDEN,), "visible": (STATE_VISIBLE,)}
    return seen & np.isin(answers.state, states.get(name, (STATE_HIDDEN, STATE_VISIBLE)))


def _hit(answers: Answers, at: float) -> F64:
    return localization.pck(answers.xy, answers.true_xy, length=answers.side, at=at)


def _summed(values: F64, which: Bools) -> tuple[F64, F64]:
    use = which & np.isfinite(values)
    return np.where(use, values, 0.0).sum(1), use.sum(1).astype(np.float64)


def _pck(part: str, at: float) -> Count:
    return lambda answers, seen: _summed(_hit(answers, at), _part(answers, seen, part))


def _distance(part: str) -> Count:
    def count(answers: Answers, seen: Bools) -> tuple[F64, F64]:
        apart = localization.distances(answers.xy, answers.true_xy) / answers.side[:, None]
        return _summed(apart, _part(answers, seen, part))

    return count


def _clean(answers: Answers, seen: Bools) -> tuple[F64, F64]:
    clean = answers.clean == np.arange(len(answers))
    return _summed(_hit(answers, 0.1), _part(answers, seen, "all") & clean[:, None])


def _cost(answers: Answers, seen: Bools) -> tuple[F64, F64]:
    """Sum the change of PCK@0.1 at joints that the occluder hid, from the clean frame on."""
    paired = (answers.clean >= 0) & (answers.clean != np.arange(len(answers)))
    other = np.where(paired, answers.clean, 0)
    hit = _hit(answers, 0.1)
    which = seen & seen[other] & paired[:, None]
    which &= (answers.state == STATE_HIDDEN) & (answers.state[other] == STATE_VISIBLE)
    return _summed(hit - hit[other], which)


def _lift(name: str, part: str) -> Count:
    def count(answers: Answers, seen: Bools) -> tuple[F64, F64]:
        told = np.isfinite(answers.xyz_m).all(-1) & np.isfinite(answers.true_xyz_m).all(-1) & seen
        said, true = np.nan_to_num(answers.xyz_m), np.nan_to_num(answers.true_xyz_m)
        return _summed(_LIFTS[name](said, true, told), _part(answers, told, part))

    return count


def _about_root(error: Callable[..., F64]) -> Callable[[F64, F64, Bools], F64]:
    """Return an error of root-relative places: the root lies at nought."""

    def of(said: F64, true: F64, known: Bools) -> F64:
        zero = np.zeros((len(said), 3))
        return error(said, true, known=known, root=zero, truth_root=zero)

    return of


_LIFTS: dict[str, Callable[[F64, F64, Bools], F64]] = {
    "MPJPE": _about_root(localization.mpjpe),
    "N-MPJPE": _about_root(localization.n_mpjpe),
    "PA-MPJPE": lambda said, true, known: localization.pa_mpjpe(said, true, known=known),
}


def _sides(arm: Arm, seen: Bools, count: Count) -> Sides:
    """Return (S, G) sums and counts of an arm's seeds in each group of frames."""
    sums, counts = [], []
    for run in arm.runs:
        each, number = count(run.answers, seen)
        _, group = np.unique(run.answers.group, return_inverse=True)
        sums.append(np.bincount(group, each))
        counts.append(np.bincount(group, number))
    return np.array(sums, np.float64), np.array(counts, np.float64)


def _weighted(arms: Sequence[Arm], seen: Bools, rounds: int) -> list[Row]:
    """Return figures that are no sum over people, tested by weighing groups of frames."""
    groups = len(np.unique(arms[0].runs[0].answers.group))
    rows = []
    for name, less, make in FIGURES:
        drawn = [
            weighted.draw(
                [make(run, seen) for run in arm.runs], groups=groups, seed=SEED, rounds=rounds
            )
            for arm in arms
        ]
        if not any(np.isfinite(d.value) for d in drawn):
            continue
        tested = [
            d.minus(drawn[0]) if len(arm.runs) == len(arms[0].runs) else None
            for d, arm in zip(drawn[1:], arms[1:], strict=True)
        ]
        rows.append(
            Row(
                name=name,
                values=tuple(d.interval() for d in drawn),
                unit="%",
                less=less,
                differences=(None, *tested),
            )
        )
    return rows


def _check_same(arms: Sequence[Arm]) -> None:
    first, name = arms[0].runs[0].answers, arms[0].name
    for arm in arms:
        for run in arm.runs:
            fault = _difference(first, run.answers)
            if fault:
                raise ModelError(
                    "these runs were not asked about the same people",
                    where=f"{name} and {arm.name}",
                    got=fault,
                    then="Evaluate both on one data set and split.",
                )
    _check_set(arms)


def _check_set(arms: Sequence[Arm]) -> None:
    """Refuse equal people of different sets (other pictures), as far as runs say their set."""
    key = "dataset_sha256"
    told = [(arm.name, run.about) for arm in arms for run in arm.runs if run.about.get(key)]
    for name, about in told[1:]:
        first, its = told[0]
        if about[key] != its[key]:
            sets = [f"{a.get('dataset')} ({str(a[key])[:12]})" for a in (its, about)]
            raise ModelError(
                "these runs were asked about different data sets",
                where=f"{first} and {name}",
                expected=sets[0],
                got=sets[1],
                then="Evaluate both on one data set and split.",
            )


def asked_otherwise(arms: Sequence[Arm]) -> list[str]:
    """Return which of ASKED differ between the runs."""
    runs = [run.about for arm in arms for run in arm.runs]
    return [k for k in ASKED if len({str(about.get(k)) for about in runs}) > 1]


def caveats(arms: Sequence[Arm]) -> list[str]:
    """Return what must be said before the figures are believed."""
    out = []
    few = [len(arm.runs) for arm in arms if few_seeds(len(arm.runs))]
    if few:
        out.append(few_seeds(min(few)))
    if differ := asked_otherwise(arms):
        out.append(f"Not all runs were asked in the same way: {', '.join(differ)} differ.")
    return out


def _difference(a: Answers, b: Answers) -> str:
    if a.true_xy.shape != b.true_xy.shape:
        return (
            f"{len(a)} people of {a.true_xy.shape[1]} joints, and {len(b)} of {b.true_xy.shape[1]}"
        )
    for field in ("frame", "instance", "group", "state"):
        if not np.array_equal(getattr(a, field), getattr(b, field)):
            return f"another {field} in the same row"
    both = np.isfinite(a.true_xy) & np.isfinite(b.true_xy)
    apart = np.abs(a.true_xy - b.true_xy)[both]
    if len(apart) and apart.max() > _NEAR_PX:
        return f"labels up to {apart.max():.1f} px apart"
    return ""


def as_json(arms: Sequence[Arm], rows: Sequence[Row]) -> dict[str, Any]:
    """Return a comparison as plain values (NaN where there is none; save.plain for JSON)."""

    def told(found: Interval | None) -> dict[str, Any] | None:
        return None if found is None else vars(found) | {"excludes_zero": found.excludes_zero}

    return {
        "arms": [{"name": a.name, "runs": [r.about for r in a.runs]} for a in arms],
        "people": len(arms[0].runs[0].answers),
        "caveats": caveats(arms),
        "rows": [
            {
                "name": r.name,
                "unit": r.unit,
                "scale": r.scale,
                "less_is_better": r.less,
                "values": [told(v) for v in r.values],
                "differences": [told(d) for d in r.differences],
            }
            for r in rows
        ],
    }


def value_text(row: Row, found: Interval) -> str:
    """Return a value of a row as "43.1"."""
    return "-" if not np.isfinite(found.value) else f"{row.scale * found.value:.1f}"


def difference_text(row: Row, found: Interval | None) -> str:
    """Return a difference as "+3.1 (+1.2 to +5.0) *"; the star: the interval excludes zero."""
    if found is None or not np.isfinite(found.value):
        return ""
    return found.text(scale=row.scale) + (" *" if found.excludes_zero else "")


def text(arms: Sequence[Arm], rows: Sequence[Row]) -> str:
    """Return a comparison as a table for a terminal."""
    head = ["", *(a.name for a in arms)]
    lines = [head]
    for row in rows:
        cells = [f"{row.name} ({row.unit})"]
        for value, found in zip(row.values, row.differences, strict=True):
            cells.append(f"{value_text(row, value)}  {difference_text(row, found)}".rstrip())
        lines.append(cells)
    wide = [max(len(line[k]) for line in lines) for k in range(len(head))]
    told = [
        "  ".join(c.ljust(w) for c, w in zip(line, wide, strict=True)).rstrip() for line in lines
    ]
    first = arms[0].name
    note = f"In brackets: 95 % interval of the difference to {first}; * it excludes zero."
    return "\n".join([*told, note, *caveats(arms)])
