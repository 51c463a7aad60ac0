"""The report about a data set, with a datasheet: one page without scripts or network access."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from markupsafe import Markup

from synthstudio.core.arrays import U8
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES
from synthstudio.core.people import FRACTIONS, HEIGHTS, VIEWS, WEIGHTS
from synthstudio.core.skeleton import COLOURS
from synthstudio.dataset.durable import write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import no_spec, spec_fields
from synthstudio.quality import targets as goals
from synthstudio.quality.coverage import REGIONS, UNKNOWN, Coverage, Example, coverage, thin_pairs
from synthstudio.quality.stats import dataset_stats
from synthstudio.report import pages
from synthstudio.report.draw import cut_out, draw_labels, drawable, person_colour
from synthstudio.report.pages import Picture, embed, render

SKIN = ("very light", "light", "intermediate", "tan", "brown", "dark")
_SKIN_EDGES = (55.0, 41.0, 28.0, 10.0, -30.0)
"""Lower ends in degrees of the individual typology angle (Chardon et al. 1991)."""
# Linear sRGB to Y and Z, D65, over those of white (IEC 61966-2-1).
_TO_YZ = np.array([[0.21267, 0.71516, 0.07217], [0.01776, 0.10947, 0.87277]])
EXAMPLE_PX = (640, 480)
"""Width and height of an example."""
_MIN_ROWS_PX = 900
_MIN_EXAMPLES = 8
_HIDDEN = (
    "nothing hidden",
    "up to 10 % hidden",
    "10 to 30 % hidden",
    "30 to 50 % hidden",
    "50 to 70 % hidden",
    "70 to 90 % hidden",
    "over 90 % hidden",
)
_AUDIT = {
    "joints": "joints audited",
    "state_differs": "states that differ",
    "disagreement_rate": "disagreement rate",
    "cause_differs": "causes that differ",
    "cause_rate": "cause rate",
    "largest_share_error": "largest error of a share",
    "sampling_error": "mean error by sampling",
}
_UNKNOWN = Markup('<p class="soft">unknown for all</p>')
Chart = tuple[str, str, Markup]  # title, note, markup


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Counts of the report. `skin`: people by SKIN; `backdrops`: frames."""

    stats: dict[str, Any]
    coverage: Coverage
    skin: dict[str, int]
    backdrops: dict[str, int]
    lights: list[int]  # frames by the sun's height, nine bins of 10 degrees
    sizes: dict[str, int]  # frames by width x height
    replayable: int  # frames with a stored spec
    photos: int  # of those, occluded real photos

    @property
    def rendered(self) -> int:
        return self.replayable - self.photos

    @property
    def outside(self) -> int:
        """External frames: photos, or imported."""
        return int(self.stats["frames"]) - self.rendered


def gather(dataset: Dataset, on_step: Callable[[str], None]) -> Facts:
    """Count a data set in three passes, in constant memory."""
    on_step("counting joints")
    found = dataset_stats(dataset)
    on_step("counting coverage")
    covered = coverage(dataset)
    on_step("reading specs")
    skin = dict.fromkeys(SKIN, 0)
    backdrops: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    lights = [0] * 9
    replayable = photos = 0
    for row in dataset.iter_frames(["spec", "width_px", "height_px"]):
        sizes[f"{row['width_px']} x {row['height_px']}"] += 1
        if row["spec"] is None:
            continue
        spec = spec_fields(row["spec"])
        replayable += 1
        if "backdrop" not in spec:  # a real photo with pastes
            backdrops["real photo"] += 1
            photos += 1
            continue
        try:
            backdrops[str(spec["backdrop"]["kind"])] += 1
            height = np.degrees(np.arcsin(np.clip(spec["light"]["sun_direction"][2], 0, 1)))
            lights[min(8, int(height / 10))] += 1
            for person in spec["people"]:
                skin[skin_of(person["look"]["skin_rgb"])] += 1
        except (LookupError, TypeError, ValueError) as error:
            raise no_spec(f"{type(error).__name__}: {error}") from error
    return Facts(
        stats=found,
        coverage=covered,
        skin=skin,
        backdrops=dict(backdrops.most_common()),
        lights=lights,
        sizes=dict(sizes.most_common()),
        replayable=replayable,
        photos=photos,
    )


def skin_of(linear_rgb: list[float]) -> str:
    """Which of SKIN an albedo is: by ITA = atan((L* - 50) / b*) in degrees."""
    y, z = np.cbrt(np.clip(_TO_YZ @ np.array(linear_rgb, np.float64), 1e-6, None))
    lightness, b = 116 * y - 16, 200 * (y - z)
    angle = float(np.degrees(np.arctan2(lightness - 50, b)))
    return next((n for n, e in zip(SKIN, _SKIN_EDGES, strict=False) if angle > e), SKIN[-1])


def chosen_examples(found: Coverage) -> Iterator[tuple[str, str, Example]]:
    """Yield (axis, bin, example of the fullest bin, preferably of a new frame) for bins of the
    occluded fraction, the view and the cause."""
    seen, views = found.examples, len(VIEWS)
    groups = [
        ("occluded fraction", name, seen.by_view, [f * (views + 1) + v for v in range(views + 1)])
        for f, name in enumerate(FRACTIONS)
    ]
    groups += [
        ("view", name, seen.by_view, [f * (views + 1) + v for f in range(len(FRACTIONS))])
        for v, name in enumerate(VIEWS)
    ]
    groups += [
        ("cause", name, seen.by_cause, [c * len(REGIONS) + r for r in range(len(REGIONS))])
        for c, name in enumerate(CAUSES[:5])
    ]
    taken: set[int] = set()
    for axis, name, bins, places in groups:
        known = [e for e in map(bins.example, places) if e is not None]
        if known:
            example = min(known, key=lambda e: (e.frame in taken, -e.count))
            taken.add(example.frame)
            yield axis, name, example


def report(
    dataset: Dataset,
    out: Path,
    *,
    audit: Mapping[str, Any] | None = None,
    on_step: Callable[[str], None] = lambda line: None,
) -> Facts:
    """Write the page `out` about a data set; `audit`: the output of `audit --json`. DatasetError
    for damaged images or rows; DiskError."""
    _check_audit(audit)
    facts = gather(dataset, on_step)
    on_step("drawing examples")
    identity, targets = dataset.identity, facts.stats["targets"]
    page = render(
        "dataset.html",
        name=identity.recipe.get("name", "data set"),
        dataset=dataset,
        identity=identity,
        facts=facts,
        audit=audit,
        headline=_headline(facts, audit),
        side_colours=COLOURS,
        examples=_examples(dataset, facts),
        listed=_listed,
        machine=[
            identity.machine[k] for k in ("cpu", "device", "system") if identity.machine.get(k)
        ],
        derived_options="; ".join(
            f"{k}: {v}"
            for k, v in identity.derived.items()
            if k not in ("sources", "by", "left_out")
        ),
        sources=_sources(identity.derived),
        differences=[d for note in dataset.mixed for d in note.get("differences", [])][:40],
        recipe_yaml=yaml.safe_dump(identity.recipe, sort_keys=False, allow_unicode=True),
        licences=_licences(dataset),
        charts=_charts(facts),
        targets_text=goals.text(targets),
        target_rows=_target_rows(targets),
        missed=goals.unmet(facts.stats, identity.recipe.get("targets")),
        audit_rows=[(title, _figure(audit[key])) for key, title in _AUDIT.items() if key in audit]
        if audit is not None
        else [],
        limits=known_limits(dataset, facts, audit),
    )
    write_file(out, page)
    return facts


def _check_audit(audit: Mapping[str, Any] | None) -> None:
    if audit is None:
        return
    wrong = [name for name in _AUDIT if not isinstance(audit.get(name, 0), int | float)]
    if wrong or not isinstance(audit.get("passed"), bool):
        raise DatasetError(
            "not the output of an audit",
            where="audit",
            expected="output of synthstudio audit --json",
            got=f"no number under {wrong[0]}" if wrong else "no passed",
        )


def _headline(facts: Facts, audit: Mapping[str, Any] | None) -> dict[str, str]:
    stats = facts.stats
    causes, total = stats["causes"], max(1, stats["joints_total"])
    mean = stats["occluded_fraction"]["mean"]
    out = {
        "frames": f"{stats['frames']:,}",
        "people": f"{stats['people']:,}",
        "identities": f"{stats['identities']:,}",
        "labelled joints": f"{stats['joints_total']:,}",
        "of joints seen": f"{causes['visible'] / total:.0%}",
        "hidden by others": f"{(causes['person'] + causes['object']) / total:.0%}",
        "mean occluded": "unknown" if mean is None else f"{mean:.0%}",
    }
    if audit is not None:
        out["audit disagreement"] = f"{float(audit.get('disagreement_rate', 0)):.3%}"
    return out


def _sources(derived: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            source["identity"].get("recipe", {}).get("name", "?"),
            source["identity"]["seed"],
            source["frames"],
            source["people"],
            source["index_sha256"][:12],
        )
        for source in derived.get("sources", ())
    ]


def _licences(dataset: Dataset) -> dict[str, list[tuple[str, ...]]]:
    out: dict[str, list[tuple[str, ...]]] = {}
    for asset in dataset.identity.assets:
        row = (asset.name, asset.category, asset.source, asset.sha256[:12])
        out.setdefault(asset.licence or "not stated", []).append(row)
    return out


def _charts(facts: Facts) -> list[tuple[str, list[Chart]]]:
    stats, found = facts.stats, facts.coverage
    by_joint = {name: {c: row[c] for c in CAUSES} for name, row in stats["joints"].items()}
    by_joint["all joints"] = stats["causes"]
    body = found.of_people("body").tolist()
    builds = [f"{gender}, {weight}" for gender in ("men", "women") for weight in WEIGHTS]
    bodies = [body[k * len(HEIGHTS) : (k + 1) * len(HEIGHTS)] for k in range(len(builds))]
    family = sorted(_counts(found, "family").items(), key=lambda item: (-item[1], item[0]))
    sun = pages.columns(
        [f"{10 * k} to {10 * k + 10} degrees" for k in range(9)],
        facts.lights,
        axis=("0", "", "", "30", "", "", "60", "", "90"),
    )
    joints = [
        (
            "Joints by cause",
            "Visible, or the main cause. The figure at the right is the visible part.",
            pages.stacked(by_joint, pages.CAUSE_COLOURS),
        )
    ]
    single = [
        _tenths("Occluded fraction of people", stats["occluded_fraction"]),
        _tenths("Share of people outside the frame", stats["truncated_fraction"]),
        _tenths("Crowd index of frames", stats["crowd_index"]),
        ("People in a frame", "", pages.bars(stats["people_per_frame"], maximum=14)),
        ("View", "", pages.bars(_counts(found, "view"))),
        (
            "Skin tone",
            "By individual typology angle of the albedo, before light and exposure.",
            pages.bars(facts.skin) if any(facts.skin.values()) else _UNKNOWN,
        ),
        ("Pose families", "", pages.bars(dict(family), maximum=16)),
        ("Bodies", "", pages.heat(builds, HEIGHTS, bodies) if any(map(any, bodies)) else _UNKNOWN),
        (
            "What hides joints",
            "Objects, by how many joints they hide most of.",
            pages.bars(stats["hidden_by_kind"], maximum=14),
        ),
        ("Objects in frames", "", pages.bars(stats["objects"], maximum=14)),
        ("Backdrops", "", pages.bars(facts.backdrops)),
        ("Height of the sun", "", sun if any(facts.lights) else _UNKNOWN),
    ]
    crossed = [
        ("Cause by occluded fraction (joints)", "", _heat(found, "cause", "fraction")),
        ("View by occluded fraction (people)", "", _heat(found, "view", "fraction")),
    ]
    by_view = []
    if found.of_people("view")[: len(VIEWS)].any():
        hidden = [CAUSES.index(c) for c in ("self", "person", "object")]
        counts = found.counts[:, hidden].sum(axis=(1, 2, 4, 5))[:, : len(VIEWS)]
        by_joint_and_view = pages.heat(found.skeleton.joints, VIEWS, counts.tolist())
        by_view = [
            ("Joint by view (hidden joints)", "", by_joint_and_view),
            ("Pose family by view (people)", "", _heat(found, "family", "view")),
        ]
    return [("", joints), ("cards", single), ("cards wide", crossed), ("", by_view)]


def _tenths(title: str, histogram: Mapping[str, Any]) -> Chart:
    if histogram["mean"] is None:
        return title, "", _UNKNOWN
    note = f"mean {histogram['mean']:.3f}; {histogram['zero']:,} are 0"
    if histogram["unknown"]:
        note += f"; {histogram['unknown']:,} unknown"
    labels = [f"{k / 10:.1f} to {(k + 1) / 10:.1f}" for k in range(10)]
    axis = ("0", "", "", "", "", ".5", "", "", "", "1")
    return title, note, pages.columns(labels, histogram["counts"], axis=axis)


def _counts(found: Coverage, axis: str) -> dict[str, int]:
    pairs = zip(found.labels[axis], found.of_people(axis).tolist(), strict=True)
    return {name: n for name, n in pairs if n or name != UNKNOWN}


def _heat(found: Coverage, rows: str, columns: str) -> Markup:
    counts, (names, heads) = found.table(
        (rows, columns), lambda axis, sums: np.flatnonzero(sums).tolist()
    )
    return pages.heat(names, heads, counts.tolist())


def _target_rows(targets: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """(target, requested, achieved, people) of the recipe's targets."""
    rows: list[tuple[Any, ...]] = []
    for title, section in (("hidden", "joints"), ("joints by cause", "causes")):
        for name, row in targets[section].items():
            fractions = (f"{row['requested']:.1%}", f"{row['achieved']:.1%}")
            rows.append((f"{title}: {name}", *fractions, row["people"]))
    crowd = targets["crowd_index"]
    if crowd["frames"]:
        indices = (f"{crowd['requested']:.3f}", f"{crowd['achieved']:.3f}")
        rows.append(("crowd index of frames", *indices, crowd["frames"]))
    return rows


def known_limits(dataset: Dataset, facts: Facts, audit: Mapping[str, Any] | None) -> list[str]:
    """A sentence per limitation: of the method, and of this set."""
    stats, lines = facts.stats, []
    if facts.rendered:
        lines += [
            "People, clothes and rooms are synthetic: a model trained on them alone "
            "must be tested on real photos.",
            "Every person wears clothes cut from one template family; there are no loose robes, "
            "wheelchairs, prostheses or assistive devices.",
        ]
    if facts.outside:
        lines.append(
            f"{facts.outside:,} pictures are external: their joints are as accurate "
            "as the imported annotations."
        )
    lines += _absent(facts)
    if stats["identities"] and stats["people"] / stats["identities"] > 50:
        lines.append(
            f"Only {stats['identities']:,} identities for {stats['people']:,} people: split by "
            "identity before measuring generalisation."
        )
    if dataset.failed:
        lines.append(f"{len(dataset.failed)} frames failed and are missing.")
    if dataset.mixed:
        lines.append("Some shards were made with another recipe, version or machine kind.")
    if facts.replayable < stats["frames"]:
        lines.append(
            f"{stats['frames'] - facts.replayable:,} frames have no stored spec: they cannot be "
            "re-rendered or audited."
        )
    if stats["causes"]["unknown"]:
        lines.append(
            f"{stats['causes']['unknown']:,} joints are hidden by something unknown (imported)."
        )
    if audit is None:
        lines.append("This report has no audit of the labels.")
    return lines


def _absent(facts: Facts) -> list[str]:
    found, lines = facts.coverage, []
    absent = [name for name, n in facts.skin.items() if not n] if any(facts.skin.values()) else []
    if absent:
        lines.append(f"No rendered person has {' or '.join(absent)} skin.")
    fractions = found.of_people("fraction")[: len(FRACTIONS)]
    empty = [f for f, n in zip(FRACTIONS, fractions, strict=True) if not n]
    if empty and fractions.any():
        lines.append(f"No person has an occluded fraction in {', '.join(empty)}.")
    thin = thin_pairs(found, ("view", "fraction"))
    if thin and fractions.any() and found.of_people("view")[: len(VIEWS)].any():
        some = ", ".join(f"{a.replace('_', ' ')} at {b} ({n})" for a, b, n in thin[:4])
        lines.append(f"{len(thin)} bins of view and occluded fraction are thin: {some}, ...")
    return lines


def _listed(counts: Mapping[str, int], pattern: str = "%s %s", maximum: int | None = None) -> str:
    return ", ".join(
        pattern % (name or "none", f"{n:,}") for name, n in list(counts.items())[:maximum]
    )


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def drawn(dataset: Dataset, index: int, instance: int) -> U8:
    """A stored frame with its labels, cut to the surroundings of one person."""
    rgb = dataset.rgb_of(dataset.frame(index))
    labels = drawable(dataset.people_of(index))
    made = draw_labels(
        rgb, labels, dataset.skeleton, rows_px=_MIN_ROWS_PX, legend=False, names=False
    )
    person = next(person for person in labels.people if person.instance == instance)
    return _crop_about(made, person.amodal_box_px, made.shape[0] / rgb.shape[0])


def _crop_about(rgb: U8, box: Sequence[float], zoom: float) -> U8:
    """A window of EXAMPLE_PX's shape about a box, inside the picture."""
    rows, columns = rgb.shape[:2]
    width, height = EXAMPLE_PX
    x, y, w, h = (float(v) * zoom for v in box)
    tall = min(max(1.5 * h, 1.6 * w * height / width, rows / 2), rows, columns * height / width)
    size = np.array([tall * width / height, tall])
    corner = np.clip(np.array([x + w / 2, y + h / 2]) - size / 2, 0, (columns, rows) - size)
    return cut_out(rgb, corner, width / size[0], EXAMPLE_PX)


def _examples(dataset: Dataset, facts: Facts) -> dict[str, list[Picture]]:
    """Pictures by axis; "more": the largest people of frames far apart, if bins are sparse."""
    out: dict[str, list[Picture]] = {"occluded fraction": [], "view": [], "cause": [], "more": []}

    def add(axis: str, index: int, instance: int, caption: str | Markup) -> None:
        dot = Markup('<span class="swatch" style="background:rgb{}"></span>').format(
            person_colour(instance)
        )
        who = Markup('<span class="soft">frame {}, person {}</span>').format(index, instance)
        alt = f"part of frame {index} with its labels drawn in"
        out[axis].append(embed(drawn(dataset, index, instance), dot + caption + who, alt=alt))

    for axis, name, example in chosen_examples(facts.coverage):
        caption = Markup("<b>{}</b> ").format(_caption(axis, name, example, facts))
        add(axis, example.frame, example.instance, caption)
    bins = sum(map(len, out.values()))
    missing = _MIN_EXAMPLES - bins if 2 * bins < _MIN_EXAMPLES else 0
    for index, instance in _largest_people(dataset, facts, missing) if missing else ():
        add("more", index, instance, "")
    return out


def _largest_people(dataset: Dataset, facts: Facts, count: int) -> Iterator[tuple[int, int]]:
    """(frame, instance) of the largest person of up to `count` frames far apart."""
    step = max(1, facts.stats["frames"] // count)
    largest: dict[int, tuple[float, int]] = {}
    for person in dataset.iter_instances(["frame_index", "instance", "modal_box_px"]):
        index, (_, _, w, h) = person["frame_index"], person["modal_box_px"]
        if index % step == 0:
            largest[index] = max(largest.get(index, (0.0, 0)), (w * h, person["instance"]))
            if len(largest) > count:
                largest.pop(index)
                break
    for index, (_, instance) in largest.items():
        yield index, instance


def _caption(axis: str, name: str, example: Example, facts: Facts) -> str:
    if axis == "cause":
        joint = facts.coverage.skeleton.joints[example.joint].replace("_", " ")
        return f"{name}: the {joint}"
    return name.replace("_", " ") if axis == "view" else _HIDDEN[FRACTIONS.index(name)]
