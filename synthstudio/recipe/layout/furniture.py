"""Furnishing of a bare floor: furniture, doors, windows and pictures at a room's walls; houses,
trees, cars and fences behind people outdoors.

They are placed last, after people, objects and cameras, with separate random streams. The kind of
place is known before: occluders fit it. Their role is scenery: they hide nobody from any camera of
the group at any time of a clip, so all of its frames share them.
"""

from __future__ import annotations

from collections.abc import Sequence

from synthstudio.core.camera import Camera
from synthstudio.core.spec import Backdrop, RoomBackdrop, Vec2
from synthstudio.recipe.layout.indoors import indoors, interior_of
from synthstudio.recipe.layout.placement import Placed
from synthstudio.recipe.layout.site import box_of, site_of
from synthstudio.recipe.layout.streets import outdoor_scenery
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.interiors import INTERIORS
from synthstudio.recipe.sampling.view import Behind, floor_pattern
from synthstudio.recipe.schema import scene as scene_schema

Reach = tuple[Vec2, Vec2]

_FREE_SIDES_M = ((0.0, 1.2), (0.5, 1.6))
"""Extra width on either side of a furnished room, and depth behind the people."""


def furnished(ctx: SampleContext, behind: Behind) -> bool:
    """Whether the frame's place is furnished, at the recipe's rate."""
    options = behind.options
    if not isinstance(options, scene_schema.Room) or options.furnished <= 0:
        return False
    return bool(ctx.shared_rng("furnished").random() < options.furnished)


def places_of(ctx: SampleContext, behind: Behind) -> frozenset[str]:
    """What the frame's place is (ObjectKind.places): a bare room any room; empty: not known."""
    options = behind.options
    if not isinstance(options, scene_schema.Room):
        return frozenset()
    if behind.place == "outdoors":
        grass = floor_pattern(ctx, options, walls=False) == "grass"
        return frozenset({"outdoors", "green" if grass else "street"})
    rooms = [interior_of(ctx)] if furnished(ctx, behind) else INTERIORS
    return frozenset({"indoors", *rooms})


def with_space(ctx: SampleContext, reach_m: Reach) -> Reach:
    """Return `reach_m` with space for furniture at its sides and behind the people."""
    rng = ctx.shared_rng("furniture space")
    left, right = (palette.between(*_FREE_SIDES_M[0], rng) for _ in range(2))
    back = palette.between(*_FREE_SIDES_M[1], rng)
    (x0, x1), (y0, y1) = reach_m
    return (x0 - left, x1 + right), (y0, y1 + back)


def furnish(
    ctx: SampleContext, room: Backdrop, cameras: Sequence[Camera], standing: Sequence[Placed]
) -> list[Placed]:
    """The furnishings of a place, with their boxes, floor objects first."""
    assert isinstance(room, RoomBackdrop)
    site = site_of(ctx, cameras, standing)
    new = indoors(site, room) if room.walls else outdoor_scenery(site, room)
    return [Placed(item=obj, box_m=box_of(obj)) for obj in new]
