"""The labels of people and frames. Letters: P people, J joints, N any number.

`PersonColumns` is the table of labels, a line each. The Parquet schema (dataset/rows.py), `People`,
checks of rows, keys of COCO files, fields of queries, the review store's columns and the list in
docs/conventions.md come from it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64, I32, I64, U8, Bool
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import FrameSpec, OcclusionTarget

Text = NDArray[np.object_]
Lists = NDArray[np.object_]

VISIBILITY = ("visible", "self", "person", "object", "truncated")
"""The five fractions of a joint's patch, in the order they are stored; they sum to 1."""
CAUSES = (*VISIBILITY, "unknown", "unlabelled")
HIDDEN_CAUSES = ("self", "person", "object", "unknown")
STATE_VISIBLE, STATE_HIDDEN, STATE_OUTSIDE = 2, 1, 0
ORIGINS = ("rendered", "predicted", "human")
"""Origins of a joint, in rising precedence: a joint merged from several has the last of theirs."""

Rle = dict[str, Any]
"""A COCO run-length mask: {"size": [H, W], "counts": str}."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JointLabels:
    """The visibility of one person's joints, as `PersonColumns` explains it."""

    visibility_fractions: F64  # (J, 5)
    state: U8  # (J,)
    cause: tuple[str, ...]  # J
    ambiguous: Bool  # (J,)
    occluder_id: I32  # (J,)
    hidden_by: tuple[tuple[tuple[int, float], ...], ...]  # J x [(instance, share)], largest first


@dataclass(frozen=True, kw_only=True)
class PersonLabel(JointLabels):
    """The labels of one person in one frame, as `PersonColumns` explains them."""

    instance: int
    identity: str
    pose: str
    pose_family: str
    joints_px: F64  # (J, 2)
    joints_camera_m: F64  # (J, 3)
    joints_world_m: F64  # (J, 3)
    kinematic_joints_world_m: F64  # (J, 3)
    modal: Rle
    amodal: Rle  # inside the frame
    modal_box_px: tuple[float, float, float, float]  # x, y, w, h; zeros when empty
    amodal_box_px: tuple[float, float, float, float]
    modal_area_px: int
    amodal_area_px: int
    occluded_fraction: float
    truncated_fraction: float
    depth_m: float
    depth_rank: int
    stature_m: float

    @property
    def pairs(self) -> list[tuple[int, int, float]]:
        """(joint, instance, share) of all that hides joints."""
        return [(j, i, s) for j, found in enumerate(self.hidden_by) for i, s in found]


@dataclass(frozen=True, kw_only=True)
class FrameLabels:
    people: tuple[PersonLabel, ...]
    crowd_index: float
    objects: tuple[tuple[int, str, int | None], ...]  # (instance, kind, held_by instance)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame; `layers`: name -> PNG bytes; `timings_ms`: of each stage, for the log alone."""

    spec: FrameSpec
    jpeg: bytes
    labels: FrameLabels
    layers: dict[str, bytes] = field(default_factory=dict)
    timings_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Label:
    """A column of a stored table, and its names elsewhere.

    `shape` of one row: numbers, "J" or "N"; on disk such lists are flat, in row-major order.
    `dtype`: on disk, by Arrow's names; `memory`: in `People`, by NumPy's. `null`: whether it may
    be unknown. `within`: its smallest and largest value. `coco`, `query`: its key in an annotation
    of a COCO file and its name in a query; "": none of its own, or a frame's name. A rendered
    person's value is that of the same name in its PersonLabel, or `of` that, or `of_spec` the
    frame's spec and its place there.
    """

    name: str
    dtype: str
    means: str
    shape: tuple[int | str, ...] = ()
    unit: str = ""
    null: bool = False
    within: tuple[float, float] | None = None
    coco: str = ""
    query: str = ""
    memory: str = ""
    of: Callable[[PersonLabel], Any] | None = None
    of_spec: Callable[[FrameSpec, int], Any] | None = None

    @property
    def kind(self) -> str:
        """Type class: bool, int, float or string."""
        return self.dtype.strip("_u0123456789")

    @property
    def ragged(self) -> bool:
        return "N" in self.shape

    def size(self, joints: int) -> tuple[int, ...]:
        """The shape of one row that is not ragged."""
        return tuple(joints if side == "J" else int(side) for side in self.shape)

    def entries(self, joints: int) -> int | None:
        """How many entries a row's list has; None where they are no list or any number."""
        return None if self.ragged or not self.shape else math.prod(self.size(joints))

    def value(self, person: PersonLabel, spec: FrameSpec | None = None) -> Any:
        """The stored row of a person; columns that need the spec are None without one."""
        if self.of_spec is not None:
            return None if spec is None else self.of_spec(spec, person.instance - 1)
        value = getattr(person, self.name) if self.of is None else self.of(person)
        if isinstance(value, np.ndarray):
            return value.ravel().tolist()
        return list(value) if isinstance(value, tuple) else value


def label(means: str, *shape: int | str, **facts: Any) -> Any:
    """A field of the table; `facts`: fields of Label that differ from the default."""
    usual = {"means": means, "shape": shape}
    return field(metadata={**usual, "query": "", **facts} if shape else {**usual, **facts})


def target_row(target: OcclusionTarget) -> dict[str, Any]:
    """The columns of a person's occlusion targets."""
    fraction, causes = target.occluded_fraction, target.causes
    requested = fraction is not None or bool(target.hidden or target.shown or causes)
    return {
        "target_fraction": fraction,
        "target_hidden": list(target.hidden),
        "target_shown": list(target.shown),
        "target_causes": [causes.get(c, math.nan) for c in VISIBILITY] if causes else None,
        "target_met": target.met if requested else None,
    }


def _target(name: str, means: str, *shape: int | str, **facts: Any) -> Any:
    def of_spec(spec: FrameSpec, k: int) -> Any:
        return target_row(spec.targets[k] if spec.targets else OcclusionTarget())[name]

    return label(means, *shape, of_spec=of_spec, **facts)


def _occluder(means: str, dtype: str, place: int) -> Any:
    def of(person: PersonLabel) -> list[float]:
        return [pair[place] for pair in person.pairs]

    return label(f"of each occluder of a joint: {means}", "N", dtype=dtype, coco="", of=of)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PersonColumns:
    """The labels of P people, one column each, in stored order.

    Unknown values are NaN, None or -1. Pixels are continuous, 3D joints regressed from the
    body's surface.
    """

    skeleton: Skeleton
    frame_index: I64 = label(
        "index of the frame", coco="", query="", of_spec=lambda spec, k: spec.index
    )
    instance: I32 = label("number of the person in its frame, from 1", coco="instance_number")
    identity: Text = label("body and face", null=True)
    pose: Text = label("name of the pose", null=True)
    pose_family: Text = label("family of the pose", null=True, query="pose family")
    phenotype: F64 = label(
        "gender, age, muscle, weight, height, proportions, each 0 to 1",
        6,
        null=True,
        of_spec=lambda spec, k: [float(v) for v in dataclasses.astuple(spec.people[k].phenotype)],
    )
    joints_px: F64 = label(
        "x, y, also outside the frame; NaN before the near plane",
        "J",
        2,
        unit="px",
        coco="keypoints_all",
    )
    joints_camera_m: F64 = label(
        "x right, y down, z forward", "J", 3, unit="m", null=True, coco="keypoints_3d_camera_m"
    )
    joints_world_m: F64 = label(
        "the same in the world, z up", "J", 3, unit="m", null=True, coco="keypoints_3d_world_m"
    )
    kinematic_joints_world_m: F64 = label(
        "rotation centres in the world: bones keep their lengths",
        "J",
        3,
        unit="m",
        null=True,
        coco="keypoints_3d_kinematic_world_m",
    )
    visibility_fractions: F64 = label(
        f"of the patch round the joint: {', '.join(VISIBILITY)}; NaN where unknown",
        "J",
        len(VISIBILITY),
    )
    state: U8 = label("2 visible, 1 hidden, 0 outside the frame, 255 unlabelled", "J")
    cause: Text = label(f"one of {', '.join(CAUSES)}", "J")
    ambiguous: Bool = label("whether the visible share is at least 0.2 and below 0.5", "J")
    occluder_id: I32 = label("instance that hides most of the joint, 0 none", "J")
    origin: Text = label(
        f"origin of the joint: {', '.join(ORIGINS)}",
        "J",
        of=lambda person: ["rendered"] * len(person.cause),
    )
    hidden_joint: Lists = _occluder("the joint, largest share first", "int32", 0)
    hidden_instance: Lists = _occluder("its instance", "int32", 1)
    hidden_share: Lists = _occluder("the share that it hides", "float64", 2)
    mask_size: I32 = label(
        "H, W of the masks",
        2,
        unit="px",
        coco="",
        of=lambda person: person.modal.get("size", (0, 0)),
    )
    modal_counts: Text = label(
        "what is seen of the person, a COCO run-length code",
        null=True,
        coco="",
        query="",
        of=lambda person: person.modal.get("counts"),
    )
    amodal_counts: Text = label(
        "the whole person inside the frame, a COCO run-length code",
        null=True,
        coco="",
        query="",
        of=lambda person: person.amodal.get("counts"),
    )
    modal_box_px: F64 = label(
        "x, y, width, height of what is seen; zeros when empty", 4, unit="px", coco="bbox"
    )
    amodal_box_px: F64 = label(
        "x, y, width, height of the whole person, may leave the frame",
        4,
        unit="px",
        null=True,
        coco="amodal_bbox",
    )
    modal_area_px: F64 = label(
        "pixels that are seen", dtype="int64", unit="px", coco="area", query="area"
    )
    amodal_area_px: F64 = label(
        "pixels with nothing in front",
        dtype="int64",
        unit="px",
        null=True,
        coco="amodal_area",
        query="whole_area",
    )
    occluded_fraction: F64 = label(
        "share of the person hidden, 0 to 1", null=True, within=(0, 1), query="occluded"
    )
    truncated_fraction: F64 = label(
        "share outside the frame, 0 to 1", null=True, within=(0, 1), query="truncated"
    )
    depth_m: F64 = label("metres from the camera", unit="m", null=True, query="depth")
    depth_rank: I32 = label("0 is the nearest person", null=True)
    stature_m: F64 = label("metres", unit="m", null=True, query="stature")
    track_id: I32 = label(
        "number of the person in its clip",
        null=True,
        query="track",
        of_spec=lambda spec, k: None if spec.clip is None else k + 1,
    )
    motion: Text = label(
        "name of the motion, in clips",
        null=True,
        of_spec=lambda spec, k: None if spec.clip is None else spec.clip.motions[k],
    )
    target_fraction: F64 = _target(
        "target_fraction",
        "requested occluded fraction",
        null=True,
        within=(0, 1),
        query="requested",
    )
    target_hidden: Lists = _target(
        "target_hidden", 'joints requested to be hidden, groups joined by "+"', "N", dtype="string"
    )
    target_shown: Lists = _target(
        "target_shown", 'joints requested to be visible, groups joined by "+"', "N", dtype="string"
    )
    target_causes: F64 = _target(
        "target_causes",
        "requested fraction of joints by cause, in the order of visibility_fractions; NaN: none",
        len(VISIBILITY),
        null=True,
    )
    target_met: Text = _target(
        "target_met",
        "whether the request was met: yes or no",
        dtype="bool_",
        null=True,
        query="met",
    )


_STORED = {"Bool": "bool_", "Text": "string"}
_MEMORY = {"I64": "int64", "I32": "int32", "U8": "uint8", "F64": "float64", "Bool": "bool"}


def _table() -> dict[str, Label]:
    found = {}
    for column in dataclasses.fields(PersonColumns)[1:]:
        name, memory = column.name, _MEMORY.get(str(column.type), "object")
        dtype = _STORED.get(str(column.type), memory)
        usual = {"dtype": dtype, "memory": memory, "coco": name, "query": name}
        found[name] = Label(name, **{**usual, **column.metadata})
    return found


LABELS = _table()
"""Column of the instances table -> its label."""


_UP_TO_65536 = (1, 1 << 16)
FRAME_LABELS = {
    label.name: label
    for label in (
        Label("index", "int64", "number of the frame"),
        Label("seed", "int64", "seed of the run"),
        Label("file_name", "string", "where its picture lies"),
        Label("image_sha256", "string", "hash of the picture's bytes", coco="sha256"),
        Label("width_px", "int32", "width of the frame", unit="px", within=_UP_TO_65536),
        Label("height_px", "int32", "height of the frame", unit="px", within=_UP_TO_65536),
        Label("split", "string", "train, val or test"),
        Label("group_id", "string", "frames of one moment"),
        Label("variant", "string", "base, clean, occluder, ..."),
        Label("skeleton", "string", "skeleton of the joints"),
        Label("differs", "string", "differences from its group's base", ("N",)),
        Label("camera_id", "int32", "camera of the rig, from 0"),
        Label("clip_id", "string", "name of the clip", null=True),
        Label("clip_frame", "int32", "frame of the clip, from 0", null=True),
        Label("clip_frames", "int32", "frames of the clip", null=True),
        Label("time_s", "float64", "time from the clip's start", unit="s", null=True),
        Label("K", "float64", "intrinsics", (3, 3), null=True),
        Label("world_to_camera", "float64", "extrinsics, OpenCV axes", (4, 4), null=True),
        Label("crowd_index", "float64", "crowd index of CrowdPose", null=True, within=(0, 1)),
        Label("crowd_target", "float64", "requested crowd index", null=True, within=(0, 1)),
        Label("object_instance", "int32", "instance of each object", ("N",)),
        Label("object_kind", "string", "its kind", ("N",)),
        Label("object_held_by", "int32", "instance of its holder, 0: none", ("N",)),
        Label("layers", "string", "names of the layers stored beside the picture, sorted", ("N",)),
        Label("spec", "string", "the FrameSpec as JSON; lens distortion", null=True),
    )
}
"""Column of the frames table -> its label."""


def label_list() -> str:
    """The list of labels in docs/conventions.md."""
    rows = ["| column | shape | type | unit | null | COCO | what it is |", "|" + "---|" * 7]
    for one in LABELS.values():
        shape = " x ".join(map(str, one.shape))
        null, coco = "yes" if one.null else "", f"`{one.coco}`" if one.coco else ""
        cells = (f"`{one.name}`", shape, one.dtype.strip("_"), one.unit, null, coco, one.means)
        rows.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(rows) + "\n"
