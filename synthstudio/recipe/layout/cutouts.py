"""Cut-outs: 2D pictures with alpha, standing in the scene or laid over the frame."""

from __future__ import annotations

import numpy as np

from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64
from synthstudio.core.spec import AssetRef, CutoutSpec, PersonSpec
from synthstudio.recipe.layout.placement import CLEAR_M, Layout, Placed, corners
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, pick_one, usable_cutouts
from synthstudio.recipe.sampling.true_sizes import stands_m
from synthstudio.recipe.schema.distributions import sample, sample_count
from synthstudio.recipe.schema.scene import Cutouts

_TRIES = 48
_AHEAD = (0.12, 0.6)
"""How far in front of a person an occluding object stands."""
_AROUND = (0.5, 1.7)
"""Distance of other objects from the camera, relative to the group."""
_MIN_GAP_M = 0.05
_MAX_WIDE, _MAX_HIGH = 0.9, 1.2
"""The maximum size relative to the frame."""
_MIN_PX = 6


def draw_cutouts(layout: Layout, people: list[Placed]) -> tuple[CutoutSpec, ...]:
    """The recipe's cut-outs, many of them in front of a person."""
    options = layout.ctx.recipe.cutouts
    if options is None:
        return ()
    count = sample_count(options.count, layout.ctx.shared_rng("cutouts"))
    if options.size == "real":
        bodies = [p for p in people if isinstance(p.item, PersonSpec)]
        found: list[CutoutSpec] = []
        for number in range(count):
            rng = layout.ctx.rng("standing cutout", number)
            one = _standing(layout, options, bodies, rng, {other.asset for other in found})
            found += [] if one is None else [one]
        return tuple(found)
    seen = layout.camera.project(layout.camera.to_camera(layout.joints_m(people)))
    size = np.array([layout.camera.width_px, layout.camera.height_px])
    seen = seen[((seen >= 0) & (seen < size)).all(axis=1)]
    return tuple(
        _cutout(layout.ctx, options, seen, layout.ctx.rng("cutout", number))
        for number in range(count)
    )


def _standing(
    layout: Layout, options: Cutouts, people: list[Placed], rng: Generator, used: set[AssetRef]
) -> CutoutSpec | None:
    """A cut-out standing on the floor in real size; None if none can.

    It is upright and flat; its lower edge is at the floor's row at its depth. Those `used` in the
    frame are repeated only when there are no others.
    """
    over = bool(rng.random() < options.over_person) and bool(people)
    which = float(rng.random())
    hidden = people[int(which * len(people))] if over else None
    once = {c.asset for c in usable_cutouts(options, layout.ctx.catalogue.cutouts)} > used
    for _ in range(_TRIES):
        asset = _picture(layout.ctx, options, rng)
        if once and asset.asset in used:
            continue
        found = stands_m(asset)
        assert found is not None  # ensured by usable_cutouts
        tall = palette.between(*found, rng)
        wide = tall * asset.shown_px[0] / asset.shown_px[1]
        spot = _around(layout, rng) if hidden is None else _before(layout, hidden, wide, rng)
        lies = _picture_box(layout, asset, options, spot, tall)
        if not _has_floor(layout, spot, wide, hides=hidden is not None):
            continue
        if lies is None or (hidden is not None and lies[2] > _nearest_m(layout, hidden)):
            continue
        (left, top), size, depth = lies
        return CutoutSpec(
            asset=asset.asset,
            kind=asset.category or "unknown",
            top_left_px=(left, top),
            size_px=size,
            mirrored=bool(rng.random() < 0.5),
            gain=round(sample(options.gain, rng) * layout.gain, 4),
            feather_px=sample(options.feather_px, rng),
            depth_m=depth,
        )
    return None


def _before(layout: Layout, hidden: Placed, wide_m: float, rng: Generator) -> F64:
    """World x, y between a person and the camera, the person behind its middle 70 %."""
    at, eye = np.array(hidden.item.position_m[:2]), np.array(layout.camera.position_m[:2])
    way = eye - at
    aside = palette.between(-0.35, 0.35, rng) * wide_m
    away = np.array([-way[1], way[0]]) / max(1e-6, float(np.linalg.norm(way)))
    return np.asarray(at + way * palette.between(*_AHEAD, rng) + away * aside)


def _around(layout: Layout, rng: Generator) -> F64:
    depth = layout.distance_m * palette.between(*_AROUND, rng)
    x = layout.middle_m(depth) + palette.between(-1, 1, rng) * layout.half_width_m(depth)
    return np.array([x, depth - layout.distance_m])


def _has_floor(layout: Layout, spot: F64, wide_m: float, *, hides: bool) -> bool:
    """Whether the object's whole base is on a photo's floor.

    An occluder's foot may be below the picture.
    """
    if layout.footing is None:
        return True
    ends = np.array([-wide_m / 2, wide_m / 2])[:, None] * layout.camera.world_to_camera[0, :2]
    return bool(layout.footing.holds(spot + ends, below=hides).all())


def _nearest_m(layout: Layout, hidden: Placed) -> float:
    return float(layout.camera.to_camera(corners(hidden.box_m))[:, 2].min()) - _MIN_GAP_M


def _picture_box(
    layout: Layout, asset: ImageAsset, options: Cutouts, spot: F64, tall_m: float
) -> tuple[tuple[float, float], tuple[int, int], float] | None:
    """Corner and size in pixels and the depth of a picture standing there.

    None if too near, too large or too small.
    """
    camera = layout.camera
    seen = camera.to_camera(np.array([*spot, 0.0]))
    depth = float(seen[2])
    if depth < CLEAR_M:
        return None
    scale = tall_m * camera.focal_px / depth / asset.shown_px[1]
    width, height = (round(side * scale) for side in asset.shown_px)
    if scale > options.max_scale or min(width, height) < _MIN_PX:
        return None
    if width > _MAX_WIDE * camera.width_px or height > _MAX_HIGH * camera.height_px:
        return None
    x, y = camera.project(seen)
    left, top = float(round(x - width / 2)), float(round(y - height))
    beyond = top > camera.height_px - _MIN_PX or left > camera.width_px or left + width < 0
    return None if beyond else ((left, top), (width, height), round(depth, 4))


def _cutout(ctx: SampleContext, options: Cutouts, seen_px: F64, rng: Generator) -> CutoutSpec:
    """One cut-out; `seen_px` (N, 2) are the joints inside the frame."""
    asset = _picture(ctx, options, rng)
    image = ctx.recipe.image
    scale = sample(options.height_share, rng) * image.height_px / asset.height_px
    scale = min(scale, options.max_scale)
    width, height = (max(2, round(side * scale)) for side in (asset.width_px, asset.height_px))
    x, y = rng.random(2) * (image.width_px, image.height_px)
    over, stands, which = (
        rng.random() < options.over_person,
        rng.random() < options.stands,
        rng.random(),
    )
    if over and len(seen_px):
        x, y = seen_px[int(which * len(seen_px))]
    # The joint, or a random pixel, is in the middle 70 % of the picture.
    left = x - width * palette.between(0.15, 0.85, rng)
    top = y - height * palette.between(0.15, 0.85, rng)
    foot = palette.between(0.67, 1.08, rng) * image.height_px
    if stands:
        top = max(foot, y if over else foot) - height
    gain, feather = sample(options.gain, rng), sample(options.feather_px, rng)
    return CutoutSpec(
        asset=asset.asset,
        kind=asset.category or "unknown",
        top_left_px=(float(round(left)), float(round(top))),
        size_px=(width, height),
        mirrored=bool(rng.random() < 0.5),
        gain=gain,
        feather_px=feather,
        depth_m=None if options.depth_m is None else sample(options.depth_m, rng),
    )


def _picture(ctx: SampleContext, options: Cutouts, rng: Generator) -> ImageAsset:
    """A picture: its category first, so that large categories do not dominate."""
    usable = usable_cutouts(options, ctx.catalogue.cutouts)
    left = ctx.allowed(usable, rng, held=ctx.occluder_held)
    if not left:
        raise RecipeError(
            "no cut-out is left to draw", where=f"{ctx.where}: folder {options.folder}"
        )
    category = pick_one(sorted({picture.category for picture in left}), rng)
    return pick_one([picture for picture in left if picture.category == category], rng)
