"""People in a user's place: positions of the group's middle and the camera."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.catalogue import PlaceAsset
from synthstudio.core.errors import RecipeError
from synthstudio.core.ground import CELL_M, FloorPlan
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64, Bool
from synthstudio.core.spec import PlaceBackdrop, Vec2
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

    The place's floor for people, like `sampling.ground.Footing` for a photo.
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
        """Return (N,) whether feet may stand at world x, y (N, 2), visible to the camera.

        `below` has no effect.
        """
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
    """The spot of a group in a place, and the camera's position.

    If no spot is free at the drawn distance, the camera comes nearer, down to the recipe's
    minimum. RecipeError if there is no such spot.
    """
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
