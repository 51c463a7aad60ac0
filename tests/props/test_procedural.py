"""Procedural objects: closed, outward, of their true size, on their base."""

import math
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from synthstudio.core.catalogue import CABIN
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import Surface
from synthstudio.core.spec import Material, ObjectSpec, Vec3
from synthstudio.props.objects.kinds import KINDS
from synthstudio.props.objects.shapes import Piece
from synthstudio.props.procedural import build, kinds


def _size(kind: str, share: float) -> Vec3:
    known = KINDS[kind].listed
    low, high = np.array(known.size_low_m), np.array(known.size_high_m)
    x, y, z = low + (high - low) * share
    return float(x), float(y), float(z)


def _spec(kind: str, share: float = 0.5, **more: object) -> ObjectSpec:
    usual = ObjectSpec(kind=kind, size_m=_size(kind, share))
    return replace(usual, **more)  # type: ignore[arg-type]


def _points(surfaces: tuple[Surface, ...]) -> np.ndarray:
    return np.concatenate([s.vertices_m for s in surfaces]).astype(np.float64)


def _merged(piece: Piece) -> trimesh.Trimesh:
    mesh = trimesh.Trimesh(piece.vertices, piece.faces, process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    return mesh


def _lean(piece: Piece) -> np.ndarray:
    """How far each face's geometric normal agrees with its vertices' normals."""
    a, b, c = (piece.vertices[piece.faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->i", np.cross(b - a, c - a), piece.normals[piece.faces].mean(axis=1))


def _is_closed(piece: Piece) -> None:
    mesh = _merged(piece)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert (_lean(piece) >= -1e-12).all()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_pieces_are_closed_outward_and_carry_good_normals(kind, share):
    pieces = KINDS[kind].build(_size(kind, share), {})
    closed = [p for p in pieces if not p.two_sided]
    assert closed
    for piece in closed:
        _is_closed(piece)
    for piece in pieces:
        assert np.linalg.norm(piece.normals, axis=1) == pytest.approx(1, abs=1e-6)
        assert piece.coords.shape == piece.vertices.shape
        assert 0 <= piece.slot < len(KINDS[kind].materials)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_objects_have_their_true_size_and_stand_on_the_floor(kind, share):
    spec = _spec(kind, share, position_m=(1.0, -2.0, 0.25))
    points = _points(build(spec, instance=1002))
    assert np.ptp(points, axis=0) == pytest.approx(spec.size_m, abs=1e-5)
    assert points[:, 2].min() == pytest.approx(0.25, abs=1e-6)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    assert middle[:2] == pytest.approx([1, -2], abs=1e-5)


def test_the_table_is_what_a_draw_sees():
    listed = kinds()
    assert [k.kind for k in listed] == sorted(KINDS)
    assert len(listed) >= 12
    for kind in listed:
        assert all(0 < a <= b for a, b in zip(kind.size_low_m, kind.size_high_m, strict=True))
        assert kind.materials == len(KINDS[kind.kind].materials)
        surfaces = build(_spec(kind.kind), instance=1011)
        assert {s.instance for s in surfaces} == {1011}
        assert sum(len(s.faces) for s in surfaces) < 7_000
        assert all(s.vertices_m.dtype == np.float32 and s.faces.dtype == np.int32 for s in surfaces)


SEATS = sorted(kind for kind in {*KINDS} - {CABIN} if "seat" in KINDS[kind].listed.roles)


@pytest.mark.parametrize("kind", SEATS)
@pytest.mark.parametrize("seat", [0.1, 0.3, 0.43, 0.6])
def test_seats_carry_a_surface_at_seat_height(kind, seat):
    backed = "seat_height_m" in KINDS[kind].listed.shape
    requested = {"seat_height_m": seat} if backed else {}
    width, depth, _ = _size(kind, 0.5)
    spec = _spec(kind, shape=requested, size_m=(width, depth, seat + 0.4 if backed else seat))
    height = requested.get("seat_height_m", spec.size_m[2])
    mesh = trimesh.util.concatenate(
        [trimesh.Trimesh(s.vertices_m, s.faces, process=False) for s in build(spec, instance=1002)]
    )
    front = [[x, -0.04 * spec.size_m[1], 3.0] for x in (-0.021, 0.033, 0.11)]
    hits, _, _ = mesh.ray.intersects_location(front, [[0, 0, -1]] * 3, multiple_hits=False)
    assert len(hits) == 3
    assert hits[:, 2].max() == pytest.approx(height, abs=0.015)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "unicorn"}, "unknown kind.*barrel"),
        ({"size_m": (0.0, 1.0, 1.0)}, "size"),
        ({"size_m": (1.0, math.nan, 1.0)}, "size"),
        ({"size_m": (1.0, 1.0, 1e6)}, "size"),
        ({"materials": (Material(),)}, "materials"),
        ({"shape": {"wings": 2.0}}, "wings"),
    ],
)
def test_senseless_specs_are_refused(changes, reason):
    with pytest.raises(RecipeError, match=reason):
        build(
            _spec("chair", **changes) if "kind" not in changes else ObjectSpec(kind="unicorn"),
            instance=1002,
        )
