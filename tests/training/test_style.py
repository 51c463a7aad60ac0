"""Style randomisation: each effect does what it says, labels stay, pairs share it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from synthstudio.core.errors import AssetError, ModelError
from synthstudio.core.rng import stream
from synthstudio.training import config as configs
from synthstudio.training.config import NO_AUGMENTATION, Augment
from synthstudio.training.data import batches, style
from synthstudio.training.data.style import EFFECTS, draw_styles, load_photos, restyle

SIZE = (96, 72)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dark blue photo, a light yellow one with stripes, and something that is no photo."""
    out = tmp_path_factory.mktemp("photos")
    Image.new("RGB", (200, 150), (10, 20, 90)).save(out / "a.jpg")
    stripes = np.full((120, 160, 3), (230, 220, 120), np.uint8)
    stripes[::8] = (120, 110, 40)
    Image.fromarray(stripes).save(out / "b.png")
    (out / "notes.txt").write_text("none")
    return out


def a_picture() -> np.ndarray:
    """Edges, colours and noise about a middle grey."""
    rng = stream(0, "picture")
    image = np.full((*SIZE, 3), 120, np.float64)
    image[20:70, 15:40] = (200, 60, 60)
    image[40:90, 45:60] = (40, 90, 180)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def by(effect: str, strength: float, folder: Path | None = None, photo: int = 0) -> np.ndarray:
    """The picture after one effect."""
    photos = None if folder is None else load_photos(folder)
    augment = NO_AUGMENTATION.model_copy(update={effect: 1.0})
    draws = draw_styles(augment, seed=1, step=0, count=1, photos=2)
    assert draws is not None
    draws = dataclasses.replace(
        draws, strength={effect: np.array([strength])}, photo=np.array([photo])
    )
    return restyle(a_picture(), draws, 0, photos)


def sharpness(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(float).mean(-1), axis=1)).mean())


def test_each_effect_does_what_it_says(folder: Path) -> None:
    plain = a_picture()
    for name in ("blur", "resample"):
        assert sharpness(by(name, 1.0)) < sharpness(by(name, 0.2)) < sharpness(plain)
    assert sharpness(by("noise", 1.0)) > sharpness(by("noise", 0.3)) > sharpness(plain)
    assert by("gamma", 0.0).mean() > plain.mean() + 15 > by("gamma", 1.0).mean() + 30
    assert np.ptp(by("grey", 0.5).astype(int), axis=-1).max() <= 1 < np.ptp(plain, axis=-1).max()
    far = [np.abs(by("jpeg", s).astype(int) - plain).mean() for s in (0.0, 1.0)]
    assert 0 < far[0] < far[1] < 20
    dark, light = (by("colours", 1.0, folder, photo=k) for k in (0, 1))
    assert np.abs(dark.mean((0, 1)) - (10, 20, 90)).max() < 12
    assert np.abs(light.mean((0, 1)) - (216, 206, 110)).max() < 16
    for k, mean in ((0, (10, 20, 90)), (1, (216, 206, 110))):  # the mean is the lowest frequency
        found = by("fourier", 0.0, folder, photo=k).mean((0, 1))
        assert np.abs(found - mean).max() < 14
    moved = by("fourier", 1.0, folder, photo=1)
    assert sharpness(moved) > 0.5 * sharpness(plain)  # edges stay


def test_phases_stay_and_low_amplitudes_are_the_photos(folder: Path) -> None:
    """Held against NumPy's full transform; a grey picture in the middle cannot clip."""
    rng = stream(3, "fourier")
    image = (rng.uniform(60, 200, (*SIZE, 3))).astype(np.uint8)
    photo = (rng.uniform(60, 200, (*SIZE, 3))).astype(np.uint8)
    out = style._fourier(image, 1.0, photo)
    own, other, now = (np.fft.fft2(p.astype(float), axes=(0, 1)) for p in (image, photo, out))
    reach = 4
    low = (slice(0, reach), slice(1, reach))
    assert np.median(np.abs(np.abs(now[low]) / np.abs(other[low]) - 1)) < 0.05
    assert np.median(np.abs(np.angle(now[low] / own[low]))) < 0.1
    high = (slice(20, 60), slice(20, 40))
    rounding = np.abs(now[high] - own[high]) / np.abs(own[high]).mean()
    assert rounding.mean() < 0.1


def test_seed_and_step_decide_and_pairs_share_them(
    pairs: Path, tmp_path: Path, folder: Path
) -> None:
    asked = dict.fromkeys(EFFECTS, 0.5) | {"photos": str(folder)}
    made = tiny.config(pairs, val=[], augment=asked)
    people = tiny.loaded(made, tmp_path / "cache")
    assert people.pictures.photos is not None and len(people.pictures.photos) == 2
    crops, rows = people.train.crops, people.train.rows[:8]
    clean = crops.clean[rows]
    busy = NO_AUGMENTATION.model_copy(update=dict.fromkeys(EFFECTS, 0.5))

    def batch(step: int, rows: np.ndarray = rows, augment: Augment = busy) -> batches.Batch:
        return batches.make_batch(
            crops, rows, people.spec, augment, seed=4, step=step, paired=True,
            pictures=people.pictures,
        )  # fmt: skip

    one, again, other = batch(2), batch(2), batch(3)
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
    plain = batch(2, augment=NO_AUGMENTATION)
    assert not torch.equal(one.images, plain.images)
    assert torch.equal(one.labels.xy.nan_to_num(), plain.labels.xy.nan_to_num())
    # The clean crop got the style of its occluded twin: as if it had been asked for in its place.
    assert one.clean is not None
    assert torch.equal(one.clean, batch(2, rows=np.where(clean < 0, rows, clean)).images)


def test_one_photo_is_enough(pairs: Path, tmp_path: Path, folder: Path) -> None:
    single = tmp_path / "one"
    single.mkdir()
    (single / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    asked = {"colours": 1.0, "photos": str(single)}
    made = tiny.config(pairs, val=[], augment=asked)
    people = tiny.loaded(made, tmp_path / "cache")
    augment = NO_AUGMENTATION.model_copy(update={"colours": 1.0})
    rows = people.train.rows[:8]
    batch = batches.make_batch(
        people.train.crops, rows, people.spec, augment, seed=4, step=1, pictures=people.pictures
    )
    plain = batches.make_batch(people.train.crops, rows, people.spec, NO_AUGMENTATION)
    blue = [images.float()[:, 2].mean() - images.float()[:, 0].mean() for images in
            (plain.images, batch.images)]  # fmt: skip
    assert blue[1] > blue[0] + 10  # everybody takes on the colours of the one photo, a blue one


def test_other_photos_are_another_run(pairs: Path, tmp_path: Path, folder: Path) -> None:
    def key(photos: str) -> str:
        asked = {"colours": 0.5, "photos": photos} if photos else {}
        made = tiny.config(pairs, val=[], augment=asked)
        return tiny.loaded(made, tmp_path / "cache").key

    single = tmp_path / "single"
    single.mkdir()
    (single / "a.jpg").write_bytes((folder / "a.jpg").read_bytes())
    assert len({key(""), key(str(folder)), key(str(single))}) == 3


def test_unusable_photos(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no photos"):
        load_photos(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(AssetError, match="no photos"):
        load_photos(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(AssetError, match=r"broken\.jpg"):
        load_photos(tmp_path)
    for asked in ({"colours": 0.5}, {"photos": "x"}):
        with pytest.raises(ModelError, match="need each other"):
            configs.parse({"train": [{"dataset": "x"}], "augment": asked})


def test_many_photos_are_thinned_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "MOST_PHOTOS", 3)
    for k in range(9):
        Image.new("RGB", (8, 8), (k * 20,) * 3).save(tmp_path / f"{k}.png")
    found = [int(p[0, 0, 0]) for p in load_photos(tmp_path).pictures]
    assert found == [0, 80, 160]
