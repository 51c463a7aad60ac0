"""People on a floor of the user's: in a place (the group's middle and the camera), and on a photo's
(the spot, its camera, and its light)."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import CELL_M, FloorPlan, GeometryQueries, ImageAsset, PlaceAsset
from synthstudio.core.errors import RecipeError
from synthstudio.core.photo import Ground, PlaceLight
from synthstudio.core.rng import Generator
from synthstudio.core.spec import PhotoBackdrop, PlaceBackdrop, Vec2
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.schema.distributions import sample, support

TRIES = 256
_NEARER = 6
"""Steps from the drawn distance and height to the recipe's minimum."""
_SEEN_M = (0.4, 1.0, 1.6)
"""The camera sees at least two of these heights over the spot."""
_LENS_M = 0.2
"""Free radius around the camera."""
_STEP_M = CELL_M / 2
_AROUND = np.array(list(np.ndindex(3, 3, 3))) - 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Stand:
    """A place about the group, whose middle is the world's origin, and its camera.

    The place's floor for people, like `Footing` for a photo.
    """

    asset: PlaceAsset
    plan: FloorPlan
    spot_m: Vec2  # of the place's own x and y
    yaw_rad: float  # the place's rotation in the world
    distance_m: float
    height_m: float

    @property
    def name(self) -> str:
        return self.asset.asset.name

    def backdrop(self) -> PlaceBackdrop:
        x, y = (-self._turn @ np.array(self.spot_m)).tolist()
        return PlaceBackdrop(
            asset=self.asset.asset,
            position_m=(x, y, -self.asset.level_m),
            yaw_rad=self.yaw_rad,
        )

    def holds(self, spots_m: F64, *, below: bool = False) -> Bool:
        """(N,) whether feet may stand at world x, y (N, 2), in view; `below` has no effect."""
        own = self._own(spots_m)
        eye = _camera_at(self.spot_m, self.yaw_rad, self.distance_m, self.height_m)
        seen = [_sees(self.plan, eye, spot) for spot in own.tolist()]
        return np.asarray(self.plan.has_floor(own) & np.array(seen, bool))

    def spots_m(self, rng: Generator) -> F64:
        """World x, y (N, 2) where people may stand, the nearest to the origin first."""
        own = self.plan.spots_m()
        own = own[rng.permutation(len(own))[: 4 * TRIES]]
        spots = (own - np.array(self.spot_m)) @ self._turn.T
        return np.asarray(spots[np.argsort((spots * spots).sum(axis=1), kind="stable")])

    def takes(self, box_m: F64) -> bool:
        """Whether a box (2, 3) is clear of the place's geometry."""
        sides = [
            np.linspace(low, high, 1 + math.ceil((high - low) / _STEP_M))
            for low, high in box_m[:, :2].T.tolist()
        ]
        spots = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
        return bool(self.plan.free(self._own(spots), float(box_m[1, 2])).all())

    @functools.cached_property
    def _turn(self) -> F64:
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([[c, -s], [s, c]])

    def _own(self, spots_m: F64) -> F64:
        return np.asarray(spots_m @ self._turn + np.array(self.spot_m))


def draw_stand(ctx: SampleContext, asset: PlaceAsset, attempt: int) -> Stand:
    """The spot of a group and the camera's position, if need be nearer than drawn; RecipeError."""
    rng, plan = ctx.rng("place", attempt), ctx.geometry.floor_plan(asset.asset)
    options = ctx.recipe.camera
    ranges = [(support(o)[0], sample(o, rng)) for o in (options.distance_m, options.height_m)]
    spots = plan.spots_m()
    spots = spots[(rng.random(TRIES) * len(spots)).astype(int)]
    turns = rng.random(TRIES) * 2 * math.pi
    for step in range(_NEARER + 1):
        share = step / _NEARER
        distance, height = (
            (1 - share) * drawn + share * float(minimum) for minimum, drawn in ranges
        )
        for spot, yaw in zip(spots.tolist(), turns.tolist(), strict=True):
            eye = _camera_at(spot, yaw, distance, height)
            if plan.air(eye + _AROUND * _LENS_M).all() and _sees(plan, eye, spot):
                return Stand(
                    asset=asset,
                    plan=plan,
                    spot_m=(spot[0], spot[1]),
                    yaw_rad=yaw,
                    distance_m=distance,
                    height_m=height,
                )
    raise RecipeError(
        "a camera finds no room in the place",
        where=f"{ctx.where}: {asset.asset.name}",
        expected=f"a free view of {distance:.2g} m at a height of {height:.2g} m",
        then="Allow a nearer or lower camera (camera.distance_m, camera.height_m), or take out "
        "the place.",
    )


def _camera_at(spot: Sequence[float], yaw_rad: float, distance: float, height: float) -> F64:
    """The camera's position in the place, that far on the world's -y side of a spot."""
    x, y = spot[0] - math.sin(yaw_rad) * distance, spot[1] - math.cos(yaw_rad) * distance
    return np.array([x, y, height])


def _sees(plan: FloorPlan, eye: F64, spot: Sequence[float]) -> bool:
    """Whether most of a person at a spot is visible."""
    steps = 2 + math.ceil(math.dist(eye[:2], spot) / _STEP_M)
    share = np.linspace(0.0, 1.0, steps)[:, None]
    ways = [eye + (np.array([*spot, above]) - eye) * share for above in _SEEN_M]
    return sum(bool(plan.air(way).all()) for way in ways) >= 2


# A photo's floor ------------------------------------------------------------------------------

SPOTS = 512
_EDGE = 0.1
"""Minimum distance of the group's middle from the photo's sides, as a fraction of its width."""
_BESIDE, _BELOW = 0.12, (0.35, 0.97)
"""Its range in the crop: fractions of the width from the sides, of the height from the top."""
_LOWER_EDGE = 0.995
_PROBE_M = (1.2, 2.0)
"""Half the width and the height of the light's probe: a person and some space about."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """The place of the group's middle on the ground: in the photo, as fractions of it, and on the
    floor, metres right of the photo's camera and ahead of it."""

    ground: Ground
    at: Vec2
    away_m: Vec2


def draw_spot(ctx: SampleContext, photo: ImageAsset, ground: Ground, attempt: int) -> Spot:
    """A spot of the photo's floor at the recipe's distance, or the nearest to that."""
    rng = ctx.rng("ground", attempt)
    size = (photo.width_px, photo.height_px)
    places = np.concatenate([ground.within(rng.random((SPOTS, 2))), ground.grid()])
    floor = ground.floor_m(places, size)
    away = np.linalg.norm(floor, axis=1)
    near, far = support(ctx.recipe.camera.distance_m)
    off = np.maximum(0.0, np.maximum(near - away, away - far))
    off += np.maximum(0.0, np.abs(places[:, 0] - 0.5) - 0.5 + _EDGE)
    best = int(np.argmin(np.where(np.isnan(off), np.inf, off)))
    x, y = places[best].tolist()
    right, ahead = floor[best].tolist()
    return Spot(ground=ground, at=(x, y), away_m=(right, ahead))


def about(spot: Spot, photo: ImageAsset, corner_px: Vec2, size_px: Vec2) -> Vec2:
    """The upper left corner of a crop of that size moved so that it shows the spot."""

    def start_px(k: int, whole: int, low: float, high: float) -> float:
        at = spot.at[k] * whole
        start = min(max(corner_px[k], at - high * size_px[k]), at - low * size_px[k])
        return min(max(start, 0.0), whole - size_px[k])

    return start_px(0, photo.width_px, _BESIDE, 1 - _BESIDE), start_px(1, photo.height_px, *_BELOW)


@dataclass(frozen=True, kw_only=True)
class Footing:
    """The floor of the photo behind a frame, as the frame's camera sees it.

    The world's origin is where the group's middle stands.
    """

    ground: Ground
    photo: PhotoBackdrop
    size_px: tuple[int, int]  # of the whole photo
    camera: Camera

    @property
    def name(self) -> str:
        return self.photo.asset.name

    def holds(self, spots_m: F64, *, below: bool = False) -> Bool:
        """Return (N,) whether feet may stand at world x, y (N, 2).

        With `below`, the area under the photo's lower edge counts like the edge above it.
        """
        seen = in_photo(self.photo, self.camera, self.camera.floor_px(spots_m))
        fractions = seen / np.array(self.size_px)
        if below:
            fractions[:, 1] = np.minimum(fractions[:, 1], _LOWER_EDGE)
        return self.ground.holds(fractions) & np.isfinite(fractions).all(axis=1)

    def spots_m(self, rng: Generator) -> F64:
        """World x, y (N, 2) inside the outline, the nearest to the origin first."""
        places = self.ground.within(rng.random((SPOTS, 2)))
        places = places[self.ground.holds(places)]
        seen = in_frame(self.photo, self.camera, places * np.array(self.size_px))
        spots = self.camera.floor_m(seen)
        spots = spots[np.isfinite(spots).all(axis=1)]
        return np.asarray(spots[np.argsort((spots * spots).sum(axis=1), kind="stable")])


def in_photo(photo: PhotoBackdrop, camera: Camera, pixels: F64) -> F64:
    """Return (N, 2) pixels of the whole photo that pixels of the frame show."""
    x0, y0, x1, y1 = photo.crop_px
    x = camera.width_px - pixels[:, 0] if photo.mirrored else pixels[:, 0]
    across, down = (x1 - x0) / camera.width_px, (y1 - y0) / camera.height_px
    return np.column_stack([x0 + x * across, y0 + pixels[:, 1] * down])


def in_frame(photo: PhotoBackdrop, camera: Camera, pixels: F64) -> F64:
    """Return (N, 2) pixels of the frame where those of the whole photo are."""
    x0, y0, x1, y1 = photo.crop_px
    x = (pixels[:, 0] - x0) * camera.width_px / (x1 - x0)
    y = (pixels[:, 1] - y0) * camera.height_px / (y1 - y0)
    return np.column_stack([camera.width_px - x if photo.mirrored else x, y])


def ground_camera(spot: Spot, seen: Camera, *, mirrored: bool) -> Camera:
    """Return `seen`, a camera with a crop's pixels, at the photo camera's place from the spot."""
    ground, (right, ahead) = spot.ground, spot.away_m
    side = -1 if mirrored else 1
    return dataclasses.replace(
        seen,
        position_m=(0.0, -math.hypot(right, ahead), ground.camera_height_m),
        yaw_rad=math.atan2(side * right, ahead),
        pitch_rad=ground.pitch_rad,
        roll_rad=side * ground.roll_rad,
    )


def local_light(geometry: GeometryQueries, photo: PhotoBackdrop, camera: Camera) -> PlaceLight:
    half, tall = _PROBE_M
    corners = np.array([(x, 0.0, z) for x in (-half, half) for z in (0.0, tall)])
    seen = in_photo(photo, camera, camera.project(camera.to_camera(corners)))
    low, high = np.array(photo.crop_px[:2]), np.array(photo.crop_px[2:])
    if np.isfinite(seen).all():
        low, high = np.maximum(seen.min(axis=0), low), np.minimum(seen.max(axis=0), high)
    if (high - low < 1).any():
        low, high = np.array(photo.crop_px[:2]), np.array(photo.crop_px[2:])
    (x, y), (width, height) = low.tolist(), (high - low).tolist()
    return geometry.photo_light(photo.asset, (x, y, width, height))
