"""The report page of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from synthstudio.core.arrays import F64, I64, U8
from synthstudio.core.labels import CAUSES, STATE_HIDDEN
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import AMBIGUOUS_FROM, VISIBLE_THRESHOLD
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.diagnostics import AttentionExample, Sensitivity
from synthstudio.evaluation.intervals import few_groups_note
from synthstudio.evaluation.measures import distances
from synthstudio.evaluation.storage import (
    Evaluation,
    Predictions,
    interval,
    lookup,
    number,
    percent,
    range_text,
    ratio,
    value_of,
)
from synthstudio.report import pages
from synthstudio.report.draw import FAR_PX, INK, SHIFT, Colour, cut_out, draw_person
from synthstudio.report.pages import Picture, embed, render

_TILE = (360, 270)  # height and width
_AROUND = 1.35
_MISS: Colour = (255, 70, 70)
_HEAT: Colour = (255, 64, 32)
_GREY = 114
_MIN_WRONG = 0.1
_PARTS = ("all", "visible", "hidden")
_PCK = ["PCK@0.05", "PCK@0.1", "PCK@0.2", "PCK-AUC", "PCKh@0.5", "torso PCK@0.2", "EPE_px"]
_AP = ("AP", "AP50", "AP75", "AR")
_LIFTING = ["MPJPE_mm", "N-MPJPE_mm", "PA-MPJPE_mm"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`rgb` (h, w, 3): a person, truth left, prediction right."""

    rgb: U8
    frame: int
    instance: int
    error: float  # mean over hidden joints, in longer sides of the amodal box
    hidden: int
    fraction: float
    family: str


def worst(predictions: Predictions, *, count: int) -> I64:
    """The rows of the people with the largest errors at hidden joints, one per moment."""
    apart = distances(predictions.xy, predictions.true_xy) / predictions.side[:, None]
    which = predictions.known & (predictions.state == STATE_HIDDEN) & np.isfinite(apart)
    number = which.sum(1)
    error = np.where(which, apart, 0).sum(1) / np.maximum(number, 1)
    order = np.argsort(-error, kind="stable")
    order = order[number[order] > 0]
    first = np.unique(predictions.group[order], return_index=True)[1]
    return np.asarray(order[np.sort(first)][:count], np.int64)


def cases(dataset: Dataset, predictions: Predictions, rows: I64, skeleton: Skeleton) -> list[Case]:
    """Draw people of a data set; DatasetError when a picture of it is damaged."""
    out = []
    for row in rows.tolist():
        frame = dataset.frame(int(predictions.frame[row]))
        rgb = dataset.rgb_of(frame)
        which = predictions.known[row] & (predictions.state[row] == STATE_HIDDEN)
        apart = distances(predictions.xy[row], predictions.true_xy[row]) / predictions.side[row]
        out.append(
            Case(
                rgb=_pair(rgb, predictions, row, skeleton),
                frame=int(predictions.frame[row]),
                instance=int(predictions.instance[row]),
                error=float(np.nanmean(apart[which])),
                hidden=int(which.sum()),
                fraction=float(predictions.fraction[row]),
                family=str(predictions.family[row]),
            )
        )
    return out


def _pair(rgb: U8, predictions: Predictions, row: int, skeleton: Skeleton) -> U8:
    x, y, w, h = (float(v) for v in predictions.box[row])
    high, wide = _TILE
    tall = max(h, w * high / wide) * _AROUND
    zoom = high / tall
    corner = np.array([x + w / 2 - tall * wide / high / 2, y + h / 2 - tall / 2])
    tile = cut_out(rgb, corner, zoom, (wide, high), border=(_GREY,) * 3)
    known, hidden = predictions.known[row], predictions.state[row] == STATE_HIDDEN
    named = zip(hidden, predictions.cause[row].tolist(), strict=True)
    cause = [CAUSES[c] if h else "visible" for h, c in named]
    true = np.where(known[:, None], (predictions.true_xy[row] - corner) * zoom, np.nan)
    predicted = np.where(known[:, None], (predictions.xy[row] - corner) * zoom, np.nan)
    left, right = tile.copy(), tile.copy()
    draw_person(left, true, cause, skeleton)
    wrong = distances(predicted, true) > _MIN_WRONG * predictions.side[row] * zoom
    for j in np.flatnonzero(wrong):
        cv2.line(right, _at(predicted[j]), _at(true[j]), _MISS, 2, cv2.LINE_AA, SHIFT)
    draw_person(right, predicted, cause, skeleton)
    gap = np.full((high, 4, 3), INK, np.uint8)
    return np.concatenate([left, gap, right], 1)


def draw_example(example: AttentionExample, skeleton: Skeleton) -> U8:
    """Draw for one joint the poses of the bank and the predicted map.
    Large ring: truth; small rings: separate peaks; line: the occluder's edge."""
    high = _TILE[0] * 2 // 3
    zoom = high / example.picture.shape[0]
    size = (round(example.picture.shape[1] * zoom), high)
    base = np.asarray(cv2.resize(example.picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    dull = (base * 0.45 + 60).astype(np.uint8)
    tiles = []
    if example.poses is not None and example.weights is not None:
        tile = dull.copy()
        strong = example.weights / max(float(example.weights.max()), 1e-9)
        for pose, weight in sorted(zip(example.poses, strong, strict=True), key=lambda p: p[1]):
            ink = tuple(int(120 + (b - 120) * weight) for b in (255, 214, 60))
            at = pose * [size[0], size[1]]
            for a, b in skeleton.edges:
                cv2.line(tile, _at(at[a]), _at(at[b]), ink, 1, cv2.LINE_AA, SHIFT)
            disc(tile, at[example.joint], _HEAT, 3)
        tiles.append(tile)
    tiles.append(heated(dull, example.heatmap, example.cover))
    for tile in tiles:
        ring(tile, example.true * [size[0], size[1]], (255, 255, 255), 9)
    for peak in example.peaks:
        ring(tiles[-1], peak * [size[0], size[1]], (60, 220, 255), 4)
    disc(tiles[-1], example.predicted * [size[0], size[1]], (60, 220, 255), 4)
    gap = np.full((high, 4, 3), INK, np.uint8)
    joined = [part for tile in tiles for part in (tile, gap)][:-1]
    return np.concatenate(joined, 1)


def draw_sensitivity(maps: Sequence[Sensitivity]) -> U8:
    """People side by side, red where a patch adds error, full red at the maximum."""
    high = _TILE[0] // 2
    tiles = []
    for found in maps:
        zoom = high / found.picture.shape[0]
        size = (round(found.picture.shape[1] * zoom), high)
        base = cv2.resize(found.picture, size, interpolation=cv2.INTER_CUBIC)
        dull = (np.asarray(base, np.uint8) * 0.45 + 60).astype(np.uint8)
        heat = np.zeros((high, size[0]))
        grown = np.maximum(found.map, 0)
        ends = (found.left[[0, -1]] + found.patch / 2), (found.top[[0, -1]] + found.patch / 2)
        (x0, x1), (y0, y1) = ((e * zoom).round().astype(int) for e in ends)
        inner = cv2.resize(
            grown, (max(x1 - x0, 1), max(y1 - y0, 1)), interpolation=cv2.INTER_LINEAR
        )
        heat[y0 : y0 + inner.shape[0], x0 : x0 + inner.shape[1]] = inner
        tiles.append(heated(dull, heat, np.zeros(dull.shape[:2])))
        tiles.append(np.full((high, 4, 3), INK, np.uint8))
    return np.concatenate(tiles[:-1], 1)


def heated(base: U8, heat: F64, cover: F64) -> U8:
    """Heat (h, w) in red over a picture, the strongest opaque; the edges of `cover` in blue."""
    size = (base.shape[1], base.shape[0])
    grown = cv2.resize(heat / max(float(heat.max()), 1e-12), size, interpolation=cv2.INTER_CUBIC)
    alpha = np.clip(grown, 0, 1)[..., None] ** 0.7 * 0.9
    out: U8 = (base * (1 - alpha) + np.array(_HEAT) * alpha).astype(np.uint8)
    mask = (cv2.resize(cover, size, interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.uint8)
    edges, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, edges, -1, (120, 200, 255), 1, cv2.LINE_AA)
    return out


def ring(tile: U8, at: F64, colour: Colour, radius: int) -> None:
    """Draw a circle with an edge round a place in continuous pixels."""
    for width, ink in ((4, INK), (2, colour)):
        cv2.circle(tile, _at(at), radius << SHIFT, ink, width, cv2.LINE_AA, SHIFT)


def disc(tile: U8, at: F64, colour: Colour, radius: int) -> None:
    """Draw a dot with an edge at a place in continuous pixels."""
    for grow, ink in ((1, INK), (0, colour)):
        cv2.circle(tile, _at(at), (radius + grow) << SHIFT, ink, -1, cv2.LINE_AA, SHIFT)


def _at(place: F64) -> tuple[int, int]:
    x, y = np.clip(np.nan_to_num(place, nan=-FAR_PX), -FAR_PX, FAR_PX) - 0.5
    return round(float(x) * (1 << SHIFT)), round(float(y) * (1 << SHIFT))


def report(
    evaluation: Evaluation,
    skeleton: Skeleton,
    *,
    cases: Sequence[Case] = (),
    examples: Sequence[AttentionExample] = (),
    patched: Sequence[Sensitivity] = (),
) -> bytes:
    """The page of an evaluation, with pictures of `cases`, `examples` and `patched`."""
    about, metrics = evaluation.about, evaluation.metrics
    return render(
        "evaluation.html",
        name=about.get("name", "evaluation"),
        about=about,
        metrics=metrics,
        number=number,
        percent=percent,
        ratio=ratio,
        margin=_margin,
        headline=_headline(metrics),
        ambiguous=(AMBIGUOUS_FROM, VISIBLE_THRESHOLD),
        patches=_patches(patched) if patched else None,
        examples=[_example(example, skeleton) for example in examples],
        cases=[_case(case) for case in cases],
        limits=_limits(evaluation),
        options=[
            (
                key.replace("_", " "),
                ", ".join(map(str, v)) if isinstance(v, list | tuple) else str(v),
            )
            for key, v in sorted((about | {"skeleton": skeleton.title}).items())
        ],
        **_tables(metrics),
        **_charts(metrics),
    )


def _headline(metrics: Mapping[str, Any]) -> dict[str, str]:
    out = {}
    for part in ("visible", "hidden"):
        found = lookup(metrics, "localization", part, "PCK@0.1")
        out[f"PCK@0.1, {part} ({range_text(found)})"] = percent(found)
    lost = lookup(metrics, "counterfactual", "newly_hidden")
    out[f"points by the occluder, where it hides ({range_text(lost)})"] = percent(lost, signed=True)
    out["AP of all joints"] = percent(lookup(metrics, "precision", "all", "AP"))
    out["AP of hidden joints"] = percent(lookup(metrics, "precision", "hidden", "AP"))
    out["AUROC: visible or hidden"] = number(lookup(metrics, "visibility", "AUROC"), 3)
    who = metrics.get("latency", {}).get("of", "person")
    out[f"ms a {who} (p50)"] = number(lookup(metrics, "latency", "p50_ms"), 1)
    return out


def _tables(metrics: Mapping[str, Any]) -> dict[str, Any]:
    def accuracy(part: str, name: str) -> str:
        found = lookup(metrics, "localization", part, name)
        if isinstance(found, dict):
            return interval(found)
        return number(found, 1) if name == "EPE_px" else percent(found)

    def precisions(*path: str) -> list[str]:
        return [percent(lookup(metrics, *path, name)) for name in _AP]

    labels = {"predicted": "as predicted", "never_outside": "were none predicted outside"}
    lost = metrics.get("counterfactual", {})
    changes = {
        "newly_hidden": "joints that the occluder hides",
        "still_visible": "joints that it leaves visible",
    }
    lifted = metrics.get("lifting", {})
    return {
        "pck_names": _PCK,
        "by_state": [(part, *(accuracy(part, name) for name in _PCK)) for part in _PARTS],
        "precision": [(part, *precisions("precision", part)) for part in _PARTS],
        "whole_body": [
            (part.replace("_", " "), *precisions("whole_body", part))
            for part in metrics.get("whole_body", {})
        ],
        "extended_precision": [
            (label, *precisions("extended_precision", name)) for name, label in labels.items()
        ],
        "by_cause": [
            (name, row.get("joints", 0), interval(row.get("PCK@0.1")), percent(row.get("AP")))
            for name, row in metrics.get("by_cause", {}).items()
        ],
        "prior": [
            (
                part,
                percent(lookup(metrics, "prior", part, "mean_pose_PCK@0.1")),
                number(lookup(metrics, "prior", part, "skill"), 2),
            )
            for part in _PARTS
        ],
        "by_joint": [
            (name.replace("_", " "), *(percent(row.get(part)) for part in _PARTS))
            for name, row in metrics.get("by_joint", {}).items()
        ],
        "cost_of_occluder": [
            (label, lost[name]["joints"], interval(lost[name], signed=True))
            for name, label in changes.items()
            if name in lost
        ],
        "lifting_names": _LIFTING,
        "lifting": [
            (part, *(number(lookup(lifted, part, name), 0) for name in _LIFTING))
            for part in _PARTS
            if part in lifted
        ],
    }


def _charts(metrics: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "curves": [
            ("By occluded fraction of the person", *pck_curve(metrics, "by_fraction")),
            ("By crowd index of the frame", *pck_curve(metrics, "by_crowd")),
        ]
    }
    if seen := metrics.get("visibility"):
        causes = list(seen["causes"])
        out["reliability"] = pages.reliability(**seen["reliability"])
        out["confusion"] = pages.heat(causes, causes, seen["cause_confusion"])
    return out


def pck_curve(metrics: Mapping[str, Any], name: str) -> tuple[Markup, str]:
    """PCK@0.1 over bins of a value, and the people in each."""
    bins = metrics.get(name, ())
    series: dict[str, list[pages.Point]] = {part: [] for part in reversed(_PARTS)}
    for row in bins:
        middle = (row["from"] + row["to"]) / 2
        for part, line in series.items():
            found = row.get(part)
            if row["people"] and value_of(found) is not None:
                line.append((middle, found["value"], found["low"] or 0, found["high"] or 0))
    across = "occluded fraction" if name == "by_fraction" else "crowd index"
    people = ", ".join(f"{r['from']:g} to {r['to']:g}: {r['people']:,}" for r in bins)
    return pages.curves(series, across=across, up="PCK@0.1"), people


def _margin(found: Mapping[str, Any]) -> str:
    """A margin over a baseline; a star: its interval excludes zero."""
    clear = value_of(found["low"]) is not None and found["low"] * found["high"] > 0
    return ratio(found, 3) + (" *" if clear else "")


def _patches(patched: Sequence[Sensitivity]) -> Picture:
    tiles = draw_sensitivity(patched)
    alt = "error added by a grey patch at each position"
    return embed(tiles, "evenly spaced people", alt=alt, width=tiles.shape[1])


def _example(example: AttentionExample, skeleton: Skeleton) -> Picture:
    joint = skeleton.joints[example.joint].replace("_", " ")
    error = float(np.linalg.norm(example.predicted - example.true))
    caption = Markup(
        "{}, hidden by {}: predicted {:.0%} of the window off "
        '<span class="soft">frame {}, person {}</span>'
    ).format(joint, example.cause, error, example.frame, example.instance)
    alt = f"attention of the network for a {joint}"
    return embed(draw_example(example, skeleton), caption, alt=alt)


def _case(case: Case) -> Picture:
    fraction = f", {case.fraction:.0%} hidden" if np.isfinite(case.fraction) else ""
    caption = Markup(
        "{} hidden joints, {:.0%} of the box off on average{} "
        '<span class="soft">frame {}, person {} {}</span>'
    ).format(
        case.hidden, case.error, fraction, case.frame, case.instance, case.family.replace("_", " ")
    )
    alt = f"frame {case.frame}: truth at the left, prediction at the right"
    return embed(case.rgb, caption, alt=alt)


def _limits(evaluation: Evaluation) -> list[str]:
    about, metrics = evaluation.about, evaluation.metrics
    groups = len(np.unique(evaluation.predictions.group))
    lines = []
    if evaluation.found is None:
        lines.append(
            "Every person was cropped by the true amodal box. Detected boxes are less accurate, "
            "and these metrics do not include that error."
        )
    lines += [
        "Intervals resample moments, not trained networks: this is one training run. "
        "Another seed gives another network; compare several with synthstudio compare.",
        "People come from the data set named above. Drawn people say little about photos: "
        "evaluate on photos before relying on it there.",
    ]
    lines += filter(None, [few_groups_note(groups)])
    missing = [c for c in ("self", "person", "object") if c not in metrics.get("by_cause", {})]
    if missing:
        lines.append(f"No joint here is hidden by {', '.join(missing)}.")
    if not metrics.get("counterfactual", {}).get("pairs"):
        lines.append("No clean frames here: the effect of an occluder is unknown.")
    if about.get("trained_here") and not about.get("notes"):
        lines.append("The network was trained on other people of this data set.")
    return lines + [str(note) for note in about.get("notes", ())]
