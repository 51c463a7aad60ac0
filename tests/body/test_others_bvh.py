"""BVH files as other tools write them: roots above the hips, positions of any joint, encodings."""

import re

import numpy as np
import pytest
from walk_bvh import walk_bvh

from synthstudio.body.bvh import parse_bvh, read_bvh
from synthstudio.body.recording import Motion

PLACES = "Xposition Yposition Zposition"
TURNS = "Zrotation Xrotation Yrotation"
LINES = walk_bvh(frames=12).splitlines()
ROWS = [line.split() for line in LINES[-12:]]
PLAIN = parse_bvh("\n".join(LINES), where="plain")


def wrapped(
    *, offset: tuple[int, int, int], kind: str, root: str = "none", name: str = "Reference"
) -> str:
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
def test_hips_under_a_root_keep_their_path(
    offset: tuple[int, int, int], kind: str, root: str, name: str
) -> None:
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
