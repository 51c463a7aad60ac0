"""Pictures of the gap's page: crops of both sides, poses beside the nearest, where it looks."""

from __future__ import annotations

import cv2
import numpy as np

from synthstudio.core.errors import AssetError
from synthstudio.core.labels import F64, U8
from synthstudio.core.skeleton import COLOURS
from synthstudio.quality.gap import Gap
from synthstudio.quality.gap_classifier import Classifier
from synthstudio.quality.gap_pictures import Crops
from synthstudio.quality.gap_poses import Nearest
from synthstudio.quality.gap_sides import Side
from synthstudio.report.draw import contact_sheet
from synthstudio.report.evaluation_drawings import bones, disc, heated
from synthstudio.report.html import Picture, embed

TILE_PX = 300
_CROP_PX = 168
_COLUMNS, _SHOWN = 6, 12
_AROUND = 1.3
_GREY = (114, 114, 114)
_EXAMPLES = 4


def sheet(side: Side, crops: Crops) -> Picture | None:
    """Some crops of a side in a grid, evenly spread; None without any."""
    if not len(crops):
        return None
    chosen = np.unique(np.linspace(0, len(crops) - 1, min(_SHOWN, len(crops))).round())
    tiles = [crops.rgb[int(k)] for k in chosen]
    drawn = contact_sheet(tiles, columns=_COLUMNS, gap_px=4)
    caption = f"{len(tiles)} of {len(crops)} crops"
    return embed(drawn, caption, alt=f"crops of people: {side.name}")


def pose_pairs(gap: Gap, *, most: int = 6) -> list[Picture]:
    """The farthest real people beside the nearest generated ones, one of a picture."""
    out: list[Picture] = []
    seen: set[int] = set()
    for found in gap.poses.found if gap.poses is not None else ():
        picture = int(gap.sides[1].picture[found.person])
        if picture in seen or len(out) == most:
            continue
        seen.add(picture)
        try:
            out.append(_pair(gap, found))
        except AssetError:  # a photo whose header was sound
            continue
    return out


def _pair(gap: Gap, found: Nearest) -> Picture:
    (ours, theirs), common = gap.sides, gap.poses.common if gap.poses is not None else ()
    left = _posed(theirs, found.person, theirs.px[found.person], common)
    right = _posed(ours, found.nearest, ours.whole_px[found.nearest], common, found.mirrored)
    gap_px = np.full((TILE_PX, 4, 3), 20, np.uint8)
    names = [s.labels[s.picture[p]] for s, p in ((theirs, found.person), (ours, found.nearest))]
    mirrored = ", mirrored" if found.mirrored else ""
    return embed(
        np.concatenate([left, gap_px, right], axis=1),
        f"{found.distance:.0%} of its longer side away: {names[0]}; {names[1]}{mirrored}",
        alt="a real person and the generated one in the nearest pose",
    )


def _posed(side: Side, person: int, px: F64, common: tuple[str, ...], mirrored: bool = False) -> U8:
    """A person's pose over the picture, in a square; `mirrored` turns both round."""
    rgb = side.load(int(side.picture[person]))
    which = np.zeros(len(px), np.bool_)
    which[side.joints(common)] = True
    known = which & np.isfinite(px).all(axis=1)
    low, high = px[known].min(axis=0), px[known].max(axis=0)
    zoom = TILE_PX / max(1.0, float((high - low).max()) * _AROUND)
    corner = (low + high) / 2 - TILE_PX / zoom / 2
    view = np.array([[zoom, 0, -corner[0] * zoom], [0, zoom, -corner[1] * zoom]])
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    tile = cv2.warpAffine(rgb, view, (TILE_PX, TILE_PX), flags=method, borderValue=_GREY)
    at = (px - corner) * zoom
    if mirrored:
        tile, flip = tile[:, ::-1], side.skeleton.flip
        at, known = at[flip] * (-1, 1) + (TILE_PX, 0), known[flip]
    drawn = np.ascontiguousarray(tile, np.uint8)
    bones(drawn, at, known, side.skeleton)
    for j in np.flatnonzero(known):
        disc(drawn, at[j], COLOURS[side.skeleton.sides[j]], 4)
    return drawn


def looks(gap: Gap, found: Classifier) -> list[Picture]:
    """The mean crop of each side, red where cells argue for that side."""
    out = []
    for real, (side, crops) in enumerate(zip(gap.sides, gap.crops, strict=True)):
        own = found.looks[found.real == bool(real)] * (1 if real else -1)
        mean = crops.rgb.astype(np.float64).mean(axis=0).astype(np.uint8)
        out.append(
            embed(
                _beside(mean, own.mean(axis=0)),
                f"{side.name}: the mean of {len(crops)} crops, and where they give themselves away",
                alt=f"mean crop and heat: {side.name}",
            )
        )
    return out


def examples(gap: Gap, found: Classifier) -> list[Picture]:
    """The crops of either side that the classifier is surest of, one of a moment or photo."""
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
            sure = 1 / (1 + np.exp(-margin[k]))
            odds = f"{sure:.0%}" if sure < 0.995 else "over 99%"
            out.append(
                embed(
                    _beside(crops.rgb[k], heat),
                    f"{name}: {odds} sure that it is {'a photo' if real else 'generated'}",
                    alt=f"a crop and what gave it away: {side.name}",
                )
            )
        offset += len(crops)
    return out


def _beside(crop: U8, heat: F64) -> U8:
    """A crop beside itself under its heat (h, w)."""
    large = cv2.resize(crop, (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_CUBIC)
    dull = (np.asarray(large, np.uint8) * 0.45 + 60).astype(np.uint8)
    strong = np.maximum(heat - np.median(heat), 0)  # half of the cells stay grey
    hot = heated(dull, strong / max(float(strong.max()), 1e-9), np.zeros(dull.shape[:2]))
    return np.concatenate([np.asarray(large, np.uint8), hot], axis=1)
