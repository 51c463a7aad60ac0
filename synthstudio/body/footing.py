"""The root's path of a moving body: it follows the standing foot.

Angles come from a file, leg lengths and shoes from the person, so the file's own root path would
let feet slide and float. Instead the lowest point is put on the floor, and from one file frame
to the next the root moves so that the sole's points that touch the floor stay, on average, where
they are; a rolling foot therefore rolls. Which foot stands is told from the height and speed of
this body's own soles; at hand-over the two share by weight. Letters: F frames, B bones, N points.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from synthstudio.body.motion import (
    DOWN,
    Retargeted,
    bone_turns,
    min_rotation,
    neutral_turns,
    retarget,
    sampled,
)
from synthstudio.body.poses import BONES, Chain
from synthstudio.body.recording import Motion, joints_m
from synthstudio.core.arrays import F32, F64, Bool
from synthstudio.core.catalogue import Step

SOLE_M = 0.05
"""Points of a shoe at most this high above its lowest point may touch the floor."""
_CELL_M = 0.008
_NEAREST = 4
TOUCH_M = 0.008
"""Points so near the lowest one bear weight, less the higher they are."""
LOW_M = 0.015
SLOW_M_S = (0.2, 0.7)
"""A foot stands while lower than LOW_M and slower than about the first of SLOW_M_S."""
SINK_M = 0.008
"""Allowed depth of a swinging or landing foot below the floor, so that the other stays on it."""
FLIGHT_M = 0.06
"""A body rising less than this above its standing height has not left the floor."""
_OFF_M = 0.02
"""Height above the standing one from which a flight counts."""
STRAY_RAD = np.radians(0.8)
"""Maximum deviation of a copied angle from the file's."""
_SOFT_M = 0.03
_PASSES = 3
_STRIDE_S = 1.1
_HANDOVER_S = 0.04
_FASTER = 1e-3  # so little does a fast foot bear, where no other is on the floor
_LIMB_ENDS = {
    "upperarm": "lowerarm01",
    "lowerarm": "wrist",
    "upperleg": "lowerleg01",
    "lowerleg": "foot",
}
_PADS_M = {"wrist": 0.05, "lowerarm01": 0.05, "lowerleg01": 0.06, "head": 0.1, "root": 0.12}


@dataclass(frozen=True, kw_only=True, eq=False)
class Soles:
    """The points of both feet that may touch the floor, in the identity pose."""

    points_m: F64  # (N, 3)
    left: Bool  # (N,)
    weights: F64  # (N, B) skinning weights


@dataclass(frozen=True, kw_only=True, eq=False)
class Gait:
    """One person's adaptation of one motion."""

    moved: Retargeted
    chain: Chain
    soles: Soles
    path: F64  # (F, 5) as in `path_of`


def gait_of(motion: Motion, chain: Chain, soles: Soles) -> Gait:
    moved = levelled(pointed(retarget(motion), chain), chain)
    return Gait(moved=moved, chain=chain, soles=soles, path=path_of(moved, chain, soles))


def soles_of(vertices_m: F32, rest_m: F32, weights: sparse.csr_array) -> Soles:
    """Return the soles of a person dressed in the identity pose.

    `vertices_m` are its drawn vertices; `rest_m` (V, 3) and `weights` (V, B) the bare body's,
    from which shoes take their skinning.
    """
    picked = []
    for side in (vertices_m[:, 0] > 0, vertices_m[:, 0] <= 0):
        own = vertices_m[side].astype(np.float64)
        own = own[own[:, 2] < own[:, 2].min() + SOLE_M]
        cells = np.floor(own[:, :2] / _CELL_M).astype(np.int64)
        order = np.lexsort((own[:, 2], cells[:, 1], cells[:, 0]))
        first = np.any(np.diff(cells[order], axis=0, prepend=cells[order][:1] - 1) != 0, axis=1)
        picked.append(own[order[first]])
    points = np.concatenate(picked)
    low = np.flatnonzero(rest_m[:, 2] < points[:, 2].max() + SOLE_M)
    far, near = cKDTree(rest_m[low]).query(points, k=_NEAREST)
    share = 1 / np.maximum(far, 1e-4)
    share /= share.sum(axis=1, keepdims=True)
    skin = np.einsum("nk,nkb->nb", share, weights[low].toarray()[near])
    left = np.arange(len(points)) < len(picked[0])
    return Soles(points_m=points, left=left, weights=skin)


def pointed(moved: Retargeted, chain: Chain) -> Retargeted:
    """Return the motion with limbs that point where the file's do on this very body.

    The neutral pose is the default person's; another's bones lie up to 2 degrees off it.
    """
    whole, neutral = moved.whole.copy(), neutral_turns()
    for side in ("L", "R"):
        for stem, end in _LIMB_ENDS.items():
            first, last = BONES.index(f"{stem}01.{side}"), BONES.index(f"{end}.{side}")
            along = neutral[first] @ (chain.offsets_m[first + 1] + chain.offsets_m[last])
            hang = neutral[first].T @ min_rotation(along, DOWN) @ neutral[first]
            whole[:, first : first + 2] = whole[:, first : first + 2] @ hang
    return replace(moved, whole=whole)


def levelled(moved: Retargeted, chain: Chain) -> Retargeted:
    """Return the motion with its legs turned by at most STRAY_RAD, feet as they were.

    The file's legs are of other lengths, often also left and right, so copied angles alone leave
    a foot a centimetre or two too low or too high against the other. Thighs and shins are turned
    about the pelvis's own side axis so that ankles differ in height as they do in the file.
    """
    whole = moved.whole.copy()
    heads, motion = joints_m(whole, chain.parents, chain.offsets_m, 0.0), moved.motion
    across = whole[:, 0] @ np.array([1.0, 0.0, 0.0])
    across[:, 2] = 0
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    file = motion.places_m()[:, [motion.roles["left_ankle"], motion.roles["right_ankle"]], 2]
    feet = heads[:, [BONES.index("foot.L"), BONES.index("foot.R")], 2]
    off = (file[:, 0] - file[:, 1]) * _scale(moved, chain) - (feet[:, 0] - feet[:, 1])
    for s, wanted in (("L", off / 2), ("R", -off / 2)):
        hip, knee, foot = (
            heads[:, BONES.index(f"{stem}.{s}")] for stem in ("upperleg01", "lowerleg01", "foot")
        )
        rates = np.stack([np.cross(across, knee - hip)[:, 2], np.cross(across, foot - knee)[:, 2]])
        # Neither bone, nor the knee between them, may stray farther than it may.
        maximum = np.maximum(np.abs(rates).max(axis=0), np.abs(rates[0] - rates[1]))
        gain = (rates**2).sum(axis=0) / np.maximum(maximum, 1e-9)
        turn = np.clip(wanted * gain / (gain**2 + _SOFT_M**2), -STRAY_RAD, STRAY_RAD)
        for stem, rate in (("upperleg", rates[0]), ("lowerleg", rates[1])):
            about = across * (turn * rate / np.maximum(maximum, 1e-9))[:, None]
            for part in ("01", "02"):
                place = BONES.index(f"{stem}{part}.{s}")
                whole[:, place] = Rotation.from_rotvec(about).as_matrix() @ whole[:, place]
    return replace(moved, whole=whole)


def path_of(moved: Retargeted, chain: Chain, soles: Soles) -> F64:
    """(F, 5) where the root goes on the floor, in the file's frames and directions.

    Its x and y from 0; how much the left and the right foot bear, in all 1; how high the lowest
    point is over the floor: 0 but in flight.
    """
    points, pads = _places(moved.whole, chain, soles)
    low = np.stack([points[:, side, 2].min(axis=1) for side in (soles.left, ~soles.left)], 1)
    floor = np.minimum(low.min(axis=1), pads)
    over = moved.motion.root_m[:, 2] * _scale(moved, chain) + floor
    lift = _flights(over - np.quantile(over, 0.25))  # after the file
    height = low - (floor - lift)[:, None]  # (F, 2)
    fps = moved.motion.fps
    guess = np.diff(moved.motion.root_m[:, :2], axis=0) * _scale(moved, chain)
    step = np.zeros((len(points) - 1, 2, 2))  # (F - 1, foot, xy) of the touching points
    for foot, side in enumerate((soles.left, ~soles.left)):
        own = points[:, side]
        touch = np.clip(1 - (own[..., 2] - low[:, foot, None]) / TOUCH_M, 0, 1)
        touch = touch[1:] + touch[:-1]
        shift = own[1:, :, :2] - own[:-1, :, :2]
        step[:, foot] = (touch[..., None] * shift).sum(axis=1) / touch.sum(axis=1)[:, None]
    high = np.maximum(height[1:], height[:-1])
    root = guess
    for _ in range(_PASSES):  # which foot stands, from where the root goes, from which stands
        speed = np.linalg.norm(step + root[:, None], axis=2) * fps
        slow = _ramp((speed - SLOW_M_S[0]) / (SLOW_M_S[1] - SLOW_M_S[0]))
        stands = _ramp(high / LOW_M) * (slow + _FASTER / (1 + speed**2))
        total = stands.sum(axis=1, keepdims=True)
        bears = _smoothed(np.where(total > 1e-6, stands / np.maximum(total, 1e-9), 0.5), fps)
        held = -(bears[..., None] * step).sum(axis=1)
        # Where no foot stands the root flies on as in the file.
        root = np.where(total > 1e-6, held, guess)
    at = np.concatenate([np.zeros((1, 2)), np.cumsum(root, axis=0)])
    stands = np.concatenate([bears[:1], (bears[1:] + bears[:-1]) / 2, bears[-1:]])
    return np.column_stack([at, stands, lift])


def steps(gait: Gait, times_s: tuple[float, ...]) -> tuple[Step, ...]:
    """Return the body at those times; at the first it goes towards -y, over the world's origin.

    Times before the motion's first frame and after its last are those frames.
    """
    moved, track = gait.moved, gait.path
    last = moved.motion.frames - 1
    unturn, origin = np.eye(3), np.zeros(2)
    out = []
    for number, time in enumerate(times_s):
        at = min(max(time * moved.motion.fps, 0.0), float(last))
        first = min(int(at), max(last - 1, 0))
        share, after = at - first, min(first + 1, last)
        x, y, left, right, lift = (1 - share) * track[first] + share * track[after]
        whole = sampled(moved.whole, at)
        points, pad = _places(whole[None], gait.chain, gait.soles)
        low = [points[0, side, 2].min() for side in (gait.soles.left, ~gait.soles.left)]
        under = min(left * low[0] + right * low[1], min(*low, pad[0]) + SINK_M)
        if number == 0:
            unturn = _unturn(moved, at)
            origin = np.array([x, y])
        x, y = unturn[:2, :2] @ (np.array([x, y]) - origin)
        x, y, z = (round(float(value), 6) + 0.0 for value in (x, y, lift - under))
        out.append(Step(turns=bone_turns(moved.bones, unturn @ whole), root_m=(x, y, z)))
    return tuple(out)


def _unturn(moved: Retargeted, at: float) -> F64:
    """The turn about z to face -y, by a stride's mean about `at`: a pelvis turns to and fro."""
    near = np.abs(np.arange(moved.motion.frames) - at) <= _STRIDE_S / 2 * moved.motion.fps
    ahead = (moved.whole[near, 0] @ np.array([0.0, -1.0, 0.0])).mean(axis=0)
    return np.asarray(Rotation.from_euler("z", -np.arctan2(ahead[0], -ahead[1])).as_matrix())


def _places(whole: F64, chain: Chain, soles: Soles) -> tuple[F64, F64]:
    """(F, N, 3) sole points and (F,) lowest other point, the root at the origin."""
    still = np.eye(3)[None, None].repeat(len(BONES), 1)
    heads, rest = (joints_m(w, chain.parents, chain.offsets_m, 0.0) for w in (whole, still))
    used = np.flatnonzero(soles.weights.any(axis=0))
    move = np.empty((len(whole), len(used), 3, 4))
    move[..., :3] = whole[:, used]
    move[..., 3] = heads[:, used] - (whole[:, used] @ rest[0, used, :, None])[..., 0]
    blend = np.tensordot(soles.weights[:, used], move, axes=(1, 1))  # (N, F, 3, 4)
    points = (blend[..., :3] @ soles.points_m[:, None, :, None])[..., 0] + blend[..., 3]
    pads = [
        heads[:, place, 2] - _PADS_M[stem]
        for place, stem in enumerate(name.partition(".")[0] for name in BONES)
        if stem in _PADS_M
    ]
    return points.transpose(1, 0, 2), np.min(pads, axis=0)


def _scale(moved: Retargeted, chain: Chain) -> float:
    bones = ("upperleg02.L", "lowerleg01.L", "lowerleg02.L", "foot.L")
    own = sum(np.linalg.norm(chain.offsets_m[BONES.index(bone)]) for bone in bones)
    return float(own / moved.motion.leg_m)


def _smoothed(fractions: F64, fps: float) -> F64:
    """(F, 2) fractions without the jitter of a hand-over, averaged over `_HANDOVER_S`."""
    width = 2 * max(0, round(_HANDOVER_S * fps / 2)) + 1
    padded = np.pad(fractions, ((width // 2, width // 2), (0, 0)), mode="edge")
    kernel = np.bartlett(width + 2)[1:-1]
    kernel /= kernel.sum()
    return np.stack([np.convolve(side, kernel, mode="valid") for side in padded.T], axis=1)


def _flights(rise: F64) -> F64:
    """(F,) heights of flights whose peak is above FLIGHT_M: from twice that on they keep theirs."""
    lift = np.zeros_like(rise)
    for flight in ndimage.find_objects(ndimage.label(rise > _OFF_M)[0]):
        peak = rise[flight].max()
        kept = min(peak, 2 * (peak - FLIGHT_M))
        if kept > 0:
            lift[flight] = (rise[flight] - _OFF_M) * (kept / (peak - _OFF_M))
    return lift


def _ramp(x: F64) -> F64:
    """1 below 0, 0 above 1, smooth between."""
    u = np.clip(1 - x, 0, 1)
    return u * u * (3 - 2 * u)
