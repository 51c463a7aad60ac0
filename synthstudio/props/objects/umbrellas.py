"""Builders of umbrellas: a parasol, one that is held open, one that is folded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from synthstudio.core.spec import Vec2, Vec3
from synthstudio.props.objects.kinds import CLOTH, Shape, elsewhere, held, kind, outdoors
from synthstudio.props.objects.shapes import Piece, revolved, tube


@elsewhere("orange pale_wood", (1.6, 1.6, 2.0), (2.8, 2.8, 2.6), "plain stripes")
def umbrella(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a parasol: canopy of eight gores (0), pole, ribs and foot (1)."""
    r, h = min(size[0], size[1]) / 2, size[2]
    drop = min(0.28 * r, 0.3 * h)
    spread = 0.9239  # an octagon's inner radius: corners lie on the axes' box when turned
    rim = r / spread
    cloth = canopy(rim, h - 0.03, drop)
    stick = tube([(0, 0, 0.02), (0, 0, h - 0.02)], 0.019, slot=1)
    finial = revolved([(0, h - 0.03), (0.022, h - 0.028), (0.012, h - 0.01), (0, h)], slot=1)
    foot = revolved(
        [(0, 0), (0.24, 0), (0.24, 0.035), (0.05, 0.07), (0.03, 0.25), (0, 0.25)], slot=1
    )
    at = ((0, h - 0.06), (0.5, h - 0.06 - 0.44 * drop), (0.97, h - 0.05 - 0.97 * drop))
    ribs = _ribs(rim, at, 0.006, segments=6)
    return [cloth, stick, finial, foot, *ribs]


@held("shaft", at=(0.0, 0.0, 0.07))
@outdoors("cloth_blue steel wood", (0.9, 0.9, 0.78), (1.15, 1.15, 0.92), CLOTH)
def hand_umbrella(size: Vec3, shape: Shape) -> list[Piece]:
    """Build an open umbrella on its handle: cloth (0), shaft and ribs (1), handle (2)."""
    r, h = min(size[0], size[1]) / 2, size[2]
    rim = r / math.cos(math.pi / 8)
    drop = min(0.45 * r, 0.4 * h)
    middle = h - 0.06 - 0.46 * drop
    over = ((0, h - 0.05), (0.5, h - 0.055 - 0.46 * drop), (0.97, h - 0.045 - 0.97 * drop))
    under = ((0, h - 0.05 - 0.9 * drop), (0.5, middle))
    pairs = zip(_ribs(rim, over, 0.0025), _ribs(rim, under, 0.002), strict=True)
    ribs = [rib for pair in pairs for rib in pair]
    return [
        canopy(rim, h - 0.03, drop),
        tube([(0, 0, 0.05), (0, 0, h - 0.01)], 0.006, segments=8, slot=1),
        revolved([(0, h - 0.04), (0.012, h - 0.04), (0.004, h), (0, h)], segments=10, slot=1),
        revolved([(0, 0), (0.013, 0), (0.0155, 0.02), (0.0135, 0.1), (0.008, 0.13), (0, 0.13)],
               segments=14, slot=2),
        *ribs,
    ]  # fmt: skip


@held("stand", at=(0.0, 0.0, 0.98))
@kind("black steel wood", (0.12, 0.08, 0.72), (0.15, 0.1, 1.0))
def cane_umbrella(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a folded umbrella on its tip: cloth (0), tip (1), curved handle (2)."""
    r, h = size[1] / 2, size[2]
    hook = min(max((size[0] - r - 0.011) / 2, 0.02), 0.1 * h)
    bend = [
        (hook - hook * math.cos(a), 0.0, h - hook - 0.011 + hook * math.sin(a))
        for a in np.linspace(0, math.pi, 9)
    ]
    pleats = []
    for a in np.arange(8) * (math.pi / 4):
        folds = ((0.4, a, 0.14), (0.62, a + 0.5, 0.66), (0.3, a + 0.8, 0.72))
        path = [(k * r * math.cos(turn), k * r * math.sin(turn), z * h) for k, turn, z in folds]
        pleats.append(tube(path, [0.2 * r, 0.42 * r, 0.25 * r], segments=7))
    return [
        *pleats,
        revolved([(0, 0), (0.004, 0), (0.006, 0.07), (0.3 * r, 0.13 * h), (0.6 * r, 0.62 * h),
                (0.25 * r, 0.72 * h), (0, 0.72 * h)], segments=16),
        tube([(0, 0, 0.002), (0, 0, 0.14 * h)], 0.0045, segments=8, slot=1),
        tube([(0, 0, 0.7 * h), *bend, (2 * hook, 0, h - 2 * hook - 0.011)], 0.011, segments=8,
             slot=2),
    ]  # fmt: skip


def _ribs(rim: float, at: Sequence[Vec2], radius: float, *, segments: int = 5) -> list[Piece]:
    """Eight rods through points: each the share of the rim's radius and a height."""
    angles = [math.pi / 8 + k * math.pi / 4 for k in range(8)]
    return [
        tube([(share * (math.cos(a) * rim), share * (math.sin(a) * rim), z) for share, z in at],
             radius, segments=segments, slot=1)
        for a in angles
    ]  # fmt: skip


def canopy(rim: float, top: float, drop: float) -> Piece:
    """The cloth: straight at the ribs, sagging between them, a short valance below."""
    rings, per = 7, 6
    n = 8 * per
    share = np.linspace(0, 1, rings)
    angle = math.pi / 8 + np.arange(n + 1) * (2 * math.pi / n)
    inside = np.abs(((np.arange(n + 1) % per) / per) - 0.5) * 2  # 1 at a rib, 0 between
    straight = math.cos(math.pi / 8) / np.cos((np.arange(n + 1) % per / per - 0.5) * math.pi / 4)
    radius = rim * share[:, None] * straight
    z = top - drop * (0.75 * share**1.0 + 0.25 * share**2)[:, None]
    z = z - 0.035 * rim * share[:, None] * (1 - inside) ** 2
    grid = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)
    valance = grid[-1:] - np.array([0, 0, 0.09 * rim])
    grid = np.concatenate([grid, valance])
    grid[:, -1] = grid[:, 0]
    rows = len(grid)
    a = (np.arange(rows - 1)[:, None] * (n + 1) + np.arange(n)).ravel()
    faces = np.concatenate(
        [np.column_stack([a, a + n + 1, a + n + 2]), np.column_stack([a, a + n + 2, a + 1])]
    )
    vertices = grid.reshape(-1, 3)
    run = np.concatenate([share * rim, [rim * 1.09]])[:, None]
    coords = np.stack(
        np.broadcast_arrays(angle * np.maximum(run, 0.1 * rim), np.zeros(1), run), axis=-1
    ).reshape(-1, 3)
    return Piece(
        vertices=vertices,
        faces=faces,
        coords=coords,
        normals=_grid_normals(vertices, faces, grid.shape[1]),
        two_sided=True,
    )


def _grid_normals(vertices: np.ndarray, faces: np.ndarray, columns: int) -> np.ndarray:
    """Area-weighted vertex normals; the first and last column are one seam."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    seam = normals[::columns] + normals[columns - 1 :: columns]
    normals[::columns] = normals[columns - 1 :: columns] = seam
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), np.array([0, 0, 1.0]))
