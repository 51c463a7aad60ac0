"""Checks of people: places, boxes, masks, limbs, sides. Clean people have no findings."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.camera import NEAR_M, distorted
from synthstudio.core.masks import Mask
from synthstudio.quality.checks import FAR, Finding, Subjects, digest, flip_of, is_box, is_number

_BONES = (
    ("shoulder", "elbow", 0.17),
    ("elbow", "wrist", 0.145),
    ("hip", "knee", 0.245),
    ("knee", "ankle", 0.245),
    ("ankle", "heel", 0.06),
    ("ankle", "big_toe", 0.12),
)
_ACROSS = (
    ("left_shoulder", "right_shoulder", 0.22),
    ("left_hip", "right_hip", 0.12),
    ("left_shoulder", "left_hip", 0.29),
    ("right_shoulder", "right_hip", 0.29),
    ("left_eye", "right_eye", 0.037),
    ("left_ear", "right_ear", 0.085),
)
# Shares of stature (Drillis and Contini 1966, rounded to joint centres), upper values: a bone
# of length l implies a body length of at least l / share in the picture.
LIMB_TIMES = 3.5
"""Maximum ratio of a bone to the length implied by others in 2D."""
SIDES_TIMES_3D = 1.5
"""Maximum ratio of left and right bones in 3D."""
_SMALL = 0.13  # shorter bones (feet, face) differ more: their ends are on the skin
_MIN_SIN = 0.35  # the orientation of flatter triangles is uncertain
_CERTAIN_SIN = 0.7
_FAR_OF_BOX = 0.6  # of the box's diagonal, beyond it
_FAR_OF_AMODAL = 0.1
_ONE_POINT = 0.004  # of the box's diagonal
_PROJECTION_PX = 0.51
_EDGE_PX = 0.5
_BOX_SLACK_PX = 2.0
_LOOSE = 0.5  # of the box's area is more than its mask's box
_SMALL_BOX = 64  # pixels
_AREA_SHARE = 0.1  # polygons are counted in more than one way
_POLYGON_SLACK = 4


Problem = tuple[int, str, str, int | None]
"""Index of the person, kind of finding, text, joint."""


def check_people(s: Subjects) -> list[list[Finding]]:
    out: list[list[Finding]] = [[] for _ in s.where]
    with np.errstate(divide="ignore", invalid="ignore"):
        for check in _CHECKS:
            for problem in check(s):
                out[problem[0]].append(finding_of(s, *problem))
    return out


def finding_of(s: Subjects, n: int, kind: str, what: str, joint: int | None = None) -> Finding:
    name = "" if joint is None else f"{s.skeleton.joints[joint]} "
    return Finding(
        kind=kind,
        where=s.where[n],
        what=name + what,
        joint=joint,
        image=s.image[n],
        person=s.person[n],
    )


def duplicates(
    s: Subjects, images: Sequence[Any], first: dict[int, Any], title: str
) -> Iterator[tuple[int, Finding]]:
    """People with the three or more keypoints of an earlier one of their image, kept in `first`."""
    rounded = np.where(s.labelled[..., None], np.round(s.px * 100), -1).astype(np.int64)
    for n in np.flatnonzero(s.labelled.sum(axis=1) >= 3).tolist():
        same = first.setdefault(digest(images[n], rounded[n].tobytes()), s.person[n])
        if same != s.person[n]:
            yield n, finding_of(s, n, "duplicate_keypoints", f"the same as {title} {same}")


def places(flags: Bool) -> Iterator[tuple[int, int]]:
    """Person and joint of each flag (N, J), in order."""
    for n, j in np.argwhere(flags):
        yield int(n), int(j)


def _picture(s: Subjects, n: int) -> str:
    return f"image {s.size[n, 0]:.0f} x {s.size[n, 1]:.0f}"


def _inside(s: Subjects) -> Iterator[Problem]:
    """v against the image: the same half pixel of slack that COCO's pixel indices have."""
    out = np.maximum(-s.px, s.px - s.size[:, None]).max(axis=2)
    for n, j in places(s.labelled & (out > _EDGE_PX)):
        x, y = s.px[n, j]
        kind = "visible_outside" if s.state[n, j] == 2 else "hidden_outside"
        yield n, kind, f"at ({x:.1f}, {y:.1f}), {_picture(s, n)}", j


def _box(s: Subjects) -> Iterator[Problem]:
    known = np.isfinite(s.box).all(axis=1) & (s.state != 0).any(axis=1)
    low, high, slack = s.box[:, :2], s.box[:, :2] + s.box[:, 2:], 2.0
    empty = np.asarray(known & (s.box[:, 2:] <= 0).any(axis=1))
    seen = (np.nan_to_num(s.area) != 0) | (s.state == 2).any(axis=1)
    outside = ((low < -slack) | (high > s.size + slack)).any(axis=1)
    for n in np.flatnonzero(empty & seen).tolist():
        yield n, "box_empty", f"box {s.box[n, 2]:g} x {s.box[n, 3]:g}", None
    for n in np.flatnonzero(known & ~empty & outside).tolist():
        yield n, "box_outside", f"box {tuple(s.box[n].tolist())}, {_picture(s, n)}", None


def _far(s: Subjects) -> Iterator[Problem]:
    """Joints against the box: the amodal one of a drawn body holds all of them.

    A drawn visible box has a larger tolerance. Before objects were pasted
    it was the amodal one: the modal one may be a sliver now.
    """
    amodal = np.asarray(np.isfinite(s.amodal_box).all(axis=1))
    # A hidden joint may be far from the visible part.
    of_box = np.where(amodal[:, None], s.state == 2, s.labelled)
    of_box &= ~(amodal & ~s.drawn)[:, None]
    share = np.where(s.drawn, _FAR_OF_AMODAL, _FAR_OF_BOX)
    reported = np.zeros(len(s), np.bool_)
    for box, room, joints in ((s.amodal_box, share, s.labelled), (s.box, _FAR_OF_BOX, of_box)):
        maximum = np.where((box[:, 2:] > 0).all(axis=1), room * np.hypot(*box[:, 2:].T) + 4, np.nan)
        low, high = box[:, None, :2], box[:, None, :2] + box[:, None, 2:]
        out = np.maximum(low - s.px, s.px - high).max(axis=2)
        wrong = joints & (out > maximum[:, None]) & ~reported[:, None]
        reported |= wrong.any(axis=1)
        for n in np.flatnonzero(wrong.any(axis=1)).tolist():
            j = int(np.argmax(wrong[n]))
            yield n, "joint_far", f"{out[n, j]:.0f} px outside its box", j


def _diagonals(s: Subjects) -> F64:
    """(N,) the diagonal of each box, 0 without one."""
    return np.asarray(np.nan_to_num(np.hypot(s.box[:, 2], s.box[:, 3])))


def _one_point(s: Subjects) -> Iterator[Problem]:
    wrong, spread = at_one_point(s.px, s.labelled, _diagonals(s))
    for n in np.flatnonzero(wrong).tolist():
        text = f"{s.labelled[n].sum()} joints within {spread[n]:.2f} px"
        yield n, "joints_one_point", text, None


def at_one_point(px: F64, known: Bool, diagonal: F64) -> tuple[Bool, F64]:
    """(N,) whether four or more known joints (N, J, 2) coincide, and their spread."""
    high = np.where(known[..., None], px, -np.inf).max(axis=1)
    low = np.where(known[..., None], px, np.inf).min(axis=1)
    spread = (high - low).max(axis=1)
    few = known.sum(axis=1) < 4
    return ~few & (spread <= np.maximum(1e-6, _ONE_POINT * diagonal)), spread


@functools.cache
def _limbs(joints: tuple[str, ...]) -> tuple[I64, F64, I64, Bool]:
    """B bones: their joints (2, B), fraction of stature (B,) and twin on the other side (B,).

    Last whether two bones share no joint (B, B).
    """
    names = {name: j for j, name in enumerate(joints)}
    pairs = [(f"{s}_{a}", f"{s}_{b}", r) for a, b, r in _BONES for s in ("left", "right")]
    pairs += list(_ACROSS)
    have = [(names[a], names[b], r) for a, b, r in pairs if a in names and b in names]
    ends = np.array([(a, b) for a, b, _ in have], np.int64).reshape(-1, 2)
    flip = flip_of(joints)
    sets = [set(pair) for pair in ends.tolist()]
    twins = [{int(flip[a]), int(flip[b])} for a, b in ends]
    twin = np.array([sets.index(t) if t in sets else k for k, t in enumerate(twins)], np.int64)
    apart = np.array([[not x & y for y in sets] for x in sets], np.bool_)
    return ends.T, np.array([r for _, _, r in have]), twin, apart.reshape(len(have), len(have))


def _limb_2d(s: Subjects) -> Iterator[Problem]:
    """Each bone implies a minimum body length; one that implies far more than all others is wrong.

    Compared with at least three bones that share no joint with it.
    """
    (a, b), share, _, apart = _limbs(s.skeleton.known_as)
    if not len(a):
        return
    bones = s.labelled[:, a] & s.labelled[:, b]  # (N, B)
    length = np.where(bones, lengths(s.px[:, a] - s.px[:, b]), 0.0)
    implied = length / share
    maximum = np.zeros_like(implied)
    for k, other in enumerate(apart):
        maximum[:, k] = np.where(bones[:, other], implied[:, other], 0.0).max(axis=1, initial=0.0)
    others = bones @ apart.T.astype(np.int64)
    enough = (bones.sum(axis=1) >= 4)[:, None] & bones & (others >= 3)
    wrong = enough & (implied > LIMB_TIMES * np.maximum(maximum, 0.75 * _diagonals(s)[:, None]))
    for n in np.flatnonzero(wrong.any(axis=1)).tolist():
        k = int(np.argmax(np.where(wrong[n], implied[n], 0.0)))
        limit = f"at most {maximum[n, k] * share[k]:.0f} by the rest of the body"
        text = f"{_bone(s, a[k], b[k])} is {length[n, k]:.0f} px, {limit}"
        yield n, "limb_length", text, int(b[k])


def _bone(s: Subjects, a: int, b: int) -> str:
    return f"{s.skeleton.joints[a]} to {s.skeleton.joints[b]}"


def lengths(vectors: F64) -> F64:
    return np.asarray(np.sqrt((vectors**2).sum(axis=-1)))


def _limb_3d(s: Subjects) -> Iterator[Problem]:
    """In 3D a bone matches its twin on the other side and the rest of the body."""
    (a, b), share, twin, _ = _limbs(s.skeleton.known_as)
    if not len(a):
        return
    whole = s.has_camera & np.isfinite(s.camera_m).all(axis=(1, 2))
    length = lengths(s.camera_m[:, a] - s.camera_m[:, b])
    median = np.median(length / share, axis=1)
    times = np.where(share < _SMALL, 2.0, 1.0) * SIDES_TIMES_3D
    twins = length[:, twin]
    wrong = length > np.maximum(times * twins, 1e-3)
    wrong |= length > 1.5 * times * median[:, None] * share
    for n in np.flatnonzero(whole & wrong.any(axis=1)).tolist():
        k = int(np.argmax(wrong[n]))
        text = f"{_bone(s, a[k], b[k])} is {length[n, k]:.2f} m, its twin {twins[n, k]:.2f} m"
        yield n, "limb_length", text, int(b[k])


def _projected(s: Subjects) -> Iterator[Problem]:
    z = s.camera_m[..., 2]
    plane = s.camera_m[..., :2] / z[..., None]
    for bent in np.unique(s.distortion[s.distortion.any(axis=1)], axis=0):
        own = (s.distortion == bent).all(axis=1)
        plane[own] = distorted((bent[0], bent[1]), plane[own])
    px = plane @ s.K[:, :2, :2].transpose(0, 2, 1) + s.K[:, None, :2, 2]
    error = np.where(s.labelled & (z >= NEAR_M), np.abs(px - s.px).max(axis=2), 0.0)
    worst = np.nan_to_num(error, nan=-1.0).argmax(axis=1)
    largest = np.take_along_axis(error, worst[:, None], axis=1)[:, 0]
    flip = s.skeleton.flip
    sides = flip != np.arange(len(flip))
    for n in np.flatnonzero(s.has_camera & s.has_K & ~(largest <= _PROJECTION_PX)).tolist():
        mirrored = np.where(s.labelled[n, :, None], px[n, flip] - s.px[n], 0.0)
        if sides.any() and np.nanmax(np.abs(mirrored[sides])) <= _PROJECTION_PX:
            yield n, "swapped", "left joints are where the right ones are in 3D", None
        else:
            yield n, "projection", f"{largest[n]:.1f} px from its 3D joint", int(worst[n])


def _swapped_3d(s: Subjects) -> Iterator[Problem]:
    """A head is rigid: ear to ear, up, and to the nose are right-handed, left-handed if swapped."""
    at = _named(s, ("nose", "left_eye", "right_eye", "left_ear", "right_ear"))
    if at is None:
        return
    nose, left_eye, right_eye, left_ear, right_ear = s.camera_m[:, at].transpose(1, 0, 2)
    side = (left_eye - right_eye) + (left_ear - right_ear)
    ears = (left_ear + right_ear) / 2
    up, forward = (left_eye + right_eye) / 2 - nose, nose - ears
    volume = (np.cross(side, up) * forward).sum(axis=1)
    size = lengths(side) * lengths(up) * lengths(forward)
    for n in np.flatnonzero(s.has_camera & (size > 0) & (volume < -0.2 * size)).tolist():
        yield n, "swapped", "in 3D, the head's left and right are swapped", None


def _named(s: Subjects, wanted: Sequence[str]) -> list[int] | None:
    """Indices of the joints with these `known_as` names; None if one is missing."""
    names = {name: j for j, name in enumerate(s.skeleton.known_as)}
    return [names[name] for name in wanted] if all(name in names for name in wanted) else None


def turn(side: F64, down: F64) -> F64:
    """(N,) the sine from `side` to `down` (N, 2): positive from the front, for any rotation."""
    size = lengths(side) * lengths(down)
    rotated = side[:, 0] * down[:, 1] - side[:, 1] * down[:, 0]
    return np.asarray(np.where(size > 0, rotated / np.where(size > 0, size, 1), 0.0))


FACE_AND_TRUNK = (
    "nose", "left_eye", "right_eye", "left_shoulder", "right_shoulder", "left_hip", "right_hip"
)  # fmt: skip


def facing(px: F64, hips: Bool) -> tuple[F64, F64, Bool]:
    """(N,) the sines of face and trunk, positive from the front; whether the trunk is usable.

    `px` (7, N, 2): positions of FACE_AND_TRUNK; `hips` (N,): whether the hips are known.
    A trunk from the side is not used.
    """
    nose, left_eye, right_eye, left_sh, right_sh, left_hip, right_hip = px
    face = turn(left_eye - right_eye, nose - (left_eye + right_eye) / 2)
    hips = hips[:, None]
    low = np.where(hips, left_hip + right_hip, left_sh + right_sh)  # shoulders are below the eyes
    high = np.where(hips, left_sh + right_sh, left_eye + right_eye)
    across, down = left_sh - right_sh, (low - high) / 2
    return face, turn(across, down), lengths(across) > _MIN_SIN * lengths(down)


def _swapped_2d(s: Subjects) -> Iterator[Problem]:
    """Nose and eyes visible, yet face and trunk both as from behind: sides are swapped."""
    at = _named(s, FACE_AND_TRUNK)
    if at is None:
        return
    selected = ~s.has_camera & (s.state[:, at[:3]] == 2).all(axis=1)
    selected &= s.labelled[:, at[3:5]].all(axis=1)
    hips = np.asarray(s.labelled[:, at[5:]].all(axis=1))
    face, trunk, wide = facing(s.px[:, at].transpose(1, 0, 2), hips)
    wrong = (face < -_MIN_SIN) & np.where(wide, trunk < -_MIN_SIN, face < -_CERTAIN_SIN)
    for n in np.flatnonzero(selected & wrong).tolist():
        what = "the face is visible, but its sides are those of a person seen from behind"
        yield n, "swapped", what, None


def box_problem(mask: Mask, box: Sequence[float]) -> tuple[str, float]:
    """Return the kind of finding of a box with sides above 0, "" for none, and its size.

    The size is the excess of the mask over the box in pixels. COCO's boxes are off by up to 1 px.
    """
    x, y, w, h = mask.box
    out = max(box[0] - x, box[1] - y, x + w - box[0] - box[2], y + h - box[1] - box[3])
    if out > _BOX_SLACK_PX:
        return "box_mask", out
    loose = w * h < _LOOSE * box[2] * box[3] and box[2] * box[3] > _SMALL_BOX
    return "box_loose" if loose else "", out


def area_fits(mask: Mask, area: float, *, loose: bool = False) -> bool:
    """Whether an area is that of the mask or its polygons; `loose`: maybe of unknown polygons."""
    counts = [mask.area] if mask.polygon_area is None else [mask.area, mask.polygon_area]
    slack = _POLYGON_SLACK + _AREA_SHARE * mask.area if loose or len(counts) > 1 else 1.0
    return min(abs(area - count) for count in counts) <= slack


def mask_problems(
    mask: Mask, box: Any, area: Any, *, loose: bool = False
) -> Iterator[tuple[str, str]]:
    """Kind and text of a box or area that contradicts its mask; `loose` as in `area_fits`."""
    if is_box(box) and mask.area and box[2] > 0 and box[3] > 0:
        kind, out = box_problem(mask, box)
        w, h = mask.box[2:]
        what = f"{box[2]:g} x {box[3]:g} for a mask of {w:g} x {h:g}"
        if kind == "box_mask":
            what = f"its mask is {out:.1f} px beyond it"
        if kind:
            yield kind, what
    if is_number(area) and abs(area) < FAR:
        if not area_fits(mask, area, loose=loose):
            yield "area", f"{area:g}, its mask has {mask.area} pixels"
    elif area is None:
        yield "no_area", "the mask's is taken"


def holds(starts: I64, ends: I64, inner_starts: I64, inner_ends: I64) -> Bool:
    """Whether inner runs are inside an outer one; both sorted."""
    place = np.searchsorted(starts, inner_starts, side="right") - 1
    reach = np.concatenate([ends, [-1]])[place]  # place -1: before the first
    return np.asarray((place >= 0) & (inner_ends <= reach))


_CHECKS: tuple[Callable[[Subjects], Iterator[Problem]], ...] = (
    _inside,
    _box,
    _far,
    _one_point,
    _limb_2d,
    _limb_3d,
    _projected,
    _swapped_3d,
    _swapped_2d,
)
