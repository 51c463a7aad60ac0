"""Pictures of a report: worst cases, truth against prediction, and what the network attended to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.images import decode_rgb
from synthstudio.core.labels import CAUSES, STATE_HIDDEN
from synthstudio.core.skeleton import COLOURS, Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.attention import AttentionExample, Sensitivity
from synthstudio.evaluation.localization import distances
from synthstudio.evaluation.storage import Predictions
from synthstudio.report.plots import CAUSE_COLOURS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Colour = tuple[int, int, int]

_TILE = (360, 270)  # height and width
_AROUND = 1.35
_INK: Colour = (18, 20, 24)
_MISS: Colour = (255, 70, 70)
_HEAT: Colour = (255, 64, 32)
_BONE: Colour = (235, 235, 235)
_GREY = 114
_FAR = 1e4
_LEAST_WRONG = 0.1
_SHIFT = 4


@dataclass(frozen=True, kw_only=True)
class Case:
    """`rgb` (h, w, 3): a person with the truth at the left, the prediction at the right."""

    rgb: U8
    frame: int
    instance: int
    error: float  # mean over hidden joints, in longer sides of the amodal box
    hidden: int
    fraction: float
    family: str


def worst(predictions: Predictions, *, count: int) -> I64:
    """The rows of the people whose hidden joints lie farthest off, one of each moment."""
    apart = distances(predictions.xy, predictions.true_xy) / predictions.side[:, None]
    which = predictions.known & (predictions.state == STATE_HIDDEN) & np.isfinite(apart)
    number = which.sum(1)
    error = np.where(which, apart, 0).sum(1) / np.maximum(number, 1)
    order = [int(r) for r in np.argsort(-error, kind="stable") if number[r]]
    seen: set[int] = set()
    chosen = []
    for row in order:
        if int(predictions.group[row]) not in seen:
            seen.add(int(predictions.group[row]))
            chosen.append(row)
    return np.array(chosen[:count], np.int64)


def cases(dataset: Dataset, predictions: Predictions, rows: I64, skeleton: Skeleton) -> list[Case]:
    """Draw people of a data set; DatasetError when a picture of it is damaged."""
    out = []
    for row in rows.tolist():
        frame = dataset.frame(int(predictions.frame[row]))
        rgb = decode_rgb(dataset.image_bytes_of(frame), str(dataset.image_of(frame)))
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
    view = np.array([[zoom, 0, -corner[0] * zoom], [0, zoom, -corner[1] * zoom]])
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    tile = np.asarray(
        cv2.warpAffine(rgb, view, (wide, high), flags=method, borderValue=(_GREY,) * 3), np.uint8
    )
    known, hidden = predictions.known[row], predictions.state[row] == STATE_HIDDEN
    true = (predictions.true_xy[row] - corner) * zoom
    predicted = (predictions.xy[row] - corner) * zoom
    left, right = tile.copy(), tile.copy()
    bones(left, true, known, skeleton)
    for j in np.flatnonzero(known):
        if hidden[j]:
            _ring(left, true[j], _hex(CAUSE_COLOURS[CAUSES[predictions.cause[row, j]]]), 9)
        else:
            disc(left, true[j], COLOURS[skeleton.sides[j]], 4)
    known = known & np.isfinite(predicted).all(-1)
    wrong = known & (distances(predicted, true) > _LEAST_WRONG * predictions.side[row] * zoom)
    for j in np.flatnonzero(wrong):
        cv2.line(right, _at(predicted[j]), _at(true[j]), _MISS, 2, cv2.LINE_AA, _SHIFT)
    bones(right, predicted, known, skeleton)
    for j in np.flatnonzero(known):
        draw = _ring if hidden[j] else disc
        draw(right, predicted[j], COLOURS[skeleton.sides[j]], 8 if hidden[j] else 4)
    gap = np.full((high, 4, 3), _INK, np.uint8)
    return np.concatenate([left, gap, right], 1)


def draw_example(example: AttentionExample, skeleton: Skeleton) -> U8:
    """Draw for one joint the attention to pixels, the poses of the bank and the predicted map.

    A large ring is where the joint truly is, small ones are the map's separate peaks; a line is the
    edge of what hides the person.
    """
    high = _TILE[0] * 2 // 3
    zoom = high / example.picture.shape[0]
    size = (round(example.picture.shape[1] * zoom), high)
    base = np.asarray(cv2.resize(example.picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    dull = (base * 0.45 + 60).astype(np.uint8)
    tiles = []
    if example.pixels is not None:
        tiles.append(heated(dull, example.pixels, example.cover))
    if example.poses is not None and example.weights is not None:
        tile = dull.copy()
        strong = example.weights / max(float(example.weights.max()), 1e-9)
        for pose, weight in sorted(zip(example.poses, strong, strict=True), key=lambda p: p[1]):
            ink = tuple(int(120 + (b - 120) * weight) for b in (255, 214, 60))
            at = pose * [size[0], size[1]]
            bones(tile, at, np.ones(len(pose), bool), skeleton, colour=ink)
            disc(tile, at[example.joint], _HEAT, 3)
        tiles.append(tile)
    tiles.append(heated(dull, example.heatmap, example.cover))
    for tile in tiles:
        _ring(tile, example.true * [size[0], size[1]], (255, 255, 255), 9)
    for peak in example.peaks:
        _ring(tiles[-1], peak * [size[0], size[1]], (60, 220, 255), 4)
    disc(tiles[-1], example.predicted * [size[0], size[1]], (60, 220, 255), 4)
    gap = np.full((high, 4, 3), _INK, np.uint8)
    joined = [part for tile in tiles for part in (tile, gap)][:-1]
    return np.concatenate(joined, 1)


def draw_sensitivity(maps: Sequence[Sensitivity]) -> U8:
    """People side by side, red where a patch's middle adds error: full red is its worst place."""
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
        tiles.append(np.full((high, 4, 3), _INK, np.uint8))
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


def bones(
    tile: U8, at: F64, known: Bools, skeleton: Skeleton, *, colour: Sequence[int] | None = None
) -> None:
    """Draw bones with an edge; with a `colour` of their own, thin and without."""
    pens = ((4, _INK), (2, _BONE)) if colour is None else ((1, tuple(colour)),)
    for strokes, ink in pens:
        for a, b in skeleton.edges:
            if known[a] and known[b]:
                cv2.line(tile, _at(at[a]), _at(at[b]), ink, strokes, cv2.LINE_AA, _SHIFT)


def _ring(tile: U8, at: F64, colour: Colour, radius: int) -> None:
    for width, ink in ((4, _INK), (2, colour)):
        cv2.circle(tile, _at(at), radius << _SHIFT, ink, width, cv2.LINE_AA, _SHIFT)


def disc(tile: U8, at: F64, colour: Colour, radius: int) -> None:
    """Draw a dot with an edge at a place in continuous pixels."""
    for grow, ink in ((1, _INK), (0, colour)):
        cv2.circle(tile, _at(at), (radius + grow) << _SHIFT, ink, -1, cv2.LINE_AA, _SHIFT)


def _at(place: F64) -> tuple[int, int]:
    x, y = np.clip(np.nan_to_num(place, nan=-_FAR), -_FAR, _FAR) - 0.5
    return round(float(x) * (1 << _SHIFT)), round(float(y) * (1 << _SHIFT))


def _hex(colour: str) -> Colour:
    r, g, b = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return r, g, b
