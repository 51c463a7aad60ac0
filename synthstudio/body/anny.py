"""Dressed Anny people in the world: the pipeline's interface to the body model."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from synthstudio.body.atlas import Atlas, BareBody, bare_body, load_atlas, rest_of
from synthstudio.body.footing import Gait, gait_of, soles_of, steps
from synthstudio.body.patches import PatchTable, patches, posed_patches
from synthstudio.body.poses import BONES
from synthstudio.body.reach import meet
from synthstudio.body.recording import Motion, mirrored
from synthstudio.body.touching import Pair, Posed
from synthstudio.body.wardrobe import dress, pictures
from synthstudio.core.arrays import F32, F64, I64, Intp
from synthstudio.core.catalogue import Step, Touch
from synthstudio.core.errors import GeometryError
from synthstudio.core.scene import PARTS, JointPatches, PosedPerson, Surface
from synthstudio.core.skeleton import JOINTS, get_skeleton
from synthstudio.core.spec import BoneTurn, PersonSpec, Phenotype, PoseSpec

_BARE_CACHE = 96
_GAIT_CACHE = 32  # about 1 MB a second of motion each
_DRESSED_CACHE = 64  # about 1.5 MB each; a crowd that was drawn is then built from it


@functools.cache
def load(skeleton_name: str = "coco23") -> Body:
    """Return the body of that skeleton, built once a process; RecipeError if it is unknown."""
    rows = [JOINTS.index(name) for name in get_skeleton(skeleton_name).joints]
    return Body(
        atlas=load_atlas(),
        table=patches(skeleton_name),
        skeleton=skeleton_name,
        rows=np.array(rows),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """Anny with a skeleton; get it from `load`. All results are pure functions of the arguments.

    What `core.catalogue.GeometryQueries` names alike is described there.
    """

    atlas: Atlas
    table: PatchTable
    skeleton: str
    rows: I64  # (J,) of BareBody.joints_m

    def posed(self, person: PersonSpec, *, instance: int) -> PosedPerson:
        """Return the dressed person in the world, its surfaces marked with `instance`."""
        bare, dressed = _bare(person.phenotype, person.pose), _dressed(_unplaced(person))
        return PosedPerson(
            instance=instance,
            surfaces=_placed(dressed, person, instance),
            joints_m=self.joints_m(person),
            kinematic_joints_m=self.kinematic_joints_m(person),
            patches=posed_patches(
                self.table, _moved(bare.vertices_m, person), self.atlas.body_faces
            ),
            stature_m=bare.stature_m,
            pictures=pictures(person),
        )

    def surfaces(self, person: PersonSpec, *, instance: int) -> tuple[Surface, ...]:
        return _placed(_dressed(_unplaced(person)), person, instance)

    def drop_m(self, person: PersonSpec) -> float:
        return -_dressed(_unplaced(person)).lowest_m

    def joints_m(self, person: PersonSpec) -> F64:
        """Return (J, 3) world joints in the order of the skeleton, regressed from the surface."""
        return self._placed(_bare(person.phenotype, person.pose).joints_m, person)

    def kinematic_joints_m(self, person: PersonSpec) -> F64:
        """Return (J, 3) world rotation centres in the order of the skeleton (body.atlas)."""
        return self._placed(_bare(person.phenotype, person.pose).kinematic_joints_m, person)

    def _placed(self, joints_m: F64, person: PersonSpec) -> F64:
        out: F64 = joints_m[self.rows] @ _turn(person.yaw_rad).T + np.array(person.position_m)
        return out

    def fresh_patches(self, person: PersonSpec, *, points: int, seed: int) -> JointPatches:
        """Return the posed points of another table: `seed` 0 with 96 points is the labels' own."""
        table = patches(self.skeleton, points, seed)
        world = _moved(_bare(person.phenotype, person.pose).vertices_m, person)
        return posed_patches(table, world, self.atlas.body_faces)

    def palms_m(self, person: PersonSpec) -> F64:
        world = np.eye(4)
        world[:3, :3], world[:3, 3] = _turn(person.yaw_rad), person.position_m
        return np.asarray(world @ palm_frames(self.atlas, _bare(person.phenotype, person.pose)))

    def meet(self, people: Pair, touches: tuple[Touch, ...]) -> Pair | None:
        return meet(people, touches, lambda person: _posed(_unplaced(person)))

    def skin_m(self, person: PersonSpec, parts: tuple[str, ...]) -> F64:
        own = _bare(person.phenotype, person.pose).vertices_m[_skin_of(parts)]
        return _moved(own, person).astype(np.float64)

    def steps(
        self, person: PersonSpec, motion: Motion, *, times_s: tuple[float, ...], mirror: bool
    ) -> tuple[Step, ...]:
        undressed = dataclasses.replace(person, pose=_IDENTITY)
        return steps(_gait(_unplaced(undressed), motion, mirror), times_s)


@functools.cache
def _skin_of(parts: tuple[str, ...]) -> Intp:
    atlas = load_atlas()
    wanted = [PARTS.index(part) for part in parts]
    return np.unique(atlas.body_faces[atlas.skin_face & np.isin(atlas.part, wanted)])


def forget() -> None:
    """Clear the caches: for timing a new frame."""
    _bare.cache_clear()
    _dressed.cache_clear()
    _posed.cache_clear()


# One person's drop, joints and surfaces use one posing and dressing. -------------------------


@dataclass(frozen=True, eq=False)
class _DressedPerson:
    surfaces: tuple[Surface, ...]
    lowest_m: float
    vertices_m: F32  # (V, 3) of every surface, in order
    normals: F32  # (V', 3) of those that have some


def _unplaced(person: PersonSpec) -> PersonSpec:
    return dataclasses.replace(person, position_m=(0.0, 0.0, 0.0), yaw_rad=0.0)


@functools.lru_cache(maxsize=_BARE_CACHE)
def _bare(phenotype: Phenotype, pose: PoseSpec) -> BareBody:
    """The body, independent of its clothes: variants change them."""
    return bare_body(load_atlas(), phenotype, pose.angles_rad, pose.turns, pose.face)


@functools.lru_cache(maxsize=_DRESSED_CACHE)
def _dressed(person: PersonSpec) -> _DressedPerson:
    surfaces = dress(load_atlas(), _bare(person.phenotype, person.pose), person)
    lowest = _lowest_m(surfaces)
    if not np.isfinite(lowest):
        raise GeometryError(
            "a person has no drawn vertex, or one that is not finite",
            where=f"person {person.identity}",
        )
    vertices = np.concatenate([s.vertices_m for s in surfaces])
    normals = np.concatenate([s.normals for s in surfaces if s.normals is not None])
    kept = _with_arrays(surfaces, vertices, normals)
    return _DressedPerson(kept, lowest, vertices, normals)


def _lowest_m(surfaces: tuple[Surface, ...]) -> float:
    """Minimum z of drawn vertices; faces of surfaces that lie above it are not read."""
    heights = [surface.vertices_m[:, 2] for surface in surfaces]
    bounds = np.array([z.min(initial=np.inf) for z in heights])
    lowest = np.inf
    for place in np.argsort(bounds).tolist():
        if not bounds[place] >= lowest:  # also where the bound is NaN
            surface = surfaces[place]
            faces = surface.faces if surface.drawn is None else surface.faces[surface.drawn]
            lowest = np.minimum(lowest, heights[place].take(faces).min(initial=np.inf))
    return float(lowest)


_IDENTITY = PoseSpec(
    name="identity",
    family="identity",
    angles_rad={},
    turns=tuple(BoneTurn(bone=bone, turn_rad=(0.0, 0.0, 0.0)) for bone in BONES),
)
"""Anny's identity pose, in which shoes give their soles."""


@functools.lru_cache(maxsize=_GAIT_CACHE)
def _gait(person: PersonSpec, motion: Motion, mirror: bool) -> Gait:
    bare = _bare(person.phenotype, person.pose)
    drawn = np.concatenate([_drawn(surface) for surface in dress(load_atlas(), bare, person)])
    soles = soles_of(drawn.astype(np.float32), bare.rest_m, load_atlas().weights)
    own = mirrored(motion) if mirror else motion
    return gait_of(own, rest_of(person.phenotype).chain, soles)


@functools.lru_cache(maxsize=4)
def _posed(person: PersonSpec) -> Posed:
    bare, dressed = _bare(person.phenotype, person.pose), _dressed(person)
    return Posed(
        bare=bare,
        palms=palm_frames(load_atlas(), bare),
        worn_m=np.concatenate([_drawn(s) for s in dressed.surfaces]),
        drop_m=-dressed.lowest_m,
    )


def _drawn(surface: Surface) -> F64:
    """(N, 3) the vertices of a surface's drawn faces."""
    used = np.zeros(len(surface.vertices_m), np.bool_)
    used[surface.faces if surface.drawn is None else surface.faces[surface.drawn]] = True
    return surface.vertices_m[used].astype(np.float64)


def _turn(yaw_rad: float) -> F64:
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _moved(vertices_m: F32, person: PersonSpec) -> F32:
    """Vertices (V, 3) of the person's own frame in the world."""
    turn = _turn(person.yaw_rad).astype(np.float32)
    return vertices_m @ turn.T + np.array(person.position_m, np.float32)


def _placed(dressed: _DressedPerson, person: PersonSpec, instance: int) -> tuple[Surface, ...]:
    """The surfaces in the world; all of a person's vertices are turned at once."""
    vertices = _moved(dressed.vertices_m, person)
    normals = dressed.normals @ _turn(person.yaw_rad).astype(np.float32).T
    return _with_arrays(dressed.surfaces, vertices, normals, instance)


def _with_arrays(
    surfaces: tuple[Surface, ...], vertices_m: F32, normals: F32, instance: int = 0
) -> tuple[Surface, ...]:
    """The surfaces over slices of joined vertices, and of normals where they have some."""
    out, first, first_normal = [], 0, 0
    for surface in surfaces:
        end, own = first + len(surface.vertices_m), None
        if surface.normals is not None:
            end_normal = first_normal + len(surface.normals)
            own = normals[first_normal:end_normal]
            first_normal = end_normal
        own_vertices = vertices_m[first:end]
        out.append(
            dataclasses.replace(surface, instance=instance, vertices_m=own_vertices, normals=own)
        )
        first = end
    return tuple(out)


# Palms -----------------------------------------------------------------------------------

BAR_M = 0.03
"""Thickness of the bar at whose middle a palm's origin lies."""
_SIDES = ("L", "R")
_KNUCKLES = ((2, 1), (3, 2), (4, 3), (5, 4))  # finger, metacarpal
_SHARED = 0.2  # of a vertex at a knuckle, both bones have at least this weight
_FACING = 0.6  # cosine of palm skin to the palm's normal
_NEAR_KNUCKLES = (-0.042, 0.004)  # metres along the fingers: the fleshy part under the fingers


def palm_frames(atlas: Atlas, bare: BareBody) -> F64:
    """Return (2, 4, 4): the left and the right palm of a body, in the body's own frame.

    A frame's columns are x, y, z and the origin. x runs along a bar in the closed hand towards
    the thumb's side, z out of the palm; y completes a right-handed frame, so that it runs to the
    wrist in the left hand and to the fingertips in the right one. The origin is the middle of
    such a bar of `BAR_M`.
    """
    out = np.tile(np.eye(4), (2, 1, 1))
    for place, side in enumerate(_SIDES):
        skin, axes = _palm(side)
        rotated = bare.bone_deltas[atlas.bone_names.index(f"wrist.{side}")] @ axes
        out[place, :3, :3] = rotated
        out[place, :3, 3] = bare.vertices_m[skin].mean(axis=0) + BAR_M / 2 * rotated[:, 2]
    return out


@functools.cache
def _palm(side: str) -> tuple[Intp, F64]:
    """The palm's skin vertices and its axes (3, 3) in the identity pose."""
    atlas = load_atlas()
    points = atlas.template_m.astype(np.float64)
    knuckles = np.stack(
        [_between(atlas, f"metacarpal{m}.{side}", f"finger{f}-1.{side}") for f, m in _KNUCKLES]
    )
    wrist = _between(atlas, f"lowerarm02.{side}", f"wrist.{side}")
    x = knuckles[0] - knuckles[-1]
    x /= np.linalg.norm(x)
    fingers = knuckles[:2].mean(axis=0) - wrist
    fingers -= x * (fingers @ x)
    fingers /= np.linalg.norm(fingers)
    z = np.cross(x, fingers) if side == "R" else np.cross(fingers, x)
    own = [atlas.bone_names.index(f"metacarpal{k}.{side}") for k in range(1, 5)]
    flesh = np.asarray(atlas.weights[:, own].sum(axis=1)).ravel() > 0.5
    along = (points - knuckles.mean(axis=0)) @ fingers
    low, high = _NEAR_KNUCKLES
    faces = atlas.skin_faces
    a, b, c = (points[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    facing = across @ z > _FACING * np.linalg.norm(across, axis=1)
    palm = np.zeros(len(points), np.bool_)
    palm[np.unique(faces[facing])] = True
    skin = np.flatnonzero(palm & flesh & (along > low) & (along < high))
    return skin, np.stack([x, np.cross(z, x), z], axis=1)


def _between(atlas: Atlas, one: str, other: str) -> F64:
    """The joint of two bones: the mean of the skin that both of them move."""
    bones = [atlas.bone_names.index(name) for name in (one, other)]
    shared = atlas.weights[:, bones].toarray().min(axis=1) > _SHARED
    return np.asarray(atlas.template_m[shared].astype(np.float64).mean(axis=0))
