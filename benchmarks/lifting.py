"""What visibility and neighbouring frames are worth to a lifter: `python -m benchmarks.lifting`.

People are bodies in key poses of the library, every angle strayed, before eight cameras drawn
anew for each; a rectangle drawn in the box of most of them hides what lies behind it. Nothing is
rendered. The test has the same key poses, strayed otherwise, on other bodies. Prints the tables of
docs/lifting.md. With `--clips` it is about clips (benchmarks/lifting_clips.py) and not about
visibility.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import lifting_clips
from benchmarks.lifting_bodies import BODIES, SKELETON, phenotypes, strayed
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import JOINTS
from synthstudio.evaluation.intervals import Interval, paired_interval
from synthstudio.evaluation.localization import aligned
from synthstudio.models.lifter import in_box, lift, root_translation_m
from synthstudio.training.lifting import (
    LiftingConfig,
    LiftingPeople,
    joint_errors_m,
    lifting_metrics,
    observed,
    train_lifter,
)
from synthstudio.training.temporal_lifting import TemporalConfig

F64 = NDArray[np.float64]
VIEWS = 8
"""So many cameras see each posed body."""
COVERED = 0.8
"""How many people have something in front of them."""
_SIZE, _FOCAL_PX = (640, 480), 600.0
K = np.array([[_FOCAL_PX, 0, _SIZE[0] / 2], [0, _FOCAL_PX, _SIZE[1] / 2], [0, 0, 1]])


@dataclass(frozen=True, kw_only=True)
class Posed:
    """People to lift, and where their roots (P, 3) and joints (P, J, 2) truly are."""

    people: LiftingPeople
    root_m: F64
    joints_px: F64


def posed(moments: int, *, part: str, views: int = VIEWS, seed: int = 0) -> Posed:
    """People of "train" or "test": on bodies, with strayed angles and cameras, of the part's own.

    `views` cameras see each of `moments` posed bodies; they are a group of people.
    """
    atlas, poses, rng = load_atlas(), library(), stream(seed, "posed", part)
    bodies = phenotypes(rng)
    joints = [JOINTS.index(name) for name in SKELETON.joints]
    hips = [SKELETON.joints.index(name) for name in ("left_hip", "right_hip")]
    pixels, xyz, roots = [], [], []
    for _ in range(moments):
        angles = strayed(poses[rng.integers(len(poses))].angles_rad, rng)
        body = bare_body(atlas, bodies[rng.integers(BODIES)], angles)
        for _ in range(views):
            camera = _camera(rng, body.joints_m[joints].mean(0))
            centres = camera.to_camera(body.kinematic_joints_m[joints])
            roots.append(centres[hips].mean(0))
            xyz.append(centres - roots[-1])
            pixels.append(camera.project(camera.to_camera(body.joints_m[joints])))
    px = np.array(pixels)
    low, high = px.min(1), px.max(1)
    xy = in_box(px, np.concatenate([low, high - low], 1))
    people = LiftingPeople(
        skeleton=SKELETON,
        xy=xy,
        visible=~_covered(xy, rng),
        xyz_m=np.array(xyz),
        group=np.repeat(np.arange(moments), views),
    )
    return Posed(people=people, root_m=np.array(roots), joints_px=px)


def _camera(rng: Generator, target_m: F64) -> Camera:
    """A camera 3 to 8 m away, anywhere about the target, that looks near it."""
    bearing, distance_m = rng.uniform(0, 2 * math.pi), rng.uniform(3, 8)
    x, y, z = target_m.tolist()
    eye = (
        x + distance_m * math.sin(bearing),
        y - distance_m * math.cos(bearing),
        z + rng.uniform(-0.3, 1.2),
    )
    yaw, pitch = look_at(eye, (x, y, z))
    return Camera(
        width_px=_SIZE[0],
        height_px=_SIZE[1],
        focal_px=_FOCAL_PX,
        position_m=eye,
        yaw_rad=yaw + rng.uniform(-0.2, 0.2),
        pitch_rad=pitch + rng.uniform(-0.1, 0.1),
    )


def _covered(xy: F64, rng: Generator) -> NDArray[np.bool_]:
    """(P, J) the joints behind a rectangle with sides of 0.3 to 0.8 boxes, for COVERED of them."""
    middle = rng.uniform(-0.4, 0.4, (len(xy), 1, 2))
    half = rng.uniform(0.15, 0.4, (len(xy), 1, 2))
    there = rng.random((len(xy), 1)) < COVERED
    return np.asarray((np.abs(xy - middle) < half).all(-1) & there)


def mean_shape(xyz_m: F64) -> F64:
    """(J, 3) the mean of poses (P, J, 3) turned and scaled onto it (Gower 1975).

    No better guess at everybody's pose is known to PA-MPJPE; the mean in camera axes is thinner,
    as people face all ways.
    """
    mean = xyz_m[0] - xyz_m[0].mean(0)
    size = np.linalg.norm(mean)
    for _ in range(5):
        mean = np.mean([aligned(each, mean) for each in xyz_m], 0)
        mean *= size / np.linalg.norm(mean)
    return np.asarray(mean)


def shuffled(people: LiftingPeople, *, seed: int = 0) -> LiftingPeople:
    """The same people, each with somebody's 3D joints."""
    order = stream(seed, "shuffled").permutation(len(people))
    return replace(people, xyz_m=people.xyz_m[order])


def hidden_difference(ours: F64, theirs: F64, people: LiftingPeople, metric: str) -> Interval:
    """The error (metres) of hidden joints by one prediction less that by another.

    The interval is over posed bodies, each drawn with all its views.
    """
    sides = []
    for predicted in (ours, theirs):
        errors = joint_errors_m(predicted, people)[metric]
        count = ~people.visible & np.isfinite(errors)
        sums = np.where(count, errors, 0).sum(1), count.sum(1).astype(np.float64)
        sides.append(tuple(np.bincount(people.group, each)[None] for each in sums))
    (ours_sum, count), (theirs_sum, _) = sides
    return paired_interval((ours_sum, count), (theirs_sum, count), seed=0, rounds=1000)


def arms(
    train: LiftingPeople, test: LiftingPeople, config: LiftingConfig
) -> dict[str, Callable[[], F64]]:
    """By name, predictions (P, J, 3) for the test's people, all seen with the same noise."""
    xy, visible = observed(test, config.noise, stream(config.seed, "observed"))

    def lifted(people: LiftingPeople, *, told: bool = True) -> F64:
        net = train_lifter(people, replace(config, visibility=told))
        return lift(net, xy, visible if told else np.ones_like(visible))

    everybody = (len(test), 1, 1)
    return {
        "mean pose, camera axes": lambda: np.tile(train.xyz_m.mean(0), everybody),
        "mean shape": lambda: np.tile(mean_shape(train.xyz_m), everybody),
        "lifter, shuffled 3D": lambda: lifted(shuffled(train)),
        "lifter without visibility": lambda: lifted(train, told=False),
        "lifter": lambda: lifted(train),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bodies", type=int, default=1500, help="posed to train on")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--clips", type=int, help="so many clips to train on, instead of people")
    options = parser.parse_args()
    if options.clips:
        parts = (
            lifting_clips.moving(options.clips, part="train"),
            lifting_clips.moving(100, part="test"),
        )
        lifting_clips.report(*parts, TemporalConfig(steps=options.steps, width=128))
        return
    train = posed(options.bodies, part="train").people
    shown = posed(250, part="test")
    test = shown.people
    found = {
        name: arm() for name, arm in arms(train, test, LiftingConfig(steps=options.steps)).items()
    }
    hidden_share = (~test.visible).mean()
    print(
        f"{len(train)} people trained on, {len(test)} tested; {hidden_share:.1%} of joints hidden"
    )
    print("| mm | PA-MPJPE visible | hidden | N-MPJPE hidden | MPJPE hidden | bone hidden |")
    print("|---|---|---|---|---|---|")
    for name, predicted in found.items():
        got = lifting_metrics(predicted, test)
        hidden = got["hidden"]
        cells = [got["visible"]["PA-MPJPE_mm"]]
        cells += [hidden[f"{m}_mm"] for m in ("PA-MPJPE", "N-MPJPE", "MPJPE", "bone_length")]
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    print("\n| lifter less, hidden joints, mm | PA-MPJPE | MPJPE |\n|---|---|---|")
    for name in list(found)[:-1]:
        both = [
            hidden_difference(found["lifter"], found[name], test, metric).text(scale=1000)
            for metric in ("PA-MPJPE", "MPJPE")
        ]
        print(f"| {name} | {' | '.join(both)} |")
    print("\n| the root's depth from | median error |\n|---|---|")
    seen = test.visible.astype(np.float64)
    for name, xyz_m in (("true 3D joints", test.xyz_m), ("lifted 3D joints", found["lifter"])):
        depth = root_translation_m(xyz_m, shown.joints_px, K, weight=seen)[:, 2]
        off = np.abs(depth / shown.root_m[:, 2] - 1)
        print(f"| {name} | {np.nanmedian(off):.1%} |")


if __name__ == "__main__":
    main()
