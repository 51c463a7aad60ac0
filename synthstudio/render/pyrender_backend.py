"""The same scene through pyrender (OpenGL over EGL): a cross-check of masks and depth.

Ids and depth come from pyrender's segmentation pass, which has one sample a pixel; the depth of
its colour pass is multisampled and millimetres off. The picture is plainer than the raster
path's: colours are a material's base times its tint, there are no patterns, textures, brows,
stubble, irises, contact shadows or shadows on an undrawn floor.
"""

import atexit
import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.arrays import I32, U8
from synthstudio.core.camera import NEAR_M
from synthstudio.core.errors import DeviceError
from synthstudio.core.scene import NO_PART, Rendering, Scene, painted_backdrop
from synthstudio.render.light import SH_CONSTANTS
from synthstudio.render.pack import Packed, pack, to_host
from synthstudio.render.raster import normal_map, rasterise

_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """The drawn faces of one surface that belong to one body part."""

    surface: int
    instance: int
    part: int
    faces: I32  # (F, 3) into the packed vertices


def render(scene: Scene, *, want: frozenset[str] = frozenset()) -> Rendering:
    """Draw a scene with shadows; ids, part and depth from one sample at pixel centres.

    `want` as in `shade.render`; normals are the raster path's, because pyrender gives none.
    DeviceError when there is no EGL; GeometryError as `pack` raises it.
    """
    pyrender = _pyrender()
    packed = pack(scene)
    pieces = _pieces(packed)
    camera = scene.camera
    with _quiet():
        stage, nodes = _stage(pyrender, packed, pieces)
        renderer = _renderer(camera.width_px, camera.height_px)
        flags = pyrender.RenderFlags
        colour, _ = renderer.render(stage, flags=flags.RGBA | flags.SHADOWS_DIRECTIONAL)
        ids = {node: (k >> 16 & 255, k >> 8 & 255, k & 255) for k, node in enumerate(nodes, 1)}
        seg, depth = renderer.render(
            stage, flags=flags.SEG | flags.SKIP_CULL_FACES, seg_node_map=ids
        )
    piece = (seg.astype(np.int32) @ np.array([65536, 256, 1], np.int32)) - 1

    def table(name: str, nothing: int, dtype: Any) -> Any:
        return np.array([getattr(p, name) for p in pieces] + [nothing], dtype)[piece]

    return Rendering(
        rgb=_over(colour, painted_backdrop(scene)),
        depth_m=np.where(piece >= 0, depth, np.inf).astype(np.float32),
        instance=table("instance", 0, np.int32),
        part=table("part", NO_PART, np.uint8),
        normal=normal_map(packed, rasterise(packed)) if "normal" in want else None,
        surface=table("surface", -1, np.int32) if "surface" in want else None,
    )


def close() -> None:
    """Free the OpenGL context, shared by renders of one size. Safe to call twice."""
    while _open:
        _, renderer = _open.popitem()
        with _quiet():
            renderer.delete()


_open: dict[tuple[int, int], Any] = {}
"""The one renderer that is open, by its size."""
atexit.register(close)


def _renderer(width_px: int, height_px: int) -> Any:
    size = (width_px, height_px)
    if size not in _open:
        close()
        try:
            _open[size] = _pyrender().OffscreenRenderer(width_px, height_px)
        except Exception as error:  # OpenGL's errors share no base class
            raise _no_egl(error) from error
    return _open[size]


@functools.cache
def _pyrender() -> Any:
    """Import pyrender for EGL. It needs `numpy.infty`, which NumPy 2 dropped."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    vars(np)["infty"] = np.inf
    try:
        with _quiet():
            import pyrender

            return pyrender
    except Exception as error:  # a missing library shows as ImportError, OSError or AttributeError
        raise _no_egl(error) from error


def _no_egl(error: Exception) -> DeviceError:
    return DeviceError(
        "pyrender cannot draw here",
        where="renderer pyrender",
        expected="EGL with an OpenGL driver",
        got=f"{type(error).__name__}: {error}",
        then="On Debian install libegl1 and libgl1-mesa-dri, or use --renderer raster.",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the deprecation warnings of pyrender and PyOpenGL, and nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


def _pieces(packed: Packed) -> list[_Piece]:
    out = []
    for k, surface in enumerate(packed.surfaces):
        span = slice(packed.face_start[k], packed.face_start[k + 1])
        drawn, part = packed.host_drawn[span], packed.host_part[span]
        for value in np.unique(part[drawn]):
            faces = packed.host_faces[span][drawn & (part == value)]
            out.append(_Piece(surface=k, instance=surface.instance, part=int(value), faces=faces))
    return out


def _stage(pyrender: Any, packed: Packed, pieces: list[_Piece]) -> tuple[Any, list[Any]]:
    """The pyrender scene and its mesh nodes, one a piece in order."""
    scene, light = packed.scene, packed.scene.light
    ambient = light.ambient_sh[0] * SH_CONSTANTS[0] * light.exposure
    stage = pyrender.Scene(bg_color=np.zeros(4), ambient_light=np.clip(ambient, 0.0, 1.0))
    normals, tint = to_host(packed.normals), to_host(packed.tint)
    nodes = []
    for piece in pieces:
        material = packed.surfaces[piece.surface].material
        used, faces = np.unique(piece.faces, return_inverse=True)
        colour = np.ones((len(used), 4), np.float32)
        colour[:, :3] = tint[used] * np.array(material.base_rgb, np.float32)
        primitive = pyrender.Primitive(
            positions=packed.host_world_m[used],
            normals=normals[used],
            color_0=np.clip(colour, 0.0, 1.0),
            indices=faces.reshape(-1, 3).astype(np.uint32),
            material=pyrender.MetallicRoughnessMaterial(
                metallicFactor=0.0, roughnessFactor=material.roughness, doubleSided=True
            ),
            mode=4,
        )
        nodes.append(stage.add(pyrender.Mesh([primitive])))
    _add_light(pyrender, stage, scene)
    _add_camera(pyrender, stage, packed)
    return stage, nodes


def _add_light(pyrender: Any, stage: Any, scene: Scene) -> None:
    """Add sun and flash: pyrender divides albedo by pi, a `Light` does not."""
    light = scene.light
    flash = max(light.flash_rgb)
    if flash > 0.0:
        at = np.eye(4)
        at[:3, 3] = scene.camera.position_m
        intensity = flash * np.pi * light.exposure
        colour = np.array(light.flash_rgb) / flash
        stage.add(pyrender.PointLight(color=colour, intensity=intensity), pose=at)
    strength = float(np.max(light.sun_rgb))
    if strength <= 0.0:
        return
    towards = np.asarray(light.sun_direction, np.float64)
    side = np.cross([0.0, 0.0, 1.0] if abs(towards[2]) < 0.99 else [0.0, 1.0, 0.0], towards)
    side /= np.linalg.norm(side)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([side, np.cross(towards, side), towards], axis=1)
    lamp = pyrender.DirectionalLight(
        color=light.sun_rgb / strength, intensity=strength * np.pi * light.exposure
    )
    stage.add(lamp, pose=pose)


def _add_camera(pyrender: Any, stage: Any, packed: Packed) -> None:
    camera = packed.scene.camera
    k = camera.K
    farthest = float(packed.host_camera_m[:, 2].max(initial=1.0))
    lens = pyrender.IntrinsicsCamera(
        fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], znear=NEAR_M, zfar=farthest * 1.1 + 1.0
    )
    stage.add(lens, pose=np.linalg.inv(camera.world_to_camera) @ _TO_OPENGL)


def _over(colour: U8, backdrop: U8) -> U8:
    alpha = colour[..., 3:].astype(np.float32) / 255
    mixed = colour[..., :3] * alpha + backdrop * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)
