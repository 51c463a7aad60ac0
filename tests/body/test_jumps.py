"""Recordings that jump: what no joint can do is refused by line, what people can do is read."""

import re

import numpy as np
import pytest
from walk_bvh import walk_bvh

from synthstudio.body.bvh import parse_bvh
from synthstudio.core.errors import AssetError

FRAMES = 60
WALK = walk_bvh(frames=FRAMES).splitlines()
START = len(WALK) - FRAMES
NAMES = re.findall(r"(?:ROOT|JOINT) (\w+)", "\n".join(WALK))
RATES = (30.0, 60.0, 120.0)


def rows(turns: dict[str, np.ndarray], *, fps: float) -> list[str]:
    """Return the walk's lines with some joints' angles (F, 3) about z, x, y added, degrees."""
    values = np.array([line.split() for line in WALK[START:]], float)
    for joint, own in turns.items():
        at = 3 + 3 * NAMES.index(joint)
        values[:, at : at + 3] += own
    head = [line.replace("0.033333", f"{1 / fps:.6f}") for line in WALK[:START]]
    return head + [" ".join(f"{v:.2f}" for v in row) for row in values]


def parsed(turns: dict[str, np.ndarray], *, fps: float = 30.0):
    return parse_bvh("\n".join(rows(turns, fps=fps)), where="walk.bvh")


def about(axis: str, curve: np.ndarray) -> np.ndarray:
    out = np.zeros((FRAMES, 3))
    out[:, "zxy".index(axis)] = curve
    return out


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("joint", ["Hips", "LeftKnee", "RightElbow", "LeftShoulder", "Chest2"])
def test_flips_by_thousands_of_degrees_name_line_and_joint(joint, fps):
    flips = np.zeros(FRAMES)
    flips[20:40:2] = 10_000
    with pytest.raises(AssetError) as error:
        parsed({joint: about("x", flips)}, fps=fps)
    told = str(error.value)
    assert told.startswith(f"walk.bvh:{START + 20 + 1}: a joint jumps as none can")
    assert re.search(rf"got {joint} turns \d\d degrees within .* s before frame 21;", told)
    assert "whole file: 20" in told and "Mend those frames" in told


def test_a_joint_that_stays_turned_jumped_too():
    stays = np.where(np.arange(FRAMES) < 30, 0.0, 170.0)
    with pytest.raises(AssetError, match=r"LeftKnee turns 1[67]\d degrees.* file: 1\."):
        parsed({"LeftKnee": about("x", stays)})


def test_whole_turns_are_the_same_pose():
    """Angles may run on, or start again at 180: a file's own number is no matter."""
    whole = 360.0 * np.array([(7 * k * k) % 57 - 28 for k in range(FRAMES)])
    own = parsed({})
    other = parsed({joint: about("x", whole) for joint in NAMES})
    np.testing.assert_allclose(other.rotations, own.rotations, atol=1e-9)
