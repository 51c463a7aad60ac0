"""An evaluation as one self-contained HTML page: no script, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
from synthstudio.report import charts, plots
from synthstudio.report.evaluation_drawings import Case, harmed, looked
from synthstudio.report.html import (
    card,
    cards,
    details,
    escape,
    page,
    picture,
    section,
    shots,
    table,
    tiles,
)

_PARTS = ("all", "visible", "hidden")
_LINKS = (
    ("places", "Where joints are"),
    ("joints", "Each joint"),
    ("curves", "Under occlusion"),
    ("known", "What is hidden"),
    ("depth", "In 3D"),
    ("looks", "What it looks at"),
    ("cost", "Time and memory"),
    ("worst", "Worst cases"),
    ("limits", "Known limits"),
)
_FEW_GROUPS = 50


def report(
    made: Evaluation,
    skeleton: Skeleton,
    *,
    cases: Sequence[Case] = (),
    examples: Sequence[AttentionExample] = (),
    patched: Sequence[Sensitivity] = (),
) -> bytes:
    """Return the page of an evaluation, with pictures of `cases`, `examples`, `patched`."""
    told = made.metrics
    body = [
        plots.STYLE,
        _header(made),
        _places(told),
        _joints(told),
        _curves(told),
        _known(told),
        _depth(told),
        _looks(told, examples, patched, skeleton),
        _cost(told),
        _worst(cases, skeleton),
        _limits(made),
        _asked(made),
    ]
    return page(f"{made.about.get('name', 'evaluation')}: evaluation", body)


def _header(made: Evaluation) -> str:
    about, told = made.about, made.metrics
    figures = {}
    for part in ("visible", "hidden"):
        found = lookup(told, "places", part, "PCK@0.1")
        figures[f"PCK@0.1, {part} ({range_text(found)})"] = percent(value_of(found))
    lost = lookup(told, "counterfactual", "newly_hidden")
    name = f"points by the occluder, where it hides ({range_text(lost)})"
    figures[name] = points(value_of(lost))
    figures["AP of all joints"] = percent(lookup(told, "precision", "all", "AP"))
    figures["AP of hidden joints"] = percent(lookup(told, "precision", "hidden", "AP"))
    figures["AUROC: visible or hidden"] = number(lookup(told, "visibility", "AUROC"), 3)
    figures["ms a person (p50)"] = number(lookup(told, "latency", "p50_ms"), 1)
    counts = told.get("counts", {})
    lead = (
        f"{about.get('block', 'network')} asked about {counts.get('people', 0):,} people of "
        f"{about.get('dataset', '')}{_split(about)}: {counts.get('joints', 0):,} joints, of which "
        f"{counts.get('hidden', 0):,} are hidden."
    )
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in _LINKS)
    return (
        f'<header><h1>{escape(about.get("name", "evaluation"))}</h1><p class="lead">'
        f"{escape(lead)}</p><nav>{links}</nav></header>{tiles(figures)}"
    )


def _places(told: Mapping[str, Any]) -> str:
    names = ("PCK@0.05", "PCK@0.1", "PCK@0.2", "PCK-AUC", "PCKh@0.5", "torso PCK@0.2", "EPE_px")
    rows = []
    for part in _PARTS:
        cells = []
        for name in names:
            found = lookup(told, "places", part, name)
            plain = number(found, 1) if name == "EPE_px" else percent(found)
            cells.append(interval(found) if isinstance(found, dict) else plain)
        rows.append((part, *cells))
    ap = ("AP", "AP50", "AP75", "AR")
    precise = [
        (part, *(percent(lookup(told, "precision", part, n)) for n in ap)) for part in _PARTS
    ]
    causes = [
        (name, row.get("joints", 0), interval(row.get("PCK@0.1")), percent(row.get("AP")))
        for name, row in told.get("by_cause", {}).items()
    ]
    prior = [
        (
            part,
            percent(lookup(told, "prior", part, "mean_pose_PCK@0.1")),
            number(lookup(told, "prior", part, "skill"), 2),
        )
        for part in _PARTS
    ]
    return section(
        "places",
        "Where joints are",
        card(
            "By state",
            table(("joints", *names), rows),
            note="In percent, with 95 % intervals over moments. PCK: within so much of the "
            "longer side of the amodal box; PCKh of the head's length, torso PCK of the way from "
            "the left shoulder to the right hip.",
        ),
        cards(
            card(
                "Average precision by state",
                table(("joints", *ap), precise),
                note="OKS by pycocotools' code, amodal area; hidden: only hidden joints count.",
            ),
            _beyond(told.get("beyond", {})),
            card("By cause", table(("cause", "joints", "PCK@0.1", "AP"), causes)),
            card(
                "Skill over the mean pose",
                table(("joints", "mean pose PCK@0.1", "skill"), prior),
                note="One who never looks answers the mean pose in the amodal box. Skill 0 is "
                "as good as that, 1 is perfect.",
            ),
            wide=True,
        ),
    )


def _beyond(told: Mapping[str, Any]) -> str:
    ap = ("AP", "AP50", "AP75", "AR")
    rows = [
        (label, *(percent(lookup(told, name, n)) for n in ap))
        for name, label in (("said", "as it says"), ("never_outside", "were none said to be out"))
    ]
    return card(
        "Joints outside the picture too",
        table(("by Ex-OKS", *ap), rows),
        note=f"{told.get('joints_outside', 0):,} joints lie outside what the network saw. One said "
        "to be outside is right if it is; else its distance to the edge counts. "
        f"Inside or outside: AUROC {number(told.get('AUROC'), 3)}.",
    )


def _joints(told: Mapping[str, Any]) -> str:
    rows = [
        (name.replace("_", " "), *(percent(row.get(part)) for part in _PARTS))
        for name, row in told.get("by_joint", {}).items()
    ]
    return section(
        "joints", "Each joint", card("PCK@0.1 by joint", table(("joint", *_PARTS), rows))
    )


def _curves(told: Mapping[str, Any]) -> str:
    def drawn(name: str, across: str) -> str:
        series: dict[str, list[plots.Point]] = {part: [] for part in reversed(_PARTS)}
        for row in told.get(name, ()):
            middle = (row["from"] + row["to"]) / 2
            for part, line in series.items():
                found = row.get(part)
                if row["people"] and value_of(found) is not None:
                    line.append((middle, found["value"], found["low"] or 0, found["high"] or 0))
        people = ", ".join(
            f"{r['from']:g} to {r['to']:g}: {r['people']:,}" for r in told.get(name, ())
        )
        return plots.curves(series, across=across, up="PCK@0.1") + (
            f'<p class="soft small">People: {escape(people)}</p>'
        )

    lost = told.get("counterfactual", {})
    rows = [
        (label, lost[name]["joints"], interval(lost[name], signed=True))
        for name, label in (
            ("newly_hidden", "joints that the occluder hides"),
            ("still_visible", "joints that it leaves visible"),
        )
        if name in lost
    ]
    same = (
        table(("the same joint", "joints", "change of PCK@0.1, points"), rows)
        if rows
        else '<p class="soft">no moment here has a frame without its occluder</p>'
    )
    return section(
        "curves",
        "Under occlusion",
        card(
            "What the occluder costs",
            same,
            note=f"{lost.get('pairs', 0):,} people with and without what hides them, all else "
            "the same.",
        ),
        cards(
            card("By occluded fraction of the person", drawn("by_fraction", "occluded fraction")),
            card("By crowd index of the frame", drawn("by_crowd", "crowd index")),
            wide=True,
        ),
    )


def _known(told: Mapping[str, Any]) -> str:
    seen = told.get("visibility", {})
    if not seen:
        nothing = '<p class="soft">This network says nothing about visibility.</p>'
        return section("known", "What is hidden", nothing)
    rows = [
        (
            "visible or hidden: AUROC",
            ratio(seen["AUROC"], 3),
            f"{ratio(seen['AUROC_of_peak'], 3)} (the first map's peak)",
            _margin(seen["AUROC_over_peak"]),
        ),
        (
            "",
            "",
            f"{ratio(seen['AUROC_of_mass'], 3)} (the answer's mass within the tolerance)",
            _margin(seen["AUROC_over_mass"]),
        ),
        (
            "cause of hidden joints: macro F1",
            ratio(seen["cause_F1"], 3),
            f"{ratio(seen['cause_F1_of_majority'], 3)} (always the commonest cause)",
            _margin(seen["cause_F1_over_majority"]),
        ),
        (
            "visible or hidden: macro F1",
            number(seen["state_F1"], 3),
            f"{number(seen['state_F1_of_majority'], 3)} (the commoner state)",
            "",
        ),
        ("Brier score, less is better", number(seen["Brier"], 3), "", ""),
        ("expected calibration error, less is better", number(seen["ECE"], 3), "", ""),
    ]
    curve = seen["reliability"]
    names = list(seen["causes"])
    return section(
        "known",
        "What is hidden",
        card(
            "Against one who does not look",
            table(("", "network", "bar", "margin, 95 %"), rows),
            note="In brackets 95 % intervals over moments; the margin draws the same moments for "
            "both, a star: it excludes zero. Ambiguous joints (visible between "
            f"{AMBIGUOUS_FROM} and {VISIBLE_THRESHOLD}) are "
            "left out.",
        ),
        cards(
            card(
                "Reliability",
                plots.reliability(curve["said"], curve["came"], curve["count"]),
                note="On the diagonal what is said comes true.",
            ),
            card(
                "Cause: truth down, answer across",
                charts.heat(names, names, seen["cause_confusion"]),
            ),
            wide=True,
        ),
    )


def _margin(found: Mapping[str, Any]) -> str:
    clear = value_of(found["low"]) is not None and found["low"] * found["high"] > 0
    return ratio(found, 3) + (" *" if clear else "")


def _depth(told: Mapping[str, Any]) -> str:
    lifted = told.get("lifting", {})
    names = ("MPJPE_mm", "N-MPJPE_mm", "PA-MPJPE_mm")
    rows = [
        (part, *(number(lookup(lifted, part, name), 0) for name in names))
        for part in _PARTS
        if part in lifted
    ]
    if not rows:
        return section("depth", "In 3D", '<p class="soft">No places in 3D to measure.</p>')
    return section(
        "depth", "In 3D", card("Millimetres, relative to the root", table(("joints", *names), rows))
    )


def _looks(
    told: Mapping[str, Any],
    examples: Sequence[AttentionExample],
    patched: Sequence[Sensitivity],
    skeleton: Skeleton,
) -> str:
    parts = []
    found = told.get("attention", {})
    if found.get("people"):
        parts.append(_shunned(found))
    slid = told.get("sensitivity", {})
    if slid.get("people"):
        rows = [
            ("mean growth of the error, in longer sides of the box", number(slid["mean"], 4)),
            ("highest growth of a person's mean error", number(slid["max"], 3)),
            ("growth of a joint's error under the patch", number(slid["under_patch"], 3)),
            ("share of the harm done to joints elsewhere", percent(slid["elsewhere"])),
        ]
        parts.append(
            card(
                "A grey patch slides over people",
                table(("", ""), rows),
                _patches(patched) if patched else "",
                note=f"{slid['people']:,} people of whom most "
                "is seen; red where the middle of the patch harms, against the "
                "person's worst place.",
            )
        )
    if examples:
        parts.append(
            '<p class="soft">For one hidden joint each: attention to pixels, the nearest poses of '
            "the bank with that joint as a dot, and the answer's map. The ring is where the joint "
            "truly is, the blue line what hides the person, the blue dot the answer, small blue "
            "rings the separate peaks of its map.</p>"
        )
        parts.append(shots([_example(e, skeleton) for e in examples], large=True))
    if not parts:
        parts = ['<p class="soft">This network attends to nothing that it tells of.</p>']
    return section("looks", "What it looks at", *parts)


def _shunned(found: Mapping[str, Any]) -> str:
    person = found.get("person", {})
    rows = [
        (label, ratio(found[name]), ratio(person[name]) if person else "-")
        for name, label in (
            ("on_occluder", "on the occluder"),
            ("on_moved_mask", "on its mask moved by half the box (control)"),
            ("difference", "difference"),
        )
    ]
    rows.insert(1, ("the same, hidden joints alone", ratio(found["hidden_joints"]), ""))
    bar = value_of(found["on_occluder"].get("high"))
    verdict = "yes" if bar is not None and bar < 0.5 else "no"
    return card(
        "Attention over area share",
        table(("", "of the window", "of the person"), rows),
        note=f"{found['people']:,} people. 1: attention that does not care what is there. Of the "
        "window: an occluder's share of all that the network saw. Of the person: its share of the "
        "silhouette, of the mass on it; the control is what the moved mask covers of the visible "
        "part. Is attention on the occluder under half its share of the window, interval and "
        f"all? {verdict}.",
    )


def _patches(patched: Sequence[Sensitivity]) -> str:
    tile = harmed(patched)
    caption = "people chosen evenly, by no result"
    return picture(tile, caption, alt="where a grey patch harms each person", width=tile.shape[1])


def _example(example: AttentionExample, skeleton: Skeleton) -> str:
    joint = skeleton.joints[example.joint].replace("_", " ")
    off = float(np.linalg.norm(example.predicted - example.true))
    caption = (
        f"{joint}, hidden by {escape(example.cause)}: answered {off:.0%} of the window off "
        f'<span class="soft">frame {example.frame}, person {example.instance}</span>'
    )
    return picture(
        looked(example, skeleton), caption, alt=f"what the network looks at for a {joint}"
    )


def _cost(told: Mapping[str, Any]) -> str:
    found = told.get("latency", {})
    if not found:
        return section("cost", "Time and memory", '<p class="soft">not measured</p>')
    rows = [
        ("a person, mean", f"{number(found['mean_ms'], 2)} ms"),
        ("a person, half of the calls within (p50)", f"{number(found['p50_ms'], 2)} ms"),
        ("a person, 95 % of the calls within (p95)", f"{number(found['p95_ms'], 2)} ms"),
        (f"a batch of {found.get('batch', '?')}, a person", f"{number(found['batch_ms'], 2)} ms"),
        ("parameters", f"{found.get('parameters', 0):,}"),
        ("weights", f"{number(found['weights_mb'], 1)} MB"),
        (
            f"highest memory of the {found.get('peak_of', 'process')}",
            f"{number(found['peak_mb'], 0)} MB",
        ),
    ]
    told_of = f"On {found.get('device', 'an unknown device')}, {found.get('threads', '?')} threads."
    return section(
        "cost",
        "Time and memory",
        card("From a crop to joints", table(("", ""), rows), note=told_of),
    )


def _worst(cases: Sequence[Case], skeleton: Skeleton) -> str:
    if not cases:
        return section("worst", "Worst cases", '<p class="soft">Nobody here is hidden.</p>')
    legend = "".join(
        f'<span><i style="background:{charts.CAUSE_COLOURS[c]}"></i>hidden by {c}</span>'
        for c in ("self", "person", "object", "unknown")
    )
    figures = []
    for case in cases:
        fraction = f", {case.fraction:.0%} hidden" if np.isfinite(case.fraction) else ""
        caption = (
            f"{case.hidden} hidden joints, {case.error:.0%} of the box off on average{fraction} "
            f'<span class="soft">frame {case.frame}, person {case.instance} '
            f"{escape(case.family.replace('_', ' '))}</span>"
        )
        alt = f"frame {case.frame}: truth at the left, answer at the right"
        figures.append(picture(case.rgb, caption, alt=alt))
    return section(
        "worst",
        "Worst cases",
        '<p class="soft">Truth at the left, answer at the right. Rings are hidden joints, in the '
        "truth in the colour of their cause; red lines lead from an answer to the truth.</p>",
        f'<p class="legend">{legend}</p>',
        shots(figures, large=True),
    )


def _limits(made: Evaluation) -> str:
    about, told = made.about, made.metrics
    groups = len(np.unique(made.predictions.group))
    lines = [
        "Every person was cut out by the true amodal box. A detector's box is less exact, and "
        "these figures do not show what that costs.",
        "Intervals draw moments anew, not trained networks: one training run is judged here. "
        "Another seed gives another network; compare several with synthstudio compare.",
        "People come from the data set named above. Drawn people say little about photos: "
        "evaluate on photos before relying on it there.",
    ]
    if groups < _FEW_GROUPS:
        lines.append(f"Only {groups} moments: intervals over so few are too narrow.")
    missing = [c for c in ("self", "person", "object") if c not in told.get("by_cause", {})]
    if missing:
        lines.append(f"No joint here is hidden by {', '.join(missing)}.")
    if not told.get("counterfactual", {}).get("pairs"):
        lines.append("No clean frames here: what an occluder costs is unknown.")
    if about.get("trained_here") and not about.get("notes"):
        lines.append("The network was trained on other people of this very data set.")
    lines += [str(note) for note in about.get("notes", ())]
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return section("limits", "Known limits", f"<ul>{items}</ul>")


def _asked(made: Evaluation) -> str:
    rows = [(k.replace("_", " "), _plain(v)) for k, v in sorted(made.about.items())]
    return details("What was asked, of what", table(("", ""), rows))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _split(about: Mapping[str, Any]) -> str:
    return f" ({', '.join(about['splits'])})" if about.get("splits") else ""
