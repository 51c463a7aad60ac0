"""The two tables of a data set: one row a frame, one row a person in a frame; there and back.

Lists are flat, in row-major order of the shapes below. Letters: J joints of the skeleton,
T things, B pairs (joint, occluder). Pixels are continuous. A 2D joint before the near plane is NaN.
Columns marked * may be null in rows that were imported from elsewhere.

frames
    index, seed            decide the frame; `file_name` is where its image lies
    file_name, image_sha256, width_px, height_px
    split, group_id, skeleton
    variant, differs       what a frame does not share with the base of its group
    camera_id              which camera of the group's rig, from 0
    clip_id*, clip_frame*, clip_frames*, time_s*       null outside clips; clip_frame from 0
    K (3x3)*, world_to_camera (4x4)*
    crowd_index*, crowd_ask*                           what it is, and what the recipe asked for
    thing_instance, thing_kind, thing_held_by (T)      held_by 0: nobody
    layers                 names of the layers stored beside the image, sorted
    spec*                  the FrameSpec as JSON: body parameters of person i at people[i - 1];
                           what the lens bends (`distortion_of`)

instances
    frame_index, instance
    identity*, pose*, pose_family*, phenotype (6)*: gender age muscle weight height proportions
    joints_px (J,2), joints_camera_m (J,3)*, joints_world_m (J,3)*, kinematic_joints_world_m (J,3)*
    shares (J,5): visible self person object truncated; NaN where unknown
    state (J), cause (J), ambiguous (J), occluder_id (J), origin (J)   state 255: unlabelled
    hidden_joint, hidden_instance, hidden_share (B)    largest share first for each joint
    mask_size (2): H W     modal_counts*, amodal_counts*: COCO run-length codes of that size
    modal_box_px (4), amodal_box_px (4)*: x y w h      modal_area_px, amodal_area_px*
    occluded_fraction*, truncated_fraction*, depth_m*, depth_rank*, stature_m*
    track_id*, motion*     the same in all frames of a clip; null outside clips
    ask_fraction*          what the recipe's targets asked of the person: the occluded fraction,
    ask_hidden, ask_shown  joints, or several joined by "+", to hide or to show together,
    ask_causes (5)*        shares of joints by cause, in the order of shares; NaN: not asked,
    ask_met*               whether the search came within tolerance; null: nothing was asked
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthstudio.core.camera import Camera
from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import SHARES, Frame, PersonLabel
from synthstudio.core.places import Place
from synthstudio.core.spec import ClipSpec, OcclusionTarget, to_json
from synthstudio.dataset.arrays import as_numpy, is_known, list_lengths, one_array
from synthstudio.dataset.durable import damaged

Row = dict[str, Any]
Sample = tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]
"""A row of the frames table and the rows of its people."""

NO_STATE = 255
"""The state of a joint that nobody labelled; only imported rows have it."""
KINEMATIC = "kinematic_joints_world_m"
"""Rotation centres."""


JOINT_LISTS: dict[str, int] = {}
"""How many entries a joint has in each list of the instances table."""
_LISTS: dict[str, int] = {}
"""How many entries other lists have, where that is fixed."""


def _fields(
    kind: pa.DataType, *names: str, null: bool = False, each: int = 0, joint: int = 0
) -> list[pa.Field]:
    """Columns of one kind; `each`: entries of their lists, `joint`: those of each joint."""
    JOINT_LISTS.update(dict.fromkeys(names, joint) if joint else {})
    _LISTS.update(dict.fromkeys(names, each) if each else {})
    return [pa.field(name, kind, nullable=null) for name in names]


def _list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("item", kind, nullable=False))


_TEXTS, _REALS, _INTS = _list(pa.string()), _list(pa.float64()), _list(pa.int32())

FRAME_SCHEMA = pa.schema(
    [
        *_fields(pa.int64(), "index", "seed"),
        *_fields(pa.string(), "file_name", "image_sha256"),
        *_fields(pa.int32(), "width_px", "height_px"),
        *_fields(pa.string(), "split", "group_id", "variant", "skeleton"),
        *_fields(_TEXTS, "differs"),
        *_fields(pa.int32(), "camera_id"),
        *_fields(pa.string(), "clip_id", null=True),
        *_fields(pa.int32(), "clip_frame", "clip_frames", null=True),
        *_fields(pa.float64(), "time_s", null=True),
        *_fields(_REALS, "K", null=True, each=9),
        *_fields(_REALS, "world_to_camera", null=True, each=16),
        *_fields(pa.float64(), "crowd_index", "crowd_ask", null=True),
        *_fields(_INTS, "thing_instance"),
        *_fields(_TEXTS, "thing_kind"),
        *_fields(_INTS, "thing_held_by"),
        *_fields(_TEXTS, "layers"),
        *_fields(pa.string(), "spec", null=True),
    ]
)
INSTANCE_SCHEMA = pa.schema(
    [
        *_fields(pa.int64(), "frame_index"),
        *_fields(pa.int32(), "instance"),
        *_fields(pa.string(), "identity", "pose", "pose_family", null=True),
        *_fields(_REALS, "phenotype", null=True, each=6),
        *_fields(_REALS, "joints_px", joint=2),
        *_fields(_REALS, "joints_camera_m", "joints_world_m", KINEMATIC, null=True, joint=3),
        *_fields(_REALS, "shares", joint=len(SHARES)),
        *_fields(_list(pa.uint8()), "state", joint=1),
        *_fields(_TEXTS, "cause", joint=1),
        *_fields(_list(pa.bool_()), "ambiguous", joint=1),
        *_fields(_INTS, "occluder_id", joint=1),
        *_fields(_TEXTS, "origin", joint=1),
        *_fields(_INTS, "hidden_joint", "hidden_instance"),
        *_fields(_REALS, "hidden_share"),
        *_fields(_INTS, "mask_size", each=2),
        *_fields(pa.string(), "modal_counts", "amodal_counts", null=True),
        *_fields(_REALS, "modal_box_px", each=4),
        *_fields(_REALS, "amodal_box_px", null=True, each=4),
        *_fields(pa.int64(), "modal_area_px"),
        *_fields(pa.int64(), "amodal_area_px", null=True),
        *_fields(pa.float64(), "occluded_fraction", "truncated_fraction", "depth_m", null=True),
        *_fields(pa.int32(), "depth_rank", null=True),
        *_fields(pa.float64(), "stature_m", null=True),
        *_fields(pa.int32(), "track_id", null=True),
        *_fields(pa.string(), "motion", null=True),
        *_fields(pa.float64(), "ask_fraction", null=True),
        *_fields(_TEXTS, "ask_hidden", "ask_shown"),
        *_fields(_REALS, "ask_causes", null=True, each=len(SHARES)),
        *_fields(pa.bool_(), "ask_met", null=True),
    ]
)
_CLIP_COLUMNS = ("clip_id", "clip_frame", "clip_frames", "time_s")
_ASK_COLUMNS = ("ask_fraction", "ask_hidden", "ask_shown", "ask_causes", "ask_met")


def frame_row(frame: Frame, file_name: str) -> Row:
    """Return the frame's row; `file_name` is where the writer puts its image."""
    spec, camera, things = frame.spec, frame.spec.camera, frame.labels.things
    return {
        "index": spec.index,
        "seed": spec.seed,
        "file_name": file_name,
        "image_sha256": hashlib.sha256(frame.jpeg).hexdigest(),
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "split": spec.split,
        "group_id": spec.group_id,
        "variant": spec.variant,
        "differs": list(spec.differs),
        "camera_id": spec.camera_id,
        **_clip_row(spec.clip),
        "skeleton": spec.skeleton,
        **camera_row(camera),
        "crowd_index": frame.labels.crowd_index,
        "crowd_ask": spec.crowd_ask,
        "thing_instance": [instance for instance, _, _ in things],
        "thing_kind": [kind for _, kind, _ in things],
        "thing_held_by": [held_by or 0 for _, _, held_by in things],
        "layers": sorted(frame.layers),
        "spec": to_json(spec),
    }


def _clip_row(clip: ClipSpec | None) -> Row:
    if clip is None:
        return dict.fromkeys(_CLIP_COLUMNS)
    values = (clip.clip_id, clip.frame, clip.frames, clip.time_s)
    return dict(zip(_CLIP_COLUMNS, values, strict=True))


def camera_row(camera: Camera) -> Row:
    """Return the columns `K` and `world_to_camera` of a frame's row."""
    return {
        "K": camera.K.ravel().tolist(),
        "world_to_camera": camera.world_to_camera.ravel().tolist(),
    }


def distortion_of(spec: str | None) -> list[float] | None:
    """Return k1, k2, 0, 0 of a frame's lens, as OpenCV's distCoeffs; None: nothing is bent.

    `spec` is the column of that name. Pixels are those of 3D joints by K and these.
    """
    if spec is None or '"distortion":[' not in spec:
        return None
    k1, k2 = json.loads(spec)["camera"]["distortion"]
    return [float(k1), float(k2), 0.0, 0.0]


def instance_rows(frame: Frame) -> list[Row]:
    """Return a row for each person of the frame, in the order of its labels."""
    spec = frame.spec
    return [
        {
            "frame_index": spec.index,
            "phenotype": [float(v) for v in astuple(spec.people[person.instance - 1].phenotype)],
            **person_row(person),
            "track_id": None if spec.clip is None else person.instance,
            "motion": None if spec.clip is None else spec.clip.motions[person.instance - 1],
            **ask_row(spec.asks[person.instance - 1] if spec.asks else OcclusionTarget()),
        }
        for person in frame.labels.people
    ]


def ask_row(ask: OcclusionTarget) -> Row:
    """Return the columns that say what was asked of a person."""
    requested = ask.occluded_fraction is not None or bool(ask.hidden or ask.shown or ask.causes)
    causes = [ask.causes.get(cause, math.nan) for cause in SHARES] if ask.causes else None
    met = ask.met if requested else None
    values = (ask.occluded_fraction, list(ask.hidden), list(ask.shown), causes, met)
    return dict(zip(_ASK_COLUMNS, values, strict=True))


def person_row(person: PersonLabel) -> Row:
    """Return what a person's labels say as columns of its row."""
    hidden = [(j, i, s) for j, found in enumerate(person.hidden_by) for i, s in found]
    return {
        "instance": person.instance,
        "identity": person.identity,
        "pose": person.pose,
        "pose_family": person.pose_family,
        "joints_px": person.joints_px.ravel().tolist(),
        "joints_camera_m": person.joints_camera_m.ravel().tolist(),
        "joints_world_m": person.joints_world_m.ravel().tolist(),
        KINEMATIC: person.kinematic_joints_world_m.ravel().tolist(),
        "shares": person.shares.ravel().tolist(),
        "state": person.state.tolist(),
        "cause": list(person.cause),
        "ambiguous": person.ambiguous.tolist(),
        "occluder_id": person.occluder_id.tolist(),
        "origin": ["rendered"] * len(person.cause),
        "hidden_joint": [j for j, _, _ in hidden],
        "hidden_instance": [i for _, i, _ in hidden],
        "hidden_share": [s for _, _, s in hidden],
        "mask_size": list(person.modal["size"]),
        "modal_counts": person.modal["counts"],
        "amodal_counts": person.amodal["counts"],
        "modal_box_px": list(person.modal_box_px),
        "amodal_box_px": list(person.amodal_box_px),
        "modal_area_px": person.modal_area_px,
        "amodal_area_px": person.amodal_area_px,
        "occluded_fraction": person.occluded_fraction,
        "truncated_fraction": person.truncated_fraction,
        "depth_m": person.depth_m,
        "depth_rank": person.depth_rank,
        "stature_m": person.stature_m,
    }


def hidden_by(row: Mapping[str, Any]) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Return for each joint of an instance's row its occluders (instance, share), as stored."""
    return pairs_by_joint(
        len(row["state"]), row["hidden_joint"], row["hidden_instance"], row["hidden_share"]
    )


def pairs_by_joint(
    joints: int, joint: Sequence[int], instance: Sequence[int], share: Sequence[float]
) -> tuple[tuple[tuple[int, float], ...], ...]:
    found: list[list[tuple[int, float]]] = [[] for _ in range(joints)]
    if not len(joint) == len(instance) == len(share):
        raise DatasetError("the lists of what hides joints differ in length", where="instances")
    for j, who, much in zip(joint, instance, share, strict=True):
        if not 0 <= j < joints:
            raise DatasetError("hidden_joint is no joint", where="instances", got=str(j))
        found[j].append((who, much))
    return tuple(map(tuple, found))


def pair_rows(frames: Iterable[Row], instances: Iterable[Row]) -> Iterator[tuple[Row, list[Row]]]:
    """Yield each frame's row with the rows of its people; holds one frame's rows at a time.

    Both come in the order in which a data set stores them. DatasetError when a person belongs
    to no frame or comes out of order.
    """
    people = iter(instances)
    person = next(people, None)
    for frame in frames:
        found: list[Row] = []
        while person is not None and person["frame_index"] == frame["index"]:
            found.append(person)
            person = next(people, None)
        yield frame, found
    if person is not None:
        raise people_of_no_frame(f"person {person['instance']} of frame {person['frame_index']}")


def spec_fields(text: str) -> dict[str, Any]:
    """The fields of a stored spec; DatasetError for what is no JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_spec(str(error)) from error
    if not isinstance(value, dict):
        raise no_spec(type(value).__name__)
    return value


def no_spec(got: str) -> DatasetError:
    """The error for a stored spec that is none."""
    then = "Check the data set with: synthstudio validate."
    return DatasetError("not a stored frame spec", where="frames.spec", got=got, then=then)


def people_of_no_frame(got: str) -> DatasetError:
    """The error for people whose frame is not stored, or who come out of order."""
    return DatasetError(
        "the tables of frames and instances do not fit",
        where="instances",
        expected="people of stored frames, in the order of the frames",
        got=got,
        then="Check the data set with: synthstudio validate.",
    )


# Checks of rows that are read ---------------------------------------------------------------------
# Cheap: offsets and counts of Arrow's arrays, no object a number. What rows mean is checked by
# `quality`, which reads without this.

_ALIKE = (
    ("hidden_joint", "hidden_instance", "hidden_share"),
    ("thing_instance", "thing_kind", "thing_held_by"),
)
_SIZES = ("width_px", "height_px")
_MOST_PX = 1 << 16
_RANGES = {
    **dict.fromkeys(_SIZES, (1, _MOST_PX)),
    **dict.fromkeys(
        ("occluded_fraction", "truncated_fraction", "ask_fraction", "crowd_index", "crowd_ask"),
        (0, 1),
    ),
}
_ROUNDING = 1e-6


def check_rows(rows: pa.RecordBatch | pa.Table, joints: int, frames: range, path: Place) -> None:
    """Raise DatasetError unless rows of either table, all columns or some, fit the schema.

    `frames`: the shard's, that the rows may be of.
    """
    for place, field in enumerate(rows.schema):
        column = one_array(rows.column(place))
        if column.null_count and not field.nullable:
            raise damaged(path, f"no null in {field.name}", f"{column.null_count} nulls")
        _check_text(column, field.name, path)
        if pa.types.is_list(field.type):
            _check_list(column, field.name, joints, path)
        elif field.name in ("index", "frame_index"):
            _check_numbers(as_numpy(column), field.name, frames, path)
        elif field.name in _RANGES:
            _check_range(column, field.name, path)
    for names in _ALIKE:
        if set(names) <= set(rows.schema.names):
            first, *others = (list_lengths(rows.column(name)) for name in names)
            if any((first != other).any() for other in others):
                raise damaged(path, f"as many entries in {', '.join(names)}", "other lengths")


def check_text(rows: pa.RecordBatch | pa.Table, path: Place) -> None:
    """DatasetError when text is not UTF-8: without it rows cannot be read at all."""
    for place, field in enumerate(rows.schema):
        _check_text(one_array(rows.column(place)), field.name, path)


def _check_range(column: pa.Array, name: str, path: Place) -> None:
    """NaN says that nobody knows, as null does."""
    (low, high), values = _RANGES[name], as_numpy(column)[is_known(column)]
    outside = (values < low - _ROUNDING) | (values > high + _ROUNDING)
    if outside.any():
        raise damaged(path, f"{name} from {low} to {high}", str(values[outside][0]))


def _check_text(column: pa.Array, name: str, path: Place) -> None:
    """Text is UTF-8; the bytes of other columns mean something anyway."""
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    if not pa.types.is_string(kind):
        return
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise damaged(path, f"text in {name}", str(error)) from error


def _check_list(column: pa.Array, name: str, joints: int, path: Place) -> None:
    each = JOINT_LISTS[name] * joints if name in JOINT_LISTS else _LISTS.get(name)
    lengths = list_lengths(column)
    if each is not None:
        wrong = (lengths != each) & (lengths >= 0)
        if wrong.any():
            got = int(lengths[np.argmax(wrong)])
            raise damaged(path, f"{each} values in each {name}", f"{got} values")
    values = column.flatten()
    if values.null_count:
        raise damaged(path, f"no null in the lists {name}", f"{values.null_count} nulls")
    if name == "hidden_joint" and len(values):
        places = as_numpy(values)
        if places.min() < 0 or places.max() >= joints:
            raise damaged(path, f"joints from 0 to {joints - 1}", f"hidden_joint {places.max()}")


def _check_numbers(numbers: NDArray[np.int64], name: str, frames: range, path: Place) -> None:
    if not len(numbers):
        return
    if numbers.min() < frames.start or numbers.max() >= frames.stop:
        got = f"{numbers.min()} to {numbers.max()}"
        raise damaged(path, f"{name} from {frames.start} to {frames.stop - 1}", got)
    least = 1 if name == "index" else 0
    if (np.diff(numbers) < least).any():
        raise damaged(path, f"rows in the order of {name}", "another order")
