"""The labels of people as columns. Letters: P people, J joints, H x W pixels.

One People holds the people of one frame, or of as many frames as are read at once.
docs/conventions.md fixes what each column means.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from synthstudio.core import masks
from synthstudio.core.labels import SHARES, PersonLabel, Rle
from synthstudio.core.skeleton import Skeleton

Bool = NDArray[np.bool_]
U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Text = NDArray[np.object_]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class People:
    """P people with J joints each; what nobody knows is NaN, None or -1.

    Indexing by a number gives one person (`PersonLabel`), by a slice, a mask or numbers fewer
    people. Iterating yields persons.
    """

    skeleton: Skeleton
    frame_index: I64  # (P,)
    instance: I32  # (P,) from 1 in each frame
    identity: Text  # (P,) str or None
    pose: Text  # (P,)
    pose_family: Text  # (P,)
    joints_px: F64  # (P, J, 2) continuous pixels, also outside the frame
    joints_camera_m: F64  # (P, J, 3) regressed from the surface; NaN where unknown
    joints_world_m: F64  # (P, J, 3)
    kinematic_joints_world_m: F64  # (P, J, 3) rotation centres: bones keep their lengths
    shares: F64  # (P, J, 5) in the order of core.labels.SHARES
    state: U8  # (P, J) 2 visible, 1 hidden, 0 outside the frame, 255 unlabelled
    cause: Text  # (P, J) one of core.labels.CAUSES
    ambiguous: Bool  # (P, J)
    occluder_id: I32  # (P, J) instance that hides most of the joint, 0 none
    origin: Text  # (P, J) who says so: rendered, annotated, imported, edited ...
    occluders: tuple[tuple[tuple[tuple[int, float], ...], ...], ...]  # P x J x [(instance, share)]
    modal: tuple[Rle | None, ...]  # P run-length masks of what is seen
    amodal: tuple[Rle | None, ...]  # P masks of the whole person inside the frame
    boxes_px: F64  # (P, 4) x, y, w, h of what is seen
    amodal_boxes_px: F64  # (P, 4) of the whole person, may leave the frame
    modal_area_px: F64  # (P,)
    amodal_area_px: F64  # (P,) NaN where unknown
    occluded_fraction: F64  # (P,)
    truncated_fraction: F64  # (P,)
    depth_m: F64  # (P,)
    depth_rank: I32  # (P,) 0 is nearest, -1 where unknown
    stature_m: F64  # (P,)

    def __len__(self) -> int:
        return len(self.instance)

    def __repr__(self) -> str:
        return f"People({len(self)} people, {self.skeleton.title})"

    @overload
    def __getitem__(self, key: int) -> PersonLabel: ...
    @overload
    def __getitem__(self, key: slice | Bool | I64 | Sequence[int]) -> People: ...
    def __getitem__(self, key: Any) -> PersonLabel | People:
        if isinstance(key, int | np.integer):
            return self._person(range(len(self))[int(key)])
        chosen = np.arange(len(self))[key]
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                changes[field.name] = value[chosen]
            elif isinstance(value, tuple):
                changes[field.name] = tuple(value[i] for i in chosen)
        return dataclasses.replace(self, **changes)

    def __iter__(self) -> Iterator[PersonLabel]:
        return (self._person(i) for i in range(len(self)))

    def _person(self, i: int) -> PersonLabel:
        return PersonLabel(
            instance=int(self.instance[i]),
            identity=self.identity[i] or "",
            pose=self.pose[i] or "",
            pose_family=self.pose_family[i] or "",
            joints_px=self.joints_px[i],
            joints_camera_m=self.joints_camera_m[i],
            joints_world_m=self.joints_world_m[i],
            kinematic_joints_world_m=self.kinematic_joints_world_m[i],
            shares=self.shares[i],
            state=self.state[i],
            cause=tuple(self.cause[i]),
            ambiguous=self.ambiguous[i],
            occluder_id=self.occluder_id[i],
            hidden_by=self.occluders[i],
            modal=self.modal[i] or {},
            amodal=self.amodal[i] or {},
            modal_box_px=tuple(self.boxes_px[i].tolist()),
            amodal_box_px=tuple(self.amodal_boxes_px[i].tolist()),
            modal_area_px=int(self.modal_area_px[i]),
            amodal_area_px=_whole(self.amodal_area_px[i]),
            occluded_fraction=float(self.occluded_fraction[i]),
            truncated_fraction=float(self.truncated_fraction[i]),
            depth_m=float(self.depth_m[i]),
            depth_rank=int(self.depth_rank[i]),
            stature_m=float(self.stature_m[i]),
        )

    @property
    def joints(self) -> tuple[str, ...]:
        """The J names of the joints."""
        return self.skeleton.joints

    @property
    def visible_share(self) -> F64:
        """(P, J) the share of each joint's surface that the camera sees; NaN where unknown."""
        share: F64 = self.shares[:, :, SHARES.index("visible")]
        return share

    @cached_property
    def masks(self) -> Bool:
        """(P, H, W) the pixels of each person that are seen; all False where unknown."""
        return _decoded(self.modal)

    @cached_property
    def amodal_masks(self) -> Bool:
        """(P, H, W) the pixels of each whole person; all False where unknown."""
        return _decoded(self.amodal)

    @cached_property
    def covered(self) -> Bool:
        """(P, J) whether somebody or something else is in front at the joint's own pixel.

        That pixel lies in the amodal mask and not in the modal one. A joint with the cause
        `self` can be covered too: its patch faces away, whatever stands before it.
        """
        whole = self.amodal_masks
        seen = self.masks if self.masks.size else np.zeros_like(whole)
        pixels = np.floor(np.nan_to_num(self.joints_px, nan=-1.0))
        inside = ((pixels >= 0) & (pixels < whole.shape[:0:-1])).all(axis=-1)
        covered = np.zeros(inside.shape, np.bool_)
        person, joint = np.nonzero(inside)
        column, row = pixels[person, joint].astype(np.int64).T
        covered[person, joint] = whole[person, row, column] & ~seen[person, row, column]
        return covered

    def columns(self) -> dict[str, Any]:
        """The scalar columns and (P, J, ...) arrays as a dict, for a table of one's own."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "skeleton"}

    def _repr_html_(self) -> str:
        import html

        head = "".join(f"<th>{name}</th>" for name in _SHOWN)
        rows = []
        for i in range(min(len(self), 20)):
            seen = int((self.state[i] == 2).sum())
            cells = (
                self.frame_index[i],
                self.instance[i],
                self.pose[i] or "",
                f"{self.occluded_fraction[i]:.2f}",
                f"{seen} of {len(self.joints)}",
            )
            rows.append("".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells))
        more = f"<p>and {len(self) - 20} more</p>" if len(self) > 20 else ""
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><tr>{head}</tr>{body}</table>{more}"


_SHOWN = ("frame", "person", "pose", "occluded", "joints seen")
_TEXTS = ("identity", "pose", "pose_family")
_NUMBERS = ("occluded_fraction", "truncated_fraction", "depth_m", "stature_m")


def stack(persons: Sequence[PersonLabel], skeleton: Skeleton, *, frame_index: int = 0) -> People:
    """The people of one rendered frame as columns."""
    joints = len(skeleton.joints)

    def column(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        values = [getattr(person, name) for person in persons]
        return np.array(values, dtype).reshape(len(persons), *shape)

    return People(
        skeleton=skeleton,
        frame_index=np.full(len(persons), frame_index, np.int64),
        instance=column("instance", (), np.int32),
        **{name: column(name, (), object) for name in _TEXTS},
        joints_px=column("joints_px", (joints, 2), np.float64),
        joints_camera_m=column("joints_camera_m", (joints, 3), np.float64),
        joints_world_m=column("joints_world_m", (joints, 3), np.float64),
        kinematic_joints_world_m=column("kinematic_joints_world_m", (joints, 3), np.float64),
        shares=column("shares", (joints, len(SHARES)), np.float64),
        state=column("state", (joints,), np.uint8),
        cause=column("cause", (joints,), object),
        ambiguous=column("ambiguous", (joints,), np.bool_),
        occluder_id=column("occluder_id", (joints,), np.int32),
        origin=np.full((len(persons), joints), "rendered", object),
        occluders=tuple(person.hidden_by for person in persons),
        modal=tuple(person.modal for person in persons),
        amodal=tuple(person.amodal for person in persons),
        boxes_px=column("modal_box_px", (4,), np.float64),
        amodal_boxes_px=column("amodal_box_px", (4,), np.float64),
        modal_area_px=column("modal_area_px", (), np.float64),
        amodal_area_px=column("amodal_area_px", (), np.float64),
        **{name: column(name, (), np.float64) for name in _NUMBERS},
        depth_rank=column("depth_rank", (), np.int32),
    )


def _decoded(codes: Sequence[Rle | None]) -> Bool:
    height, width = next((mask["size"] for mask in codes if mask and mask["counts"]), (0, 0))
    out = np.zeros((len(codes), height, width), np.bool_)
    for place, mask in zip(out, codes, strict=True):
        if mask and mask["counts"]:
            masks.check_counts(mask["counts"], (height, width))
            place[:] = masks.decode(mask)
    return out


def _whole(value: float) -> int:
    return 0 if math.isnan(value) else int(value)
