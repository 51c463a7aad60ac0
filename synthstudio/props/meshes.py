"""The user's meshes: GLB, glTF, OBJ, PLY and STL, checked, in metres, z up, base at the origin."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, U8
from synthstudio.core.errors import AssetError
from synthstudio.core.images import picture_rgba, read_bytes, srgb_to_linear
from synthstudio.core.safe_files import inside
from synthstudio.core.scene import Surface
from synthstudio.core.spec import Material, ObjectSpec, Vec3
from synthstudio.props import mesh_files
from synthstudio.props.objects.shapes import turn_of

if TYPE_CHECKING:
    import trimesh

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
MAX_TEXTURE_PX = 2048
MIN_M, GREATEST_M = 0.01, 30.0
_Y_UP = (".glb", ".gltf", ".obj")
"""By glTF's definition; OBJ has none, but common exporters write y up. PLY and STL: z up."""
_UNITS = (("millimetres", 0.001), ("centimetres", 0.01), ("inches", 0.0254), ("kilometres", 1000.0))
_GREY: Vec3 = (0.5, 0.5, 0.5)
_NOT_PICTURES = (".mtl", ".bin")


@dataclass(frozen=True, kw_only=True)
class MeshPart:
    """One material's triangles."""

    vertices_m: F32  # (V, 3) z up, base centre of the whole mesh at the origin
    faces: I32  # (F, 3)
    normals: F32  # (V, 3) unit
    uv: F32 | None  # (V, 2) v up
    texture: int  # place in MeshData.textures, -1 none
    colours: F32 | None  # (V, 3) linear RGB
    base_rgb: Vec3 | None  # linear; None: not in the file
    roughness: float
    two_sided: bool


@dataclass(frozen=True, kw_only=True)
class MeshData:
    """A mesh of the user's, ready to be placed."""

    parts: tuple[MeshPart, ...]
    textures: tuple[U8, ...]  # each (h, w, 4) sRGB + alpha
    size_m: Vec3


def load_mesh(
    path: Path, *, greatest_m: float = GREATEST_M, room_m: float | None = None
) -> MeshData:
    """Load and check a mesh; AssetError with the fault and how to mend it.

    Its longest side is `greatest_m` at the most. What is closed and inside out is turned, but for
    what is larger than `room_m` in all directions: that is a room.

    Only the file itself and files of its folder are opened. glTF and OBJ are turned from y up
    to z up. The base's centre goes to the origin.
    """
    suffix, where = path.suffix.lower(), str(path)
    if suffix not in MESH_SUFFIXES:
        raise AssetError(
            "unknown kind of mesh",
            where=where,
            expected=" ".join(MESH_SUFFIXES),
            got=suffix or "no ending",
        )
    data = read_bytes(path, limit=mesh_files.MAX_BYTES)
    mesh_files.check_header(data, suffix, where, path.parent)
    scene = _load(data, suffix, where, path.parent)
    textures: list[U8] = []
    parts = [
        _part(mesh, transform, textures, suffix, where, room_m)
        for mesh, transform in _nodes(scene, where)
    ]
    if not sum(len(part.faces) for part in parts):
        raise AssetError(
            "the mesh has no faces",
            where=where,
            got="points or lines only" if parts or scene.geometry else "nothing",
            then="Export it with its surfaces.",
        )
    return _standing([p for p in parts if len(p.faces)], tuple(textures), where, greatest_m)


def mesh_surfaces(
    spec: ObjectSpec, data: MeshData, *, instance: int, texture_offset: int
) -> tuple[Surface, ...]:
    """The mesh scaled to spec.size_m, rotated and placed, one surface per part.

    `texture_offset` is the place in Scene.textures where data.textures begin. A part of which
    the file gives no colour takes the spec's first material.
    """
    size = np.array(data.size_m)
    scale = np.where(size > 0, np.array(spec.size_m) / np.where(size > 0, size, 1), 1.0)
    turn = turn_of(spec)
    surfaces = []
    for number, part in enumerate(data.parts):
        rest = part.vertices_m * scale
        coords = rest.astype(np.float32)
        if part.texture >= 0 and part.uv is not None:
            coords = np.column_stack([part.uv, np.zeros(len(part.uv), np.float32)])
        surfaces.append(
            Surface(
                name=f"mesh {number}",
                instance=instance,
                vertices_m=(rest @ turn.T + np.array(spec.position_m)).astype(np.float32),
                faces=part.faces,
                coords=coords,
                material=_material(part, spec, texture_offset),
                normals=_unit((part.normals / scale) @ turn.T).astype(np.float32),
                tint=part.colours,
                two_sided=part.two_sided,
            )
        )
    return tuple(surfaces)


def _material(part: MeshPart, spec: ObjectSpec, texture_offset: int) -> Material:
    base, rough = part.base_rgb or (1.0, 1.0, 1.0), part.roughness
    if part.texture >= 0 and part.uv is not None:
        texture = texture_offset + part.texture
        return Material(kind="texture", base_rgb=base, roughness=rough, texture=texture)
    if part.colours is not None or part.base_rgb is not None:
        return Material(base_rgb=base, roughness=rough)
    return spec.materials[0] if spec.materials else Material(base_rgb=_GREY)


class _FolderResolver:
    """Gives trimesh the files of one folder; `refusals` records refused requests.

    Loaders swallow a resolver's exceptions, so callers must check it afterwards.
    """

    def __init__(self, folder: Path, where: str) -> None:
        self.folder, self.where = folder, where
        self.refusals: list[AssetError] = []

    def get(self, key: str) -> bytes:
        """The bytes of the file called `key`, a decodable picture unless .mtl or .bin.

        For a `map_Kd` line trimesh requests all text after the word.
        """
        try:
            path = inside(self.folder, mesh_files.texture_of(key)[0], self.where)
            data = read_bytes(path, limit=mesh_files.MAX_BYTES)
            if path.suffix.lower() not in _NOT_PICTURES:
                mesh_files.check_picture(data, f"{self.where}: {key}")
        except AssetError as error:
            self.refusals.append(error)
            raise
        return data

    __getitem__ = get


def _load(data: bytes, suffix: str, where: str, folder: Path) -> trimesh.Scene:
    import trimesh

    resolver: Any = _FolderResolver(folder, where)
    kind = suffix
    if suffix in (".glb", ".gltf"):
        data, kind = mesh_files.with_plain_numbers(data, suffix, where, folder)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(
                BytesIO(data), file_type=kind[1:], resolver=resolver, process=False
            )
    except Exception as error:  # loaders raise nearly every built-in error on damaged bytes
        if resolver.refusals:
            raise resolver.refusals[0] from error
        what = f"the mesh is damaged ({type(error).__name__}: {str(error)[:200]})"
        raise mesh_files.bad(what, where) from error
    if resolver.refusals:
        raise resolver.refusals[0]
    return scene


def _nodes(scene: trimesh.Scene, where: str) -> list[tuple[trimesh.Trimesh, F64]]:
    import trimesh

    placed, count = [], 0
    try:
        for node in sorted(scene.graph.nodes_geometry):
            transform, name = scene.graph[node]
            mesh = scene.geometry[name]
            if isinstance(mesh, trimesh.Trimesh):
                count += len(mesh.faces)
                mesh_files.check_triangles(count, where)
                placed.append((mesh, np.asarray(transform, np.float64)))
    except (LookupError, ValueError, TypeError) as error:
        raise mesh_files.bad(f"invalid hierarchy of the mesh's nodes ({error})", where) from error
    return placed


def _part(
    mesh: trimesh.Trimesh,
    transform: F64,
    textures: list[U8],
    suffix: str,
    where: str,
    room_m: float | None,
) -> MeshPart:
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    _check_arrays(vertices, faces, transform, where)
    colours = _colours(mesh, suffix)
    uv, picture, base_rgb, roughness, two_sided = _look(mesh)
    normals = np.asarray(mesh.vertex_normals, np.float64) if len(faces) else vertices
    if colours is not None and len(colours) == len(faces) != len(vertices):
        vertices, normals = vertices[faces].reshape(-1, 3), normals[faces].reshape(-1, 3)
        uv, colours = None, np.repeat(colours, 3, axis=0)
        faces = np.arange(len(vertices)).reshape(-1, 3)
    linear = transform[:3, :3]
    vertices = vertices @ linear.T + transform[:3, 3]
    normals = normals @ _cofactors(linear).T
    if suffix in _Y_UP:
        vertices, normals = (a[:, [0, 2, 1]] * np.array([1, -1, 1]) for a in (vertices, normals))
    if np.linalg.det(linear) < 0:
        faces = faces[:, ::-1]
    closed, volume = _closed(vertices, faces)
    is_room = room_m is not None and len(faces) and np.ptp(vertices, axis=0).min() >= room_m
    if closed and volume < 0 and not is_room:
        faces, normals = faces[:, ::-1], -normals
    return MeshPart(
        vertices_m=vertices.astype(np.float32),
        faces=np.ascontiguousarray(faces, np.int32),
        normals=_unit(normals).astype(np.float32),
        uv=uv,
        texture=_keep(picture, textures, where) if uv is not None else -1,
        colours=colours,
        base_rgb=base_rgb,
        roughness=roughness,
        two_sided=two_sided or not closed,
    )


def _check_arrays(vertices: F64, faces: np.ndarray, transform: F64, where: str) -> None:
    if vertices.shape[1:] != (3,) or faces.shape[1:] != (3,):
        got = f"vertices {vertices.shape}, faces {faces.shape}"
        raise mesh_files.bad("the mesh has no 3D triangles", where, got)
    if not np.isfinite(vertices).all() or not np.isfinite(transform).all():
        raise mesh_files.not_numbers(where, int((~np.isfinite(vertices)).any(axis=1).sum()))
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        got, expected = f"{faces.min()} to {faces.max()}", f"0 to {len(vertices) - 1}"
        what = "the mesh's faces refer to missing vertices"
        raise mesh_files.bad(what, where, got, expected=expected)


def _cofactors(linear: F64) -> F64:
    """A multiple of the inverse transpose of `linear`: it carries normals along."""
    a, b, c = linear.T
    out: F64 = np.column_stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)])
    return out if np.linalg.det(linear) >= 0 else -out


def _unit(normals: F64) -> F64:
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    good = (length > 1e-12) & np.isfinite(length)
    return np.where(good, normals / np.where(good, length, 1), np.array([0.0, 0.0, 1.0]))


def _closed(vertices: F64, faces: np.ndarray) -> tuple[bool, float]:
    """Whether the faces close, all facing the same side, and their signed volume."""
    _, merged = np.unique(vertices.astype(np.float32), axis=0, return_inverse=True)
    corners = merged.reshape(-1)[faces]
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    edges = edges[edges[:, 0] != edges[:, 1]]
    there = np.sort(edges[:, 0] * len(vertices) + edges[:, 1])
    back = np.sort(edges[:, 1] * len(vertices) + edges[:, 0])
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    volume = float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)
    return len(there) > 0 and bool((there == back).all()), volume


def _colours(mesh: trimesh.Trimesh, suffix: str) -> F32 | None:
    """Linear colours (V, 3) or (F, 3) if in the file."""
    visual: Any = mesh.visual
    if visual.kind not in ("vertex", "face"):
        return None
    rgb = visual.vertex_colors if visual.kind == "vertex" else visual.face_colors
    rgb = np.asarray(rgb)[:, :3]
    # glTF's colours are linear, PLY's and OBJ's by habit sRGB.
    if suffix in (".glb", ".gltf"):
        return (rgb / np.float32(255)).astype(np.float32)
    return srgb_to_linear(rgb.astype(np.uint8))


def _look(mesh: trimesh.Trimesh) -> tuple[F32 | None, Any, Vec3 | None, float, bool]:
    """uv, the texture's picture, base colour, roughness and two-sidedness."""
    from trimesh.visual.material import PBRMaterial

    material = getattr(mesh.visual, "material", None)
    if material is None:
        return None, None, None, 0.7, False
    uv = getattr(mesh.visual, "uv", None)
    if uv is not None and (np.shape(uv) != (len(mesh.vertices), 2) or not np.isfinite(uv).all()):
        uv = None
    if isinstance(material, PBRMaterial):
        picture, factor = material.baseColorTexture, material.baseColorFactor
        rough = material.roughnessFactor
        sided = bool(material.doubleSided)
    else:
        picture, factor, rough, sided = material.image, material.diffuse, None, False
        if picture is not None:
            factor = None
            _, scale, shift = mesh_files.texture_of(str(picture.info.get("file_path", "")))
            uv = uv if uv is None else uv * np.array(scale) + np.array(shift)
    rgb = None if factor is None else np.asarray(factor, np.float64).reshape(-1)[:3] / 255
    base = None if rgb is None or len(rgb) != 3 else (float(rgb[0]), float(rgb[1]), float(rgb[2]))
    roughness = 0.7 if rough is None else float(np.clip(rough, 0.05, 1))
    return None if uv is None else uv.astype(np.float32), picture, base, roughness, sided


def _keep(picture: Any, textures: list[U8], where: str) -> int:
    """Decode a texture into `textures`, shrunk to what a frame can show; return its place."""
    if picture is None:
        return -1
    pixels = picture_rgba(picture, f"{where}: texture", longest=MAX_TEXTURE_PX)
    for place, known in enumerate(textures):
        if known.shape == pixels.shape and np.array_equal(known, pixels):
            return place
    textures.append(pixels)
    return len(textures) - 1


def _standing(
    parts: list[MeshPart], textures: tuple[U8, ...], where: str, greatest_m: float
) -> MeshData:
    """Check the size of the whole and put its base's centre at the origin."""
    used = np.concatenate([part.vertices_m[np.unique(part.faces)] for part in parts])
    low, high = used.min(axis=0).astype(np.float64), used.max(axis=0).astype(np.float64)
    size = high - low
    _check_size(size, where, greatest_m)
    area = sum(areas(p.vertices_m[p.faces].astype(np.float64)).sum() for p in parts)
    if area < 1e-9:
        raise AssetError(
            "the mesh is degenerate: its faces have no area",
            where=where,
            got=f"size {size[0]:.3g} x {size[1]:.3g} x {size[2]:.3g} m",
            then="Export it with its surfaces.",
        )
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    moved = (
        replace(part, vertices_m=(part.vertices_m - origin).astype(np.float32)) for part in parts
    )
    return MeshData(
        parts=tuple(moved),
        textures=textures,
        size_m=(float(size[0]), float(size[1]), float(size[2])),
    )


def areas(triangles: F64) -> F64:
    """(F,) areas of triangles (F, 3, 3)."""
    across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return np.asarray(np.linalg.norm(across, axis=1) / 2)


def _check_size(size: F64, where: str, greatest_m: float) -> None:
    """Raise AssetError, naming the likely unit, unless the longest side is in the range."""
    longest = float(size.max())
    if MIN_M <= longest <= greatest_m:
        return
    fits = [(unit, factor) for unit, factor in _UNITS if 0.05 <= longest * factor <= 10]
    guess = " or ".join(f"in {unit} (scale it by {factor:g})" for unit, factor in fits)
    raise AssetError(
        "the mesh is not in metres" + (f": it may be {guess}" if guess else ""),
        where=where,
        expected=f"a longest side of {MIN_M:g} to {greatest_m:g} m",
        got=f"{longest:.6g}",
        then="Scale it to metres and export it again; a recipe's `scale` applies to metres.",
    )
