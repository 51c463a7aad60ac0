"""Valid places for scenery: free, clear of cameras, hiding nobody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import ObjectKind
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64
from synthstudio.core.spec import Material, ObjectSpec, PersonSpec, Vec3
from synthstudio.recipe.contacts.supports import materials
from synthstudio.recipe.layout.placement import CLEAR_M, Placed, corners
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext

GAP_M = 0.05
"""Minimum gap between scenery objects,"""
PEOPLE_M = 0.15
"""and to the boxes of people and their objects."""
TRIES = 12
_PANES: tuple[Vec3, ...] = ((0.02, 0.025, 0.03), (0.08, 0.1, 0.13), (0.25, 0.32, 0.4))


@dataclass(frozen=True, kw_only=True)
class Site:
    """Constraints on new objects: existing items, and the cameras' views of people."""

    ctx: SampleContext
    rng: Generator
    cameras: tuple[Camera, ...]
    standing: F64  # (N, 2, 3) boxes
    seen: tuple[tuple[F64, F64], ...]  # a camera: (P, 2, 2) pixels and (P,) depths of people

    def takes(self, box_m: F64, new_m: Sequence[F64]) -> bool:
        """Whether a box is free, also of added ones, clear of cameras, and hides nobody."""
        if len(self.standing) and gaps_m(box_m, self.standing).min() < PEOPLE_M:
            return False
        if new_m and gaps_m(box_m, np.array(new_m)).min() < GAP_M:
            return False
        return all(
            clear_of_people(camera, box_m, *seen)
            for camera, seen in zip(self.cameras, self.seen, strict=True)
        )


def site_of(ctx: SampleContext, cameras: Sequence[Camera], standing: Sequence[Placed]) -> Site:
    """The constraints from the existing items."""
    return Site(
        ctx=ctx,
        rng=ctx.shared_rng("furniture"),
        cameras=tuple(cameras),
        standing=np.array([p.box_m for p in standing]).reshape(-1, 2, 3),
        seen=tuple(_view_of(camera, standing) for camera in cameras),
    )


def box_of(obj: ObjectSpec) -> F64:
    """The world box (2, 3) of an object turned about z alone, or a larger one."""
    width, depth, height = obj.size_m
    c, s = abs(math.cos(obj.yaw_rad)), abs(math.sin(obj.yaw_rad))
    half = np.array([c * width + s * depth, s * width + c * depth, 0.0]) / 2
    foot = np.array(obj.position_m)
    return np.stack([foot - half, foot + half + (0.0, 0.0, height)])


def gaps_m(box_m: F64, boxes_m: F64) -> F64:
    """Return (N,) the gap of boxes along their most separated axis; negative if they overlap."""
    return np.asarray(np.maximum(box_m[0] - boxes_m[:, 1], boxes_m[:, 0] - box_m[1]).max(axis=1))


def _view_of(camera: Camera, standing: Sequence[Placed]) -> tuple[F64, F64]:
    rects, depths = [], []
    for placed in standing:
        if not isinstance(placed.item, PersonSpec):
            continue
        at = camera.to_camera(corners(placed.box_m))
        if at[:, 2].max() <= 0:
            continue
        rects.append(_rect_px(camera, at))
        depths.append(float(at[:, 2].max()))
    return np.array(rects).reshape(-1, 2, 2), np.array(depths)


def _rect_px(camera: Camera, at: F64) -> F64:
    """Return (2, 2) the bounding rectangle of a box's corners; unbounded if some are too near."""
    if at[:, 2].min() < CLEAR_M:
        return np.array([[-np.inf, -np.inf], [np.inf, np.inf]])
    px = camera.project(at)
    return np.stack([px.min(axis=0), px.max(axis=0)])


def clear_of_people(camera: Camera, box_m: F64, rects_px: F64, depths_m: F64) -> bool:
    """Whether a box is behind the camera, or clear of it and not in front of a person."""
    at = camera.to_camera(corners(box_m))
    if at[:, 2].max() < 0:
        return True
    if at[:, 2].min() <= CLEAR_M:
        return False
    low, high = _rect_px(camera, at)
    meets = (rects_px[:, 0] < high + 2).all(axis=1) & (rects_px[:, 1] > low - 2).all(axis=1)
    return not (meets & (depths_m > at[:, 2].min())).any()


def count(low: int, high: int, rng: Generator) -> int:
    return low + int(rng.random() * (high - low + 1))


def allowed(site: Site, wanted: dict[str, float]) -> dict[int, float]:
    """Places in the catalogue and weights; held-out kinds are in no train frame."""
    train = site.ctx.split == "train"
    return {
        place: wanted[kind.kind]
        for place, kind in enumerate(site.ctx.catalogue.objects)
        if kind.kind in wanted and not (train and site.ctx.occluder_held(kind))
    }


def natural_size(kind: ObjectKind, rng: Generator) -> Vec3:
    """A size between the kind's least and greatest."""
    shared = float(rng.random())
    width, depth, height = (
        round(low + (high - low) * (0.6 * shared + 0.4 * float(rng.random())), 3)
        for low, high in zip(kind.size_low_m, kind.size_high_m, strict=True)
    )
    return width, depth, height


def built(kind: ObjectKind, rng: Generator) -> ObjectSpec:
    """An object of a natural size at the origin."""
    size = natural_size(kind, rng)
    made = materials(kind, rng)
    if kind.kind == "building":
        pattern = kind.patterns[int(rng.random() * len(kind.patterns))]
        pane = Material(base_rgb=palette.choose(_PANES, rng), roughness=0.1, specular=0.06)
        made = (palette.wall(pattern, rng), pane, palette.wall("plain", rng))
    return ObjectSpec(kind=kind.kind, role="scenery", size_m=size, materials=made)
