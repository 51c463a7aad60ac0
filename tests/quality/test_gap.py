"""The gap between a data set and photos: what is put in is found, and nothing else."""

import dataclasses
import json
import math

import cv2
import numpy as np
import pytest
from command_line import run
from gap_world import FRAMES, by_key, moved

import synthstudio as ss
from synthstudio.api.quality import gap as run_gap
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.gap_distance import MIN, Sample, difference, total_variation, wasserstein
from synthstudio.quality.gap_pictures import _apart, _folds
from synthstudio.quality.gap_sides import generated_side, photo_side, same_group


def test_a_data_set_against_its_own_export_has_no_gap(gap_world, tmp_path):
    out = tmp_path / "own.yaml"
    coco = gap_world / "coco"
    images = coco / "images/train"
    report = run_gap(gap_world / "set", coco / "photos.json", images=images, recipe=out)
    found = by_key(report)
    assert max(d.distance for key, d in found.items() if key != "pose") < 1e-6
    assert report.found.poses is not None
    assert max(n.distance for n in report.found.poses.found) < 1e-6
    assert not report.found.ranked and "No significant differences" in report.text()
    assert max(j.distance for j in report.found.labels.joints) < 1e-9
    apart = report.found.classifier
    assert apart is not None and apart.accuracy.low < 0.5 + 0.1
    own, written = ss.Dataset(gap_world / "set").identity.recipe, ss.Recipe.load(out)
    assert written.camera == ss.Recipe.parse(own).camera and "Nothing was fitted" in out.read_text()


def test_people_half_as_large_are_found_and_fitted(gap_world, gap_photos, tmp_path):
    half = np.array([[0.5, 0, 80.0], [0, 0.5, 60.0]])  # about the middle of 320 x 240

    def shrink(rgb):
        return cv2.warpAffine(rgb, half, (320, 240), borderMode=cv2.BORDER_REFLECT)

    file, images = gap_photos(lambda told: moved(told, half), shrink)
    out = tmp_path / "fitted.yaml"
    report = run_gap(gap_world / "set", file, images=images, recipe=out)
    size, distance = by_key(report)["size"], by_key(report)["distance_m"]
    assert size.shift < 0 and size.beyond_chance
    assert size.middle[1] == pytest.approx(size.middle[0] / 2, rel=0.05)
    assert distance.middle[1] == pytest.approx(2 * distance.middle[0], rel=0.05)
    assert "camera.distance_m" in size.fields and distance in report.found.ranked
    before = ss.Recipe.parse({"name": "sticks"}).camera
    camera = ss.Recipe.load(out).camera
    values = [v for v, n in camera.distance_m.choice.items() for _ in range(int(n))]  # type: ignore[union-attr]
    assert np.mean(values) == pytest.approx(2 * np.mean(before.distance_m), rel=0.1)
    assert camera.roll_deg == before.roll_deg  # nothing speaks for another one
    assert "# Fitted:" in out.read_text() and "camera.distance_m: distance" in out.read_text()


def test_cut_people_move_the_recipe_that_then_generates(gap_world, gap_photos, tmp_path):
    low = np.array([[1.0, 0, 0], [0, 1.0, 110.0]])  # so far down that legs leave the picture

    def sunk(told):
        moved(told, low)
        for entry in told["annotations"]:
            points = entry["keypoints"]
            for j in range(17):
                if points[3 * j + 1] >= 239.5:
                    points[3 * j : 3 * j + 3] = [0, 0, 0]

    file, images = gap_photos(sunk, lambda rgb: cv2.warpAffine(rgb, low, (320, 240)))
    out = tmp_path / "cut.yaml"
    report = run_gap(gap_world / "set", file, images=images, recipe=out)
    found = by_key(report)
    assert found["edge"].beyond_chance and found["outside"].shift > 0.1
    assert found["row"].shift == pytest.approx(110 / 240, abs=0.05)
    recipe = ss.Recipe.load(out)
    assert not recipe.targets.causes and "cuts people too: measure" in out.read_text()
    heights = list(recipe.camera.aim_height_m.choice)  # type: ignore[union-attr]
    assert min(heights) > 1.2  # it looks over their heads, so that they are low in the picture
    tiny = recipe.with_(frames=1, image={"width_px": 64, "height_px": 64, "supersample": 1})
    made = ss.generate(tiny, tmp_path / "made", progress=False)
    assert made.num_people >= 1 and made.recipe is not None


def test_estimates_are_held_against_true_cameras(gap_world):
    side = generated_side(Dataset(gap_world / "set"))
    specs = [Dataset(gap_world / "set").spec(int(k)).camera for k in side.picture]
    for name in ("pitch", "roll"):
        true = [math.degrees(getattr(camera, f"{name}_rad")) for camera in specs]
        assert getattr(side.truth, f"{name}_deg") == pytest.approx(true)
    report = run_gap(
        gap_world / "set", gap_world / "coco/photos.json", images=gap_world / "coco/images/train"
    )
    good = {v.name: v for v in report.found.labels.validated}
    assert good["camera roll"].correlation > 0.95 and good["camera roll"].error < 1.5
    assert good["camera pitch"].correlation > 0.6 and good["camera pitch"].error < 0.6
    assert good["distance"].error < 0.1 and abs(good["distance"].bias) < 0.1


def test_distances_are_what_they_are_called():
    a = stream(1, "a").normal(0, 1, 300)
    assert wasserstein(a, a + 0.7) == pytest.approx(0.7)
    assert wasserstein(np.array([0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0)
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])) == 0.5


def test_chance_is_over_pictures_not_people():
    """Twenty people of two pictures are two, however far apart they are."""
    values = np.repeat([0.0, 1.0], 20)
    few = Sample(values=values, group=np.repeat([0, 1], 20))
    other = Sample(values=values + 1, group=np.repeat([0, 1], 20))
    assert not difference("x", "x", "m", (), (few, other)).beyond_chance
    each = [Sample(values=s.values, group=np.arange(40)) for s in (few, other)]
    assert difference("x", "x", "m", (), (each[0], each[1])).beyond_chance
    short = Sample(values=values[: MIN - 1], group=np.arange(MIN - 1))
    assert math.isnan(difference("x", "x", "m", (), (short, other)).distance)


def test_equal_files_are_one_group_on_both_sides(gap_world):
    generated = generated_side(Dataset(gap_world / "set"))
    copies = photo_side(gap_world / "coco/photos.json", gap_world / "coco/images/train")
    ours, theirs = same_group(generated, copies)
    assert ours.tolist() == theirs.tolist() and len(set(ours.tolist())) == FRAMES
    other = same_group(generated, dataclasses.replace(copies, hashes=tuple("x" * FRAMES)))
    assert not set(other[0].tolist()) & set(other[1].tolist())


def test_nobody_is_trained_on_and_tested():
    rng = stream(2, "people")
    group = rng.integers(0, 30, 200)
    who = [f"p{k}" if k < 12 else "" for k in rng.integers(0, 20, 200)]
    real = rng.random(200) < 0.5
    folds = _folds(real, group, who)
    assert set(folds.tolist()) == set(range(5))
    for k in range(5):
        test = folds == k
        train = _apart(test, group, who)
        assert not set(group[test]) & set(group[train])
        names = {w for w, t in zip(who, test, strict=True) if t and w}
        assert not names & {w for w, t in zip(who, train, strict=True) if t}


def test_the_command_gives_the_same_bytes_twice(gap_world, gap_photos, tmp_path):
    file, images = gap_photos(pixels=lambda rgb: 255 - rgb)
    made = []
    for turn in ("a", "b"):
        (tmp_path / turn).mkdir()
        page, out = tmp_path / turn / "gap.html", tmp_path / turn / "next.yaml"
        out.write_text("mine")  # replaced, as coverage --write does
        words = ["gap", gap_world / "set", "--photos", file, "--images", images]
        words += ["--out", page, "--write", out, "--json"]
        made.append((run(*words).stdout, page.read_bytes(), out.read_bytes()))
    assert made[0] == made[1]
    told, page = json.loads(made[0][0]), made[0][1].decode()
    assert told["sides"]["photos"]["pictures"] == FRAMES and told["classifier"]["accuracy"]["low"]
    assert "lightness" in told["ranked"]
    for anchor in ("size", "edge", "joints", "camera", "pixels", "poses", "apart", "limits"):
        assert f'id="{anchor}"' in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert ss.Recipe.load(tmp_path / "a/next.yaml").seed == 1
