"""What is pasted stands where it could, in its true size, and is lit about like the photo."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import photo_world
import pytest
from photo_world import opened, settings

from synthstudio.core.rng import stream
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.spec import GreySpec
from synthstudio.generation.photos.layers import _match_surroundings
from synthstudio.generation.photos.make import PhotoStage, ref_of, view_of
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.search import photo_candidates as items
from synthstudio.recipe.search.photo_occluders import fits
from synthstudio.recipe.search.photo_visibility import Card, as_annotated, behind, fractions

HEIGHT = 240


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> PhotoStage:
    world = photo_world.write(tmp_path_factory.mktemp("photos"))
    return opened(settings(world), world, tmp_path_factory.mktemp("album"))


def seen(stage: PhotoStage, place: int):
    sample = stage.sample(place)
    people = stage.people(sample)
    return view_of(
        sample,
        people,
        stage.pixels(ref_of(sample)),
        stage.annotated_skeleton,
        outline=stage.outline,
    )


def test_what_stands_has_its_foot_at_or_below_the_feet_of_whom_it_hides(stage: PhotoStage):
    checked = 0
    for place in range(2):
        view = seen(stage, place)
        for spec in stage.specs(place)[1:]:
            for paste in spec.pastes:
                person = next(p for p in view.people if p.instance == paste.over)
                solid = paste.object or paste.person
                if solid is None:
                    continue
                x, y, _ = solid.position_m
                ground = paste.camera.to_camera(np.array([x, y, 0.0]))
                assert paste.camera.project(ground)[1] >= person.foot_px - 0.5
                checked += 1
                # Behind the person it would be higher: the rule can fail.
                behind = paste.camera.to_camera(np.array([2 * x, 3 * y, 0.0]))
                assert paste.camera.project(behind)[1] < person.foot_px
    assert checked >= 2


def foot_px(view, person, ahead: float) -> float:
    horizon = person.foot_px - items._eye_m(view, person) * person.px_per_m
    return horizon + (person.foot_px - horizon) / ahead


def test_before_hidden_feet_objects_stand_so_near_that_the_picture_cuts_them(stage: PhotoStage):
    view = seen(stage, 0)
    person = dataclasses.replace(view.people[0], foot_px=170.0, px_per_m=60.0, feet_seen=True)
    free = items._ahead(view, person, 0.8)
    assert free == 0.8
    assert foot_px(view, person, free) < HEIGHT
    sits = dataclasses.replace(person, feet_seen=False)
    near = items._ahead(view, sits, 0.8)
    assert near < 0.8
    assert foot_px(view, sits, near) == pytest.approx(1.02 * HEIGHT)
    assert items._ahead(view, sits, 0.1) == 0.1  # nearer still
    assert items.within_reach(view, person, known=False)
    above = dataclasses.replace(sits, foot_px=40.0, px_per_m=12.0)  # high in a stand
    low = dataclasses.replace(view, horizon_px=20.0)
    assert not items.within_reach(low, above, known=False)
    assert items.within_reach(low, dataclasses.replace(above, feet_seen=True), known=False)
    close_up = dataclasses.replace(person, px_per_m=view.focal_px / 0.5)
    assert not items.within_reach(view, close_up, known=False)


def item(left: float, top: float, size: int, *, person: bool) -> items.Item:
    card = Card(alpha=np.ones((size, size), np.float32), left_px=left, top_px=top, per_px=1.0)
    paste = SimpleNamespace(person=object() if person else None)
    return items.Item(paste=paste, card=card, foot_px=0.0, px_per_m=1.0)


def test_nothing_fills_the_picture_and_people_keep_their_heads(stage: PhotoStage):
    view = seen(stage, 0)  # 320 x 240
    assert fits(view, item(20, 20, 100, person=True))
    assert not fits(view, item(20, -5, 100, person=True))  # the head is cut off
    assert fits(view, item(20, -5, 100, person=False))
    assert not fits(view, item(20, 20, 200, person=False))  # half of the picture
    assert fits(view, item(20, 200, 100, person=True))  # 40 rows of 100 are seen
    assert not fits(view, item(20, 202, 100, person=True))
    assert fits(view, item(20, 202, 100, person=False))
    assert not fits(view, item(20, 212, 100, person=False))


def layer(rgb: np.ndarray) -> CutoutLayer:
    return CutoutLayer(
        instance=1000,
        left_px=0,
        top_px=0,
        rgb=rgb,
        alpha=np.ones(rgb.shape[:2], np.float32),
        depth_m=0.0,
    )


def test_contrast_and_brightness_come_nearer_to_those_about():
    ramp = np.linspace(90, 120, 64)[None, :, None] * np.array([1.2, 1.0, 0.6])
    rgb = np.repeat(np.rint(ramp).astype(np.uint8), 8, axis=0)
    grey = rgb @ np.array([0.2126, 0.7152, 0.0722])
    made = _match_surroundings(layer(rgb), GreySpec(mean=160.0, spread=60.0))
    after = made @ np.array([0.2126, 0.7152, 0.0722])
    assert after.std() == pytest.approx(1.7 * grey.std(), rel=0.05)  # no more than that
    assert grey.mean() + 10 < after.mean() < 160
    hue = made[..., 0] / np.maximum(made[..., 2], 1)
    assert np.abs(hue - 2.0).max() < 0.1
    flat = _match_surroundings(
        layer(rgb), GreySpec(mean=float(grey.mean()), spread=float(grey.std()) / 0.8)
    )
    assert np.abs(flat.astype(int) - rgb).max() <= 1
    dark = _match_surroundings(layer(rgb), GreySpec(mean=20.0, spread=1.0))
    assert dark.mean() < rgb.mean() - 10 and dark.std() < rgb.std()


def drawn(stage: PhotoStage, **options: object) -> list[items.Item]:
    """Objects drawn before the first person of a photo."""
    base = stage.settings.recipe
    recipe = base.model_copy(update={"occlude": base.photo_options.model_copy(update=options)})
    ctx = SampleContext(recipe=recipe, index=0, split="train", geometry=stage)
    view = seen(stage, 0)
    made = [
        items.draw_item(ctx, view, 0, "object", stream(1, "objects", k), keys=(k,))
        for k in range(40)
    ]
    return [item for item in made if item is not None]


def test_what_a_card_hides_is_the_same_by_table_and_sample_by_sample(stage: PhotoStage):
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
