"""All figures of a set of answers, as plain values that JSON holds. `sections` lists them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.labels import CAUSES, STATE_HIDDEN, STATE_OUTSIDE, STATE_VISIBLE
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled, is_visible
from synthstudio.evaluation import calibration, localization
from synthstudio.evaluation.bootstrap import Interval, paired_interval, ratio_interval
from synthstudio.evaluation.margins import Margin, auroc_over, f1_over_majority
from synthstudio.evaluation.precision import Beyond, Truth, average_precision
from synthstudio.evaluation.table import Answers

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
FRACTIONS = (0.0, 0.05, 0.2, 0.35, 0.5, 0.65, 1.01)
CROWDS = (0.0, 0.05, 0.2, 0.4, 1.01)
SEED = 2020
PRESENT = 0.5
"""From this chance on an answer says that a joint lies in the picture."""
_ROUNDS = 1000


def measure(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    """Return every figure, by section; NaN (null in JSON) where there is nothing to measure."""
    sections: dict[str, Callable[[Answers, Skeleton], Any]] = {
        "places": _places,
        "precision": _precision,
        "beyond": _beyond,
        "by_cause": _by_cause,
        "by_joint": _by_joint,
        "by_fraction": lambda a, b: _curve(a, a.fraction, FRACTIONS),
        "by_crowd": lambda a, b: _curve(a, a.crowd, CROWDS),
        "counterfactual": _counterfactual,
        "visibility": visibility,
        "lifting": _lifting,
        "prior": _prior,
    }
    counts = {
        "people": len(answers),
        "joints": int(answers.known.sum()),
        "hidden": int((answers.known & (answers.state == STATE_HIDDEN)).sum()),
    }
    return {"counts": counts} | {name: make(answers, skeleton) for name, make in sections.items()}


def parts(answers: Answers) -> dict[str, Bools]:
    """Return the joints (P, J) that figures are told for: all, visible and hidden ones."""
    return {
        "all": answers.known,
        "visible": answers.known & (answers.state == STATE_VISIBLE),
        "hidden": answers.known & (answers.state == STATE_HIDDEN),
    }


def hits_of(answers: Answers, which: Bools, *, at: float = 0.1) -> tuple[F64, F64]:
    """Return (1, G) hits of PCK and joints counted, for each group of frames: for `bootstrap`."""
    hit = localization.pck(answers.xy, answers.true_xy, length=answers.side, at=at)
    groups = int(answers.group.max(initial=-1)) + 1
    hits = np.where(which, hit, 0.0).sum(1)
    return _per_group(answers.group, hits, groups), _per_group(answers.group, which.sum(1), groups)


def _places(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    out = {}
    lengths = {
        "PCKh@0.5": (localization.head_px(answers.true_xy, skeleton.joints), 0.5),
        "torso PCK@0.2": (localization.torso_px(answers.true_xy, skeleton.joints), 0.2),
    }
    apart = localization.distances(answers.xy, answers.true_xy)
    for name, which in parts(answers).items():
        told: dict[str, Any] = {}
        for at in (0.05, 0.1, 0.2):
            told[f"PCK@{at:g}"] = _interval(
                ratio_interval(*hits_of(answers, which, at=at), seed=SEED, rounds=_ROUNDS)
            )
        told["PCK-AUC"] = localization.pck_auc(
            answers.xy, answers.true_xy, known=which, length=answers.side
        )
        for label, (length, at) in lengths.items():
            near = localization.pck(answers.xy, answers.true_xy, length=length, at=at)
            told[label] = _mean_of(near, which & (length > 0)[:, None])
        told["EPE_px"] = float(apart[which].mean()) if which.any() else float("nan")
        out[name] = told
    return out


def truth_of(answers: Answers) -> Truth:
    """Return the truth as `average_precision` takes it."""
    return Truth(
        image=answers.frame,
        xy=answers.true_xy,
        known=answers.known,
        area=answers.area,
        box=answers.box,
    )


def person_score(answers: Answers) -> F64:
    """Return (P,) how sure a network is of each person: the OKS to expect, or the maps' chance."""
    return np.asarray(
        np.nanmean(np.where(np.isfinite(answers.quality), answers.quality, answers.score), 1)
    )


def _precision(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    return {
        name: average_precision(
            truth_of(answers), answers.xy, person_score(answers), sigmas=skeleton.sigmas, only=which
        )
        for name, which in parts(answers).items()
    }


def beyond_of(answers: Answers) -> tuple[Truth, Beyond]:
    """Return the truth of all labelled joints, in what the network saw or not, for Ex-OKS.

    A joint that the network says nothing about lies in the picture.
    """
    finite = np.isfinite(answers.true_xy).all(-1)
    labelled = is_labelled(answers.state) & finite
    window = answers.window[:, None]
    within = ((answers.true_xy >= window[..., :2]) & (answers.true_xy < window[..., 2:])).all(-1)
    truth = Truth(
        image=answers.frame,
        xy=answers.true_xy,
        area=answers.area,
        box=answers.box,
        known=labelled | (answers.state == STATE_OUTSIDE),
    )
    claimed = ~(answers.present < PRESENT)  # NaN: it does not say
    return truth, Beyond(window=answers.window, inside=labelled & within, claimed=claimed)


def _beyond(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    """Return AP by Ex-OKS, also of one who takes no joint to be outside."""
    truth, beyond = beyond_of(answers)
    outside = truth.known & ~beyond.inside
    credulous = Beyond(
        window=beyond.window, inside=beyond.inside, claimed=np.ones_like(beyond.claimed)
    )
    out: dict[str, Any] = {"joints_outside": int(outside.sum())}
    for name, side in (("said", beyond), ("never_outside", credulous)):
        out[name] = average_precision(
            truth, answers.xy, person_score(answers), sigmas=skeleton.sigmas, beyond=side
        )
    told = truth.known & np.isfinite(answers.present)
    out["AUROC"] = calibration.auroc(answers.present[told], beyond.inside[told])
    return out


def _by_cause(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    score = person_score(answers)
    out = {}
    for number, name in enumerate(CAUSES):
        which = answers.known & (answers.cause == number)
        if not which.any():
            continue
        found = ratio_interval(*hits_of(answers, which), seed=SEED, rounds=_ROUNDS)
        precise = average_precision(
            truth_of(answers), answers.xy, score, sigmas=skeleton.sigmas, only=which
        )
        out[name] = {"joints": int(which.sum()), "PCK@0.1": _interval(found), "AP": precise["AP"]}
    return out


def _by_joint(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    hit = localization.pck(answers.xy, answers.true_xy, length=answers.side, at=0.1)
    out: dict[str, Any] = {}
    for j, joint in enumerate(skeleton.joints):
        out[joint] = {
            name: float(hit[which[:, j], j].mean()) if which[:, j].any() else float("nan")
            for name, which in parts(answers).items()
        }
    return out


def _curve(answers: Answers, value: F64, edges: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return PCK@0.1 of people in bins of a number, each with its interval."""
    out = []
    for low, high in itertools.pairwise(edges):
        inside = ((value >= low) & (value < high))[:, None]
        row: dict[str, Any] = {"from": low, "to": min(high, 1.0), "people": int(inside.sum())}
        for name, which in parts(answers).items():
            found = ratio_interval(*hits_of(answers, which & inside), seed=SEED, rounds=_ROUNDS)
            row[name] = _interval(found)
        out.append(row)
    return out


def _counterfactual(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    """Return what the occluder costs: the same joint of the same moment, with and without it.

    Only joints hidden in the one and known in both: the difference of PCK@0.1, paired by moment.
    """
    rows = np.flatnonzero((answers.clean >= 0) & (answers.clean != np.arange(len(answers))))
    if not len(rows):
        return {"pairs": 0}
    other = answers.clean[rows]
    out: dict[str, Any] = {"pairs": len(rows)}
    hit = localization.pck(answers.xy, answers.true_xy, length=answers.side, at=0.1)
    both = answers.known[rows] & answers.known[other]
    groups = int(answers.group.max()) + 1
    shown = answers.state[other] == STATE_VISIBLE
    parted = {
        "newly_hidden": both & shown & (answers.state[rows] == STATE_HIDDEN),
        "still_visible": both & shown & (answers.state[rows] == STATE_VISIBLE),
    }
    for name, which in parted.items():
        counted = _per_group(answers.group[rows], which.sum(1), groups)
        sides = []
        for side in (rows, other):
            hits = np.where(which, hit[side], 0).sum(1)
            sides.append((_per_group(answers.group[rows], hits, groups), counted))
        found = paired_interval(sides[0], sides[1], seed=SEED, rounds=_ROUNDS)
        out[name] = _interval(found) | {"joints": int(which.sum())}
    return out


def _per_group(group: NDArray[np.int64], values: NDArray[Any], groups: int) -> F64:
    summed = np.bincount(group, values.astype(np.float64), minlength=groups)
    return np.asarray(summed, np.float64)[None]


def visibility_told(answers: Answers) -> Bools:
    """Return the joints (P, J) by which a network's word on visibility is judged."""
    told = answers.known & np.isfinite(answers.shares).all(-1) & ~answers.ambiguous
    return told & np.isfinite(answers.true_shares).all(-1)


def hidden_causes(answers: Answers, told: Bools) -> tuple[Bools, I64, I64]:
    """Return which of the joints `told` (P, J) are hidden by a cause that a network can name,
    and of those the true and the said one: 0 self, 1 person, 2 object."""
    true = answers.cause.astype(np.int64) - 1
    hidden = told & (answers.state != STATE_VISIBLE) & np.isin(true, range(3))
    return hidden, true[hidden], answers.shares[hidden][:, 1:].argmax(1)


def visibility(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    """Return what a network's word on visibility and cause is worth; {} when it says none.

    Brier, ECE and the reliability hold the share of a joint's surface that is said to be visible
    against whether its state is: half of it or more. A share is no chance of that, so a network
    that tells every share exactly has an ECE above 0 where joints are partly covered.
    """
    told = visibility_told(answers)
    if not told.any():
        return {}
    seen = answers.state[told] == STATE_VISIBLE
    said = answers.shares[told]
    curve = calibration.reliability(said[:, 0], seen)
    names = ("self", "person", "object")
    hidden, cause, cause_said = hidden_causes(answers, told)
    counts = calibration.confusion(cause, cause_said, classes=3)
    group = np.repeat(answers.group[:, None], told.shape[1], 1)
    over_peak, over_mass = (
        auroc_over(said[:, 0], bar[told], seen, group[told], seed=SEED)
        for bar in (answers.peak, answers.score)
    )
    over_majority = f1_over_majority(cause, cause_said, group[hidden], classes=3, seed=SEED)
    states = calibration.confusion(
        seen.astype(np.int64), is_visible(said[:, 0]).astype(np.int64), classes=2
    )
    return {
        **_margin("AUROC", over_peak, "peak"),
        **_margin("AUROC", over_mass, "mass"),
        "state_F1": calibration.macro_f1(states),
        "state_F1_of_majority": calibration.majority_f1(states),
        **_margin("cause_F1", over_majority, "majority"),
        "causes": names,
        "cause_confusion": counts.tolist(),
        "Brier": calibration.brier(said[:, 0], seen),
        "ECE": curve.ece,
        "reliability": {
            "said": curve.said.tolist(),
            "came": curve.came.tolist(),
            "count": curve.count.tolist(),
        },
    }


def _lifting(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    told = np.isfinite(answers.xyz_m).all(-1) & np.isfinite(answers.true_xyz_m).all(-1)
    told &= answers.known
    if not told.any():
        return {}
    zero = np.zeros((len(answers), 3))
    at: dict[str, Any] = {"known": told, "root": zero, "truth_root": zero}
    said, true = np.nan_to_num(answers.xyz_m), np.nan_to_num(answers.true_xyz_m)
    errors = {
        "MPJPE_mm": localization.mpjpe(said, true, **at),
        "N-MPJPE_mm": localization.n_mpjpe(said, true, **at),
        "PA-MPJPE_mm": localization.pa_mpjpe(said, true, known=told),
    }
    out: dict[str, Any] = {}
    for name, which in parts(answers).items():
        use = which & told
        out[name] = {n: _mean_of(e, use) * 1000 for n, e in errors.items()}
    return out


def _prior(answers: Answers, skeleton: Skeleton) -> dict[str, Any]:
    """Return the skill over one who never looks: the mean pose in the amodal box."""
    size = answers.box[:, None, 2:]
    inside = (answers.true_xy - answers.box[:, None, :2]) / size
    mean = np.nanmean(np.where(answers.known[..., None], inside, np.nan), 0)
    blind = answers.box[:, None, :2] + mean * size
    out = {}
    for name, which in parts(answers).items():
        mine = localization.pck(answers.xy, answers.true_xy, length=answers.side, at=0.1)
        its = localization.pck(blind, answers.true_xy, length=answers.side, at=0.1)
        a, b = _mean_of(mine, which), _mean_of(its, which)
        out[name] = {"mean_pose_PCK@0.1": b, "skill": (a - b) / (1 - b) if b < 1 else float("nan")}
    return out


def _mean_of(values: F64, which: Bools) -> float:
    use = which & np.isfinite(values)
    return float(values[use].mean()) if use.any() else float("nan")


def _interval(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _margin(name: str, found: Margin, bar: str) -> dict[str, dict[str, float]]:
    return {
        name: _interval(found.ours),
        f"{name}_of_{bar}": _interval(found.bar),
        f"{name}_over_{bar}": _interval(found.difference),
    }
