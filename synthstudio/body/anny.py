"""Dressed Anny people in the world, behind the `Body` protocol."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from synthstudio.body.atlas import Atlas, BareBody, bare_body, load_atlas
from synthstudio.body.patches import PatchTable, patches, posed_patches
from synthstudio.body.poses import LIMITS_RAD, library
from synthstudio.body.wardrobe import dress, garments
from synthstudio.core.catalogue import GarmentKind, KeyPose
from synthstudio.core.errors import GeometryError, explain
from synthstudio.core.scene import F32, F64, JointPatches, PosedPerson, Surface
from synthstudio.core.skeleton import skeleton
from synthstudio.core.spec import PersonSpec, Vec2

_BARE_CACHE = 64
_DRESSED_CACHE = 12  # about 4 MB each


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

    def garments(self) -> tuple[GarmentKind, ...]:
        """Return the kinds of garments."""
        ...

    def poses(self) -> tuple[KeyPose, ...]:
        """Return the authored poses."""
        ...

    def limits_rad(self) -> dict[str, Vec2]:
        """Return the least and greatest value of every anatomical angle."""
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
        bare, surfaces = _bare(_unplaced(person)), _dressed(_unplaced(person)).surfaces
        return PosedPerson(
            instance=instance,
            surfaces=tuple(_placed(surface, person, instance) for surface in surfaces),
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

    def garments(self) -> tuple[GarmentKind, ...]:
        """Return the kinds of garments, hair and hats, sorted by name."""
        return garments()

    def poses(self) -> tuple[KeyPose, ...]:
        """Return the authored poses, sorted by name."""
        return library()

    def limits_rad(self) -> dict[str, Vec2]:
        """Return the least and greatest value of every anatomical angle."""
        return dict(LIMITS_RAD)


# One person asked for its drop, its joints and its surfaces is posed and dressed once. --------


@dataclass(frozen=True, eq=False)
class _DressedPerson:
    surfaces: tuple[Surface, ...]
    lowest_m: float


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
    return _DressedPerson(surfaces, float(lowest))


def _lowest(surface: Surface) -> float:
    faces = surface.faces if surface.drawn is None else surface.faces[surface.drawn]
    return float(surface.vertices_m[faces, 2].min()) if len(faces) else np.inf


def _turn(yaw_rad: float) -> F64:
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _moved(vertices_m: F32, person: PersonSpec) -> F32:
    """Return vertices (V, 3) of the person's own frame in the world."""
    turn = _turn(person.yaw_rad).astype(np.float32)
    return vertices_m @ turn.T + np.array(person.position_m, np.float32)


def _placed(surface: Surface, person: PersonSpec, instance: int) -> Surface:
    normals = surface.normals
    if normals is not None:
        normals = normals @ _turn(person.yaw_rad).astype(np.float32).T
    return dataclasses.replace(
        surface,
        instance=instance,
        vertices_m=_moved(surface.vertices_m, person),
        normals=normals,
    )
