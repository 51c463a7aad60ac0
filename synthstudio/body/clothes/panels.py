"""Parts of a garment in its second material, and what is drawn on cloth: same cut, other faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, GarmentMesh, Places, places, scored
from synthstudio.body.clothes.tailor import Field
from synthstudio.core.scene import F32


def resampled(cut: Cut, weave: GarmentMesh, p: Places, base: Basis) -> Cut:
    """Return `cut` on a finer weave: its values are taken from the nearest old vertices."""
    old = places(base.atlas, cut.weave.rows)
    near = cKDTree(old.at).query(p.at)[1]
    return replace(
        cut,
        weave=weave,
        offset_m=cut.offset_m[near],
        min_m=cut.min_m[near],
        hang=None if cut.hang is None else cut.hang[near],
        level_hem=None if cut.level_hem is None else cut.level_hem[near],
    )


def panelled(base: Basis, cut: Cut, field: Field) -> Cut:
    """Return the cut with its faces where `field` is positive drawn in the other material."""
    return replace(cut, panel=field(places(base.atlas, cut.weave.rows)))


def pocketed(base: Basis, cut: Cut, field: Field, *, thick_m: float) -> Cut:
    """Return the cut with pockets sewn on where `field` is positive, and a dark line round them."""
    line_m = 0.004
    weave = cut.weave
    for at_m in (0.0, line_m):
        p = places(base.atlas, weave.rows)
        weave = scored(weave, (field(p) - at_m).astype(np.float32))
    p = places(base.atlas, weave.rows)
    depth = field(p)
    made = resampled(cut, weave, p, base)
    offset = made.offset_m + thick_m * (depth > 0.5 * line_m)
    seam = np.clip(1 - np.abs(depth - 0.5 * line_m) / line_m, 0, 1)
    tint: F32 = np.repeat((1 - 0.45 * seam)[:, None], 3, axis=1).astype(np.float32)
    return replace(made, offset_m=offset.astype(np.float32), tint=tint)
