"""`occlude_people`: pastes over the people of an image, and the updated labels."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from synthstudio.core.arrays import F32, F64, U8, Bool
from synthstudio.core.errors import ArgumentError
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.visibility import is_visible
from synthstudio.transforms.pasting import (
    COARSE,
    VISIBLE,
    Body,
    Cutout,
    Cutouts,
    PasteDraws,
    PasteOptions,
    blend,
    body_of,
    draw_pastes,
    fractions_under_paste,
    load_cutouts,
    place,
)

FRACTION = (0.1, 0.6)
SYNTHETIC_SHARE = 0.5
_TINT = 0.25
_SIGMA = 0.07
"""Sigma of joints that are not COCO's: the mean of its body joints'."""
_BOX_FILLED = 0.53
"""Fraction of a box that its person fills, as in COCO."""
_SOFT_PX = 4
_CELLS = 64
"""Resolution for placing pastes, in cells along a person's longer side."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Paste:
    """A cut-out placed in an image: sample `row` of `draws`, `matrix` (2, 3) from its pixels
    to those of the image."""

    cutout: Cutout
    matrix: F64
    draws: PasteDraws
    row: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Occluded:
    """An image with pastes over its people, and their labels after it."""

    image: U8  # (H, W, 3)
    keypoints: F64  # (P, J, 3) x, y, v: 2 visible, 1 hidden, 0 unlabelled
    visibility_fractions: F32  # (P, J, 5) in the order of core.labels.VISIBILITY, NaN unknown
    cover: U8  # (H, W) 255: under a paste
    fraction: F64  # (P,) of each person's mask or hull under pastes, NaN where there is none
    masks: Bool | None  # (P, H, W) the remaining masks
    pastes: tuple[Paste, ...]  # for `apply_pastes` over another image of that size

    @property
    def visible_share(self) -> F32:
        """(P, J) visible fraction of each joint, 0 to 1, NaN unknown."""
        return self.visibility_fractions[..., VISIBLE]


def occlude_people(
    image: U8,
    keypoints: ArrayLike,
    *,
    seed: int,
    boxes: ArrayLike | None = None,
    masks: ArrayLike | None = None,
    visibility_fractions: ArrayLike | None = None,
    cutouts: Cutouts | str | os.PathLike[str] | None = None,
    fraction: tuple[float, float] = FRACTION,
    synthetic: float = SYNTHETIC_SHARE,
    people: float = 1.0,
    sigmas: Sequence[float] | None = None,
) -> Occluded:
    """Paste objects over the people of an image; their visibility follows.

    A paste covers a drawn fraction of a person's mask, or of the convex hull of their joints. It
    hides a joint when it covers half of the joint's surface or more.

    Args:
        image: (H, W, 3) uint8.
        keypoints: (P, J, 3) or, of one person, (J, 3): x, y in pixels and COCO's v.
        seed: Seed of all random choices.
        boxes: (P, 4) x, y, width, height in pixels: the scale of people. Default: masks, else
            the box of the joints.
        masks: (P, H, W) of bool: the visible pixels of people.
        visibility_fractions: (P, J, 5) before it; default: 1 where v is 2, else unknown.
        cutouts: A folder of RGBA pictures, such as `synthstudio objects` writes; or what
            `load_cutouts` read. None: synthetic shapes alone.
        fraction: Minimum and maximum part of a person to cover, above 0, up to 1.
        synthetic: Fraction of pastes with synthetic colours, mostly of synthetic shapes.
        people: Probability of a paste for each person.
        sigmas: (J,) COCO's sigmas of the joints; default: COCO's of 17 joints, else 0.07.

    Raises:
        ArgumentError: for arrays of other shapes, and numbers out of range.
        AssetError: for a folder without cut-outs.
    """
    right = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    if not right or image.shape[2] != 3 or min(image.shape) < COARSE:
        raise ArgumentError("unsupported image", where="image", expected="uint8 (H, W, 3)")
    if not isinstance(seed, int | np.integer):
        raise ArgumentError("not a whole number", where="seed", got=repr(seed)[:60])
    size = (image.shape[0], image.shape[1])
    joints, single = to_array(keypoints, "keypoints", ("P", "J", 3)), np.ndim(keypoints) == 2
    count, each = joints.shape[:2]
    known = np.where(joints[..., 2:] > 0, joints[..., :2], np.nan)
    outlines = None if masks is None else to_array(masks, "masks", (count, *size), np.bool_)
    bank = to_cutouts(cutouts)
    options = to_options(fraction=fraction, synthetic=synthetic, people=people)
    draws = draw_pastes(options, stream(int(seed), "occlude"), count=count, cutouts=len(bank))
    each_mask = [None] * count if outlines is None else list(outlines)
    bodies = [_body(xy, size, mask) for xy, mask in zip(known, each_mask, strict=True)]
    reach_px, pastes = float(np.hypot(*size)), []
    for b, body in enumerate(bodies):
        if body is not None and draws.pasted[b]:
            cutout = bank.drawn(draws, b)
            matrix = place(cutout, body, draws, b, reach_px=reach_px)
            pastes.append(Paste(cutout=cutout, matrix=matrix, draws=draws, row=b))
    pasted, cover = apply_pastes(image, pastes)
    areas = _areas(known, boxes, outlines)
    radius = 2 * _sigmas(sigmas, each) * np.sqrt(areas)[:, None]
    after = fractions_of(joints[..., 2])
    if visibility_fractions is not None:
        shape = (count, each, len(VISIBILITY))
        after = to_array(visibility_fractions, "visibility_fractions", shape, np.float32)
    for p in range(count):
        after[p] = fractions_under_paste(after[p], known[p], cover, radius[p])
    joints[..., 2][(joints[..., 2] == 2) & ~is_visible(after[..., VISIBLE])] = 1
    return Occluded(
        image=pasted,
        keypoints=joints[0] if single else joints,
        visibility_fractions=after[0] if single else after,
        cover=cover,
        fraction=np.array([_covered(body, cover) for body in bodies]),
        masks=None if outlines is None else outlines & (cover < 128),
        pastes=tuple(pastes),
    )


def apply_pastes(image: U8, pastes: Sequence[Paste]) -> tuple[U8, U8]:
    """The image (H, W, 3) under the pastes, and their cover (H, W), 0 to 255."""
    out, cover = image.copy(), np.zeros(image.shape[:2], np.uint8)
    for paste in pastes:
        window = _window(paste, image.shape)
        matrix = paste.matrix.copy()
        matrix[:, 2] -= [window[1].start, window[0].start]
        part = np.ascontiguousarray(out[window])
        if part.size:
            out[window], alpha = blend(part, paste.cutout, matrix, paste.draws, paste.row)
            cover[window] = np.maximum(cover[window], alpha)
    return out, cover


def _window(paste: Paste, shape: tuple[int, ...]) -> tuple[slice, slice]:
    xy = paste.cutout.hull @ paste.matrix[:, :2].T + paste.matrix[:, 2]
    low = np.floor(xy.min(0)).astype(int) - _SOFT_PX
    high = np.ceil(xy.max(0)).astype(int) + _SOFT_PX
    (left, top), (right, bottom) = np.maximum(low, 0), np.maximum(high, 0)
    return slice(top, min(bottom, shape[0])), slice(left, min(right, shape[1]))


def fractions_of(v: ArrayLike) -> F32:
    """Visibility fractions (..., 5) of COCO's v (...): 1 visible where it is 2, else unknown."""
    seen = np.asarray(v) == 2
    fractions = np.full((*seen.shape, len(VISIBILITY)), np.nan, np.float32)
    fractions[seen] = np.eye(len(VISIBILITY), dtype=np.float32)[VISIBLE]
    return fractions


def to_options(*, fraction: Any, synthetic: Any, people: Any) -> PasteOptions:
    """The options of pastes; ArgumentError for those out of range."""
    low, high = to_array(fraction, "fraction", (2,)).tolist()
    synthetic, people = to_array((synthetic, people), "synthetic, people", (2,)).tolist()
    fractions = {"synthetic": synthetic, "people": people}
    wrong = [name for name, share in fractions.items() if not 0 <= share <= 1]
    if wrong or not 0 < low <= high <= 1:
        raise ArgumentError(
            "a fraction is out of range",
            where=wrong[0] if wrong else "fraction",
            expected="0 to 1; fraction: minimum and maximum, above 0",
            got=f"fraction {fraction}, synthetic {synthetic}, people {people}",
        )
    return PasteOptions(chance=people, fraction=(low, high), synthetic=synthetic, tint=_TINT)


def to_cutouts(value: Any) -> Cutouts:
    """Cut-outs from loaded ones, a folder (read once per process) or None."""
    if value is None or isinstance(value, Cutouts):
        return value or Cutouts()
    if not isinstance(value, str | os.PathLike):
        raise ArgumentError("not a folder", where="cutouts", got=type(value).__name__)
    return _read(os.path.abspath(value))  # noqa: PTH100  # quicker, and once an image


@functools.lru_cache(4)
def _read(folder: str) -> Cutouts:
    return load_cutouts(Path(folder))


def _sigmas(given: Any, joints: int) -> F64:
    coco = get_skeleton("coco17").sigmas
    usual = coco if len(coco) == joints else np.full(joints, _SIGMA)
    found: F64 = to_array(usual if given is None else given, "sigmas", (joints,))
    return found


def to_array(value: Any, name: str, shape: tuple[int | str, ...], kind: Any = np.float64) -> Any:
    """An array of a given shape, with any length for axes given by name; for one person also
    without the first axis. ArgumentError."""
    try:
        found = np.array(value, kind)
    except (TypeError, ValueError):
        found = np.array(kind(0))
    if found.ndim == len(shape) - 1 and shape[0] in ("P", 1):
        found = found[None]
    fits = all(isinstance(n, str) or n == own for n, own in zip(shape, found.shape, strict=False))
    if found.ndim != len(shape) or not fits:
        wanted = f"({', '.join(map(str, shape))})"
        raise ArgumentError(
            "unsupported array", where=name, expected=f"shape {wanted}", got=str(np.shape(value))
        )
    return found


def _body(xy: F64, size: tuple[int, int], mask: Bool | None) -> Body | None:
    known = np.clip(xy[np.isfinite(xy).all(-1)], 0, (size[1], size[0]))
    span = float(np.ptp(known, axis=0).max()) if len(known) else 0.0
    cell = max(COARSE, round(span / _CELLS))
    body = body_of(known, size, cell)
    if mask is not None and mask.any():
        sampled = mask[: size[0] // cell * cell : cell, : size[1] // cell * cell : cell]
        body = Body(
            mask=np.ascontiguousarray(sampled, np.uint8),
            cell_px=cell,
            corner_px=np.zeros(2),
            area_px=float(np.count_nonzero(mask)),
            joints_px=known if body else np.argwhere(sampled)[:, ::-1].astype(np.float64) * cell,
        )
    if body is None or not body.mask.any():
        return None
    x, y, width, height = cv2.boundingRect(body.mask)
    return replace(
        body,
        mask=np.ascontiguousarray(body.mask[y : y + height, x : x + width]),
        corner_px=np.array([x, y]) * float(cell),
    )


def _covered(body: Body | None, cover: U8) -> float:
    if body is None:
        return float("nan")
    (left, top), cell = (int(side) for side in body.corner_px), body.cell_px
    height, width = body.mask.shape
    part = cover[top : top + cell * height : cell, left : left + cell * width : cell]
    return float(cv2.mean(np.ascontiguousarray(part), mask=body.mask)[0]) / 255


def _areas(known: F64, boxes: Any, masks: Bool | None) -> F64:
    if masks is not None:
        return np.asarray(masks.sum(axis=(1, 2)), np.float64)
    if boxes is not None:
        sides = to_array(boxes, "boxes", (len(known), 4))[:, 2:]
    else:
        found = np.isfinite(known).all(-1, keepdims=True)
        low = np.where(found, known, np.inf).min(1, initial=np.inf)
        sides = np.maximum(np.where(found, known, -np.inf).max(1, initial=-np.inf) - low, 0)
    return np.asarray(sides.prod(1) * _BOX_FILLED)
