"""An evaluation as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import AMBIGUOUS_FROM, VISIBLE_THRESHOLD
from synthstudio.evaluation.attention import AttentionExample, Sensitivity
from synthstudio.evaluation.formatting import (
    interval,
    lookup,
    number,
    percent,
    points,
    range_text,
    ratio,
    value_of,
)
from synthstudio.evaluation.storage import Evaluation
from synthstudio.report import plots
from synthstudio.report.evaluation_drawings import Case, draw_example, draw_sensitivity
from synthstudio.report.html import Picture, embed, render

_PARTS = ("all", "visible", "hidden")
_PCK = ["PCK@0.05", "PCK@0.1", "PCK@0.2", "PCK-AUC", "PCKh@0.5", "torso PCK@0.2", "EPE_px"]
_AP = ("AP", "AP50", "AP75", "AR")
_LIFTING = ["MPJPE_mm", "N-MPJPE_mm", "PA-MPJPE_mm"]
_FEW_GROUPS = 50


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
        cause_colours=plots.CAUSE_COLOURS,
        ambiguous=(AMBIGUOUS_FROM, VISIBLE_THRESHOLD),
        averted=_averted(metrics),
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
        found = lookup(metrics, "places", part, "PCK@0.1")
        out[f"PCK@0.1, {part} ({range_text(found)})"] = percent(found)
    lost = lookup(metrics, "counterfactual", "newly_hidden")
    out[f"points by the occluder, where it hides ({range_text(lost)})"] = points(lost)
    out["AP of all joints"] = percent(lookup(metrics, "precision", "all", "AP"))
    out["AP of hidden joints"] = percent(lookup(metrics, "precision", "hidden", "AP"))
    out["AUROC: visible or hidden"] = number(lookup(metrics, "visibility", "AUROC"), 3)
    who = metrics.get("latency", {}).get("of", "person")
    out[f"ms a {who} (p50)"] = number(lookup(metrics, "latency", "p50_ms"), 1)
    return out


def _tables(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of the tables, by their names in the template."""
    by_state = []
    for part in _PARTS:
        cells = []
        for name in _PCK:
            found = lookup(metrics, "places", part, name)
            plain = number(found, 1) if name == "EPE_px" else percent(found)
            cells.append(interval(found) if isinstance(found, dict) else plain)
        by_state.append((part, *cells))

    def precisions(*path: str) -> list[str]:
        return [percent(lookup(metrics, *path, name)) for name in _AP]

    labels = {"said": "as predicted", "never_outside": "were none predicted outside"}
    lost = metrics.get("counterfactual", {})
    changes = {
        "newly_hidden": "joints that the occluder hides",
        "still_visible": "joints that it leaves visible",
    }
    lifted = metrics.get("lifting", {})
    return {
        "pck_names": _PCK,
        "by_state": by_state,
        "precision": [(part, *precisions("precision", part)) for part in _PARTS],
        "whole_body": [
            (part.replace("_", " "), *precisions("whole_body", part))
            for part in metrics.get("whole_body", {})
        ],
        "extended_precision": [
            (label, *precisions("beyond", name)) for name, label in labels.items()
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
            ("By occluded fraction of the person", *_curve(metrics, "by_fraction")),
            ("By crowd index of the frame", *_curve(metrics, "by_crowd")),
        ]
    }
    if seen := metrics.get("visibility"):
        curve, causes = seen["reliability"], list(seen["causes"])
        out["reliability"] = plots.reliability(curve["said"], curve["came"], curve["count"])
        out["confusion"] = plots.heat(causes, causes, seen["cause_confusion"])
    return out


def _curve(metrics: Mapping[str, Any], name: str) -> tuple[Markup, str]:
    """PCK@0.1 over bins of a value, and the people in each."""
    bins = metrics.get(name, ())
    series: dict[str, list[plots.Point]] = {part: [] for part in reversed(_PARTS)}
    for row in bins:
        middle = (row["from"] + row["to"]) / 2
        for part, line in series.items():
            found = row.get(part)
            if row["people"] and value_of(found) is not None:
                line.append((middle, found["value"], found["low"] or 0, found["high"] or 0))
    across = "occluded fraction" if name == "by_fraction" else "crowd index"
    people = ", ".join(f"{r['from']:g} to {r['to']:g}: {r['people']:,}" for r in bins)
    return plots.curves(series, across=across, up="PCK@0.1"), people


def _margin(found: Mapping[str, Any]) -> str:
    """A margin over a baseline; a star: its interval excludes zero."""
    clear = value_of(found["low"]) is not None and found["low"] * found["high"] > 0
    return ratio(found, 3) + (" *" if clear else "")


def _averted(metrics: Mapping[str, Any]) -> bool:
    """Whether attention on the occluder is under half its area share, the whole interval."""
    bound = value_of(lookup(metrics, "attention", "on_occluder", "high"))
    return bound is not None and bound < 0.5


def _patches(patched: Sequence[Sensitivity]) -> Picture:
    tiles = draw_sensitivity(patched)
    alt = "where a grey patch adds error to each person"
    return embed(tiles, "people chosen evenly, by no result", alt=alt, width=tiles.shape[1])


def _example(example: AttentionExample, skeleton: Skeleton) -> Picture:
    joint = skeleton.joints[example.joint].replace("_", " ")
    error = float(np.linalg.norm(example.predicted - example.true))
    caption = Markup(
        "{}, hidden by {}: predicted {:.0%} of the window off "
        '<span class="soft">frame {}, person {}</span>'
    ).format(joint, example.cause, error, example.frame, example.instance)
    alt = f"what the network looks at for a {joint}"
    return embed(draw_example(example, skeleton), caption, alt=alt)


def _case(case: Case) -> Picture:
    fraction = f", {case.fraction:.0%} hidden" if np.isfinite(case.fraction) else ""
    caption = Markup(
        "{} hidden joints, {:.0%} of the box off on average{} "
        '<span class="soft">frame {}, person {} {}</span>'
    ).format(
        case.hidden,
        case.error,
        fraction,
        case.frame,
        case.instance,
        case.family.replace("_", " "),
    )
    alt = f"frame {case.frame}: truth at the left, prediction at the right"
    return embed(case.rgb, caption, alt=alt)


def _limits(evaluation: Evaluation) -> list[str]:
    about, metrics = evaluation.about, evaluation.metrics
    groups = len(np.unique(evaluation.predictions.group))
    lines = [
        "Every person was cut out by the true amodal box. A detector's box is less exact, and "
        "these metrics do not show what that costs.",
        "Intervals draw moments anew, not trained networks: one training run is judged here. "
        "Another seed gives another network; compare several with synthstudio compare.",
        "People come from the data set named above. Drawn people say little about photos: "
        "evaluate on photos before relying on it there.",
    ]
    if groups < _FEW_GROUPS:
        lines.append(f"Only {groups} moments: intervals over so few are too narrow.")
    missing = [c for c in ("self", "person", "object") if c not in metrics.get("by_cause", {})]
    if missing:
        lines.append(f"No joint here is hidden by {', '.join(missing)}.")
    if not metrics.get("counterfactual", {}).get("pairs"):
        lines.append("No clean frames here: what an occluder costs is unknown.")
    if about.get("trained_here") and not about.get("notes"):
        lines.append("The network was trained on other people of this very data set.")
    return lines + [str(note) for note in about.get("notes", ())]
