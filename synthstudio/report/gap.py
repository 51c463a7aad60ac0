"""The report page of the gap between a data set and photos."""

import math
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import AssetError
from synthstudio.quality.gap import Fitted, Gap, classifier_summary
from synthstudio.quality.gap_distance import Difference
from synthstudio.quality.gap_labels import STATES, Nearest
from synthstudio.quality.gap_pictures import CUES, ORIENTATIONS, Accuracy, Classifier, Crops
from synthstudio.quality.gap_sides import Side
from synthstudio.report import pages
from synthstudio.report.draw import contact_sheet, cut_out, draw_person
from synthstudio.report.evaluation import heated
from synthstudio.report.pages import Picture, embed, render

_SECTIONS = {
    "size": ("size", "count"),
    "edge": ("edge", "outside", "place", "row"),
    "camera": ("distance_m", "pitch_deg", "roll_deg"),
}
_STATE_COLOURS = ("#009e73", "#d55e00", "#b9bec6")
LIMITS = (
    "Whether a network gets better: a smaller gap is no promise of higher accuracy. Train on both "
    "and test on photos (synthstudio experiment).",
    "Camera height and focal length: a nearer camera with a wider lens makes the same crop. "
    "Estimates take the generated medians for both sides, so they hold for pictures that are not "
    "cut out of larger ones.",
    "Roll, where people lean: dancers and a tilted camera look alike. The median is used, never "
    "one person.",
    "Joints outside the picture of photos: COCO marks them like unlabelled joints.",
    "Why a classifier succeeds: it may be the photos' compression or photographer. If it "
    "fails, that holds for this small one only.",
    "What annotators click: their hips and ears are elsewhere than on a body model (docs/"
    "conventions.md), which is a part of every distance between poses.",
)
TILE_PX = 300
_CROP_PX = 168
_COLUMNS, _SHOWN, _PAIRS = 6, 12, 6
_AROUND = 1.3
_GREY = (114, 114, 114)
_EXAMPLES = 4


def gap_page(gap: Gap, name: str, photos: str, *, fitted: Fitted | None, recipe_file: str) -> bytes:
    """The page, self-contained. `name` and `photos` name the sides; `fitted` was written."""
    found, by_key = gap.classifier, {d.key: d for d in gap.differences}
    sheets = [(s.name, sheet(s, c)) for s, c in zip(gap.sides, gap.crops, strict=True)]
    charts = {
        kind: [_chart(by_key[key]) for key in keys if key in by_key]
        for kind, keys in _SECTIONS.items()
    }
    charts["pixels"] = [_chart(d) for d in gap.pixels.differences]
    a, b = gap.sides
    return render(
        "gap.html",
        name=name,
        photos=photos,
        lead=f"{a.people:,} generated people in {a.pictures:,} frames, compared with "
        f"{b.people:,} people in {b.pictures:,} photos.",
        headline=_headline(gap),
        notes=gap.notes,
        colours=pages.SIDES,
        sheets=[(title, picture) for title, picture in sheets if picture is not None],
        ranked=[_ranked(d) for d in gap.ranked],
        moved=list(fitted.moved.items()) if fitted is not None else [],
        recipe_file=recipe_file,
        charts=charts,
        labelled=gap.labels.labelled,
        joints=_joints(gap),
        assumed={n: f"{getattr(gap.labels.assumed, n):.2f}" for n in ("focal", "camera_m")},
        validated=_validated(gap),
        crops=[len(c) for c in gap.crops],
        orientations=_orientations(gap),
        orientation_note="Shares of the strength of edges by the turn of their lines from upright; "
        f"total variation {_short(gap.pixels.orientation_distance)}, by chance up to "
        f"{_short(gap.pixels.orientation_chance)}. Moved by backdrop, objects, camera.roll_deg.",
        pose_chart=_chart(gap.poses.difference) if gap.poses is not None else None,
        pose_line=_pose_line(gap),
        pose_pairs=pose_pairs(gap),
        apart_line=_sentence(classifier_summary(found)),
        cues=[(n, _accuracy(v), ", ".join(CUES[n])) for n, v in found.by_cue.items()]
        if found is not None
        else [],
        looks=looks(gap, found) if found is not None else [],
        examples=examples(gap, found) if found is not None else [],
        limits=LIMITS,
    )


def _headline(gap: Gap) -> dict[str, str]:
    size = next(d for d in gap.differences if d.key == "size")
    apart = "-" if gap.classifier is None else f"{gap.classifier.accuracy.value:.0%}"
    far = "-" if gap.poses is None else _percent(gap.poses.far)
    return {
        "classified correctly (50 % is chance)": apart,
        "figures beyond chance": f"{len(gap.ranked)} of {len(gap.differences)}",
        "median size, generated": _percent(size.middle[0]),
        "median size, photos": _percent(size.middle[1]),
        "real poses far from all": far,
    }


def _chart(d: Difference) -> dict[str, Any]:
    """A card: a plot of both sides, medians, the distance and the recipe fields that move it."""
    if d.key == "edge":
        plot = pages.paired_bars([("touch the edge", *d.middle)])
        line = f"{d.count[0]:,} generated people, {d.count[1]:,} in photos."
    else:
        plot = pages.paired(d.edges.tolist(), d.fractions.tolist(), unit=d.unit)
        line = (
            f"{d.unit}; {d.middle_is} {_short(d.middle[0])} generated ({d.count[0]:,}), "
            f"{_short(d.middle[1])} photos ({d.count[1]:,})."
        )
    distance = (
        f"Wasserstein-1 {_short(d.distance)}, by chance up to {_short(d.chance)}."
        if math.isfinite(d.distance)
        else "Too few to compare."
    )
    named = {"title": _sentence(d.name), "plot": plot, "line": line, "fields": d.fields}
    return {**named, "distance": distance, "far": d.beyond_chance}


def _ranked(d: Difference) -> tuple[str, ...]:
    return (
        d.name,
        *map(_short, d.middle),
        f"{_short(d.distance)} {d.unit}",
        _short(d.chance),
        f"{d.effect:.1f}",
        ", ".join(d.fields),
    )


def _joints(gap: Gap) -> Markup | None:
    if not gap.labels.joints:
        return None
    colours = dict(zip(STATES, _STATE_COLOURS, strict=True))
    rows = [
        (j.joint, j.fractions, f"{j.distance:.2f}{' *' if j.distance > j.chance else ''}")
        for j in gap.labels.joints
    ]
    return pages.paired_stacks(rows, colours)


def _validated(gap: Gap) -> list[tuple[str, ...]]:
    return [
        (
            f"{v.name}, {v.unit}",
            _short(v.error),
            f"{v.bias:+.2g}",
            _short(v.correlation),
            _short(v.spread),
        )
        for v in gap.labels.validated
    ]


def _orientations(gap: Gap) -> Markup:
    step = 180 / ORIENTATIONS
    dataset, photos = gap.pixels.orientations.tolist()
    named = {0.0: " (upright)", 90.0: " (level)"}
    rows = [
        (f"{step * k:g}°{named.get(step * k, '')}", a, b)
        for k, (a, b) in enumerate(zip(dataset, photos, strict=True))
    ]
    return pages.paired_bars(rows)


def _pose_line(gap: Gap) -> str:
    if gap.poses is None or not math.isfinite(gap.poses.far):
        return ""
    return (
        f"{gap.poses.far:.0%} of {len(gap.poses.found):,} real poses lie farther from every "
        f"generated one than 95 % of generated poses lie from those of other moments "
        f"({gap.poses.far_beyond:.1%} of the longer side)."
    )


def _accuracy(a: Accuracy) -> str:
    return f"{_percent(a.value)} ({_percent(a.low)} to {_percent(a.high)})"


def _percent(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else "-"


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def sheet(side: Side, crops: Crops) -> Picture | None:
    """Some crops of a side in a grid, evenly spread; None without any."""
    if not len(crops):
        return None
    chosen = np.unique(np.linspace(0, len(crops) - 1, min(_SHOWN, len(crops))).round())
    tiles = [crops.rgb[int(k)] for k in chosen]
    drawn = contact_sheet(tiles, columns=_COLUMNS, gap_px=4)
    caption = f"{len(tiles)} of {len(crops)} crops"
    return embed(drawn, caption, alt=f"crops of people: {side.name}")


def pose_pairs(gap: Gap) -> list[Picture]:
    """The farthest real people beside the nearest generated ones, one of a picture."""
    out: list[Picture] = []
    seen: set[int] = set()
    for found in gap.poses.found if gap.poses is not None else ():
        picture = int(gap.sides[1].picture[found.person])
        if picture in seen or len(out) == _PAIRS:
            continue
        seen.add(picture)
        try:
            out.append(_pair(gap, found))
        except AssetError:  # a photo whose header was sound
            continue
    return out


def _pair(gap: Gap, found: Nearest) -> Picture:
    (dataset, photos), common = gap.sides, gap.poses.common if gap.poses is not None else ()
    left = _posed(photos, found.person, photos.px[found.person], common)
    right = _posed(dataset, found.nearest, dataset.whole_px[found.nearest], common, found.mirrored)
    gap_px = np.full((TILE_PX, 4, 3), 20, np.uint8)
    names = [s.labels[s.picture[p]] for s, p in ((photos, found.person), (dataset, found.nearest))]
    mirrored = ", mirrored" if found.mirrored else ""
    return embed(
        np.concatenate([left, gap_px, right], axis=1),
        f"{found.distance:.0%} of its longer side away: {names[0]}; {names[1]}{mirrored}",
        alt="a real person and the generated one in the nearest pose",
    )


def _posed(side: Side, person: int, px: F64, common: tuple[str, ...], mirrored: bool = False) -> U8:
    """A person's pose over the picture, in a square; `mirrored` mirrors both."""
    rgb = side.load(int(side.picture[person]))
    which = np.zeros(len(px), np.bool_)
    which[side.joints(common)] = True
    known = which & np.isfinite(px).all(axis=1)
    low, high = px[known].min(axis=0), px[known].max(axis=0)
    zoom = TILE_PX / max(1.0, float((high - low).max()) * _AROUND)
    corner = (low + high) / 2 - TILE_PX / zoom / 2
    tile = cut_out(rgb, corner, zoom, (TILE_PX, TILE_PX), border=_GREY)
    at = (px - corner) * zoom
    if mirrored:
        tile, flip = tile[:, ::-1], side.skeleton.flip
        at, known = at[flip] * (-1, 1) + (TILE_PX, 0), known[flip]
    drawn = np.ascontiguousarray(tile, np.uint8)
    at = np.where(known[:, None], at, np.nan)
    draw_person(drawn, at, ["visible"] * len(at), side.skeleton)
    return drawn


def looks(gap: Gap, found: Classifier) -> list[Picture]:
    """The mean crop of each side, red where cells are evidence for that side."""
    out = []
    for real, (side, crops) in enumerate(zip(gap.sides, gap.crops, strict=True)):
        own = found.looks[found.real == bool(real)] * (1 if real else -1)
        mean = crops.rgb.astype(np.float64).mean(axis=0).astype(np.uint8)
        out.append(
            embed(
                _beside(mean, own.mean(axis=0)),
                f"{side.name}: the mean of {len(crops)} crops, and the cells that identify them",
                alt=f"mean crop and heat: {side.name}",
            )
        )
    return out


def examples(gap: Gap, found: Classifier) -> list[Picture]:
    """The crops of either side with the most confident classification, one per moment or photo."""
    out = []
    offset = 0
    for real, (side, crops) in enumerate(zip(gap.sides, gap.crops, strict=True)):
        sign = 1 if real else -1
        margin = np.nan_to_num(found.score[offset : offset + len(crops)] * sign, nan=-np.inf)
        groups: set[int] = set()
        for k in np.argsort(-margin, kind="stable").tolist():
            group = int(side.group[crops.person[k]])
            if group in groups or len(groups) == _EXAMPLES or margin[k] <= 0:
                continue
            groups.add(group)
            heat = found.looks[offset + k] * sign
            name = side.labels[side.picture[crops.person[k]]]
            confidence = 1 / (1 + np.exp(-margin[k]))
            odds = f"{confidence:.0%}" if confidence < 0.995 else "over 99%"
            out.append(
                embed(
                    _beside(crops.rgb[k], heat),
                    f"{name}: {odds} confident that it is {'a photo' if real else 'generated'}",
                    alt=f"a crop and its evidence: {side.name}",
                )
            )
        offset += len(crops)
    return out


def _beside(crop: U8, heat: F64) -> U8:
    large = cv2.resize(crop, (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_CUBIC)
    dull = (np.asarray(large, np.uint8) * 0.45 + 60).astype(np.uint8)
    strong = np.maximum(heat - np.median(heat), 0)  # half of the cells stay grey
    hot = heated(dull, strong / max(float(strong.max()), 1e-9), np.zeros(dull.shape[:2]))
    return np.concatenate([np.asarray(large, np.uint8), hot], axis=1)
