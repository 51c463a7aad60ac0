"""Where a garment's points lie in its cloth: rest metres across, through and along."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from synthstudio.body.clothes.weave import Places, along_chain
from synthstudio.core.scene import F32, F64

_HALF_WIDTH_M, _HALF_DEPTH_M = 0.155, 0.105  # of the trunk
_ARM_RADIUS_M, _LEG_RADIUS_M = 0.05, 0.08


def across_m(where: Places, mean: sparse.csr_array, *, trunk_only: bool, passes: int) -> F32:
    """Return (V,) metres round the trunk or limb; folded at flanks, so it has no seam."""
    x, y, z = where.at.T
    side = np.where(x < 0, -1, 1)
    trunk = _girth_m(_arc(x / _HALF_WIDTH_M, (y + 0.02) / _HALF_DEPTH_M))
    # Over the shoulders azimuths run together: straight across there.
    trunk = trunk + np.clip((z - 0.30) / 0.14, 0, 1) * (1.1 * x - trunk)
    elbow = np.clip((where.down_arm - 0.13) / 0.12, 0, 1)
    arm = _arc((z - 0.427 + 1.1 * (np.abs(x) - 0.165)), y + 0.015 + 0.07 * elbow) * _ARM_RADIUS_M
    leg = _arc(np.abs(x) - 0.11 - 0.075 * np.clip(-z / 0.8, 0, 1), y + 0.01) * _LEG_RADIUS_M
    on_arm, on_leg = on_limb(where.arm), 0 if trunk_only else on_limb(where.leg)
    out = (1 - on_arm) * ((1 - on_leg) * trunk + on_leg * side * (leg + 0.11)) + on_arm * arm
    for _ in range(passes):
        out = mean @ out
    made: F32 = out.astype(np.float32)
    return made


def _girth_m(angle: F32) -> F32:
    """Return the arc length of the trunk's ellipse from straight ahead to a parameter angle."""
    t = np.linspace(0, np.pi / 2, 91)
    speed = np.hypot(_HALF_WIDTH_M * np.cos(t), _HALF_DEPTH_M * np.sin(t))
    length = np.concatenate([[0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * (t[1] - t[0]))])
    made: F32 = np.sign(angle) * np.interp(np.abs(angle), t, length)
    return made


def _arc(x: F32, y: F32) -> F32:
    """Return the angle from straight ahead (-y), folded back beyond a quarter turn."""
    angle = np.arctan2(x, -y)
    folded = np.sign(angle) * (np.pi - np.abs(angle))
    return np.where(np.abs(angle) > np.pi / 2, folded, angle)


def on_limb(weight: F32) -> F32:
    """Return 0..1: how much of a limb a skinning weight (V,) makes a vertex."""
    t = np.clip((weight - 0.3) / 0.5, 0, 1)
    made: F32 = (t * t * (3 - 2 * t)).astype(np.float32)
    return made


def along_m(
    rest: F32, arm: F32, sleeves: tuple[NDArray[np.intp], NDArray[np.intp]], joints_m: F64
) -> F32:
    """Return (V,) metres up the trunk or a leg, or up a sleeve, of a person's rest shape (3, V).

    `arm` (V,) 0..1, `sleeves` the left and right vertices of which it is not 0, `joints_m`
    (2, 6, 3) the person's joints.
    """
    along: F32 = rest[2].copy()
    for mine, joints in zip(sleeves, joints_m, strict=True):
        if len(mine):
            chain = joints[:3]
            down = chain[0, 2] - along_chain(rest[:, mine].T, chain)
            along[mine] += arm[mine] * (down.astype(np.float32) - along[mine])
    return along
