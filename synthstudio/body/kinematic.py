"""Rotation centres: joints moved only by bones, so that bone lengths are constant.

The joints that labels are named after (`BareBody.joints_m`) are regressed from the posed surface:
they lie where a person points at the limb, and slide along it as the skin stretches. Those of this
module are carried rigidly. A joint about which a bone turns is that bone's head. One about which
nothing turns is the regressed place on the unposed body, carried by the bone it lies on; so toes
are those of a foot whose toes are straight.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthstudio.body.landmarks import KINDS
from synthstudio.body.poses import BONES, Chain
from synthstudio.core.arrays import F32, F64
from synthstudio.core.skeleton import joint_kind


def rest_points(chain: Chain, regressed_m: F64, joints: Sequence[str]) -> F64:
    """(K, 3) the joints of an unposed body, of which `regressed_m` (K, 3) are the regressed."""
    bones, centre = _bones(tuple(joints))
    return np.where(centre, chain.heads_m[bones], regressed_m)


def moved(transforms: F32, points_m: F64, joints: Sequence[str]) -> F64:
    """(K, 3) those points where the skinning transforms (B, 3, 4) of a pose carry them."""
    each = transforms[_bones(tuple(joints))[0]].astype(np.float64)
    return np.asarray((each[:, :, :3] @ points_m[:, :, None])[:, :, 0] + each[:, :, 3])


@functools.cache
def _bones(joints: tuple[str, ...]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """(K,) the place in BONES of the bone that moves each joint, (K, 1) whether it is its head."""
    centre = np.array([[KINDS[joint_kind(joint)].centre] for joint in joints])
    return np.array([BONES.index(_bone(joint)) for joint in joints]), centre


def _bone(joint: str) -> str:
    bone = KINDS[joint_kind(joint)].bone
    return bone if bone in BONES else f"{bone}.{'L' if joint.startswith('left_') else 'R'}"
