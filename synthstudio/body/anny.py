"""Dressed Anny people in the world, behind the `Body` protocol."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthstudio.body.atlas import Atlas, BareBody, bare_body, load_atlas
from synthstudio.body.patches import PatchTable, patches, posed_patches
from synthstudio.body.wardrobe import dress
from synthstudio.core.errors import GeometryError, explain
from synthstudio.core.scene import F32, F64, JointPatches, PosedPerson, Surface
from synthstudio.core.skeleton import skeleton
from synthstudio.core.spec import PersonSpec

_BARE_CACHE = 64
_DRESSED_CACHE = 32  # about 1.5 MB each; a crowd that was drawn is then built from it


class Body(Protocol):
    """What the pipeline asks of a body model. All answers are pure functions of arguments."""

    def posed(self, person: PersonSpec, *, instance: int) -> PosedPerson:
        """Return the dressed person where its spec puts it."""
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


@functools.cache
def load(skeleton_name: str = "coco23") -> AnnyBody:
    """Return the body of that skeleton, built once a process; RecipeError if it is unknown."""
    count = len(skeleton(skeleton_name).joints)
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
        bare, dressed = _bare(_unplaced(person)), _dressed(_unplaced(person))
        return PosedPerson(
            instance=instance,
            surfaces=_placed(dressed, person, instance),
            joints_m=self.joints_m(person),
            patches=posed_patches(
                self.table, _moved(bare.vertices_m, person), self.atlas.body_faces
            ),
            stature_m=bare.stature_m,
        )

    def drop_m(self, person: PersonSpec) -> float:
        """Return the z of `position_m` at which the lowest drawn vertex, shoes too, is at 0."""
        return -_dressed(_unplaced(person)).lowest_m

    def joints_m(self, person: PersonSpec) -> F64:
        """Return (J, 3) world joints in the order of the skeleton."""
        own = _bare(_unplaced(person)).joints_m[: self.joints]
        out: F64 = own @ _turn(person.yaw_rad).T + np.array(person.position_m)
        return out

    def fresh_patches(self, person: PersonSpec, *, points: int, seed: int) -> JointPatches:
        """Return the posed points of another table: `seed` 0 with 96 points is the labels' own."""
        table = patches(self.skeleton, points, seed)
        world = _moved(_bare(_unplaced(person)).vertices_m, person)
        return posed_patches(table, world, self.atlas.body_faces)


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
def _bare(person: PersonSpec) -> BareBody:
    return bare_body(load_atlas(), person.phenotype, person.pose.angles_rad)


@functools.lru_cache(maxsize=_DRESSED_CACHE)
def _dressed(person: PersonSpec) -> _DressedPerson:
    surfaces = dress(load_atlas(), _bare(person), person).surfaces
    lowest = min((_lowest(surface) for surface in surfaces), default=np.inf)
    if not np.isfinite(lowest):
        raise GeometryError(
            explain("a person has no drawn vertex, or one that is not finite",
                    where=f"person {person.identity}")
        )  # fmt: skip
    vertices = np.concatenate([s.vertices_m for s in surfaces])
    normals = np.concatenate([s.normals for s in surfaces if s.normals is not None])
    kept = _with_arrays(surfaces, vertices, normals)
    return _DressedPerson(kept, float(lowest), vertices, normals)


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
