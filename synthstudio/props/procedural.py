"""Things built from their true size: the table of kinds, and the way from a spec to surfaces."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from synthstudio.core.catalogue import ThingKind
from synthstudio.core.errors import RecipeError, explain
from synthstudio.core.scene import Surface
from synthstudio.core.spec import Material, Pattern, ThingSpec, Vec3
from synthstudio.props import furniture, plants, street
from synthstudio.props.shapes import Piece, joined, lengths

MAX_SIDE_M = 50.0
LEAST_SEAT_M = 0.34
"""Seats lower than this are squashed: their legs and aprons need some height."""
Builder = Callable[[Vec3, dict[str, float]], list[Piece]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of thing: who builds it, which sizes are natural, what it is made of."""

    build: Builder
    low_m: Vec3
    high_m: Vec3
    materials: tuple[Material, ...]  # what it is made of when a spec names nothing
    patterns: tuple[Pattern, ...]
    roles: tuple[str, ...] = ("occluder", "scenery")
    shape: tuple[str, ...] = ()  # the names that ThingSpec.shape may hold


def _of(
    rgb: Vec3, pattern: Pattern = "plain", *, scale_m: float = 0.1, rough: float = 0.7
) -> Material:
    dark = (rgb[0] * 0.55, rgb[1] * 0.55, rgb[2] * 0.55)
    return Material(
        base_rgb=rgb, second_rgb=dark, pattern=pattern, scale_m=scale_m, roughness=rough
    )


_WOOD = _of((0.34, 0.2, 0.1), "wood", scale_m=0.12, rough=0.6)
_PALE_WOOD = _of((0.55, 0.4, 0.24), "wood", scale_m=0.12, rough=0.55)
_STEEL = _of((0.33, 0.34, 0.36), rough=0.35)
_BLACK = _of((0.03, 0.03, 0.035), rough=0.5)
_WHITE = _of((0.78, 0.78, 0.75), rough=0.5)
_LEAF = _of((0.07, 0.2, 0.045), rough=0.6)
_EARTH = _of((0.06, 0.04, 0.025), rough=0.95)
_BRICK = _of((0.42, 0.16, 0.1), "bricks", scale_m=0.24, rough=0.9)
_STONE = _of((0.48, 0.46, 0.42), "concrete", scale_m=0.4, rough=0.9)
_ORANGE = _of((0.85, 0.16, 0.02), rough=0.55)
_CLOTH_BLUE = _of((0.08, 0.16, 0.34), rough=0.9)
_RED = _of((0.5, 0.03, 0.03), rough=0.4)
_CARTON = _of((0.45, 0.3, 0.17), rough=0.9)
_TAPE = _of((0.55, 0.42, 0.22), rough=0.35)
_TERRACOTTA = _of((0.48, 0.19, 0.1), rough=0.85)
_SEAT: tuple[str, ...] = ("occluder", "scenery", "seat")
_TIMBER: tuple[Pattern, ...] = ("wood", "planks", "plain")

KINDS: dict[str, Kind] = {
    "crate": Kind(
        build=furniture.crate, low_m=(0.4, 0.35, 0.3), high_m=(1.2, 1.0, 1.1),
        materials=(_PALE_WOOD,), patterns=("wood", "plain"), roles=_SEAT,
    ),
    "cardboard_box": Kind(
        build=furniture.cardboard_box, low_m=(0.3, 0.25, 0.2), high_m=(0.9, 0.7, 1.0),
        materials=(_CARTON, _TAPE), patterns=("plain",),
    ),
    "pole": Kind(
        build=street.pole, low_m=(0.05, 0.05, 0.9), high_m=(0.3, 0.3, 3.5),
        materials=(_STEEL,), patterns=("plain", "stripes", "concrete"),
    ),
    "fence": Kind(
        build=street.fence, low_m=(1.0, 0.05, 0.7), high_m=(3.5, 0.08, 1.5),
        materials=(_PALE_WOOD,), patterns=("wood", "plain"), shape=("slat_m", "gap_m"),
    ),
    "low_wall": Kind(
        build=street.low_wall, low_m=(1.0, 0.2, 0.4), high_m=(3.5, 0.4, 1.2),
        materials=(_BRICK, _STONE), patterns=("bricks", "concrete", "tiles", "plain"),
    ),
    "table": Kind(
        build=furniture.table, low_m=(0.8, 0.6, 0.68), high_m=(2.0, 1.0, 0.95),
        materials=(_WOOD, _WOOD), patterns=_TIMBER,
    ),
    "chair": Kind(
        build=furniture.chair, low_m=(0.4, 0.42, 0.8), high_m=(0.52, 0.54, 1.0),
        materials=(_WOOD, _PALE_WOOD), patterns=_TIMBER, roles=_SEAT, shape=("seat_height_m",),
    ),
    "stool": Kind(
        build=furniture.stool, low_m=(0.32, 0.32, 0.42), high_m=(0.42, 0.42, 0.75),
        materials=(_WOOD, _STEEL), patterns=("wood", "plain"), roles=_SEAT,
    ),
    "sofa": Kind(
        build=furniture.sofa, low_m=(0.9, 0.8, 0.78), high_m=(2.2, 0.95, 0.95),
        materials=(_CLOTH_BLUE, _CLOTH_BLUE, _BLACK),
        patterns=("plain", "stripes", "plaid", "knit"), roles=_SEAT, shape=("seat_height_m",),
    ),
    "bench": Kind(
        build=street.bench, low_m=(1.0, 0.4, 0.42), high_m=(2.0, 0.6, 0.9),
        materials=(_WOOD, _BLACK), patterns=_TIMBER, roles=_SEAT, shape=("seat_height_m",),
    ),
    "bookcase": Kind(
        build=furniture.bookcase, low_m=(0.6, 0.26, 0.9), high_m=(1.4, 0.4, 2.1),
        materials=(_PALE_WOOD, _RED, _CLOTH_BLUE), patterns=("wood", "plain"),
    ),
    "counter": Kind(
        build=furniture.counter, low_m=(1.0, 0.5, 0.85), high_m=(2.6, 0.75, 1.1),
        materials=(_WHITE, _WOOD, _STEEL), patterns=("plain", "wood", "planks", "tiles"),
    ),
    "door": Kind(
        build=furniture.door, low_m=(0.8, 0.08, 1.9), high_m=(1.1, 0.16, 2.2),
        materials=(_WHITE, _PALE_WOOD, _STEEL), patterns=_TIMBER,
    ),
    "divider": Kind(
        build=furniture.divider, low_m=(1.2, 0.25, 1.4), high_m=(2.1, 0.5, 1.9),
        materials=(_WOOD, _WHITE), patterns=("plain", "wood", "stripes", "dots"),
    ),
    "suitcase": Kind(
        build=furniture.suitcase, low_m=(0.34, 0.2, 0.75), high_m=(0.52, 0.34, 1.1),
        materials=(_RED, _BLACK), patterns=("plain",),
    ),
    "barrel": Kind(
        build=street.barrel, low_m=(0.4, 0.4, 0.6), high_m=(0.75, 0.75, 1.1),
        materials=(_WOOD, _STEEL), patterns=("planks", "wood", "plain"),
    ),
    "pillar": Kind(
        build=street.pillar, low_m=(0.3, 0.3, 1.8), high_m=(0.6, 0.6, 3.2),
        materials=(_STONE,), patterns=("concrete", "plain"),
    ),
    "traffic_cone": Kind(
        build=street.traffic_cone, low_m=(0.28, 0.28, 0.45), high_m=(0.5, 0.5, 1.0),
        materials=(_ORANGE, _WHITE), patterns=("plain",),
    ),
    "sign_board": Kind(
        build=street.sign_board, low_m=(0.5, 0.08, 1.4), high_m=(1.6, 0.14, 2.4),
        materials=(_RED, _WHITE, _STEEL), patterns=("plain", "stripes", "checks"),
    ),
    "umbrella": Kind(
        build=street.umbrella, low_m=(1.6, 1.6, 2.0), high_m=(2.8, 2.8, 2.6),
        materials=(_ORANGE, _PALE_WOOD), patterns=("plain", "stripes"),
    ),
    "bicycle_rack": Kind(
        build=street.bicycle_rack, low_m=(1.2, 0.5, 0.7), high_m=(3.0, 0.9, 0.95),
        materials=(_STEEL,), patterns=("plain",),
    ),
    "railing": Kind(
        build=street.railing, low_m=(1.2, 0.05, 0.8), high_m=(3.5, 0.08, 1.15),
        materials=(_BLACK,), patterns=("plain",),
    ),
    "bin": Kind(
        build=street.bin_, low_m=(0.35, 0.35, 0.6), high_m=(0.6, 0.6, 1.1),
        materials=(_STEEL, _BLACK), patterns=("plain", "planks"),
    ),
    "potted_plant": Kind(
        build=plants.potted_plant, low_m=(0.5, 0.5, 0.7), high_m=(1.0, 1.0, 1.8),
        materials=(_TERRACOTTA, _EARTH, _LEAF), patterns=("plain",), shape=("variant",),
    ),
    "hedge": Kind(
        build=plants.hedge, low_m=(0.8, 0.35, 0.5), high_m=(2.5, 0.7, 1.5),
        materials=(_of((0.02, 0.05, 0.015), rough=0.95), _LEAF), patterns=("plain",),
        shape=("variant",),
    ),
    "shrub": Kind(
        build=plants.shrub, low_m=(0.6, 0.6, 0.6), high_m=(1.6, 1.6, 1.7),
        materials=(_of((0.02, 0.05, 0.015), rough=0.95), _WOOD, _LEAF), patterns=("plain",),
        shape=("variant",),
    ),
}  # fmt: skip


def kinds() -> tuple[ThingKind, ...]:
    """Return what a draw may choose, sorted by name."""
    return tuple(
        ThingKind(
            kind=name,
            size_low_m=kind.low_m,
            size_high_m=kind.high_m,
            materials=len(kind.materials),
            patterns=kind.patterns,
            roles=kind.roles,
            shape=kind.shape,
        )
        for name, kind in sorted(KINDS.items())
    )


def build(spec: ThingSpec, *, instance: int) -> tuple[Surface, ...]:
    """Return the thing where its spec puts it, a surface for each of its materials.

    Its extent before it is turned is exactly `size_m`, its base at z = position_m[2].
    RecipeError for an unknown kind, a senseless size, or a wrong number of materials.
    """
    kind = _checked(spec)
    materials = spec.materials or kind.materials
    c, s = math.cos(spec.yaw_rad), math.sin(spec.yaw_rad)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    surfaces = []
    for piece in _shaped(spec.kind, spec.size_m, tuple(sorted(spec.shape.items()))):
        surfaces.append(
            Surface(
                name=f"{spec.kind} {piece.slot}",
                instance=instance,
                vertices_m=(piece.vertices @ turn.T + np.array(spec.position_m)).astype(np.float32),
                faces=piece.faces.astype(np.int32),
                coords=piece.coords.astype(np.float32),
                material=materials[piece.slot],
                normals=(piece.normals @ turn.T).astype(np.float32),
                two_sided=piece.two_sided,
            )
        )
    return tuple(surfaces)


def seat_height_m(spec: ThingSpec) -> float:
    """Return how high above its base one sits on the thing."""
    _checked(spec)
    return _seat_height(spec.kind, spec.size_m, spec.shape)


def _seat_height(kind: str, size: Vec3, shape: dict[str, float]) -> float:
    backed = "seat_height_m" in KINDS[kind].shape
    if not backed or (kind == "bench" and not street.has_back(size, shape)):
        return size[2]
    return furniture.seat_height(size, shape)


def _checked(spec: ThingSpec) -> Kind:
    where = f"thing {spec.kind}"
    if spec.kind not in KINDS:
        raise RecipeError(
            explain("unknown kind of thing", where=where, expected=", ".join(sorted(KINDS)))
        )
    kind = KINDS[spec.kind]
    if not all(0.01 <= side <= MAX_SIDE_M for side in spec.size_m):
        raise RecipeError(
            explain(
                "a thing has a senseless size",
                where=where,
                expected=f"0.01 to {MAX_SIDE_M:g} m a side",
                got=str(spec.size_m),
            )
        )
    if spec.materials and len(spec.materials) != len(kind.materials):
        raise RecipeError(
            explain(
                "wrong number of materials",
                where=where,
                expected=f"{len(kind.materials)}, or none for its usual ones",
                got=str(len(spec.materials)),
            )
        )
    unknown = sorted(set(spec.shape) - set(kind.shape))
    if unknown:
        raise RecipeError(
            explain(
                f"unknown shape parameter {unknown[0]}",
                where=where,
                expected=", ".join(kind.shape) or "none",
            )
        )
    return kind


def _built(kind: str, size: Vec3, shape: dict[str, float]) -> list[Piece]:
    """Build the thing; one that is too low for its legs is built higher and squashed."""
    if "seat" not in KINDS[kind].roles:
        return KINDS[kind].build(size, shape)
    low = _seat_height(kind, size, shape)
    high = max(low, LEAST_SEAT_M)
    if low < size[2]:
        shape = shape | {"seat_height_m": high}
    pieces = KINDS[kind].build((size[0], size[1], size[2] + high - low), shape)
    return furniture.lowered(pieces, high, low) if high > low else pieces


@lru_cache(maxsize=64)
def _shaped(kind: str, size: Vec3, shape: tuple[tuple[str, float], ...]) -> tuple[Piece, ...]:
    """Return the thing at the origin, a piece a material; a search asks for the same again."""
    pieces = _built(kind, size, dict(shape))
    keys = sorted({(p.slot, p.two_sided) for p in pieces})
    merged = [joined([p for p in pieces if (p.slot, p.two_sided) == key]) for key in keys]
    return tuple(_fitted(merged, size))


def _fitted(pieces: list[Piece], size: Vec3) -> list[Piece]:
    """Stretch the whole to `size` exactly and put its base's centre at the origin."""
    # A column at a time: NumPy is slow over rows of three.
    columns = np.concatenate([p.vertices for p in pieces]).T.copy()
    low, high = columns.min(axis=1), columns.max(axis=1)
    scale = np.array(size) / (high - low)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    out = []
    for piece in pieces:
        normals = piece.normals / scale
        normals = normals / lengths(normals)[:, None]
        out.append(replace(piece, vertices=(piece.vertices - origin) * scale, normals=normals))
    return out
