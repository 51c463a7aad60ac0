"""Where a photo looks like the ground under somebody's feet, and what may stand there."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from synthstudio.core.photo import GroundCells
from synthstudio.generation.photos.ground import ground_cells
from synthstudio.generation.photos.measure import Floor, Stand
from synthstudio.recipe.search.photo_occluders import makes_sense
from synthstudio.recipe.search.photo_visibility import Card

HEIGHT, WIDTH, EDGE = 240, 320, 130
PLANE = Floor(horizon_px=90.0, eye_m=1.5)
STANDS = Stand(px_per_m=60.0, foot_px=180.0, sure=1.0)


def _photo():
    """Grey wall over green ground, and on the right a brown table that reaches below."""
    rgb = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    rgb[EDGE:] = (60, 130, 50)
    rgb[EDGE:, 240:] = (140, 80, 40)
    return rgb


def _person():
    return SimpleNamespace(mask=np.ones((100, 40), bool), left_px=100, top_px=80)


def test_ground_is_what_looks_like_that_about_the_feet():
    found = ground_cells(_photo(), [_person()], [STANDS], PLANE)
    assert found is not None
    edge, table = EDGE // found.cell_px, 240 // found.cell_px
    assert not found.ground[: edge - 1].any()
    assert not found.ground[:, table + 1 :].any()
    left = found.ground[edge + 1 :, : table - 1]
    assert left.mean() > 0.8  # all but the person
    assert not found.ground[100 // found.cell_px, 120 // found.cell_px]


def test_who_is_in_the_air_or_unsure_tells_nothing():
    high = Stand(px_per_m=60.0, foot_px=100.0, sure=1.0)  # feet 17 cm below the horizon
    unsure = Stand(px_per_m=60.0, foot_px=180.0, sure=0.15)
    for stand in (high, unsure):
        assert ground_cells(_photo(), [_person()], [stand], PLANE) is None


def _item(left_px, bottom_px, *, size_m=(0.5, 0.5, 0.8)):
    card = Card(
        alpha=np.ones((80, 40), np.float32), left_px=left_px, top_px=bottom_px - 80, per_px=1
    )
    thing = SimpleNamespace(size_m=size_m)
    return SimpleNamespace(card=card, paste=SimpleNamespace(thing=thing))


def test_things_stand_on_ground_and_posts_do_not_end_in_the_picture():
    cells = ground_cells(_photo(), [_person()], [STANDS], PLANE)
    view = SimpleNamespace(width_px=WIDTH, height_px=HEIGHT, ground=cells)
    assert makes_sense(view, _item(20.0, 200.0))
    assert not makes_sense(view, _item(20.0, 110.0))  # on the wall
    assert not makes_sense(view, _item(250.0, 200.0))  # on the table
    assert makes_sense(view, _item(250.0, 260.0))  # before it: cut off by the lower edge
    assert not makes_sense(view, _item(20.0, 200.0, size_m=(0.1, 0.1, 3.0)))
    unknown = SimpleNamespace(width_px=WIDTH, height_px=HEIGHT, ground=None)
    assert not makes_sense(unknown, _item(20.0, 260.0))
    nowhere = GroundCells(ground=np.zeros_like(cells.ground), cell_px=cells.cell_px)
    view = SimpleNamespace(width_px=WIDTH, height_px=HEIGHT, ground=nowhere)
    assert not makes_sense(view, _item(20.0, 200.0))
