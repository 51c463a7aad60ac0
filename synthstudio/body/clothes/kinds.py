"""Designs of garments: cut, compiled and cached."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from synthstudio.body.clothes.cloth import Cloth, compiled
from synthstudio.body.clothes.garment_mesh import Basis, all_corners
from synthstudio.body.clothes.garment_table import FIT, GARMENTS
from synthstudio.body.clothes.tailor import Tailored
from synthstudio.core.scene import Bool
from synthstudio.core.spec import GarmentSpec

_DESIGNS = 480  # a data set has some 130 in each detail, with all hair cuts and hats 240
_HIDE_SKIN_M = 0.02  # skin this far inside a garment is not drawn
_SHOW_INNER_M = 0.030  # an inner garment this far under an outer one is not drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """A garment that is cut and compiled; it fits every person and pose."""

    cloths: tuple[Cloth, ...]
    tailored: Tailored
    thick_m: float  # how far it reaches off the shoulders
    hides: Bool  # (body F,) skin well inside the garment


def design(base: Basis, garment: GarmentSpec) -> Design:
    """Return the cut of a garment, one of the last `_DESIGNS` if it is among them."""
    cut_by = tuple((k, round(v, 6)) for k, v in sorted(garment.shape.items()) if k != FIT)
    return designed(base, garment.kind, cut_by)


@functools.lru_cache(maxsize=_DESIGNS)
def designed(base: Basis, kind: str, shape: tuple[tuple[str, float], ...]) -> Design:
    tailored = GARMENTS[kind].cut(base, dict(shape))
    hidden = (tailored.hides or tailored.inside)(base.places)
    cloths = tuple(compiled(base, piece) for piece in tailored.pieces)
    return Design(
        cloths=cloths,
        tailored=tailored,
        thick_m=max(_thick_m(cloth) for cloth in cloths),
        hides=all_corners(hidden > _HIDE_SKIN_M, base.atlas.body_faces),
    )


def _thick_m(cloth: Cloth) -> float:
    x, _, z = cloth.where.at[: len(cloth.offset_m)].T  # without what panels cut
    high = (z > 0.30) & (z < 0.53) & (np.abs(x) < 0.20)
    return float(cloth.offset_m[high].max()) if high.any() else 0.0


def drawn_faces(made: Design, place: int, outer: list[Design]) -> Bool:
    """Return the faces of a piece not certainly hidden by outer garments."""
    cloth = made.cloths[place]
    drawn = np.ones(len(cloth.all_faces), bool)
    for over in outer:
        drawn &= ~_under(made, place, over)
    return drawn


@functools.lru_cache(maxsize=4 * _DESIGNS)
def _under(made: Design, place: int, over: Design) -> Bool:
    cloth = made.cloths[place]
    inside = over.tailored.inside(cloth.where)
    deep = np.concatenate([inside, inside[cloth.rim[:, 0]]]) > _SHOW_INNER_M
    return all_corners(deep, cloth.all_faces)
