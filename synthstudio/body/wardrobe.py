"""Dressing a posed body: the catalogue of garments, hair and hats, and `dress`."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from synthstudio.body import garments as cut
from synthstudio.body import hair, hats
from synthstudio.body.atlas import Atlas, BareBody
from synthstudio.body.cloth import Cloth, Sewn, Wearer, compiled, sewn, unit, wearer_of
from synthstudio.body.garments import Shape, Tailored
from synthstudio.body.skin import skin_surfaces
from synthstudio.body.weave import Basis, basis
from synthstudio.core.catalogue import GarmentKind
from synthstudio.core.errors import RecipeError, explain
from synthstudio.core.rng import stream
from synthstudio.core.scene import PARTS, Bool, Surface
from synthstudio.core.spec import GarmentSpec, Material, PersonSpec

_DESIGNS = 256
_HIDE_SKIN_M = 0.02  # skin this far inside a garment is not drawn
_SHOW_INNER_M = 0.030  # an inner garment this far under an outer one is not drawn

_UNDER_HAT = {"thick": 0.006, "volume": 0.006, "height": -0.02, "fringe": 0.0}
_BUTTON_M, _BUTTON_CORNERS = 0.0055, 8
_FRONT = sum(1 << PARTS.index(part) for part in ("neck", "torso", "pelvis"))
_CLOTH = ("plain", "stripes", "checks", "dots", "plaid", "camouflage")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A kind of garment: what the catalogue tells, how it is cut, and where it lies.

    `layer` orders garments from the skin outwards; `fits` are shape parameters that only
    scale a design (they cost no new cut). `hides` says what a person needs it for.
    """

    kind: GarmentKind
    cut: Callable[[Basis, Shape], Tailored]
    layer: int
    hides: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Dressed:
    """A dressed person in its own frame; every surface has instance 0."""

    surfaces: tuple[Surface, ...]


def _entry(
    kind: GarmentKind,
    cutter: Callable[[Basis, Shape], Tailored],
    layer: int,
    hides: str = "",
) -> Entry:
    return Entry(
        kind=kind,
        cut=cutter,
        layer=layer,
        hides=frozenset(hides.split()),
    )


_LOOSE = (0.7, 1.6)

GARMENTS: dict[str, Entry] = {
    e.kind.kind: e
    for e in (
        _entry(
            GarmentKind(
                kind="t_shirt",
                slot="top",
                shape={
                    "sleeve": (0.11, 0.21),
                    "hem": (-0.07, -0.02),
                    "vee": (0.0, 0.05),
                    "loose": _LOOSE,
                },
                patterns=_CLOTH,
                steps=3,
            ),
            cut.t_shirt,
            30,
            "torso",
        ),
        _entry(
            GarmentKind(
                kind="tank_top",
                slot="top",
                shape={"hem": (-0.06, -0.01), "vee": (0.0, 0.04), "loose": _LOOSE},
                patterns=_CLOTH,
                steps=3,
            ),
            cut.tank_top,
            30,
            "torso",
        ),
        _entry(
            GarmentKind(
                kind="shirt",
                slot="top",
                shape={
                    "sleeve": (0.44, 0.475),
                    "hem": (-0.075, -0.04),
                    "tucked": (0.0, 1.0),
                    "loose": _LOOSE,
                },
                patterns=("plain", "stripes", "checks", "plaid"),
                steps=2,
            ),
            cut.shirt,
            30,
            "torso",
        ),
        _entry(
            GarmentKind(
                kind="sweater",
                slot="top",
                shape={"sleeve": (0.45, 0.48), "hem": (-0.07, -0.03), "loose": (0.8, 1.5)},
                patterns=("plain", "knit", "stripes"),
                steps=2,
            ),
            cut.sweater,
            30,
            "torso",
        ),
        _entry(
            GarmentKind(
                kind="hoodie",
                slot="top",
                shape={"sleeve": (0.45, 0.48), "hem": (-0.07, -0.03), "loose": (0.9, 1.5)},
                patterns=("plain", "knit"),
                steps=2,
            ),
            cut.hoodie,
            30,
            "torso",
        ),
        _entry(
            GarmentKind(
                kind="coat",
                slot="top",
                shape={"hem": (-0.45, -0.25), "loose": (0.9, 1.2)},
                patterns=("plain", "plaid"),
                steps=3,
            ),
            cut.coat,
            35,
            "torso",
        ),
        _entry(
            GarmentKind(
                kind="dress",
                slot="top",
                shape={
                    "hem": (-0.62, -0.33),
                    "sleeve": (0.0, 0.16),
                    "width": (0.01, 0.06),
                    "loose": (0.9, 1.2),
                },
                patterns=_CLOTH,
                steps=3,
                gender=(0.5, 1.0),
            ),
            cut.dress,
            30,
            "torso pelvis",
        ),
        _entry(
            GarmentKind(
                kind="trousers",
                slot="bottom",
                shape={"hem": (-0.80, -0.76), "width": (0.004, 0.022), "loose": (0.8, 1.2)},
                patterns=("plain", "camouflage", "checks"),
                steps=3,
            ),
            cut.trousers,
            20,
            "pelvis",
        ),
        _entry(
            GarmentKind(
                kind="jeans",
                slot="bottom",
                shape={"hem": (-0.80, -0.77), "width": (0.002, 0.012), "loose": (0.8, 1.2)},
                patterns=("denim",),
                steps=3,
            ),
            cut.trousers,
            20,
            "pelvis",
        ),
        _entry(
            GarmentKind(
                kind="shorts",
                slot="bottom",
                shape={"hem": (-0.42, -0.26), "width": (0.008, 0.025), "loose": (0.8, 1.3)},
                patterns=_CLOTH,
                steps=3,
            ),
            cut.shorts,
            20,
            "pelvis",
        ),
        _entry(
            GarmentKind(
                kind="skirt",
                slot="bottom",
                shape={"hem": (-0.62, -0.33), "width": (0.0, 0.05), "loose": (0.9, 1.2)},
                patterns=_CLOTH,
                steps=3,
                gender=(0.5, 1.0),
            ),
            cut.skirt,
            20,
            "pelvis",
        ),
        _entry(
            GarmentKind(
                kind="sneakers",
                slot="shoes",
                shape={"top": (0.0, 0.05), "sole": (0.014, 0.026)},
                patterns=("plain",),
                steps=3,
            ),
            cut.sneakers,
            10,
        ),
        _entry(
            GarmentKind(
                kind="low_shoes",
                slot="shoes",
                shape={"top": (-0.015, 0.01), "open": (0.0, 0.025)},
                patterns=("plain",),
                steps=3,
            ),
            cut.low_shoes,
            10,
        ),
        _entry(
            GarmentKind(
                kind="boots",
                slot="shoes",
                shape={"top": (0.07, 0.22)},
                patterns=("plain",),
                steps=3,
            ),
            cut.boots,
            10,
        ),
        _entry(
            GarmentKind(
                kind="short_hair",
                slot="hair",
                shape={"thick": (0.008, 0.026)},
                patterns=("plain",),
                steps=3,
            ),
            hair.short_hair,
            40,
        ),
        _entry(
            GarmentKind(
                kind="cropped_hair",
                slot="hair",
                shape={"thick": (0.0015, 0.004)},
                patterns=("plain",),
                steps=2,
                gender=(0.0, 0.5),
            ),
            hair.cropped_hair,
            40,
        ),
        _entry(
            GarmentKind(
                kind="afro_hair",
                slot="hair",
                shape={"thick": (0.025, 0.06)},
                patterns=("plain",),
                steps=3,
            ),
            hair.afro_hair,
            40,
        ),
        _entry(
            GarmentKind(
                kind="bun_hair",
                slot="hair",
                shape={"size": (0.03, 0.045), "height": (-0.02, 0.06)},
                patterns=("plain",),
                steps=2,
                gender=(0.5, 1.0),
            ),
            hair.bun_hair,
            40,
        ),
        _entry(
            GarmentKind(
                kind="long_hair",
                slot="hair",
                shape={"length": (0.0, 0.22), "volume": (0.012, 0.022), "fringe": (0.0, 1.0)},
                patterns=("plain",),
                steps=3,
                gender=(0.5, 1.0),
            ),
            hair.long_hair,
            40,
        ),
        _entry(
            GarmentKind(
                kind="cap", slot="hat", shape={"peak": (0.055, 0.08)}, patterns=("plain",), steps=2
            ),
            hats.cap,
            50,
        ),
        _entry(
            GarmentKind(
                kind="beanie",
                slot="hat",
                shape={"slouch": (0.0, 0.02)},
                patterns=("plain", "knit", "stripes"),
                steps=2,
            ),
            hats.beanie,
            50,
        ),
        _entry(
            GarmentKind(kind="hard_hat", slot="hat", shape={}, patterns=("plain",), steps=2),
            hats.hard_hat,
            50,
        ),
    )
}


def garments() -> tuple[GarmentKind, ...]:
    """Return the catalogue's garments, hair and hats, sorted by name."""
    return tuple(GARMENTS[name].kind for name in sorted(GARMENTS))


def dress(atlas: Atlas, bare: BareBody, person: PersonSpec) -> Dressed:
    """Return skin, eyes, lashes, garments from the skin outwards, hair and hat.

    RecipeError for an unknown kind, a shape with missing or unknown keys or values out of
    range, two garments for one slot's layer, or an outfit that leaves torso or pelvis bare.
    """
    check_outfit(person)
    base = basis(atlas)
    wearer = wearer_of(base, bare)
    worn = sorted(_pressed(person.outfit), key=_layer)
    designs = [design(base, g) for g in worn]
    drawn = np.ones(len(atlas.body_faces), bool)
    for made in designs:
        drawn &= ~made.hides
    surfaces = list(skin_surfaces(atlas, bare.vertices_m, person.look, drawn))
    for place, (garment, made) in enumerate(zip(worn, designs, strict=True)):
        surfaces += _sewn(garment, made, designs[place + 1 :], wearer, person)
    return Dressed(surfaces=tuple(surfaces))


def _pressed(outfit: tuple[GarmentSpec, ...]) -> list[GarmentSpec]:
    """Return the outfit with its hair flat enough to go under its hat."""
    if all(GARMENTS[g.kind].kind.slot != "hat" for g in outfit):
        return list(outfit)
    return [
        replace(g, shape={k: min(v, _UNDER_HAT.get(k, v)) for k, v in g.shape.items()})
        if GARMENTS[g.kind].kind.slot == "hair"
        else g
        for g in outfit
    ]


def _layer(garment: GarmentSpec) -> int:
    """Return a garment's place from the skin outwards; a tucked top lies under the bottom."""
    tucked = garment.shape.get("tucked", 0.0) >= 0.5
    return GARMENTS[garment.kind].layer - (15 if tucked else 0)


def _sewn(
    garment: GarmentSpec,
    made: Design,
    outer: list[Design],
    wearer: Wearer,
    person: PersonSpec,
) -> list[Surface]:
    phase = float(stream(0, "folds", person.identity, garment.kind).uniform(0, math.tau))
    loose = garment.shape.get("loose", 1.0)
    out = []
    for place, cloth in enumerate(made.cloths):
        drawn = _drawn(made, place, outer)
        if not drawn.any():
            continue
        piece = sewn(cloth, wearer, loose=loose, phase=phase)
        out.append(
            Surface(
                name=garment.kind,
                instance=0,
                vertices_m=piece.vertices_m,
                faces=piece.faces,
                coords=piece.coords,
                material=_material(garment, cloth),
                tint=piece.tint,
                covers=piece.covers,
                drawn=drawn,
                two_sided=True,
            )
        )
        if piece.studs_m is not None:
            out.append(_buttons(garment, piece))
    return out


def _buttons(garment: GarmentSpec, piece: Sewn) -> Surface:
    """Return flat discs on a garment, in the second material."""
    at, out = piece.studs_m, piece.studs_out
    right = np.cross(out, np.array((0.0, 0.0, 1.0)))
    right = unit(right.astype(np.float32))
    up = np.cross(right, out)
    turn = np.linspace(0, 2 * np.pi, _BUTTON_CORNERS, endpoint=False)
    ring = np.cos(turn)[:, None, None] * right + np.sin(turn)[:, None, None] * up
    ring = at + 0.0015 * out + _BUTTON_M * ring
    vertices = np.concatenate([(at + 0.003 * out)[None], ring]).transpose(1, 0, 2)
    i = np.arange(_BUTTON_CORNERS)
    disc = np.stack([np.zeros_like(i), i + 1, (i + 1) % _BUTTON_CORNERS + 1], 1)
    faces = (disc[None] + np.arange(len(at))[:, None, None] * (_BUTTON_CORNERS + 1)).reshape(-1, 3)
    vertices = vertices.reshape(-1, 3).astype(np.float32)
    light = tuple(0.4 + 0.4 * c for c in garment.material.base_rgb)
    plain = Material(kind="matte", base_rgb=light, roughness=0.4)
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


def _material(garment: GarmentSpec, cloth: Cloth) -> Material:
    if cloth.second and garment.second_material is not None:
        return garment.second_material
    return garment.material


# Checks -------------------------------------------------------------------------------------


def check_outfit(person: PersonSpec) -> None:
    """Raise RecipeError when an outfit cannot be worn or leaves the body bare."""
    where = f"person {person.identity}, outfit"
    hidden: set[str] = set()
    for garment in person.outfit:
        if garment.kind not in GARMENTS:
            raise RecipeError(
                explain(
                    "unknown garment",
                    where=where,
                    expected=f"one of {', '.join(sorted(GARMENTS))}",
                    got=repr(garment.kind),
                )
            )
        _check_shape(garment, where)
        _check_place(garment, person, where)
        hidden |= GARMENTS[garment.kind].hides
    if hidden < {"torso", "pelvis"}:
        bare = " and ".join(sorted({"torso", "pelvis"} - hidden))
        raise RecipeError(
            explain(
                f"nothing covers the {bare}",
                where=where,
                expected="a top and a bottom, or a dress",
                got=", ".join(g.kind for g in person.outfit) or "nothing",
                then="Everyone is dressed: add what is missing.",
            )
        )


def _check_place(garment: GarmentSpec, person: PersonSpec, where: str) -> None:
    layer = GARMENTS[garment.kind].layer
    rivals = [g.kind for g in person.outfit if g.kind in GARMENTS]
    rivals = [kind for kind in rivals if GARMENTS[kind].layer == layer]
    if len(rivals) > 1:
        raise RecipeError(
            explain("two garments in one place", where=where, expected="one", got=", ".join(rivals))
        )


def _check_shape(garment: GarmentSpec, where: str) -> None:
    ranges = GARMENTS[garment.kind].kind.shape
    if set(garment.shape) != set(ranges):
        raise RecipeError(
            explain(
                "the shape has missing or unknown parameters",
                where=f"{where}, {garment.kind}",
                expected=", ".join(sorted(ranges)) or "none",
                got=", ".join(sorted(garment.shape)) or "none",
            )
        )
    for name, (low, high) in sorted(ranges.items()):
        value = garment.shape[name]
        if not low - 1e-6 <= value <= high + 1e-6:
            raise RecipeError(
                explain(
                    "out of range",
                    where=f"{where}, {garment.kind}.{name}",
                    expected=f"{low:g} to {high:g}",
                    got=f"{value:g}",
                )
            )


# Designs ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """A garment that is cut and compiled; it fits every person and pose."""

    key: tuple[object, ...]
    basis: Basis
    cloths: tuple[Cloth, ...]
    tailored: Tailored
    hides: Bool  # (body F,) skin well inside the garment


def forget_designs() -> None:
    """Empty the caches of designs."""
    _CACHE.clear()
    _HIDDEN.clear()


_CACHE: OrderedDict[tuple[object, ...], Design] = OrderedDict()
_HIDDEN: OrderedDict[tuple[object, ...], Bool] = OrderedDict()


def design(base: Basis, garment: GarmentSpec) -> Design:
    """Return the cut of a garment, from the cache of the last 256 when it is there."""
    entry = GARMENTS[garment.kind]
    shape = {k: round(v, 6) for k, v in sorted(garment.shape.items())}
    cut_by = {k: v for k, v in shape.items() if k != "loose"}
    key = (base, garment.kind, *cut_by.items())
    if key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key]
    tailored = entry.cut(base, cut_by)
    hidden = (tailored.hides or tailored.inside)(base.places)
    made = Design(
        key=key,
        basis=base,
        cloths=tuple(compiled(base, piece) for piece in tailored.pieces),
        tailored=tailored,
        hides=(hidden[base.atlas.body_faces] > _HIDE_SKIN_M).all(axis=1),
    )
    _CACHE[key] = made
    while len(_CACHE) > _DESIGNS:
        _CACHE.popitem(last=False)
    return made


def _drawn(made: Design, place: int, outer: list[Design]) -> Bool:
    """Return the faces of a piece that no outer garment hides for certain."""
    cloth = made.cloths[place]
    drawn = np.ones(len(cloth.all_faces), bool)
    for over in outer:
        drawn &= ~_under(made, place, over)
    return drawn


def _under(made: Design, place: int, over: Design) -> Bool:
    key = (made.key, place, over.key)
    if key not in _HIDDEN:
        cloth = made.cloths[place]
        inside = over.tailored.inside(cloth.where)
        deep = np.concatenate([inside, inside[cloth.rim[:, 0]]]) > _SHOW_INNER_M
        _HIDDEN[key] = deep[cloth.all_faces].all(axis=1)
        while len(_HIDDEN) > 4 * _DESIGNS:
            _HIDDEN.popitem(last=False)
    else:
        _HIDDEN.move_to_end(key)
    return _HIDDEN[key]
