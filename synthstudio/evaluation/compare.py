"""Runs evaluated on the same people, side by side: each metric and its difference to the first arm.

An arm is one evaluation or several seeds. Intervals draw seeds, then groups of frames.
Letters: P people, J joints, S seeds, G groups.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.evaluation import intervals, measures, metrics
from synthstudio.evaluation.intervals import Interval, Statistic
from synthstudio.evaluation.precision import Presence, Truth, matches
from synthstudio.evaluation.storage import Evaluation, Predictions, skeleton_of, with_joints

SEED = 2022
_NEAR_PX = 0.5
OPTIONS = ("decode", "flip", "bank", "joints_3d")
"""Evaluation options (in `about`) that should agree."""
STATISTIC_ROUNDS = 500
"""Draws for metrics that are not sums over people (AP, AUROC, F1, calibration), which are slow."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One training setting; `runs` are its seeds."""

    name: str
    runs: tuple[Evaluation, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A metric of every arm; `scale` and `unit` for printing. `differences` to the first arm: None
    for the first, and if it cannot be tested."""

    name: str
    values: tuple[Interval, ...]
    differences: tuple[Interval | None, ...]
    unit: str = ""
    scale: float = 100
    less_is_better: bool = False


def compare(arms: Sequence[Arm], *, rounds: int = 2000) -> list[Row]:
    """All metrics of all arms, over joints that all runs saw. ModelError when runs were evaluated
    on different people or data sets."""
    if len(arms) < 2:
        raise ModelError(
            "a comparison needs two runs",
            where="compare",
            expected="two evaluations or more",
        )
    _check_same_people(arms)
    seen = _all(arms, lambda run: run.known)
    slow = _statistic_rows(arms, seen, min(rounds, STATISTIC_ROUNDS))
    return [*_sum_rows(arms, seen, rounds), *slow]


def on_common_joints(arms: Sequence[Arm]) -> Sequence[Arm]:
    """The arms at the joints that all skeletons have, by `same_as`, with the first's OKS constants.

    ModelError if there are none.
    """
    runs = [run for arm in arms for run in arm.runs]
    skeletons = {run.about.get("skeleton"): skeleton_of(run, _name(run)) for run in runs}
    if len(skeletons) < 2:
        return arms
    first, *rest = skeletons.values()
    numbers = {name: first.numbers_in(skeleton) for name, skeleton in skeletons.items()}
    common = [j for j, each in enumerate(zip(*numbers.values(), strict=True)) if None not in each]
    if not common:
        got = ", ".join([first.title, *(skeleton.described(first) for skeleton in rest)])
        raise ModelError("skeletons without a common joint", where="compare", got=got)
    sigmas = {first.joints[j]: float(first.sigmas[j]) for j in common}

    def part(run: Evaluation) -> Evaluation:
        own = numbers[run.about["skeleton"]]
        columns = [j for j in (own[k] for k in common) if j is not None]
        return replace(
            run,
            about=run.about | {"sigmas": sigmas},
            predictions=with_joints(run.predictions, columns),
            found=run.found and with_joints(run.found, columns),
        )

    return [replace(arm, runs=tuple(map(part, arm.runs))) for arm in arms]


def _name(run: Evaluation) -> str:
    return str(run.about.get("name"))


def _sigmas(run: Evaluation) -> F64:
    common = run.about.get("sigmas")
    return np.array([*common.values()]) if common else skeleton_of(run, _name(run)).sigmas


def _sum_rows(arms: Sequence[Arm], seen: Bool, rounds: int) -> Iterator[Row]:
    """Metrics that are sums over people, divided by counts."""
    given = _all(arms, _given)
    sums = [[_sums(run.predictions, seen, given) for run in arm.runs] for arm in arms]
    for name in sums[0][0]:
        sides = [intervals.stacked([run[name] for run in own]) for own in sums]
        if not any(counts.any() for _, counts in sides):
            continue
        values = tuple(intervals.ratio_interval(*side, seed=SEED, rounds=rounds) for side in sides)
        tested = [
            intervals.paired_interval(side, sides[0], seed=SEED, rounds=rounds)
            if side[0].shape == sides[0][0].shape
            else None
            for side in sides[1:]
        ]
        yield Row(name=name, values=values, differences=(None, *tested), **_unit(name))


def _unit(name: str) -> dict[str, Any]:
    if "MPJPE" in name:
        return {"unit": "mm", "scale": 1000, "less_is_better": True}
    if name.startswith("distance"):
        return {"unit": "% of the box", "less_is_better": True}
    return {"unit": "points" if name.startswith("cost") else "%", "less_is_better": name == "ECE"}


def _all(arms: Sequence[Arm], of: Callable[[Predictions], Bool]) -> Bool:
    every = [of(run.predictions) for arm in arms for run in arm.runs]
    return np.asarray(np.logical_and.reduce(every))


def _given(predictions: Predictions) -> Bool:
    return np.asarray(np.isfinite(predictions.xy).all(-1))


def _sums(predictions: Predictions, seen: Bool, given: Bool) -> dict[str, tuple[F64, F64]]:
    """Sums and counts (1, G) of each group of frames, by metric. `given`: joints (P, J) with a
    position by all runs; cost and distance are measured over these."""
    subsets = {
        "hidden": seen & (predictions.state == STATE_HIDDEN),
        "visible": seen & (predictions.state == STATE_VISIBLE),
    }
    subsets["all"] = subsets["hidden"] | subsets["visible"]
    out = {}
    for part, subset in subsets.items():
        for at in (0.05, 0.1, 0.2):
            out[f"PCK@{at:g} {part}"] = metrics.pck_of(predictions, at=at), subset
    clean = predictions.clean == np.arange(len(predictions))
    hits = metrics.pck_of(predictions)
    out["PCK@0.1 clean frames"] = hits, subsets["all"] & clean[:, None]
    # The change of PCK@0.1 at joints hidden by the occluder, against the clean frame.
    paired = (predictions.clean >= 0) & ~clean
    other = np.where(paired, predictions.clean, 0)
    newly_hidden = subsets["hidden"] & subsets["visible"][other] & paired[:, None]
    newly_hidden &= given & given[other]
    out["cost where it hides"] = hits - hits[other], newly_hidden
    errors = measures.distances(predictions.xy, predictions.true_xy)
    for part in ("hidden", "visible"):
        out[f"distance, {part} joints"] = errors / predictions.side[:, None], subsets[part] & given
    use, lifting = metrics.lifting_errors(predictions, seen)
    for part in ("hidden", "visible"):
        for name, error in lifting.items():
            out[f"{name} {part}"] = error, use & subsets[part]
    return {name: intervals.group_sums(*pair, predictions.group) for name, pair in out.items()}


def _statistic_rows(arms: Sequence[Arm], seen: Bool, rounds: int) -> Iterator[Row]:
    """Metrics that are not sums over people, tested by weighting groups of frames."""
    _, groups = intervals.renumbered(arms[0].runs[0].predictions.group)
    for name, make in _STATISTICS.items():
        drawn = [
            intervals.bootstrap(
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
        values = tuple(d.interval() for d in drawn)
        yield Row(name=name, values=values, differences=(None, *tested), **_unit(name))


def _ap(part: str) -> Callable[[Evaluation, Bool], Statistic]:
    def statistic(run: Evaluation, seen: Bool) -> Statistic:
        subset = seen & metrics.joint_subsets(run.predictions)[part]
        return _precision(run, metrics.truth_of(run.predictions), only=subset)

    return statistic


def _extended_ap(run: Evaluation, seen: Bool) -> Statistic:
    """With Ex-OKS all labelled joints count, also those outside the input. NaN for networks
    without boxes, which have no window of a person."""
    if run.found is not None:
        return lambda weight: float("nan")
    truth, presence = metrics.extended_truth(run.predictions, np.asarray(seen.any(0)))
    return _precision(run, truth, presence=presence)


def _precision(
    run: Evaluation, truth: Truth, *, only: Bool | None = None, presence: Presence | None = None
) -> Statistic:
    predictions = run.predictions
    if run.found is None:
        xy, score, image = predictions.xy, metrics.person_score(predictions), None
    else:  # frames without people have no group
        counted = np.isin(run.found.image, predictions.frame)
        xy, score = run.found.xy[counted], run.found.score[counted]
        image = run.found.image[counted]
    found = matches(
        truth, xy, score, sigmas=_sigmas(run), only=only, presence=presence, image=image
    )
    group, _ = intervals.renumbered(predictions.group)
    group_of = dict(zip(predictions.frame.tolist(), group.tolist(), strict=True))
    return intervals.average_precision(found, group_of)


def _auroc(run: Evaluation, seen: Bool) -> Statistic:
    """Of the predicted visible share for whether the state is visible."""
    predictions, subset = run.predictions, metrics.visibility_subset(run.predictions) & seen
    visible = predictions.state[subset] == STATE_VISIBLE
    share = predictions.visibility_fractions[subset][:, 0]
    return intervals.auroc(share, visible, _joint_group(predictions)[subset])


def _calibration(run: Evaluation, seen: Bool) -> Statistic:
    predictions, subset = run.predictions, metrics.visibility_subset(run.predictions) & seen
    predicted, true = (
        each[subset][:, 0].astype(np.float64)
        for each in (predictions.visibility_fractions, predictions.true_fractions)
    )
    return intervals.calibration_error(predicted, true, _joint_group(predictions)[subset])


def _cause_f1(run: Evaluation, seen: Bool) -> Statistic:
    subset = metrics.visibility_subset(run.predictions) & seen
    hidden, truth, predicted = metrics.hidden_causes(run.predictions, subset)
    group = _joint_group(run.predictions)[hidden]
    return intervals.macro_f1(truth, predicted, group, classes=3)


def _joint_group(predictions: Predictions) -> I64:
    group, _ = intervals.renumbered(predictions.group)
    return np.repeat(group[:, None], predictions.known.shape[1], 1)


_STATISTICS: dict[str, Callable[[Evaluation, Bool], Statistic]] = {
    "AP hidden": _ap("hidden"),
    "AP visible": _ap("visible"),
    "AP all": _ap("all"),
    "AP by Ex-OKS": _extended_ap,
    "AUROC": _auroc,
    "cause F1": _cause_f1,
    "ECE": _calibration,
}


def _check_same_people(arms: Sequence[Arm]) -> None:
    """ModelError unless all runs have the same people and the same data set, if named:
    different pictures may have equal people."""
    runs = [(arm.name, run) for arm in arms for run in arm.runs]
    key, (name, first) = "dataset_sha256", runs[0]
    named = [(n, run.about) for n, run in runs if run.about.get(key)]
    for other, run in runs:
        if fault := _mismatch(first.predictions, run.predictions):
            raise _different("people", f"{name} and {other}", fault)
    for other, about in named[1:]:
        before, its = named[0]
        if about[key] != its[key]:
            sets = [f"{a.get('dataset')} ({str(a[key])[:12]})" for a in (its, about)]
            raise _different("data set", f"{before} and {other}", " and ".join(sets))


def _different(what: str, where: str, got: str) -> ModelError:
    return ModelError(
        f"these runs were not evaluated on the same {what}",
        where=where,
        got=got,
        then="Evaluate both on one data set and split.",
    )


def _mismatch(a: Predictions, b: Predictions) -> str:
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


def differing_options(arms: Sequence[Arm]) -> list[str]:
    runs = [run.about for arm in arms for run in arm.runs]
    return [key for key in OPTIONS if len({str(about.get(key)) for about in runs}) > 1]


def caveats(arms: Sequence[Arm]) -> list[str]:
    out = []
    few = [len(arm.runs) for arm in arms if intervals.few_seeds_note(len(arm.runs))]
    if few:
        out.append(intervals.few_seeds_note(min(few)))
    first, runs = arms[0].runs[0].predictions, [run for arm in arms for run in arm.runs]
    if note := intervals.few_groups_note(len(np.unique(first.group))):
        out.append(note)
    known, given = (_all(arms, of) for of in (lambda run: run.known, _given))
    if (missing := int((known & ~given).sum())) > 0:
        out.append(
            f"Distances and costs leave out {missing} of {int(known.sum())} joints, of which a run "
            "has no position."
        )
    notes = [(run.about.get("name"), note) for run in runs for note in run.about.get("notes", ())]
    out += dict.fromkeys(f"{name}: {note}" for name, note in notes)
    if "sigmas" in runs[0].about:
        out.append(
            f"Skeletons differ: only their {first.known.shape[1]} common joints are compared."
        )
    for arm in arms:
        if len(named := dict.fromkeys(str(run.about.get("name")) for run in arm.runs)) > 1:
            out.append(f"Runs of different names count as seeds of one arm: {', '.join(named)}.")
    if len({len(arm.runs) for arm in arms}) > 1:
        out.append("Runs of unequal numbers of seeds: their differences are not tested.")
    if options := differing_options(arms):
        out.append(f"Runs were evaluated with different options: {', '.join(options)} differ.")
    return out


def as_json(arms: Sequence[Arm], rows: Sequence[Row]) -> dict[str, Any]:
    """A comparison as plain values (NaN if missing; `storage.json_ready` for JSON)."""

    def plain(found: Interval | None) -> dict[str, Any] | None:
        return None if found is None else vars(found) | {"excludes_zero": found.excludes_zero}

    return {
        "arms": [{"name": a.name, "runs": [r.about for r in a.runs]} for a in arms],
        "people": len(arms[0].runs[0].predictions),
        "caveats": caveats(arms),
        "rows": [
            vars(row)
            | {
                "values": [plain(v) for v in row.values],
                "differences": [plain(d) for d in row.differences],
            }
            for row in rows
        ],
    }


def value_text(row: Row, found: Interval) -> str:
    return "-" if not np.isfinite(found.value) else f"{row.scale * found.value:.1f}"


def difference_text(row: Row, found: Interval | None) -> str:
    """Format as "+3.1 (+1.2 to +5.0) *"; the star: the interval excludes zero."""
    return "" if found is None or not np.isfinite(found.value) else found.marked(scale=row.scale)


def text(arms: Sequence[Arm], rows: Sequence[Row]) -> str:
    """A comparison as a table for a terminal."""
    lines = [["", *(a.name for a in arms)]]
    for row in rows:
        cells = [f"{row.name} ({row.unit})"]
        for value, found in zip(row.values, row.differences, strict=True):
            cells.append(f"{value_text(row, value)}  {difference_text(row, found)}".rstrip())
        lines.append(cells)
    note = f"In brackets: 95 % interval of the difference to {arms[0].name}; *: it excludes zero."
    return "\n".join([intervals.table_text(lines), note, *caveats(arms)])
