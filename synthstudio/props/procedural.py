"""Objects built from their true size: the table of kinds, and the way from a spec to surfaces."""

import importlib
import pkgutil
from dataclasses import replace
from functools import lru_cache

import numpy as np

from synthstudio.core.catalogue import SEAT_BELT, ObjectKind
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import Surface
from synthstudio.core.spec import ObjectSpec, Vec3
from synthstudio.props import objects
from synthstudio.props.objects import beds, furniture, street
from synthstudio.props.objects.kinds import KINDS, Kind
from synthstudio.props.objects.shapes import Piece, joined, lengths, turn_of

MIN_SIDE_M, MAX_SIDE_M = 0.003, 50.0
MIN_SEAT_M = 0.34
"""Seats lower than this are squashed: their legs and aprons need some height."""
_FOLDS_M = {"blanket": beds.FOLD_M, SEAT_BELT: 0.0}

for _module in pkgutil.iter_modules(objects.__path__):  # each registers its builders
    importlib.import_module(f"{objects.__name__}.{_module.name}")


def kinds() -> tuple[ObjectKind, ...]:
    """The kinds available to a draw, sorted by name."""
    return tuple(kind.listed for _, kind in sorted(KINDS.items()))


def build(spec: ObjectSpec, *, instance: int) -> tuple[Surface, ...]:
    """The object where its spec puts it, a surface for each of its materials.

    Its extent before it is turned is exactly `size_m`, its base at z = position_m[2].
    RecipeError for an unknown kind, a senseless size, or a wrong number of materials.
    """
    kind = _checked(spec)
    materials = spec.materials or kind.materials
    turn = turn_of(spec)
    shape = tuple(sorted(spec.shape.items()))
    return tuple(
        Surface(
            name=f"{spec.kind} {piece.slot}",
            instance=instance,
            vertices_m=(piece.vertices @ turn.T + np.array(spec.position_m)).astype(np.float32),
            faces=piece.faces.astype(np.int32),
            coords=piece.coords.astype(np.float32),
            material=materials[piece.slot],
            normals=(piece.normals @ turn.T).astype(np.float32),
            two_sided=piece.two_sided,
            casts_shadow=kind.casts_shadow,
        )
        for piece in _shaped(spec.kind, spec.size_m, shape, spec.heights_m)
    )


def _seat_height(kind: str, size: Vec3, shape: dict[str, float]) -> float:
    backed = "seat_height_m" in KINDS[kind].listed.shape
    if not backed or (kind == "bench" and not street.has_back(size[2], shape)):
        return size[2]
    return furniture.seat_height(size[2], shape)


def _checked(spec: ObjectSpec) -> Kind:
    where = f"object {spec.kind}"
    if spec.kind not in KINDS:
        raise RecipeError("unknown kind of object", where=where, expected=", ".join(sorted(KINDS)))
    kind = KINDS[spec.kind]
    if not all(MIN_SIDE_M <= side <= MAX_SIDE_M for side in spec.size_m):
        raise RecipeError(
            "an object has a senseless size",
            where=where,
            expected=f"{MIN_SIDE_M:g} to {MAX_SIDE_M:g} m a side",
            got=str(spec.size_m),
        )
    if spec.materials and len(spec.materials) != len(kind.materials):
        raise RecipeError(
            "wrong number of materials",
            where=where,
            expected=f"{len(kind.materials)}, or none for its usual ones",
            got=str(len(spec.materials)),
        )
    if spec.heights_m and spec.kind not in _FOLDS_M:
        raise RecipeError("only blankets and seat belts have heights_m", where=where)
    unknown = sorted(set(spec.shape) - set(kind.listed.shape))
    if unknown:
        raise RecipeError(
            f"unknown shape parameter {unknown[0]}",
            where=where,
            expected=", ".join(kind.listed.shape) or "none",
        )
    return kind


def _built(kind: str, size: Vec3, shape: dict[str, float]) -> list[Piece]:
    """Build the object; one that is too low for its legs is built higher and squashed."""
    if "seat" not in KINDS[kind].listed.roles:
        return KINDS[kind].build(size, shape)
    low = _seat_height(kind, size, shape)
    high = max(low, MIN_SEAT_M)
    if low < size[2]:
        shape = shape | {"seat_height_m": high}
    pieces = KINDS[kind].build((size[0], size[1], size[2] + high - low), shape)
    return furniture.lowered(pieces, high, low) if high > low else pieces


@lru_cache(maxsize=64)
def _shaped(
    kind: str,
    size: Vec3,
    shape: tuple[tuple[str, float], ...],
    heights_m: tuple[tuple[float, ...], ...],
) -> tuple[Piece, ...]:
    """The object at the origin, a piece a material; a search asks for the same again."""
    pieces = (
        beds.draped(size, heights_m, fold_m=_FOLDS_M[kind])
        if heights_m
        else _built(kind, size, dict(shape))
    )
    keys = sorted({(p.slot, p.two_sided) for p in pieces})
    merged = [joined([p for p in pieces if (p.slot, p.two_sided) == key]) for key in keys]
    return tuple(_fitted(merged, size))


def _fitted(pieces: list[Piece], size: Vec3) -> list[Piece]:
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
