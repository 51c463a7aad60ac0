"""Fitting a piece of cloth to one posed person. Vectors lie as in garment_mesh.py."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body.atlas import BareBody
from synthstudio.body.clothes.cloth import Cloth, DrapeConstraint, along_m
from synthstudio.body.clothes.garment_mesh import Basis, cross_of, length, spread, tall, unit
from synthstudio.body.clothes.hang import hung_m
from synthstudio.body.face import head_size
from synthstudio.core.arrays import F32, F64, Intp
from synthstudio.core.scene import Surface
from synthstudio.core.spec import Material

STATURE_M = 1.660  # of the template, so that one pattern scale fits every stature
_MAX_PUSH_M = 0.05
_HAIR_OVER_M = 0.030  # at most
_STILL_NEAR_M = 0.005  # cloth that moved less has the same skin under it
_LEVEL = 0.65  # how much flatter cloth lies on what faces up
_LIMP = 0.75  # how far hanging hair turns towards straight down


@dataclass(frozen=True, kw_only=True, eq=False)
class Wearer:
    """A posed person's data for fitting cloth."""

    posed_m: F32  # (3, N)
    rest_m: F32  # (3, N) scaled to the template's stature
    planes: F32  # (4, N) skin normals, and vertex . normal: how far the tangent plane is out
    rest_joints_m: F64  # (2, 6, 3) scaled alike
    bone_deltas: F32  # (B, 3, 3)
    scale: float  # stature over the template's
    head: float  # the same of what the head wears
    thick: tuple[float, float]  # of cloth on the body and on the head over what it is cut for


def wearer_of(base: Basis, bare: BareBody, *, fitted: bool = False) -> Wearer:
    """Return a posed body's data for fitting.

    `fitted`: cloth is as thick and folds as deep as the body is large, and hair and hats have
    the size of the head. Otherwise they are those of grown people.
    """
    scale = bare.stature_m / STATURE_M
    head = head_size(bare.rest_m, base.atlas.groups) if fitted else scale
    posed = np.ascontiguousarray(bare.vertices_m.T)
    planes = np.empty((4, posed.shape[1]), np.float32)
    planes[:3] = unit(spread(base.normal_sum, cross_of(posed, base.corner)))
    planes[3] = (posed * planes[:3]).sum(axis=0)
    joints = base.joint_rows @ bare.rest_m
    return Wearer(
        posed_m=posed,
        rest_m=np.ascontiguousarray(bare.rest_m.T) * np.float32(1 / scale),
        planes=planes,
        rest_joints_m=joints.astype(np.float64).reshape(2, 6, 3) / scale,
        bone_deltas=bare.bone_deltas.astype(np.float32),
        scale=scale,
        head=head,
        thick=(scale, head) if fitted else (1.0, 1.0),
    )


def sewn(
    cloth: Cloth, wearer: Wearer, name: str, *, loose: float, phase: float, over_m: float
) -> Surface:
    """A piece of cloth on a person, in the person's frame, without its material.

    `loose` scales its offset, `phase` shifts its folds; hair lies over clothes that reach `over_m`
    off the shoulders. The piece's vertices come first, in its order.
    """
    cut, rest = cloth.cut, spread(cloth.rows, wearer.rest_m)
    v = _settled(_draped(cloth, wearer, rest, loose, phase), cloth.settle, wearer, over_m)
    normals = spread(cloth.normal_sum, cross_of(v, cloth.corner))
    normals = unit(spread(cloth.mean, normals, cloth.rounds.shading))
    coords = _coords(cloth, wearer, rest) if cloth.coords is None else cloth.coords
    inner = spread(cloth.edge_mean, v)
    if cloth.parted is not None:
        v, coords = spread(cloth.parted, v), spread(cloth.parted, coords)
        normals = unit(spread(cloth.parted, normals))
    edge = cloth.rim[:, 0]
    at, out = v.take(edge, axis=1), normals.take(edge, axis=1)
    beyond = unit(at - inner)  # away from the cloth, in its surface
    return Surface(
        name=name,
        instance=0,
        vertices_m=tall(v, at - out * np.float32(cut.rim_m)),
        normals=tall(normals, unit(beyond - np.float32(0.5) * out)),
        faces=cloth.all_faces,
        coords=tall(coords, coords.take(edge, axis=1)),
        material=Material(),
        covers=cloth.covers,
        tint=None if cut.tint is None else np.vstack([cut.tint, cut.tint[edge]]),
        two_sided=True,
    )


def _draped(cloth: Cloth, wearer: Wearer, rest: F32, loose: float, phase: float) -> F32:
    """(3, V): off the body, smoothed, pushed out of the skin again and creased."""
    v = spread(cloth.rows, wearer.posed_m)
    if cloth.shift_m is not None:
        v += _rotated(cloth, cloth.shift_m, wearer)
    cross = cross_of(v, cloth.corner)
    normals = unit(spread(cloth.normal_sum, cross))
    normals = unit(spread(cloth.mean, normals, cloth.rounds.normals))
    thick = np.float32(wearer.thick[cloth.on_head])
    away = np.maximum(cloth.offset_m * np.float32(loose) * thick, cloth.min_m)
    if cloth.hang is not None:
        hung = hung_m(cloth.hang, rest, wearer.rest_joints_m.reshape(-1, 3))
        away += spread(cloth.mean, hung[None], cloth.rounds.normals)[0] * thick
    # Cloth lies on what faces up and hangs off what does not.
    away *= 1 - np.float32(_LEVEL if cloth.cut.level else 0.0) * np.maximum(normals[2], 0)
    v = spread(cloth.smooth, v + normals * away, cloth.rounds.cloth)
    for _ in range(cloth.rounds.hem if len(cloth.hem) else 0):
        v[:, cloth.hem] = spread(cloth.hem_smooth, v)
    v = outside_skin(v, cloth.anchors, wearer, cloth.min_m)
    v = spread(cloth.smooth, v, cloth.rounds.last)
    if cloth.cut.folds_m:
        v += normals * (_folds(cloth, cross * (1 / thick**2), rest, phase) * thick)
    return v


def _rotated(cloth: Cloth, shift_m: F32, wearer: Wearer) -> F32:
    """The weave's shift (3, V) on this person, turned with its bones."""
    left, right = (wearer.bone_deltas[bone] for bone in cloth.bones)
    rotated = left @ shift_m
    if cloth.bones[0] != cloth.bones[1]:
        rotated = np.where(cloth.side, right @ shift_m, rotated)
    if cloth.drop_m is not None:  # the part below the ears turns back towards straight down
        up = np.array((0, 0, 1), np.float32)
        rotated += np.float32(_LIMP) * cloth.drop_m * (left @ up - up)[:, None]
    return np.asarray(rotated * np.float32(wearer.head if cloth.on_head else wearer.scale))


def _settled(v: F32, loose: DrapeConstraint | None, wearer: Wearer, over_m: float) -> F32:
    """Lay loose cloth or long hair on whatever skin is under it in this pose."""
    if loose is None:
        return v
    tree = cKDTree(wearer.posed_m[:, loose.skin].T)
    minimum, keep = loose.min_m, np.ones((3, 1), np.float32)
    if loose.hair:  # it does not spread sideways over the shoulders
        minimum = np.minimum(minimum, np.float32(min(over_m, _HAIR_OVER_M) + 0.010))
        keep = np.array([[0.15], [1], [1]], np.float32)
    requested = v.take(loose.moving, axis=1)
    near = loose.skin[tree.query(requested.T)[1]]
    for number in range(loose.rounds):
        if number:
            now = v.take(loose.moving, axis=1)
            gone = np.flatnonzero(length(now - requested) > _STILL_NEAR_M)
            near[gone] = loose.skin[tree.query(now[:, gone].T)[1]]
        for last in (False, False, True):
            before = v.take(loose.moving, axis=1)
            v[:, loose.moving] = before + keep * (
                outside_skin(before, near[None], wearer, minimum) - before
            )
            if not last:
                v[:, loose.moving] = spread(loose.smooth, v)
    return v


def outside_skin(v: F32, anchors: Intp, wearer: Wearer, min_m: F32) -> F32:
    """Move vertices (3, V) out of the skin near them until they are `min_m` (V,) above it.

    `anchors` (K, V) are skin vertices near each; the one deepest above it decides.
    """
    height, deepest = _height_m(v, anchors[0], wearer), anchors[0]
    for other in anchors[1:]:
        above = _height_m(v, other, wearer)
        deepest = np.where(above < height, other, deepest)
        height = np.minimum(height, above)
    move = np.clip(min_m - height, 0, _MAX_PUSH_M)
    moving = np.flatnonzero(move)
    out = v.copy()
    out[:, moving] += wearer.planes[:3].take(deepest[moving], axis=1) * move[moving]
    return out


def _height_m(v: F32, anchor: Intp, wearer: Wearer) -> F32:
    nx, ny, nz, d = wearer.planes.take(anchor, axis=1)
    return np.asarray(nx * v[0] + ny * v[1] + nz * v[2] - d)


def _folds(cloth: Cloth, cross: F32, rest: F32, phase: float) -> F32:
    """(V,) heights: ridges where the pose presses the cloth together."""
    posed, flat = length(cross), length(cross_of(rest, cloth.corner))
    loss: F32 = np.clip(1 - posed / np.maximum(flat, np.float32(1e-9)), 0, np.float32(0.6))
    (pressed,) = spread(cloth.mean, spread(cloth.normal_sum, loss[None]), cloth.rounds.normals)
    a, b, c = cloth.crease
    warp = np.float32(0.9) * np.sin(c + np.float32(2 * phase))
    ridges = (1 - np.abs(np.sin(a + warp + np.float32(phase)))) ** 2
    slanted = (1 - np.abs(np.sin(b - warp + np.float32(1.7 * phase)))) ** 2
    ridges += np.float32(0.7) * slanted - np.float32(0.25)
    pressed = np.float32(0.25) + np.float32(2.0 / 6) * pressed
    return np.asarray(np.float32(cloth.cut.folds_m) * cloth.fade * pressed * ridges)


def _coords(cloth: Cloth, wearer: Wearer, rest: F32) -> F32:
    """(3, V) rest metres across, through and along; along is as smooth as the cloth."""
    along = along_m(rest, cloth.arm, cloth.sleeves, wearer.rest_joints_m)
    (along,) = spread(cloth.smooth, along[None], cloth.rounds.coords)
    return np.stack([cloth.across_m, rest[1], along])
