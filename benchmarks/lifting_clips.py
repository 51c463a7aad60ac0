"""Clips to lift, with and without neighbouring frames: `python -m benchmarks.lifting --clips N`.

Bodies that move from one strayed key pose to the next, turn, and pass behind a post; nothing is
rendered. Every lifter sees the same noisy joints, whose noise is alike from frame to frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.lifting_bodies import SKELETON, phenotypes, strayed
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import JOINTS
from synthstudio.core.spec import Phenotype
from synthstudio.evaluation.intervals import Interval, paired_interval
from synthstudio.evaluation.localization import acceleration_errors
from synthstudio.models.lifter import in_box, lift
from synthstudio.models.smooth import smooth
from synthstudio.models.temporal_lifter import lift_tracks
from synthstudio.training.lifting import LiftingPeople, joint_errors_m, train_lifter
from synthstudio.training.temporal_lifting import (
    LiftingClips,
    TemporalConfig,
    clip_metrics,
    observed_rows,
    train_temporal_lifter,
)

F64 = NDArray[np.float64]
FRAMES = 24
STEP = 12
"""Frames from one key pose to the next."""
TURN_RAD = 0.05
"""The largest turn in a frame."""
MODELS = ("lifter", "lifter, smoothed", "temporal, frames shuffled", "temporal lifter")


@dataclass(frozen=True, kw_only=True)
class _Moving:
    """Joints of one clip: pixels (T, J, 2) and root-relative camera metres (T, J, 3)."""

    joints_px: F64
    xyz_m: F64


def moving(count: int, *, part: str, seed: int = 0) -> LiftingClips:
    """`count` clips of "train" or "test", with bodies, strays, cameras and posts of their own."""
    rng = stream(seed, "moving", part)
    bodies = phenotypes(rng)
    clips = [_clip(bodies[rng.integers(len(bodies))], rng) for _ in range(count)]
    px = np.concatenate([clip.joints_px for clip in clips])
    low, high = px.min(1), px.max(1)
    xy = in_box(px, np.concatenate([low, high - low], 1))
    track = np.repeat(np.arange(count), FRAMES)
    return LiftingClips(
        people=LiftingPeople(
            skeleton=SKELETON,
            xy=xy,
            visible=~np.concatenate([_behind_post(part, rng) for part in np.split(xy, count)]),
            xyz_m=np.concatenate([clip.xyz_m for clip in clips]),
            group=track,
        ),
        track=track,
        time=np.tile(np.arange(FRAMES), count),
    )


def _clip(body: Phenotype, rng: Generator) -> _Moving:
    """Somebody who goes through key poses and turns before a camera that stands still."""
    atlas, poses = load_atlas(), library()
    joints = [JOINTS.index(name) for name in SKELETON.joints]
    hips = [SKELETON.joints.index(name) for name in ("left_hip", "right_hip")]
    keys = [
        strayed(poses[rng.integers(len(poses))].angles_rad, rng)
        for _ in range(math.ceil(FRAMES / STEP) + 1)
    ]
    bearing, turn = rng.uniform(0, 2 * math.pi), rng.uniform(-TURN_RAD, TURN_RAD)
    distance_m, height_m = rng.uniform(3, 8), rng.uniform(-0.3, 1.2)
    pixels, xyz = [], []
    for frame in range(FRAMES):
        key, part = divmod(frame, STEP)
        share = (1 - math.cos(math.pi * part / STEP)) / 2
        angles = {n: (1 - share) * a + share * keys[key + 1][n] for n, a in keys[key].items()}
        posed = bare_body(atlas, body, angles)
        x, y, z = posed.joints_m[joints].mean(0).tolist()
        at = bearing + turn * frame  # the camera goes round: the same as turning oneself
        eye = (x + distance_m * math.sin(at), y - distance_m * math.cos(at), z + height_m)
        yaw, pitch = look_at(eye, (x, y, z))
        camera = Camera(
            width_px=640, height_px=480, focal_px=600, position_m=eye, yaw_rad=yaw, pitch_rad=pitch
        )
        centres = camera.to_camera(posed.kinematic_joints_m[joints])
        xyz.append(centres - centres[hips].mean(0))
        pixels.append(camera.project(camera.to_camera(posed.joints_m[joints])))
    return _Moving(joints_px=np.array(pixels), xyz_m=np.array(xyz))


def _behind_post(xy: F64, rng: Generator) -> NDArray[np.bool_]:
    """(T, J) what a post hides that crosses the box, 0.03 to 0.06 boxes a frame."""
    middle = rng.uniform(-0.5, 0.5) + rng.choice([-1, 1]) * rng.uniform(0.03, 0.06) * (
        np.arange(len(xy)) - len(xy) / 2
    )
    half = rng.uniform(0.1, 0.25)
    return np.asarray(np.abs(xy[..., 0] - middle[:, None]) < half)


def lifted(train: LiftingClips, test: LiftingClips, config: TemporalConfig) -> dict[str, F64]:
    """By model, joints (P, J, 3) of the test's people, all seen with the same noise.

    The lifter of single frames learns from as many sightings in as many steps.
    """
    rng = stream(config.seed, "observed clips")
    xy, visible = observed_rows(test, config.noise, rng, memory=config.memory)
    alone = train_lifter(train.people, replace(config, batch=config.batch * config.frames))
    temporal = train_temporal_lifter(train, config)
    frames = lift(alone, xy, visible)
    smoothed = frames.copy()
    shuffled = test.time.copy()
    for track in np.unique(test.track):
        rows = np.flatnonzero(test.track == track)
        rows = rows[np.argsort(test.time[rows])]
        weight = np.ones(frames[rows].shape[:2])
        smoothed[rows] = smooth(frames[rows], weight, at=test.time[rows])
        shuffled[rows] = rng.permutation(test.time[rows])
    out = lift_tracks(temporal, xy, visible, track=test.track, time=test.time)
    wrong = lift_tracks(temporal, xy, visible, track=test.track, time=shuffled)
    return dict(zip(MODELS, (frames, smoothed, wrong, out), strict=True))


def difference(ours: F64, theirs: F64, clips: LiftingClips, metric: str) -> Interval:
    """The error (metres) of hidden joints by one less that by another, over groups of clips.

    `metric` is one of `joint_errors_m`, or "acceleration", which is of all joints.
    """
    people, sides = clips.people, []
    for predicted in (ours, theirs):
        if metric == "acceleration":
            errors = acceleration_errors(
                predicted, people.xyz_m, track=clips.track, time=clips.time
            )
            count = np.isfinite(errors)
        else:
            errors = joint_errors_m(predicted, people)[metric]
            count = ~people.visible & np.isfinite(people.xy).all(-1) & np.isfinite(errors)
        sums = np.where(count, errors, 0).sum(1), count.sum(1).astype(np.float64)
        sides.append(tuple(np.bincount(people.group, each)[None] for each in sums))
    (ours_sum, count), (theirs_sum, _) = sides
    return paired_interval((ours_sum, count), (theirs_sum, count), seed=0, rounds=1000)


def report(train: LiftingClips, test: LiftingClips, config: TemporalConfig) -> None:
    """Print the tables of docs/lifting.md."""
    found = lifted(train, test, config)
    people = test.people
    hidden = (~people.visible & np.isfinite(people.xy).all(-1)).mean()
    print(
        f"{len(np.unique(train.track))} tracks of {len(train.track)} sightings trained on, "
        f"{len(np.unique(test.track))} of {len(test.track)} tested; {hidden:.1%} of joints hidden"
    )
    print("| mm | MPJPE | PA-MPJPE visible | hidden | MPJPE hidden | acceleration | hidden |")
    print("|---|---|---|---|---|---|---|")
    for name, predicted in found.items():
        got = clip_metrics(predicted, test)
        cells = [got["all"]["MPJPE_mm"], got["visible"]["PA-MPJPE_mm"]]
        cells += [got["hidden"]["PA-MPJPE_mm"], got["hidden"]["MPJPE_mm"]]
        cells += [got["all"]["acceleration_mm"], got["hidden"]["acceleration_mm"]]
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    print("\n| temporal lifter less, mm | PA-MPJPE hidden | MPJPE hidden | acceleration |")
    print("|---|---|---|---|")
    for name in MODELS[:-1]:
        cells = [
            difference(found[MODELS[-1]], found[name], test, metric).text(scale=1000)
            for metric in ("PA-MPJPE", "MPJPE", "acceleration")
        ]
        print(f"| {name} | {' | '.join(cells)} |")
