"""Where a photo looks like the ground under somebody's feet, who stands there, what may stand
there."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import photo_world
import pytest
from photo_world import opened, settings
from stick_people import make_camera

from synthstudio.core.photo import GroundCells
from synthstudio.core.rng import stream
from synthstudio.core.spec import ObjectSpec
from synthstudio.generation.photos.make import ref_of, view_of
from synthstudio.generation.photos.measure import Floor, Stand, ground_cells
from synthstudio.recipe.search.photo_candidates import is_reachable
from synthstudio.recipe.search.photo_occluders import is_plausible
from synthstudio.recipe.search.photo_visibility import Card

HEIGHT, WIDTH, EDGE = 240, 320, 130
PLANE = Floor(horizon_px=90.0, eye_m=1.5)
STANDS = Stand(px_per_m=60.0, foot_px=180.0, confidence=1.0, upright=True)
PAVING, DARK = (120, 116, 110), (68, 66, 62)


def _photo(ground=PAVING, *, rough=12.0, wall=(190, 190, 190)):
    """Light wall over ground, rough as paving is, and on the right a brown table before it."""
    rgb = np.full((HEIGHT, WIDTH, 3), wall, np.float64)
    grain = stream(1, "ground").standard_normal((HEIGHT, WIDTH, 1)) * rough
    small = grain[::6, ::6].repeat(6, axis=0).repeat(6, axis=1)[:HEIGHT, :WIDTH]
    rgb[EDGE:] = np.array(ground) + small[EDGE:]
    rgb[EDGE:, 240:] = (140, 60, 20)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _with(rgb, columns, colour, rows=slice(EDGE, None)):
    rgb = rgb.copy()
    rgb[rows, columns] = colour
    return rgb


def _found(rgb, stand=STANDS, plane=PLANE, top_px=80):
    person = SimpleNamespace(mask=np.ones((100, 40), bool), left_px=100, top_px=top_px)
    return ground_cells(rgb, [person], [stand], plane)


def test_ground_is_what_looks_like_that_about_the_feet():
    found = _found(_photo())
    assert found is not None
    edge, table = EDGE // found.cell_px, 240 // found.cell_px
    assert not found.ground[: edge - 1].any()
    assert not found.ground[:, table + 1 :].any()
    assert found.ground[edge + 1 :, : table - 1].mean() > 0.8  # all but the person
    assert not found.ground[100 // found.cell_px, 120 // found.cell_px]


UPWARDS = _with(_photo(), slice(None), (190, 190, 190), slice(EDGE, 176))
EVEN = np.full((HEIGHT, WIDTH, 3), PAVING, np.uint8)
SHOWN = {
    "feet in the air": (False, lambda: _found(_photo(), dataclasses.replace(STANDS, foot_px=100))),
    "who sits": (False, lambda: _found(_photo(), dataclasses.replace(STANDS, upright=False))),
    "a mown field": (False, lambda: _found(_photo((90, 125, 70), rough=1.0, wall=(30,) * 3))),
    "a clay court": (False, lambda: _found(_photo((190, 90, 50), wall=(30,) * 3))),
    "snow": (False, lambda: _found(_photo((215, 215, 218), rough=3.0, wall=(30,) * 3))),
    "the same above the horizon": (False, lambda: _found(_photo(wall=PAVING))),
    "bright beside feet": (False, lambda: _found(_with(_photo(), slice(85, 103), 250))),
    "taken down a bit": (True, lambda: _found(EVEN, plane=Floor(1.0, 3.0))),
    "taken downwards": (False, lambda: _found(EVEN, plane=Floor(-1.0, 3.0))),
    **{
        f"taken upwards, horizon at {share}": (
            shown,
            lambda share=share: _found(
                UPWARDS,
                dataclasses.replace(STANDS, foot_px=215.0),
                Floor(share * HEIGHT, 0.8),
                top_px=115,
            ),
        )
        for share, shown in ((0.68, True), (0.72, False))
    },
}


@pytest.mark.parametrize("photo", SHOWN)
def test_some_photos_and_people_tell_of_no_ground(photo):
    shown, found = SHOWN[photo]
    assert (found() is not None) is shown


# What stands there ------------------------------------------------------------------------

CAMERA = make_camera(WIDTH, HEIGHT, focal_px=300.0, position_m=(0, 0, 1.5), pitch_rad=-0.1)
LEGS = np.ones((80, 40), np.float32)
LEGS[:, 28:34] = 0
FREE = GroundCells(ground=np.ones((80, 107), bool), cell_px=3)
LEFT = dataclasses.replace(FREE, ground=FREE.ground & (np.arange(107) < 170 // 3))
CELLS = _found(_photo())


def _object(x_m, y_m, size_m=(0.5, 0.5, 0.8)):
    return ObjectSpec(kind="suitcase", size_m=size_m, position_m=(x_m, y_m, 0.0))


@pytest.mark.parametrize(
    ("sense", "cells", "left_px", "bottom_px", "obj", "alpha"),
    [
        (True, CELLS, 20, 200, None, None),
        (False, CELLS, 20, 110, None, None),  # on the wall
        (False, CELLS, 250, 200, None, None),  # on the table
        (False, None, 20, 260, None, None),
        (False, dataclasses.replace(FREE, ground=~FREE.ground), 20, 200, None, None),
        (True, CELLS, 20, 260, None, None),  # the lower edge cuts it off
        (False, CELLS, 250, 260, None, None),  # before the table, or through it
        (False, CELLS, 20, HEIGHT + 80.5, None, None),  # nothing of it is seen
        (False, CELLS, 208, 200, None, LEGS),  # one foot is on the table
        (True, CELLS, 180, 200, None, LEGS),
        (True, FREE, 100, 200, _object(-0.3, 5.0, (0.5, 0.4, 0.8)), None),
        (True, LEFT, 100, 200, _object(-0.3, 5.0, (0.5, 0.4, 0.8)), None),
        (True, FREE, 100, 200, _object(-0.3, 5.0, (2.0, 0.4, 0.8)), None),
        (False, LEFT, 100, 200, _object(-0.3, 5.0, (2.0, 0.4, 0.8)), None),  # part of its foot
        (False, FREE, 20, 200, _object(0, 5, (0.1, 0.1, 3.0)), None),  # a post that ends
        (True, FREE, 20, 200, _object(0, 5, (0.1, 0.1, 0.9)), None),
    ],
)
def test_what_is_laid_stands_on_ground(sense, cells, left_px, bottom_px, obj, alpha):
    alpha = np.ones((80, 40), np.float32) if alpha is None else alpha
    card = Card(alpha=alpha, left_px=float(left_px), top_px=bottom_px - 80.0, per_px=1)
    paste = SimpleNamespace(object=obj, person=None, camera=CAMERA)
    view = SimpleNamespace(width_px=WIDTH, height_px=HEIGHT, ground=cells)
    assert is_plausible(view, SimpleNamespace(card=card, paste=paste)) is sense


# Who stands ---------------------------------------------------------------------------------

HEIGHTS = {"shoulder": 80.0, "hip": 128.0, "knee": 171.0, "ankle": 212.0}


def joints(**moved):
    out = {}
    for part, y in HEIGHTS.items():
        x, y = moved.get(part, (100.0, y))
        out |= {f"left_{part}": (x - 5, y), f"right_{part}": (x + 5, y)}
    return out


def test_nothing_is_laid_before_who_does_not_stand(tmp_path):
    for name in ("world", "album"):
        (tmp_path / name).mkdir()
    world = photo_world.write(tmp_path / "world")
    stage = opened(settings(world), world, tmp_path / "album")
    sample = stage.sample(0)
    people, rgb = stage.people(sample), stage.pixels(ref_of(sample))
    view = view_of(sample, people, rgb, stage.annotated_skeleton, outline=stage.outline, known=True)
    before = view_of(sample, people, rgb, stage.annotated_skeleton, outline=stage.outline)
    assert before.ground is None and not before.people[0].upright  # as in sets of before
    shown = dataclasses.replace(view, ground=object())
    person = dataclasses.replace(view.people[0], upright=True)
    assert is_reachable(shown, person, known=True)
    sits = dataclasses.replace(person, upright=False)
    assert not is_reachable(shown, sits, known=True)
    assert is_reachable(shown, sits, known=False)
    assert not is_reachable(shown, dataclasses.replace(person, feet_seen=False), known=True)
    assert not is_reachable(dataclasses.replace(view, ground=None), person, known=True)
    low = dataclasses.replace(view, horizon_px=20.0)
    spectator = dataclasses.replace(person, foot_px=40.0, px_per_m=12.0)  # high in a stand
    assert is_reachable(low, spectator, known=False)
    assert not is_reachable(low, dataclasses.replace(spectator, feet_seen=False), known=False)
