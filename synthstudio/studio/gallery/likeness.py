"""Poses side by side: who stands alike, and a map on which alike poses lie close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
LEAST_JOINTS = 6
"""Joints that two people must both have to be compared."""


def normalised(joints_px: NDArray[np.floating]) -> F64:
    """Poses (P, J, 2) about the mean of their known joints, whose mean distance to it is one.

    NaN where a joint is unknown, and for all joints of somebody with fewer than LEAST_JOINTS.
    """
    poses = joints_px.astype(np.float64)
    known = np.isfinite(poses[..., 0]) & np.isfinite(poses[..., 1])
    count = np.maximum(known.sum(1), 1)[:, None]
    poses = np.where(known[..., None], poses, 0)
    poses -= (poses.sum(1) / count)[:, None]
    size = np.where(known, np.linalg.norm(poses, axis=2), 0).sum(1) / count[:, 0]
    enough = (known.sum(1) >= LEAST_JOINTS) & (size > 0)
    fine = known & enough[:, None]
    return np.where(fine[..., None], poses / np.maximum(size, 1e-9)[:, None, None], np.nan)


def distances(poses: F64, row: int) -> F64:
    """(P,) the mean distance of joints that both have, of everybody to one person.

    `poses`: as `normalised` returns them. NaN for people with fewer than LEAST_JOINTS in common.
    """
    apart = np.linalg.norm(poses - poses[row], axis=2)
    common = np.isfinite(apart)
    enough = common.sum(1) >= LEAST_JOINTS
    total = np.where(common, apart, 0).sum(1)
    return np.where(enough, total / np.maximum(common.sum(1), 1), np.nan)


def pose_map(poses: F64) -> F64:
    """Places (P, 2) by the two first principal components of poses; NaN for who has no pose.

    Unknown joints count as those of the mean pose. Signs are fixed: the largest weight of each
    component is positive.
    """
    there = np.isfinite(poses).any((1, 2))
    places = np.full((len(poses), 2), np.nan)
    if not there.any():
        return places
    flat = poses[there].reshape(int(there.sum()), -1)
    known = np.isfinite(flat)
    mean = np.where(known, flat, 0).sum(0) / np.maximum(known.sum(0), 1)
    offsets = np.where(known, flat - mean, 0)
    axes = np.linalg.eigh(offsets.T @ offsets)[1][:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
    places[there] = offsets @ axes
    return places
