"""Where a photo looks like the ground under somebody's feet, and what may stand there."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from synthstudio.core.camera import Camera
from synthstudio.core.photo import GroundCells
from synthstudio.core.rng import stream
from synthstudio.core.spec import ThingSpec
from synthstudio.generation.photos.ground import ground_cells
from synthstudio.generation.photos.measure import Floor, Stand
from synthstudio.recipe.search.photo_occluders import _meet, makes_sense
from synthstudio.recipe.search.photo_visibility import Card

HEIGHT, WIDTH, EDGE = 240, 320, 130
PLANE = Floor(horizon_px=90.0, eye_m=1.5)
STANDS = Stand(px_per_m=60.0, foot_px=180.0, sure=1.0, upright=True)
PAVING = (120, 116, 110)


def _photo(ground=PAVING, *, rough=12.0, wall=(190, 190, 190)):
    """Light wall over ground, rough as paving is, and on the right a brown table before it."""
    rgb = np.full((HEIGHT, WIDTH, 3), wall, np.float64)
    grain = stream(1, "ground").standard_normal((HEIGHT, WIDTH, 1)) * rough
    small = grain[::6, ::6].repeat(6, axis=0).repeat(6, axis=1)[:HEIGHT, :WIDTH]
    rgb[EDGE:] = np.array(ground) + small[EDGE:]
    rgb[EDGE:, 240:] = (140, 60, 20)
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _person():
    return SimpleNamespace(mask=np.ones((100, 40), bool), left_px=100, top_px=80)


def _found(rgb, stand=STANDS, plane=PLANE):
    return ground_cells(rgb, [_person()], [stand], plane)


def test_ground_is_what_looks_like_that_about_the_feet():
    found = _found(_photo())
    assert found is not None
    edge, table = EDGE // found.cell_px, 240 // found.cell_px
    assert not found.ground[: edge - 1].any()
    assert not found.ground[:, table + 1 :].any()
    left = found.ground[edge + 1 :, : table - 1]
    assert left.mean() > 0.8  # all but the person
    assert not found.ground[100 // found.cell_px, 120 // found.cell_px]


def test_who_is_in_the_air_or_does_not_stand_tells_nothing():
    high = dataclasses.replace(STANDS, foot_px=100.0)  # feet 17 cm below the horizon
    sits = dataclasses.replace(STANDS, upright=False)
    for stand in (high, sits):
        assert _found(_photo(), stand) is None


@pytest.mark.parametrize(
    ("ground", "rough"),
    [
        ((90, 125, 70), 1.0),  # a mown field: even and green
        ((190, 90, 50), 12.0),  # a clay court
        ((215, 215, 218), 3.0),  # snow
    ],
)
def test_fields_courts_and_snow_tell_of_no_ground(ground, rough):
    assert _found(_photo(ground, rough=rough, wall=(30, 30, 30))) is None


def test_what_is_also_above_the_horizon_is_no_ground():
    assert _found(_photo(wall=PAVING)) is None


def test_a_photo_taken_upwards_shows_no_ground():
    rgb = _photo()
    rgb[EDGE:176] = rgb[0, 0]
    low = dataclasses.replace(STANDS, foot_px=215.0)
    person = SimpleNamespace(mask=np.ones((100, 40), bool), left_px=100, top_px=115)
    for share, shown in ((0.68, True), (0.72, False)):
        found = ground_cells(rgb, [person], [low], Floor(share * HEIGHT, 0.8))
        assert (found is not None) is shown


def test_a_photo_taken_downwards_shows_no_ground():
    rgb = np.full((HEIGHT, WIDTH, 3), PAVING, np.uint8)
    assert _found(rgb, plane=Floor(1.0, 3.0)) is not None
    assert _found(rgb, plane=Floor(-1.0, 3.0)) is None


def test_nothing_above_the_horizon_is_ground():
    low = Floor(horizon_px=150.0, eye_m=0.5)
    found = _found(_photo(), plane=low)
    assert found is not None
    assert not found.ground[: 150 // found.cell_px].any()
    assert found.ground[160 // found.cell_px :].any()


DARK = (68, 66, 62)


def test_only_what_is_near_somebodys_feet_is_looked_at():
    rgb = _photo(DARK)
    rgb[EDGE:, 82:158] = _photo()[EDGE:, 82:158]  # a path as wide as 25 cm beside the person
    found = _found(rgb)
    assert found is not None
    row = found.ground[200 // found.cell_px]
    assert row[90 // found.cell_px] and not row[30 // found.cell_px]


def test_uneven_paving_is_no_excuse_for_anything_else():
    rgb = _photo(rough=30.0)
    rgb[EDGE:, 190:236] = DARK
    found = _found(rgb)
    assert found is not None
    assert not found.ground[:, 195 // found.cell_px : 230 // found.cell_px].any()


def test_feet_beside_something_bright_tell_nothing():
    rgb = _photo()
    assert _found(rgb) is not None
    rgb[EDGE:, 85:103] = 250
    assert _found(rgb) is None


# What stands there ------------------------------------------------------------------------

CAMERA = Camera(
    width_px=WIDTH,
    height_px=HEIGHT,
    focal_px=300.0,
    position_m=(0.0, 0.0, 1.5),
    yaw_rad=0.0,
    pitch_rad=-0.1,
)


def _item(left_px, bottom_px, *, thing=None, alpha=None):
    alpha = np.ones((80, 40), np.float32) if alpha is None else alpha
    card = Card(alpha=alpha, left_px=left_px, top_px=bottom_px - 80, per_px=1)
    paste = SimpleNamespace(thing=thing, person=None, camera=CAMERA)
    return SimpleNamespace(card=card, paste=paste)


def _view(cells):
    return SimpleNamespace(width_px=WIDTH, height_px=HEIGHT, ground=cells)


def test_things_stand_on_ground():
    cells = _found(_photo())
    view = _view(cells)
    assert makes_sense(view, _item(20.0, 200.0))
    assert not makes_sense(view, _item(20.0, 110.0))  # on the wall
    assert not makes_sense(view, _item(250.0, 200.0))  # on the table
    assert not makes_sense(_view(None), _item(20.0, 260.0))
    nowhere = GroundCells(ground=np.zeros_like(cells.ground), cell_px=cells.cell_px)
    assert not makes_sense(_view(nowhere), _item(20.0, 200.0))


def test_what_the_lower_edge_cuts_off_begins_on_ground():
    view = _view(_found(_photo()))
    assert makes_sense(view, _item(20.0, 260.0))
    assert not makes_sense(view, _item(250.0, 260.0))  # before the table, or through it
    assert not makes_sense(view, _item(20.0, HEIGHT + 80.5))  # nothing of it is seen


def test_both_feet_stand_on_ground():
    view = _view(_found(_photo()))
    legs = np.zeros((80, 40), np.float32)
    legs[:, :28] = legs[:, 34:] = 1
    assert not makes_sense(view, _item(208.0, 200.0, alpha=legs))  # one of them on the table
    assert makes_sense(view, _item(180.0, 200.0, alpha=legs))


def _thing(x_m, y_m, size_m=(0.5, 0.5, 0.8)):
    return ThingSpec(kind="suitcase", size_m=size_m, position_m=(x_m, y_m, 0.0))


def test_all_of_a_things_foot_stands_on_ground():
    cells = _found(_photo())
    free = GroundCells(ground=np.ones_like(cells.ground), cell_px=cells.cell_px)
    left = dataclasses.replace(free, ground=free.ground.copy())
    left.ground[:, 170 // cells.cell_px :] = False
    narrow, wide = (_thing(-0.3, 5.0, (w, 0.4, 0.8)) for w in (0.5, 2.0))
    for thing, fits in ((narrow, True), (wide, False)):
        assert makes_sense(_view(free), _item(100.0, 200.0, thing=thing))
        assert makes_sense(_view(left), _item(100.0, 200.0, thing=thing)) is fits


def test_posts_do_not_end_in_the_picture():
    free = GroundCells(ground=np.ones((72, 96), bool), cell_px=3)
    assert not makes_sense(_view(free), _item(20.0, 200.0, thing=_thing(0, 5, (0.1, 0.1, 3.0))))
    assert makes_sense(_view(free), _item(20.0, 200.0, thing=_thing(0, 5, (0.1, 0.1, 0.9))))


def test_what_stands_on_one_floor_does_not_stand_in_one_another():
    solve = SimpleNamespace(gap_m=lambda a, b: abs(a.position_m[0] - b.position_m[0]) - 0.5)

    def paste(thing, camera=CAMERA):
        return SimpleNamespace(thing=thing, person=None, camera=camera)

    here, near, away = (paste(_thing(x, 5.0)) for x in (0.0, 0.52, 0.7))
    assert _meet(solve, here, near) and not _meet(solve, here, away)
    other = dataclasses.replace(CAMERA, pitch_rad=0.0)
    assert not _meet(solve, here, paste(_thing(0.1, 5.0), other))  # of another person's floor
    assert not _meet(solve, here, paste(None))  # a cut-out's place is none in metres
