"""Motions on Anny: angles, bones, planted feet. Stance is told from the file, not by the solver."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import wardrobe_people
from numpy.typing import NDArray
from samples import sampled
from scipy.spatial.transform import Rotation
from walks import stroll

from benchmarks import joint_angles
from synthstudio.body import anny, footing, motion
from synthstudio.body.atlas import bare_body, load_atlas, rest_of
from synthstudio.body.pose_library import library
from synthstudio.body.poses import BONES, LIMITS_RAD, PARENTS, bone_rotations
from synthstudio.body.recording import Motion, mirrored
from synthstudio.core.arrays import F64
from synthstudio.core.errors import AssetError
from synthstudio.core.spec import BoneTurn, PersonSpec, Phenotype, PoseSpec

MOCAP = ("cmu_02_01", "cmu_07_01", "cmu_16_15", "cmu_35_01")


@functools.cache
def cmu(folder: Path, name: str) -> Motion:
    return motion.read(folder / "mocap" / f"{name}.bvh")


Bool = NDArray[np.bool_]
LIMBS = {
    "upperarm01": ("shoulder", "elbow", "lowerarm01"),
    "lowerarm01": ("elbow", "wrist", "wrist"),
    "upperleg01": ("hip", "knee", "lowerleg01"),
    "lowerleg01": ("knee", "ankle", "foot"),
}
JOINTS = (
    ("upperarm01", "lowerarm01", "shoulder", "elbow"),
    ("upperleg01", "lowerleg01", "hip", "knee"),
    ("lowerleg01", "foot", "knee", "ankle"),
)
SHAPES = (
    Phenotype(gender=0.1, age=0.68, muscle=0.5, weight=0.5, height=0.36, proportions=0.5),
    Phenotype(gender=0.9, age=0.7, muscle=0.4, weight=0.75, height=0.26, proportions=0.6),
)
FPS = 24.0


def person(shape=SHAPES[0]):
    kinds = ("t_shirt", "trousers", "sneakers")
    who = wardrobe_people.person("man", "stand_relaxed", *kinds)
    pose = PoseSpec(name="walk", family="motion", angles_rad={})
    return dataclasses.replace(who, phenotype=shape, pose=pose, detail="coarse")


def at_time(who: PersonSpec, step: footing.Step) -> PersonSpec:
    pose = dataclasses.replace(who.pose, turns=step.turns)
    return dataclasses.replace(who, pose=pose, position_m=step.root_m)


def times(moves: Motion, fps: float = FPS) -> tuple[float, ...]:
    return tuple(np.arange(0, moves.seconds, 1 / fps))


def whole_turns(turns: tuple[BoneTurn, ...], shape: Phenotype) -> F64:
    return bare_body(load_atlas(), shape, {}, turns).bone_deltas


def _bend(whole: F64, upper: int, lower: int) -> F64:
    return whole[upper].T @ whole[lower]


def _turn(rotation: F64) -> float:
    return float(Rotation.from_matrix(rotation).magnitude())


def bone_heads(whole: F64, shape: Phenotype) -> F64:
    offsets = rest_of(shape).chain.offsets_m
    out = np.zeros((len(BONES), 3))
    for bone, parent in enumerate(PARENTS):
        if parent >= 0:
            out[bone] = out[parent] + whole[parent] @ offsets[bone]
    return out


def angle_errors_deg(moves: Motion, who: PersonSpec, frames: range) -> dict[str, float]:
    """Return the worst error of each limb's direction, and of turns between the first frame and
    each other."""
    shape, turns, places = who.phenotype, moves.turns(), moves.places_m()
    worst: dict[str, float] = {}

    def note(name: str, error_rad: float) -> None:
        worst[name] = max(worst.get(name, 0.0), float(np.degrees(error_rad)))

    poses = [
        whole_turns(
            anny.load().steps(who, moves, times_s=(k / moves.fps,), mirror=False)[0].turns, shape
        )
        for k in frames
    ]
    for k, whole in zip(frames, poses, strict=True):
        heads, file = bone_heads(whole, shape), turns[k]
        unturn = whole[0] @ file[moves.roles["hips"]].T  # the heading that was taken off
        assert np.degrees(np.arccos(min(1.0, unturn[2, 2]))) < 0.01
        for side, s in (("left", "L"), ("right", "R")):
            for bone, (role, end, below) in LIMBS.items():
                own = heads[BONES.index(f"{below}.{s}")] - heads[BONES.index(f"{bone}.{s}")]
                theirs = places[k, moves.roles[f"{side}_{end}"]]
                theirs = unturn @ (theirs - places[k, moves.roles[f"{side}_{role}"]])
                note(f"{side} {bone}", _angle(own, theirs))
            for upper, lower, a, b in JOINTS:
                bones = BONES.index(f"{upper}.{s}"), BONES.index(f"{lower}.{s}")
                roles = moves.roles[f"{side}_{a}"], moves.roles[f"{side}_{b}"]
                ours = _turn(_bend(poses[0], *bones).T @ _bend(whole, *bones))
                them = _turn(_bend(turns[frames[0]], *roles).T @ _bend(file, *roles))
                note(f"{side} {b}", abs(ours - them))
        for bone, role in (("spine01", "chest2"), ("head", "head"), ("spine03", "spine")):
            note(bone, _turn(whole[BONES.index(bone)].T @ unturn @ file[moves.roles[role]]))
    return worst


def _angle(a: F64, b: F64) -> float:
    return float(np.arccos(min(1.0, a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


def soles(who: PersonSpec, steps: tuple[footing.Step, ...]) -> F64:
    out = []
    for step in steps:
        posed = anny.load().posed(at_time(who, step), instance=1)
        shoe = np.concatenate([s.vertices_m for s in posed.surfaces if s.name == "sneakers"])
        if not out:  # in a pose with feet apart
            apart = anny.load().posed(at_time(who, dataclasses.replace(step, turns=())), instance=1)
            rest = np.concatenate([s.vertices_m for s in apart.surfaces if s.name == "sneakers"])
            left = rest[:, 0] > 0
            low = rest[:, 2] < rest[:, 2].min() + 0.03
        out.append([shoe[left & low], shoe[~left & low][: (left & low).sum()]])
    count = min(len(foot) for feet in out for foot in feet)
    return np.array([[foot[:count] for foot in feet] for feet in out], np.float64)


def stance(moves: Motion, at_s: tuple[float, ...]) -> tuple[Bool, Bool]:
    """Return (F, 2) whether the file's feet stand, and whether they are off the floor.

    A foot stands while ankle or toe are within 2 to 3.5 cm of their lowest and move at less than
    0.8 m/s; it swings with ankle, toe and tip 3 cm up and the tip faster than 1 m/s.
    """
    places, frames = moves.places_m(), np.rint(np.array(at_s) * moves.fps).astype(int)
    down, up = [], []
    for side in ("left", "right"):
        ankle, toe = moves.roles[f"{side}_ankle"], moves.roles[f"{side}_toe"]
        tip = next(j for j, parent in enumerate(moves.parents) if parent == toe)
        high = [places[:, j, 2] - np.percentile(places[:, j, 2], 2) for j in (ankle, toe, tip)]
        fast = [
            np.linalg.norm(np.gradient(places[:, j, :2], axis=0), axis=1) * moves.fps
            for j in (ankle, toe)
        ]
        heel = (high[0] < 0.035) & (fast[0] < 0.8)
        down.append(heel | (((high[1] < 0.02) | (high[2] < 0.02)) & (fast[1] < 0.8)))
        fast.append(np.linalg.norm(np.gradient(places[:, tip, :2], axis=0), axis=1) * moves.fps)
        up.append((np.min(high, axis=0) > 0.03) & (fast[2] > 1.0))
    return np.array(down).T[frames], np.array(up).T[frames]


def slid_m(sole: F64, during: Bool) -> float:
    worst, gone = 0.0, np.zeros(2)
    for k in range(1, len(sole)):
        if not (during[k] and during[k - 1]):
            gone = np.zeros(2)
            continue
        touch = (sole[k, :, 2] < 0.005) & (sole[k - 1, :, 2] < 0.005)
        if touch.any():
            gone = gone + (sole[k, touch, :2] - sole[k - 1, touch, :2]).mean(axis=0)
            worst = max(worst, float(np.linalg.norm(gone)))
    return worst


def _inside(during: Bool) -> Bool:
    padded = np.pad(during, 1)
    return during & padded[:-2] & padded[2:]


def measured_cm(who, moves, *, mirror=False, fps=FPS):
    at_s = times(moves, fps)
    steps = anny.load().steps(who, moves, times_s=at_s, mirror=mirror)
    drawn = soles(who, steps)
    down, up = stance(mirrored(moves) if mirror else moves, at_s)
    alone = [down[:, f] & up[:, 1 - f] for f in (0, 1)]
    # All other moments in which a foot stands are double support or hand-over.
    single = [slid_m(drawn[:, f], alone[f]) for f in (0, 1)]
    double = [slid_m(drawn[:, f], down[:, f] & ~alone[f]) for f in (0, 1)]
    lowest = [drawn[_inside(alone[f]), f, :, 2].min(axis=1) for f in (0, 1)]
    heights = np.concatenate(lowest)
    return {
        "single": 100 * max(single),
        "double": 100 * max(double),
        "off": 100 * float(np.abs(heights).max()),
        "frames": float(len(heights)),
        "deepest": 100 * float(drawn[..., 2].min()),
    }


@pytest.mark.parametrize("name", sampled(MOCAP, 1))
def test_copied_joints_are_within_one_degree_of_the_file(shared_data, name, monkeypatch):
    moves, frames = cmu(shared_data, name), range(0, cmu(shared_data, name).frames, 24)
    levelled = [
        anny.load().steps(person(SHAPES[1]), moves, times_s=(k / moves.fps,), mirror=False)[0]
        for k in frames
    ]
    directions = angle_errors_deg(moves, person(SHAPES[1]), frames)
    assert max(v for k, v in directions.items() if k.endswith("01")) < 1.0, directions
    monkeypatch.setattr(footing, "STRAY_RAD", 0.0)  # legs are not levelled
    who = dataclasses.replace(person(SHAPES[1]), identity="exact")  # not from the cache
    errors = angle_errors_deg(moves, who, frames)
    assert max(errors.values()) < 0.25, errors  # forearms are two bones that part the twist
    for k, step in zip(frames, levelled, strict=True):  # and levelling moves no joint by more
        pure = anny.load().steps(who, moves, times_s=(k / moves.fps,), mirror=False)[0]
        for one, other in zip(step.turns, pure.turns, strict=True):
            pair = Rotation.from_rotvec([one.turn_rad, other.turn_rad])
            assert np.degrees((pair[0].inv() * pair[1]).magnitude()) < 1.0, one.bone


def test_a_bone_named_in_turns_takes_that_turn_and_others_their_angles():
    angles = {"left_elbow_flexion": 1.0, "right_elbow_flexion": 1.0}
    turn = BoneTurn(bone="lowerarm01.L", turn_rad=(0.1, 0.2, 0.3))
    mixed = motion.with_turns(bone_rotations(angles), (turn,))
    at = BONES.index("lowerarm01.L")
    np.testing.assert_allclose(mixed[at], Rotation.from_rotvec((0.1, 0.2, 0.3)).as_matrix())
    np.testing.assert_array_equal(np.delete(mixed, at, 0), np.delete(bone_rotations(angles), at, 0))
    with pytest.raises(AssetError, match="rig lacks"):
        motion.with_turns(mixed, (BoneTurn(bone="tail", turn_rad=(0, 0, 0)),))


def test_between_frames_turns_are_on_the_shortest_arc():
    track = Rotation.from_rotvec([[0, 0, 0], [0, 0, 1.0], [0, 0, -3.0]]).as_matrix()
    half = Rotation.from_matrix(motion.sampled(track, 0.5)).as_rotvec()
    np.testing.assert_allclose(half, (0, 0, 0.5), atol=1e-12)
    over = Rotation.from_matrix(motion.sampled(track, 1.5)).as_rotvec()[2]
    assert abs(over) == pytest.approx(1 + (2 * np.pi - 4) / 2)  # through pi, not back through 0
    np.testing.assert_array_equal(motion.sampled(track, 9.0), track[-1])


def test_angles_can_be_read_back_and_limits_are_seen():
    stays = {k.name: k for k in library()}
    for name in ("stand_relaxed", "walk_left_contact", "squat_half"):
        angles = stays[name].angles_rad
        turns = bone_rotations(angles)
        vectors = Rotation.from_matrix(turns).as_rotvec()
        given = tuple(
            BoneTurn(bone=bone, turn_rad=tuple(v)) for bone, v in zip(BONES, vectors, strict=True)
        )
        read = joint_angles.angles_of(given)
        for angle, value in read.items():
            assert value == pytest.approx(angles.get(angle, 0.0), abs=1e-6), (name, angle)
        assert joint_angles.limit_excess_rad(given) == 0.0
    beyond = {"left_knee_flexion": LIMITS_RAD["left_knee_flexion"][1] + 0.2}
    vectors = Rotation.from_matrix(bone_rotations(beyond)).as_rotvec()
    knee = BoneTurn(bone="lowerleg01.L", turn_rad=tuple(vectors[BONES.index("lowerleg01.L")]))
    assert joint_angles.limit_excess_rad((knee,)) == pytest.approx(0.2)


@pytest.mark.parametrize("name", sampled(MOCAP, 1))
def test_planted_feet_stay_where_they_are(shared_data, name):
    moves, shape = cmu(shared_data, name), SHAPES[MOCAP.index(name) % 2]
    found = measured_cm(person(shape), moves)
    assert found["frames"] > 8
    assert found["single"] < 0.5, found
    assert found["double"] < 3.0, found
    assert found["off"] < 1.0, found
    assert found["deepest"] > -1.0, found


def test_our_own_walk_too_as_its_mirror_image():
    found = measured_cm(person(SHAPES[1]), stroll(), mirror=True)
    assert found["frames"] > 8 and found["single"] < 0.5, found
    assert found["double"] < 3.0 and found["off"] < 1.0, found


def test_flights_keep_their_height():
    lift = footing._flights(np.array([0, 0.01, 0.1, 0.2, 0.1, 0, 0.05, 0, 0.07, 0.0]))
    assert lift[[3, 6, 8]] == pytest.approx([0.2, 0, 0.02]) and 0.08 < lift[2] < 0.1


def test_a_step_faces_minus_y_and_paths_are_pure():
    body, who = anny.load(), person()
    one = body.steps(who, stroll(), times_s=(0.5, 1.0, 1.5), mirror=False)
    two = body.steps(who, stroll(), times_s=(0.5, 1.5), mirror=False)
    assert one[0] == two[0] and one[2] == two[1]
    assert one[0].root_m[:2] == (0.0, 0.0)
    x, y, _ = one[2].root_m
    assert y < -1.0 and abs(x) < 0.25 * abs(y)
    image = body.steps(who, stroll(), times_s=(0.5, 1.5), mirror=True)
    assert image[1].root_m[0] == pytest.approx(-two[1].root_m[0], abs=0.03)
