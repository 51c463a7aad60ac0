"""Beards, and wear of the face: glasses, sunglasses, goggles, a medical mask.

Beards are patches of the lower face, raised a little: they grow out of the head and hide nothing
of it; the mouth stays free. Rims are thin and their glass is not drawn, so glasses hide nothing of
the head. Sunglasses and masks do: what of eyes and nose lies behind them is hidden by the own body,
as under hair.
"""

from dataclasses import replace

import numpy as np
from scipy import sparse

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import (
    Basis,
    GarmentMesh,
    Places,
    anchored,
    clipped,
    places,
    weave_of,
)
from synthstudio.body.clothes.hair import SCALP, head_faces, lumps, nowhere, tress
from synthstudio.body.clothes.tailor import Field, Shape, Tailored, sheet, step, tube
from synthstudio.core.arrays import F32, F64, I32, Intp
from synthstudio.core.scene import PARTS

FACE = sum(1 << PARTS.index(part) for part in ("head", "scalp", "neck"))
_MOUTH_Z_M = 0.580
_EYE_M = np.array((0.0297, -0.1076, 0.6487))  # middle of the left eyeball
_LENS_Y_M = -0.0335  # of the lenses from the eyes' middles
_EAR_M = np.array((0.0800, -0.0330, 0.6560))  # where the left temple lies on its ear
_HOOK_M = np.array((0.0, 0.022, -0.010))  # from there to a temple's end
_ROUND, _SQUARE = 2.0, 4.0  # exponents of a lens's outline


def glasses(base: Basis, shape: Shape) -> Tailored:
    """Two rims, a bridge and temples; the glass is not drawn."""
    pieces = _frame(base, shape, thick_m=shape["rim"])
    return Tailored(pieces=tuple(replace(p, covers=FACE) for p in pieces), inside=nowhere)


def sunglasses(base: Basis, shape: Shape) -> Tailored:
    """Glasses with dark lenses, of the second material."""
    lenses = [
        replace(_piece(base, *_disc(_outline(side, shape), fine=base.fine), side), second=True)
        for side in (1, -1)
    ]
    return Tailored(pieces=(*_frame(base, shape, thick_m=0.0019), *lenses), inside=nowhere)


def goggles(base: Basis, shape: Shape) -> Tailored:
    """One wide rim round both eyes, and a band round the head; the window is not drawn."""
    turn = np.linspace(0, 2 * np.pi, 44, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    radius = (np.abs(c) ** 3 + np.abs(s) ** 3) ** (-1 / 3)
    x, z = 0.068 * radius * c, 0.034 * radius * s
    z = z + 0.013 * np.exp(-((x / 0.014) ** 2)) * (s < 0)  # over the nose
    ring = np.stack([x, _EYE_M[1] - 0.044 + 7.5 * x**2, _EYE_M[2] + z], 1)
    rim = tube(ring.astype(np.float32), np.full(44, shape["rim"]), columns=6, closed=True)
    angle = np.linspace(-0.65 * np.pi, 0.65 * np.pi, 33)
    x, y = 0.085 * np.sin(angle), 0.107 * np.cos(angle) - 0.022
    band = np.stack([x, y, np.full(33, _EYE_M[2])], 1)
    band = np.concatenate([ring[22:23], band, ring[:1]])  # from the rim's one side to the other
    strap = tube(band.astype(np.float32), np.full(len(band), 0.004), columns=6)
    pieces = [_piece(base, *rim, 0), replace(_piece(base, *strap, 0), second=True)]
    return Tailored(pieces=tuple(replace(p, covers=FACE) for p in pieces), inside=nowhere)


def medical_mask(base: Basis, shape: Shape) -> Tailored:
    """From the bridge of the nose to under the chin, with loops to the ears."""
    columns, rows = (29, 19) if base.fine else (15, 10)
    across, down = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(0, 1, rows))
    edge = np.abs(across)
    # Nose, lips and chin as the template has them, spanned in between.
    front = np.interp(down, (0, 0.25, 0.5, 0.8, 1), (-0.136, -0.153, -0.150, -0.147, -0.124))
    side = np.interp(down, (0, 0.4, 0.8, 1), (-0.094, -0.080, -0.062, -0.066))
    bow = np.cos(np.pi / 2 * edge) ** 0.8
    high = shape["top"] - 0.010 * step(edge, 0.15, 0.9)
    low = 0.516 + 0.030 * step(edge, 0.3, 1.0)
    pleats = 0.0012 * np.sin(2 * np.pi * 3.5 * down) * step(edge, 1.0, 0.7)
    wide = np.interp(down, (0, 0.5, 1), (0.060, 0.068, 0.058))
    at = np.stack(
        [across * wide, side + (front - side) * bow - pleats, high + down * (low - high)], 2
    )
    k = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = k[:-1, :-1], k[:-1, 1:], k[1:, :-1], k[1:, 1:]
    faces = np.concatenate([np.stack(t, 2).reshape(-1, 3) for t in ((a, c, b), (b, c, d))])
    mask = anchored(base, at.reshape(-1, 3).astype(np.float32), faces, _face(base))
    cloth = _stiff(mask, min_m=0.0035, passes=3, rim_m=0.002)
    return Tailored(pieces=(cloth, *_loops(base, at)), inside=nowhere)


def _face(base: Basis) -> Intp:
    at = base.atlas.template_m[base.skin]
    head = base.atlas.vertex_part[base.skin] == PARTS.index("head")
    clear = base.atlas.masks["lips"][base.skin] < 0.2
    return np.asarray(base.skin[head & clear & (at[:, 1] < -0.05) & (at[:, 2] < 0.645)])


def _loops(base: Basis, sheet_m: F64) -> list[Cut]:
    out = []
    for column, side in ((-1, 1), (0, -1)):
        ear = _EAR_M * [side, 1, 1]
        corners = sheet_m[1, column], sheet_m[-2, column]
        back = ear + np.array((0.004 * side, 0.024, -0.022))
        nodes = np.stack(
            [corners[0], ear + np.array((0.003 * side, -0.01, 0.002)), back, corners[1]]
        )
        t = np.linspace(0, 3, 13)
        path = np.stack([np.interp(t, range(4), nodes[:, k]) for k in range(3)], 1)
        at, faces = tube(path.astype(np.float32), np.full(len(path), 0.0016), columns=4)
        out.append(replace(_piece(base, at, faces, side), covers=FACE))
    return out


# Frames ------------------------------------------------------------------------------------


def _outline(side: int, shape: Shape) -> F64:
    power = _ROUND + (_SQUARE - _ROUND) * shape["square"]
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    radius = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    half = shape["width"] / 2
    x = 0.0027 + radius * c * half
    z = -0.002 + radius * s * half * (0.88 - 0.12 * shape["square"])
    y = _LENS_Y_M + 0.55 * np.maximum(x, 0) ** 1.5 * 2.0
    return np.asarray(_EYE_M * [side, 1, 1] + np.stack([side * x, y, z], 1))


def _frame(base: Basis, shape: Shape, *, thick_m: float) -> list[Cut]:
    columns = 6 if base.fine else 4
    out = []
    for side in (1, -1):
        ring = _outline(side, shape)
        at, faces = tube(
            ring.astype(np.float32), np.full(len(ring), thick_m), columns=columns, closed=True
        )
        out.append(_piece(base, at, faces, side))
        outer = ring[np.argmax(side * ring[:, 0])] + [0, 0, 0.006]
        ear = _EAR_M * [side, 1, 1]
        path = np.stack([outer, outer + np.array((0.004 * side, 0.006, 0.0)), ear, ear + _HOOK_M])
        at, faces = tube(path.astype(np.float32), np.full(4, thick_m), columns=columns)
        out.append(_piece(base, at, faces, side))
    inner = [
        ring[np.argmin(np.abs(ring[:, 0]))] for ring in (_outline(1, shape), _outline(-1, shape))
    ]
    path = np.stack([inner[0], (inner[0] + inner[1]) / 2 + [0, -0.002, 0.002], inner[1]])
    at, faces = tube(path.astype(np.float32), np.full(3, thick_m), columns=columns)
    return [*out, _piece(base, at, faces, 0)]


def _disc(outline: F64, *, fine: bool) -> tuple[F32, I32]:
    ring = outline[:: 1 if fine else 2]
    count = len(ring)
    at = np.vstack([ring.mean(axis=0), ring]).astype(np.float32)
    i = np.arange(count, dtype=np.int32)
    return at, np.stack([0 * i, i + 1, (i + 1) % count + 1], 1).astype(np.int32)


def _stiff(weave: GarmentMesh, *, min_m: float = -1.0, passes: int = 0, rim_m: float = 0.0) -> Cut:
    """A mesh that skin moves only where it is nearer than `min_m`: by default never."""
    flat = {"folds_m": 0.0, "covers": SCALP, "level": False}
    return sheet(weave, 0.0, min_m, passes=passes, rim_m=rim_m, **flat)


def _piece(base: Basis, at: F32, faces: I32, side: int) -> Cut:
    """A stiff mesh whose vertices follow eyes and ears by how far back they lie.

    The mean of an eyeball's vertices does not move when it turns or a face makes an expression.
    """
    atlas = base.atlas
    eyes = {s: np.unique(atlas.groups[f"{n}_eye"]) for s, n in ((1, "left"), (-1, "right"))}
    ears = {
        s: base.skin[
            (atlas.masks["ears"][base.skin] > 0.5) & (s * atlas.template_m[base.skin, 0] > 0)
        ]
        for s in (1, -1)
    }
    own = (1, -1) if side == 0 else (side,)
    back = np.clip((at[:, 1] + 0.135) / 0.100, 0, 1)
    parts = [(v, share) for s in own for v, share in ((eyes[s], 1 - back), (ears[s], back))]
    columns = np.concatenate([vertices for vertices, _ in parts])
    blends = [
        np.outer(share / len(own), np.float32(1 / len(v)).repeat(len(v))) for v, share in parts
    ]
    where = np.repeat(np.arange(len(at)), len(columns)), np.tile(columns, len(at))
    weights = np.hstack(blends).astype(np.float32).ravel()
    rows = sparse.coo_array((weights, where), shape=(len(at), len(atlas.template_m))).tocsr()
    rows.eliminate_zeros()
    shift = (at - rows @ atlas.template_m).astype(np.float32)
    return _stiff(GarmentMesh(rows=rows, faces=faces.astype(np.int32), shift_m=shift))


# Beards ------------------------------------------------------------------------------------------


def full_beard(base: Basis, shape: Shape) -> Tailored:
    """Jaw, chin, cheeks and upper lip, `length` metres at the chin."""
    piece, p = _patch(base, _jaw)
    chin = step(p.y, -0.07, -0.115) * step(p.z, 0.575, 0.535)
    deep = 0.35 + 0.65 * chin
    return _beard(piece, p, 0.0015 + deep * shape["length"])


def goatee(base: Basis, shape: Shape) -> Tailored:
    """Chin and upper lip, joined round the mouth."""

    def inside(p: Places) -> F32:
        x, z = np.abs(p.x), p.z
        across = 0.034 - 0.25 * np.maximum(0.56 - z, 0) - x
        around = np.minimum(across, 0.602 - z)
        return np.asarray(np.minimum(np.minimum(around, z - 0.512), -0.085 - p.y))

    piece, p = _patch(base, inside)
    chin = step(p.z, 0.57, 0.535)
    return _beard(piece, p, 0.0015 + (0.35 + 0.65 * chin) * shape["length"])


def moustache(base: Basis, shape: Shape) -> Tailored:
    """The upper lip alone, `width` metres to each side."""

    def inside(p: Places) -> F32:
        x, z = np.abs(p.x), p.z
        low = 0.584 - 0.35 * np.maximum(x - 0.012, 0)
        high = 0.603 - 0.25 * np.maximum(x - 0.010, 0)
        band = np.minimum(z - low, high - z)
        return np.asarray(np.minimum(np.minimum(band, shape["width"] - x), -0.09 - p.y))

    piece, p = _patch(base, inside)
    return _beard(piece, p, np.full(len(p.at), 0.0055))


def _jaw(p: Places) -> F32:
    """How far places lie inside the part of the face where a full beard grows."""
    x, y, z = np.abs(p.x), p.y, p.z
    cheek = np.interp(
        x, (0.0, 0.016, 0.034, 0.055, 0.068, 0.08), (0.603, 0.602, 0.590, 0.592, 0.625, 0.66)
    )
    low = 0.505 + 0.35 * np.maximum(y + 0.10, 0)
    front = -0.040 - y - 0.25 * np.maximum(z - 0.62, 0)
    return np.asarray(np.minimum(np.minimum(cheek - z, z - low), front))


def _patch(base: Basis, field: Field) -> tuple[Cut, Places]:
    atlas = base.atlas
    weave = weave_of(atlas, head_faces(base, ears=False), fine=base.fine)
    lips = np.asarray(weave.rows @ atlas.masks["lips"])
    p = places(atlas, weave.rows)
    mouth = 0.03 * (0.35 - lips)
    ragged = 0.0015 * np.sin(700 * p.x + 5 * np.sin(410 * p.z))
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
