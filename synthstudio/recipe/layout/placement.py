"""Placement of people and their seats: on the floor, in view, at least `min_gap_m` apart.

Numbered candidates are tried as drawn, later ones reaching farther, and the first free one is
taken. If there is none it is an error: fewer people would silently change the recipe.

Of placed people only neck and eyes turn to what they look at, within their limits.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import CABIN, GeometryQueries, KeyPose
from synthstudio.core.errors import RecipeError
from synthstudio.core.hulls import box_gap_m
from synthstudio.core.rng import Generator
from synthstudio.core.spec import Detail, ObjectSpec, OcclusionTarget, PersonSpec, PoseSpec
from synthstudio.recipe.contacts.contacts import Contact, contact_object
from synthstudio.recipe.contacts.supports import draw_bed, draw_seat, seat_beside
from synthstudio.recipe.contacts.together import looking, rotated
from synthstudio.recipe.sampling import clips
from synthstudio.recipe.sampling.context import SampleContext, Unit, pick_one
from synthstudio.recipe.sampling.places import Footing, Stand
from synthstudio.recipe.sampling.pose_jitter import freed
from synthstudio.recipe.sampling.view import detail_at
from synthstudio.recipe.schema.distributions import sample
from synthstudio.recipe.schema.people import LIE, Group

Item = TypeVar("Item", bound=PersonSpec | ObjectSpec)

CANDIDATES = 160
CLEAR_M = 0.3
"""Minimum z distance from the camera of anything in front of it."""
_WIDEN_EVERY = 16
_STEP_BACK_M = 0.02
_IN_VIEW = 0.8
_SAME_SPOT_M = 0.12
_OVER_EDGE_M = 0.3
"""How far beyond a photo's floor edge an object may reach: the reach of a person there."""
_LIFT_M = (0.05, 0.8)
"""Height of the lowest point of a person in the air."""
_CORNERS = np.array(list(np.ndindex(2, 2, 2)))


class NoRoom(RecipeError):
    """A person found no place on the floor."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A person or object and its box (2, 3): least and greatest world corner.

    A moving person has a `path`: the same person at times of the clip, starting with `item`; the
    box covers all of them.
    """

    item: PersonSpec | ObjectSpec
    box_m: F64
    path: tuple[PersonSpec, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Inputs of placement: the frame, geometry, and the camera's view of the floor."""

    ctx: SampleContext
    camera: Camera
    distance_m: float
    contacts: Mapping[int, Contact] = field(default_factory=dict)  # by the person's place
    together: tuple[PersonSpec, ...] = ()
    """The first people if they interact, placed about the first of them, who is at the world's
    origin and faces -y."""
    footing: Footing | Stand | None = None
    """A photo's or a place's floor to which people and objects are restricted."""
    gain: float = 1.0  # brightness factor of pasted pictures to match the photo
    targets: tuple[OcclusionTarget, ...] = ()  # of all people; () without any
    crowd: float | None = None  # the requested crowd index

    @property
    def geometry(self) -> GeometryQueries:
        return self.ctx.geometry

    def placed(self, item: PersonSpec | ObjectSpec) -> Placed:
        return Placed(item=item, box_m=self.geometry.box_m(item))

    def joints_m(self, placed: list[Placed]) -> F64:
        """(N, 3) the joints of all people of `placed`."""
        people = [p.item for p in placed if isinstance(p.item, PersonSpec)]
        joints = [self.geometry.joints_m(person) for person in people]
        return np.concatenate([*joints, np.zeros((0, 3))])

    def half_width_m(self, depth_m: float) -> float:
        """Half the view's width at that distance from the camera, less a margin."""
        half = _IN_VIEW * depth_m * self.camera.width_px / 2 / self.camera.focal_px
        return half * self.camera.spread[0]

    def middle_m(self, depth_m: float) -> float:
        """World x of the view's middle at that distance from the camera."""
        return -depth_m * math.tan(self.camera.yaw_rad)

    def shows(self, x_m: float, y_m: float) -> bool:
        """Whether a place on the floor is between the sides of the view, less a margin."""
        depth = y_m + self.distance_m
        return depth > 0 and abs(x_m - self.middle_m(depth)) <= self.half_width_m(depth)

    def clear(self, box_m: F64) -> bool:
        """Whether a box lies wholly in front of the camera by `CLEAR_M`, or behind it."""
        z = self.camera.to_camera(corners(box_m))[:, 2]
        return bool(z.min() > CLEAR_M or z.max() < 0)

    def ahead(self, part: Placed) -> bool:
        """Whether a part lies wholly in front of the camera by `CLEAR_M`, or is a car around it."""
        if isinstance(part.item, ObjectSpec) and part.item.kind == CABIN:
            return True
        return bool(self.camera.to_camera(corners(part.box_m))[:, 2].min() > CLEAR_M)

    def free(self, new: Placed, placed: tuple[Placed, ...] | list[Placed]) -> bool:
        """Whether `new` keeps the recipe's gap to everything in `placed`.

        A person must also stand on a photo's or a place's floor, everywhere on its path, and
        `new` must be clear of the place's geometry.
        """
        if self.footing is not None and isinstance(new.item, PersonSpec):
            spots = np.array([now.position_m[:2] for now in (new.item, *new.path)])
            if not self.footing.holds(spots).all():
                return False
        if isinstance(self.footing, Stand) and not self.footing.takes(new.box_m):
            return False  # a photo's geometry is unknown
        minimum = self.ctx.recipe.people.min_gap_m
        near = [other for other in placed if box_gap_m(new.box_m, other.box_m) < minimum]
        if any(_same_spot(new, other) for other in near):
            return False
        return all(self._gap_m(new, other) >= minimum for other in near)

    def on_floor(self, box_m: F64, *, below: bool) -> bool:
        """Whether a box stands on a photo's floor.

        It may reach beyond the edge as far as a person with feet inside does. With `below` it may
        stand under the picture, where the floor continues.
        """
        if self.footing is None:
            return True
        low, high = box_m[:, :2]
        inward = np.minimum(_OVER_EDGE_M, (high - low) / 2)
        x, y = np.stack([low + inward, high - inward]).T
        spots = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        return bool(self.footing.holds(spots, below=below).all())

    def _gap_m(self, a: Placed, b: Placed) -> float:
        if not a.path and not b.path:
            return self.geometry.gap_m(a.item, b.item)
        return self.geometry.sweep_gap_m(a.path or (a.item,), b.path or (b.item,))


def corners(box_m: F64) -> F64:
    """The (..., 8, 3) corners of boxes (..., 2, 3)."""
    return box_m[..., _CORNERS, np.arange(3)]


def spread_over(box_m: F64, camera: Camera) -> F64:
    """Points (N, 3) of a box that bound its picture: corners, or more if bent."""
    if camera.distortion is None:
        return corners(box_m)
    share = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 5)] * 3), axis=-1).reshape(-1, 3)
    return np.asarray(box_m[0] + share * (box_m[1] - box_m[0]))


def moved(placed: Placed, x_m: float, y_m: float) -> Placed:
    box = placed.box_m + np.array([x_m, y_m, 0.0])
    path = tuple(_shifted(person, x_m, y_m) for person in placed.path)
    return Placed(item=_shifted(placed.item, x_m, y_m), box_m=box, path=path)


def _shifted(item: Item, x_m: float, y_m: float) -> Item:
    x, y, z = item.position_m
    return dataclasses.replace(item, position_m=(x + x_m, y + y_m, z))


@dataclass(frozen=True, kw_only=True)
class Seeker:
    """The next person to place, and the items already placed."""

    place: int  # among the people of the frame
    built: Callable[[float], list[Placed]]  # the person and their objects, by bearing
    placed: list[Placed]
    reach_m: float


Find = Callable[[Layout, Seeker], tuple[float, float] | None]
"""Finds a free place for the next person: its shift, or None."""


def place_people(
    layout: Layout, people: tuple[tuple[PersonSpec, KeyPose], ...], *, find: Find
) -> list[Placed]:
    """All people on the floor, in order, followed by their seats.

    Interacting people are placed together, and so are a driver and a passenger.

    `find` is `first_free`, or the search for targets. RecipeError with frame and count if
    there is no room even when spread out.
    """
    people_placed: list[Placed] = []
    seats: list[Placed] = []
    rng = layout.ctx.rng("arrangement")
    arrangement = layout.ctx.recipe.people.arrangement
    spread = arrangement.spread_m if isinstance(arrangement, Group) else arrangement.depth_m
    reach = sample(spread, rng)
    for place in range(len(people)):
        if place < len(people_placed):
            continue  # placed with another
        first = candidate(layout, layout.ctx.rng("spot", place), 0, place=place, reach_m=reach)
        detail = detail_at(layout.camera, *first)
        built = functools.cache(functools.partial(_rotated, layout, people, place))
        at_first = functools.partial(built, detail)
        placed = people_placed + seats
        spot = find(layout, Seeker(place=place, built=at_first, placed=placed, reach_m=reach))
        if spot is None:
            floor = layout.footing.name if layout.footing else None
            raise NoRoom(
                f"no room for person {place + 1} of {len(people)}",
                where=layout.ctx.where + (f", {floor}" if floor else ""),
                expected=f"a free place among {CANDIDATES} tried",
                then="Reduce people, min_gap_m or objects, or increase the spread"
                + (", or give photos or places with more floor." if floor else "."),
            )
        seen = detail_at(layout.camera, *spot)
        bearing = bearing_rad(layout, *spot)
        here = [moved(part, *spot) for part in built(detail, bearing)]
        if seen != detail:
            again = [moved(part, *spot) for part in built(seen, bearing)]
            # Millimetres differ, so it may not fit where the other did; then that stays.
            if all(layout.free(part, placed) for part in again):
                here = again
        many = sum(isinstance(part.item, PersonSpec) for part in here)
        people_placed += here[:many]
        seats += here[many:]
    return people_placed + seats


def _rotated(
    layout: Layout, people: tuple[Unit, ...], place: int, detail: Detail, bearing_rad: float
) -> list[Placed]:
    person, key = people[place]
    yaw = person.yaw_rad + bearing_rad
    if place == 0 and layout.together:
        return [_in_group(layout, one, detail, yaw) for one in layout.together]
    person = dataclasses.replace(person, detail=detail, yaw_rad=yaw)
    parts, place = _parts(layout, person, key, place), place + 1
    seat = parts[1].item if key.needs == "seat" else None
    sits = place < len(people) and people[place][1].needs == "seat"
    if isinstance(seat, ObjectSpec) and seat.kind == CABIN and sits and place % 2:
        return _shared(layout, parts, dataclasses.replace(people[place][0], detail=detail), place)
    return parts


def _shared(layout: Layout, parts: list[Placed], person: PersonSpec, place: int) -> list[Placed]:
    """The parts of a driver and their car with a passenger; its middle lies over the origin."""
    driver, cabin, *held = parts
    assert isinstance(cabin.item, ObjectSpec)
    person, seat = seat_beside(layout.ctx, person, cabin.item)
    passenger = layout.placed(person)
    if layout.geometry.gap_m(driver.item, person) < layout.ctx.recipe.people.min_gap_m:
        raise NoRoom(
            f"no room for person {place + 1} beside person {place} in a {CABIN}",
            where=layout.ctx.where,
            then="Use slimmer people, arms nearer to the body, or a smaller min_gap_m.",
        )
    if place in layout.contacts:
        held.append(
            layout.placed(contact_object(layout.ctx, person, layout.contacts[place], place))
        )
    x, y, _ = (np.array(driver.item.position_m) + person.position_m) / -2
    every = (driver, passenger, layout.placed(seat), *held)
    return [moved(part, float(x), float(y)) for part in every]


def _in_group(layout: Layout, person: PersonSpec, detail: Detail, yaw_rad: float) -> Placed:
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    x, y, _ = person.position_m
    person = dataclasses.replace(person, detail=detail, yaw_rad=person.yaw_rad + yaw_rad)
    at = (c * x - s * y, s * x + c * y, float(layout.geometry.drop_m(person)))
    return layout.placed(dataclasses.replace(person, position_m=at))


def bearing_rad(layout: Layout, x_m: float, y_m: float) -> float:
    """The yaw with which a person at x, y faces the camera, to the nearest 10 degrees.

    0 without quotas of views or turning targets; turns are relative to it.
    """
    quotas = layout.ctx.recipe.quotas
    rotated = quotas is not None and quotas.view is not None
    targets = layout.ctx.recipe.targets
    if not rotated and not (targets.search and targets.turns):
        return 0.0
    x, y, _ = layout.camera.position_m
    return math.radians(10 * round(math.degrees(math.atan2(x - x_m, y_m - y)) / 10))


def _parts(layout: Layout, person: PersonSpec, key: KeyPose, place: int) -> list[Placed]:
    """The person on the floor at the world's origin, and their objects.

    These are the seat if the pose needs one, the bed, the support, and held objects. Of a path
    the middle lies at the origin.
    """
    ctx, path = layout.ctx, clips.path(layout.ctx, person, place)
    if path:
        boxes = np.array([layout.geometry.box_m(now) for now in path])
        box = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
        person, parts = path[0], [Placed(item=path[0], box_m=box, path=path)]
    else:
        height = float(layout.geometry.drop_m(person))
        if key.airborne:
            height += sample(_LIFT_M, ctx.rng("lift", place))
        person = dataclasses.replace(person, position_m=(0.0, 0.0, height))
        parts = [layout.placed(person)]
    if key.needs == "seat":
        seat = draw_seat(ctx, person, ctx.rng("seat", place), narrow=bool(key.leans))
        parts.append(layout.placed(seat))
    elif key.family == LIE and not path:
        person, *bed = draw_bed(ctx, person, place)
        parts = [layout.placed(person), *map(layout.placed, bed)] if bed else parts
    contact = layout.contacts.get(place)
    if contact is not None:
        parts.append(layout.placed(contact_object(ctx, person, contact, place)))
    return parts


def first_free(layout: Layout, seeker: Seeker) -> tuple[float, float] | None:
    """The shift to the first free candidate, or point of a photo's or place's floor, or None."""
    place, reach = seeker.place, seeker.reach_m
    rng = layout.ctx.rng("spot", place)
    tried = (candidate(layout, rng, k, place=place, reach_m=reach) for k in range(CANDIDATES))
    for x, y in itertools.chain(tried, _on_floor(layout, place)):
        here = [moved(part, x, y) for part in seeker.built(bearing_rad(layout, x, y))]
        if all(layout.ahead(part) and layout.free(part, seeker.placed) for part in here):
            return x, y
    return None


def _on_floor(layout: Layout, place: int) -> Iterator[tuple[float, float]]:
    """Yield world x, y on a photo's or a place's floor, the nearest to the group's middle first."""
    if layout.footing is not None:
        for x, y in layout.footing.spots_m(layout.ctx.rng("floor spot", place)).tolist():
            if isinstance(layout.footing, Footing) or layout.shows(x, y):
                yield x, y


def candidate(
    layout: Layout, rng: Generator, number: int, *, place: int, reach_m: float
) -> tuple[float, float]:
    """The world x, y of a candidate; later ones lie farther out and farther back."""
    u, v = rng.random(2)
    widen = 1.0 + 0.5 * (number // _WIDEN_EVERY)
    if isinstance(layout.ctx.recipe.people.arrangement, Group):
        radius = reach_m * widen * math.sqrt(u) * (0.5 if place == 0 else 1.0)
        if number >= _WIDEN_EVERY:
            radius += 0.3 * (number // _WIDEN_EVERY)
        x, y = radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)
        y += _STEP_BACK_M * number
    else:
        near, far = layout.distance_m, layout.distance_m + reach_m * widen
        # The view's width grows with depth: constant density of people.
        depth = math.sqrt(near * near + (far * far - near * near) * u)
        x = layout.middle_m(depth) + (2 * v - 1) * layout.half_width_m(depth)
        y = depth - layout.distance_m
    depth = y + layout.distance_m
    middle, half = layout.middle_m(depth), layout.half_width_m(max(depth, CLEAR_M))
    return float(min(max(x, middle - half), middle + half)), float(y)


def _same_spot(a: Placed, b: Placed) -> bool:
    """Whether the middles of two boxes nearly coincide, so that they certainly intersect."""
    if a.path or b.path:
        return False
    middle = (a.box_m.sum(axis=0) - b.box_m.sum(axis=0))[:2] / 2
    return math.hypot(float(middle[0]), float(middle[1])) < _SAME_SPOT_M


# Gaze of placed people --------------------------------------------------------------------------

_AT_HEAD = frozenset({"phone", "cup"})
"""Grips of objects held to the head, which keeps its pose."""
_AWAY_RAD = (math.radians(60), math.radians(15))
_SOFT_M = 0.02


def with_gaze(layout: Layout, standing: list[Placed]) -> list[Placed]:
    weights = {str(k): v for k, v in layout.ctx.recipe.people.poses.look.items()}
    if not any(weight for what, weight in weights.items() if what != "pose"):
        return standing
    out = list(standing)
    for place, one in enumerate(standing):
        if not isinstance(one.item, PersonSpec):
            break  # people come first
        if place < len(layout.together):
            continue  # gaze fixed by their interaction
        rng = layout.ctx.rng("look", place)
        what = pick_one(sorted(weights), rng, weights=weights)
        aside, lift = ((2 * float(u) - 1) for u in rng.random(2))
        if what == "pose" or _holds_to_head(layout, place) or one.item.pose.turns:
            continue
        if what == "away":
            pose = rotated(one.item.pose, aside * _AWAY_RAD[0], lift * _AWAY_RAD[1])
        else:
            pose = _aimed(layout, one.item, out, place, what)
        if pose is not None:
            out[place] = _if_free(layout, out, place, pose)
    return out


def _holds_to_head(layout: Layout, place: int) -> bool:
    contact = layout.contacts.get(place)
    return contact is not None and any(kind.grip in _AT_HEAD for kind in contact.kinds)


def _aimed(
    layout: Layout, person: PersonSpec, items: list[Placed], place: int, what: str
) -> PoseSpec | None:
    eye = layout.ctx.joints_m(person)["nose"]
    targets = [np.array(layout.camera.position_m)]
    if what == "person":
        others = [p.item for k, p in enumerate(items) if k != place]
        people = [item for item in others if isinstance(item, PersonSpec)]
        targets = [layout.ctx.joints_m(p)["nose"] for p in people]
    if not targets:
        return None
    way = min((target - eye for target in targets), key=lambda d: float(np.linalg.norm(d)))
    return looking(person, way)


def _if_free(layout: Layout, items: list[Placed], place: int, pose: PoseSpec) -> Placed:
    """The person in that pose, or unchanged if the head would touch something."""
    old = items[place]
    assert isinstance(old.item, PersonSpec)
    person = dataclasses.replace(old.item, pose=pose)
    new = layout.placed(person)
    others = [p for k, p in enumerate(items) if k != place and not _belongs_to(p.item, place)]
    deeper, before = layout.geometry.self_penetrations_m(
        person.phenotype, [pose.angles_rad, old.item.pose.angles_rad]
    )
    if not layout.free(new, others) or deeper > max(before, _SOFT_M):
        return old
    angles = dict(pose.angles_rad)  # a head needs no self-penetration repair
    return new if freed(layout.ctx, person.phenotype, angles)[0] == angles else old


def _belongs_to(item: PersonSpec | ObjectSpec, place: int) -> bool:
    return isinstance(item, ObjectSpec) and (
        item.held_by == place or item.role in ("seat", "support")
    )
