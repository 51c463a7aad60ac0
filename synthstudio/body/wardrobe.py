"""Dressing a posed body: the catalogue of garments, hair and hats, and `dress`."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from synthstudio.body import makehuman
from synthstudio.body.atlas import Atlas, BareBody
from synthstudio.body.clothes.cloth import Cloth, compiled
from synthstudio.body.clothes.garment_mesh import Basis, all_corners, basis
from synthstudio.body.clothes.garment_table import FIT, GARMENTS, SKIN, Entry
from synthstudio.body.clothes.sew import Wearer, sewn, wearer_of
from synthstudio.body.clothes.tailor import Tailored
from synthstudio.body.skin import skin_surfaces, teeth, textured
from synthstudio.core.arrays import F32, U8, Bool
from synthstudio.core.catalogue import GarmentKind, Slot
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import stream
from synthstudio.core.scene import PARTS, Surface
from synthstudio.core.spec import GarmentSpec, Material, PersonSpec

__all__ = ["GARMENTS", "check_outfit", "dress", "garments"]

_UNDER_HAT = {"thick": 0.006, "volume": 0.006, "height": -0.02, "fringe": 0.0}
_HIDDEN = {"headscarf": "hair", "medical_mask": "beard"}
_LOOSE_UNDER = 0.8  # of cloth at most, where more is worn over it
_BUTTON_M, _BUTTON_CORNERS = 0.0055, 8
_FRONT = sum(1 << PARTS.index(part) for part in ("neck", "torso", "pelvis"))

_THICK_M = 0.01  # of the user's garments
_DESIGNS = 480  # a data set has some 130 in each detail, with all hair cuts and hats 240
_HIDE_SKIN_M = 0.02  # skin this far inside a garment is not drawn
_SHOW_INNER_M = 0.030  # an inner garment this far under an outer one is not drawn


def garments() -> tuple[GarmentKind, ...]:
    """Return the catalogue's garments, hair and hats, sorted by name."""
    return tuple(GARMENTS[name].kind for name in sorted(GARMENTS))


def _entry(kind: str, where: str = "outfit") -> Entry:
    """A kind of garment, built in or the user's; RecipeError if it is unknown."""
    own = makehuman.asset(kind)
    if own is not None:
        return makehuman.entry(kind, own)
    if kind not in GARMENTS:
        changed = "Its MakeHuman asset is missing or has changed: put the old file back."
        raise RecipeError(
            "unknown garment",
            where=where,
            expected=f"one of {', '.join(sorted(GARMENTS))}",
            got=repr(kind),
            then=changed if "#" in kind else None,
        )
    return GARMENTS[kind]


def pictures(person: PersonSpec) -> tuple[U8, ...]:
    """The textures of what a person wears, in the order in which `dress` numbers them."""
    garments = [makehuman.bound(garment.kind) for garment in _layered(person.outfit)]
    owns = [makehuman.skin_of(person.outfit), *garments]
    found = (own.look.texture for own in owns if own is not None)
    return tuple(texture for texture in found if texture is not None)


def dress(atlas: Atlas, bare: BareBody, person: PersonSpec) -> tuple[Surface, ...]:
    """Return skin, eyes, lashes, garments from the skin outwards, hair and hat, of instance 0.

    RecipeError for an unknown kind, a shape with missing or unknown keys or values out of
    range, two garments for one slot's layer, or an outfit that leaves torso or pelvis bare.
    """
    check_outfit(person)
    base = basis(atlas, person.detail)
    wearer = wearer_of(base, bare, fitted=person.years is not None)
    worn = _layered(person.outfit)
    designs = [design(base, g) for g in worn]
    drawn = np.ones(len(atlas.body_faces), bool)
    for made in designs:
        drawn &= ~made.hides
    slots = {_entry(g.kind).kind.slot: g for g in worn}
    own_skin, look = makehuman.skin_of(person.outfit), person.look
    if own_skin is not None:
        look = replace(look, skin_rgb=own_skin.mean_rgb, lips=0.0)
    skin, *eyes = skin_surfaces(
        atlas,
        bare.vertices_m,
        look,
        drawn,
        hair="hair" in slots,
        bald=slots["hair"].shape.get("bald") if "hair" in slots else None,
        brows="brows" not in slots,
    )
    if own_skin is not None:
        skin = textured(atlas, skin, wearer.planes[:3].T, own_skin.look)
    surfaces = [skin, *eyes, *([teeth(atlas, bare.vertices_m)] if person.pose.face else [])]
    over_m = max(m.thick_m * g.shape.get(FIT, 1.0) for g, m in zip(worn, designs, strict=True))
    texture = int(own_skin is not None)
    for place, (garment, made) in enumerate(zip(worn, designs, strict=True)):
        own = makehuman.bound(garment.kind)
        if own is not None:
            drawn_own = drawn_faces(made, -1, designs[place + 1 :])
            surfaces.append(makehuman.worn(own, wearer, garment, drawn_own, texture))
            texture += own.look.picture is not None
            continue
        phase = _phase(person.identity, garment.kind)
        surfaces += _sewn(garment, made, designs[place + 1 :], wearer, phase=phase, over_m=over_m)
    return tuple(surfaces)


@functools.lru_cache(maxsize=4096)
def _phase(identity: str, kind: str) -> float:
    return float(stream(0, "folds", identity, kind).uniform(0, math.tau))


def _layered(outfit: tuple[GarmentSpec, ...]) -> list[GarmentSpec]:
    """What is worn, from the skin outwards."""
    return sorted(_pressed(outfit), key=_layer)


def _pressed(outfit: tuple[GarmentSpec, ...]) -> list[GarmentSpec]:
    """The outfit with hair flat under a hat and inside a hood; none under a headscarf or a mask."""
    kinds = {g.kind for g in outfit}
    hidden = {"skin", *(slot for kind, slot in _HIDDEN.items() if kind in kinds)}
    outfit = tuple(g for g in outfit if _entry(g.kind).kind.slot not in hidden)
    maximum: dict[str, float] = {}
    if any(_entry(g.kind).kind.slot == "hat" for g in outfit):
        maximum |= _UNDER_HAT
    if any(g.kind == "hoodie" for g in outfit):
        maximum["length"] = 0.0
    over = any(_entry(g.kind).kind.slot == "over" for g in outfit)
    under = {FIT: _LOOSE_UNDER} if over else {}
    limits: dict[Slot, dict[str, float]] = {"hair": maximum, "top": under}
    out = []
    for garment in outfit:
        limit = limits.get(_entry(garment.kind).kind.slot, {})
        shape = {k: min(v, limit.get(k, v)) for k, v in garment.shape.items()}
        out.append(replace(garment, shape=shape))
    return out


def _layer(garment: GarmentSpec) -> int:
    """A garment's place from the skin outwards; a tucked top lies under the bottom."""
    tucked = garment.shape.get("tucked", 0.0) >= 0.5
    return SKIN if tucked else _entry(garment.kind).layer


def _sewn(
    garment: GarmentSpec,
    made: Design,
    outer: list[Design],
    wearer: Wearer,
    *,
    phase: float,
    over_m: float,
) -> list[Surface]:
    loose = garment.shape.get(FIT, 1.0)
    out = []
    for place, cloth in enumerate(made.cloths):
        drawn = drawn_faces(made, place, outer)
        if not drawn.any():
            continue
        piece = sewn(cloth, wearer, garment.kind, loose=loose, phase=phase, over_m=over_m)
        first, second = garment.material, garment.second_material or garment.material
        first, second = (second, first) if cloth.cut.second else (first, second)
        panel = np.zeros(len(drawn), bool) if cloth.panel is None else cloth.panel
        for material, faces in ((first, drawn & ~panel), (second, drawn & panel)):
            if faces.any():
                out.append(replace(piece, material=material, drawn=faces))
        studs = cloth.cut.studs
        if studs is not None and len(studs):
            assert piece.normals is not None
            out.append(_buttons(garment, piece.vertices_m[studs], piece.normals[studs]))
    return out


def _buttons(garment: GarmentSpec, at: F32, out: F32) -> Surface:
    """Flat discs in the second material at (B, 3) of a garment; `out` (B, 3) unit, outwards."""
    right = np.cross(out, np.array((0.0, 0.0, 1.0)))
    right /= np.maximum(np.linalg.norm(right, axis=1, keepdims=True), 1e-12)
    up = np.cross(right, out)
    turn = np.linspace(0, 2 * np.pi, _BUTTON_CORNERS, endpoint=False)
    ring = np.cos(turn)[:, None, None] * right + np.sin(turn)[:, None, None] * up
    ring = at + 0.0015 * out + _BUTTON_M * ring
    vertices = np.concatenate([(at + 0.003 * out)[None], ring]).transpose(1, 0, 2)
    i = np.arange(_BUTTON_CORNERS, dtype=np.int32)
    disc = np.stack([np.zeros_like(i), i + 1, (i + 1) % _BUTTON_CORNERS + 1], 1)
    first = np.arange(len(at), dtype=np.int32) * (_BUTTON_CORNERS + 1)
    faces = (disc[None] + first[:, None, None]).reshape(-1, 3)
    vertices = vertices.reshape(-1, 3).astype(np.float32)
    r, g, b = (0.4 + 0.4 * c for c in garment.material.base_rgb)
    plain = Material(kind="matte", base_rgb=(r, g, b), roughness=0.4)
    return Surface(
        name=garment.kind,
        instance=0,
        vertices_m=vertices,
        faces=faces.astype(np.int32),
        coords=vertices,
        material=garment.second_material or plain,
        covers=np.full(len(faces), _FRONT, np.uint32),
        two_sided=True,
    )


# Designs: cut, compiled and cached --------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """A garment that is cut and compiled; it fits every person and pose."""

    cloths: tuple[Cloth, ...]
    tailored: Tailored
    thick_m: float  # how far it reaches off the shoulders
    hides: Bool  # (body F,) skin well inside the garment
    own: makehuman.Bound | None = None  # the user's, in place of cloths


def design(base: Basis, garment: GarmentSpec) -> Design:
    """Return the cut of a garment, one of the last `_DESIGNS` if it is among them."""
    own = makehuman.bound(garment.kind)
    if own is not None:
        return _design_of(own)
    cut_by = tuple((k, round(v, 6)) for k, v in sorted(garment.shape.items()) if k != FIT)
    return designed(base, garment.kind, cut_by)


@functools.lru_cache(maxsize=_DESIGNS)
def _design_of(own: makehuman.Bound) -> Design:
    tailored = Tailored(pieces=(), inside=own.under)
    return Design(cloths=(), own=own, tailored=tailored, thick_m=_THICK_M, hides=own.hides)


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
    """Return the faces of a piece, or of the user's garment, not certainly hidden by outer ones."""
    faces = made.cloths[place].all_faces if made.own is None else made.own.faces
    drawn = np.ones(len(faces), bool)
    for over in outer:
        drawn &= ~_under(made, place, over)
    return drawn


@functools.lru_cache(maxsize=4 * _DESIGNS)
def _under(made: Design, place: int, over: Design) -> Bool:
    if made.own is not None:
        return all_corners(over.tailored.inside(made.own.where) > _SHOW_INNER_M, made.own.faces)
    cloth = made.cloths[place]
    inside = over.tailored.inside(cloth.where)
    deep = np.concatenate([inside, inside[cloth.rim[:, 0]]]) > _SHOW_INNER_M
    return all_corners(deep, cloth.all_faces)


def check_outfit(person: PersonSpec) -> None:
    """Raise RecipeError when an outfit cannot be worn or leaves the body bare."""
    where = f"person {person.identity}, outfit"
    hidden: set[str] = set()
    for garment in person.outfit:
        hidden |= _entry(garment.kind, where).hides
        _check_shape(garment, where)
    by_layer = sorted(person.outfit, key=lambda g: _entry(g.kind).layer)
    for _, group in itertools.groupby(by_layer, lambda g: _entry(g.kind).layer):
        rivals = [g.kind for g in group]
        if len(rivals) > 1:
            raise RecipeError(
                "two garments in one place", where=where, expected="one", got=", ".join(rivals)
            )
    if hidden < {"torso", "pelvis"}:
        bare = " and ".join(sorted({"torso", "pelvis"} - hidden))
        raise RecipeError(
            f"nothing covers the {bare}",
            where=where,
            expected="a top and a bottom, or a dress",
            got=", ".join(g.kind for g in person.outfit) or "nothing",
            then="Everyone is dressed: add what is missing.",
        )


def _check_shape(garment: GarmentSpec, where: str) -> None:
    ranges = _entry(garment.kind).kind.shape
    if set(garment.shape) != set(ranges):
        raise RecipeError(
            "the shape has missing or unknown parameters",
            where=f"{where}, {garment.kind}",
            expected=", ".join(sorted(ranges)) or "none",
            got=", ".join(sorted(garment.shape)) or "none",
        )
    for name, (low, high) in sorted(ranges.items()):
        value = garment.shape[name]
        if not low - 1e-6 <= value <= high + 1e-6:
            raise RecipeError(
                "out of range",
                where=f"{where}, {garment.kind}.{name}",
                expected=f"{low:g} to {high:g}",
                got=f"{value:g}",
            )
