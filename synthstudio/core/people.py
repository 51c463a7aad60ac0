"""The labels of people as columns, and bins of people. Letters: P people, J joints, H x W pixels.

One People holds the people of one frame or of a batch of frames.
docs/conventions.md fixes what each column means.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, overload

import numpy as np

from synthstudio.core import labels, masks
from synthstudio.core.arrays import F64, I32, I64, Bool
from synthstudio.core.errors import DatasetError
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import FrameSpec, Phenotype

Occluders = tuple[tuple[tuple[int, float], ...], ...]
"""J x [(instance, share)], the largest share first."""
HIDDEN = ("hidden_joint", "hidden_instance", "hidden_share")
"""Columns of the occluders of a person's joints."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class People(labels.PersonColumns):
    """P people with J joints each; unknown values are NaN, None or -1.

    Its columns are the labels of docs/conventions.md: `joints_px` (P, J, 2), `state` (P, J),
    `occluded_fraction` (P,), ... Indexing by a number gives one person (`PersonLabel`), by a
    slice, a mask or numbers fewer people. Iterating yields persons.
    """

    def __len__(self) -> int:
        return len(self.instance)

    def __repr__(self) -> str:
        return f"People({len(self)} people, {self.skeleton.title})"

    @overload
    def __getitem__(self, key: int) -> labels.PersonLabel: ...
    @overload
    def __getitem__(self, key: slice | Bool | I64 | Sequence[int]) -> People: ...
    def __getitem__(self, key: Any) -> labels.PersonLabel | People:
        if isinstance(key, int | np.integer):
            return self._person(range(len(self))[int(key)])
        chosen = np.arange(len(self))[key]
        names = [f.name for f in fields(self) if f.name != "skeleton"]
        return dataclasses.replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def __iter__(self) -> Iterator[labels.PersonLabel]:
        return (self._person(i) for i in range(len(self)))

    def _person(self, i: int) -> labels.PersonLabel:
        values = {
            f.name: _single(labels.LABELS[f.name], getattr(self, f.name)[i])
            for f in fields(labels.PersonLabel)
            if f.name in labels.LABELS
        }
        return labels.PersonLabel(
            **values,
            hidden_by=self.occluders[i],
            modal=self.modal[i] or {},
            amodal=self.amodal[i] or {},
        )

    @property
    def joints(self) -> tuple[str, ...]:
        """The J names of the joints."""
        return self.skeleton.joints

    @property
    def boxes_px(self) -> F64:
        """(P, 4) x, y, w, h of what is seen."""
        return self.modal_box_px

    @property
    def amodal_boxes_px(self) -> F64:
        """(P, 4) x, y, w, h of the whole person, may leave the frame."""
        return self.amodal_box_px

    @cached_property
    def occluders(self) -> tuple[Occluders, ...]:
        """P x J x [(instance, share)]: occluders of each joint, largest share first."""
        lists = zip(self.hidden_joint, self.hidden_instance, self.hidden_share, strict=True)
        return tuple(pairs_by_joint(len(self.joints), *found) for found in lists)

    @cached_property
    def modal(self) -> tuple[labels.Rle | None, ...]:
        """P run-length masks of what is seen."""
        return self._codes(self.modal_counts)

    @cached_property
    def amodal(self) -> tuple[labels.Rle | None, ...]:
        """P run-length masks of the whole person inside the frame."""
        return self._codes(self.amodal_counts)

    def _codes(self, counts: labels.Text) -> tuple[labels.Rle | None, ...]:
        sizes = self.mask_size.tolist()
        return tuple(masks.as_rle(*pair) for pair in zip(counts, sizes, strict=True))

    @property
    def visible_share(self) -> F64:
        """(P, J) visible fraction of each joint's patch; NaN where unknown."""
        return np.asarray(self.visibility_fractions[:, :, labels.VISIBILITY.index("visible")])

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
        """(P, J) whether another person or object is in front at the joint's pixel.

        That pixel lies in the amodal mask and not in the modal one. A joint with the cause
        `self` can be covered too: its patch faces away, regardless of occluders.
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
        """The scalar columns and (P, J, ...) arrays as a dict, for custom tables."""
        names = (*labels.LABELS, "occluders", "modal", "amodal", "boxes_px", "amodal_boxes_px")
        return {name: getattr(self, name) for name in names}

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


def stack(
    persons: Sequence[labels.PersonLabel], skeleton: Skeleton, spec: FrameSpec | None = None
) -> People:
    """The people of one frame as columns; values that need the spec are unknown without one."""
    joints = len(skeleton.joints)
    return People(
        skeleton=skeleton,
        **{
            name: as_column(label, [label.value(person, spec) for person in persons], joints)
            for name, label in labels.LABELS.items()
        },
    )


UNKNOWN = {"float64": np.nan, "int64": -1, "int32": -1, "uint8": 255, "bool": False, "object": None}


def as_column(label: labels.Label, values: Sequence[Any], joints: int) -> Any:
    """(P, ...) stored values of P people as People holds them; None is unknown."""
    if label.ragged:
        lists = np.empty(len(values), np.object_)
        lists[:] = [value or [] for value in values]
        return lists
    shape, unknown = label.size(joints), UNKNOWN[label.memory]
    missing = np.full(shape, unknown) if shape else unknown
    known = [missing if value is None else value for value in values]
    return np.array(known, label.memory).reshape(len(values), *shape)


def pairs_by_joint(
    joints: int, joint: Sequence[int], instance: Sequence[int], share: Sequence[float]
) -> Occluders:
    """The occluders of each joint; DatasetError for inconsistent lists."""
    found: list[list[tuple[int, float]]] = [[] for _ in range(joints)]
    if not len(joint) == len(instance) == len(share):
        raise DatasetError("the lists of occluders of joints differ in length", where="instances")
    for j, who, much in zip(joint, instance, share, strict=True):
        if not 0 <= j < joints:
            raise DatasetError("hidden_joint is out of range", where="instances", got=str(j))
        found[j].append((who, much))
    return tuple(map(tuple, found))


def hidden_columns(occluders: Iterable[Iterable[tuple[int, float]]]) -> dict[str, list[Any]]:
    """Undo `pairs_by_joint`: the three columns of a stored person."""
    flat = [(joint, *pair) for joint, pairs in enumerate(occluders) for pair in pairs]
    return {name: [entry[k] for entry in flat] for k, name in enumerate(HIDDEN)}


def _single(label: labels.Label, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value if "J" in label.shape and label.kind != "string" else tuple(value.tolist())
    if label.kind == "string":
        return value or ""
    if label.kind == "int":
        return 0 if value != value else int(value)
    return float(value)


def _decoded(codes: Sequence[labels.Rle | None]) -> Bool:
    height, width = next((mask["size"] for mask in codes if mask and mask["counts"]), (0, 0))
    out = np.zeros((len(codes), height, width), np.bool_)
    for place, mask in zip(out, codes, strict=True):
        if mask and mask["counts"]:
            masks.check_counts(mask["counts"], (height, width))
            place[:] = masks.decode(mask)
    return out


# Bins of coverage and quotas: view, body, occluded fraction ---------------------------------------

VIEWS = ("front", "front_left", "left", "back_left", "back", "back_right", "right", "front_right")
"""Which side of a person the camera sees: eight sectors of 45 degrees, front is 0 +- 22.5.

Their order is that of the camera's azimuth about the person, counted towards its left. So a
person who sees the camera at its left shows its left, and stands at yaw -90 before a camera at
yaw 0."""
SECTOR_RAD = 2 * math.pi / len(VIEWS)

GENDERS, WEIGHTS, HEIGHTS = ("man", "woman"), ("slim", "medium", "heavy"), ("short", "mid", "tall")
GENDER_EDGE = 0.5
WEIGHT_EDGES = (0.42, 0.58)
HEIGHT_EDGES = (0.33, 0.39)
"""Thirds of a recipe's default bodies (normal 0.5 +- 0.18 and 0.36 +- 0.06); height is that
among the person's own gender."""
BODIES = tuple(f"{g}-{w}-{h}" for g in GENDERS for w in WEIGHTS for h in HEIGHTS)

FRACTIONS = ("0", "0-.1", ".1-.3", ".3-.5", ".5-.7", ".7-.9", ".9-1")
FRACTION_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Upper ends of the bins of the occluded fraction but the last; each belongs to its bin."""

_UPRIGHT = 0.5
"""Maximum slope of the shoulder-hip line for it alone to define left."""


def view_of(azimuth_rad: F64) -> I32:
    """Indices into VIEWS of the camera's azimuths about people, + towards their left."""
    return (np.rint(azimuth_rad / SECTOR_RAD) % len(VIEWS)).astype(np.int32)


def view_azimuth_rad(view: str) -> float:
    """The middle of a sector: the camera's azimuth about the person."""
    return VIEWS.index(view) * SECTOR_RAD


def body_of(phenotype: Phenotype) -> str:
    axes = (phenotype.gender, phenotype.weight, phenotype.height)
    gender, weight, height = np.array(axes)[:, None]
    return BODIES[int(body_places(gender, weight, height)[0])]


def body_places(gender: F64, weight: F64, height: F64) -> I32:
    """Indices into BODIES of people (P,) by three axes of their phenotypes."""
    w, h = np.searchsorted(WEIGHT_EDGES, weight), np.searchsorted(HEIGHT_EDGES, height)
    g = (gender >= GENDER_EDGE).astype(np.int32)
    return ((g * len(WEIGHTS) + w) * len(HEIGHTS) + h).astype(np.int32)


def fraction_of(fraction: F64) -> I32:
    """Indices into FRACTIONS of occluded fractions in 0..1."""
    return np.searchsorted(FRACTION_EDGES, fraction).astype(np.int32)


def camera_azimuth_rad(joints_m: F64, eyes_m: F64) -> F64:
    """(P,) azimuths of cameras about people, 0 in front, + towards their left.

    `joints_m` (P, 4, 3): left and right shoulder, left and right hip in the world; `eyes_m`
    (P, 3). Left is the mean of the lines between shoulders and between hips, laid flat, and
    the body faces a quarter turn right of it. For a person on their side these lines are
    vertical; then the body faces along left x up the trunk. NaN where neither lies flat.
    """
    across = joints_m[:, 0] - joints_m[:, 1] + joints_m[:, 2] - joints_m[:, 3]
    trunk = joints_m[:, 0] + joints_m[:, 1] - joints_m[:, 2] - joints_m[:, 3]
    flat = np.hypot(across[:, 0], across[:, 1])
    ahead = np.stack([across[:, 1], -across[:, 0]], axis=1)
    on_side = flat < _UPRIGHT * np.linalg.norm(across, axis=1)
    ahead = np.where(on_side[:, None], np.cross(across, trunk)[:, :2], ahead)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    way = eyes_m[:, :2] - joints_m.mean(axis=1)[:, :2]
    x, y = (ahead * way).sum(axis=1), (left * way).sum(axis=1)
    return np.asarray(np.where(np.hypot(x, y) > 0, np.arctan2(y, x), np.nan))
