"""A floor, and four walls that look inward."""

from __future__ import annotations

import numpy as np

from synthstudio.core.scene import Surface
from synthstudio.core.spec import THING_BASE, RoomBackdrop

FLOOR_INSTANCE = THING_BASE
WALLS_INSTANCE = THING_BASE + 1
_QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def room_surfaces(room: RoomBackdrop) -> tuple[Surface, ...]:
    """The floor at z = 0 and, when asked for, the walls; world metres.

    Coordinates are metres (walls: along the wall and up), so that patterns keep their size.
    Walls cannot be seen from outside the room.
    """
    half_x, half_y, height = room.size_m[0] / 2, room.size_m[1] / 2, room.size_m[2]
    corners = np.array([[-half_x, -half_y], [half_x, -half_y], [half_x, half_y], [-half_x, half_y]])
    floor_at = np.column_stack([corners, np.zeros(4)])
    centre = np.array([*room.centre_m, 0.0])
    floor = Surface(
        name="floor",
        instance=FLOOR_INSTANCE,
        vertices_m=(floor_at + centre).astype(np.float32),
        faces=_QUAD,
        coords=floor_at[:, [0, 2, 1]].astype(np.float32),
        material=room.floor,
        normals=np.tile(np.array([0, 0, 1], np.float32), (4, 1)),
    )
    return (floor, _walls(room, floor_at + centre, height)) if room.walls else (floor,)


def _walls(room: RoomBackdrop, corners: np.ndarray, height: float) -> Surface:
    """The four walls over the floor's corners (4, 3), which go round to the left."""
    up = np.array([0, 0, height])
    vertices, coords, normals, along = [], [], [], 0.0
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = float(np.linalg.norm(b - a))
        vertices += [b, a, a + up, b + up]
        coords += [
            [x, 0, z]
            for x, z in ((along + length, 0), (along, 0), (along, height), (along + length, height))
        ]
        direction = (b - a) / length
        normals += [[-direction[1], direction[0], 0]] * 4
        along += length
    return Surface(
        name="walls",
        instance=WALLS_INSTANCE,
        vertices_m=np.array(vertices, np.float32),
        faces=np.concatenate([_QUAD + 4 * k for k in range(4)]),
        coords=np.array(coords, np.float32),
        material=room.wall,
        normals=np.array(normals, np.float32),
    )
