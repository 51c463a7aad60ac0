"""What is pasted stands where it could, in its true size, and is lit about like the photo."""

import numpy as np
import photo_world
import pytest
from photo_world import opened, settings

from synthstudio.core.rng import stream
from synthstudio.generation.photos.make import ref_of, view_of
from synthstudio.recipe.search.photo_visibility import Card, as_annotated, behind, fractions


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    world = photo_world.write(tmp_path_factory.mktemp("photos"))
    return opened(settings(world), world, tmp_path_factory.mktemp("album"))


def seen(stage, place):
    sample = stage.sample(place)
    people = stage.people(sample)
    return view_of(
        sample,
        people,
        stage.pixels(ref_of(sample)),
        stage.annotated_skeleton,
        outline=stage.outline,
    )


def test_what_a_card_hides_is_the_same_by_table_and_sample_by_sample(stage):
    person = seen(stage, 0).people[0]
    alone = as_annotated(person)
    rng = stream(1, "cards")
    first = Card(
        alpha=rng.random((50, 40)).astype(np.float32)[:, ::-1],
        left_px=person.box_px[0] - 15,
        top_px=person.box_px[1] + 20,
        per_px=1.3,
    )
    shifts = np.arange(-60.0, 200.0, 7.0)
    before = alone
    for _ in range(2):
        table = fractions(before, first, shifts)
        for shift, fraction in zip(shifts, table, strict=True):
            card = first.moved(float(shift))
            x, y = np.meshgrid(before.x_px, before.y_px)
            hidden = card.at(np.stack([x, y], axis=-1)) >= 0.5
            after = behind(before, card)
            assert after.shown_area == (before.shown & ~hidden).sum() == after.shown.sum()
            assert after.occluded_fraction == pytest.approx(fraction, abs=1e-12)
        assert len(set(table)) > 5
        before = behind(before, first.moved(21.0))
