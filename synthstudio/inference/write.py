"""Predictions on disk and in the review store.

OUT/results.json     COCO keypoint results, one entry a person; pycocotools' loadRes reads it
OUT/pictures.json    the images by id, and the category with the joints' names
OUT/pictures/*.jpg   drawn predictions: the marker of a hidden joint shows its cause
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthstudio.core.arrays import F64, U8, Bool
from synthstudio.core.errors import ModelError
from synthstudio.core.images import encode_jpeg
from synthstudio.core.labels import (
    STATE_HIDDEN,
    STATE_OUTSIDE,
    STATE_VISIBLE,
    FrameLabels,
    PersonLabel,
)
from synthstudio.core.places import resolved
from synthstudio.core.skeleton import Skeleton, definition
from synthstudio.dataset.durable import canonical_json, write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE
from synthstudio.inference.predict import TRUNCATED, Person
from synthstudio.inference.sources import SourceImage
from synthstudio.report.draw import draw_labels

if TYPE_CHECKING:
    from synthstudio.review.risk.predictions import Prediction
    from synthstudio.review.store import Store

RESULTS, PICTURES = "results.json", "pictures.json"
_QUALITY = 92


def results(people: Iterable[Person]) -> list[dict[str, Any]]:
    """Entries of a COCO keypoint results file: pixel indices with scores, zeros for missing joints.
    In addition `joints` (cause, visible share, expected OKS, presence, `peaks`; null: not
    predicted), `instance_number` and `track_id`."""
    return [_result(person) for person in people]


def _result(person: Person) -> dict[str, Any]:
    places = np.where(
        _located(person)[:, None], np.concatenate([person.xy - 0.5, person.score[:, None]], 1), 0.0
    )
    entry: dict[str, Any] = {
        "image_id": person.image,
        "category_id": 1,
        "keypoints": [round(float(v), 4) for v in places.ravel()],
        "bbox": [round(float(v), 3) for v in person.box],
        "score": round(person.confidence, 6),
        "joints": {
            "cause": list(person.causes),
            "visible": _numbers(person.visibility_fractions[:, 0]),
            "expected_oks": _numbers(person.quality),
            "present": _numbers(person.present),
        },
    }
    if person.peaks.size:
        entry["joints"]["peaks"] = [_peaks(of_one) for of_one in person.peaks]
    if person.instance is not None:
        entry["instance_number"] = person.instance
    if person.track is not None:
        entry["track_id"] = person.track
    return entry


def _located(person: Person) -> Bool:
    return np.asarray(np.isfinite(person.xy).all(1))


def _peaks(found: F64) -> list[list[float]]:
    """The existing peaks (K, 3) as pixel indices and values."""
    existing = found[np.isfinite(found).all(1)] - [0.5, 0.5, 0]
    return [[round(float(v), 4) for v in peak] for peak in existing]


def _numbers(values: F64) -> list[float | None]:
    return [round(float(v), 4) if math.isfinite(v) else None for v in values]


def write_results(
    out: Path, people: list[Person], pictures: Mapping[int, dict[str, Any]], skeleton: Skeleton
) -> None:
    """Write results.json and pictures.json atomically; DiskError."""
    joints = [[a + 1, b + 1] for a, b in skeleton.edges]
    kind = definition(skeleton)["category"] if skeleton.own else "person"
    category = {"id": 1, "name": kind, "keypoints": list(skeleton.joints), "skeleton": joints}
    named = [{"id": number, **facts} for number, facts in pictures.items()]
    write_file(out / PICTURES, canonical_json({"images": named, "categories": [category]}))
    write_file(out / RESULTS, canonical_json(results(people)))


def drawn(image: SourceImage, people: list[Person], skeleton: Skeleton) -> U8:
    """Draw the predicted people into an image as `draw_labels` does."""
    legend = any(cause is not None for p in people for cause in p.causes)
    return draw_labels(image.rgb, frame_labels(people), skeleton, legend=legend)


def draw_into(out: Path, image: SourceImage, people: list[Person], skeleton: Skeleton) -> None:
    rgb = drawn(image, people, skeleton)
    write_file(out / "pictures" / f"{image.number:06d}.jpg", encode_jpeg(rgb, _QUALITY))


def frame_labels(people: list[Person]) -> FrameLabels:
    """The labels of a picture's people for `draw_labels`."""
    labels = tuple(labels_of(p, k) for k, p in enumerate(people))
    return FrameLabels(people=labels, crowd_index=0.0, objects=())


_STATES = {None: STATE_VISIBLE, "visible": STATE_VISIBLE, TRUNCATED: STATE_OUTSIDE}


def shown_number(person: Person, place: int) -> int:
    """The displayed number of a person: the track, else the data set's, else 1 + `place`."""
    numbers = (person.track, person.instance, 1 + place)
    return next(number for number in numbers if number is not None)


def labels_of(person: Person, place: int) -> PersonLabel:
    joints = len(person.xy)
    box = tuple(float(v) for v in person.box)
    fractions = np.concatenate(
        [np.nan_to_num(person.visibility_fractions), np.zeros((joints, 1))], 1
    )
    no_ids = np.zeros(joints, np.int32)
    visible = person.visibility_fractions[:, 0]
    return PersonLabel(
        instance=shown_number(person, place),
        identity="",
        pose="",
        pose_family="",
        joints_px=person.xy,
        joints_camera_m=np.zeros((joints, 3)),
        joints_world_m=np.zeros((joints, 3)),
        kinematic_joints_world_m=np.full((joints, 3), math.nan),
        visibility_fractions=fractions,
        state=np.array(
            [
                _STATES.get(cause, STATE_HIDDEN) if found else NO_STATE
                for cause, found in zip(person.causes, _located(person), strict=True)
            ],
            np.uint8,
        ),
        cause=tuple(c or "visible" for c in person.causes),
        ambiguous=np.zeros(joints, bool),
        occluder_id=no_ids,
        hidden_by=((),) * joints,
        modal={},
        amodal={},
        modal_box_px=box,  # type: ignore[arg-type]
        amodal_box_px=box,  # type: ignore[arg-type]
        modal_area_px=0,
        amodal_area_px=0,
        occluded_fraction=1 - float(visible.mean()) if np.isfinite(visible).all() else math.nan,
        truncated_fraction=0.0,
        depth_m=0.0,
        depth_rank=place,
        stature_m=0.0,
    )


def check_skeleton(dataset: Dataset, skeleton: Skeleton) -> tuple[int, ...]:
    """The network's joint for each joint of the data set; ModelError if one is missing."""
    own = dataset.skeleton
    found = own.numbers_in(skeleton)
    if None in found:
        lacking = [name for name, j in zip(own.joints, found, strict=True) if j is None]
        raise ModelError(
            "skeletons of data set and network differ",
            where=str(dataset.place),
            expected=f"{own.title}, with {', '.join(lacking[:3])}",
            got=skeleton.described(own),
            then="Train one on this data set's skeleton, or state joints of COCO in same_as.",
        )
    return tuple(j for j in found if j is not None)


def store_predictions(
    store: Store, dataset: Dataset, layer: str, people: Iterable[Person], skeleton: Skeleton
) -> int:
    """Store predictions as a layer of a data set's review, replacing the layer; return the number
    of people. Joints outside the image or missing in the set are left out; in a set without
    people they are new people. ModelError for another skeleton; ReviewError, Refused."""
    from synthstudio.review.history import content_key, datasets, register
    from synthstudio.review.risk.predictions import put_predictions

    numbers = check_skeleton(dataset, skeleton)
    key = content_key(dataset)
    if key not in datasets(store):
        register(store, dataset, resolved(dataset.place).name[:80] or "dataset")
    named = people if dataset.people else _numbered(people)
    joints = dict(zip(dataset.skeleton.joints, numbers, strict=True))
    rows = (_prediction(person, joints) for person in named)
    return put_predictions(store, key, layer, rows, replace=True)


def _numbered(people: Iterable[Person]) -> Iterator[Person]:
    from synthstudio.review.check import FIRST_OBJECT

    count: Counter[int] = Counter()
    for person in people:
        yield dataclasses.replace(person, instance=FIRST_OBJECT + count[person.image])
        count[person.image] += 1


def _prediction(person: Person, numbers: Mapping[str, int]) -> Prediction:
    """`numbers`: index of the network's joint for each of the data set."""
    from synthstudio.formats.coco.results import CAUSES_PREDICTED
    from synthstudio.review.risk.predictions import MAX_COORDINATE_PX, Prediction

    if person.instance is None:
        raise ModelError(
            "the prediction matches no person of the data set",
            where=person.name,
            then="Use the data set's own boxes: leave out --boxes and --detector.",
        )
    stated = person.causes
    joints = {
        name: (float(x), float(y), float(np.clip(person.score[j], 0, 1)))
        for name, j in numbers.items()
        for x, y in (person.xy[j],)
        if stated[j] != TRUNCATED and (np.abs(person.xy[j]) <= MAX_COORDINATE_PX).all()
    }
    causes = {
        name: cause for name in joints if (cause := stated[numbers[name]]) in CAUSES_PREDICTED
    }
    return Prediction(
        frame=person.image,
        instance=person.instance,
        joints=joints,
        score=person.confidence,
        causes=causes,
    )
