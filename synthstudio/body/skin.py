"""Skin, eyes and lashes of a person as surfaces: tints and texture space from the atlas."""

import functools
from dataclasses import replace

import numpy as np

from synthstudio.body.atlas import Atlas
from synthstudio.body.clothes.hair import bald_m, hairline
from synthstudio.body.makehuman_files import Appearance
from synthstudio.core.arrays import F32, I32, I64, Bool, Intp
from synthstudio.core.scene import NO_PART, PARTS, Surface
from synthstudio.core.spec import Look, Material, Vec3

_EYE_CENTRES_M = {"left": (0.0297, -0.1076, 0.6487), "right": (-0.0297, -0.1076, 0.6487)}
_HEAD = np.uint32(1 << PARTS.index("head") | 1 << PARTS.index("scalp"))
# Blush: centre, radius (metres on the template, left side, mirrored) and strength.
_BLUSH = (
    ((0.045, -0.118, 0.612), 0.020, 1.0),  # cheek
    ((0.000, -0.146, 0.610), 0.014, 0.9),  # tip of the nose
    ((0.000, -0.132, 0.556), 0.014, 0.4),  # chin
)
_KNUCKLE_BONES = ("finger2-1", "finger3-1", "finger4-1", "finger5-1")
_RED = np.array((1.05, 0.86, 0.84), np.float32)
_EYE_WHITE_RGB: Vec3 = (0.78, 0.74, 0.71)
_RED_LIPS = np.array((1.05, 0.45, 0.55), np.float32)
_PALE_LIPS = np.array((1.08, 1.5, 1.45), np.float32)


def skin_surfaces(
    atlas: Atlas,
    vertices_m: F32,
    look: Look,
    drawn: Bool,
    *,
    hair: bool = False,
    bald: float | None = None,
    brows: bool = True,
) -> tuple[Surface, Surface, Surface]:
    """Return skin, eyes and lashes over the posed vertices (N, 3); `drawn` is (F,).

    Without `brows` none are drawn on the skin: they are worn.
    With `hair` the scalp takes the hair's colour, fading out over the hairline; `bald` is how
    much of it has none, as balding_hair's shape says.
    """
    brow_rgb = _brow_rgb(look)
    skin = Surface(
        name="skin",
        instance=0,
        vertices_m=vertices_m,
        faces=atlas.body_faces,
        coords=atlas.template_m,
        material=Material(
            kind="skin",
            base_rgb=look.skin_rgb,
            second_rgb=brow_rgb if brows else look.skin_rgb,
            more_rgb=() if brows else (look.skin_rgb, brow_rgb),
            roughness=0.55,
            specular=0.06,
            sheen=look.stubble,
            bump=look.freckles,
            wrinkles=look.blotches,
        ),
        tint=_own_tint(atlas, look, hair=hair, bald=bald),
        part=atlas.part,
        drawn=drawn & atlas.skin_face,
    )
    return skin, _eyes(atlas, vertices_m, look.iris_rgb), _lashes(atlas, vertices_m, look)


def textured(atlas: Atlas, skin: Surface, normals: F32, look: Appearance) -> Surface:
    """The skin in its person's first picture, on the base mesh's texture coordinates.

    `normals` (N, 3): its vertices are repeated along the seams. Roots of hair stay drawn.
    """
    pairs, faces = _seamed(atlas)
    vertex, uv = pairs.T
    coords = np.zeros((len(pairs), 3), np.float32)
    coords[:, :2] = atlas.model.texture_coordinates.numpy()[uv]
    return replace(
        skin,
        vertices_m=skin.vertices_m[vertex],
        faces=faces,
        normals=np.ascontiguousarray(normals[vertex]),
        coords=coords,
        tint=None if skin.tint is None else (skin.tint / _tint(atlas))[vertex],
        material=replace(skin.material, base_rgb=look.base_rgb, texture=0, bump=look.bump),
    )


@functools.lru_cache(maxsize=2)
def _seamed(atlas: Atlas) -> tuple[I64, I32]:
    """(N', 2) pairs of vertex and texture coordinate, and (F, 3) body faces among them."""
    uv = atlas.model.face_texture_coordinate_indices.numpy()
    pairs = np.stack([atlas.body_faces.ravel(), uv.ravel()], axis=1)
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    return unique, place.reshape(-1, 3).astype(np.int32)


def _brow_rgb(look: Look) -> Vec3:
    """Brows are a little darker than the hair, and never lighter than the skin allows."""
    darker, fairer = 1 - 0.5 * max(look.brows, 0.0), 0.35 * max(-look.brows, 0.0)
    r, g, b = (
        min(0.75 * hair, 0.5 * skin) * darker + fairer * 0.75 * skin
        for hair, skin in zip(look.hair_rgb, look.skin_rgb, strict=True)
    )
    return (r, g, b)


@functools.lru_cache(maxsize=2)
def _tint(atlas: Atlas) -> F32:
    at = atlas.template_m
    tint = np.ones_like(at)
    for centre, radius, strength in _BLUSH:
        mirrored = at * np.where(at[:, :1] < 0, [[-1, 1, 1]], [[1, 1, 1]])
        near = np.exp(-((mirrored - np.array(centre)) ** 2).sum(axis=1) / (2 * radius**2))
        tint *= _mix(0.6 * strength * near, _RED)
    knuckles = _knuckles(atlas)
    tint *= _mix(0.5 * knuckles, _RED)
    tint *= _mix(0.7 * _smooth(atlas.masks["ears"]), _RED)
    tint *= _mix(_smooth(atlas.masks["lips"]), np.array((0.88, 0.52, 0.54), np.float32))
    nails = np.maximum(atlas.masks["fingernails"], atlas.masks["toenails"])
    tint *= _mix(_smooth(nails), np.array((1.10, 0.98, 0.97), np.float32))
    tint *= _mix(_smooth(atlas.masks["inside-mouth"]), np.array((0.35, 0.12, 0.12), np.float32))
    tint = tint.astype(np.float32)
    tint.flags.writeable = False
    return tint


def _own_tint(atlas: Atlas, look: Look, *, hair: bool, bald: float | None) -> F32:
    """(N, 3) the tint with own lips, and with hair roots: no hairline is a clean edge."""
    if not (hair or look.lips):
        return _tint(atlas)
    tint = _tint(atlas).copy()
    if hair:
        scalp, share = _roots(atlas)
        if bald is not None:
            top = bald_m(atlas.template_m[scalp], bald)[:, None]
            share = share * np.clip(0.5 - top / 0.012, 0, 1).astype(np.float32)
        roots = np.array(look.hair_rgb, np.float32) / np.maximum(look.skin_rgb, 1e-3)
        tint[scalp] += share * (roots.astype(np.float32) - tint[scalp])
    if look.lips:
        own = _RED_LIPS if look.lips > 0 else _PALE_LIPS
        tint *= _mix(abs(look.lips) * _smooth(atlas.masks["lips"]), own)
    return tint


@functools.lru_cache(maxsize=2)
def _roots(atlas: Atlas) -> tuple[Intp, F32]:
    """(M,) vertices with hair roots and (M, 1) their share of the tint."""
    at = atlas.template_m
    height = hairline(at)
    share = 0.85 * np.clip((height + 0.007) / 0.014, 0, 1) * (at[:, 2] > 0.59)
    share = share * (atlas.masks["ears"] < 0.3)
    scalp = np.flatnonzero(share)
    return scalp, share[scalp, None].astype(np.float32)


def _mix(share: F32, rgb: F32) -> F32:
    return 1 + share[:, None] * (rgb - 1)


def _smooth(mask: F32) -> F32:
    t = np.clip((mask - 0.2) / 0.6, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _knuckles(atlas: Atlas) -> F32:
    """(N,) 1 where the bones of hand and finger share a vertex on the back of the hand."""
    out = np.zeros(len(atlas.template_m), np.float32)
    dense = {n: i for i, n in enumerate(atlas.bone_names)}
    for stem in _KNUCKLE_BONES:
        for side in "LR":
            own = atlas.weights[:, [dense[f"{stem}.{side}"]]].toarray().ravel()
            out = np.maximum(out, 4 * own * (1 - own))
    return np.clip(out, 0, 1)


def _head(
    atlas: Atlas,
    vertices_m: F32,
    name: str,
    group: str,
    material: Material,
    *,
    sides: tuple[str, str] = ("left", "right"),
    part: int = NO_PART,
    coords: F32 | None = None,
) -> Surface:
    """Two groups of a kind of the head's; `coords` (N, 3) instead of the template."""
    used, faces = _both(atlas, group, sides)
    return Surface(
        name=name,
        instance=0,
        vertices_m=vertices_m[used],
        faces=faces,
        coords=(atlas.template_m if coords is None else coords)[used],
        material=material,
        part=np.full(len(faces), part, np.uint8),
        covers=np.full(len(faces), _HEAD, np.uint32),
    )


def _eyes(atlas: Atlas, vertices_m: F32, iris_rgb: Vec3) -> Surface:
    material = Material(kind="eye", base_rgb=iris_rgb, second_rgb=_EYE_WHITE_RGB, roughness=0.1)
    part, coords = PARTS.index("head"), _eye_coords(atlas)
    return _head(atlas, vertices_m, "eyes", "eye", material, part=part, coords=coords)


@functools.lru_cache(maxsize=4)
def _both(atlas: Atlas, group: str, sides: tuple[str, str]) -> tuple[Intp, I32]:
    """The vertices of two groups of a kind, and (F, 3) triangles among them."""
    faces = np.vstack([atlas.groups[f"{side}_{group}"] for side in sides])
    used, inverse = np.unique(faces, return_inverse=True)
    own = inverse.reshape(-1, 3).astype(np.int32)
    own.flags.writeable = False
    return used.astype(np.intp), own


@functools.lru_cache(maxsize=2)
def _eye_coords(atlas: Atlas) -> F32:
    """(N, 3) unit-sphere coordinates of the nearer eyeball of the template."""
    at = atlas.template_m
    centre = np.where(at[:, :1] > 0, [_EYE_CENTRES_M["left"]], [_EYE_CENTRES_M["right"]])
    out = (at - centre).astype(np.float64)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    return out.astype(np.float32)


def _lashes(atlas: Atlas, vertices_m: F32, look: Look) -> Surface:
    dark = min(0.06, 0.5 * min(look.hair_rgb) + 0.01)
    material = Material(kind="matte", base_rgb=(dark, 0.8 * dark, 0.7 * dark), roughness=0.8)
    return replace(_head(atlas, vertices_m, "lashes", "lashes", material), two_sided=True)


def teeth(atlas: Atlas, vertices_m: F32) -> Surface:
    """Return both rows of teeth over the posed vertices (N, 3): seen where a mouth is open."""
    material = Material(kind="matte", base_rgb=(0.62, 0.58, 0.48), roughness=0.35)
    return _head(atlas, vertices_m, "teeth", "teeth", material, sides=("upper", "lower"))
