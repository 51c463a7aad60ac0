"""The table of benchmarks/systems_table.py: figures of its networks, as lines of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from synthstudio.core.labels import CAUSES, STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation.intervals import (
    Interval,
    few_seeds_note,
    paired_interval,
    ratio_interval,
)
from synthstudio.evaluation.localization import pck
from synthstudio.evaluation.metrics import pck_by_group, person_score, truth_of
from synthstudio.evaluation.precision import average_precision
from synthstudio.evaluation.storage import Evaluation, Predictions

BACKBONES = ("pyramid", "hrnet", "hourglass", "vit")
BOTTOM_UP = ("openpose", "personlab", "fcpose")
CROWD = 4
"""People of the frame whose time and operations are given."""
SEED = 11
ROUNDS = 2000
CROWDED = 0.4
"""People of frames with this crowd index or more are in a crowd."""
SUBSETS = ("visible", "hidden", "self", "person", "object", "crowd")
BY_FAR = 0.1
"""So much more of the visible joints has a network to find than the floors."""
LEAST_SHARE = 0.6
"""Of the pyramid's PCK on visible joints: a system of whole frames below it is a bug."""


def subset_of(predictions: Predictions, name: str) -> Any:
    """The joints (P, J) of a column."""
    known, state = predictions.known, predictions.state
    if name == "visible":
        return known & (state == STATE_VISIBLE)
    hidden = known & (state == STATE_HIDDEN)
    if name == "crowd":
        return known & (predictions.crowd >= CROWDED)[:, None]
    return hidden if name == "hidden" else hidden & (predictions.cause == CAUSES.index(name))


def _by_seed(runs: Sequence[Evaluation], name: str) -> tuple[Any, Any]:
    """Hits and counts (S, G) of PCK@0.1."""
    each = [pck_by_group(r.predictions, subset_of(r.predictions, name)) for r in runs]
    return np.concatenate([e[0] for e in each]), np.concatenate([e[1] for e in each])


def pck_of_subset(runs: Sequence[Evaluation], name: str) -> Interval:
    return ratio_interval(*_by_seed(runs, name), seed=SEED, rounds=ROUNDS)


def difference(
    ours: Sequence[Evaluation], theirs: Sequence[Evaluation], name: str = "hidden"
) -> Interval:
    """Of PCK@0.1 on a column's joints, paired by seed and moment; both have the same seeds."""
    sides = [_by_seed(runs, name) for runs in (ours, theirs)]
    return paired_interval(*sides, seed=SEED, rounds=ROUNDS)


def precision(runs: Sequence[Evaluation]) -> float:
    """OKS-AP of all labelled joints, the mean of the seeds."""
    found = []
    for run in runs:
        sigmas = get_skeleton(str(run.about["skeleton"])).sigmas
        truth, told = truth_of(run.predictions), run.found
        if told is None:
            score = person_score(run.predictions)
            ap = average_precision(truth, run.predictions.xy, score, sigmas=sigmas)
        else:
            ap = average_precision(truth, told.xy, told.score, sigmas=sigmas, image=told.image)
        found.append(ap["AP"])
    return float(np.mean(found))


def in_mean_pose(run: Evaluation) -> Evaluation:
    """The test people's own mean pose in everybody's true box: an answer that never looks."""
    found = run.predictions
    corner, extent = found.box[:, None, :2], found.box[:, None, 2:]
    known = found.known[..., None]
    inside = np.where(known, (found.true_xy - corner) / extent, 0)
    mean = inside.sum(0) / np.maximum(known.sum(0), 1)
    guess = replace(found, xy=corner + mean * extent, score=np.ones_like(found.score))
    return replace(run, predictions=guess)


def mean_pose(run: Evaluation) -> dict[str, float]:
    """PCK@0.1 of `in_mean_pose`."""
    predictions = in_mean_pose(run).predictions
    hits = pck(predictions.xy, predictions.true_xy, length=predictions.side, at=0.1)
    subsets = {name: subset_of(predictions, name) for name in SUBSETS}
    return {n: float(hits[s].mean()) if s.any() else float("nan") for n, s in subsets.items()}


def table(
    runs: Mapping[str, Sequence[Evaluation]], costs: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """The rows of the networks that are there, the floors, and what ORN is worth."""
    head = [
        "network", "seeds", "OKS-AP", *SUBSETS, "untrained", "M", "G", "ms p50, p95", "MB",
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row, made in runs.items():
        found = [pck_of_subset(made, name) for name in SUBSETS]
        cost = costs[row]
        cells = [row, str(len(made)), f"{100 * precision(made):.1f}"]
        cells += [_cell(interval) for interval in found]
        cells += [f"{100 * np.mean([float(r.about['untrained']) for r in made]):.1f}"]
        cells += [f"{cost['parameters'] / 1e6:.2f}", f"{cost['operations'] / 1e9:.2f}"]
        cells += [f"{cost['p50_ms']:.0f}, {cost['p95_ms']:.0f}", f"{cost['memory_mb']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    any_run = next(iter(runs.values()))[0]
    floor = [f"{100 * value:.1f}" for value in mean_pose(any_run).values()]
    empty = ["-"] * 5
    lines.append(f"| {' | '.join(['mean pose in the box', '-', '-', *floor, *empty])} |")
    return lines


def _cell(found: Interval) -> str:
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def differences(runs: Mapping[str, Sequence[Evaluation]]) -> list[str]:
    """ORN against the others after the same backbone, paired by seed and moment, in points."""
    lines = [f"| ORN less, in points | {' | '.join(SUBSETS)} |", "|---" * (1 + len(SUBSETS)) + "|"]
    for backbone in BACKBONES:
        for other, title in (("kpe", "KPE"), ("own", "its own head")):
            pair = [runs.get(f"{backbone} {block}", ()) for block in ("orn", other)]
            if seeds := min(len(p) for p in pair):
                each = [difference(*(p[:seeds] for p in pair), name) for name in SUBSETS]
                cells = [d.text() if np.isfinite(d.value) else "-" for d in each]
                lines.append(f"| {title}, {backbone} | {' | '.join(cells)} |")
    return lines


def notes(runs: Mapping[str, Sequence[Evaluation]], *, command: str, about: str) -> list[str]:
    """What the table shows, in sentences."""
    test = next(iter(runs.values()))[0].predictions
    lines = [
        f"`{command}` wrote this: {about} All are judged on the same {len(test)} test people of "
        f"{len(np.unique(test.frame))} frames and on the same joints.",
        "",
        "PCK@0.1 in percent with 95 % intervals over moments and seeds, of joints that are "
        "visible, hidden, hidden by themselves, by a person, by a thing, and of all joints in "
        f"frames with a crowd index of {CROWDED} or more; `untrained` is the PCK on visible joints "
        "before the first step. Top-down networks get true boxes, and their OKS-AP knows no false "
        "people; KPE is widened until its steps cost what ORN's do. Systems of whole frames find "
        "everybody themselves, found people are matched by OKS, and all joints of who is missed "
        "are missed. M: parameters in millions. G, ms and MB: operations in thousand millions, "
        f"time on one thread and added memory for a frame with {CROWD} people.",
    ]
    seeds = max(len(made) for made in runs.values())
    if note := few_seeds_note(seeds):
        lines += ["", note]
    if seeds == 1:
        lines += ["", "One seed: the intervals leave out what the seed's luck decides."]
    waited = max(float(r.about["waited"]) for made in runs.values() for r in made)
    lines += ["", f"No training waited for its batches longer than {100 * waited:.1f} % of its "
              "time (aim: 5 %)."]  # fmt: skip
    if nothing := not_learnt(runs):
        lines += ["", f"Not {100 * BY_FAR:.0f} points of visible joints above the mean pose and "
                  f"untrained weights, so not to be relied on: {', '.join(nothing)}."]  # fmt: skip
    if below := too_low(runs):
        lines += ["", f"Below {100 * LEAST_SHARE:.0f} % of the pyramid's PCK on visible joints, "
                  f"so not to be relied on: {', '.join(below)}."]  # fmt: skip
    return lines


def not_learnt(runs: Mapping[str, Sequence[Evaluation]]) -> list[str]:
    """Rows whose PCK on visible joints is not BY_FAR above the mean pose and untrained weights."""
    found = []
    for row, made in runs.items():
        untrained = float(np.mean([float(r.about["untrained"]) for r in made]))
        floor = max(mean_pose(made[0])["visible"], untrained)
        if not pck_of_subset(made, "visible").value >= floor + BY_FAR:
            found.append(row)
    return found


def too_low(runs: Mapping[str, Sequence[Evaluation]]) -> list[str]:
    """Systems of whole frames that find less than LEAST_SHARE of what the pyramid's head finds."""
    if "pyramid own" not in runs:
        return []
    least = LEAST_SHARE * pck_of_subset(runs["pyramid own"], "visible").value
    rows = [row for row in BOTTOM_UP if row in runs]
    return [row for row in rows if pck_of_subset(runs[row], "visible").value < least]
