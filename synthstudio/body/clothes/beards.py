"""Beards: patches of the lower face, raised a little. They grow out of the head and hide nothing
of it; the mouth stays free.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, Places, clipped, places, weave_of
from synthstudio.body.clothes.hair import head_faces, lumps, nowhere, tress
from synthstudio.body.clothes.tailor import Field, Shape, Tailored, step
from synthstudio.core.scene import F32, PARTS

FACE = sum(1 << PARTS.index(part) for part in ("head", "scalp", "neck"))
_MOUTH_Z_M = 0.580


def full_beard(base: Basis, shape: Shape) -> Tailored:
    """Jaw, chin, cheeks and upper lip, `length` metres at the chin."""
    piece, p = _patch(base, partial(_jaw, low_m=0.505))
    chin = step(p.at[:, 1], -0.07, -0.115) * step(p.at[:, 2], 0.575, 0.535)
    deep = 0.35 + 0.65 * chin
    return _beard(piece, p, 0.0015 + deep * shape["length"])


def goatee(base: Basis, shape: Shape) -> Tailored:
    """Chin and upper lip, joined round the mouth."""

    def inside(p: Places) -> F32:
        x, z = np.abs(p.at[:, 0]), p.at[:, 2]
        across = 0.034 - 0.25 * np.maximum(0.56 - z, 0) - x
        around = np.minimum(across, 0.602 - z)
        return np.asarray(np.minimum(np.minimum(around, z - 0.512), -0.085 - p.at[:, 1]))

    piece, p = _patch(base, inside)
    chin = step(p.at[:, 2], 0.57, 0.535)
    return _beard(piece, p, 0.0015 + (0.35 + 0.65 * chin) * shape["length"])


def moustache(base: Basis, shape: Shape) -> Tailored:
    """The upper lip alone, `width` metres to each side."""

    def inside(p: Places) -> F32:
        x, z = np.abs(p.at[:, 0]), p.at[:, 2]
        low = 0.584 - 0.35 * np.maximum(x - 0.012, 0)
        high = 0.603 - 0.25 * np.maximum(x - 0.010, 0)
        band = np.minimum(z - low, high - z)
        return np.asarray(np.minimum(np.minimum(band, shape["width"] - x), -0.09 - p.at[:, 1]))

    piece, p = _patch(base, inside)
    return _beard(piece, p, np.full(len(p.at), 0.0055))


def _jaw(p: Places, *, low_m: float) -> F32:
    """Return how far places lie inside the part of the face where a full beard grows."""
    x, y, z = np.abs(p.at[:, 0]), p.at[:, 1], p.at[:, 2]
    cheek = np.interp(
        x, (0.0, 0.016, 0.034, 0.055, 0.068, 0.08), (0.603, 0.602, 0.590, 0.592, 0.625, 0.66)
    )
    low = low_m + 0.35 * np.maximum(y + 0.10, 0)
    front = -0.040 - y - 0.25 * np.maximum(z - 0.62, 0)
    return np.asarray(np.minimum(np.minimum(cheek - z, z - low), front))


def _patch(base: Basis, field: Field) -> tuple[Cut, Places]:
    """Return the face's skin where `field` is positive, without the lips."""
    atlas = base.atlas
    weave = weave_of(atlas, head_faces(base, ears=False), fine=base.fine)
    lips = np.asarray(weave.rows @ atlas.masks["lips"])
    p = places(atlas, weave.rows)
    mouth = 0.03 * (0.35 - lips)
    ragged = 0.0015 * np.sin(700 * p.at[:, 0] + 5 * np.sin(410 * p.at[:, 2]))
    weave = clipped(weave, np.minimum(field(p) + ragged, mouth).astype(np.float32))
    p = places(atlas, weave.rows)
    return tress(weave, p.at, 0.0, passes=1), p


def _beard(piece: Cut, p: Places, offset: F32) -> Tailored:
    offset = offset * (1 + 0.2 * lumps(1.7 * p.at))
    # Strands run down and outwards from the mouth.
    d = p.at - np.array((0.0, -0.06, _MOUTH_Z_M + 0.03))
    turn = np.arctan2(d[:, 0], -d[:, 1])
    coords = np.stack([np.cos(3 * turn), np.sin(3 * turn), -9 * d[:, 2]], 1).astype(np.float32)
    piece = replace(piece, offset_m=offset, covers=FACE, coords=coords)
    return Tailored(pieces=(piece,), inside=nowhere)
