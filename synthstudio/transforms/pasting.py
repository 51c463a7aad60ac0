"""Pastes over people in arrays: placement and blending.

Training pastes new ones in every batch, at about a millisecond per person; `ss.occlude` makes data
sets on disk, with objects in 3D. Letters: B samples, J joints.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from synthstudio.compose.blend import three
from synthstudio.core.arrays import F32, F64, I64, U8, Bool
from synthstudio.core.errors import AssetError
from synthstudio.core.images import read_rgba
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.rng import Generator, stream
from synthstudio.props.assets import scan_images
from synthstudio.props.cutouts import crop_to_alpha

_OBJECT, VISIBLE = VISIBILITY.index("object"), VISIBILITY.index("visible")
_OUTLINES = 1 / 3
"""Fraction of pastes with synthetic colours that have a cut-out's outline."""
_STEPS = 8
_GROWTHS = 5
_MIN_AREA_PX = 9.0
COARSE = 2  # image pixels per cell of the placement search


@dataclass(frozen=True, kw_only=True)
class PasteDraws:
    """Random draws for B samples; each array has B rows."""

    pasted: Bool
    which: I64  # of the cut-outs, then of `shapes`
    filled: Bool  # with synthetic colours
    other: I64  # sample that a piece is taken from
    fraction: F64  # fraction of the person's hull to cover
    stretch: F64  # the cut-out's area over the area to be covered
    angle: F64
    mirrored: Bool
    direction: F64  # direction of approach
    aim: F64  # (B, 2) target, in standard deviations of the hull's joints
    tint: F64  # (B, 3) factors of the channels
    light: F64  # adaptation to the picture's brightness, 0 to 1
    soft_px: F64  # blur of its edge
    seed: I64  # of the colours


@dataclass(frozen=True, kw_only=True)
class PasteOptions:
    """`chance` of a paste per sample, minimum and maximum `fraction` that it covers, the
    fraction `synthetic` of pastes with synthetic colours, the strength of `tint`, 0 to 1."""

    chance: float
    fraction: tuple[float, float]
    synthetic: float
    tint: float


def draw_pastes(options: PasteOptions, rng: Generator, *, count: int, cutouts: int) -> PasteDraws:
    """Draw for `count` samples from as many `cutouts`, and from `shapes`."""
    low, high = options.fraction
    filled = rng.random(count) < (options.synthetic if cutouts else 1)
    shape = filled & ((rng.random(count) >= _OUTLINES) | (cutouts == 0))
    of_shapes, of_cutouts = (rng.integers(0, n, count) for n in (SHAPES, max(cutouts, 1)))
    return PasteDraws(
        pasted=rng.random(count) < options.chance,
        which=np.where(shape, cutouts + of_shapes, of_cutouts),
        filled=filled,
        other=rng.integers(0, max(count, 1), count),
        fraction=rng.uniform(low, high, count),
        stretch=rng.uniform(1.2, 3.0, count),
        angle=np.deg2rad(rng.uniform(-30, 30, count)) * np.where(shape, 6, 1),
        mirrored=rng.random(count) < 0.5,
        direction=rng.uniform(0, 2 * math.pi, count),
        aim=rng.normal(0, 0.7, (count, 2)),
        tint=np.exp(rng.normal(0, 1, (count, 3)) * options.tint),
        light=rng.uniform(0, 1, count),
        soft_px=rng.uniform(0, 1, count),
        seed=rng.integers(0, 2**62, count),
    )


@dataclass(frozen=True, kw_only=True)
class Body:
    """The target pixels of a paste on a person: a mask of one value for `cell_px` x
    `cell_px` pixels, with its corner at `corner_px` (2,) of the image."""

    mask: U8  # (h, w) 0 or 1
    cell_px: int
    corner_px: F64
    area_px: float
    joints_px: F64  # (J, 2) the known ones


def body_of(xy: F64, size: tuple[int, int], cell_px: int = COARSE) -> Body | None:
    """The convex hull of the joints `xy` (J, 2) in an image (H, W); None: no area."""
    known = xy[np.isfinite(xy).all(-1)]
    hull = cv2.convexHull(known.astype(np.float32)) if len(known) else np.zeros((0, 1, 2))
    area = cv2.contourArea(hull) if len(hull) > 2 else 0.0
    if area < _MIN_AREA_PX:
        return None
    mask = np.zeros((size[0] // cell_px, size[1] // cell_px), np.uint8)
    cv2.fillConvexPoly(mask, np.round((hull / cell_px - 0.5) * 16).astype(np.int32), 1, shift=4)
    return Body(mask=mask, cell_px=cell_px, corner_px=np.zeros(2), area_px=area, joints_px=known)


def paste(
    image: U8, xy: F64, cutouts: Cutouts, draws: PasteDraws, b: int, other: U8 | None = None
) -> tuple[U8, U8] | None:
    """The image (H, W, 3) with sample b's cut-out over it, and its cover (H, W) 0 to 255.

    `other` (h, w, 3): a source of pieces. The covered part refers to the
    convex hull of the joints `xy` (J, 2). None without area.
    """
    body = body_of(xy, (image.shape[0], image.shape[1]))
    if body is None:
        return None
    cutout = cutouts.drawn(draws, b)
    matrix = place(cutout, body, draws, b, reach_px=math.hypot(*image.shape[:2]))
    return blend(image, cutout, matrix, draws, b, other)


def place(cutout: Cutout, body: Body, draws: PasteDraws, b: int, *, reach_px: float) -> F64:
    """From pixels of the cut-out to those of the image (2, 3).

    The cut-out moves in along a line from `reach_px` away until it covers the drawn
    fraction of the body; if it is too small, it is enlarged.
    """
    known, fraction = body.joints_px, float(draws.fraction[b])
    full = max(float(cutout.alpha[0].sum()) / 255, 1.0)
    scale = math.sqrt(body.area_px * fraction * draws.stretch[b] / full)
    end = known.mean(0) + draws.aim[b] * known.std(0)
    way = np.array([math.cos(draws.direction[b]), math.sin(draws.direction[b])])
    for _ in range(_GROWTHS):
        if covered(body, cutout, _matrix(cutout, scale, end, draws, b)) >= fraction:
            break
        scale *= 1.3
    near, far = 0.0, reach_px + scale * math.hypot(*cutout.shape)
    for _ in range(_STEPS):
        middle = (near + far) / 2
        there = _matrix(cutout, scale, end + middle * way, draws, b)
        if covered(body, cutout, there) >= fraction:
            near = middle
        else:
            far = middle
    return _matrix(cutout, scale, end + near * way, draws, b)


def blend(
    image: U8, cutout: Cutout, matrix: F64, draws: PasteDraws, b: int, other: U8 | None = None
) -> tuple[U8, U8]:
    """The image (H, W, 3) with the cut-out over it, softened and lit to match; its alpha (H, W)."""
    height, width = image.shape[:2]
    layer = _layer(cutout.rgba, matrix, (height, width))
    if draws.soft_px[b] > 0.3:
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), float(draws.soft_px[b])), np.uint8)
    covering = np.ascontiguousarray(layer[..., 3])
    alpha: F32 = three(covering.astype(np.float32) / np.float32(255))
    if draws.filled[b]:
        colours = fill(stream(int(draws.seed[b]), "fill"), other, (height, width)) * alpha
    else:
        colours = layer[..., :3].astype(np.float32)
    gain = draws.tint[b] * _gain(image, colours, alpha, float(draws.light[b]))
    colours *= gain.astype(np.float32)
    mixed = image * (1 - alpha)
    mixed += np.minimum(colours, 255 * alpha)
    return mixed.astype(np.uint8), covering


def _matrix(cutout: Cutout, scale: float, place: F64, draws: PasteDraws, b: int) -> F64:
    """From pixels of the full-size cut-out to those of the image: its centre maps to `place`."""
    c, s = math.cos(draws.angle[b]) * scale, math.sin(draws.angle[b]) * scale
    side = -1 if draws.mirrored[b] else 1
    x, y = cutout.shape[1] / 2, cutout.shape[0] / 2
    return np.array(
        [
            [side * c, -s, place[0] - side * c * x + s * y],
            [side * s, c, place[1] - side * s * x - c * y],
        ]
    )


def _layer(levels: tuple[U8, ...], matrix: F64, size: tuple[int, int]) -> U8:
    """The placed cut-out, from the pyramid level that needs the least downscaling, below half."""
    scale = math.hypot(matrix[0, 1], matrix[1, 1])
    level = min(max(0, math.floor(-math.log2(max(scale, 1e-6)))), len(levels) - 1)
    full, own = levels[0].shape, levels[level].shape
    index = matrix * (full[1] / own[1], full[0] / own[0], 1.0)
    # OpenCV counts from pixel centres.
    index[:, 2] += (index[:, 0] + index[:, 1]) / 2 - 0.5
    moved = cv2.warpAffine(levels[level], index, size[::-1], flags=cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8)


def covered(body: Body, cutout: Cutout, matrix: F64) -> float:
    moved = matrix.copy()
    moved[:, 2] -= body.corner_px
    alpha = _layer(cutout.alpha, moved / body.cell_px, (body.mask.shape[0], body.mask.shape[1]))
    return float(cv2.mean(alpha, mask=body.mask)[0]) / 255


def _gain(image: U8, colours: F32, alpha: F32, light: float) -> float:
    """Factor that moves a paste's brightness by `light` towards the picture's."""
    own = float(colours.sum()) / 3 / max(float(alpha[..., 0].sum()), 1.0)
    ratio = (float(image.mean()) + 10) / (own + 10)
    return float(np.clip(ratio, 0.4, 2.5) ** light)


def fractions_under_paste(fractions: F32, xy: F64, mask: U8, radius_px: F64) -> F32:
    """Shares (J, 5) after a paste: the covered part of each joint counts as hidden by an object.

    Crops hold no body surface, so the covered part is the mask's mean over a square of the
    joint's size.
    """
    out = fractions.copy()
    height, width = mask.shape
    for j, (x, y) in enumerate(xy):
        if not (np.isfinite(x) and np.isfinite(y)) or not (0 <= x < width and 0 <= y < height):
            continue
        r = max(1.0, float(radius_px[j]))
        x0, x1 = max(int(x - r), 0), min(int(x + r) + 1, width)
        y0, y1 = max(int(y - r), 0), min(int(y + r) + 1, height)
        part = mask[y0:y1, x0:x1]
        covered = cv2.sumElems(part)[0] / part.size / 255
        out[j] *= 1 - covered
        out[j, _OBJECT] += covered if np.isfinite(out[j, VISIBLE]) else 0
    return out


LONGEST_PX = 256
"""Stored size of cut-outs: network inputs are rarely larger."""
SHAPES = 64
_SHAPE_PX = 128
_SMALLEST_PX = 24


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """The resolution pyramid of a cut-out."""

    rgba: tuple[U8, ...]  # (h, w, 4) colours times alpha
    alpha: tuple[U8, ...]  # (h, w)

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) at full size."""
        return self.alpha[0].shape[0], self.alpha[0].shape[1]

    @functools.cached_property
    def hull(self) -> F64:
        """(N, 2) corners of the convex hull of its pixels, in pixels of the full size."""
        seen = self.alpha[0] > 0
        rows = np.flatnonzero(seen.any(1))
        left, right = seen[rows].argmax(1), seen.shape[1] - seen[rows, ::-1].argmax(1)
        ends = [(x, y) for x in (left, right) for y in (rows, rows + 1)]
        corners = np.concatenate([np.stack(end, -1) for end in ends]).astype(np.float32)
        return cv2.convexHull(corners)[:, 0].astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Cutouts:
    pictures: tuple[Cutout, ...] = ()
    key: str = ""

    def __len__(self) -> int:
        return len(self.pictures)

    def drawn(self, draws: PasteDraws, b: int) -> Cutout:
        """The cut-out of sample b, or a shape instead."""
        return (*self.pictures, *shapes())[int(draws.which[b])]


def load_cutouts(folder: Path) -> Cutouts:
    """Load the RGBA pictures of a folder; AssetError names an invalid one."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise AssetError("no such folder", where=str(folder), expected="a folder of cut-outs")
    found = scan_images(folder.parent, folder.name, kind="cutout")
    digest, pictures = hashlib.sha256(), []
    for picture in found:
        digest.update(picture.asset.sha256.encode())
        pictures.append(_levels(read_rgba(folder.parent / picture.asset.name)))
    return Cutouts(pictures=tuple(pictures), key=digest.hexdigest())


def _levels(rgba: U8) -> Cutout:
    rgba = crop_to_alpha(rgba)
    picture = rgba.astype(np.float32)
    picture[..., :3] *= picture[..., 3:] / 255
    factor = min(1.0, LONGEST_PX / max(rgba.shape[:2]))
    levels = []
    while True:
        size = [max(1, round(side * factor)) for side in rgba.shape[1::-1]]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        levels.append(np.ascontiguousarray(small.round().astype(np.uint8)))
        factor /= 2
        if max(rgba.shape[:2]) * factor < _SMALLEST_PX:
            alpha = tuple(np.ascontiguousarray(level[..., 3]) for level in levels)
            return Cutout(rgba=tuple(levels), alpha=alpha)


@functools.cache
def shapes() -> tuple[Cutout, ...]:
    """SHAPES outlines without colours: round, angular, long and broad."""
    rng = stream(0, "shapes")
    return tuple(_shape(rng) for _ in range(SHAPES))


def _shape(rng: Generator) -> Cutout:
    if rng.random() < 0.5:
        corners = int(rng.integers(3, 9))
        angle = 2 * np.pi * (np.arange(corners) + rng.uniform(0, 0.6, corners)) / corners
        radius = np.ones(corners)
    else:
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        waves = [(k, *rng.normal(0, 0.3 / k, 2)) for k in range(2, 6)]
        radius = 1 + sum(a * np.cos(k * angle) + b * np.sin(k * angle) for k, a, b in waves)
    xy = np.stack([np.cos(angle), np.sin(angle)], -1) * np.maximum(radius, 0.1)[:, None]
    xy *= [1, rng.uniform(0.2, 1)]
    xy = (xy - xy.min(0)) / np.ptp(xy, axis=0).max() * _SHAPE_PX
    width, height = np.ceil(xy.max(0)).astype(int) + 1
    rgba = np.zeros((height, width, 4), np.uint8)
    cv2.fillPoly(rgba, [np.round(xy * 16).astype(np.int32)], (0, 0, 0, 255), cv2.LINE_AA, 4)
    return _levels(rgba)


def fill(rng: Generator, other: U8 | None, size: tuple[int, int]) -> U8:
    """Colours (H, W, 3): a piece of another picture, magnified, or a pattern."""
    if other is not None and rng.random() < 0.5:
        return _piece(rng, other, size)
    height, width = size
    rows, columns = rng.integers(1, [12, 9])
    if rng.random() < 0.3:
        rows = 1  # stripes
    spread = rng.normal(0, 1, (rows, columns, 1)) * rng.uniform(0, 60)
    spread = spread + rng.normal(0, 1, (rows, columns, 3)) * rng.uniform(0, 40)
    cells = np.clip(rng.uniform(0, 255, 3) + spread, 0, 255).astype(np.uint8)
    how = cv2.INTER_NEAREST if rng.random() < 0.4 else cv2.INTER_CUBIC
    turn = np.array(cv2.getRotationMatrix2D((width, height), rng.uniform(0, 360), 1.0), np.float64)
    turn[:, 2] -= [width / 2, height / 2]
    large = cv2.resize(cells, (2 * width, 2 * height), interpolation=how)
    colours = cv2.warpAffine(large, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    grain = three(rng.integers(-20, 21, (height, width)) * rng.random())
    grain += colours
    return np.asarray(np.clip(grain, 0, 255, out=grain), np.uint8)


def _piece(rng: Generator, other: U8, size: tuple[int, int]) -> U8:
    height, width = size
    zoom = rng.uniform(1, 3)
    there = rng.uniform(0.25, 0.75, 2) * other.shape[1::-1]
    matrix = np.array(cv2.getRotationMatrix2D(tuple(there), rng.uniform(0, 360), zoom), np.float64)
    matrix[:, 2] += [width / 2, height / 2] - there
    return np.asarray(
        cv2.warpAffine(other, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )
