"""The gap by labels: sizes, positions, truncation, visible fractions, cameras, poses.

Cameras are estimated from 2D alone, by the same code on both sides. A trunk is the line from the
middle of the hips to that of the shoulders.

    roll       the trunk's lean in the picture, negated: on average people stand upright
    distance   from the trunk's length in the picture, if it is as long as generated ones are
    pitch      atan((aim - camera's height) / distance), where aim is the height above the floor
               in the picture's middle row at that distance, if hips are as high as
               generated ones are

These are one person's similar triangles (Hoiem et al. 2008, "Putting objects in perspective").
Unobservable parameters are those of the generated side for both (`Assumed`): focal length
and camera height. Bending or lying people are excluded by their lean; those who bend towards the
camera are not and appear too distant. `validated` compares estimates with the rows' cameras.

Two poses are aligned by the known joints of the real one: both are moved to
their mean and scaled to one root mean square radius, the generated one also mirrored. The
distance is the root mean square of the residual, in longer sides of the real pose's joints:
Procrustes analysis (Gower 1975) without rotation, since rotation is part of the pose.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from synthstudio.core.arrays import F64, I64
from synthstudio.quality.checks import flip_of
from synthstudio.quality.gap_distance import (
    Difference,
    Sample,
    difference,
    kinds_chance,
    total_variation,
)
from synthstudio.quality.gap_sides import TRUNK, Side

MAX_LEAN_DEG = 45.0
_MIN_TRUNK = 0.02
"""Minimum trunk length relative to the picture's height; shorter ones are noise."""
_EDGE = 0.005
"""Maximum distance of a box touching the picture's edge, in longer sides (at least a pixel)."""
STATES = ("visible", "hidden", "outside or unlabelled")


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """Unobservable parameters, equal for both sides: medians of the generated rows, or defaults."""

    focal: float = 1.2  # heights of the picture: a vertical angle of view of 45 degrees
    camera_m: float = 1.4
    trunk_m: float = 0.48
    hip_m: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Camera:
    """(P,) camera estimates from each person's 2D joints; NaN without a visible upright trunk.

    `row` is `hip_row` corrected for the side's median roll, which raises or lowers
    people off the centre.
    """

    roll_deg: F64
    pitch_deg: F64
    distance_m: F64
    row: F64


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Accuracy of an estimate on the generated side, with known truth.

    `error`: the median of absolute errors, `bias` the median error, `spread` the standard
    deviation of the truth, `correlation` NaN if either is constant.
    """

    name: str
    unit: str
    people: int
    error: float
    bias: float
    correlation: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class JointStates:
    """One joint: frequencies of STATES of (generated, photos), their distance and chance level."""

    joint: str
    fractions: tuple[tuple[float, ...], tuple[float, ...]]
    distance: float
    chance: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """The labels of both sides compared. `missing`: joints missing in the photos' skeleton."""

    differences: tuple[Difference, ...]
    joints: tuple[JointStates, ...]
    labelled: tuple[int, int]  # people with a labelled joint
    common: tuple[str, ...]
    missing: tuple[str, ...]
    assumed: Assumed
    cameras: tuple[Camera, Camera]
    validated: tuple[Validated, ...]


def measure_labels(generated: Side, photos: Side) -> Labels:
    sides = (generated, photos)
    common = tuple(j for j in generated.skeleton.joints if j in photos.skeleton.joints)
    assumed = _assumed(generated)
    cameras = (estimate(generated, assumed), estimate(photos, assumed))
    return Labels(
        differences=tuple(_differences(sides, cameras, common)),
        joints=_joint_states(sides, common),
        labelled=tuple(int((s.v > 0).any(axis=1).sum()) for s in sides),  # type: ignore[arg-type]
        common=common,
        missing=tuple(j for j in generated.skeleton.joints if j not in common),
        assumed=assumed,
        cameras=cameras,
        validated=_validated(generated, cameras[0]),
    )


def touches_edge(side: Side) -> F64:
    """(P,) 1 where the box touches the picture's edge."""
    slack = np.maximum(1.0, _EDGE * side.size.max(axis=1))
    end = side.box[:, :2] + side.box[:, 2:]
    near = (side.box[:, :2] <= slack[:, None]) | (end >= side.size - slack[:, None])
    return np.asarray(near.any(axis=1), np.float64)


def outside_share(side: Side, common: Sequence[str]) -> F64:
    """(P,) fraction of joints outside or unlabelled (v=0); NaN for people without joints."""
    v = side.v[:, side.joints(common)]
    return np.where((v > 0).any(axis=1), (v == 0).mean(axis=1), np.nan)


def middle_x(side: Side) -> F64:
    """(P,) horizontal offset of the box's centre from the picture's, in picture widths."""
    return (side.box[:, 0] + side.box[:, 2] / 2) / side.size[:, 0] - 0.5


def hip_row(side: Side, *, roll_deg: float = 0.0) -> F64:
    """(P,) how far hips are below the picture's centre, in its heights, `roll_deg` undone; NaN."""
    if not set(TRUNK) <= set(side.skeleton.joints):
        return np.full(side.people, np.nan)
    hips = side.px[:, side.joints(TRUNK[2:])].mean(axis=1)
    x, y = ((hips - side.size / 2) / side.size[:, 1:]).T
    return np.asarray(x * np.sin(np.radians(roll_deg)) + y * np.cos(np.radians(roll_deg)))


def estimate(side: Side, assumed: Assumed) -> Camera:
    nothing = np.full(side.people, np.nan)
    if not set(TRUNK) <= set(side.skeleton.joints):
        return Camera(roll_deg=nothing, pitch_deg=nothing, distance_m=nothing, row=nothing)
    px = side.px[:, side.joints(TRUNK)]
    axis = px[:, :2].mean(axis=1) - px[:, 2:].mean(axis=1)
    length = np.hypot(axis[:, 0], axis[:, 1]) / side.size[:, 1]
    lean = np.degrees(np.arctan2(axis[:, 0], -axis[:, 1]))
    with np.errstate(invalid="ignore"):
        upright = (np.abs(lean) <= MAX_LEAN_DEG) & (length >= _MIN_TRUNK)
    length = np.where(upright, length, np.nan)
    distance = assumed.trunk_m * assumed.focal / length
    row = hip_row(side, roll_deg=-float(np.median(lean[upright])) if upright.any() else 0.0)
    aim = assumed.hip_m + row * assumed.trunk_m / length
    return Camera(
        roll_deg=np.where(upright, -lean, np.nan),
        row=row,
        pitch_deg=np.degrees(np.arctan((aim - assumed.camera_m) / distance)),
        distance_m=distance,
    )


def _assumed(generated: Side) -> Assumed:
    truth, usual = generated.truth, Assumed()
    if truth is None:
        return usual
    found = {name: getattr(truth, name) for name in asdict(usual)}
    medians = {
        name: float(np.median(values[np.isfinite(values)]))
        for name, values in found.items()
        if np.isfinite(values).any()
    }
    return Assumed(**{**asdict(usual), **medians})


_EDGES = (
    "targets.causes.truncated",
    "camera.distance_m",
    "camera.off_centre",
    "camera.aim_height_m",
)
_FIGURES = {
    "size": (
        "size of people",
        "picture heights",
        ("camera.distance_m", "camera.vertical_fov_deg"),
    ),
    "count": ("people in a picture", "people", ("people.count",)),
    "place": ("place from left to right", "picture widths", ("camera.off_centre",)),
    "row": (
        "hips below the middle row",
        "picture heights",
        ("camera.aim_height_m", "camera.pitch_deg"),
    ),
    "edge": ("touching the picture's edge", "share of people", _EDGES),
    "outside": ("joints outside the picture or unlabelled", "share of a person's joints", _EDGES),
    "roll_deg": ("camera roll", "degrees", ("camera.roll_deg",)),
    "pitch_deg": (
        "camera pitch",
        "degrees",
        ("camera.pitch_deg", "camera.aim_height_m", "camera.height_m"),
    ),
    "distance_m": ("distance", "metres", ("camera.distance_m", "camera.vertical_fov_deg")),
}
"""Figures of people: title, unit, and the recipe's fields that affect them."""
_WHOLE = ("count", "edge")
_CAMERA = ("roll_deg", "pitch_deg", "distance_m")


def _figures(side: Side, camera: Camera, common: Sequence[str]) -> dict[str, F64]:
    """(P,) each figure of each person; of each picture for `count`."""
    return {
        "size": side.box[:, 3] / side.size[:, 1],
        "count": side.per_picture.astype(np.float64),
        "place": middle_x(side),
        "row": hip_row(side),
        "edge": touches_edge(side),
        **({"outside": outside_share(side, common)} if common else {}),
        **{name: getattr(camera, name) for name in _CAMERA},
    }


def _differences(
    sides: tuple[Side, Side], cameras: tuple[Camera, Camera], common: Sequence[str]
) -> list[Difference]:
    found = [_figures(side, own, common) for side, own in zip(sides, cameras, strict=True)]
    out = []
    for key in found[0]:
        name, unit, fields = _FIGURES[key]
        a, b = (
            Sample(values=values[key], group=side.groups if key == "count" else side.group)
            for values, side in zip(found, sides, strict=True)
        )
        out.append(difference(key, name, unit, fields, (a, b), whole=key in _WHOLE))
    return out


def _joint_states(sides: tuple[Side, Side], common: Sequence[str]) -> tuple[JointStates, ...]:
    """Frequencies of v by joint, of people with at least one labelled joint."""
    if not common:
        return ()
    counts = []
    for side in sides:
        v = side.v[:, side.joints(common)]
        labelled = (v > 0).any(axis=1)
        names, group = np.unique(side.group[labelled], return_inverse=True)
        hot = (v[labelled][..., None] == np.array([2, 1, 0])).astype(np.float64)
        summed = np.zeros((len(names), len(common), 3))
        np.add.at(summed, group, hot)
        counts.append(summed)
    totals = [c.sum(axis=0) for c in counts]
    if not all(t.sum() for t in totals):
        return ()
    fractions = [t / t.sum(axis=1, keepdims=True) for t in totals]
    chance = kinds_chance((counts[0], counts[1]), "joints")
    return tuple(
        JointStates(
            joint=name,
            fractions=(tuple(fractions[0][j].tolist()), tuple(fractions[1][j].tolist())),
            distance=total_variation(fractions[0][j], fractions[1][j]),
            chance=float(chance[j]),
        )
        for j, name in enumerate(common)
    )


def _validated(side: Side, camera: Camera) -> tuple[Validated, ...]:
    """Compare the estimates of generated people with their rows; empty without cameras."""
    if side.truth is None:
        return ()
    truths = {"distance_m": "depth_m"}
    out = []
    for key in _CAMERA:
        name, unit, _ = _FIGURES[key]
        estimated, true = getattr(camera, key), getattr(side.truth, truths.get(key, key))
        both = np.isfinite(estimated) & np.isfinite(true)
        if both.sum() < 2:
            continue
        estimated, true = estimated[both], true[both]
        varies = estimated.std() > 1e-9 and true.std() > 1e-9
        out.append(
            Validated(
                name=name,
                unit=unit,
                people=len(estimated),
                error=float(np.median(np.abs(estimated - true))),
                bias=float(np.median(estimated - true)),
                correlation=float(np.corrcoef(estimated, true)[0, 1]) if varies else float("nan"),
                spread=float(true.std()),
            )
        )
    return tuple(out)


# Distances of real poses to the nearest generated ones --------------------------------------------


MIN_JOINTS = 6
MAX_POSES = 4000
BASELINE = 300
"""Number of generated people compared with other generated ones."""
FAR = 95.0
"""Percentile of distances among generated poses beyond which a real pose is far."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """A person and the nearest generated person; `distance` in longer sides of the pose."""

    person: int
    nearest: int
    mirrored: bool
    distance: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Poses:
    """`found`: for each photo person with enough joints, farthest first.

    `difference`: those distances (photos) and those of generated people to generated ones
    of other moments. `far`: the share beyond `far_beyond`.
    """

    found: tuple[Nearest, ...]
    difference: Difference
    far: float
    far_beyond: float
    common: tuple[str, ...]


def measure_poses(generated: Side, photos: Side, common: tuple[str, ...]) -> Poses | None:
    """Return the nearest generated pose of each real one; None if no person has enough joints."""
    if len(common) < MIN_JOINTS:
        return None
    own_joints, photo_joints = generated.joints(common), photos.joints(common)
    bank = generated.whole_px[:, own_joints]
    members = np.flatnonzero(np.isfinite(bank).all(axis=(1, 2)))
    members = _spread(members, MAX_POSES)
    real = photos.px[:, photo_joints]
    known = np.isfinite(real[..., 0])
    places = (pose[which] for pose, which in zip(real, known, strict=True))
    wide = [len(p) > 0 and np.ptp(p, axis=0).max() >= 1 for p in places]
    people = np.flatnonzero((known.sum(axis=1) >= MIN_JOINTS) & np.array(wide, np.bool_))
    people = _spread(people, MAX_POSES)
    if not len(members) or not len(people):
        return None
    bank, flip = bank[members], flip_of(common)
    found = [_nearest(real[p], bank, flip, np.ones(len(members), np.bool_), int(p)) for p in people]
    # The same among generated people, with the joints known in photos.
    group, own = generated.group[members], []
    for k, p in enumerate(_spread(np.arange(len(members)), BASELINE)):
        known = np.isfinite(real[people[k % len(people)], :, :1])
        others = group != group[p]
        if others.any():
            own.append((int(p), _nearest(np.where(known, bank[p], np.nan), bank, flip, others, 0)))
    among = Sample(
        values=np.array([n.distance for _, n in own]),
        group=np.array([group[p] for p, _ in own], np.int64),
    )
    beyond = float(np.percentile(among.values, FAR)) if own else float("nan")
    distances = np.array([n.distance for n in found])
    ranked = sorted(found, key=lambda n: (-n.distance, n.person))
    return Poses(
        found=tuple(replace(n, nearest=int(members[n.nearest])) for n in ranked),
        difference=difference(
            "pose",
            "distance to the nearest generated pose",
            "longer sides of the pose",
            ("people.poses.families", "people.poses.jitter_deg", "people.facing_deg", "motion"),
            (among, Sample(values=distances, group=photos.group[people])),
        ),
        far=float((distances > beyond).mean()) if own else float("nan"),
        far_beyond=beyond,
        common=common,
    )


def _spread(places: I64, maximum: int) -> I64:
    if len(places) <= maximum:
        return places
    return places[np.linspace(0, len(places) - 1, maximum).round().astype(np.int64)]


def _nearest(pose: F64, bank: F64, flip: I64, allowed: np.ndarray, person: int) -> Nearest:
    """The nearest of `bank` (Q, J, 2) to a pose (J, 2), NaN for unknown joints."""
    known = np.isfinite(pose[:, 0])
    own = pose[known]
    side = float(np.ptp(own, axis=0).max())
    target, radius = _normal(own[None])
    best: tuple[float, int, bool] = (np.inf, 0, False)
    rotated = bank[:, flip] * (-1.0, 1.0)
    for mirrored, poses in ((False, bank), (True, rotated)):
        others, _ = _normal(poses[:, known])
        # Of unit radius both: the mean of |a - b|^2 is 2 - 2 a.b
        apart = np.where(allowed, 2 - 2 * others.reshape(len(bank), -1) @ target.ravel(), np.inf)
        k = int(np.argmin(apart))
        if apart[k] < best[0] - 1e-12:
            best = (float(apart[k]), k, mirrored)
    distance = np.sqrt(max(0.0, best[0])) * float(radius[0]) / max(side, 1e-9)
    return Nearest(person=person, nearest=best[1], mirrored=best[2], distance=float(distance))


def _normal(poses: F64) -> tuple[F64, F64]:
    """(Q, K, 2) poses about their mean with a summed square of 1, and (Q,) their RMS radius."""
    centred = poses - poses.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=(1, 2)))
    unit = centred / np.maximum(size, 1e-12)[:, None, None]
    return unit, size / np.sqrt(poses.shape[1])
