"""Shadows: a depth map from the sun, and the fraction of sky light lost at floor points.

The contact map makes feet stand on the floor with no sun at all. Seen from below, what is
above the floor is a height field h; a horizontal patch of it at height h takes the share
h^2 / (pi (h^2 + r^2)^2) dA of the light of a floor point at distance r (its form factor). That is a
convolution a height; its transform is (kh) K1(kh), so a few heights cost a few small FFTs.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.special
import warp as wp

from synthstudio.core.arrays import F32, F64, Bool
from synthstudio.core.scene import Light
from synthstudio.render.kernels import shadow as kernels
from synthstudio.render.pack import Packed, to_device, to_host
from synthstudio.render.raster import rasterise_projected

LOWEST_SUN = 0.02
"""Suns lower than this cast no shadows."""
SUN_TEXELS = 1024
"""At most, a side; fewer where they would be finer than half a pixel."""
CONTACT_TEXELS = 160
_REACH_M = 8.0
"""Casters farther than this from all people are left out if they would coarsen the map."""
_MARGIN_M = 1.0
_RUG_M = 0.03
_HEIGHTS_M = (0.02, 0.05, 0.12, 0.3, 0.6, 1.1)
_FINEST_M = 0.015
_LEG_M = 0.12
_LEG_REACH_M = 0.35
_BEYOND_M = 64.0
"""Casters outside a given box may be nearer to the sun than its corners by this."""
_STEPS = 256.0
"""Steps of contact shade: without changes nearby, results stay equal bit for bit."""
CORNERS = np.array(list(np.ndindex(2, 2, 2)))
_FAINTEST = 0.012
"""Contact shade below this share is dropped: the map ends without an edge."""


@dataclass(frozen=True, kw_only=True)
class Casters:
    """Shadow casters: their surfaces, and where they are near people, world metres."""

    casts_shadow: Bool  # (S,) for each surface
    stands: Bool  # (S,) without objects lying on the floor
    vertices: F32  # (N, 3) clipped to the neighbourhood of people, for fitting
    box_m: F64  # (2, 3)
    given: bool = False  # the scene's own box decides the maps' grids


def casters(packed: Packed) -> Casters | None:
    """The shadow casters of a scene; None without any."""
    casts_shadow = np.array([s.casts_shadow for s in packed.surfaces], dtype=bool)
    if not casts_shadow.any():
        return None
    height = np.ascontiguousarray(packed.host_world_m[:, 2])
    stands = casts_shadow & (np.maximum.reduceat(height, packed.vertex_start[:-1]) > _RUG_M)
    given = packed.scene.shadow_box_m
    if given is not None:
        corners = given[CORNERS, np.arange(3)].astype(np.float32)
        return Casters(
            casts_shadow=casts_shadow, stands=stands, vertices=corners, box_m=given, given=True
        )
    vertices = packed.host_world_m
    if not casts_shadow.all():
        vertices = vertices[np.repeat(casts_shadow, np.diff(packed.vertex_start))]
    people = sum(len(person.surfaces) for person in packed.scene.people)
    near = _box(packed.host_world_m[: packed.vertex_start[people]] if people else vertices)
    near += np.array([[-_REACH_M], [_REACH_M]], np.float32)
    box = _box(vertices)
    if (box[0] < near[0]).any() or (box[1] > near[1]).any():
        vertices, box = np.clip(vertices, *near), np.clip(box, *near)
    return Casters(
        casts_shadow=casts_shadow, stands=stands, vertices=vertices, box_m=box.astype(np.float64)
    )


def _box(points: F32) -> F32:
    """(2, k) the least and greatest of points (N, k)."""
    columns = points.T.copy()  # NumPy is slow over rows of two or three
    return np.stack([columns.min(axis=1), columns.max(axis=1)])


def floor_reach(thrown: Casters, contact: Any, light: Light) -> F64:
    """(4, 3): the corners of a rectangle of floor outside which no shadow falls."""
    low, high = thrown.box_m[0].copy(), thrown.box_m[1].copy()
    start = np.array([contact.x0, contact.y0])
    corners = [-start / contact.per_m, (contact.size - start) / contact.per_m]
    if light.sun_direction[2] > LOWEST_SUN:
        slide = np.asarray(light.sun_direction)[:2] / light.sun_direction[2]
        for z in (low[2], high[2]):
            corners += [low[:2] - slide * z, high[:2] - slide * z]
    points = np.array(corners)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return np.array([(x0, y0, 0.0), (x1, y0, 0.0), (x1, y1, 0.0), (x0, y1, 0.0)])


def sun_map(packed: Packed, thrown: Casters | None, light: Light) -> Any:
    """The depth map from the sun; off if the sun is down, black or lights nothing."""
    out: Any = kernels.SunMap()
    out.keys = wp.zeros((1, 1), dtype=wp.uint64, device=packed.device)
    if thrown is None or light.sun_direction[2] <= LOWEST_SUN or not np.any(light.sun_rgb > 0.0):
        return out
    towards = np.asarray(light.sun_direction, np.float64)
    side = np.cross([0.0, 0.0, 1.0] if abs(towards[2]) < 0.99 else [0.0, 1.0, 0.0], towards)
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(towards, side), towards])
    low, high = _box(thrown.vertices @ axes[:2].T.astype(np.float32)).astype(np.float64)
    extent = float((high - low).max())
    texel = max(extent / (SUN_TEXELS - 2 * kernels.TILE), _useful_texel(packed, thrown.box_m))
    size = kernels.TILE * math.ceil(extent / texel / kernels.TILE + 2)
    start = (low + high) / 2 / texel - size / 2
    if thrown.given:
        far = float((thrown.vertices @ axes[2].astype(np.float32)).max()) + _BEYOND_M
    else:
        far = float((packed.host_world_m @ axes[2].astype(np.float32)).max()) + 1.0
    out.on, out.size, out.texel_m, out.far = 1, size, texel, far
    out.across, out.up = wp.vec3(*(axes[0] / texel)), wp.vec3(*(axes[1] / texel))
    out.towards = wp.vec3(*axes[2])
    out.x0, out.y0 = float(-start[0]), float(-start[1])
    matrix = np.stack([axes[0] / texel, axes[1] / texel, -axes[2]])
    offset = np.array([-start[0], -start[1], far])
    tiles = (size // kernels.TILE, size // kernels.TILE)
    out.crowded = wp.zeros(tiles, dtype=wp.uint8, device=packed.device)
    choice = _choice(packed, thrown.casts_shadow, size)
    choice.facing, choice.deepest = 1, np.inf
    out.keys = _depth(packed, choice, (matrix, offset), out.crowded)
    return out


def _useful_texel(packed: Packed, box_m: F64) -> float:
    """Half the size of a pixel at the nearest caster: finer shadows are invisible."""
    camera = packed.scene.camera
    place = np.array(camera.position_m)
    away = float(np.linalg.norm(np.clip(place, *box_m) - place))
    return max(0.5 * away / camera.focal_px, 5e-4)


def contact_map(packed: Packed, thrown: Casters | None) -> Any:
    """The fraction of sky light lost by the floor z = 0 to objects on it."""
    out: Any = kernels.ContactMap()
    if thrown is None:
        out.loss = wp.zeros((1, 1), dtype=wp.float32, device=packed.device)
        return out
    low, high = thrown.box_m[0, :2] - _MARGIN_M, thrown.box_m[1, :2] + _MARGIN_M
    texel = _ladder(float((high - low).max()) / CONTACT_TEXELS)
    start = (low + high) / 2 / texel - CONTACT_TEXELS / 2
    lift = 1.0 - min(0.0, float(thrown.box_m[0, 2]))
    matrix = np.diag([1 / texel, 1 / texel, 1.0])
    offset = np.array([-start[0], -start[1], lift])
    choice = _choice(packed, thrown.stands, CONTACT_TEXELS)
    choice.facing, choice.deepest = -1, lift + _HEIGHTS_M[-1]  # seen from below
    no_tiles = wp.zeros((1, 1), dtype=wp.uint8, device=packed.device)
    keys = to_host(_depth(packed, choice, (matrix, offset), no_tiles))
    height = (keys >> np.uint64(32)).astype(np.uint32).view(np.float32) - np.float32(lift)
    out.loss = to_device(_loss(height, texel), wp.float32, packed.device)
    out.x0, out.y0 = float(-start[0]), float(-start[1])
    out.per_m, out.size = 1.0 / texel, CONTACT_TEXELS
    return out


def _choice(packed: Packed, casts_shadow: Bool, size: int) -> Any:
    choice: Any = kernels.Choice()
    closed = np.array([not s.two_sided for s in packed.surfaces], np.bool_)
    choice.casts_shadow = to_device(casts_shadow, wp.bool, packed.device)
    choice.closed = to_device(closed, wp.bool, packed.device)
    choice.surface, choice.drawn, choice.size = packed.surface, packed.drawn, size
    return choice


def _depth(
    packed: Packed, choice: Any, projection: tuple[F64, F64], crowded: wp.array[Any]
) -> wp.array[Any]:
    """The keys (size, size) of the surfaces nearest to the light; fills `crowded`.

    `projection` holds a matrix (3, 3) and an offset (3,): matrix p + offset is a world point's
    place in texels and its depth in metres.
    """
    device, (matrix, offset) = packed.device, projection
    points = wp.empty(len(packed.host_world_m), dtype=wp.vec3, device=device)
    snapped = wp.empty(len(packed.host_world_m), dtype=wp.vec2i, device=device)
    wp.launch(
        kernels.cast_kernel,
        dim=-(-len(points) // kernels.RUN),
        inputs=[packed.world_m, wp.mat33(*matrix.ravel().tolist()), wp.vec3(*offset.tolist())],
        outputs=[points, snapped],
        device=device,
    )
    chosen = wp.empty(len(packed.host_faces), dtype=wp.bool, device=device)
    wp.launch(
        kernels.choose_kernel,
        dim=-(-len(chosen) // kernels.RUN),
        inputs=[packed.faces, choice, points, snapped],
        outputs=[chosen, crowded],
        device=device,
    )
    return rasterise_projected(
        packed, drawn=chosen, points=points, snapped=snapped, size=choice.size
    )


def _ladder(texel_m: float) -> float:
    """Round a texel up to one of few sizes, so that their kernels are built once."""
    steps = max(0, math.ceil(2 * math.log2(max(texel_m, _FINEST_M) / _FINEST_M)))
    return _FINEST_M * 2 ** (steps / 2)


def _loss(height: F32, texel_m: float) -> F32:
    """The fraction of sky light (n, n) lost below a height field (n, n); inf is open sky."""
    n = len(height)
    below = np.isfinite(height)
    rung = np.log(np.clip(height[below], _HEIGHTS_M[0], _HEIGHTS_M[-1]))
    rungs = np.log(np.array(_HEIGHTS_M))
    masks = np.zeros((len(_HEIGHTS_M) + 1, n, n), np.float32)
    for mask, pulse in zip(masks, np.eye(len(_HEIGHTS_M)), strict=False):
        mask[below] = np.interp(rung, rungs, pulse)
    # What reaches the floor is taken for a leg: its sides hide the sky round about, too.
    masks[-1] = masks[0] + masks[1] + masks[2]
    masks[-1] *= height > -0.05
    spectra = scipy.fft.rfft2(masks) * _kernels(n, texel_m)
    flat, legs = scipy.fft.irfft2(np.stack([spectra[:-1].sum(axis=0), spectra[-1]]), s=(n, n))
    open_sky = (1.0 - np.clip(flat, 0.0, 0.97)) * (1.0 - np.clip(legs, 0.0, 0.4))
    loss = (1.0 - open_sky - _FAINTEST) / (1.0 - _FAINTEST) * _window(n)
    steps = np.rint(np.maximum(loss, 0.0) * _STEPS) / _STEPS
    return np.ascontiguousarray(steps, dtype=np.float32)


@lru_cache(maxsize=8)
def _kernels(n: int, texel_m: float) -> F32:
    """Transforms (heights + 1, n, n // 2 + 1) of the form factors and of a leg's side."""
    across = np.fft.rfftfreq(n, texel_m) * 2 * math.pi
    k = np.hypot(np.fft.fftfreq(n, texel_m)[:, None] * 2 * math.pi, across[None, :])
    out = np.empty((len(_HEIGHTS_M) + 1, *k.shape), np.float32)
    for place, height in enumerate(_HEIGHTS_M):
        kh = np.maximum(k * height, 1e-6)
        out[place] = kh * scipy.special.k1(kh)
    # A pole of width w fills w / (2 pi r) of the light from the side: a transform of 1 / r, with
    # an exponential end.
    out[-1] = 1.0 / (_LEG_M * np.sqrt(k * k + 1.0 / _LEG_REACH_M**2))
    return out


@lru_cache(maxsize=2)
def _window(n: int) -> F32:
    """(n, n): 1 inside, smoothly 0 over the last eighth towards the border."""
    edge = np.minimum(np.arange(n), np.arange(n)[::-1]) / (n / 8)
    ramp = np.clip(edge, 0.0, 1.0)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return (ramp[:, None] * ramp[None, :]).astype(np.float32)
