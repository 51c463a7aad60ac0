"""The second oracle: recomputes every stored joint's visibility by ray casting, and compares.

For each stored frame the scene is built from its FrameSpec and rays are cast from the camera to the
patch points against a BVH (`render.rays`). The rule of fractions, states and causes is implemented
here a second time, point by point, from docs/conventions.md. It deliberately calls nothing of
`label`, of the rasteriser or of the rule's functions (of `core/visibility.py` it takes the two
thresholds only): an oracle that shared their code would repeat their errors. Shared inputs of
both (patches, garments, poses) are checked elsewhere: analytic scenes and a table of hand-judged
joints in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from synthstudio.core.arrays import F32, F64, I32, Bool
from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.errors import DatasetError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.core.scene import FOG_END_M, CutoutLayer, JointPatches, PosedPerson
from synthstudio.core.spec import OBJECT_BASE, FrameSpec
from synthstudio.core.visibility import EMPTY_BASE, VISIBLE_THRESHOLD
from synthstudio.dataset.derive import lacks_people
from synthstudio.dataset.reader import Dataset, opened
from synthstudio.generation.engines import LOCAL, Engine, local
from synthstudio.generation.moving import fresh_patches
from synthstudio.generation.pipeline import Built, build
from synthstudio.generation.shards import opening
from synthstudio.generation.stage import FrameGenerator, Settings
from synthstudio.render.rays import nearest_blockers_by_rays

MIN_HEIGHT_PX = 32
"""Minimum height of audited people's amodal boxes: smaller ones cannot be labelled either."""
FAR = 0.1
"""A state counts as wrong if the second oracle's share is farther than this from the threshold."""
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
    """Counts over joints; additive over frames."""

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
        counts = (f.name for f in fields(self) if f.name not in ("largest_share_error", "findings"))
        for name in counts:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest_share_error = max(self.largest_share_error, other.largest_share_error)
        self.findings += other.findings

    def report(self) -> dict[str, Any]:
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
    place: Place | Dataset,
    settings: Settings,
    *,
    frames: int | None = None,
    workers: int = 1,
    engine: Engine = LOCAL,
    on_progress: OnProgress | None = None,
) -> Tally:
    """Check the first `frames` stored frames (all when None) of a data set.

    `settings` are those of the set (`stage.settings_of`). Raises SynthStudioError
    when the data set or an asset cannot be read.
    """
    dataset = opened(place)
    indices = [row["index"] for row in dataset.iter_frames(columns=["index"])][:frames]
    jobs = (_job(dataset, indices[i : i + 16]) for i in range(0, len(indices), 16))
    total = Tally()
    engine.run(
        audit_frames,
        jobs,
        workers=workers,
        initializer=opening(engine, FrameGenerator, settings),
        on_done=total.add,
        units=range(len(indices)),
        on_progress=on_progress,
    )
    total.findings.sort(key=lambda f: (f.frame, f.instance, f.joint))
    return total


@dataclass(frozen=True, kw_only=True)
class AuditJob:
    """Some stored frames with their people's rows: a worker may lack the data set."""

    frames: tuple[tuple[int, FrameSpec, list[dict[str, Any]]], ...]
    some: bool = False  # of the people may lack rows

    def __str__(self) -> str:
        return f"frames {self.frames[0][0]} to {self.frames[-1][0]}"


def _job(dataset: Dataset, indices: list[int]) -> AuditJob:
    frames = tuple((i, dataset.spec(i), dataset.instances(i)) for i in indices)
    return AuditJob(frames=frames, some=lacks_people(dataset.identity.derived))


def audit_frames(stage: FrameGenerator, job: AuditJob, report: local.Report) -> Tally:
    """Check some frames of a data set in a worker."""
    total = Tally()
    for index, spec, rows in job.frames:
        built = build(stage, spec)
        fresh = fresh_patches(stage, spec, points=FRESH_POINTS, seed=1)
        stored = {row["instance"]: row for row in rows}
        mine = [stored.pop(person.instance, None) for person in built.scene.people]
        if stored or (None in mine and not job.some):
            raise DatasetError("the people are not those of its spec", where=f"frame {index}")
        total.add(compare(built, mine, fresh, joints=stage.skeleton.joints, frame=index))
        report(1)
    return total


def compare(
    built: Built,
    rows: Sequence[dict[str, Any] | None],
    fresh: list[JointPatches],
    *,
    joints: tuple[str, ...],
    frame: int,
) -> Tally:
    """Compare the stored rows of one frame's people, None for one without, with fractions by ray
    casting."""
    people = built.scene.people
    requests = [(person, person.patches) for person in people]
    again = fractions_by_rays(built, requests + list(zip(people, fresh, strict=True)))
    tally = Tally(frames=1)
    for p, (row, person) in enumerate(zip(rows, people, strict=True)):
        if row is None or row["amodal_box_px"][3] < MIN_HEIGHT_PX:
            continue
        tally.people += 1
        stored = np.asarray(row["visibility_fractions"], np.float64).reshape(len(joints), 5)
        for j, name in enumerate(joints):
            decided = _decide(again[p][j], built.camera, person.joints_m[j])
            one = _compare_joint(row, j, stored[j], again[p][j], again[len(people) + p][j], decided)
            if one.state_differs or one.cause_differs:
                found = Finding(
                    frame=frame,
                    instance=person.instance,
                    joint=name,
                    stored=tuple(stored[j].tolist()),
                    again=tuple(again[p][j].tolist()),
                    stored_cause=row["cause"][j],
                    again_cause=decided[1],
                )
                one.findings.append(found)
            tally.add(one)
    return tally


def _compare_joint(
    row: dict[str, Any], j: int, stored: F64, again: F64, fresh: F64, decided: tuple[int, str]
) -> Tally:
    state, cause = decided
    far = state == 0 or abs(again[0] - VISIBLE_THRESHOLD) > FAR
    near_flip = not far and "visible" in (cause, row["cause"][j])
    tally = Tally(joints=1, far_joints=int(far))
    tally.state_differs = int(far and state != row["state"][j])
    tally.cause_differs = int(cause != row["cause"][j] and not near_flip)
    tally.largest_share_error = float(np.abs(stored - again).max())
    if state != 0:
        flips = (stored[0] >= VISIBLE_THRESHOLD) != (fresh[0] >= VISIBLE_THRESHOLD)
        tally.fresh_joints = 1
        tally.fresh_error_sum = float(abs(stored[0] - fresh[0]))
        tally.fresh_state_differs = int(flips and abs(fresh[0] - VISIBLE_THRESHOLD) > FAR)
    return tally


def fractions_by_rays(built: Built, requests: list[tuple[PosedPerson, JointPatches]]) -> list[F64]:
    """(J, 5) visible, self, person, object, truncated for each person and its patches.

    One BVH serves all; one ray from the camera to every point.
    """
    if not requests:
        return []
    points = [patches.points_m.reshape(-1, 3) for _, patches in requests]
    owners = [np.full(len(k), p.instance) for k, (p, _) in zip(points, requests, strict=True)]
    found = nearest_blockers_by_rays(
        built.scene,
        np.concatenate(points),
        np.concatenate(owners).astype(np.int32),
        np.concatenate([patches.part.ravel() for _, patches in requests]),
    )
    ends = np.cumsum([len(own) for own in points])[:-1]
    hits = zip(np.split(found.instance, ends), np.split(found.depth_m, ends), strict=True)
    return [
        _visible(built, person, patches, *hit)
        for (person, patches), hit in zip(requests, hits, strict=True)
    ]


def _visible(
    built: Built, person: PosedPerson, patches: JointPatches, blocker: I32, blocker_m: F32
) -> F64:
    """(J, 5) of one person from the hits of the rays to each point."""
    camera = built.camera
    seen = camera.to_camera(patches.points_m.reshape(-1, 3))
    pixel = _pixels(camera, seen)
    to_eye = np.array(camera.position_m) - patches.points_m
    cosine = (patches.normals * to_eye).sum(-1) / np.sqrt((to_eye * to_eye).sum(-1))
    weight = (patches.weights * cosine.clip(min=0)).ravel() * _inside(camera, seen, pixel)
    became = _what_becomes(built, person.instance, pixel, seen[:, 2], (blocker, blocker_m))
    sums: F64 = (weight[:, None] * became).reshape(*patches.weights.shape, 5).sum(axis=1)
    centres = camera.to_camera(person.joints_m)
    inside = _inside(camera, centres, _pixels(camera, centres))
    base = sums.sum(axis=1, keepdims=True)
    fractions = np.where(base < EMPTY_BASE, (0, 1, 0, 0, 0), sums / np.maximum(base, EMPTY_BASE))
    return np.where(inside[:, None], fractions, (0, 0, 0, 0, 1))


def _what_becomes(built: Built, own: int, pixel: F64, z: F64, blocker: tuple[I32, F32]) -> F64:
    """(Q, 5) fractions of each point, front to back; a cut-out transmits 1 - alpha."""
    met, met_m = blocker
    frame_wh = (built.camera.width_px, built.camera.height_px)
    out, left = np.zeros((len(z), 5)), np.ones(len(z))
    first = np.where(met != 0, np.minimum(met_m, z), z)
    for layer in sorted(built.cutouts, key=lambda c: c.depth_m):
        opaque = _alpha(layer, pixel, frame_wh)
        if layer.per_m > 0:
            opaque = 1 - 1 / np.exp(opaque * layer.per_m * first.clip(max=FOG_END_M))
        taken = left * opaque * (layer.depth_m <= first)
        out[:, 2 if layer.instance < OBJECT_BASE else 3] += taken
        left = left - taken
    who = np.where(met == 0, 0, np.where(met == own, 1, np.where(met < OBJECT_BASE, 2, 3)))
    out[np.arange(len(z)), who] += left
    return out


def _alpha(layer: CutoutLayer, pixel: F64, frame_wh: tuple[int, int]) -> F64:
    """(Q,) the alpha at points (Q, 2), bilinear between pixel centres.

    Beyond the layer it is 0, except where the frame's border cut the layer off.
    """
    if layer.alpha.size == 0:
        return np.zeros(len(pixel))
    height, width = layer.alpha.shape
    cut = (
        layer.top_px <= 0,
        layer.top_px + height >= frame_wh[1],
        layer.left_px <= 0,
        layer.left_px + width >= frame_wh[0],
    )
    top, bottom, left, right = (int(side) for side in cut)
    alpha = cv2.copyMakeBorder(layer.alpha, top, bottom, left, right, cv2.BORDER_REPLICATE)
    around = (1 - top, 1 - bottom, 1 - left, 1 - right)
    alpha = cv2.copyMakeBorder(alpha, *around, cv2.BORDER_CONSTANT)
    # The first pixel's centre is at 0.5, and a pixel of border comes before it.
    at = np.nan_to_num(pixel, nan=-1e6) - (layer.left_px, layer.top_px) + 0.5
    return np.asarray(map_coordinates(alpha, at[:, ::-1].T, np.float64, order=1, mode="nearest"))


def _decide(fractions: F64, camera: Camera, joint_m: F64) -> tuple[int, str]:
    centre = camera.to_camera(joint_m[None])
    if not _inside(camera, centre, _pixels(camera, centre))[0]:
        return 0, "truncated"
    if fractions[0] >= VISIBLE_THRESHOLD:
        return 2, "visible"
    order = (("object", 3), ("person", 2), ("self", 1))
    maximum = max(fractions[1:4])
    return 1, next(name for name, place in order if fractions[place] >= maximum - 1e-9)


def _pixels(camera: Camera, seen_m: F64) -> F64:
    """(Q, 2) continuous pixels of camera points (Q, 3); infinite or NaN at z = 0.

    A bent picture's are OpenCV's; beyond where its polynomial turns back they are infinite.
    """
    k = camera.K
    if camera.distortion is not None and len(seen_m):
        k1, k2 = camera.distortion
        with np.errstate(divide="ignore", invalid="ignore"):
            squared = (seen_m[:, :2] ** 2).sum(axis=1) / seen_m[:, 2] ** 2
        turns = np.roots([5 * k2, 3 * k1, 1.0]).astype(complex).tolist()
        first = min([r.real for r in turns if r.imag == 0 and r.real > 0], default=np.inf)
        lens = np.array([k1, k2, 0.0, 0.0])
        bent, _ = cv2.projectPoints(seen_m, np.zeros(3), np.zeros(3), k, lens)
        return np.where((squared < first)[:, None], bent[:, 0], np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.diag(k)[:2] * seen_m[:, :2] / seen_m[:, 2:] + k[:2, 2]


def _inside(camera: Camera, seen_m: F64, pixel: F64) -> Bool:
    x, y = pixel[:, 0], pixel[:, 1]
    inside = (x >= 0) & (x < camera.width_px) & (y >= 0) & (y < camera.height_px)
    near: Bool = seen_m[:, 2] >= NEAR_M
    return inside & near
