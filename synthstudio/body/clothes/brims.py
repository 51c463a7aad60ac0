"""More hats: with brims, soft ones, caps for swimming, visors and headphones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, Places, anchored, clipped
from synthstudio.body.clothes.hair import nowhere, skull
from synthstudio.body.clothes.hats import brim, dome, hat, under
from synthstudio.body.clothes.panels import panelled
from synthstudio.body.clothes.tailor import Shape, Tailored, step, tube
from synthstudio.core.scene import F32, I32

_FRONT_M, _BACK_M = 0.704, 0.668
_ALL_ROUND = (500, 600)  # degrees beyond which a brim ends: never


def _brimmed(
    base: Basis, offset: F32, reach_m: float, droop: float, *, band: bool = False
) -> Tailored:
    """Return a crown `offset` (V,) off the head with a brim all round."""
    weave, p, _ = dome(base, _FRONT_M, _BACK_M)
    edge = brim(weave, p.at, (0.017, droop), reach_m=reach_m, fade_deg=_ALL_ROUND)
    crown = hat(weave, offset, passes=8)

    def ribbon(q: Places) -> F32:
        above = q.at[:, 2] - _FRONT_M - (q.at[:, 1] + 0.13) * (_BACK_M - _FRONT_M) / 0.19
        return (0.024 - above).astype(np.float32)

    crown = panelled(base, crown, ribbon) if band else crown
    return Tailored(
        pieces=(crown, hat(edge, np.zeros(edge.rows.shape[0]), passes=0, rim_m=0.003)),
        inside=partial(under, front_m=_FRONT_M, back_m=_BACK_M),
        hides=nowhere,
    )


def sun_hat(base: Basis, shape: Shape) -> Tailored:
    """Straw with a wide brim and a ribbon."""
    _, _, above = dome(base, _FRONT_M, _BACK_M)
    offset = 0.019 + 0.006 * step(above, 0.0, 0.05)
    return _brimmed(base, offset, shape["brim"], 0.22, band=True)


def bucket_hat(base: Basis, shape: Shape) -> Tailored:
    """Soft, with a brim that falls."""
    _, _, above = dome(base, _FRONT_M, _BACK_M)
    offset = 0.019 + 0.008 * step(above, 0.0, 0.03) * step(above, 0.11, 0.08)
    return _brimmed(base, offset, shape["brim"], 0.95)


def fedora(base: Basis, shape: Shape) -> Tailored:
    """Felt: a high crown with a crease, a ribbon and a stiff brim."""
    _, p, above = dome(base, _FRONT_M, _BACK_M)
    x, y, _ = p.at.T
    high = step(above, 0.02, 0.07)
    crease = np.exp(-((x / 0.022) ** 2)) * step(above, 0.05, 0.08)
    pinch = np.exp(-(((np.abs(x) - 0.05) / 0.02) ** 2)) * step(y, -0.06, -0.10) * high
    offset = 0.019 + 0.032 * high - 0.026 * crease - 0.012 * pinch
    return _brimmed(base, offset, shape["brim"], 0.05, band=True)


def beret(base: Basis, shape: Shape) -> Tailored:
    """A flat round of felt that leans to one side."""
    weave, p, above = dome(base, 0.712, 0.664)
    x, y, _ = p.at.T
    wide = np.exp(-(((above - 0.045) / 0.030) ** 2))
    lean = 1 + 0.55 * np.clip(x / 0.08, -1, 1) + 0.25 * np.clip(y / 0.08, -1, 1)
    offset = 0.006 + shape["wide"] * wide * lean
    return Tailored(
        pieces=(hat(weave, offset, passes=6, rim_m=0.010),),
        inside=partial(under, front_m=0.712, back_m=0.664),
        hides=nowhere,
    )


def turban(base: Basis, shape: Shape) -> Tailored:
    """Cloth wound round the head, to a point above the brow."""
    weave, p, above = dome(base, 0.700, 0.640)
    x, y, z = p.at.T
    wound = step(above, 0.0, 0.03) * step(above, 0.15, 0.09)
    folds = np.sin(2 * np.pi * (z + 0.75 * np.abs(x) * step(y, 0.05, -0.02)) / 0.026)
    offset = 0.014 + shape["thick"] * wound + 0.0055 * folds * wound
    shade = 1 - 0.30 * np.clip(-folds, 0, 1) * wound
    cut = hat(weave, offset, passes=2, rim_m=0.010)
    cut = replace(cut, tint=np.repeat(shade[:, None], 3, axis=1).astype(np.float32))
    return Tailored(
        pieces=(cut,),
        inside=partial(under, front_m=0.700, back_m=0.640),
        hides=nowhere,
    )


def visor(base: Basis, shape: Shape) -> Tailored:
    """A band and a peak; the top of the head is free."""
    weave, p, above = dome(base, 0.702, 0.668)
    edge = brim(weave, p.at, (0.012, 0.45), reach_m=shape["peak"], fade_deg=(42, 72))
    band = clipped(weave, (0.030 - above).astype(np.float32))
    return Tailored(
        pieces=(
            hat(band, np.full(band.rows.shape[0], 0.0150), passes=8),
            hat(edge, np.zeros(edge.rows.shape[0]), passes=0, rim_m=0.003),
        ),
        inside=nowhere,
        hides=nowhere,
    )


def swim_cap(base: Basis, shape: Shape) -> Tailored:
    """Close rubber down to the ears."""
    weave, _, _ = dome(base, 0.700, 0.618)
    cut = hat(weave, np.full(weave.rows.shape[0], 0.0085), passes=12, rim_m=0.003)
    return Tailored(
        pieces=(cut,), inside=partial(under, front_m=0.700, back_m=0.618), hides=nowhere
    )


def headphones(base: Basis, shape: Shape) -> Tailored:
    """A bow over the head and a pad on each ear."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 25)
    bow = np.stack(
        [0.098 * np.sin(turn), np.full_like(turn, -0.028), 0.668 + 0.112 * np.cos(turn)], 1
    )
    columns = 10 if base.fine else 6
    pieces = [_plain(base, *tube(bow, np.full(len(bow), 0.0065), columns=columns), second=False)]
    for side in (1.0, -1.0):
        deep = np.array((0.074, 0.080, 0.094, 0.104, 0.108))
        path = np.stack([side * deep, np.full(5, -0.026), np.full(5, 0.648)], 1)
        radius = shape["pad"] * np.array((0.95, 1.0, 1.0, 0.85, 0.02))
        pieces.append(_plain(base, *tube(path, radius, columns=2 * columns), second=True))
    return Tailored(pieces=tuple(pieces), inside=nowhere, hides=nowhere)


def _plain(base: Basis, at: F32, faces: I32, *, second: bool) -> Cut:
    weave = anchored(base, at, faces, skull(base))
    cut = hat(weave, np.zeros(len(at), np.float32), passes=0, rim_m=0.0)
    return replace(cut, second=second)
