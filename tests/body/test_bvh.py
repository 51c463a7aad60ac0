"""The BVH reader: what it reads, and one clear error for everything else."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from walks import walk_bvh

from synthstudio.body import bvh
from synthstudio.body.bvh import parse_bvh, read_bvh
from synthstudio.body.motion import READERS, read
from synthstudio.body.recording import LEG_M, Motion, mirrored
from synthstudio.core.errors import AssetError

WALK = walk_bvh(frames=4)


def parsed(text: str) -> Motion:
    return parse_bvh(text, where="walk.bvh")


def fault(text: str) -> str:
    with pytest.raises(AssetError) as error:
        parsed(text)
    assert str(error.value).startswith("walk.bvh")
    return str(error.value)


def test_a_walk_is_read_in_our_axes_and_metres():
    motion = parsed(walk_bvh())
    assert (motion.frames, round(motion.fps, 3)) == (91, 30.0)
    assert motion.leg_m == pytest.approx(LEG_M)
    at = motion.places_m()[0]
    role = motion.roles
    assert at[role["head"], 2] > at[role["hips"], 2] > at[role["left_ankle"], 2]  # z is up
    assert at[role["left_hip"], 0] > at[role["right_hip"], 0]  # x is to the person's left
    assert at[role["left_toe"], 1] < at[role["left_ankle"], 1] - 0.05  # people face -y
    assert motion.root_m[-1, 1] - motion.root_m[0, 1] == pytest.approx(-3.75 * LEG_M / 0.84)


def test_channels_may_come_in_any_order():
    rotated = WALK.replace("Zrotation Xrotation Yrotation", "Yrotation Zrotation Xrotation")
    *head, a, b, c, d = rotated.splitlines()
    rows = []
    for values in (row.split() for row in (a, b, c, d)):
        turns = zip(values[3::3], values[4::3], values[5::3], strict=True)
        rows.append(" ".join([*values[:3], *(v for z, x, y in turns for v in (y, z, x))]))
    one = parsed("\n".join([*head, *rows]))
    joint = one.roles["left_knee"]  # turns about one axis only: the order is no matter
    np.testing.assert_allclose(
        one.rotations[:, joint], parsed(WALK).rotations[:, joint], atol=1e-12
    )
    angles = [float(v) for v in rows[0].split()[3:6]]
    want = Rotation.from_euler("YZX", angles, degrees=True).as_matrix()
    to_ours = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    hips = one.rotations[0, one.roles["hips"]]
    np.testing.assert_allclose(hips, to_ours @ want @ to_ours.T, atol=1e-12)


def test_the_unit_is_told_by_the_legs_and_the_axes_by_the_zero_pose():
    def scaled(match: re.Match[str]) -> str:
        x, y, z = (float(v) / 2.54 for v in match[1].split())
        return f"OFFSET {y} {z} {x}"  # y becomes x, z becomes y: another file's axes, in inches

    other = parsed(re.sub(r"OFFSET (.*)", scaled, WALK))
    assert other.leg_m == pytest.approx(LEG_M)
    np.testing.assert_allclose(other.offsets_m, parsed(WALK).offsets_m, atol=1e-9)


def test_a_mirror_image_of_a_mirror_image_is_the_motion():
    motion = parsed(walk_bvh())
    image = mirrored(mirrored(motion))
    np.testing.assert_allclose(image.places_m(), motion.places_m(), atol=1e-12)
    assert image.roles == motion.roles
    other, own = mirrored(motion), motion.places_m()
    left = other.places_m()[:, other.roles["left_wrist"]]
    np.testing.assert_allclose(left, own[:, motion.roles["right_wrist"]] * (-1, 1, 1), atol=1e-12)


def test_a_test_pose_at_an_end_is_left_out():
    rows = walk_bvh(frames=30).splitlines()
    values = rows[-30].split()
    start = len(rows) - 30
    names = re.findall(r"(?:ROOT|JOINT) (\w+)", "\n".join(rows))
    at = 3 + 3 * names.index("LeftShoulder")
    rows[start] = " ".join([*values[:at], "90", "0", "0", *values[at + 3 :]])
    assert parsed("\n".join(rows)).frames == 29
    middle = list(walk_bvh(frames=30).splitlines())
    middle[start + 15] = rows[start]
    assert f"walk.bvh:{start + 16}: implausible jump" in fault("\n".join(middle))  # not an end


JOINT = "{k}\n{{\nOFFSET 0 0 0\nCHANNELS 0\n"
DEEP = "HIERARCHY\nROOT r" + "JOINT j".join(JOINT.format(k=k) for k in range(81))
BROKEN = {
    "empty": ("", "no MOTION"),
    "no hierarchy": ("MOTION\n", "ends too early"),
    "cut in the skeleton": (WALK[:700], "no MOTION"),
    "cut in the frames": (WALK[: WALK.rindex("\n", 0, -9)], "frames differs"),
    "cut in a frame": (WALK[:-20], "wrong number of channels"),
    "zero frames": (WALK.replace("Frames: 4", "Frames: 0"), "wrong number of frames"),
    "too many frames": (WALK.replace("Frames: 4", "Frames: 99999"), "wrong number of frames"),
    "half a frame": (WALK.replace("Frames: 4", "Frames: 3.5"), "wrong number of frames"),
    "frames missing": (WALK.replace("Frames: 4", "Frames: 5"), "frames differs"),
    "frame time 0": (WALK.replace("0.033333", "0"), "wrong frame time"),
    "frame time nan": (WALK.replace("0.033333", "nan"), "Frame Time: and a number"),
    "nan": (re.sub(r"\n0\.00 93", "\nnan 93", WALK), "walk.bvh:135: not a usable number"),
    "inf": (re.sub(r"\n0\.00 93", "\ninf 93", WALK), "not a usable number"),
    "huge": (re.sub(r"\n0\.00 93", "\n1e300 93", WALK), "not a usable number"),
    "python's own spelling": (re.sub(r"\n0\.00 93", "\n1_0 93", WALK), "not a usable number"),
    "a word": (re.sub(r"\n0\.00 93", "\nx 93", WALK), "not a usable number"),
    "the line": ("nan".join(WALK.rsplit("0.00", 1)), f"bvh:{WALK.count(chr(10))}: not a usable"),
    "too deep": (f"{DEEP}{'}' * 81}\nMOTION\n", "64 deep"),
    "a number too many": (WALK.rstrip() + " 1.0\n", "wrong number of channels"),
    "channel count": (WALK.replace("CHANNELS 3 Z", "CHANNELS 2 Z", 1), "unexpected word"),
    "channel name": (WALK.replace("Zrotation", "Wrotation", 1), "wrong channels"),
    "channel twice": (WALK.replace("Zrotation Xr", "Xrotation Xr", 1), "wrong channels"),
    "seven channels": (WALK.replace("CHANNELS 3", "CHANNELS 7", 1), "wrong number of channels"),
    "joint twice": (WALK.replace("JOINT RightHip", "JOINT LeftHip"), "duplicate joint name"),
    "no names": (WALK.replace("JOINT LeftKnee", "JOINT b7"), "lacks LeftKnee"),
    "legs of no length": (re.sub(r"OFFSET 0 -42 0", "OFFSET 0 0 0", WALK), "no length"),
    "lies": (
        WALK.replace("OFFSET 0 -42 0", "OFFSET -42 0 0").replace("OFFSET -9.5", "OFFSET 9"),
        "is not standing",
    ),
    "two roots": (WALK.replace("\nMOTION", "\nROOT More\n{\n}\nMOTION"), "after the skeleton"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_clear_error(name):
    text, says = BROKEN[name]
    assert text != WALK
    assert says in fault(text)


def test_files_that_are_none(tmp_path, monkeypatch):
    path = tmp_path / "walk.bvh"
    for data, says in ((b"", "empty"), (b"HIERARCHY\n\xff\xfe\x00", "byte 0xff")):
        path.write_bytes(data)
        with pytest.raises(AssetError, match=says):
            read_bvh(path)
    path.write_text(WALK)
    monkeypatch.setattr(bvh, "MAX_BYTES", 100)
    with pytest.raises(AssetError, match="too large"):
        read_bvh(path)
    with pytest.raises(AssetError, match=re.escape(" ".join(sorted(READERS)))):
        read(tmp_path / "walk.c3d")
    with pytest.raises(AssetError, match="no such file"):
        read(tmp_path / "other.bvh")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_is_changed_it_is_read_or_refused(data):
    text = WALK
    words = st.sampled_from(["", "}", "{", "JOINT", "MOTION\n", "nan", "1e999", "-", "\n", "End"])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.sampled_from([0, 0, 1, 5, 40, 400]))
        text = text[:at] + data.draw(words | st.text(max_size=6)) + text[at + gone :]
    try:
        motion = parsed(text)
    except AssetError:
        return
    assert np.isfinite(motion.rotations).all() and np.isfinite(motion.places_m()).all()


# Joints that jump

FRAMES = 60
LONG = walk_bvh(frames=FRAMES).splitlines()
START = len(LONG) - FRAMES
NAMES = re.findall(r"(?:ROOT|JOINT) (\w+)", WALK)


def turned(joint, curve, fps=30.0):
    values = np.array([line.split() for line in LONG[START:]], float)
    values[:, 4 + 3 * NAMES.index(joint)] += curve
    head = [line.replace("0.033333", f"{1 / fps:.6f}") for line in LONG[:START]]
    return "\n".join([*head, *(" ".join(f"{v:.2f}" for v in row) for row in values)])


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
@pytest.mark.parametrize("joint", ["Hips", "LeftKnee", "RightElbow", "LeftShoulder", "Chest2"])
def test_flips_by_thousands_of_degrees_name_line_and_joint(joint, fps):
    flips = np.zeros(FRAMES)
    flips[20:40:2] = 10_000
    told = fault(turned(joint, flips, fps))
    assert told.startswith(f"walk.bvh:{START + 20 + 1}: implausible jump of a joint")
    assert re.search(rf"got {joint} turns \d\d degrees within .* s before frame 21;", told)
    assert "whole file: 20" in told and "Mend those frames" in told


def test_a_joint_that_stays_turned_jumped_too():
    stays = np.where(np.arange(FRAMES) < 30, 0.0, 170.0)
    told = fault(turned("LeftKnee", stays))
    assert re.search(r"LeftKnee turns 1[67]\d degrees.* file: 1\.", told)


def test_whole_turns_are_the_same_pose():
    """Angles may run on, or start again at 180: a file's own number is no matter."""
    whole = 360.0 * np.array([(7 * k * k) % 57 - 28 for k in range(FRAMES)])
    own = parsed("\n".join(LONG))
    for joint in ("Hips", "LeftKnee", "Chest2", "RightWrist"):
        other = parsed(turned(joint, whole))
        np.testing.assert_allclose(other.rotations, own.rotations, atol=1e-9)


# Files as other tools write them

PLACES = "Xposition Yposition Zposition"
TURNS = "Zrotation Xrotation Yrotation"
LINES = walk_bvh(frames=12).splitlines()
ROWS = [line.split() for line in LINES[-12:]]
PLAIN = parse_bvh("\n".join(LINES), where="plain")


def wrapped(*, offset, kind, root, name):
    """BVH text of the walk under a root; `kind`: whether positions replace OFFSET or are added."""
    tree = "\n".join(LINES[1:-15]).replace("ROOT Hips", "JOINT Hips")
    tree = tree.replace("OFFSET 0 0 0", f"OFFSET {offset[0]} {offset[1]} {offset[2]}", 1)
    channels = {"none": "0", "turns": f"3 {TURNS}", "all": f"6 {PLACES} {TURNS}"}[root]
    own = {"none": [], "turns": ["0"] * 3, "all": ["0"] * 6}[root]
    rows = []
    for row in ROWS:
        less = (0, 0, 0) if kind == "replaced" else offset
        place = [f"{float(v) - o:.2f}" for v, o in zip(row[:3], less, strict=True)]
        rows.append(" ".join([*own, *place, *row[3:]]))
    head = f"HIERARCHY\nROOT {name}\n{{\nOFFSET 0 0 0\nCHANNELS {channels}\n{tree}\n}}"
    return "\n".join([head, *LINES[-15:-12], *rows]) + "\n"


def same_path(motion: Motion) -> None:
    own, want = (m.places_m()[:, m.roles["hips"]] for m in (motion, PLAIN))
    np.testing.assert_allclose(own - own[0], want - want[0], atol=1e-9)
    assert np.ptp(want[:, 2]) > 0.01 and np.ptp(want[:, 1]) > 0.3
    np.testing.assert_allclose(np.ptp(motion.root_m, axis=0), np.ptp(PLAIN.root_m, axis=0))


@pytest.mark.parametrize("name", ["Reference", "Armature", "mixamorig:Root"])
@pytest.mark.parametrize("root", ["none", "turns", "all"])
@pytest.mark.parametrize(
    ("offset", "kind"),
    [
        ((0, 0, 0), "replaced"),
        ((0, 92, 0), "replaced"),
        ((0, 92, 0), "added"),
        ((3, 90, 1), "added"),
    ],
)
def test_hips_under_a_root_keep_their_path(offset, kind, root, name):
    same_path(parse_bvh(wrapped(offset=offset, kind=kind, root=root, name=name), where="a"))


def test_positions_of_joints_below_the_hips_change_no_bone() -> None:
    spot = "JOINT LeftKnee\n    {\n      OFFSET 0 -42 0\n      CHANNELS "
    text = "\n".join(LINES[:-12])
    assert spot in text
    text = text.replace(f"{spot}3 {TURNS}", f"{spot}6 {PLACES} {TURNS}")
    rows = [" ".join([*row[:9], "1", "-43", "2", *row[9:]]) for row in ROWS]
    motion = parse_bvh("\n".join([text, *rows]) + "\n", where="a")
    np.testing.assert_array_equal(motion.offsets_m, PLAIN.offsets_m)
    np.testing.assert_array_equal(motion.rotations, PLAIN.rotations)
    np.testing.assert_array_equal(motion.root_m, PLAIN.root_m)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends_of_other_systems(tmp_path, encoding: str, newline: str) -> None:
    text = "\n".join(LINES) + "\n"
    if encoding != "ascii":
        text = re.sub(r"JOINT LeftToe", "JOINT Zehe_ü", text)
    path = tmp_path / "a.bvh"
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    np.testing.assert_array_equal(read_bvh(path).root_m, PLAIN.root_m)
