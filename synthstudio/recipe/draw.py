"""Every random choice of a frame, top to bottom: `(recipe, index)` to a FrameSpec.

Each purpose has its own stream of random numbers, so adding a choice to one changes no other.
Nothing here knows what time it is, which worker asks or what other frames held.
"""

from __future__ import annotations

import numpy as np

from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.errors import RecipeError, explain
from synthstudio.core.scene import F64
from synthstudio.core.solve import Solve
from synthstudio.core.spec import Backdrop, FrameSpec, PersonSpec, RoomBackdrop, ThingSpec, Vec2
from synthstudio.recipe.choose import Draw, check, split_of
from synthstudio.recipe.model import Recipe
from synthstudio.recipe.people import draw_people
from synthstudio.recipe.placement import Placed, Stage, corners, place_people
from synthstudio.recipe.seats import seats_in
from synthstudio.recipe.things import draw_cutouts, place_things
from synthstudio.recipe.view import draw_backdrop, draw_behind, draw_camera, draw_lens, draw_light

SCREEN_LIMIT_PX = 2**22
"""The rasteriser's fixed-point coordinates end here."""


def draw(recipe: Recipe, index: int, solve: Solve) -> FrameSpec:
    """Return frame `index` of the recipe: a pure function of both and of the catalogue.

    RecipeError when a name is unknown, a hold-out leaves nothing, or people or things find no
    room.
    """
    if index < 0:
        raise RecipeError(explain("frames count from 0", where="index", got=str(index)))
    catalogue = solve.catalogue
    check(recipe, catalogue)
    frame = Draw(recipe=recipe, index=index, split=split_of(recipe, index), catalogue=catalogue)

    behind = draw_behind(frame)
    camera, distance_m = draw_camera(frame, behind)
    stage = Stage(draw=frame, solve=solve, camera=camera, distance_m=distance_m)

    people = draw_people(frame, seats=bool(seats_in(frame)))
    standing = place_people(stage, people)
    standing += place_things(stage, standing)
    cutouts = draw_cutouts(stage, standing)

    reach_m = _reach_m(camera, standing)
    backdrop = draw_backdrop(frame, behind, reach_m, focal_px=camera.focal_px)
    _check_range(frame, camera, standing, backdrop)
    return FrameSpec(
        seed=recipe.seed,
        index=index,
        camera=camera,
        people=tuple(p.item for p in standing if isinstance(p.item, PersonSpec)),
        things=tuple(p.item for p in standing if isinstance(p.item, ThingSpec)),
        cutouts=cutouts,
        backdrop=backdrop,
        light=draw_light(frame, behind),
        lens=draw_lens(frame),
        skeleton=recipe.skeleton,
        supersample=recipe.image.supersample,
        split=frame.split,
        group_id=f"{recipe.seed}-{index}",
    )


def _reach_m(camera: Camera, standing: list[Placed]) -> tuple[Vec2, Vec2]:
    """Return (low, high) along x and along y of the camera and all that stands."""
    spots = np.array([camera.position_m[:2], (0.0, 0.0)])
    boxes = [box for p in standing for box in p.box_m[:, :2]]
    every = np.concatenate([spots, np.array(boxes).reshape(-1, 2)])
    low, high = every.min(axis=0), every.max(axis=0)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _check_range(frame: Draw, camera: Camera, standing: list[Placed], backdrop: Backdrop) -> None:
    """Raise RecipeError where a corner would leave the rasteriser's range.

    What crosses the near plane is clipped there, so it reaches focal x extent / near.
    """
    points: list[F64] = [corners(p.box_m) for p in standing]
    if isinstance(backdrop, RoomBackdrop):
        half = np.array([backdrop.size_m[0], backdrop.size_m[1]]) / 2
        middle = np.array(backdrop.centre_m)
        low, high = np.append(middle - half, 0.0), np.append(middle + half, backdrop.size_m[2])
        points.append(corners(np.stack([low, high])))
    for group in points:
        seen = camera.to_camera(group)
        near = max(float(seen[:, 2].min()), NEAR_M)
        reach = float(np.abs(seen[:, :2]).max()) * camera.focal_px / near
        if seen[:, 2].max() > NEAR_M and reach > SCREEN_LIMIT_PX:
            raise RecipeError(
                explain(
                    "something reaches too far beyond the picture to be drawn exactly",
                    where=frame.where,
                    expected=f"at most {SCREEN_LIMIT_PX:,} pixels from the middle",
                    got=f"{reach:,.0f}",
                    then="Use a wider angle of view, a smaller picture or a smaller room.",
                )
            )
