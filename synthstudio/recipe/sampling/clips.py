"""Moving people: choice of motion, path, and a clip's frames in time.

A moving moment is drawn once, for its start; `at` gives its other frames. Random streams use
the moment's number, so each frame of a clip can be made alone.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.catalogue import KeyPose, MotionAsset, Step
from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import ClipSpec, FrameSpec, MovingSpec, PersonSpec, Vec3
from synthstudio.recipe.sampling.context import SampleContext, Unit, pick_one
from synthstudio.recipe.sampling.pose_jitter import is_of
from synthstudio.recipe.schema.distributions import pick, sample
from synthstudio.recipe.schema.recipe import FAMILY, Move, Recipe

MOMENT_S = 1 / 120
"""Time step between samples of how people move."""
PATH_STEP_S = 0.2
"""Between these times of a path a body is taken to fill the space between its outlines."""
_HEADINGS = 8
_IN_VIEW = 0.75
_AIM_M = 0.9
_MIN_M = 1.2
_AFTER = ("pan", "follow")
"""Camera moves that keep people in view on any path."""
_SWAYS = ((0.31, 1.0), (0.83, 0.45), (1.9, 0.2))
"""Hertz and share of a hand's sway: slow drift, breath, tremor."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The motion of a person in a moment, from `start_s` on."""

    motion: MotionAsset
    mirrored: bool
    start_s: float


def frames_of(recipe: Recipe) -> int:
    return 1 if recipe.clip is None else recipe.clip.frames


def walk_of(ctx: SampleContext, place: int) -> Walk | None:
    """The motion of person `place` of the moment, None if standing; RecipeError if none is left."""
    options, clip = ctx.recipe.motion, ctx.recipe.clip
    if options is None:
        return None
    rng = ctx.shared_rng("motion", place)
    moves, mirror, phase = rng.random() < options.share, rng.random() < options.mirror, rng.random()
    if not moves:
        return None
    seconds = 0.0 if clip is None else clip.seconds
    named = [m for m in ctx.catalogue.motions if options.names is None or options.names.get(m.name)]
    long_enough = [m for m in named if m.seconds >= seconds - 1e-9]
    held = set(ctx.recipe.holdout.poses)
    left = ctx.allowed(long_enough, rng, held=lambda m: m.name in held or FAMILY in held)
    if not left:
        longest = max((m.seconds for m in named), default=0.0)
        raise RecipeError(
            "no motion is left to draw",
            where=f"{ctx.where}: motion",
            expected=f"one of at least {seconds:.2f} s that is not held out",
            got=f"{len(named)} motions, the longest {longest:.2f} s",
            then="Use fewer clip.frames or a higher clip.fps, or hold out less.",
        )
    motion = pick_one(left, rng, weights=options.names, name=lambda m: m.name)
    start = float(phase) * max(0.0, motion.seconds - seconds)
    return Walk(motion=motion, mirrored=bool(mirror), start_s=round(start, 4))


def starting_motions(ctx: SampleContext, people: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """The people, moving ones in the first pose of their motion with hands of a walk or stand."""
    hands = _loose_hands(ctx.catalogue.poses)
    out = list(people)
    for place, (person, _) in enumerate(people):
        walk = walk_of(ctx, place)
        if walk is not None:
            key = KeyPose(name=walk.motion.name, family=FAMILY, angles_rad=hands)
            (step,) = _steps(ctx, person, walk, (0.0,))
            pose = dataclasses.replace(
                person.pose, name=key.name, family=FAMILY, angles_rad=hands, turns=step.turns
            )
            out[place] = (dataclasses.replace(person, pose=pose), key)
    return tuple(out)


def _loose_hands(poses: tuple[KeyPose, ...]) -> dict[str, float]:
    ranks = {"walk": 0, "stand": 1}
    best = min(poses, key=lambda pose: (ranks.get(pose.family, 2), pose.name))
    hands = ("finger", "index", "thumb")
    return {name: a for name, a in best.angles_rad.items() if is_of(name, hands)}


def skin_penetration_m(ctx: SampleContext, person: PersonSpec, place: int) -> float:
    """Maximum self-penetration depth of the person's limbs during its motion.

    0 if standing, or if the recipe disables the check. A motion is the same for any person,
    so one that is too deep needs another body.
    """
    walk, clip = walk_of(ctx, place), ctx.recipe.clip
    if walk is None or not ctx.recipe.people.poses.resolve_self_intersection:
        return 0.0
    steps = _steps(ctx, person, walk, (0.0,) if clip is None else _times_s(clip.seconds))
    return max(ctx.geometry.skin_penetration_m(_moved(person, step)) for step in steps)


# The path ----------------------------------------------------------------------------------


def path(ctx: SampleContext, person: PersonSpec, place: int) -> tuple[PersonSpec, ...]:
    """The person at times of its path, the first at the clip's start; () stands still.

    The middle of the path lies over the world's origin; its start, if the camera goes along.
    """
    walk, clip = walk_of(ctx, place), ctx.recipe.clip
    if walk is None or clip is None:
        return ()
    steps = _steps(ctx, person, walk, _times_s(clip.seconds))
    spots = np.array([step.root_m[:2] for step in steps])
    middle = (spots.min(axis=0) + spots.max(axis=0)) / 2
    x, y = _rotated(np.zeros(2) if _move_of(ctx) in _AFTER else middle, person.yaw_rad)
    start = dataclasses.replace(person, position_m=(-float(x), -float(y), 0.0))
    return tuple(_moved(start, step) for step in steps)


def headed(ctx: SampleContext, camera: Camera, people: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """The people, moving ones turned so that their paths stay in view if possible.

    Of a few turns as the recipe options them, the first whose path lies in a steady camera's view
    is taken, else the one most of which does.
    """
    if ctx.recipe.clip is None or _move_of(ctx) in _AFTER:
        return people
    return tuple(
        (_headed(ctx, camera, person, place), key) for place, (person, key) in enumerate(people)
    )


def _headed(ctx: SampleContext, camera: Camera, person: PersonSpec, place: int) -> PersonSpec:
    steps = path(ctx, dataclasses.replace(person, yaw_rad=0.0), place)
    if not steps:
        return person
    spots = np.array([p.position_m for p in steps])
    rng = ctx.rng("heading", place)
    best, maximum = person.yaw_rad, -1.0
    for number in range(_HEADINGS):
        yaw = math.radians(sample(ctx.recipe.people.facing_deg, rng))
        yaw = person.yaw_rad if number == 0 else yaw
        share = _in_view(camera, np.array([(*_rotated(s[:2], yaw), _AIM_M) for s in spots]))
        if share > maximum:
            best, maximum = yaw, share
    return dataclasses.replace(person, yaw_rad=best)


def _in_view(camera: Camera, points_m: F64) -> float:
    seen = camera.to_camera(points_m)
    half = camera.width_px / 2 / camera.focal_px * _IN_VIEW * camera.spread[0]
    return float(((seen[:, 2] > _MIN_M) & (np.abs(seen[:, 0]) < half * seen[:, 2])).mean())


# Frames in time ----------------------------------------------------------------------------


def at(ctx: SampleContext, base: FrameSpec, t: int) -> FrameSpec:
    """Frame `t` of the clip that begins with `base`, whose index is the moment's number.

    Identity, clothes, objects, light and lens stay; poses, places, camera and noise change.
    """
    clip, moment = ctx.recipe.clip, base.index
    assert clip is not None  # called only with clips
    walks = [walk_of(ctx, place) for place in range(len(base.people))]
    people, camera = _then(ctx, base.people, base.camera, time_s=t / clip.fps)
    noise = int(ctx.rng("clip noise", t).integers(2**31))
    number = moment * clip.frames + t
    going = positions_after(ctx, people, time_s=t / clip.fps) if base.moving else ()
    return dataclasses.replace(
        base,
        moving=going,
        index=number,
        people=people,
        camera=camera,
        lens=base.lens if t == 0 else dataclasses.replace(base.lens, noise_seed=noise),
        group_id=f"{base.seed}-{number}",
        clip=ClipSpec(
            clip_id=f"{base.seed}-{moment}",
            frame=t,
            frames=clip.frames,
            time_s=t / clip.fps,
            motions=tuple("" if walk is None else walk.motion.name for walk in walks),
        ),
    )


def positions_after(
    ctx: SampleContext, people: Sequence[PersonSpec], *, time_s: float
) -> tuple[MovingSpec, ...]:
    """Places of moving people shortly after `time_s`, from their places `people`.

    At the motion's end, shortly before: nobody stops there.
    """
    out = []
    for place, person in enumerate(people):
        walk = walk_of(ctx, place)
        if walk is None or not person.pose.turns:
            continue
        ends = walk.start_s + time_s + MOMENT_S > walk.motion.seconds
        after = -MOMENT_S if ends else MOMENT_S
        _, now, other = _steps(ctx, person, walk, (0.0, time_s, time_s + after))
        gone = np.subtract(other.root_m, now.root_m)
        gone[:2] = _rotated(gone[:2], person.yaw_rad)
        x, y, z = (float(v) for v in np.array(person.position_m) + gone)
        pose = dataclasses.replace(person.pose, turns=other.turns)
        then = dataclasses.replace(person, pose=pose, position_m=(x, y, z))
        out.append(moving(place, then, after))
    return tuple(out)


def moving(place: int, other: PersonSpec, after_s: float) -> MovingSpec:
    return MovingSpec(
        person=place,
        after_s=after_s,
        pose=other.pose,
        position_m=other.position_m,
        yaw_rad=other.yaw_rad,
    )


def _move_of(ctx: SampleContext) -> Move:
    assert ctx.recipe.clip is not None
    return pick(ctx.recipe.clip.moves, ctx.shared_rng("clip camera"))


def cameras(
    ctx: SampleContext, people: tuple[PersonSpec, ...], first: Camera
) -> tuple[Camera, ...]:
    """The camera at times all through the clip, to be contained in a room."""
    clip = ctx.recipe.clip
    if clip is None:
        return (first,)
    return tuple(_then(ctx, people, first, time_s=time)[1] for time in _times_s(clip.seconds))


def _then(
    ctx: SampleContext, start: tuple[PersonSpec, ...], first: Camera, *, time_s: float
) -> tuple[tuple[PersonSpec, ...], Camera]:
    people, gone = [], []
    for place, person in enumerate(start):
        walk = walk_of(ctx, place)
        now = person
        if walk is not None:
            now = _moved(person, _steps(ctx, person, walk, (0.0, time_s))[1])
            gone.append(np.subtract(now.position_m, person.position_m)[:2])
        people.append(now)
    travel = np.mean(gone, axis=0) if gone else np.zeros(2)
    middle = np.mean([p.position_m[:2] for p in start] or [(0.0, 0.0)], axis=0)
    return tuple(people), camera_at(ctx, first, middle_m=middle, gone_m=travel, time_s=time_s)


def camera_at(
    ctx: SampleContext, first: Camera, *, middle_m: F64, gone_m: F64, time_s: float
) -> Camera:
    """The clip's camera `time_s` after its start, where it is `first`.

    `middle_m` (2,) is the middle of the people at the start, `gone_m` (2,) the moving people's
    mean displacement since.
    """
    clip = ctx.recipe.clip
    assert clip is not None
    rng = ctx.shared_rng("clip camera")
    move = pick(clip.moves, rng)
    way, sway = sample(clip.dolly_m, rng), math.radians(sample(clip.sway_deg, rng))
    phases = rng.random((3, len(_SWAYS))) * 2 * math.pi
    x, y, z = first.position_m
    if move == "pan":
        start, now = (
            look_at(first.position_m, (float(p[0]), float(p[1]), _AIM_M))[0]
            for p in (middle_m, middle_m + gone_m)
        )
        return dataclasses.replace(
            first, yaw_rad=first.yaw_rad + math.remainder(now - start, math.tau)
        )
    if move == "follow":
        return dataclasses.replace(
            first, position_m=(x + float(gone_m[0]), y + float(gone_m[1]), z)
        )
    if move == "dolly":
        share = time_s / clip.seconds
        far = way * share * share * (3 - 2 * share)  # starts and stops softly
        c, s = math.cos(first.yaw_rad), math.sin(first.yaw_rad)
        return dataclasses.replace(first, position_m=(x - s * far, y + c * far, z))
    if move == "handheld":
        yaw, pitch, roll = (
            sum(
                share * (math.sin(math.tau * hertz * time_s + p) - math.sin(p))
                for (hertz, share), p in zip(_SWAYS, own, strict=True)
            )
            * sway
            for own in phases
        )
        return dataclasses.replace(
            first,
            yaw_rad=first.yaw_rad + yaw,
            pitch_rad=first.pitch_rad + 0.6 * pitch,
            roll_rad=first.roll_rad + 0.4 * roll,
        )
    return first


def _times_s(seconds: float) -> tuple[float, ...]:
    count = max(2, math.ceil(seconds / PATH_STEP_S) + 1)
    return tuple(float(t) for t in np.linspace(0.0, seconds, count))


def _steps(
    ctx: SampleContext, person: PersonSpec, walk: Walk, times_s: tuple[float, ...]
) -> tuple[Step, ...]:
    times = tuple(walk.start_s + t for t in times_s)
    return ctx.geometry.steps(person, walk.motion, times_s=times, mirrored=walk.mirrored)


def _moved(start: PersonSpec, step: Step) -> PersonSpec:
    x, y = _rotated(np.array(step.root_m[:2]), start.yaw_rad) + np.array(start.position_m[:2])
    at_m: Vec3 = (float(x), float(y), step.root_m[2])
    pose = dataclasses.replace(start.pose, turns=step.turns)
    return dataclasses.replace(start, pose=pose, position_m=at_m)


def _rotated(xy_m: F64, yaw_rad: float) -> F64:
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([c * xy_m[0] - s * xy_m[1], s * xy_m[0] + c * xy_m[1]])
