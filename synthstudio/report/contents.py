"""The sections of a data set's report: facts in, HTML out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from synthstudio.core.bins import FRACTIONS, HEIGHTS, VIEWS, WEIGHTS
from synthstudio.core.labels import CAUSES
from synthstudio.core.skeleton import COLOURS
from synthstudio.dataset.reader import Dataset
from synthstudio.quality import asked as asking
from synthstudio.quality.asked import unmet
from synthstudio.quality.coverage import UNKNOWN, Coverage, thin_pairs
from synthstudio.report import charts
from synthstudio.report.facts import Facts
from synthstudio.report.html import card, cards, details, escape, section, shots, table, tiles

_LINKS = (
    ("examples", "Examples"),
    ("made", "How it was made"),
    ("licences", "Licences"),
    ("distributions", "Distributions"),
    ("asked", "Asked and achieved"),
    ("audit", "Audit"),
    ("limits", "Known limits"),
    ("datasheet", "Datasheet"),
)
_AXES = {
    "occluded fraction": "How much of a person is hidden",
    "view": "The side of the body that the camera sees",
    "cause": "What hides a joint",
    "more": "More of its people",
}
_MARKS = (
    ("●", "visible"),
    ("○", "hidden by itself"),
    ("△", "by a person"),
    ("□", "by a thing"),
    ("✕", "outside"),
    ("┄", "hidden bone, or box of the whole person"),
)
_TENTHS = tuple(f"{k / 10:.1f} to {(k + 1) / 10:.1f}" for k in range(10))
_TENTHS_AXIS = ("0", "", "", "", "", ".5", "", "", "", "1")


def name_of(dataset: Dataset) -> str:
    """Return what the recipe calls itself."""
    return str(dataset.identity.recipe.get("name", "data set"))


def header(dataset: Dataset, facts: Facts, audit: Mapping[str, Any] | None) -> str:
    """Return the title, what the set is in one line, and the large figures."""
    stats, identity = facts.stats, dataset.identity
    total = max(1, stats["joints_total"])
    causes = stats["causes"]
    figures: dict[str, object] = {
        "frames": f"{stats['frames']:,}",
        "people": f"{stats['people']:,}",
        "identities": f"{stats['identities']:,}",
        "labelled joints": f"{stats['joints_total']:,}",
        "of joints seen": f"{causes['visible'] / total:.0%}",
        "hidden by others": f"{(causes['person'] + causes['object']) / total:.0%}",
        "mean occluded": _percent(stats["occluded_fraction"]["mean"]),
    }
    if audit is not None:
        figures["audit disagreement"] = f"{float(audit.get('disagreement_rate', 0)):.3%}"
    told = str(identity.recipe.get("description") or "People and what hides their joints.")
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in _LINKS)
    by = str(identity.derived.get("by", ""))
    derived = f" Made of other sets by {escape(by)}." if by else ""
    return (
        f'<header><h1>{escape(name_of(dataset))}</h1><p class="lead">{escape(told)}{derived}</p>'
        f"<nav>{links}</nav></header>{tiles(figures)}"
    )


def examples(figures: Sequence[tuple[str, str]]) -> str:
    """Return example frames under a heading for each axis; `figures` holds (axis, figure)."""
    sides = "".join(
        f'<span><i style="background:rgb{COLOURS[side]}"></i>person\'s {side}</span>'
        for side in ("left", "right")
    )
    marks = "".join(f"<span>{mark} {escape(told)}</span>" for mark, told in _MARKS)
    parts = [f'<p class="legend soft">{marks}{sides}</p>']
    for axis, title in _AXES.items():
        own = [figure for name, figure in figures if name == axis]
        if own:
            parts.append(f'<h3 style="margin:22px 0 10px">{escape(title)}</h3>{shots(own)}')
    return section("examples", "Examples", *parts)


def made(dataset: Dataset, facts: Facts) -> str:
    """Return recipe, seed, versions, machine and what it was derived from."""
    identity = dataset.identity
    rows = [
        ("recipe", name_of(dataset)),
        ("seed", str(identity.seed)),
        ("skeleton", f"{identity.skeleton}, {len(facts.coverage.skeleton.joints)} joints"),
        ("picture size", ", ".join(f"{k} ({v:,})" for k, v in list(facts.sizes.items())[:4])),
        ("splits", _listed(facts.stats["splits"])),
        ("variants", _listed(facts.stats["variants"])),
        ("synthstudio", identity.versions.get("synthstudio", "unknown")),
        (
            "machine kind",
            ", ".join(
                identity.machine[k] for k in ("cpu", "device", "system") if identity.machine.get(k)
            ),
        ),
        ("frames that can be made again", f"{facts.replayable:,} of {facts.stats['frames']:,}"),
        ("frames that failed", str(len(dataset.failed))),
    ]
    parts = [card("Identity", table(("", ""), rows))]
    if identity.derived:
        parts.append(card("Made of other data sets", _derived(identity.derived)))
    if dataset.mixed:
        lines = [line for note in dataset.mixed for line in note.get("differences", [])]
        parts.append(
            card(
                "Shards made differently",
                "<ul>" + _items(lines[:40]) + "</ul>",
                note="Some shards were made with another recipe, version or machine.",
            )
        )
    recipe = yaml.safe_dump(identity.recipe, sort_keys=False, allow_unicode=True)
    parts += [
        details("The whole recipe", f"<pre>{escape(recipe)}</pre>"),
        details("Versions", table(("package", "release"), sorted(identity.versions.items()))),
        details("What the numbers mean", table(("", ""), sorted(identity.conventions.items()))),
    ]
    return section("made", "How it was made", *parts)


def _derived(derived: Mapping[str, Any]) -> str:
    told = {k: v for k, v in derived.items() if k not in ("sources", "by", "left_out")}
    rows = [
        (
            source["identity"].get("recipe", {}).get("name", "?"),
            source["identity"]["seed"],
            source["frames"],
            source["people"],
            source["index_sha256"][:12],
        )
        for source in derived.get("sources", ())
    ]
    line = "; ".join(f"{k}: {v}" for k, v in told.items())
    lead = f"<p>{escape(derived.get('by', ''))} <code>{escape(line)}</code></p>"
    return lead + table(("recipe", "seed", "frames", "people", "index.json"), rows)


def licences(dataset: Dataset, facts: Facts) -> str:
    """Return the ledger of files from outside, by licence."""
    assets = dataset.identity.assets
    if not assets and facts.outside:
        return section(
            "licences",
            "Licences",
            f'<p class="warn">{facts.outside:,} pictures came from outside and nothing here says '
            "under which licence: do not publish the set before that is settled.</p>",
        )
    if not assets:
        return section(
            "licences",
            "Licences",
            "<p>Nothing in these pictures came from outside: every body, garment, thing, room "
            "and texture was made by the program. Bodies are Anny's (code Apache-2.0, data CC0)."
            "</p>",
        )
    by: dict[str, list[Any]] = {}
    for asset in assets:
        by.setdefault(asset.licence or "not stated", []).append(asset)
    parts = [f"<p>{len(assets)} files from outside, under {len(by)} licences.</p>"]
    if "not stated" in by:
        parts.append(
            f'<p class="warn">{len(by["not stated"])} files state no licence: do not publish the '
            "set before that is settled.</p>"
        )
    for licence, rows in sorted(by.items()):
        listed = table(
            ("file", "category", "source", "sha256"),
            [(r.name, r.category, r.source, r.sha256[:12]) for r in rows[:500]],
        )
        parts.append(details(f"{licence}: {len(rows)}", listed))
    return section("licences", "Licences", *parts)


def distributions(dataset: Dataset, facts: Facts) -> str:
    """Return charts of everything that is counted."""
    stats, found = facts.stats, facts.coverage
    per = {name: {c: row[c] for c in CAUSES} for name, row in stats["joints"].items()}
    per["all joints"] = stats["causes"]
    joints = card(
        "Joints by cause",
        charts.stacked(per, charts.CAUSE_COLOURS),
        note="Visible, or what hides most of the joint. The figure at the right is the first part.",
    )
    body = found.of_people("body").tolist()
    rows = [(g, w) for g in ("men", "women") for w in WEIGHTS]
    bodies = [body[k * len(HEIGHTS) : (k + 1) * len(HEIGHTS)] for k in range(len(rows))]
    unknown = '<p class="soft">unknown for all</p>'
    dressed = charts.bars(facts.skin) if any(facts.skin.values()) else unknown
    built = charts.heat([f"{g}, {w}" for g, w in rows], HEIGHTS, bodies)
    small = cards(
        _tenths("Occluded fraction of people", stats["occluded_fraction"]),
        _tenths("Share of people outside the frame", stats["truncated_fraction"]),
        _tenths("Crowd index of frames", stats["crowd_index"]),
        card("People in a frame", charts.bars(stats["people_per_frame"], most=14)),
        card("View", charts.bars(_named(found, "view"))),
        card(
            "Skin tone",
            dressed,
            note="By individual typology angle of the albedo, before light and exposure.",
        ),
        card("Pose families", charts.bars(_sorted(_named(found, "family")), most=16)),
        card("Bodies", built if any(map(any, bodies)) else unknown),
        card(
            "What hides joints",
            charts.bars(stats["hidden_by_kind"], most=14),
            note="Things, by how many joints they hide most of.",
        ),
        card("Things in frames", charts.bars(stats["things"], most=14)),
        card("Backdrops", charts.bars(facts.backdrops)),
        card(
            "Height of the sun",
            unknown
            if not any(facts.lights)
            else charts.columns(
                [f"{10 * k} to {10 * k + 10} degrees" for k in range(9)],
                facts.lights,
                axis=("0", "", "", "30", "", "", "60", "", "90"),
            ),
        ),
    )
    crossed = cards(
        card("Cause by occluded fraction (joints)", _heat(found, "cause", "fraction")),
        card("View by occluded fraction (people)", _heat(found, "view", "fraction")),
        wide=True,
    )
    parts = [joints, small, crossed]
    if found.of_people("view")[: len(VIEWS)].any():
        parts += [
            card("Joint by view (hidden joints)", _hidden_by_view(found)),
            card("Pose family by view (people)", _heat(found, "family", "view")),
        ]
    return section("distributions", "Distributions", *parts)


def _tenths(title: str, histogram: Mapping[str, Any]) -> str:
    mean = histogram["mean"]
    if mean is None:
        return card(title, '<p class="soft">unknown for all</p>')
    note = f"mean {mean:.3f}; {histogram['zero']:,} are 0"
    if histogram["unknown"]:
        note += f"; {histogram['unknown']:,} unknown"
    return card(title, charts.columns(_TENTHS, histogram["counts"], axis=_TENTHS_AXIS), note=note)


def _named(found: Coverage, axis: str) -> dict[str, int]:
    counts = found.of_people(axis).tolist()
    pairs = zip(found.labels[axis], counts, strict=True)
    return {name: n for name, n in pairs if n or name != UNKNOWN}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _heat(found: Coverage, rows: str, columns: str) -> str:
    joints = {"joint", "cause"} & {rows, columns}
    counts = found.of_joints(rows, columns) if joints else found.of_people(rows, columns)
    keep, across = counts.sum(axis=1) > 0, counts.sum(axis=0) > 0
    names = [n for n, k in zip(found.labels[rows], keep, strict=True) if k]
    heads = [n for n, k in zip(found.labels[columns], across, strict=True) if k]
    return charts.heat(names, heads, counts[keep][:, across].tolist())


def _hidden_by_view(found: Coverage) -> str:
    hidden = [CAUSES.index(c) for c in ("self", "person", "object")]
    counts = found.counts[:, hidden].sum(axis=(1, 2, 4, 5))[:, : len(VIEWS)]
    return charts.heat(found.skeleton.joints, VIEWS, counts.tolist())


def asked(dataset: Dataset, facts: Facts) -> str:
    """Return what the recipe asked of people against what their labels say."""
    targets = facts.stats["targets"]
    lines = asking.text(targets)
    if not lines:
        nobody = "<p>The recipe sets no targets: nothing was asked of anybody.</p>"
        return section("asked", "Asked and achieved", nobody)
    rows = [
        (f"hidden: {name}", f"{r['asked']:.1%}", f"{r['achieved']:.1%}", r["people"])
        for name, r in targets["joints"].items()
    ]
    rows += [
        (f"joints by cause: {name}", f"{r['asked']:.1%}", f"{r['achieved']:.1%}", r["people"])
        for name, r in targets["causes"].items()
    ]
    fraction, crowd = targets["occluded_fraction"], targets["crowd_index"]
    parts = []
    if fraction["people"]:
        parts.append(
            tiles(
                {
                    "error in the median": f"{fraction['median']:.3f}",
                    "error of 95 %": f"{fraction['p95']:.3f}",
                    "largest error": f"{fraction['max']:.3f}",
                    "Kolmogorov-Smirnov": f"{fraction['ks']:.3f}",
                    "people missed": f"{targets['missed']['share']:.1%}",
                }
            )
        )
    if crowd["frames"]:
        rows.append(
            (
                "crowd index of frames",
                f"{crowd['asked']:.3f}",
                f"{crowd['achieved']:.3f}",
                crowd["frames"],
            )
        )
    if rows:
        parts.append(card("Rates", table(("", "asked", "achieved", "people"), rows)))
    missed = unmet(facts.stats, dataset.identity.recipe.get("targets"))
    verdict = (
        '<p class="good">Every target is met within its tolerance.</p>'
        if not missed
        else f'<p class="bad">Not met:</p><ul>{_items(missed)}</ul>'
    )
    return section("asked", "Asked and achieved", verdict, *parts)


def audited(audit: Mapping[str, Any] | None) -> str:
    """Return what the second oracle said."""
    if audit is None:
        return section(
            "audit",
            "Audit",
            "<p>No audit was given. <code>synthstudio audit DATASET --json &gt; audit.json</code> "
            "decides every joint again by rays; pass the file with <code>--audit</code>.</p>",
        )
    names = {
        "joints": "joints decided again",
        "state_differs": "states that differ",
        "disagreement_rate": "disagreement rate",
        "cause_differs": "causes that differ",
        "cause_rate": "cause rate",
        "largest_share_error": "largest error of a share",
        "sampling_error": "mean error by sampling",
    }
    rows = [(told, _figure(audit[key])) for key, told in names.items() if key in audit]
    passed = audit.get("passed")
    verdict = (
        '<p class="good">Within the goals of 0.01 % of states and 0.1 % of causes.</p>'
        if passed
        else '<p class="bad">Outside the goals of 0.01 % of states and 0.1 % of causes.</p>'
    )
    lead = "<p>Visibility was decided again by casting rays, in code written apart.</p>"
    return section("audit", "Audit", lead, verdict, card("Figures", table(("", ""), rows)))


def limits(dataset: Dataset, facts: Facts, audit: Mapping[str, Any] | None) -> str:
    """Return what a user should know before relying on the set."""
    lines = known_limits(dataset, facts, audit)
    return section("limits", "Known limits", f"<ul>{_items(lines)}</ul>")


def known_limits(dataset: Dataset, facts: Facts, audit: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each limit: those of the method, and those this set shows."""
    stats, lines = facts.stats, []
    if facts.rendered:
        lines += [
            "People, clothes and rooms are made, not photographed: a model trained on them alone "
            "has to be tried on real photos.",
            "Every person wears clothes cut from one template family; there are no loose robes, "
            "wheelchairs, prostheses or assistive devices.",
        ]
    if facts.outside:
        lines.append(
            f"{facts.outside:,} pictures are from outside: the places of their joints are as good "
            "as the annotations that were taken in."
        )
    lines += _absent(facts)
    if stats["identities"] and stats["people"] / stats["identities"] > 50:
        lines.append(
            f"Only {stats['identities']:,} identities for {stats['people']:,} people: split by "
            "identity before measuring generalisation."
        )
    if dataset.failed:
        lines.append(f"{len(dataset.failed)} frames could not be made and are missing.")
    if dataset.mixed:
        lines.append("Some shards were made with another recipe, version or machine kind.")
    if facts.replayable < stats["frames"]:
        lines.append(
            f"{stats['frames'] - facts.replayable:,} frames have no stored spec: they cannot be "
            "made again or audited."
        )
    if stats["causes"]["unknown"]:
        lines.append(
            f"{stats['causes']['unknown']:,} joints are hidden by nobody knows what (imported)."
        )
    if audit is None:
        lines.append("No audit of the labels was given to this report.")
    return lines


def _absent(facts: Facts) -> list[str]:
    """Return a sentence for what nobody, or hardly anybody, in the set is."""
    found, lines = facts.coverage, []
    absent = [name for name, n in facts.skin.items() if not n] if any(facts.skin.values()) else []
    if absent:
        lines.append(f"No rendered person has {' or '.join(absent)} skin.")
    fractions = found.of_people("fraction")[: len(FRACTIONS)]
    empty = [f for f, n in zip(FRACTIONS, fractions, strict=True) if not n]
    if empty and fractions.any():
        lines.append(f"Nobody has an occluded fraction in {', '.join(empty)}.")
    thin = thin_pairs(found, ("view", "fraction"))
    if thin and fractions.any() and found.of_people("view")[: len(VIEWS)].any():
        some = ", ".join(f"{a.replace('_', ' ')} at {b} ({n})" for a, b, n in thin[:4])
        lines.append(f"{len(thin)} bins of view and occluded fraction are thin: {some}, ...")
    return lines


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'none'} {n:,}" for name, n in counts.items())


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
