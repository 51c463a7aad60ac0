"""Poses that somebody new begins with: of the set's own people, parted by the form of their box."""

from __future__ import annotations

import numpy as np

from synthstudio.core.skeleton import get_skeleton
from synthstudio.review.risk.people import PeopleTable
from synthstudio.studio.editor.ghosts import MOST, poses_of

JOINTS = 17


def table(px: np.ndarray, state: np.ndarray | None = None) -> PeopleTable:
    """Return a table of people with joints at px (P, J, 2)."""
    people = len(px)
    arrays = {
        "frame": np.zeros(people, np.int64),
        "px": px.transpose(1, 2, 0).reshape(2 * JOINTS, people).astype(np.float32),
        "state": np.full((JOINTS, people), 2, np.uint8) if state is None else state,
    }
    return PeopleTable(key="k" * 64, skeleton_name="coco17", arrays=arrays, names={})


def people(count: int, width: float, height: float) -> np.ndarray:
    at = np.abs(np.sin(np.arange(count * JOINTS * 2.0))).reshape(count, JOINTS, 2)
    px = at * (width, height) + 40
    px[:, 0], px[:, 1] = (40, 40), (40 + width, 40 + height)
    return px


def test_each_form_has_a_pose() -> None:
    px = np.concatenate([people(60, 40, 160), people(60, 200, 80)])
    found = poses_of(table(px))
    assert len(found) == MOST and len(get_skeleton("coco17").joints) == JOINTS
    assert sorted({round(pose["form"], 1) for pose in found}) == [0.2, 2.5]
    for pose in found:
        at = np.array(pose["at"])
        assert at.shape == (JOINTS, 2) and at.min() == 0 and at.max() == 1
        assert any(np.allclose(at, (p - 40) / np.ptp(p, axis=0), atol=0.001) for p in px)


def test_only_whole_people_count() -> None:
    px = people(4, 40, 160)
    px[0, 5] = np.nan
    state = np.full((JOINTS, 4), 2, np.uint8)
    state[3, 1] = 0  # outside
    px[2] = 40 + (px[2] - 40) / 10  # 16 px high
    (pose,) = poses_of(table(px, state))
    assert np.allclose(pose["at"], (px[3] - 40) / (40, 160), atol=0.001)
    assert poses_of(table(np.empty((0, JOINTS, 2)))) == ()
