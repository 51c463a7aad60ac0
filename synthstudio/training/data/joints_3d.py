"""The 3D joints that a network learns and is measured on: rotation centres, or regressed ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.people import kinematic_camera_m
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import KINEMATIC, Row
from synthstudio.training.config import Joints3D

F32 = NDArray[np.float32]


def root_relative(person: Row, frame: Row, skeleton: Skeleton, joints_3d: Joints3D) -> F32:
    """3D joints (J, 3) in camera axes, relative to the midpoint of the hips; NaN unknown."""
    hips = [skeleton.joints.index(n) for n in ("left_hip", "right_hip") if n in skeleton.joints]
    places = person["joints_camera_m"]
    if joints_3d == "kinematic":
        xyz = kinematic_camera_m(person, frame)
    else:
        xyz = np.full(3 * len(person["state"]), np.nan) if places is None else np.array(places)
        xyz = xyz.astype(np.float64).reshape(-1, 3)
    if len(hips) != 2:
        return np.full(xyz.shape, np.nan, np.float32)
    return np.asarray((xyz - xyz[hips].mean(0)).astype(np.float32))


def missing_centres(dataset: Dataset, xyz_m: F32) -> tuple[str, ...]:
    """A note on people (N, J, 3) with 3D joints, but without rotation centres."""
    missing = int((~np.isfinite(xyz_m)).all((1, 2)).sum())
    columns = ["joints_camera_m", KINEMATIC]
    if not missing or not any(
        (batch[0].is_valid().to_numpy(False) & batch[1].is_null().to_numpy(False)).any()
        for batch in dataset.iter_batches("instances", columns)
    ):
        return ()
    return centres_note(missing, len(xyz_m))


def centres_note(missing: int, people: int) -> tuple[str, ...]:
    """A note on `missing` of so many people without rotation centres; none without any."""
    if not missing:
        return ()
    return (
        f"{missing} of {people} people lack {KINEMATIC}: nothing in 3D is learnt from them or "
        "measured on them. Make the set again, or set joints_3d: regressed",
    )
