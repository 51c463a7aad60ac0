"""Rotation centres of joints in Human3.6M's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exchange_sets import make_set

from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import KINEMATIC
from synthstudio.formats.export import export


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_set(tmp_path_factory.mktemp("new") / "set")


def test_human36m_holds_the_centres(new: Dataset, tmp_path: Path) -> None:
    made = export("h36m", new.folder, tmp_path / "out")
    arrays = np.load(made.annotations, allow_pickle=False)
    knee = arrays["joint_names"].tolist().index("left_knee")
    j = 3 * new.skeleton.joints.index("left_knee")
    held = 0
    for frame in new.iter_frames():
        m = np.reshape(frame["world_to_camera"], (4, 4))
        name = frame["file_name"]
        found = arrays["positions_3d"][arrays["image"] == name, knee]
        centres = [
            m[:3, :3] @ person[KINEMATIC][j : j + 3] + m[:3, 3]
            for person in new.instances(frame["index"])
        ]
        for place in found:
            assert min(np.abs(place - centre).max() for centre in centres) < 1e-9
        held += len(found)
    assert held == len(arrays["image"]) > 0
