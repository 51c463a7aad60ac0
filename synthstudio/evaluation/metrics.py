"""Every metric of a network's predictions, as plain values that JSON holds."""

import dataclasses
import itertools
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, Array, Bool
from synthstudio.core.labels import CAUSES, STATE_HIDDEN, STATE_OUTSIDE, STATE_VISIBLE
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled, is_visible
from synthstudio.core.whole_body import SKELETON as WHOLE_BODY
from synthstudio.evaluation import intervals, measures
from synthstudio.evaluation.precision import (
    Detections,
    Presence,
    Truth,
    average_precision,
    whole_body_precision,
)
from synthstudio.evaluation.storage import Predictions

FRACTIONS = (0.0, 0.05, 0.2, 0.35, 0.5, 0.65, 1.01)
CROWDS = (0.0, 0.05, 0.2, 0.4, 1.01)
SEED = 2020
PRESENT = 0.5
"""Minimum probability of a joint predicted inside the picture."""
_ROUNDS = 1000


def compute_metrics(
    predictions: Predictions, skeleton: Skeleton, found: Detections | None = None
) -> dict[str, Any]:
    """All metrics by section; NaN without data. `whole_body` for coco133
    only. `found`: all people found without boxes, of whom `predictions` are the matches: AP counts
    all, joints of missed people count as missed, and Ex-OKS is empty."""
    subsets = joint_subsets(predictions)
    sections: dict[str, Any] = {
        "counts": {
            "people": len(predictions),
            "joints": int(subsets["all"].sum()),
            "hidden": int(subsets["hidden"].sum()),
        },
        "localization": _localization(predictions, skeleton),
        "precision": {
            name: subset_precision(predictions, subset, skeleton, found)
            for name, subset in subsets.items()
        },
        "extended_precision": _extended_precision(predictions, skeleton) if found is None else {},
        "by_cause": _by_cause(predictions, skeleton, found),
        "by_joint": _by_joint(predictions, skeleton),
        "by_fraction": _binned_pck(predictions, predictions.fraction, FRACTIONS),
        "by_crowd": _binned_pck(predictions, predictions.crowd, CROWDS),
        "counterfactual": _counterfactual(predictions),
        "visibility": visibility_metrics(predictions),
        "lifting": _lifting(predictions),
        "prior": _prior(predictions),
    }
    if skeleton.name == WHOLE_BODY:
        detections = _detections(predictions, found)
        sections["whole_body"] = whole_body_precision(truth_of(predictions), **detections)
    return sections


def joint_subsets(predictions: Predictions) -> dict[str, Bool]:
    return subsets_of(predictions.known, predictions.state)


def subsets_of(known: Bool, state: Array) -> dict[str, Bool]:
    """The joints (P, J) that metrics are given for: all, visible and hidden ones."""
    seen, hidden = known & (state == STATE_VISIBLE), known & (state == STATE_HIDDEN)
    return {"all": known, "visible": seen, "hidden": hidden}


def pck_of(predictions: Predictions, *, at: float = 0.1) -> F64:
    """(P, J) 1 where a prediction is within `at` of the amodal box's longer side, else 0."""
    return measures.pck(predictions.xy, predictions.true_xy, length=predictions.side, at=at)


def pck_by_group(predictions: Predictions, subset: Bool, *, at: float = 0.1) -> tuple[F64, F64]:
    """(1, G) hits of PCK and joints counted, by group of frames: for `intervals`."""
    return intervals.group_sums(pck_of(predictions, at=at), subset, predictions.group)


def _pck_interval(predictions: Predictions, subset: Bool, *, at: float = 0.1) -> dict[str, float]:
    hits, counts = pck_by_group(predictions, subset, at=at)
    return vars(intervals.ratio_interval(hits, counts, seed=SEED, rounds=_ROUNDS))


def _localization(predictions: Predictions, skeleton: Skeleton) -> dict[str, Any]:
    lengths = {
        "PCKh@0.5": (measures.head_px(predictions.true_xy, skeleton.known_as), 0.5),
        "torso PCK@0.2": (measures.torso_px(predictions.true_xy, skeleton.known_as), 0.2),
    }
    errors = measures.distances(predictions.xy, predictions.true_xy)
    out = {}
    for name, subset in joint_subsets(predictions).items():
        row: dict[str, Any] = {
            f"PCK@{at:g}": _pck_interval(predictions, subset, at=at) for at in (0.05, 0.1, 0.2)
        }
        row["PCK-AUC"] = measures.pck_auc(
            predictions.xy, predictions.true_xy, known=subset, length=predictions.side
        )
        for label, (length, at) in lengths.items():
            hits = measures.pck(predictions.xy, predictions.true_xy, length=length, at=at)
            row[label] = _mean(hits, subset & (length > 0)[:, None])
        row["EPE_px"] = _mean(errors, subset)
        out[name] = row
    return out


def truth_of(predictions: Predictions) -> Truth:
    return Truth(
        image=predictions.frame,
        xy=predictions.true_xy,
        known=predictions.known,
        area=predictions.area,
        box=predictions.box,
    )


def person_score(predictions: Predictions) -> F64:
    """(P,) confidence of each person: the expected OKS, or the maps' probability of a hit, the
    mean of located joints; 0 without any."""
    quality, placed = predictions.quality, np.isfinite(predictions.xy).all(-1)
    confidence = np.where(np.isfinite(quality), quality, predictions.score)
    return np.asarray(np.where(placed, confidence, 0.0).sum(1) / np.maximum(placed.sum(1), 1))


def subset_precision(
    predictions: Predictions, subset: Bool, skeleton: Skeleton, found: Detections | None
) -> dict[str, float]:
    """AP of the joints `subset` (P, J)."""
    seen = _detections(predictions, found)
    return average_precision(truth_of(predictions), **seen, sigmas=skeleton.sigmas, only=subset)


def _detections(predictions: Predictions, found: Detections | None) -> dict[str, Any]:
    """Places, scores and images of all detections, as `average_precision` takes them."""
    if found is not None:
        return {"xy": found.xy, "score": found.score, "image": found.image}
    return {"xy": predictions.xy, "score": person_score(predictions)}


def extended_truth(predictions: Predictions, joints: Bool) -> tuple[Truth, Presence]:
    """The truth for Ex-OKS: the labelled ones of `joints` (J,), inside the window or not. Joints
    without predicted presence count as claimed inside."""
    labelled = is_labelled(predictions.state) & np.isfinite(predictions.true_xy).all(-1)
    window, xy = predictions.window[:, None], predictions.true_xy
    within = ((xy >= window[..., :2]) & (xy < window[..., 2:])).all(-1)
    known = (labelled | (predictions.state == STATE_OUTSIDE)) & joints
    truth = dataclasses.replace(truth_of(predictions), known=known)
    claimed = ~(predictions.present < PRESENT)  # NaN: not predicted
    return truth, Presence(window=predictions.window, inside=labelled & within, claimed=claimed)


def _extended_precision(predictions: Predictions, skeleton: Skeleton) -> dict[str, Any]:
    """AP by Ex-OKS, also of a baseline that predicts no joint outside. Joints that count for
    nobody, as those that a network does not predict, are left out."""
    truth, presence = extended_truth(predictions, np.asarray(predictions.known.any(0)))
    never_outside = dataclasses.replace(presence, claimed=np.ones_like(presence.claimed))
    out: dict[str, Any] = {"joints_outside": int((truth.known & ~presence.inside).sum())}
    for name, side in (("predicted", presence), ("never_outside", never_outside)):
        out[name] = average_precision(
            truth, predictions.xy, person_score(predictions), sigmas=skeleton.sigmas, presence=side
        )
    predicted = truth.known & np.isfinite(predictions.present)
    out["AUROC"] = measures.auroc(predictions.present[predicted], presence.inside[predicted])
    return out


def _by_cause(
    predictions: Predictions, skeleton: Skeleton, found: Detections | None
) -> dict[str, Any]:
    out = {}
    for number, name in enumerate(CAUSES):
        subset = predictions.known & (predictions.cause == number)
        if subset.any():
            out[name] = {
                "joints": int(subset.sum()),
                "PCK@0.1": _pck_interval(predictions, subset),
                "AP": subset_precision(predictions, subset, skeleton, found)["AP"],
            }
    return out


def _by_joint(predictions: Predictions, skeleton: Skeleton) -> dict[str, Any]:
    hits, subsets = pck_of(predictions), joint_subsets(predictions)
    return {
        joint: {
            name: float(hits[subset[:, j], j].mean()) if subset[:, j].any() else float("nan")
            for name, subset in subsets.items()
        }
        for j, joint in enumerate(skeleton.joints)
    }


def _binned_pck(
    predictions: Predictions, value: F64, edges: tuple[float, ...]
) -> list[dict[str, Any]]:
    """PCK@0.1 of people in bins of a `value` (P,), each with its interval."""
    out = []
    for low, high in itertools.pairwise(edges):
        inside = ((value >= low) & (value < high))[:, None]
        row: dict[str, Any] = {"from": low, "to": min(high, 1.0), "people": int(inside.sum())}
        for name, subset in joint_subsets(predictions).items():
            row[name] = _pck_interval(predictions, subset & inside)
        out.append(row)
    return out


def _counterfactual(predictions: Predictions) -> dict[str, Any]:
    """PCK@0.1 with the occluder less without it, paired by moment, over joints known and
    predicted in both frames and visible in the clean one."""
    clean, state = predictions.clean, predictions.state
    paired = (clean >= 0) & (clean != np.arange(len(predictions)))
    if not paired.any():
        return {"pairs": 0}
    other, hits = np.where(paired, clean, 0), pck_of(predictions)
    known = predictions.known & predictions.known[other] & paired[:, None]
    given = np.asarray(np.isfinite(predictions.xy).all(-1))
    known &= given & given[other]  # else a network that answers nothing would lose nothing
    out: dict[str, Any] = {"pairs": int(paired.sum())}
    for name, now in (("newly_hidden", STATE_HIDDEN), ("still_visible", STATE_VISIBLE)):
        subset = known & (state[other] == STATE_VISIBLE) & (state == now)
        with_it, without_it = (
            intervals.group_sums(each, subset, predictions.group) for each in (hits, hits[other])
        )
        found = intervals.paired_interval(with_it, without_it, seed=SEED, rounds=_ROUNDS)
        out[name] = vars(found) | {"joints": int(subset.sum())}
    return out


def visibility_subset(predictions: Predictions) -> Bool:
    """The joints (P, J) by which predicted visibility is judged: known, predicted, unambiguous."""
    predicted = np.isfinite(predictions.visibility_fractions).all(-1) & ~predictions.ambiguous
    return predictions.known & predicted & np.isfinite(predictions.true_fractions).all(-1)


def hidden_causes(predictions: Predictions, subset: Bool) -> tuple[Bool, I64, I64]:
    """Which joints of `subset` (P, J) are hidden by a cause that networks predict, and of those
    the true and the predicted one: 0 self, 1 person, 2 object."""
    true = predictions.cause.astype(np.int64) - 1
    hidden = subset & (predictions.state != STATE_VISIBLE) & np.isin(true, range(3))
    return hidden, true[hidden], predictions.visibility_fractions[hidden][:, 1:].argmax(1)


def visibility_metrics(predictions: Predictions) -> dict[str, Any]:
    """Quality of predicted visibility and causes; {} when neither is predicted. Brier, ECE and
    reliability compare the predicted visible share with the true one, AUROC and F1 with the state;
    ambiguous joints are left out."""
    subset = visibility_subset(predictions)
    if not subset.any():
        return {}
    visible = predictions.state[subset] == STATE_VISIBLE
    share = predictions.visibility_fractions[subset][:, 0]
    true_share = predictions.true_fractions[subset][:, 0].astype(np.float64)
    curve = measures.reliability(share, true_share)
    hidden, cause, predicted_cause = hidden_causes(predictions, subset)
    causes = measures.confusion(cause, predicted_cause, classes=3)
    states = measures.confusion(
        visible.astype(np.int64), is_visible(share).astype(np.int64), classes=2
    )
    group = np.repeat(predictions.group[:, None], subset.shape[1], 1)
    over_peak, over_mass = (
        intervals.auroc_margin(share, baseline[subset], visible, group[subset], seed=SEED)
        for baseline in (predictions.peak, predictions.score)
    )
    over_majority = intervals.majority_margin(
        cause, predicted_cause, group[hidden], classes=3, seed=SEED
    )
    return {
        **_margin("AUROC", over_peak, "peak"),
        **_margin("AUROC", over_mass, "mass"),
        "state_F1": measures.macro_f1(states),
        "state_F1_of_majority": measures.majority_f1(states),
        **_margin("cause_F1", over_majority, "majority"),
        "causes": ("self", "person", "object"),
        "cause_confusion": causes.tolist(),
        "Brier": float(np.mean((share - true_share) ** 2)),
        "ECE": curve.ece,
        "reliability": {
            "predicted": curve.predicted.tolist(),
            "observed": curve.observed.tolist(),
            "count": curve.count.tolist(),
        },
    }


def _margin(name: str, found: intervals.Margin, baseline: str) -> dict[str, dict[str, float]]:
    return {
        name: vars(found.value),
        f"{name}_of_{baseline}": vars(found.baseline),
        f"{name}_over_{baseline}": vars(found.difference),
    }


def _lifting(predictions: Predictions) -> dict[str, Any]:
    use, errors = lifting_errors(predictions, predictions.known)
    if not use.any():
        return {}
    return {
        name: {f"{metric}_mm": _mean(e, subset & use) * 1000 for metric, e in errors.items()}
        for name, subset in joint_subsets(predictions).items()
    }


def lifting_errors(predictions: Predictions, subset: Bool) -> tuple[Bool, dict[str, F64]]:
    """The joints (P, J) of `subset` with a place in 3D, and root-relative errors in metres by
    metric."""
    predicted, true = predictions.xyz_m, predictions.true_xyz_m
    use = subset & np.isfinite(predicted).all(-1) & np.isfinite(true).all(-1)
    predicted, true = np.nan_to_num(predicted), np.nan_to_num(true)
    return use, {
        "MPJPE": np.where(use, measures.distances(predicted, true), np.nan),
        "N-MPJPE": measures.n_mpjpe(predicted, true, known=use),
        "PA-MPJPE": measures.pa_mpjpe(predicted, true, known=use),
    }


def _prior(predictions: Predictions) -> dict[str, Any]:
    """Skill over an image-free baseline: the mean pose in the amodal box."""
    corner, size = predictions.box[:, None, :2], predictions.box[:, None, 2:]
    inside = (predictions.true_xy - corner) / size
    known = predictions.known[..., None]
    mean = np.where(known, inside, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    hits = pck_of(predictions)
    mean_pose_hits = measures.pck(
        corner + mean * size, predictions.true_xy, length=predictions.side, at=0.1
    )
    out = {}
    for name, subset in joint_subsets(predictions).items():
        rate, baseline = _mean(hits, subset), _mean(mean_pose_hits, subset)
        skill = (rate - baseline) / (1 - baseline) if baseline < 1 else float("nan")
        out[name] = {"mean_pose_PCK@0.1": baseline, "skill": skill}
    return out


def _mean(values: F64, subset: Bool) -> float:
    use = subset & np.isfinite(values)
    return float(values[use].mean()) if use.any() else float("nan")
