"""One-click masks: segmentation of a person from point prompts.

By OpenCV's GrabCut, or by a user's network with the inputs and outputs of EfficientSAM's
ONNX export: `batched_images` (1, 3, H, W) float32 RGB in 0..1, `batched_point_coords` (1, 1, N, 2)
in pixels and `batched_point_labels` (1, 1, N): 1: points, 2 and 3: corners of a box; logits
(1, 1, M, H, W) and their quality (1, 1, M).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F32, U8, Bool
from synthstudio.core.errors import ModelError

_GRABCUT_PX, _NETWORK_PX = 384, 1024
"""The longest side of the segmented picture; larger crops are reduced."""
_MARGIN, _MIN_PX = 0.15, 8.0
_ROUNDS, _NEAR = 5, 12
_TURNS = threading.BoundedSemaphore(2)
_INPUTS = ("batched_images", "batched_point_coords", "batched_point_labels")


Segment = Callable[[U8, F32, F32 | None], F32]
"""A picture (H, W, 3) RGB, points (N, 2) of the person in its pixels, N from 1, and perhaps the
corners (4,) of its box, x0 y0 x1 y1 -> (H, W), above 0 inside."""


def segmented(
    rgb: U8,
    points: Sequence[tuple[float, float]],
    box: Sequence[float] | None,
    model: Path | None,
) -> Bool:
    """The mask (H, W) of the object at `points` (pixels) of a picture (H, W, 3).

    `box`: x, y, width, height round the person; None: unknown. ModelError if `model` is invalid
    or fails.
    """
    import cv2

    size = np.array(rgb.shape[1::-1], np.float32)
    inside = np.clip(np.array(points, np.float32), 0, size - 1)
    x, y, w, h = (0.0, 0.0, *size) if box is None else box
    near = np.clip(np.concatenate([[(x, y), (x + w, y + h)], inside]), 0, size)
    near = np.array([near.min(axis=0), near.max(axis=0)], np.float32)
    room = np.maximum(_MARGIN * (near[1] - near[0]), _MIN_PX)
    low, high = np.floor(near[0] - room).clip(min=0), np.minimum(np.ceil(near[1] + room), size)
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    crop = rgb[top:bottom, left:right]
    scale = min(1.0, (_GRABCUT_PX if model is None else _NETWORK_PX) / max(crop.shape[:2]))
    small: U8 = np.asarray(
        cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )
    corners = None if box is None else ((near - low) * scale).ravel()
    segment: Segment = grabcut
    if model is not None:
        segment = network(model, model.stat().st_mtime_ns if model.is_file() else 0)
    with _TURNS:
        logits = segment(small, (inside - low) * scale, corners)
    whole = cv2.resize(logits, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    found = np.zeros(rgb.shape[:2], bool)
    found[top:bottom, left:right] = whole > 0
    return found


def grabcut(rgb: U8, points: F32, box: F32 | None) -> F32:
    """By colours: nothing outside the box, initially near the points; only connected parts."""
    import cv2

    high, wide = rgb.shape[:2]
    unit = max(1, round(0.01 * max(high, wide)))
    seeds = np.zeros((high, wide), np.uint8)
    for x, y in np.rint(points).astype(int).tolist():
        cv2.circle(seeds, (x, y), unit, 1, -1)
    labels = np.full((high, wide), cv2.GC_PR_BGD, np.uint8)
    if box is not None:
        near = cv2.distanceTransform(1 - seeds, cv2.DIST_L2, 5) < _NEAR * unit
        x0, y0, x1, y1 = np.rint(box).astype(int)
        inner = np.zeros((high, wide), bool)
        inner[y0:y1, x0:x1] = True
        labels[inner & near] = cv2.GC_PR_FGD
        labels[~inner] = cv2.GC_BGD
    labels[seeds > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    rect, back, front = (0, 0, wide, high), np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(rgb, labels, rect, back, front, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    parts = cv2.connectedComponents(inside.astype(np.uint8))[1]
    mine = np.isin(parts, np.unique(parts[(seeds > 0) & inside]))
    return np.where(mine, np.float32(1), np.float32(-1))


@functools.lru_cache(1)
def network(path: Path, changed: int) -> Segment:
    """A network, cached until its file changes; ModelError for another kind of file."""
    from synthstudio.inference.model_files import open_session

    session, _ = open_session(
        path, what="segmenter", form="", where=str(path), device="auto", threads=0
    )
    names = tuple(port.name for port in session.get_inputs())
    if sorted(names) != sorted(_INPUTS) or len(session.get_outputs()) < 2:
        raise ModelError(
            "this network takes no points",
            where=str(path),
            expected=f"the inputs {', '.join(_INPUTS)}; logits and quality as outputs",
            got=f"{', '.join(names)}; {len(session.get_outputs())} outputs",
            then="Export EfficientSAM, or omit --segmenter to use GrabCut.",
        )
    return functools.partial(_logits, session, str(path))


def _logits(session: Any, where: str, rgb: U8, points: F32, box: F32 | None) -> F32:
    corners = np.zeros((0, 2)) if box is None else box.reshape(2, 2)
    places = np.concatenate([corners, points]).astype(np.float32)
    labels = np.array([2, 3][: len(corners)] + [1] * len(points), np.float32)
    images = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32) / 255
    given = dict(zip(_INPUTS, (images, places[None, None], labels[None, None]), strict=True))
    try:
        logits, quality, *_ = session.run(None, given)
        best: F32 = np.asarray(logits, np.float32)[0, 0, int(np.argmax(quality))]
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise ModelError(
            "the segmenter failed", where=where, got=str(error).splitlines()[0][:200]
        ) from error
    if best.shape != rgb.shape[:2] or not np.isfinite(best).all():
        raise ModelError(
            "the segmenter's output is not a mask",
            where=where,
            expected=f"finite logits {rgb.shape[:2]}",
            got=str(best.shape),
        )
    return best
