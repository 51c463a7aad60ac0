"""Predictions shown under the labels in the editor: their person, and their distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
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
from synthstudio.review.values import ItemState
from synthstudio.studio.frame_rows import FrameRows, people_now

_ARM = ("shoulder", "elbow", "wrist", "hand", "finger", "thumb")
_LEG = ("hip", "knee", "ankle", "toe", "heel")
_TRUNK = ("pelvis", "spine", "thorax")
States = Mapping[tuple[int, int], ItemState]


@dataclass(frozen=True)
class FramePredictions:
    """A model's predictions in a frame: `of` people by number, and `found` without a person."""

    of: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    found: Sequence[dict[str, Any]] = ()


def frame_predictions(
    predictions: Sequence[Prediction], found: FrameRows, state_of: States, skeleton: Skeleton
) -> FramePredictions:
    """Return the predictions of a frame beside its people as edited.

    One stored for a person stays with it, even if deleted; the others are matched with people
    without one, by OKS or by their boxes.
    """
    people, deleted = _people(found, state_of, skeleton)
    of: dict[int, Prediction] = {p.instance: p for p in predictions if p.instance in people}
    left = [p for p in predictions if p.instance not in of and p.instance not in deleted]
    px = [joint_positions(p.joints, skeleton.joints) for p in left]
    others = [person for n, person in people.items() if n not in of]
    whose = match([(p, box_of(p)) for p in px], others, skeleton)
    extra = []
    for prediction, instance in zip(left, whose, strict=True):
        if instance is None:
            extra.append(_prediction(prediction, None, skeleton))
        else:
            of[instance] = prediction
    return FramePredictions({n: _prediction(p, people[n], skeleton) for n, p in of.items()}, extra)


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
    """Connected joints after removing those where more than two limbs meet."""
    beside: list[set[int]] = [set() for _ in range(joints)]
    for a, b in edges:
        beside[a].add(b)
        beside[b].add(a)
    crossings = [j for j in range(joints) if len(beside[j]) > 2]
    left, found = set(range(joints)) - set(crossings), [crossings] if crossings else []
    for start in range(joints):
        if start not in left:
            continue
        chain = [start]
        left.discard(start)
        for j in chain:
            near = sorted(beside[j] & left)
            left -= set(near)
            chain += near
        found.append(sorted(chain))
    return found


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


MAX = 12
_LOOKED_AT = 2_000
_MIN_PX = 20.0
"""Minimum height and width of a usable pose."""


def poses_of(table: PeopleTable) -> tuple[dict[str, Any], ...]:
    """Return at most MAX poses of people with all joints in the picture.

    `form`: width / height of the box round the joints; `at`: (u, v) of each joint in it, 0 to 1.
    People are split by form into groups of equal size; each gives the one nearest to its
    mean.
    """
    rows = np.linspace(0, table.people - 1, min(table.people, _LOOKED_AT)).astype(np.int64)
    px = table.joints_px[rows].astype(np.float64)
    inside = np.isin(table.state[rows], (STATE_VISIBLE, STATE_HIDDEN)).all(axis=1)
    px = px[inside & np.isfinite(px).all(axis=(1, 2))]
    if not len(px):
        return ()
    low = px.min(axis=1, keepdims=True)
    size = px.max(axis=1, keepdims=True) - low
    large = (size[:, 0] >= _MIN_PX).all(axis=1)
    at, size = ((px - low) / np.maximum(size, 1.0))[large], size[large, 0]
    form = size[:, 0] / size[:, 1]
    groups = np.array_split(np.argsort(form, kind="stable"), MAX)
    return tuple(_middle(at[group], form[group]) for group in groups if len(group))


def _middle(at: Any, form: Any) -> dict[str, Any]:
    far = ((at - at.mean(axis=0)) ** 2).sum(axis=(1, 2))
    one = int(far.argmin())
    return {"form": round(float(form[one]), 3), "at": np.round(at[one], 3).tolist()}
