"""Photos whose people are hidden: labels against the paste, bytes, targets, bad input."""

import dataclasses
import json

import numpy as np
import photo_world
import pytest
from photo_world import BONES, EACH, annotations, opened, run, settings
from PIL import Image

from synthstudio.core.errors import AssetError, FormatError, SynthStudioError
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.photo import PhotoSpec
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import read_as
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.formats.coco.file import CocoFile
from synthstudio.generation.photos.album import Album, gather
from synthstudio.generation.photos.layers import paste_layers
from synthstudio.generation.photos.make import PhotoStage, annotated, make_frame, ref_of, view_of
from synthstudio.generation.photos.run import settings_for
from synthstudio.recipe.search.photo_visibility import Card, as_annotated, behind, fractions


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return photo_world.write(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def made(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(world, out, workers=1)
    return out


@pytest.fixture(scope="session")
def stage(world, tmp_path_factory):
    return opened(settings(world), world, tmp_path_factory.mktemp("album"))


def test_joints_and_masks_lose_just_what_the_pasted_alpha_covers(stage):
    checked = 0
    for place in range(2):
        sample = stage.sample(place)
        people = [annotated(row, stage.annotated_skeleton) for row in sample.people]
        for spec in stage.specs(place)[1:]:
            assert spec.pastes
            layers = [one.layer for one in paste_layers(stage, spec, people)]
            over = np.zeros((240, 320), np.bool_)
            for layer in layers:
                h, w = layer.alpha.shape
                y, x = layer.top_px, layer.left_px
                over[y : y + h, x : x + w] |= layer.alpha >= 0.5
            for who, row in zip(people, make_frame(stage, sample, spec).people, strict=False):
                checked += _agrees(who, row, layers)
                h, w = who.mask.shape
                part = over[who.top_px : who.top_px + h, who.left_px : who.left_px + w]
                left = int((who.mask & ~part).sum())
                assert row["occluded_fraction"] == pytest.approx(1 - left / who.mask.sum())
                if left < who.mask.sum():
                    assert row["modal_area_px"] == left
    assert checked >= 25


def _agrees(who, row, layers):
    """Hold every joint's row against a plain loop over its disc's pixels."""
    checked = 0
    for j in range(17):
        if who.state[j] not in (1, 2):
            assert row["cause"][j] == "unlabelled"
            continue
        seen, taken = _looped(who, j, layers)
        stored = {
            i: s
            for k, i, s in zip(
                row["hidden_joint"], row["hidden_instance"], row["hidden_share"], strict=True
            )
            if k == j
        }
        assert stored == pytest.approx(taken, abs=1e-6)
        if who.state[j] == STATE_VISIBLE:
            assert row["state"][j] == (2 if seen >= 0.5 else 1)
            assert (row["cause"][j] == "visible") == (seen >= 0.5)
        checked += bool(taken)
    return checked


def _looped(who, joint, layers):
    (x, y), r = who.joints_px[joint], who.radius_px[joint]
    disc = [
        (i, k)
        for i in range(int(y - r) - 1, int(y + r) + 2)
        for k in range(int(x - r) - 1, int(x + r) + 2)
        if 0 <= i < 240 and 0 <= k < 320 and (k + 0.5 - x) ** 2 + (i + 0.5 - y) ** 2 <= r * r
    ]
    h, w = who.mask.shape
    inside = [
        (i, k)
        for i, k in disc
        if 0 <= i - who.top_px < h
        and 0 <= k - who.left_px < w
        and who.mask[i - who.top_px, k - who.left_px]
    ]
    pixels, taken, seen = inside or disc, {}, 0.0
    for i, k in pixels:
        left = 1.0
        for one in layers:
            m, n = i - one.top_px, k - one.left_px
            if 0 <= m < one.alpha.shape[0] and 0 <= n < one.alpha.shape[1]:
                part = left * float(one.alpha[m, n])
                left -= part
                taken[one.instance] = taken.get(one.instance, 0.0) + part / len(pixels)
        seen += left / len(pixels)
    return seen, {i: s for i, s in taken.items() if s > 0}


@pytest.mark.parametrize("kind", ["person", "near"])
def test_a_pasted_person_is_labelled_and_hides_as_a_person(kind, world, tmp_path):
    base = settings(world)
    known = {"ground": "known"} if kind == "near" else {}  # which this photo does not show
    only = base.recipe.occlude.model_copy(update={"by": {kind: 1.0}, **known})
    base = dataclasses.replace(base, recipe=base.recipe.model_copy(update={"occlude": only}))
    stage = opened(base, world, tmp_path)
    sample = stage.sample(0)
    spec = next(s for s in stage.specs(0)[1:] if s.pastes)
    for paste in spec.pastes:
        assert paste.grounded == (kind == "person") and (paste.blur_sigma_px > 0) != paste.grounded
    frame = make_frame(stage, sample, spec)
    real, pasted = frame.people[:2], frame.people[2:]
    assert [row["instance"] for row in pasted] == list(range(3, 3 + len(pasted)))
    assert set(pasted[0]["origin"]) == {"rendered"}
    assert set(real[0]["origin"]) == {"human"}
    np.testing.assert_allclose(
        np.array(pasted[0]["visibility_fractions"]).reshape(17, 5).sum(axis=1), 1, atol=1e-9
    )
    causes = {cause for row in real for cause in row["cause"]}
    assert "person" in causes
    assert "object" not in causes


KEPT = (
    *("joints_px", "visibility_fractions", "state", "cause", "origin"),
    *("modal_counts", "modal_box_px", "hidden_joint"),
)


def test_the_clean_frame_keeps_every_label(made, world):
    dataset, file = Dataset(made), CocoFile(world / "coco.json")
    for place, (frame, people) in enumerate(file.samples()):
        row = dataset.frame(place * (1 + EACH))
        assert (row["variant"], row["differs"]) == ("clean", [])
        assert row["width_px"] == frame["width_px"]
        assert {person.identity for person in dataset.people_of(row["index"])} == {""}
        for before, after in zip(people, dataset.instances(row["index"]), strict=True):
            for name in KEPT:
                assert json.dumps(before[name]) == json.dumps(after[name]), name  # NaN is NaN
            pixels = int(annotated(before, BONES).mask.sum())
            assert after["modal_area_px"] == after["amodal_area_px"] == pixels
            assert pixels == pytest.approx(before["modal_area_px"], rel=0.02)
            assert (after["amodal_counts"], after["occluded_fraction"]) == (
                before["modal_counts"],
                0.0,
            )
    file.close()


def test_groups_variants_ledger_and_specs(made):
    dataset = Dataset(made)
    for frame in dataset.iter_frames():
        place, number = divmod(frame["index"], 1 + EACH)
        assert frame["group_id"] == f"5-{place}"
        assert frame["variant"] == ("occluder" if number else "clean")
        spec = read_as(PhotoSpec, frame["spec"])
        assert (spec.index, spec.photo.name) == (frame["index"], f"p{place}.png")
    ledger = {row.name: row for row in dataset.identity.assets}
    assert ledger["p0.png"].licence == "CC BY 2.0 http://example.org/by"
    assert ledger["p0.png"].source == "http://example.org/0"
    assert ledger["occluders/disc.png"].licence == "CC0"
    assert len(dataset.identity.recipe["photos"]["sha256"]) == 64


def test_interrupted_and_resumed_with_two_workers_gives_the_same_bytes(made, world, tmp_path):
    out = tmp_path / "set"

    def interrupt(event):
        if event == "after-rename":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(world, out, workers=1, on_event=interrupt)
    assert len(list((out / "shards").glob("0*"))) == 1
    with pytest.raises(SynthStudioError, match="already exists here"):
        run(world, out)
    run(world, out, workers=2, resume=True)
    assert hashed_files(out) == hashed_files(made)


def test_what_a_card_hides_is_the_same_by_table_and_sample_by_sample(stage):
    sample = stage.sample(0)
    skeleton, pixels = stage.annotated_skeleton, stage.pixels(ref_of(sample))
    view = view_of(sample, stage.people(sample), pixels, skeleton, outline=stage.outline)
    person = view.people[0]
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


# Bad input -----------------------------------------------------------------------------------


def refused(world, tmp_path, value, **options):
    file = tmp_path / "bad.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    with pytest.raises((FormatError, AssetError)) as error:
        gather(file, options.pop("images", world / "images"), tmp_path, **options)
    return str(error.value)


def changed(**of_image):
    out = annotations()
    out["images"][0] |= of_image
    return out


def test_photos_that_cannot_be_used(world, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("p0.png", "p1.png"):
        (images / name).write_bytes((world / "images" / name).read_bytes())
    assert "no such file" in refused(world, tmp_path, changed(file_name="gone.png"), images=images)
    assert "another size" in refused(world, tmp_path, changed(width=321), images=images)
    (images / "p0.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert "p0.png" in refused(world, tmp_path, annotations(), images=images)
    rotated = Image.open(world / "images" / "p1.png").convert("RGB")
    exif = rotated.getexif()
    exif[0x0112] = 6
    rotated.save(images / "p0.jpg", exif=exif)
    output = refused(world, tmp_path, changed(file_name="p0.jpg"), images=images)
    assert "turned by its EXIF" in output
    (tmp_path / "bad.json").write_text(json.dumps(changed(file_name="p0.jpg")))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    left = gather(tmp_path / "bad.json", images, scratch, skip_broken=True)
    assert (left.count, left.notes[0]) == (1, "1 x photo that cannot be used")
    assert Album(left.album).sample(0).name == "p1.png"


def test_a_plain_run_length_mask_and_crowds_are_read(world, tmp_path):
    value = annotations()
    value["annotations"][0]["segmentation"] = {
        "size": [240, 320], "counts": [240 * 100 + 40, 160, 240 * 219 + 40],
    }  # fmt: skip
    (tmp_path / "ok.json").write_text(json.dumps(value))
    found = gather(tmp_path / "ok.json", world / "images", tmp_path)
    assert found.notes == ["1 x iscrowd region"]
    row = Album(found.album).sample(0).people[0]
    assert annotated(row, BONES).mask.shape == (160, 1)


def test_pasted_people_take_the_skeleton_of_the_annotations(world, tmp_path):
    body = get_skeleton("body12")
    value = annotations()
    for person in value["annotations"]:
        person["keypoints"] = person["keypoints"][15:]
    value["categories"][0]["keypoints"] = list(body.joints)
    (tmp_path / "body12.json").write_text(json.dumps(value))
    found = gather(tmp_path / "body12.json", world / "images", tmp_path)
    assert found.skeleton.name == "body12"
    own = settings(world, occlude={"ground": "any", "each": 2, "by": {"person": 1}}, objects=[])
    stage = PhotoStage(settings_for(own, found), world / "images", found.album, found.skeleton.name)
    pasted = []
    for spec in stage.specs(0)[1:]:
        sample = stage.sample(0)
        pasted += make_frame(stage, sample, spec).people[len(sample.people) :]
    assert pasted
    assert {len(row["state"]) for row in pasted} == {len(body.joints)}
