"""The visibility of a person with a candidate object in front, for the search in scenes.

A `SceneVisibility` is one person's window of the picture at a low resolution, and some points of
its joints' patches. `hide` merges an object's depth map. Pixels are counted and depths compared
as in the labels, so the search's results equal the labels within the resolution. Letters: J
joints, n points a joint, H, W the window, S shifts.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import GeometryQueries, PatchesSeen
from synthstudio.core.spec import CutoutSpec, ObjectSpec, PersonSpec
from synthstudio.core.visibility import EMPTY_BASE, VISIBLE_THRESHOLD, is_visible, occluded_fraction
from synthstudio.recipe.layout.placement import spread_over
from synthstudio.recipe.search.goals import OBJECT, PERSON, SELF, TRUNCATED, VISIBLE

SAMPLES = 112
"""Maximum of a window's rows and columns."""
_ASIDE = 1.0
"""How far a strip reaches beyond its window on each side, in window widths."""
_PAD_PX = 2.0
_NEAREST_M = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Points of the joints' patches in a window."""

    column: I32  # (J, n)
    row: I32
    weights: F64  # (J, n) 0 for ignored points
    cause: I32  # (J, n) place in CAUSES of the nearest surface in front
    near_m: F32  # (J, n) its depth, or the point's
    inside: Bool  # (J,) the joint's centre is in the picture

    @property
    def base(self) -> F64:
        """Return (J,) the weight of all points."""
        return np.asarray(self.weights.sum(axis=1))

    def causes(self, *, threshold: float = VISIBLE_THRESHOLD) -> I32:
        """Return (J,) the place in CAUSES of each joint's cause; visible from `threshold` on."""
        kinds = (VISIBLE, SELF, PERSON, OBJECT)
        amounts = np.stack([(self.weights * (self.cause == k)).sum(axis=1) for k in kinds])
        return decided(amounts, self.base, self.inside, threshold=threshold)

    def within(self, shape: tuple[int, int]) -> tuple[Bool, I32, I32]:
        """Return (J, n) which points a window (H, W) holds, and their rows and columns or 0."""
        kept = (self.row >= 0) & (self.row < shape[0])
        kept &= (self.column >= 0) & (self.column < shape[1])
        return kept, np.where(kept, self.row, 0), np.where(kept, self.column, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneVisibility:
    """The visibility of one person. `points` None: only pixels are evaluated."""

    camera: Camera  # the window's
    own_m: F32  # (H, W) depth of the person alone
    shown: Bool  # (H, W) where the person is nearest
    area: int  # pixels of the person alone
    points: Points | None

    @property
    def occluded_fraction(self) -> float:
        """1 - modal / amodal area inside the picture; 0 if outside it."""
        return occluded_fraction(int(self.shown.sum()), self.area)

    @property
    def causes(self) -> I32:
        """Return (J,) the place in CAUSES of each joint's cause."""
        return np.zeros(0, np.int32) if self.points is None else self.points.causes()


def decided(amounts: F64, base: F64, inside: Bool, *, threshold: float = VISIBLE_THRESHOLD) -> I32:
    """Return (J, ...) causes from the hidden amounts by cause: (4, J, ...) over (J,)."""
    shape = (len(base),) + (1,) * (amounts.ndim - 2)
    seen = is_visible(amounts[VISIBLE], base.reshape(shape), threshold=threshold)
    # Ties go to object, person, self.
    hidden = OBJECT - np.argmax(amounts[[OBJECT, PERSON, SELF]], axis=0)
    out = np.where(seen, VISIBLE, hidden)
    out = np.where((base < EMPTY_BASE).reshape(shape), SELF, out)
    return np.where(inside.reshape(shape), out, TRUNCATED).astype(np.int32)


def points_among(
    geometry: GeometryQueries, people: tuple[PersonSpec, ...], camera: Camera
) -> list[Points]:
    """The points in the picture of some people without other items."""
    seen = geometry.patches_seen(people, (), camera)
    return [_points(one, camera, camera, k) for k, one in enumerate(seen)]


def visibilities(
    geometry: GeometryQueries,
    people: tuple[PersonSpec, ...],
    objects: tuple[ObjectSpec, ...],
    camera: Camera,
    *,
    joints: bool,
) -> Iterator[SceneVisibility]:
    """Yield each person's visibility among people and objects; of pixels alone without `joints`."""
    patches: tuple[PatchesSeen | None, ...] = (None,) * len(people)
    if joints:
        patches = geometry.patches_seen(people, objects, camera)
    items: tuple[PersonSpec | ObjectSpec, ...] = (*people, *objects)
    boxes = [geometry.box_m(item) for item in items]
    for place, (person, seen) in enumerate(zip(people, patches, strict=True)):
        eye = window(camera, boxes[place])
        own = geometry.depths_m((person,), eye)
        before = tuple(
            item
            for k, item in enumerate(items)
            if k != place and _may_hide(camera, boxes[k], boxes[place])
        )
        covered = np.isfinite(own)
        yield SceneVisibility(
            camera=eye,
            own_m=own,
            shown=covered & ~(geometry.depths_m(before, eye) < own) if before else covered,
            area=int(covered.sum()),
            points=None if seen is None else _points(seen, camera, eye, place),
        )


def any_person_visible(
    geometry: GeometryQueries,
    items: Sequence[PersonSpec | ObjectSpec],
    cutouts: tuple[CutoutSpec, ...],
    camera: Camera,
    *,
    min_px: int,
) -> bool:
    """Whether a person shows so many pixels, or there is none; cut-outs hide their whole boxes."""
    people = tuple(item for item in items if isinstance(item, PersonSpec))
    objects = tuple(item for item in items if isinstance(item, ObjectSpec))
    if min_px == 0 or not people:
        return True
    for seen in visibilities(geometry, people, objects, camera, joints=False):
        scale, corner = seen.camera.focal_px / camera.focal_px, corner_px(camera, seen.camera)
        for cutout in cutouts:
            low = (np.array(cutout.top_left_px) - corner) * scale
            (x0, y0), (x1, y1) = np.maximum([low, low + np.multiply(cutout.size_px, scale)], 0)
            seen.shown[int(y0) : int(y1), int(x0) : int(x1)] = False
        if seen.shown.sum() >= min_px * scale**2:
            return True
    return False


def _points(seen: PatchesSeen, camera: Camera, eye: Camera, place: int) -> Points:
    scale, corner = eye.focal_px / camera.focal_px, corner_px(camera, eye)
    at = np.nan_to_num((seen.px - corner) * scale, nan=-1.0)
    blocked = seen.blocker != 0
    cause = np.where(seen.blocker == place + 1, SELF, np.where(seen.blocker < 0, OBJECT, PERSON))
    return Points(
        column=np.floor(np.clip(at[..., 0], -1, eye.width_px)).astype(np.int32),
        row=np.floor(np.clip(at[..., 1], -1, eye.height_px)).astype(np.int32),
        weights=seen.weights,
        cause=np.where(blocked, cause, VISIBLE).astype(np.int32),
        near_m=np.where(blocked, seen.blocker_depth_m, seen.depth_m).astype(np.float32),
        inside=seen.inside,
    )


def corner_px(camera: Camera, eye: Camera) -> tuple[float, float]:
    """The picture's pixel at the window's upper left corner."""
    scale = eye.focal_px / camera.focal_px
    x, y = camera.K[:2, 2] - eye.K[:2, 2] / scale
    return float(x), float(y)


def _may_hide(camera: Camera, box_m: F64, other_m: F64) -> bool:
    """Whether a box is partly nearer than another and overlaps it in the picture."""
    own, other = (camera.to_camera(spread_over(box, camera))[:, 2] for box in (box_m, other_m))
    if own.min() >= other.max() or own.max() <= 0:
        return False
    (low, high), (start, end) = (outline_px(camera, box) for box in (box_m, other_m))
    return bool((high > start).all() and (low < end).all())


def outline_px(camera: Camera, box_m: F64) -> tuple[F64, F64]:
    """The least and greatest pixel (2,) of a box; the whole plane if it is near the camera."""
    seen = camera.to_camera(spread_over(box_m, camera))
    if seen[:, 2].min() < _NEAREST_M:
        return np.full(2, -np.inf), np.full(2, np.inf)
    px = camera.project(seen)
    return px.min(axis=0), px.max(axis=0)


def window(camera: Camera, box_m: F64, *, samples: int = SAMPLES, whole: bool = False) -> Camera:
    """The camera of the picture's part that contains a box; `whole`: outside the picture, too."""
    size = np.array([camera.width_px, camera.height_px], np.float64)
    low, high = outline_px(camera, box_m)
    low, high = low - _PAD_PX, high + _PAD_PX
    if not (whole and np.isfinite(low).all()):
        low, high = np.clip(low, 0, size), np.clip(high, 0, size)
    if (high - low).min() < 1:  # nobody in the picture: any window shows nothing
        low, high = np.zeros(2), size
    scale = samples / float((high - low).max())
    width, height = (max(1, math.ceil(side * scale)) for side in high - low)
    x, y = (np.array([camera.K[0, 2], camera.K[1, 2]]) - low) * scale
    return dataclasses.replace(
        camera,
        width_px=width,
        height_px=height,
        focal_px=camera.focal_px * scale,
        centre_px=(float(x), float(y)),
    )


def hide(seen: SceneVisibility, object_m: F32) -> SceneVisibility:
    """The visibility with an object of depth map (H, W) added."""
    nearer = object_m < seen.own_m
    if not nearer.any():
        return seen
    points = seen.points
    if points is not None:
        within, rows, columns = points.within(object_m.shape)
        before = np.where(within, object_m[rows, columns], np.float32(np.inf))
        taken = before < points.near_m
        points = dataclasses.replace(
            points,
            cause=np.where(taken, np.int32(OBJECT), points.cause),
            near_m=np.where(taken, before, points.near_m),
        )
    return dataclasses.replace(seen, shown=seen.shown & ~nearer, points=points)


# An object that slides sideways ----------------------------------------------------------------


def strip_camera(seen: SceneVisibility) -> Camera:
    """The window's camera with as much again on its left and right."""
    aside = aside_px(seen)
    assert seen.camera.centre_px is not None
    x, y = seen.camera.centre_px
    return dataclasses.replace(
        seen.camera, width_px=seen.camera.width_px + 2 * aside, centre_px=(x + aside, y)
    )


def aside_px(seen: SceneVisibility) -> int:
    """How many columns of a strip lie on each side of the window."""
    return max(8, round(_ASIDE * seen.camera.width_px))


@dataclass(frozen=True, kw_only=True, eq=False)
class Slide:
    """The effect of an object at each of S places sideways, assuming its outline just shifts."""

    shift_px: I32  # (S,) window columns to the right
    occluded_fraction: F64  # (S,)
    causes: I32  # (J, S) place in CAUSES


def slide(seen: SceneVisibility, strip_m: F32, *, step: int) -> Slide:
    """The effect of the object with depths from `strip_camera`, shifted in steps."""
    aside = aside_px(seen)
    starts = np.arange(0, 2 * aside + 1, step)
    width = seen.own_m.shape[1]
    views = np.lib.stride_tricks.sliding_window_view(strip_m, width, axis=1)[:, starts]
    nearer = (views < seen.own_m[:, None]) & seen.shown[:, None]  # (H, S, W)
    left = int(seen.shown.sum()) - nearer.sum(axis=(0, 2))
    points, causes = seen.points, np.zeros((0, len(starts)), np.int32)
    if points is not None:
        within, rows, columns = points.within(seen.own_m.shape)
        before = strip_m[rows[..., None], columns[..., None] + starts]  # (J, n, S)
        taken = (before < points.near_m[..., None]) & within[..., None]
        amounts = np.stack(
            [
                np.einsum("jn,jns->js", points.weights * (points.cause == k), ~taken)
                for k in (VISIBLE, SELF, PERSON, OBJECT)
            ]
        )
        amounts[OBJECT] += np.einsum("jn,jns->js", points.weights, taken)
        causes = decided(amounts, points.base, points.inside)
    return Slide(
        shift_px=(aside - starts).astype(np.int32),
        occluded_fraction=occluded_fraction(left, max(1, seen.area)),
        causes=causes,
    )
