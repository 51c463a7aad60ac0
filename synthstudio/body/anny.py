"""Dressed Anny people in the world, behind the `Body` protocol."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synthstudio.body.atlas import Atlas, BareBody, bare_body, bones_of, load_atlas
from synthstudio.body.footing import Gait, gait_of, soles_of, steps
from synthstudio.body.palms import palm_frames
from synthstudio.body.patches import PatchTable, patches, posed_patches
from synthstudio.body.poses import BONES
from synthstudio.body.recording import Motion, mirrored
from synthstudio.body.wardrobe import dress
from synthstudio.core.errors import GeometryError
from synthstudio.core.scene import F32, F64, PARTS, JointPatches, PosedPerson, Surface
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.solve import Step
from synthstudio.core.spec import BoneTurn, PersonSpec, Phenotype, PoseSpec

_BARE_CACHE = 64
_GAIT_CACHE = 32  # about 1 MB a second of motion each
_DRESSED_CACHE = 32  # about 1.5 MB each; a crowd that was drawn is then built from it


class Body(Protocol):
    """What the pipeline asks of a body model. All answers are pure functions of arguments."""

    def posed(self, person: PersonSpec, *, instance: int) -> PosedPerson:
        """Return the dressed person where its spec puts it."""
        ...

    def surfaces(self, person: PersonSpec, *, instance: int) -> tuple[Surface, ...]:
        """Return what can be drawn of the dressed person where its spec puts it."""
        ...

    def drop_m(self, person: PersonSpec) -> float:
        """Return the z of `position_m` that puts the lowest drawn vertex on z = 0."""
        ...

    def joints_m(self, person: PersonSpec) -> F64:
        """Return (J, 3) world joints."""
        ...

    def fresh_patches(self, person: PersonSpec, *, points: int, seed: int) -> JointPatches:
        """Return other points of the same joints, for the audit."""
        ...

    def palms_m(self, person: PersonSpec) -> F64:
        """Return (2, 4, 4) world frames of the left and the right palm: see body/palms.py."""
        ...

    def skin_m(self, person: PersonSpec, parts: tuple[str, ...]) -> F64:
        """Return (N, 3) world points of the bare body's skin on some of PARTS."""
        ...

    def steps(
        self, person: PersonSpec, motion: Motion, *, times_s: tuple[float, ...], mirror: bool
    ) -> tuple[Step, ...]:
        """Return how the person goes through a motion: see body/footing.py."""
        ...


@functools.cache
def load(skeleton_name: str = "coco23") -> AnnyBody:
    """Return the body of that skeleton, built once a process; RecipeError if it is unknown."""
    count = len(get_skeleton(skeleton_name).joints)
    return AnnyBody(
        atlas=load_atlas(), table=patches(skeleton_name), skeleton=skeleton_name, joints=count
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnyBody:
    """The `Body` made of Anny; get it from `load`."""

    atlas: Atlas
    table: PatchTable
    skeleton: str
    joints: int

    def posed(self, person: PersonSpec, *, instance: int) -> PosedPerson:
        """Return the dressed person in the world, its surfaces marked with `instance`."""
        bare, dressed = _bare(person.phenotype, person.pose), _dressed(_unplaced(person))
        return PosedPerson(
            instance=instance,
            surfaces=_placed(dressed, person, instance),
            joints_m=self.joints_m(person),
            patches=posed_patches(
                self.table, _moved(bare.vertices_m, person), self.atlas.body_faces
            ),
            stature_m=bare.stature_m,
        )

    def surfaces(self, person: PersonSpec, *, instance: int) -> tuple[Surface, ...]:
        """Return what `posed` gives of the person that can be drawn."""
        return _placed(_dressed(_unplaced(person)), person, instance)

    def drop_m(self, person: PersonSpec) -> float:
        """Return the z of `position_m` at which the lowest drawn vertex, shoes too, is at 0."""
        return -_dressed(_unplaced(person)).lowest_m

    def joints_m(self, person: PersonSpec) -> F64:
        """Return (J, 3) world joints in the order of the skeleton."""
        own = _bare(person.phenotype, person.pose).joints_m[: self.joints]
        out: F64 = own @ _turn(person.yaw_rad).T + np.array(person.position_m)
        return out

    def fresh_patches(self, person: PersonSpec, *, points: int, seed: int) -> JointPatches:
        """Return the posed points of another table: `seed` 0 with 96 points is the labels' own."""
        table = patches(self.skeleton, points, seed)
        world = _moved(_bare(person.phenotype, person.pose).vertices_m, person)
        return posed_patches(table, world, self.atlas.body_faces)

    def palms_m(self, person: PersonSpec) -> F64:
        """Return (2, 4, 4) world frames of the left and the right palm."""
        world = np.eye(4)
        world[:3, :3], world[:3, 3] = _turn(person.yaw_rad), person.position_m
        out: F64 = world @ palm_frames(self.atlas, _bare(person.phenotype, person.pose))
        return out

    def skin_m(self, person: PersonSpec, parts: tuple[str, ...]) -> F64:
        """Return (N, 3) world points of the bare body's skin on some of PARTS."""
        own = _bare(person.phenotype, person.pose).vertices_m[_skin_of(parts)]
        return _moved(own, person).astype(np.float64)

    def steps(
        self, person: PersonSpec, motion: Motion, *, times_s: tuple[float, ...], mirror: bool
    ) -> tuple[Step, ...]:
        """Return how the person goes through a motion: its bones and shoes decide the path."""
        undressed = dataclasses.replace(person, pose=_IDENTITY)
        return steps(_gait(_unplaced(undressed), motion, mirror), times_s)


@functools.cache
def _skin_of(parts: tuple[str, ...]) -> NDArray[np.intp]:
    """Return the vertices of the skin's faces on those body parts."""
    atlas = load_atlas()
    wanted = [PARTS.index(part) for part in parts]
    return np.unique(atlas.body_faces[atlas.skin_face & np.isin(atlas.part, wanted)])


def forget() -> None:
    """Forget the people of earlier frames: what timing a new frame needs."""
    _bare.cache_clear()
    _dressed.cache_clear()


# One person asked for its drop, its joints and its surfaces is posed and dressed once. --------


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
    """Return the body, whatever it wears: in a variant it wears something else."""
    return bare_body(load_atlas(), phenotype, pose.angles_rad, pose.turns)


@functools.lru_cache(maxsize=_DRESSED_CACHE)
def _dressed(person: PersonSpec) -> _DressedPerson:
    surfaces = dress(load_atlas(), _bare(person.phenotype, person.pose), person).surfaces
    lowest = min((_lowest(surface) for surface in surfaces), default=np.inf)
    if not np.isfinite(lowest):
        raise GeometryError(
            "a person has no drawn vertex, or one that is not finite",
            where=f"person {person.identity}",
        )
    vertices = np.concatenate([s.vertices_m for s in surfaces])
    normals = np.concatenate([s.normals for s in surfaces if s.normals is not None])
    kept = _with_arrays(surfaces, vertices, normals)
    return _DressedPerson(kept, float(lowest), vertices, normals)


_IDENTITY = PoseSpec(
    name="identity",
    family="identity",
    angles_rad={},
    turns=tuple(BoneTurn(bone=bone, turn_rad=(0.0, 0.0, 0.0)) for bone in BONES),
)
"""Anny's identity pose, in which shoes give their soles."""


@functools.lru_cache(maxsize=_GAIT_CACHE)
def _gait(person: PersonSpec, motion: Motion, mirror: bool) -> Gait:
    """Return a person's gait from how it is dressed in the identity pose."""
    bare = _bare(person.phenotype, person.pose)
    surfaces = dress(load_atlas(), bare, person).surfaces
    faces = [s.faces if s.drawn is None else s.faces[s.drawn] for s in surfaces]
    drawn = [s.vertices_m[np.unique(f)] for s, f in zip(surfaces, faces, strict=True)]
    soles = soles_of(np.concatenate(drawn), bare.rest_m, load_atlas().weights)
    return gait_of(mirrored(motion) if mirror else motion, bones_of(person.phenotype), soles)


def _lowest(surface: Surface) -> float:
    faces = surface.faces
    if surface.drawn is not None:
        faces = faces.compress(surface.drawn, axis=0)
    heights = np.ascontiguousarray(surface.vertices_m[:, 2])
    return float(heights.take(faces).min()) if len(faces) else np.inf


def _turn(yaw_rad: float) -> F64:
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _moved(vertices_m: F32, person: PersonSpec) -> F32:
    """Return vertices (V, 3) of the person's own frame in the world."""
    turn = _turn(person.yaw_rad).astype(np.float32)
    return vertices_m @ turn.T + np.array(person.position_m, np.float32)


def _placed(dressed: _DressedPerson, person: PersonSpec, instance: int) -> tuple[Surface, ...]:
    """Return the surfaces in the world; all of a person's vertices are turned at once."""
    vertices = _moved(dressed.vertices_m, person)
    normals = dressed.normals @ _turn(person.yaw_rad).astype(np.float32).T
    surfaces = _with_arrays(dressed.surfaces, vertices, normals)
    return tuple(dataclasses.replace(surface, instance=instance) for surface in surfaces)


def _with_arrays(
    surfaces: tuple[Surface, ...], vertices_m: F32, normals: F32
) -> tuple[Surface, ...]:
    """Return the surfaces over slices of joined vertices, and of normals where they have some."""
    out, first, first_normal = [], 0, 0
    for surface in surfaces:
        end, own = first + len(surface.vertices_m), None
        if surface.normals is not None:
            end_normal = first_normal + len(surface.normals)
            own = normals[first_normal:end_normal]
            first_normal = end_normal
        out.append(dataclasses.replace(surface, vertices_m=vertices_m[first:end], normals=own))
        first = end
    return tuple(out)
