"""Furnishing of a bare floor: furniture, doors, windows and pictures at a room's walls; houses,
trees, cars and fences behind people outdoors.

They are placed last, after people, objects and cameras, with separate random streams. The kind of
place is known before: occluders fit it. Their role is scenery: they hide nobody from any camera of
the group at any time of a clip, so all of its frames share them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera
from synthstudio.core.spec import Backdrop, ObjectSpec, RoomBackdrop, Vec2, Vec3
from synthstudio.recipe.layout.placement import Placed
from synthstudio.recipe.layout.site import (
    GAP_M,
    TRIES,
    Site,
    Wall,
    allowed,
    box_of,
    built,
    count,
    natural_size,
    seen_at,
    skirting,
    view_of,
    walls_of,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.interiors import INTERIORS, Extra, Interior, Shared, finish
from synthstudio.recipe.sampling.view import Behind, Reach, floor_pattern
from synthstudio.recipe.schema import scene as scene_schema
from synthstudio.recipe.schema.distributions import pick

_FREE_SIDES_M = ((0.0, 1.2), (0.5, 1.6))
"""Extra width on either side of a furnished room, and depth behind the people."""
_OPEN: tuple[dict[str, float], ...] = (
    {"building": 4, "car": 3, "pole": 1, "bin": 1, "bench": 1, "kiosk": 0.7,
     "sign_board": 1, "tree": 1},
    {"tree": 5, "shrub": 3, "hedge": 3, "bench": 1.5, "bin": 0.7, "building": 0.7},
)  # fmt: skip
"""Objects of streets and of parks."""
_ROWS: tuple[dict[str, float], ...] = (
    {"tree": 3, "hedge": 3, "building": 3, "fence": 1},
    {"tree": 3, "hedge": 3, "building": 3, "shrub": 1.5, "fence": 1},
)
_ALIKE = frozenset({"hedge", "fence"})
"""All of these in a row share size and colour."""
_ROW_SHARE, _MAX_IN_A_ROW = 0.75, 14
"""How often a row of one of these kinds stands behind all else, across the picture's width, and
how many at most."""
_LONG = frozenset({"building", "fence", "hedge", "low_wall", "railing", "bench", "kiosk", "car"})
"""Kinds that stand along or across the street."""


def furnished(ctx: SampleContext, behind: Behind) -> bool:
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
    site = Site(
        ctx=ctx,
        rng=ctx.shared_rng("furniture"),
        cameras=tuple(cameras),
        standing=np.array([p.box_m for p in standing]).reshape(-1, 2, 3),
        seen=tuple(view_of(camera, standing) for camera in cameras),
    )
    new = indoors(site, room) if room.walls else outdoor_scenery(site, room)
    return [Placed(item=obj, box_m=box_of(obj)) for obj in new]


# Streets and parks ----------------------------------------------------------------------------


def outdoor_scenery(site: Site, room: RoomBackdrop) -> list[ObjectSpec]:
    rng, first = site.rng, site.cameras[0]
    kinds = allowed(site, _OPEN[room.floor.pattern == "grass"])
    behind = float(site.standing[:, 1, 1].max()) if len(site.standing) else 0.0
    last = room.centre_m[1] + room.size_m[1] / 2
    street = (rng.random() - 0.5) * 0.5
    out = _row(site, room, behind)
    for _ in range(count(4, 8, rng) if kinds else 0):
        kind = site.ctx.catalogue.objects[pick(kinds, rng)]
        obj = built(kind, rng)
        size = max(obj.size_m[:2])
        for _ in range(TRIES):
            nearest = behind + 1.0 + 0.6 * obj.size_m[2] + size / 2
            y = nearest + palette.between(0.0, 1.0, rng) ** 2 * 22.0
            middle, half = seen_at(first, y)
            x = middle + (half + size / 4) * (2 * rng.random() - 1)
            yaw = street + (math.pi / 2 if kind.kind == "car" else 0.0)
            if kind.kind not in _LONG:
                yaw = (2 * rng.random() - 1) * math.pi
            here = replace(obj, position_m=(round(x, 3), round(y, 3), 0.0), yaw_rad=round(yaw, 4))
            box = box_of(here)
            inside = abs(x - room.centre_m[0]) + size < room.size_m[0] / 2 and y + size < last
            if inside and site.takes(box, [box_of(t) for t in out]):
                out.append(here)
                break
    return out


def _row(site: Site, room: RoomBackdrop, behind_m: float) -> list[ObjectSpec]:
    rng = site.ctx.shared_rng("row")
    kinds = allowed(site, _ROWS[room.floor.pattern == "grass"])
    if not kinds or rng.random() >= _ROW_SHARE:
        return []
    kind = site.ctx.catalogue.objects[pick(kinds, rng)]
    tall = kind.size_high_m[2]
    y = behind_m + 1.5 + 0.5 * tall + palette.between(0.0, 1.0, rng) ** 2 * 8.0
    middle, half = seen_at(site.cameras[0], y)
    half = min(half, room.size_m[0] / 2 - abs(middle - room.centre_m[0]))
    out: list[ObjectSpec] = []
    x = middle - half
    first = built(kind, rng)
    while x < middle + half and len(out) < _MAX_IN_A_ROW:
        obj = first if kind.kind in _ALIKE else built(kind, rng)
        width, depth = obj.size_m[:2]
        back = palette.between(0.0, 0.3, rng) * depth
        here = replace(
            obj, position_m=(round(x + width / 2, 3), round(y + depth / 2 + back, 3), 0.0)
        )
        if y + 2 * depth < room.centre_m[1] + room.size_m[1] / 2 and site.takes(box_of(here), []):
            out.append(here)
        x += width + GAP_M + 0.002  # places are rounded
    return out


# Rooms ------------------------------------------------------------------------------------------

OFF_WALL_M = 0.025
"""Gap of furniture to the wall, for the skirting board."""
HUNG_M = 0.001
"""Gap of hanging objects to the wall."""
TOPMOST_M = 1.35
"""Nothing is put on objects higher than this."""
_WALLS = {"back": 0.56, "left": 0.22, "right": 0.22}
_PIECES, _HANGS = (3, 5), (1, 2)
_ABOVE_M = 1.75
"""Nothing is hung above an object higher than this."""
_UNDER_CEILING_M = 0.1
_APART_M = 0.004
"""Gap between things in a row or stacked."""
_FEW = 3
_TAP_M = 0.24  # a sink's, above its worktop
_FOOT_M: dict[str, Vec2] = {
    "blackboard": (0.82, 0.95),
    "radiator": (0.13, 0.15),
    "switch": (1.05, 1.05),
    "wall_cupboard": (1.4, 1.5),
    "wall_shelf": (1.15, 1.6),
    "window": (0.75, 1.05),
}
_MIDDLE_M: dict[str, Vec2] = {
    "mirror": (1.4, 1.55),
    "picture": (1.3, 1.7),
    "wall_clock": (1.9, 2.3),
}
"""Height of hanging objects' feet, or of their middle."""
_HOOP_M = (1.9, 2.65)
"""Height of a hoop's net; the maximum is regulation height."""
HUNG = frozenset({"door", "skirting", "basketball_hoop", "curtains", *_FOOT_M, *_MIDDLE_M})
"""Parts of a wall and wall-mounted objects."""
_ROUND = frozenset({"ceiling_lamp", "floor_lamp", "fruit_bowl", "laundry_basket", "table_lamp",
                    "vase", "coat_rack"})  # fmt: skip
_ONCE = frozenset({"bed", "blackboard", "coat_rack", "fireplace", "fridge", "piano", "stove",
                   "tv_bench", "vaulting_box", "wall_clock"})  # fmt: skip
"""At most one of these in a room."""
_LOOSE = frozenset({"books", "cup", "bottle", "fruit_bowl", "vase"})
"""Objects lying at any angle."""
_FACING = frozenset({"chair", "stool", "desk"})
"""Objects that face the object behind them."""
_SIDES: tuple[Vec2, ...] = ((-1.0, 1.0), (1.0, -1.0))


@dataclass(frozen=True, kw_only=True)
class _Room:
    site: Site
    walls: dict[str, Wall]
    room: RoomBackdrop
    interior: Interior
    weights: dict[str, float]  # how often each wall is taken
    shared: Shared = field(default_factory=dict)
    objects: list[ObjectSpec] = field(default_factory=list)
    boxes: list[F64] = field(default_factory=list)

    def new(self, kind: str) -> ObjectSpec | None:
        """An object of that kind at the origin; None where it may not be in this frame."""
        found = allowed(self.site, {kind: 1.0})
        there = kind in _ONCE and any(obj.kind == kind for obj in self.objects)
        if there or not found:
            return None
        made, rng = self.site.ctx.catalogue.objects[min(found)], self.site.rng
        width, depth, tall = natural_size(made, rng)
        if kind in _ROUND:
            depth = width
        elif kind == "wall_clock":
            width = tall
        elif kind == "door":
            depth = 0.08
        materials = finish(made, self.shared, rng)
        size = (width, depth, tall)
        return ObjectSpec(kind=kind, role="scenery", size_m=size, materials=materials)

    def any_wall(self) -> Wall:
        return self.walls[pick(self.weights, self.site.rng)]

    def put(self, obj: ObjectSpec, *, touching: ObjectSpec | None = None) -> bool:
        """Add the object if its place is inside the room and free; `touching` may be near."""
        box = box_of(obj)
        (cx, cy), (width, depth, tall) = self.room.centre_m, self.room.size_m
        low = (cx - width / 2, cy - depth / 2, 0.0)
        if (box[0] < low).any() or (box[1] > (low[0] + width, low[1] + depth, tall)).any():
            return False
        others = [
            other for t, other in zip(self.objects, self.boxes, strict=True) if t is not touching
        ]
        if not self.site.takes(box, others):
            return False
        self.objects.append(obj)
        self.boxes.append(box)
        return True


def interior_of(ctx: SampleContext) -> str:
    rooms = [s.backdrop for s in ctx.recipe.backdrops if isinstance(s.backdrop, scene_schema.Room)]
    usual = {name: one.weight for name, one in INTERIORS.items()}
    return pick((rooms and rooms[0].rooms) or usual, ctx.shared_rng("interior"))


def indoors(site: Site, room: RoomBackdrop) -> list[ObjectSpec]:
    """Furnish the room: built into walls, at walls, hanging, and accessories."""
    rng, walls = site.rng, walls_of(site, room)
    weights = {name: share for name, share in _WALLS.items() if name in walls}
    # With further cameras, the wall behind the first is visible, too.
    if len({camera.position_m for camera in site.cameras}) > 1:
        weights["front"] = 0.2
    interior = INTERIORS[interior_of(site.ctx)]
    here = _Room(site=site, walls=walls, room=room, interior=interior, weights=weights)
    for kind in ["door"] * count(0, 1, rng) + ["window"] * count(0, 2, rng):
        _at_wall(here, kind, here.any_wall())
    for wall in ("back", "left", "right"):
        if _at_wall(here, interior.first, walls[wall]):
            break
    for _ in range(count(*_PIECES, rng)):
        _at_wall(here, pick(interior.stands, rng), here.any_wall())
    for _ in range(count(*_HANGS, rng)):
        _at_wall(here, pick(interior.hangs, rng), here.any_wall())
    _at_wall(here, "switch", here.any_wall())
    if room.ceiling is not None:
        _under_ceiling(here)
    return here.objects + skirting(site, walls, here.objects)


def _at_wall(here: _Room, kind: str, wall: Wall) -> bool:
    """Put an object and its accessories at a wall; False if no tried place is free."""
    obj = here.new(kind)
    foot = None if obj is None else _foot_m(here, obj)
    if obj is None or foot is None:
        return False
    width, depth, _ = obj.size_m
    low = max(wall.min_m - width / 2, width / 2 + OFF_WALL_M)
    high = min(wall.max_m + width / 2, wall.length_m - width / 2 - OFF_WALL_M)
    off = depth / 2 + (HUNG_M if kind in HUNG else OFF_WALL_M)
    for _ in range(TRIES if low < high else 0):
        put = _rotated(obj, wall, (palette.between(low, high, here.site.rng), off), foot)
        if here.put(put):
            _with_company(here, put, wall, here.interior.company(kind))
            return True
    return False


def _rotated(obj: ObjectSpec, wall: Wall, at_m: Vec2, foot_m: float) -> ObjectSpec:
    place: Vec3 = (*wall.at_m(*at_m), round(foot_m, 4))
    return replace(obj, position_m=place, yaw_rad=wall.yaw_rad)


def _foot_m(here: _Room, obj: ObjectSpec) -> float | None:
    """Height of an object's foot above the floor; None if the room is too low."""
    kind, tall, rng = obj.kind, obj.size_m[2], here.site.rng
    top = here.room.size_m[2] - _UNDER_CEILING_M
    foot = 0.0
    if kind == "basketball_hoop":
        foot = min(top - tall, _HOOP_M[1])
        return foot if foot >= _HOOP_M[0] else None
    if kind in _FOOT_M:
        foot = palette.between(*_FOOT_M[kind], rng)
    elif kind in _MIDDLE_M:
        foot = max(palette.between(*_MIDDLE_M[kind], rng) - tall / 2, 0.2)
    return foot if foot + tall <= top else None


def _under_ceiling(here: _Room) -> None:
    """Hang a lamp or a row of lamps somewhere in the far half of the room."""
    rng, (cx, cy), (width, depth, tall) = here.site.rng, here.room.centre_m, here.room.size_m
    lamp = here.new(here.interior.lamp)
    if lamp is None or tall - lamp.size_m[2] < 2.0:
        return
    row = 1 + int(3 * rng.random()) if lamp.kind == "strip_lamp" else 1
    step = max(2.0, width / (row + 1))
    z = round(tall - lamp.size_m[2] - HUNG_M, 4)
    for _ in range(_FEW):
        x = cx + 0.4 * width * (float(rng.random()) - 0.5)
        y = cy + depth * palette.between(0.0, 0.42, rng)
        places = [x + (k - (row - 1) / 2) * step for k in range(row)]
        lamps = [replace(lamp, position_m=(round(a, 4), round(y, 4), z)) for a in places]
        if sum(here.put(one) for one in lamps):
            return


def _with_company(here: _Room, obj: ObjectSpec, wall: Wall, company: tuple[Extra, ...]) -> None:
    along, _ = wall.of_m(obj)
    ends = [along - obj.size_m[0] / 2, along + obj.size_m[0] / 2]
    for one in company:
        if here.site.rng.random() >= one.share:
            continue
        new = here.new(one.kind)
        if new is None:
            continue
        if one.where in ("beside", "row"):
            put = _beside(here, new, obj, wall, ends, row=one.where == "row")
        elif one.where == "on":
            put = _on(here, new, obj)
        elif one.where == "before":
            put = _before(here, new, obj, wall, palette.between(*one.gap_m, here.site.rng))
        else:
            put = _on_wall(here, new, obj, wall, one)
        if put is not None:
            _with_company(here, put, wall, one.then + here.interior.company(put.kind))


def _beside(
    here: _Room, new: ObjectSpec, obj: ObjectSpec, wall: Wall, ends: list[float], *, row: bool
) -> ObjectSpec | None:
    """Put it at one side, in a row after the last object; `ends` holds the row's ends."""
    rng, (along, _) = here.site.rng, wall.of_m(obj)
    if row:
        new = _in_row(new, obj)
    gap = _APART_M if row else GAP_M + palette.between(0.01, 0.12, rng)
    depth = new.size_m[1] / 2 + OFF_WALL_M
    for side in _SIDES[int(rng.random() * 2)]:
        end = ends[side > 0]
        if not row and abs(end - along) > obj.size_m[0] / 2 + 1e-6:
            continue
        put = _rotated(new, wall, (end + side * (gap + new.size_m[0] / 2), depth), 0.0)
        if here.put(put, touching=_neighbour(here, wall, end) if row else None):
            ends[side > 0] = end + side * (gap + new.size_m[0])
            return put
    return None


def _neighbour(here: _Room, wall: Wall, end: float) -> ObjectSpec | None:
    """The floor object at a wall that ends at that place along it."""
    for obj in here.objects:
        if obj.yaw_rad == wall.yaw_rad and obj.position_m[2] == 0:
            if abs(abs(wall.of_m(obj)[0] - end) - obj.size_m[0] / 2) < 1e-3:
                return obj
    return None


def _in_row(new: ObjectSpec, obj: ObjectSpec) -> ObjectSpec:
    """The object with its neighbour's depth and height: worktops are continuous."""
    worktop = obj.size_m[2] - (_TAP_M if obj.kind == "sink_unit" else 0.0)
    tall = new.size_m[2] if new.kind == "fridge" else worktop
    tall += _TAP_M if new.kind == "sink_unit" else 0.0
    return replace(new, size_m=(new.size_m[0], obj.size_m[1], round(tall, 4)))


def _on(here: _Room, new: ObjectSpec, obj: ObjectSpec) -> ObjectSpec | None:
    """Put it on the object's top, if wholly supported."""
    rng, top = here.site.rng, obj.position_m[2] + obj.size_m[2]
    if top > TOPMOST_M and obj.kind != "wall_shelf":
        return None
    flat = obj.kind != "rug" and min(obj.size_m[:2]) > 0.3
    turn = (float(rng.random()) - 0.5) * 0.9 if new.kind in _LOOSE and flat else 0.0
    placed = replace(new, yaw_rad=turn)
    half = (box_of(placed)[1] - box_of(placed)[0])[:2] / 2
    spare = np.array(obj.size_m[:2]) / 2 - half - 0.01
    if (spare < 0).any():
        return None
    c, s = math.cos(obj.yaw_rad), math.sin(obj.yaw_rad)
    for _ in range(_FEW):
        x, y = spare * (2 * rng.random(2) - 1)
        if new.kind == "monitor":
            y = spare[1] * 0.4
        elif obj.kind == "rug":
            x, y = 0.2 * x, 0.2 * y
        at = (obj.position_m[0] + c * x - s * y, obj.position_m[1] + s * x + c * y)
        place: Vec3 = (round(at[0], 4), round(at[1], 4), round(top, 4))
        put = replace(placed, position_m=place, yaw_rad=round(turn + obj.yaw_rad, 6))
        if here.put(put, touching=obj):
            return put
    return None


def _before(
    here: _Room, new: ObjectSpec, obj: ObjectSpec, wall: Wall, gap_m: float
) -> ObjectSpec | None:
    """Put it in front of the object, facing it if it is a seat."""
    along, off = wall.of_m(obj)
    away = (obj.size_m[1] + new.size_m[1]) / 2 + gap_m
    off += away if obj.yaw_rad == wall.yaw_rad else -away
    aside = 0.15 * max(0.0, obj.size_m[0] - new.size_m[0]) * (2 * here.site.rng.random() - 1)
    put = _rotated(new, wall, (along + float(aside), off), 0.0)
    if new.kind in _FACING:
        put = replace(put, yaw_rad=round(math.remainder(obj.yaw_rad + math.pi, math.tau), 6))
    return put if here.put(put) else None


def _on_wall(
    here: _Room, new: ObjectSpec, obj: ObjectSpec, wall: Wall, one: Extra
) -> ObjectSpec | None:
    """Hang it above or below the object, or before it."""
    rng, (along, _) = here.site.rng, wall.of_m(obj)
    foot, top = obj.position_m[2], obj.position_m[2] + obj.size_m[2]
    width, depth, tall = new.size_m
    if one.where == "over":
        return _curtained(here, new, obj, wall)
    if one.where == "below":
        tall = round(min(tall, foot - _FOOT_M[new.kind][1] - 0.08), 3)
        foot = _FOOT_M[new.kind][0]
        if tall < 0.3:
            return None
    else:
        usual = _foot_m(here, new)
        if usual is None:
            return None
        foot = max(usual, top + palette.between(*one.gap_m, rng))
        if foot > _ABOVE_M or foot + tall > here.room.size_m[2] - _UNDER_CEILING_M:
            return None
    new = replace(new, size_m=(min(width, 1.1 * obj.size_m[0]), depth, tall))
    along += 0.1 * (float(rng.random()) - 0.5)
    put = _rotated(new, wall, (along, depth / 2 + HUNG_M), foot)
    return put if here.put(put) else None


def _curtained(here: _Room, new: ObjectSpec, window: ObjectSpec, wall: Wall) -> ObjectSpec | None:
    """Hang curtains at a window: to the floor, or to its sill if something is below."""
    rng, (along, _) = here.site.rng, wall.of_m(window)
    (width, thick, tall), foot = window.size_m, window.position_m[2]
    top = min(foot + tall + palette.between(0.06, 0.2, rng), here.room.size_m[2] - 0.03)
    wide = round(width + palette.between(0.3, 0.6, rng), 3)
    off = HUNG_M + thick + 0.01 + new.size_m[1] / 2
    for low in (0.02, foot - 0.02):
        size = (wide, new.size_m[1], round(top - low, 3))
        put = _rotated(replace(new, size_m=size), wall, (along, off), low)
        if here.put(put, touching=window):
            return put
    return None
