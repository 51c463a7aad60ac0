"""Closed pieces of objects: chamfered boxes, prisms, turned profiles, tubes and leaves, in metres.

A piece carries its own normals and texture coordinates in rest metres: (x, z) of `coords` lie
in the surface, so that boards and bricks keep their size on every side; y is the distance
along the normal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.spec import ObjectSpec, Vec2, Vec3

CREASE = math.cos(math.radians(40))
"""Faces of a turned profile that meet at more than 40 degrees are shaded with an edge."""


CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A closed piece (or an open, two-sided one); `slot` numbers the object's materials."""

    vertices: F64  # (V, 3)
    faces: np.ndarray  # (F, 3) counter-clockwise from outside
    coords: F64  # (V, 3)
    normals: F64  # (V, 3) unit
    slot: int = 0
    two_sided: bool = False


def joined(pieces: Sequence[Piece]) -> Piece:
    """The pieces as one, with the slot and sidedness of the first."""
    starts = np.cumsum([0] + [len(p.vertices) for p in pieces[:-1]])
    return replace(
        pieces[0],
        vertices=np.concatenate([p.vertices for p in pieces]),
        faces=np.concatenate([p.faces + s for p, s in zip(pieces, starts, strict=True)]),
        coords=np.concatenate([p.coords for p in pieces]),
        normals=np.concatenate([p.normals for p in pieces]),
    )


def moved(piece: Piece, offset: Vec3 = (0, 0, 0), *, turn: F64 | None = None) -> Piece:
    """The piece turned by a (3, 3) rotation, then shifted; its coords stay."""
    turn = np.eye(3) if turn is None else turn
    return replace(
        piece, vertices=piece.vertices @ turn.T + np.array(offset), normals=piece.normals @ turn.T
    )


def about(axis: str, angle_rad: float) -> F64:
    """The (3, 3) rotation about "x", "y" or "z"."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    k = "xyz".index(axis)
    i, j = (k + 1) % 3, (k + 2) % 3
    out = np.eye(3)
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def turn_of(spec: ObjectSpec) -> F64:
    """The (3, 3) rotation that a spec gives an object: Rz(yaw) Rx(pitch) Ry(roll)."""
    tilt = about("x", spec.pitch_rad) @ about("y", spec.roll_rad)
    return np.asarray(about("z", spec.yaw_rad) @ tilt)


@dataclass(frozen=True, kw_only=True)
class _BoxTemplate:
    """A chamfered unit box: each of its 8 corners is up to seven vertices."""

    high: np.ndarray  # (V, 3) bool: the corner's side on each axis
    inward: F64  # (V, 3) times bevel: the way from the corner to the vertex
    normals: F64  # (V, 3)
    faces: np.ndarray  # (F, 3)
    columns: dict[str, np.ndarray]  # grain axis -> (V, 3) which of all numbers become coords
    across: F64  # (C,) times bevel: coords x of the last C vertices, those of chamfers


def box(low: Vec3, high: Vec3, *, bevel: float = 0.004, along: str = "z", slot: int = 0) -> Piece:
    """A box between opposite corners, its edges chamfered by `bevel`, its grain along an axis."""
    lo, hi = np.sort(np.array((low, high), np.float64), axis=0)
    b = min(bevel, 0.3 * float((hi - lo).min()))
    form = _CHAMFERED if b > 0 else _PLAIN
    vertices = np.where(form.high, hi, lo) + form.inward * b
    coords = vertices.take(form.columns[along])
    coords[len(coords) - len(form.across) :, 0] = form.across * b
    return Piece(
        vertices=vertices, faces=form.faces, coords=coords, normals=form.normals, slot=slot
    )


def _box_template(*, chamfered: bool) -> _BoxTemplate:
    high: list[tuple[int, int, int]] = []
    inward, normals, faces, across = [], [], [], []
    columns: dict[str, list[list[int]]] = {axis: [] for axis in "xyz"}

    def add(sides: tuple[int, int, int], face: int, picks: tuple[list[int], ...]) -> None:
        """Add the vertex of a corner that lies on its face across axis `face`."""
        signs = np.array([2 * v - 1 for v in sides])
        high.append(sides)
        inward.append(np.where(np.arange(3) == face, 0, -signs) if chamfered else np.zeros(3))
        normals.append(np.where(np.arange(3) == face, signs, 0))
        for axis, pick in zip("xyz", picks, strict=True):
            columns[axis].append([3 * (len(high) - 1) + k for k in pick])

    for axis in range(3):
        for side in (0, 1):
            ring = ((0, 0), (1, 0), (1, 1), (0, 1)) if side else ((0, 0), (0, 1), (1, 1), (1, 0))
            start = len(high)
            faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
            picks = tuple(_face_columns(axis, grain) for grain in range(3))
            for i, j in ring:
                add(_sides(axis, (side, i, j)), axis, picks)
    for axis, si, sj in np.ndindex(3, 2, 2) if chamfered else ():
        start = len(high)
        order = ((0, 1, 2), (0, 2, 3)) if si == sj else ((0, 2, 1), (0, 3, 2))
        faces += [[start + k for k in triangle] for triangle in order]
        pick = [(axis + 1) % 3, (axis + 2) % 3, axis]
        for end, face, x in ((0, 1, 0.0), (0, 2, 1.0), (1, 2, 1.0), (1, 1, 0.0)):
            add(_sides(axis, (end, si, sj)), (axis + face) % 3, (pick,) * 3)
            across.append(x * math.sqrt(2))
    for sides in np.ndindex(2, 2, 2) if chamfered else ():
        start = len(high)
        faces.append(
            [start, start + 1, start + 2] if sum(sides) % 2 else [start, start + 2, start + 1]
        )
        for axis in range(3):
            add((sides[0], sides[1], sides[2]), axis, ([0, 1, 2],) * 3)
            across.append(0.0)
    return _BoxTemplate(
        high=np.array(high, bool),
        inward=np.array(inward, np.float64),
        normals=np.array(normals, np.float64),
        faces=np.array(faces),
        columns={axis: np.array(picks) for axis, picks in columns.items()},
        across=np.array(across),
    )


def _face_columns(axis: int, grain: int) -> list[int]:
    """Which axes become (x, y, z) of coords on the faces across `axis`."""
    tangents = [k for k in range(3) if k != axis]
    up = grain if grain in tangents else tangents[-1]
    return [next(k for k in tangents if k != up), axis, up]


def _sides(axis: int, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """The corner whose sides along (axis, axis + 1, axis + 2) are `values`."""
    x, y, z = (values[(k - axis) % 3] for k in range(3))
    return x, y, z


_PLAIN = _box_template(chamfered=False)
_CHAMFERED = _box_template(chamfered=True)


def prism(outline: Sequence[Vec2], y0: float, y1: float, *, slot: int = 0) -> Piece:
    """A convex outline in (x, z), counter-clockwise seen from -y, drawn from y0 to y1."""
    ring = np.array(outline, np.float64)
    n = len(ring)
    way = np.roll(ring, -1, axis=0) - ring
    length = np.hypot(way[:, 0], way[:, 1])
    run = np.concatenate([[0.0], np.cumsum(length)])
    # Corners of each side: this one and the next at y0, then the next and this one at y1.
    place = (np.arange(n)[:, None] + np.array([0, 1, 1, 0])) % n
    sides = np.empty((n, 4, 3))
    sides[..., [0, 2]], sides[..., 1] = ring[place], np.array([y0, y0, y1, y1])
    coords = np.zeros((n, 4, 3))
    coords[..., 0] = run[np.arange(n)[:, None] + np.array([0, 1, 1, 0])]
    coords[..., 2] = sides[..., 1]
    normals = np.zeros((n, 3))
    normals[:, 0], normals[:, 2] = way[:, 1] / length, -way[:, 0] / length
    caps = np.empty((2, n, 3))
    caps[..., [0, 2]], caps[..., 1] = ring, np.array([[y0], [y1]])
    facing = np.zeros((2, n, 3))
    facing[..., 1] = np.array([[-1.0], [1.0]])
    quads = 2 * n + 4 * np.arange(n)[:, None, None] + np.array([[0, 2, 1], [0, 3, 2]])
    fan = _fan(n)
    return Piece(
        vertices=np.concatenate([caps.reshape(-1, 3), sides.reshape(-1, 3)]),
        faces=np.concatenate([fan, fan[:, ::-1] + n, quads.reshape(-1, 3)]),
        coords=np.concatenate([caps.reshape(-1, 3), coords.reshape(-1, 3)]),
        normals=np.concatenate([facing.reshape(-1, 3), np.repeat(normals, 4, axis=0)]),
        slot=slot,
    )


@lru_cache(maxsize=64)
def _fan(n: int) -> np.ndarray:
    """(n - 2, 3) the triangles of a convex ring of n corners."""
    k = np.arange(1, n - 1)
    return np.column_stack([np.zeros_like(k), k, k + 1])


def revolved(profile: Sequence[Vec2], *, segments: int = 24, slot: int = 0) -> Piece:
    """The profile of (radius, z) points turned about z.

    The profile goes from the bottom's middle (radius 0) outside and up to the top's (radius
    0), so the piece is closed. Flat ends take planar coordinates, sides (arc, profile length).
    """
    points = np.array(profile, np.float64)
    steps = np.diff(points, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    bands = np.stack([points[:-1], points[1:]], axis=1)  # (K, lower and upper end, radius and z)
    ends = _soft(np.column_stack([steps[:, 1], -steps[:, 0]]) / lengths[:, None])
    angle, circle = _circle(segments)
    shape = (len(steps), 2, segments + 1, 3)
    vertices, normals, coords = np.empty(shape), np.empty(shape), np.zeros(shape)
    for rings, values in ((vertices, bands), (normals, ends)):
        rings[..., :2] = circle * values[..., None, :1]
        rings[..., 2] = values[..., 1:]
    run = np.concatenate([[0.0], np.cumsum(lengths)])
    coords[..., 0] = angle * bands[..., 0].max(axis=1)[:, None, None]
    coords[..., 2] = np.column_stack([run[:-1], run[1:]])[..., None]
    flat = np.abs(steps[:, 1]) < 1e-9
    coords[flat] = vertices[flat][..., [0, 2, 1]]
    first = 2 * (segments + 1) * np.arange(len(steps))
    faces = first[:, None, None, None] + _strip(segments)
    return Piece(
        vertices=vertices.reshape(-1, 3),
        faces=faces[bands[..., 0] > 0].reshape(-1, 3),  # at radius 0 a triangle has no area
        coords=coords.reshape(-1, 3),
        normals=normals.reshape(-1, 3),
        slot=slot,
    )


@lru_cache(maxsize=64)
def _circle(segments: int) -> tuple[F64, F64]:
    """(S + 1,) angles of a whole turn and (S + 1, 2) their cosines and sines."""
    angle = np.linspace(0, 2 * math.pi, segments + 1)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    circle[-1] = circle[0]
    return angle, circle


@lru_cache(maxsize=64)
def _strip(segments: int) -> np.ndarray:
    """(2, S, 3) the triangles between two rings: those on the lower, those on the upper."""
    a, n = np.arange(segments), segments + 1
    lower = np.column_stack([a, a + 1, a + n + 1])
    return np.stack([lower, np.column_stack([a, a + n + 1, a + n])])


def _soft(outward: F64) -> F64:
    """(K, 2, 2) each band's normals at its ends, shared with the next unless creased."""
    ends = np.stack([outward, outward], axis=1)
    shared = (outward[:-1] * outward[1:]).sum(axis=1) >= CREASE
    mean = outward[:-1][shared] + outward[1:][shared]
    ends[1:, 0][shared] = ends[:-1, 1][shared] = mean
    return np.asarray(ends / np.hypot(ends[..., :1], ends[..., 1:]))


def cylinder(
    radius: float, z0: float, z1: float, *, bevel: float = 0.002, segments: int = 20, slot: int = 0
) -> Piece:
    """An upright cylinder with slightly broken edges."""
    b = min(bevel, radius / 3, (z1 - z0) / 3)
    return revolved(
        [(0, z0), (radius - b, z0), (radius, z0 + b), (radius, z1 - b), (radius - b, z1), (0, z1)],
        segments=segments,
        slot=slot,
    )


def arc(first_rad: float, last_rad: float, count: int) -> list[Vec2]:
    """(cosine, sine) of angles at equal steps, both ends included."""
    return [(math.cos(a), math.sin(a)) for a in np.linspace(first_rad, last_rad, count)]


def ball(radius: float, centre: Vec3, *, stretch: float = 1.0, slot: int = 0) -> Piece:
    """A ball, `stretch` times as high as wide."""
    profile = [(radius * c, radius * stretch * s) for c, s in arc(-math.pi / 2, math.pi / 2, 11)]
    profile[0], profile[-1] = (0.0, profile[0][1]), (0.0, profile[-1][1])
    return moved(revolved(profile, segments=18, slot=slot), centre)


def tube(
    path: Sequence[Vec3], radius: float | Sequence[float], *, segments: int = 10, slot: int = 0
) -> Piece:
    """A round bar along a path, closed at its ends."""
    points = np.array(path, np.float64)
    radii = np.broadcast_to(np.asarray(radius, np.float64), len(points))
    frames = _frames(points)
    angle, circle = _circle(segments)
    outward = circle @ frames[:, :2]
    rings = points[:, None] + outward * radii[:, None, None]
    run = np.concatenate([[0], np.cumsum(lengths(np.diff(points, axis=0)))])
    n, p = segments + 1, len(points)
    coords = np.zeros((p, n, 3))
    coords[..., 0], coords[..., 2] = angle * radii.max(), run[:, None]
    sides = n * np.arange(p - 1)[:, None] + _strip(segments).reshape(2, 1, -1)
    fan, ends = _fan(segments), rings[[0, -1], :-1]
    facing = np.stack([-frames[0, 2], frames[-1, 2]])
    return Piece(
        vertices=np.concatenate([rings.reshape(-1, 3), ends.reshape(-1, 3)]),
        faces=np.concatenate(
            [sides.reshape(-1, 3), fan[:, ::-1] + p * n, fan + (p * n + segments)]
        ),
        coords=np.concatenate([coords.reshape(-1, 3), (ends - ends[:, :1]).reshape(-1, 3)]),
        normals=np.concatenate([outward.reshape(-1, 3), np.repeat(facing, segments, axis=0)]),
        slot=slot,
    )


def lengths(vectors: F64) -> F64:
    """(n,) lengths of vectors (n, 3)."""
    x, y, z = vectors.T
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def _frames(points: F64) -> F64:
    """(P, 3, 3) rows: two directions across and the one along, carried without twist."""
    along = np.gradient(points, axis=0)
    along /= lengths(along)[:, None]
    side = np.eye(3)[int(np.argmin(np.abs(along[0])))]
    frames = np.empty((len(points), 3, 3))
    frames[:, 2] = along
    for k, direction in enumerate(along):
        side = side - direction * (side @ direction)
        side = side / math.sqrt(side @ side)
        frames[k, 0] = side
    frames[:, 1] = np.cross(along, frames[:, 0])
    return frames


def leaves(bases: F64, tips: F64, widths: F64, ups: F64, *, slot: int = 0) -> Piece:
    """L pointed leaves from `bases` to `tips` (L, 3), folded along their middles.

    `widths` is (L,); `ups` (L, 3) says which way each upper side looks. Seen from both sides.
    """
    count = len(bases)
    along = tips - bases
    lengths = np.linalg.norm(along, axis=1)
    along = along / lengths[:, None]
    across = np.cross(along, ups)
    size = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(size > 1e-9, across / np.maximum(size, 1e-9), np.array([1.0, 0, 0]))
    normal = np.cross(across, along)
    side, belly = across * (widths / 2)[:, None], along * (0.42 * lengths)[:, None]
    middle = bases + along * (0.45 * lengths)[:, None] - normal * (0.15 * widths)[:, None]
    points = np.stack([bases, bases + belly - side, bases + belly + side, middle, tips], axis=1)
    tilt = 0.35 * across
    normals = np.stack([normal, normal - tilt, normal + tilt, normal, normal], axis=1)
    coords = np.zeros((count, 5, 3))
    coords[..., 0] = np.outer(widths, (0, -0.5, 0.5, 0, 0))
    coords[..., 2] = np.outer(lengths, (0, 0.42, 0.42, 0.45, 1))
    triangles = np.array([[0, 3, 1], [0, 2, 3], [1, 3, 4], [3, 2, 4]])
    return Piece(
        vertices=points.reshape(-1, 3),
        faces=(triangles[None] + 5 * np.arange(count)[:, None, None]).reshape(-1, 3),
        coords=coords.reshape(-1, 3),
        normals=(normals / np.linalg.norm(normals, axis=-1, keepdims=True)).reshape(-1, 3),
        slot=slot,
        two_sided=True,
    )
