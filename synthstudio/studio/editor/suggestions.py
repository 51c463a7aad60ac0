"""What the editor suggests: predictions beside the labels, poses of the set, masks from clicks.

A mask is segmented from points by OpenCV's GrabCut, or by a user's network with the inputs and
outputs of EfficientSAM's ONNX export: `batched_images` (1, 3, H, W) float32 RGB in 0..1,
`batched_point_coords` (1, 1, N, 2) in pixels and `batched_point_labels` (1, 1, N): 1: points, 2
and 3: corners of a box; logits (1, 1, M, H, W) and their quality (1, 1, M).
"""

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F32, U8, Bool
from synthstudio.core.errors import ModelError, Refused
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.last_used import LastUsed
from synthstudio.core.skeleton import Skeleton
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.predictions import (
    LabelledPerson,
    Prediction,
    box_of,
    joint_positions,
    labelled_person,
    match,
    mean_distance_px,
    similarity,
)
from synthstudio.review.values import ItemState, Pair
from synthstudio.studio.frame_data import FrameRows, people_now

_GRABCUT_PX, _NETWORK_PX = 384, 1024
"""The longest side of the segmented picture; larger crops are reduced."""
_MARGIN, _MIN_PX = 0.15, 8.0
_ROUNDS, _NEAR = 5, 12
_TURNS = threading.BoundedSemaphore(2)
_OWN: LastUsed[str, threading.Lock] = LastUsed(1_000)
_TURN_S = 1.0
_INPUTS = ("batched_images", "batched_point_coords", "batched_point_labels")


Segment = Callable[[U8, F32, F32 | None], F32]
"""A picture (H, W, 3) RGB, points (N, 2) of the person in its pixels, N from 1, and perhaps the
corners (4,) of its box, x0 y0 x1 y1 -> (H, W), above 0 inside."""


def segmented(
    rgb: U8,
    points: Sequence[tuple[float, float]],
    box: Sequence[float] | None,
    model: Path | None,
    *,
    who: str = "",
) -> Bool:
    """The mask (H, W) of the object at `points` (pixels) of a picture (H, W, 3).

    `box`: x, y, width, height round the person; None: unknown. ModelError if `model` is invalid
    or fails; Refused("busy") if others, or another one of the user `who`, take a second.
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
    with turn(who):
        logits = segment(small, (inside - low) * scale, corners)
    whole = cv2.resize(logits, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    found = np.zeros(rgb.shape[:2], bool)
    found[top:bottom, left:right] = whole > 0
    return found


@contextmanager
def turn(who: str) -> Iterator[None]:
    """Two masks at a time, one of a user; Refused("busy") after a second: threads are few."""
    with ExitStack() as held:
        for gate in (_OWN.get_or(who, threading.Lock), _TURNS):
            if not gate.acquire(timeout=_TURN_S):
                raise Refused("masks are being made", then="Try again.", reason="busy")
            held.callback(gate.release)
        yield


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


_ARM = ("shoulder", "elbow", "wrist", "hand", "finger", "thumb")
_LEG = ("hip", "knee", "ankle", "toe", "heel")
_TRUNK = ("pelvis", "spine", "thorax")
States = Mapping[Pair, ItemState]


def frame_predictions(
    predictions: Sequence[Prediction], found: FrameRows, state_of: States, skeleton: Skeleton
) -> tuple[dict[int, dict[str, Any]], list[dict[str, Any]]]:
    """Predictions in a frame, of its people as edited by number, and those without a person.

    One stored for a person stays with it, even if deleted; the others are matched with people
    without one, by OKS or by their boxes.
    """
    people, deleted = _people(found, state_of, skeleton)
    of: dict[int, Prediction] = {p.instance: p for p in predictions if p.instance in people}
    left = [p for p in predictions if p.instance not in of and p.instance not in deleted]
    px = [joint_positions(p.joints, skeleton.joints) for p in left]
    others = [person for n, person in people.items() if n not in of]
    whose = match([(p, box_of(p)) for p in px], others, skeleton)
    extra: list[dict[str, Any]] = []
    for prediction, instance in zip(left, whose, strict=True):
        if instance is None:
            extra.append(_prediction(prediction, None, skeleton))
        else:
            of[instance] = prediction
    return {n: _prediction(p, people[n], skeleton) for n, p in of.items()}, extra


def limbs(skeleton: Skeleton) -> list[list[int]]:
    """Joints of arms, legs, trunk, head; of own skeletons: chains between crossings, and these."""
    if skeleton.own:
        return _chains(len(skeleton.joints), skeleton.edges)
    parts: dict[tuple[str, str], list[int]] = {}
    for j, (name, side) in enumerate(zip(skeleton.joints, skeleton.sides, strict=True)):
        part = next(
            (p for p, words in (("arm", _ARM), ("leg", _LEG)) if any(w in name for w in words)), ""
        )
        where = (part, side) if part else ("trunk" if name in _TRUNK else "head", "")
        parts.setdefault(where, []).append(j)
    return list(parts.values())


def _chains(joints: int, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The joints where more than two limbs meet, and the connected parts without them."""
    from scipy.sparse.csgraph import connected_components

    beside = np.zeros((joints, joints), bool)
    for a, b in edges:
        beside[a, b] = beside[b, a] = True
    crossing = beside.sum(axis=0) > 2
    beside[crossing], beside[:, crossing] = False, False
    _, part = connected_components(beside)
    part[crossing] = -1
    return [np.flatnonzero(part == k).tolist() for k in np.unique(part)]


def _people(
    found: FrameRows, state_of: States, skeleton: Skeleton
) -> tuple[dict[int, LabelledPerson], set[int]]:
    """The people of a frame by number, and the numbers of deleted ones."""
    people, deleted = {}, set[int]()
    for n, state, labels in people_now(found, state_of, skeleton.joints):
        if state.deleted:
            deleted.add(n)
            continue
        row = found.people.get(n)
        people[n] = labelled_person(
            n, labels, skeleton.joints, row["modal_box_px"] if row else None
        )
    return people, deleted


def _prediction(
    prediction: Prediction, person: LabelledPerson | None, skeleton: Skeleton
) -> dict[str, Any]:
    px = joint_positions(prediction.joints, skeleton.joints)
    off = mean_distance_px(px, person) if person is not None else None
    alike = similarity(px, box_of(px), person, skeleton) if person is not None else None
    return {
        "n": prediction.instance,
        "score": round(prediction.score, 3),
        "joints": [_joint(prediction, name) for name in skeleton.joints],
        "oks": None if alike is None else round(alike, 3),
        "off": None if off is None else round(off, 1),
    }


def _joint(prediction: Prediction, name: str) -> list[Any] | None:
    point = prediction.joints.get(name)
    if point is None:
        return None
    x, y, confidence = point
    return [round(x, 4), round(y, 4), round(confidence, 3), prediction.causes.get(name)]


MAX_POSES = 12
_POSE_SAMPLE = 2_000
_MIN_POSE_PX = 20.0
"""Minimum height and width of a usable pose."""


def poses_of(table: PeopleTable) -> tuple[dict[str, Any], ...]:
    """Return at most MAX_POSES poses of people with all joints in the picture.

    `form`: width / height of the box round the joints; `at`: (u, v) of each joint in it, 0 to 1.
    People are split by form into groups of equal size; each gives the one nearest to its
    mean.
    """
    rows = np.linspace(0, table.people - 1, min(table.people, _POSE_SAMPLE)).astype(np.int64)
    px = table.joints_px[rows].astype(np.float64)
    inside = np.isin(table.state[rows], (STATE_VISIBLE, STATE_HIDDEN)).all(axis=1)
    px = px[inside & np.isfinite(px).all(axis=(1, 2))]
    if not len(px):
        return ()
    low = px.min(axis=1, keepdims=True)
    size = px.max(axis=1, keepdims=True) - low
    large = (size[:, 0] >= _MIN_POSE_PX).all(axis=1)
    at, size = ((px - low) / np.maximum(size, 1.0))[large], size[large, 0]
    form = size[:, 0] / size[:, 1]
    groups = np.array_split(np.argsort(form, kind="stable"), MAX_POSES)
    return tuple(_middle(at[group], form[group]) for group in groups if len(group))


def _middle(at: Any, form: Any) -> dict[str, Any]:
    far = ((at - at.mean(axis=0)) ** 2).sum(axis=(1, 2))
    one = int(far.argmin())
    return {"form": round(float(form[one]), 3), "at": np.round(at[one], 3).tolist()}
