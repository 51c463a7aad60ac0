"""Estimates of a photo's camera, floor and ground from its people.

The camera is a pinhole of 50 degrees along the longer side. The floor is a plane on which
everyone stands: a person with a scale of s pixels per metre has its feet at row
`horizon + camera height x s`, a line that is fitted to all people of the photo.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.compose.blend import window
from synthstudio.core.arrays import F32, F64, I32, U8, Bool
from synthstudio.core.photo import GroundCells
from synthstudio.label.photo import Annotated

FIELD_OF_VIEW_RAD = math.radians(50)

_UPRIGHT_M = {("shoulder", "hip"): 0.48, ("hip", "knee"): 0.43, ("knee", "ankle"): 0.41}
_LIMBS_M = {**_UPRIGHT_M, ("shoulder", "elbow"): 0.28, ("elbow", "wrist"): 0.25}
_BONES_M = {
    (f"{side}_{above}", f"{side}_{below}"): metres
    for side in ("left", "right")
    for (above, below), metres in _LIMBS_M.items()
} | {("left_shoulder", "right_shoulder"): 0.36}
"""Lengths in an adult of 1.70 m (Drillis and Contini 1966); a view only shortens them."""
_ANKLE_M = 0.08
_ABOVE_FLOOR_M = {"knee": 0.48, "hip": 0.8, "shoulder": 1.25, "nose": 1.4}
"""Lowest first; heights between standing and sitting."""
STATURE_M = 1.68
_TRUNK_M, _HEAD_TO_ANKLE_M = 0.6, 1.5
_EYE_M, _EYE_SD = 1.5, 0.35
_HORIZON, _HORIZON_SD = 0.42, 0.18  # shares of the picture's height
_MIN_EYE_M, _JUMPED_OVER_M = 0.45, 1.1
FEET_SEEN = 0.35
"""Minimum confidence of a stand; below it the feet are unknown."""


@dataclass(frozen=True)
class Stand:
    """A person's scale in px/m, row of the feet, and confidence."""

    px_per_m: float
    foot_px: float
    confidence: float
    upright: bool = False  # as far as is known


def stand(joints: Mapping[str, tuple[float, float]], box: Sequence[float], bottom: float) -> Stand:
    """Where a person stands; `joints` are the labelled ones, `bottom` the last row.

    Scale: the second largest by the bones, which foreshortening only reduces; with too few of
    them the box, as of a standing person, or of a trunk if truncated. Feet:
    below the lowest ankle; else (behind a table, cut off) extrapolated below the
    lowest labelled joint; else, with no joint at all, at the box's lower edge.
    """
    _, y, w, h = box
    lengths = sorted(
        math.dist(joints[a], joints[b]) / metres
        for (a, b), metres in _BONES_M.items()
        if a in joints and b in joints
    )
    cut = y + h >= bottom - 2
    whole = y > 2 and not cut
    from_box = max(h / STATURE_M, w / STATURE_M if whole else w / _TRUNK_M)
    ankles = [y for n, (_, y) in joints.items() if n.endswith("ankle")]
    scale = max(
        lengths[-2] if len(lengths) >= 4 else float(np.median(lengths)) if lengths else 0.0,
        _extent(joints, ankles) / _HEAD_TO_ANKLE_M,
        from_box if len(lengths) < 3 else from_box * 0.6,
        1.0,
    )
    if ankles:
        foot = max(max(ankles) + _ANKLE_M * scale, min(y + h, bottom))
        return Stand(scale, foot, 1.0 if len(lengths) >= 3 else 0.5)
    for kind, metres in _ABOVE_FLOOR_M.items():
        rows = [y for n, (_, y) in joints.items() if n.endswith(kind)]
        if rows:
            return Stand(scale, max(max(rows) + metres * scale, y + h), 0.15)
    if not cut:
        return Stand(scale, y + h, 0.4)
    return Stand(scale, y + STATURE_M * scale, 0.1)


def _extent(joints: Mapping[str, tuple[float, float]], ankles: Sequence[float]) -> float:
    """Vertical distance from the highest of nose, eyes and ears to the lowest ankle, or 0."""
    heads = [y for n, (_, y) in joints.items() if n.endswith(("nose", "eye", "ear"))]
    return max(0.0, max(ankles) - min(heads)) if heads and ankles else 0.0


@dataclass(frozen=True)
class Floor:
    """The plane on which people stand: the row of the horizon, and the camera height."""

    horizon_px: float
    eye_m: float


def floor(stands: Sequence[Stand], height: int) -> Floor:
    """The least-squares plane: foot = horizon + eye x scale over all people.

    Weighted, with the prior of a camera held by a standing person who looks
    nearly level; two rounds that down-weight outliers.
    """
    known = [
        ((1.0, one.px_per_m), one.foot_px, one.confidence / (0.12 * one.px_per_m + 0.01 * height))
        for one in stands
    ]
    known.append(((1.0, 0.0), _HORIZON * height, 1 / (_HORIZON_SD * height)))
    known.append(((0.0, 1.0), _EYE_M, 1 / _EYE_SD))
    a, b, base = (np.array(column, np.float64) for column in zip(*known, strict=True))
    w: F64 = base
    found_at: NDArray[np.floating] = np.zeros(2)
    for _ in range(3):
        found_at = np.linalg.lstsq(a * w[:, None], b * w, rcond=None)[0]
        off = np.abs(a @ found_at - b) * base
        w = base / np.sqrt(np.maximum(1.0, off))
    return Floor(
        float(np.clip(found_at[0], -0.5 * height, 0.95 * height)),
        float(np.clip(found_at[1], _MIN_EYE_M, 4.0)),
    )


def grounded(found: Stand, plane: Floor, bottom: float) -> Stand:
    """The stand with feet on the common floor.

    Unlabelled feet are placed on the plane, not above `bottom`, the lower edge of
    the box; those of a jumping person are above it.
    """
    on_plane = plane.horizon_px + plane.eye_m * found.px_per_m
    if found.confidence < FEET_SEEN:
        return replace(found, foot_px=max(on_plane, bottom))
    if found.foot_px - plane.horizon_px >= _MIN_EYE_M * found.px_per_m:
        return found
    eye = max(plane.eye_m, _JUMPED_OVER_M)
    return replace(found, foot_px=plane.horizon_px + eye * found.px_per_m)


def focal_px(width: int, height: int) -> float:
    return max(width, height) / 2 / math.tan(FIELD_OF_VIEW_RAD / 2)


def joints_by_name(names: Sequence[str], px: F64, labelled: Bool) -> dict[str, tuple[float, float]]:
    return {
        n: (float(x), float(y))
        for n, (x, y), known in zip(names, px, labelled, strict=True)
        if known and np.isfinite((x, y)).all()
    }


_PARTS = ("shoulder", "hip", "knee", "ankle")
_TELLING = ("nose", *_PARTS)
_LEAN, _BENT = 0.7, 1.6
"""Maximum lean of a body part, and maximum ratio of apparent lengths."""
_SHOE_M = 0.04
"""Minimum extent of the box below the ankle; less means hidden feet."""
_UNKNOWN = 0.1


def refined(found: Stand, joints: Mapping[str, tuple[float, float]], box: Sequence[float]) -> Stand:
    """Return a stand with the scale of an upright person, and no confidence in a box alone.

    The longest of several bones overestimates: standing people are measured shoulders to ankles,
    and from head to foot if both are visible. A box with only an
    arm labelled has no confidence.
    """
    if not any(name.endswith(_TELLING) for name in joints):
        return replace(found, confidence=min(found.confidence, _UNKNOWN))
    scale = _scale_of_parts(joints)
    if scale is None:
        return found
    _, top, _, height = box
    ankle = max(y for name, (_, y) in joints.items() if name.endswith("ankle"))
    if top + height < ankle + _SHOE_M * scale:
        return found
    if top > 2:
        scale = (scale + height / STATURE_M) / 2
    return Stand(scale, found.foot_px, found.confidence, upright=True)


def _scale_of_parts(joints: Mapping[str, tuple[float, float]]) -> float | None:
    """The scale in px/m of an upright trunk and legs; None otherwise."""
    middle = {part: _middle(joints, part) for part in _PARTS}
    long = metres = 0.0
    scales = []
    for (above, below), length in _UPRIGHT_M.items():
        a, b = middle[above], middle[below]
        if a is None or b is None:
            if above == "shoulder":
                continue
            return None
        if b[1] <= a[1] or abs(b[0] - a[0]) > _LEAN * (b[1] - a[1]):
            return None
        long, metres = long + math.dist(a, b), metres + length
        scales.append(math.dist(a, b) / length)
    return long / metres if max(scales) <= _BENT * min(scales) else None


def _middle(joints: Mapping[str, tuple[float, float]], part: str) -> tuple[float, float] | None:
    places = [place for name, place in joints.items() if name.endswith(part)]
    if not places:
        return None
    x, y = np.mean(places, axis=0)
    return float(x), float(y)


# Ground -----------------------------------------------------------------------------------------

_CELLS_HIGH = 72
_MIN_CELLS = 3
_BELOW_M, _BESIDE_M = 0.35, 0.25
"""Margins below the feet and beside the person's box in which the ground is sampled."""
_COVERED = 0.25
_MIN_SPREAD, _MAX_SPREAD = np.array([14.0, 6.0, 6.0]), np.array([18.0, 8.0, 8.0])
"""Of L, a and b in OpenCV's 8-bit Lab: tolerance of ground colour."""
_TIMES = 2.2
_IN_THE_AIR_M = 0.45
_LEVEL = (0.0, 0.7)
"""Shares of the picture's height: range of the horizon of a level camera."""
_ALIKE_ABOVE, _MIN_BELOW = 0.3, 0.1
"""Maximum fraction of similar cells above the horizon, and minimum below."""
_COLOURED, _EVEN, _PAINTED, _SNOW = 12.0, 5.0, 40.0, 195.0
"""In OpenCV's 8-bit Lab: minimum chroma and maximum deviation of lightness of a mown field,
minimum chroma of a court, minimum lightness of snow."""
_UNEVEN = 40.0
"""Maximum deviation of lightness: more means ground and background mixed."""


@dataclass(frozen=True, eq=False)
class _Grid:
    lab: F32  # (h, w, 3) means of cells
    taken: Bool  # (h, w) covered by people
    cell_px: int


def ground_cells(
    rgb: U8, people: Sequence[Annotated], stands: Sequence[Stand], plane: Floor
) -> GroundCells | None:
    """The ground cells of a photo (H, W, 3); None without usable feet.

    A guess by colour: cells below the horizon similar to those about a person's feet and connected
    to them. People in the air or with hidden feet are not used. Conservative: none from colours
    that also occur above the horizon (a wall, fog, a stand of spectators), nor on courts, mown
    fields and snow, where objects are implausible, nor from feet on something small (a horse, a
    board), nor in a photo whose camera looks up or down.
    """
    grid = _grid(rgb, people)
    share = plane.horizon_px / rgb.shape[0]
    if not _LEVEL[0] <= share <= _LEVEL[1]:
        return None
    horizon = round(plane.horizon_px / grid.cell_px)
    out = np.zeros(grid.taken.shape, np.bool_)
    any_feet = False
    for person, where in zip(people, stands, strict=True):
        airborne = where.foot_px - plane.horizon_px < _IN_THE_AIR_M * where.px_per_m
        if not where.upright or airborne:
            continue
        seeds = _about_feet(grid, person, where)
        if seeds.sum() < _MIN_CELLS or not _is_plain_ground(grid.lab[seeds]):
            continue
        alike, free = _like(grid, seeds), ~grid.taken
        above = alike[:horizon].sum() <= _ALIKE_ABOVE * free[:horizon].sum()
        if above and alike[horizon:].sum() >= _MIN_BELOW * free[horizon:].sum():
            out[horizon:] |= alike[horizon:]
            any_feet = True
    return GroundCells(ground=out, cell_px=grid.cell_px) if any_feet else None


def _grid(rgb: U8, people: Sequence[Annotated]) -> _Grid:
    height, width = rgb.shape[:2]
    cell = max(1, round(height / _CELLS_HIGH))
    size = (max(1, width // cell), max(1, height // cell))
    part = rgb[: size[1] * cell, : size[0] * cell]
    lab = cv2.cvtColor(cv2.resize(part, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    whole = np.zeros((height, width), np.float32)
    for person in people:
        own = whole[window(person.left_px, person.top_px, person.mask)]
        np.maximum(own, person.mask, out=own)
    taken = cv2.resize(
        whole[: size[1] * cell, : size[0] * cell], size, interpolation=cv2.INTER_AREA
    )
    return _Grid(np.asarray(lab, np.float32), np.asarray(taken > _COVERED), cell)


def _about_feet(grid: _Grid, person: Annotated, where: Stand) -> Bool:
    beside, below = _BESIDE_M * where.px_per_m, _BELOW_M * where.px_per_m
    top, bottom = where.foot_px - 0.1 * below, where.foot_px + below
    left, right = person.left_px - beside, person.left_px + person.mask.shape[1] + beside
    out = np.zeros(grid.taken.shape, np.bool_)
    ends = np.array([top, bottom, left, right]) / grid.cell_px
    i0, i1, j0, j1 = np.clip(np.rint(ends), 0, 10_000).astype(int)
    out[i0 : max(i1, i0 + 1), j0 : max(j1, j0 + 1)] = True
    return np.asarray(out & ~grid.taken)


def _is_plain_ground(lab: F32) -> bool:
    """Whether cells (N, 3) are similar, and not a mown field, court or snow by colour."""
    light, a, b = np.median(lab, axis=0) - np.array([0.0, 128.0, 128.0])
    chroma, off = np.hypot(a, b), np.abs(lab[:, 0] - light)
    field = chroma >= _COLOURED and 1.4826 * np.median(off) < _EVEN
    return not (field or chroma >= _PAINTED or light >= _SNOW or lab[:, 0].std() > _UNEVEN)


def _like(grid: _Grid, seeds: Bool) -> Bool:
    own = grid.lab[seeds]
    middle = np.median(own, axis=0)
    spread = 1.4826 * np.median(np.abs(own - middle), axis=0)
    far = np.abs(grid.lab - middle) / np.clip(spread, _MIN_SPREAD, _MAX_SPREAD)
    alike = (far < _TIMES).all(axis=2)
    joined = np.asarray(alike | grid.taken, np.uint8)  # ground continues behind people
    _, piece = cv2.connectedComponents(joined, connectivity=4)
    known: I32 = np.unique(piece[seeds & alike])
    return np.asarray(alike & np.isin(piece, known[known > 0]))
