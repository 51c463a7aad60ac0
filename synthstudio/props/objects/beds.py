"""Builders of beds, their feet at -y, and of the blankets over people in them."""

from collections.abc import Iterator, Sequence

import numpy as np

from synthstudio.core.catalogue import MATTRESS
from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import Vec3
from synthstudio.props.objects.furniture import posts
from synthstudio.props.objects.kinds import TIMBER, Shape, belongs, kind
from synthstudio.props.objects.shapes import Piece, box, tube

BED = ("scenery", "bed")
FOLD_M = 0.13
"""How far the sheet is turned over a blanket's upper end."""
_CELLS = (2, 256)


@belongs("bedroom")
@kind(
    "wood white cloth_blue", (0.95, 2.0, 0.8), (1.9, 2.2, 1.15), TIMBER, roles=BED, shape=MATTRESS
)
def bed(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a bed: frame (0), mattress and pillows (1), without anybody in it a blanket (2)."""
    top = shape.get(MATTRESS, 0.55 * h)
    low = 0.3 * h
    yield box((-x, y - 0.05, 0), (x, y, h), bevel=0.01, along="x")
    yield box((-x, -y, 0.15 * h), (x, y - 0.05, low), along="y")
    yield from posts(x - 0.02, y - 0.02, 0.15 * h, 0.06)
    yield box((-x + 0.02, -y + 0.02, low), (x - 0.02, y - 0.05, top), bevel=0.04, slot=1)
    used = MATTRESS in shape
    yield from _pillows(x, y, top, count=1 if used or x < 0.65 else 2, used=used)
    if not used:
        yield box((-x, -y, low + 0.02), (x, 0.35 * y, top + 0.03), bevel=0.03, slot=2)


@belongs("ward")
@kind(
    "white white steel cloth_blue", (1.0, 2.15, 0.95), (1.29, 2.3, 1.1), roles=BED, shape=MATTRESS
)
def hospital_bed(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a hospital bed: boards (0), mattress and pillow (1), frame, wheels and rails (2),
    without anybody in it a blanket (3)."""
    top = shape.get(MATTRESS, 0.55 * h)
    low = top - 0.14
    for s in (-1, 1):
        yield box((-x, s * y, low - 0.05), (x, s * (y - 0.03), h if s > 0 else top + 0.22 * h))
    yield box((-x + 0.05, -y + 0.03, low - 0.07), (x - 0.05, y - 0.03, low - 0.01), slot=2)
    yield box((-0.6 * x, -0.5 * y, 0.12), (0.6 * x, 0.5 * y, low - 0.07), slot=2)
    for s, t in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        foot = (s * (x - 0.1), t * (y - 0.2))
        yield tube([(*foot, 0.1), (0.6 * foot[0], 0.6 * foot[1], low - 0.08)], 0.02, slot=2)
        yield box(
            (foot[0] - 0.03, foot[1] - 0.05, 0), (foot[0] + 0.03, foot[1] + 0.05, 0.1), slot=2
        )
    yield box((-x + 0.07, -y + 0.04, low), (x - 0.07, y - 0.04, top), bevel=0.03, slot=1)
    yield from _pillows(x, y, top, count=1, used=MATTRESS in shape)
    for s in (-1, 1):
        for up in (0.0, 0.12, 0.24):
            bar = [(s * (x - 0.03), -0.3 * y, top + up), (s * (x - 0.03), 0.6 * y, top + up)]
            yield tube(bar, 0.013, slot=2)
        for at in (-0.3, 0.0, 0.3, 0.6):
            post = [(s * (x - 0.03), at * y, low - 0.05), (s * (x - 0.03), at * y, top + 0.24)]
            yield tube(post, 0.013, slot=2)
    if MATTRESS not in shape:
        sheet = ((-x + 0.06, -y + 0.04, low + 0.04), (x - 0.06, 0.35 * y, top + 0.02))
        yield box(*sheet, bevel=0.02, slot=3)


def _pillows(x: float, y: float, top: float, *, count: int, used: bool) -> Iterator[Piece]:
    """Yield pillows at the head end; with a head in them they are low and reach to its neck."""
    step = 2 * x / count
    for number in range(count):
        left = -x + number * step
        near = (left + 0.08, (0.66 if used else 0.48) * y, top - 0.02)
        far = (left + step - 0.08, y - 0.09, top + (0.03 if used else 0.09))
        yield box(near, far, bevel=0.05, slot=1)


@kind("cloth_blue white", (0.5, 0.35, 0.08), (0.7, 0.5, 0.2), roles=())
def blanket(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a folded blanket (0); one over somebody is `draped`."""
    return [box((-x, -y, 0), (x, y, h), bevel=0.03)]


def draped(size: Vec3, heights: Sequence[Sequence[float]], *, fold_m: float) -> list[Piece]:
    """A blanket (0) with its sheet turned over it at the upper end (1), from a height field.

    `heights`: see ObjectSpec.heights_m. RecipeError if they are not a grid of numbers.
    """
    rows, lengths, (few, many) = len(heights), {len(row) for row in heights}, _CELLS
    if len(lengths) != 1 or not all(few <= n <= many for n in (rows, *lengths)):
        raise RecipeError(
            "the heights are not a grid",
            where="heights_m",
            expected=f"rows of equal length, {few} to {many} each way",
            got=f"{rows} rows of {min(lengths)} to {max(lengths)}",
        )
    grid = np.array(heights)
    if not np.isfinite(grid).all() or np.ptp(grid) <= 0:
        raise RecipeError("the heights are flat or not finite", where="heights_m")
    x, y = (
        np.linspace(-side / 2, side / 2, n) for side, n in zip(size[:2], grid.T.shape, strict=True)
    )
    vertices = np.stack([*np.meshgrid(x, y), grid], axis=-1)
    dy, dx = np.gradient(grid, y, x)
    normals = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    # Patterns keep their size where the cloth hangs: coordinates are mean lengths along it.
    drops = (np.diff(grid, axis=1, prepend=grid[:, :1]), np.diff(grid, axis=0, prepend=grid[:1]))
    across = np.hypot(drops[0].mean(axis=0), x[1] - x[0]).cumsum()
    along = np.hypot(drops[1].mean(axis=1), y[1] - y[0]).cumsum()
    flat = np.meshgrid(across, along)
    coords = np.stack([flat[0], np.zeros_like(grid), flat[1]], axis=-1)
    index = np.arange(grid.size).reshape(grid.shape)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)], axis=2)
    folded = min(rows - 1, round(fold_m / (y[1] - y[0])))
    return [
        Piece(
            vertices=vertices.reshape(-1, 3),
            faces=part.reshape(-1, 3),
            coords=coords.reshape(-1, 3),
            normals=normals.reshape(-1, 3),
            slot=slot,
            two_sided=True,
        )
        for slot, part in ((0, faces[: rows - 1 - folded]), (1, faces[rows - 1 - folded :]))
        if part.size
    ]
