"""The gap between a data set and photos: what is put in is found, and nothing else."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from painted_frames import painted, write_set
from typer.testing import CliRunner

import synthstudio as ss
from synthstudio.api.quality import GapReport
from synthstudio.api.quality import gap as run_gap
from synthstudio.cli import app
from synthstudio.core.errors import (
    AssetError,
    DatasetError,
    DiskError,
    FormatError,
    SynthStudioError,
)
from synthstudio.core.images import read_rgb
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.quality.gap_classifier import _apart, _folds
from synthstudio.quality.gap_distance import (
    LEAST,
    Sample,
    difference,
    total_variation,
    wasserstein,
)
from synthstudio.quality.gap_sides import generated_side, photo_side

FRAMES = 14
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def world(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A data set of cameras that roll and pitch, and its own export as photos."""
    return once("gap-world", _make)


def _make(folder: Path) -> None:
    rng = stream(5, "gap-test")
    frames = [
        painted(
            k,
            people=1 + k % 3,
            roll_rad=math.radians(float(rng.uniform(-12, 12))),
            pitch_rad=math.radians(float(rng.uniform(-6, 2))),
        )
        for k in range(FRAMES)
    ]
    write_set(folder / "set", frames)
    export("coco", Dataset(folder / "set"), folder / "coco")
    (folder / "coco/annotations/person_keypoints_train.json").rename(folder / "coco/photos.json")


@pytest.fixture
def photos(world: Path, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a function that writes the photos changed: their labels, and every picture."""

    def change(
        labels: Change | None = None, pixels: Callable[[Any], Any] | None = None
    ) -> tuple[Path, Path]:
        told = json.loads((world / "coco/photos.json").read_text())
        for entry in told["annotations"]:  # as others write them: no rows of ours beside
            plain = ("id", "image_id", "category_id", "iscrowd", "bbox", "area", "keypoints")
            kept = {name: entry[name] for name in plain}
            entry.clear()
            entry.update(kept | {"segmentation": []})
        if labels is not None:
            labels(told)
        images = tmp_path / "images"
        shutil.copytree(world / "coco/images/train", images)
        for path in sorted(images.iterdir()) if pixels is not None else ():
            cv2.imwrite(str(path), pixels(read_rgb(path)[..., ::-1]))
        file = tmp_path / "photos.json"
        file.write_text(json.dumps(told))
        return file, images

    return change


def by_key(report: GapReport) -> dict[str, Any]:
    return {d.key: d for d in report.found.differences}


def moved(told: dict[str, Any], matrix: np.ndarray) -> None:
    """Move joints and boxes of a file by a (2, 3) matrix over continuous pixels."""
    for entry in told["annotations"]:
        flat = np.array(entry["keypoints"], float).reshape(-1, 3)
        labelled = flat[:, 2] > 0
        flat[labelled, :2] = (flat[labelled, :2] + 0.5) @ matrix[:, :2].T + matrix[:, 2] - 0.5
        entry["keypoints"] = flat.ravel().tolist()
        x, y, w, h = entry["bbox"]
        corners = np.array([(x, y), (x + w, y), (x, y + h), (x + w, y + h)])
        corners = corners @ matrix[:, :2].T + matrix[:, 2]
        low, size = corners.min(axis=0), np.ptp(corners, axis=0)
        entry["bbox"] = [*low.tolist(), *size.tolist()]


# What is there is found -----------------------------------------------------------------------


def test_a_data_set_against_its_own_export_has_no_gap(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.yaml"
    report = run_gap(
        world / "set", world / "coco/photos.json", images=world / "coco/images/train", recipe=out
    )
    found = by_key(report)
    assert max(d.distance for key, d in found.items() if key != "pose") < 1e-6
    assert report.found.poses is not None
    assert max(n.distance for n in report.found.poses.found) < 1e-6
    assert not report.found.ranked and "Nothing differs" in report.text()
    assert max(j.distance for j in report.found.labels.joints) < 1e-9
    apart = report.found.classifier
    assert apart is not None and apart.accuracy.low < 0.5 + 0.1
    own, written = ss.Dataset(world / "set").identity.recipe, ss.Recipe.load(out)
    assert written.camera == ss.Recipe.parse(own).camera and "Nothing was fitted" in out.read_text()


def test_people_half_as_large_are_found_and_fitted(
    world: Path, photos: Any, tmp_path: Path
) -> None:
    half = np.array([[0.5, 0, 80.0], [0, 0.5, 60.0]])  # about the middle of 320 x 240

    def shrink(rgb: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(rgb, half, (320, 240), borderMode=cv2.BORDER_REFLECT)

    file, images = photos(lambda told: moved(told, half), shrink)
    out = tmp_path / "fitted.yaml"
    report = run_gap(world / "set", file, images=images, recipe=out)
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


def test_turned_photos_are_found_as_roll(world: Path, photos: Any, tmp_path: Path) -> None:
    turn = cv2.getRotationMatrix2D((160, 120), -25, 1.0)  # clockwise as one looks at it
    file, images = photos(
        lambda told: moved(told, turn), lambda rgb: cv2.warpAffine(rgb, turn, (320, 240))
    )
    out = tmp_path / "rolled.yaml"
    report = run_gap(world / "set", file, images=images, recipe=out)
    roll = by_key(report)["roll_deg"]
    # A camera that rolls counter-clockwise shows the world turned clockwise.
    assert roll.shift == pytest.approx(-25, abs=4) and roll.beyond_chance
    camera = ss.Recipe.load(out).camera
    assert np.mean(list(camera.roll_deg.choice)) == pytest.approx(-25, abs=4)  # type: ignore[union-attr]


def test_cut_people_move_the_recipe_that_then_generates(
    world: Path, photos: Any, tmp_path: Path
) -> None:
    low = np.array([[1.0, 0, 0], [0, 1.0, 110.0]])  # so far down that legs leave the picture

    def sunk(told: dict[str, Any]) -> None:
        moved(told, low)
        for entry in told["annotations"]:
            points = entry["keypoints"]
            for j in range(17):
                if points[3 * j + 1] >= 239.5:
                    points[3 * j : 3 * j + 3] = [0, 0, 0]

    file, images = photos(sunk, lambda rgb: cv2.warpAffine(rgb, low, (320, 240)))
    out = tmp_path / "cut.yaml"
    report = run_gap(world / "set", file, images=images, recipe=out)
    found = by_key(report)
    assert found["edge"].beyond_chance and found["outside"].shift > 0.1
    assert found["row"].shift == pytest.approx(110 / 240, abs=0.05)
    recipe = ss.Recipe.load(out)
    assert max(recipe.targets.causes["truncated"].choice) >= 0.1  # type: ignore[union-attr]
    heights = list(recipe.camera.aim_height_m.choice)  # type: ignore[union-attr]
    assert min(heights) > 1.2  # it looks over their heads, so that they are low in the picture
    tiny = recipe.with_(frames=1, image={"width_px": 64, "height_px": 64, "supersample": 1})
    made = ss.generate(tiny, tmp_path / "made", progress=False)
    assert made.num_people >= 1 and made.recipe is not None


def test_other_colours_are_told_apart(world: Path, photos: Any) -> None:
    file, images = photos(pixels=lambda rgb: rgb // 3)
    report = run_gap(world / "set", file, images=images)
    apart, lightness = report.found.classifier, by_key(report)["lightness"]
    assert apart is not None and apart.accuracy.low > 0.8 and apart.by_cue["colour"].low > 0.8
    assert lightness.shift < -20 and lightness in report.found.ranked
    assert by_key(report)["size"].distance < 1e-6


def test_estimates_are_held_against_true_cameras(world: Path) -> None:
    side = generated_side(Dataset(world / "set"), "set")
    specs = [Dataset(world / "set").spec(int(k)).camera for k in side.picture]
    assert side.truth is not None
    for name in ("pitch", "roll"):
        true = [math.degrees(getattr(camera, f"{name}_rad")) for camera in specs]
        assert getattr(side.truth, f"{name}_deg") == pytest.approx(true)
    report = run_gap(world / "set", world / "coco/photos.json", images=world / "coco/images/train")
    good = {v.name: v for v in report.found.labels.validated}
    assert good["camera roll"].correlation > 0.95 and good["camera roll"].error < 1.5
    assert good["camera pitch"].correlation > 0.7 and good["camera pitch"].error < 1
    assert good["distance"].error < 0.1 and abs(good["distance"].bias) < 0.1


def test_a_pose_that_nobody_generated_is_the_farthest(world: Path, photos: Any) -> None:
    def raise_arms(told: dict[str, Any]) -> None:
        points = told["annotations"][3]["keypoints"]
        joints = get_skeleton("coco17").joints
        top = min(y for y, v in zip(points[1::3], points[2::3], strict=True) if v)
        for name, up in (("left_wrist", 45), ("right_wrist", 45), ("left_elbow", 20)):
            points[3 * joints.index(name) + 1] = top - up
            points[3 * joints.index(name) + 2] = 2

    file, images = photos(raise_arms)
    poses = run_gap(world / "set", file, images=images).found.poses
    assert poses is not None and poses.found[0].person == 3
    assert poses.found[0].distance > 0.05 > 1e-6 > poses.found[1].distance


# Distances -----------------------------------------------------------------------------------


def test_distances_are_what_they_are_called() -> None:
    a = stream(1, "a").normal(0, 1, 300)
    assert wasserstein(a, a + 0.7) == pytest.approx(0.7)
    assert wasserstein(np.array([0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0)
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])) == 0.5


def test_chance_is_over_pictures_not_people() -> None:
    """Twenty people of two pictures are two, however far apart they are."""
    values = np.repeat([0.0, 1.0], 20)
    few = Sample(values=values, group=np.repeat([0, 1], 20))
    other = Sample(values=values + 1, group=np.repeat([0, 1], 20))
    assert not difference("x", "x", "m", (), (few, other)).beyond_chance
    each = [Sample(values=s.values, group=np.arange(40)) for s in (few, other)]
    assert difference("x", "x", "m", (), (each[0], each[1])).beyond_chance
    short = Sample(values=values[: LEAST - 1], group=np.arange(LEAST - 1))
    assert math.isnan(difference("x", "x", "m", (), (short, other)).distance)


def test_nobody_is_trained_on_and_tested() -> None:
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


# What is wrong --------------------------------------------------------------------------------


def _drop(joints: tuple[str, ...]) -> Change:
    def change(told: dict[str, Any]) -> None:
        names = told["categories"][0]["keypoints"]
        for entry in told["annotations"]:
            for j, name in enumerate(names):
                if not joints or name.endswith(joints):
                    entry["keypoints"][3 * j : 3 * j + 3] = [0, 0, 0]

    return change


@pytest.mark.parametrize(
    ("joints", "lacks"),
    [((), {"roll_deg", "distance_m", "row"}), (("hip", "knee", "ankle"), {"roll_deg", "row"})],
)
def test_unlabelled_joints_are_left_out(world: Path, photos: Any, joints, lacks: set[str]) -> None:
    file, images = photos(_drop(joints))
    report = run_gap(world / "set", file, images=images)
    found = by_key(report)
    assert all(math.isnan(found[key].distance) for key in lacks)
    assert found["size"].distance < 1e-6 and "Too few people to compare" in report.text()
    assert (report.found.poses is None) == (not joints)
    assert bool(report.found.labels.joints) == bool(joints)


def _body12(told: dict[str, Any]) -> None:
    names = get_skeleton("body12").joints
    own = told["categories"][0]["keypoints"]
    told["categories"][0]["keypoints"] = list(names)
    for entry in told["annotations"]:
        flat = entry["keypoints"]
        entry["keypoints"] = [v for n in names for v in flat[3 * own.index(n) :][:3]]


def test_joints_that_the_photos_lack_are_named(world: Path, photos: Any) -> None:
    file, images = photos(_body12)
    report = run_gap(world / "set", file, images=images)
    assert report.found.labels.missing == (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    )
    assert "body12) has no nose, left eye" in report.text()
    assert "nose" not in report.as_json()["joints"] and by_key(report)["roll_deg"].distance < 1e-6


def test_one_person_is_told_and_not_compared(world: Path, photos: Any, tmp_path: Path) -> None:
    def one(told: dict[str, Any]) -> None:
        told["annotations"] = told["annotations"][:1]
        told["images"] = [
            i for i in told["images"] if i["id"] == told["annotations"][0]["image_id"]
        ]

    file, images = photos(one)
    page, out = tmp_path / "page.html", tmp_path / "next.yaml"
    report = run_gap(world / "set", file, images=images, out=page, recipe=out)
    assert report.found.classifier is None and not report.found.ranked
    assert b"Too few pictures" in page.read_bytes()
    assert "too few people tell it" in out.read_text()
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["classifier"] is None


def test_a_few_missing_photos_are_counted(world: Path, photos: Any) -> None:
    file, images = photos()
    names = sorted(p.name for p in images.iterdir())
    (images / names[0]).unlink()
    (images / names[1]).write_bytes(b"no picture")
    cv2.imwrite(str(images / names[2]), np.zeros((10, 10, 3), np.uint8))
    report = run_gap(world / "set", file, images=images)
    text = report.text()
    assert "1 x photo whose file is missing" in text and "1 x photo that cannot be read" in text
    assert "1 x photo of another size than the file says" in text
    assert report.found.sides[1].pictures == FRAMES - 3


def _named(name: str) -> Change:
    return lambda told: told["images"][0].update(file_name=name)


@pytest.mark.parametrize(
    ("labels", "kind", "says"),
    [
        (lambda told: told.update(images="none"), FormatError, "of another shape"),
        (lambda told: told.pop("annotations"), FormatError, "no list annotations"),
        (lambda told: told.update(annotations=[]), FormatError, "nobody is in the photos"),
        (lambda told: told.update(images=[], annotations=[]), FormatError, "none of the photos"),
        (lambda told: told["categories"][0].pop("keypoints"), FormatError, "no category"),
        (lambda told: told["annotations"][0]["keypoints"].pop(), FormatError, "keypoints"),
        (lambda told: told["annotations"][0].update(bbox=[0, 0, -1, 4]), FormatError, "negative"),
        (lambda told: told["images"][0].update(width=10**9), FormatError, "cannot be taken in"),
        (_named("../../photo.jpg"), FormatError, "leads out of its folder"),
    ],
)
def test_a_file_that_is_wrong_is_one_message(
    world: Path, photos: Any, labels: Change, kind: type[SynthStudioError], says: str
) -> None:
    file, images = photos(labels)
    with pytest.raises(kind, match=says):
        run_gap(world / "set", file, images=images)


def test_no_pictures_and_no_files(world: Path, photos: Any, tmp_path: Path) -> None:
    file, images = photos()
    with pytest.raises(AssetError, match="no such folder"):
        run_gap(world / "set", file, images=tmp_path / "none")
    with pytest.raises(FormatError, match="no such file"):
        run_gap(world / "set", tmp_path / "none.json", images=images)
    for path in sorted(images.iterdir())[2:]:
        path.unlink()
    with pytest.raises(FormatError, match="most photos are missing"):
        run_gap(world / "set", file, images=images)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"none of the photos .* --images"):
        run_gap(world / "set", file, images=tmp_path / "empty")
    broken = tmp_path / "broken.json"
    broken.write_bytes(file.read_bytes()[:900])
    with pytest.raises(FormatError):
        run_gap(world / "set", broken, images=images)


def test_data_sets_that_cannot_be_measured(world: Path, photos: Any, tmp_path: Path) -> None:
    file, images = photos()
    write_set(tmp_path / "nobody", [painted(k, people=0) for k in range(2)])
    with pytest.raises(DatasetError, match="nobody is to be seen"):
        run_gap(tmp_path / "nobody", file, images=images)
    shutil.copytree(world / "set", tmp_path / "unfinished")
    (tmp_path / "unfinished/index.json").unlink()
    with pytest.raises(DatasetError, match="unfinished"):
        run_gap(tmp_path / "unfinished", file, images=images)
    ss.import_(file, tmp_path / "imported", images=images)
    report = run_gap(tmp_path / "imported", file, images=images, out=tmp_path / "page.html")
    assert not report.found.labels.validated and by_key(report)["size"].distance < 1e-6
    with pytest.raises(DatasetError, match="imported"):
        run_gap(tmp_path / "imported", file, images=images, recipe=tmp_path / "next.yaml")
    with pytest.raises(DiskError, match="a file of its own"):
        run_gap(world / "set", file, images=images, recipe=tmp_path)


def test_boxes_beyond_the_picture_are_cut(world: Path, photos: Any) -> None:
    def wide(told: dict[str, Any]) -> None:
        told["annotations"][0]["bbox"] = [-1e6, -1e6, 3e6, 3e6]
        told["annotations"][1]["bbox"] = [5000, 5000, 20, 20]

    side = photo_side(*photos(wide))
    assert side.box[0].tolist() == [0, 0, 320, 240]
    assert any("1 x person without a box inside the picture" in note for note in side.notes)


# The command ----------------------------------------------------------------------------------


def test_the_command_gives_the_same_bytes_twice(world: Path, photos: Any, tmp_path: Path) -> None:
    file, images = photos(pixels=lambda rgb: 255 - rgb)
    made = []
    for turn in ("a", "b"):
        (tmp_path / turn).mkdir()
        page, out = tmp_path / turn / "gap.html", tmp_path / turn / "next.yaml"
        out.write_text("mine")  # replaced, as coverage --write does
        words = ["gap", world / "set", "--photos", file, "--images", images]
        words += ["--out", page, "--write", out, "--json"]
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code == 0, result.output
        made.append((result.stdout, page.read_bytes(), out.read_bytes()))
    assert made[0] == made[1]
    told, page = json.loads(made[0][0]), made[0][1].decode()
    assert told["sides"]["photos"]["pictures"] == FRAMES and told["classifier"]["accuracy"]["low"]
    assert "lightness" in told["ranked"]
    for anchor in ("size", "edge", "joints", "camera", "pixels", "poses", "apart", "limits"):
        assert f'id="{anchor}"' in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert ss.Recipe.load(tmp_path / "a/next.yaml").seed == 1
