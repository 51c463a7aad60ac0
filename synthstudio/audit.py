"""The second oracle: decides every stored joint's visibility again, by rays, and compares.

For each stored frame the scene is built from its FrameSpec and rays go from the camera to the
patch points against a BVH (`render.rays`). How points become shares is written here a second
time, point by point, from docs/conventions.md: nothing of `label` or of the rasteriser is used.
What both oracles share (patches, garments, poses) is checked elsewhere: analytic scenes and a
table of hand-judged joints in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.labels import EMPTY_BASE, VISIBLE_THRESHOLD
from synthstudio.core.scene import F64, CutoutLayer, JointPatches, PosedPerson
from synthstudio.core.spec import THING_BASE
from synthstudio.dataset.reader import Dataset
from synthstudio.engines import local
from synthstudio.pipeline import Built, build
from synthstudio.render.rays import nearest_blockers_by_rays
from synthstudio.stage import Settings, Stage

LEAST_HEIGHT_PX = 32
"""People whose amodal box is lower than this are left out: nobody can label them either."""
FAR = 0.1
"""A state counts as wrong when the second oracle is more than this from the threshold."""
FRESH_POINTS = 400
STATE_GOAL = 1e-4
CAUSE_GOAL = 1e-3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A joint on which the oracles differ."""

    frame: int
    instance: int
    joint: str
    stored: tuple[float, ...]
    again: tuple[float, ...]
    stored_cause: str
    again_cause: str


@dataclass(kw_only=True)
class Tally:
    """Counts over joints; tallies of frames add up."""

    frames: int = 0
    people: int = 0
    joints: int = 0
    far_joints: int = 0  # not within FAR of the threshold
    state_differs: int = 0  # of the far ones
    cause_differs: int = 0
    largest_share_error: float = 0.0
    fresh_joints: int = 0
    fresh_error_sum: float = 0.0
    fresh_state_differs: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the counts of another tally."""
        for name in ("frames", "people", "joints", "far_joints", "state_differs", "cause_differs",
                     "fresh_joints", "fresh_error_sum", "fresh_state_differs"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest_share_error = max(self.largest_share_error, other.largest_share_error)
        self.findings += other.findings

    def report(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {
            "frames": self.frames,
            "people": self.people,
            "joints": self.joints,
            "disagreement_rate": self.state_differs / max(1, self.far_joints),
            "state_differs": self.state_differs,
            "cause_rate": self.cause_differs / max(1, self.joints),
            "cause_differs": self.cause_differs,
            "largest_share_error": self.largest_share_error,
            "sampling_error": self.fresh_error_sum / max(1, self.fresh_joints),
            "sampling_state_rate": self.fresh_state_differs / max(1, self.fresh_joints),
            "passed": self.state_differs <= STATE_GOAL * self.far_joints
            and self.cause_differs <= CAUSE_GOAL * self.joints,
        }


def audit(
    folder: Path,
    settings: Settings,
    *,
    frames: int | None = None,
    workers: int = 1,
    on_progress: Callable[[int, int, float], None] | None = None,
) -> Tally:
    """Check the first `frames` stored frames (all when None) of a data set.

    `settings` are those the set was made with (`stage.settings_of`). Raises SynthStudioError
    when the data set or an asset cannot be read.
    """
    dataset = Dataset(folder)
    indices = [row["index"] for row in dataset.iter_frames(columns=["index"])][:frames]
    chunks = [tuple(indices[i : i + 16]) for i in range(0, len(indices), 16)]
    total = Tally()

    def progress(now: local.Progress) -> None:
        if on_progress is not None:
            on_progress(now.units, len(indices), now.per_second)

    local.run(
        audit_frames,
        [(folder, chunk) for chunk in chunks],
        workers=workers,
        initializer=Stage,
        initargs=(settings,),
        on_done=total.add,
        on_progress=progress,
    )
    total.findings.sort(key=lambda f: (f.frame, f.instance, f.joint))
    return total


def audit_frames(stage: Stage, job: tuple[Path, tuple[int, ...]], report: local.Report) -> Tally:
    """Check some frames of a data set in a worker."""
    folder, indices = job
    dataset, total = Dataset(folder), Tally()
    for index in indices:
        spec = dataset.spec(index)
        built = build(stage, spec)
        rows = dataset.instances(index)
        fresh = [
            stage.body.fresh_patches(person, points=FRESH_POINTS, seed=1) for person in spec.people
        ]
        total.add(compare(built, rows, fresh, joints=stage.skeleton.joints, frame=index))
        report(1)
    return total


def compare(
    built: Built,
    rows: list[dict[str, Any]],
    fresh: list[JointPatches],
    *,
    joints: tuple[str, ...],
    frame: int,
) -> Tally:
    """Hold the stored rows of one frame against shares decided again by rays."""
    camera = built.scene.camera
    tally = Tally(frames=1)
    for row, person, more in zip(rows, built.scene.people, fresh, strict=True):
        if row["amodal_box_px"][3] < LEAST_HEIGHT_PX:
            continue
        tally.people += 1
        again = shares_by_rays(built, person, person.patches)
        better = shares_by_rays(built, person, more)
        stored = np.asarray(row["shares"], np.float64).reshape(len(joints), 5)
        for j, name in enumerate(joints):
            tally.joints += 1
            state, cause = _decide(again[j], camera, person.joints_m[j])
            far = abs(again[j][0] - VISIBLE_THRESHOLD) > FAR or state == 0
            tally.far_joints += far
            wrong_state = far and state != row["state"][j]
            near_flip = not far and "visible" in (cause, row["cause"][j])
            wrong_cause = cause != row["cause"][j] and not near_flip
            tally.state_differs += wrong_state
            tally.cause_differs += wrong_cause
            error = float(np.abs(stored[j] - again[j]).max())
            tally.largest_share_error = max(tally.largest_share_error, error)
            if state != 0:
                tally.fresh_joints += 1
                tally.fresh_error_sum += abs(stored[j][0] - better[j][0])
                other = (stored[j][0] >= VISIBLE_THRESHOLD) != (better[j][0] >= VISIBLE_THRESHOLD)
                tally.fresh_state_differs += other and abs(better[j][0] - 0.5) > FAR
            if wrong_state or wrong_cause:
                tally.findings.append(
                    Finding(
                        frame=frame,
                        instance=person.instance,
                        joint=name,
                        stored=tuple(stored[j].tolist()),
                        again=tuple(again[j].tolist()),
                        stored_cause=row["cause"][j],
                        again_cause=cause,
                    )
                )
    return tally


def shares_by_rays(built: Built, person: PosedPerson, patches: JointPatches) -> F64:
    """Return (J, 5) visible, self, person, object, truncated of each joint's patch."""
    camera = built.scene.camera
    points = patches.points_m.reshape(-1, 3)
    found = nearest_blockers_by_rays(
        built.scene,
        points,
        np.full(len(points), person.instance, np.int32),
        patches.part.ravel(),
    )
    seen = camera.to_camera(points)
    eye = np.array(camera.position_m)
    sums = np.zeros((len(patches.points_m), 5))
    for k, point in enumerate(points):
        j, n = divmod(k, patches.points_m.shape[1])
        x, y, z = seen[k]
        if z < NEAR_M or not _inside(camera, x, y, z):
            continue
        to_eye = eye - point
        cosine = float(patches.normals[j, n] @ to_eye) / math.dist(eye, point)
        weight = float(patches.weights[j, n]) * max(0.0, cosine)
        if weight > 0.0:
            sums[j] += weight * _one_point(
                built.cutouts,
                _pixel(camera, x, y, z),
                z,
                person.instance,
                (int(found.instance[k]), float(found.depth_m[k])),
                (camera.width_px, camera.height_px),
            )
    for j, joint in enumerate(person.joints_m):
        x, y, z = camera.to_camera(joint)
        if z < NEAR_M or not _inside(camera, x, y, z):
            sums[j] = (0.0, 0.0, 0.0, 0.0, 1.0)
        elif sums[j].sum() < EMPTY_BASE:
            sums[j] = (0.0, 1.0, 0.0, 0.0, 0.0)
        else:
            sums[j] /= sums[j].sum()
    return sums


def _one_point(
    cutouts: tuple[CutoutLayer, ...],
    pixel: tuple[float, float],
    z: float,
    own: int,
    blocker: tuple[int, float],
    frame_wh: tuple[int, int],
) -> F64:
    """Return (5,) what becomes of one point: front to back, each cut-out lets 1 - alpha pass."""
    out, left = np.zeros(5), 1.0
    first = min(blocker[1], z) if blocker[0] else z
    for layer in sorted(cutouts, key=lambda c: c.depth_m):
        if layer.depth_m <= first:
            taken = left * _alpha(layer, pixel, frame_wh)
            out[3] += taken
            left -= taken
    if blocker[0] == 0:
        out[0] = left
    elif blocker[0] == own:
        out[1] += left
    elif blocker[0] < THING_BASE:
        out[2] += left
    else:
        out[3] += left
    return out


def _alpha(layer: CutoutLayer, pixel: tuple[float, float], frame_wh: tuple[int, int]) -> float:
    """Return the alpha at a point, bilinear between pixel centres.

    Beyond the layer it is 0, except where the frame's border cut the layer off.
    """
    height, width = layer.alpha.shape
    x, y = pixel[0] - layer.left_px - 0.5, pixel[1] - layer.top_px - 0.5
    j, i = math.floor(x), math.floor(y)

    def at(row: int, column: int) -> float:
        if row < 0 and layer.top_px <= 0:
            row = 0
        if row >= height and layer.top_px + height >= frame_wh[1]:
            row = height - 1
        if column < 0 and layer.left_px <= 0:
            column = 0
        if column >= width and layer.left_px + width >= frame_wh[0]:
            column = width - 1
        return float(layer.alpha[row, column]) if 0 <= row < height and 0 <= column < width else 0.0

    u, v = x - j, y - i
    return (
        at(i, j) * (1 - u) * (1 - v)
        + at(i, j + 1) * u * (1 - v)
        + at(i + 1, j) * (1 - u) * v
        + at(i + 1, j + 1) * u * v
    )


def _decide(shares: F64, camera: Camera, joint_m: F64) -> tuple[int, str]:
    """Return state and cause of a joint from its shares."""
    x, y, z = camera.to_camera(joint_m)
    if z < NEAR_M or not _inside(camera, x, y, z):
        return 0, "truncated"
    if shares[0] >= VISIBLE_THRESHOLD:
        return 2, "visible"
    order = (("object", 3), ("person", 2), ("self", 1))
    most = max(shares[1:4])
    return 1, next(name for name, place in order if shares[place] >= most - 1e-9)


def _pixel(camera: Camera, x: float, y: float, z: float) -> tuple[float, float]:
    k = camera.K
    return k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]


def _inside(camera: Camera, x: float, y: float, z: float) -> bool:
    column, row = _pixel(camera, x, y, z)
    return 0 <= column < camera.width_px and 0 <= row < camera.height_px
