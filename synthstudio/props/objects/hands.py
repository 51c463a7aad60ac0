"""Builders of right hands on forearms, empty or holding something: held before the camera.

Fingers point up along z, the palm shows towards -y and the thumb is at +x: as one sees the own
right hand. Slots: skin (0), sleeve (1), then what it holds. `left` in a shape mirrors all.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from synthstudio.core.spec import Vec3
from synthstudio.props.objects.kinds import Builder, Shape, kind
from synthstudio.props.objects.shapes import Piece, about, box, cylinder, moved, revolved, tube

_WRIST_M = 0.255
_KNUCKLES_M = ((0.034, 0.348), (0.012, 0.354), (-0.011, 0.35), (-0.033, 0.34))  # x, z
_FINGERS_M = (0.074, 0.082, 0.076, 0.06)


def near(materials: str, size_m: Vec3) -> Callable[[Builder], Builder]:
    """Register what is drawn only before the camera (`placement: near`), by its mean size."""
    x, y, z = size_m
    low, high = ((share * x, share * y, share * z) for share in (0.92, 1.08))
    return kind(materials, low, high, roles=("near",), shape="left", casts_shadow=False)


def _capsule(path: Sequence[Vec3], radii: Sequence[float]) -> Piece:
    """A bar along a path whose far end is round."""
    along = np.subtract(path[-1], path[-2])
    along = along / np.linalg.norm(along) * radii[-1]
    ends = [tuple(path[-1] + share * along) for share in (0.6, 0.9, 1.0)]
    return tube([*path, *ends], [*radii, *(k * radii[-1] for k in (0.8, 0.45, 0.1))], segments=12)


def _finger(x: float, z: float, long_m: float, curl_rad: float, fan_rad: float) -> Piece:
    """A finger from its knuckle on, bent towards the palm by `curl_rad` at each of its joints."""
    path, y, bend = [(x, 0.004, z)], 0.004, 0.8 * curl_rad
    for bone_m in (0.45 * long_m, 0.3 * long_m, 0.25 * long_m):
        x += bone_m * math.sin(fan_rad)
        y, z = y - bone_m * math.sin(bend), z + bone_m * math.cos(bend)
        path.append((x, y, z))
        bend += curl_rad
    return _capsule(path, (0.0105, 0.01, 0.009, 0.008))


def _hand(
    curls_rad: Sequence[float], thumb: Sequence[Vec3], *, fan: float = 0.03
) -> Iterator[Piece]:
    """Forearm, sleeve, palm, fingers (index first) and the thumb along a path from its root."""
    yield _capsule([(0, 0, 0), (0, 0, 0.12), (0, 0, _WRIST_M)], [0.044, 0.041, 0.027])
    sleeve = [(0, 0, 0.0), (0, 0, 0.1), (0, 0, 0.165), (0, 0, 0.17)]
    yield replace(tube(sleeve, [0.058, 0.054, 0.046, 0.043], segments=16), slot=1)
    for k, (x, z) in enumerate(_KNUCKLES_M):
        yield _capsule([(0.5 * x, 0, _WRIST_M), (x, 0, z)], [0.016, 0.0135])
        yield _finger(x, z, _FINGERS_M[k], curls_rad[k], fan * (1 - k / 1.5))
    yield _capsule([(0.008, -0.004, _WRIST_M + 0.005), *thumb[:1]], [0.018, 0.0165])
    yield _capsule(thumb, (0.0145, 0.0125, 0.0105))


def _sided(shape: Shape, hand: Iterable[Piece], *held: Piece) -> list[Piece]:
    """The pieces, mirrored for a left hand."""
    if not shape.get("left"):
        return [*hand, *held]
    side = np.array((-1.0, 1.0, 1.0))
    return [
        replace(p, vertices=p.vertices * side, normals=p.normals * side, faces=p.faces[:, ::-1])
        for p in (*hand, *held)
    ]


_ASIDE: tuple[Vec3, ...] = ((0.038, -0.012, 0.3), (0.066, -0.022, 0.335), (0.086, -0.026, 0.37))
_ACROSS: tuple[Vec3, ...] = ((0.038, -0.022, 0.3), (0.05, -0.048, 0.345), (0.03, -0.062, 0.372))
_ROUND: tuple[Vec3, ...] = ((0.05, -0.03, 0.31), (0.062, -0.06, 0.34), (0.05, -0.088, 0.36))
"""Paths of a thumb: off the hand, across a fist, round a cup."""
_CENTRE_M: Vec3 = (0.0, -0.034, 0.363)  # of what a fist holds
_TILT_RAD = math.radians(40)
"""From across the palm towards the fingers: what an arm raised aslant holds is upright."""


def _gripped(piece: Piece, out_m: float = 0.0) -> Piece:
    """A piece that stands on z = 0, put into the fist, its top on the thumb's side."""
    x, y, z = _CENTRE_M
    return moved(piece, (x, y - out_m, z), turn=about("y", math.pi / 2 - _TILT_RAD))


@near("tan cloth_blue", (0.154, 0.116, 0.444))
def open_hand(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a hand with spread fingers."""
    return _sided(shape, _hand((0.1, 0.06, 0.1, 0.16), _ASIDE, fan=0.24))


@near("tan cloth_blue", (0.12, 0.13, 0.43))
def pointing_hand(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a hand that points with its index finger."""
    return _sided(shape, _hand((0.08, 1.25, 1.3, 1.3), _ACROSS))


@near("tan cloth_blue black glass", (0.12, 0.13, 0.452))
def phone_in_hand(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a hand with a phone whose screen shows to -y: case (2), screen (3)."""
    case = box((-0.037, -0.042, 0.3), (0.037, -0.033, 0.452), bevel=0.003, slot=2)
    screen = box((-0.034, -0.0425, 0.304), (0.034, -0.038, 0.448), bevel=0.0005, slot=3)
    return _sided(shape, _hand((0.12,) * 4, _ACROSS, fan=0.06), case, screen)


@near("tan cloth_blue white black", (0.144, 0.156, 0.437))
def cup_in_hand(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a hand round a paper cup: cup (2), lid (3)."""
    walls = [(0, -0.065), (0.029, -0.065), (0.041, 0.055), (0, 0.055)]
    cup, lid = revolved(walls, slot=2), cylinder(0.044, 0.05, 0.064, slot=3)
    return _sided(shape, _hand((0.45,) * 4, _ROUND), _gripped(cup, 0.012), _gripped(lid, 0.012))


@near("tan cloth_blue red steel", (0.19, 0.13, 0.474))
def screwdriver_in_hand(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a fist with a screwdriver: handle (2), blade (3)."""
    handle = cylinder(0.015, -0.06, 0.055, bevel=0.004, slot=2)
    blade = cylinder(0.0035, 0.05, 0.17, slot=3)
    return _sided(shape, _hand((1.2,) * 4, _ACROSS), _gripped(handle), _gripped(blade))


@near("tan cloth_blue wood black", (0.29, 0.13, 0.566))
def spatula_in_hand(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a fist with a spatula: handle (2), blade (3)."""
    handle = cylinder(0.011, -0.07, 0.18, slot=2)
    blade = box((-0.04, -0.003, 0.17), (0.04, 0.003, 0.27), bevel=0.002, slot=3)
    return _sided(shape, _hand((1.2,) * 4, _ACROSS), _gripped(handle), _gripped(blade))
