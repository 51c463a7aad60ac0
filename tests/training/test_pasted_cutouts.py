"""Cut-outs pasted while training: they cover what was asked, and labels follow."""

import dataclasses

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from scipy.spatial import Delaunay

from synthstudio.core.errors import AssetError
from synthstudio.core.rng import stream
from synthstudio.models.losses import Labels, fractions_loss
from synthstudio.training.config import NO_AUGMENTATION, Augment
from synthstudio.training.data import batches
from synthstudio.training.data.augment import load_photos
from synthstudio.transforms.pasting import Cutouts, draw_pastes, load_cutouts, paste, shapes

SIZE = (96, 72)
GREEN = (10, 250, 20)
AS_IS = NO_AUGMENTATION.model_copy(update={"paste": 1.0, "paste_fraction": (0.1, 0.6)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three cut-outs: a disc, a bar with a hole, and an object far smaller than its picture."""
    out = tmp_path_factory.mktemp("assets") / "cutouts"
    out.mkdir()
    y, x = np.mgrid[0:300, 0:200]
    disc = np.hypot(x - 100, y - 150) < 95
    bar = (abs(x - 100) < 60) & ~((abs(x - 100) < 20) & (abs(y - 150) < 60)) & (y > 1)
    small = np.hypot(x - 30, y - 30) < 12
    for name, shape in (("disc", disc), ("bar", bar), ("small", small)):
        rgba = np.zeros((300, 200, 4), np.uint8)
        rgba[shape] = (*GREEN, 255)
        Image.fromarray(rgba).save(out / f"{name}.png")
    return out


@pytest.fixture(scope="module")
def cutouts(folder):
    return load_cutouts(folder)


def a_pose(seed):
    rng = stream(seed, "pose")
    return rng.uniform((14, 14), (58, 82), (12, 2))


def test_the_asked_part_of_the_person_is_covered(cutouts):
    """Judged by scipy's triangles over the result, not by the grid it was searched on."""
    draws = draw_pastes(AS_IS.pastes, stream(0, "test"), count=60, cutouts=len(cutouts))
    draws = dataclasses.replace(draws, soft_px=np.zeros(60), light=np.zeros(60))
    yy, xx = np.mgrid[0:96, 0:72] + 0.5
    off = []
    for b in range(60):
        xy, grey = a_pose(b), np.full((*SIZE, 3), 90, np.uint8)
        made = paste(grey, xy, cutouts, draws, b)
        image, mask = made
        inside = Delaunay(xy).find_simplex(np.stack([xx, yy], -1)) >= 0
        green = np.abs(image.astype(int) - GREEN).max(-1) < 60
        off.append(abs(green[inside].mean() - draws.fraction[b]))
        assert (green == (mask > 127)).mean() > 0.97
        assert (image[mask == 0] == 90).all()
    assert np.median(off) < 0.015 and max(off) < 0.06


def test_shapes_cover_what_was_asked_and_no_two_are_alike():
    """Without cut-outs all pastes are shapes; with them as many as asked."""
    draws = draw_pastes(AS_IS.pastes, stream(4, "test"), count=60, cutouts=0)
    seen, off = set(), []
    for b in range(60):
        grey, xy = np.full((*SIZE, 3), 90, np.uint8), a_pose(b)
        made = paste(grey, xy, Cutouts(), draws, b)
        assert (made[0][made[1] == 0] == 90).all()
        seen.add(made[0].tobytes())
        yy, xx = np.mgrid[0:96, 0:72] + 0.5
        inside = Delaunay(xy).find_simplex(np.stack([xx, yy], -1)) >= 0
        off.append(abs(made[1][inside].mean() / 255 - draws.fraction[b]))
    assert len(seen) == 60 and np.median(off) < 0.02
    assert len({shape.alpha[0].tobytes() for shape in shapes()}) == len(shapes())
    half = AS_IS.model_copy(update={"paste_shapes": 0.5})
    mixed = draw_pastes(half.pastes, stream(5, "test"), count=3000, cutouts=3)
    assert abs(mixed.filled.mean() - 0.5) < 0.04
    assert (mixed.filled | (mixed.which < 3)).all()
    assert abs((mixed.which >= 3).sum() / mixed.filled.sum() - 2 / 3) < 0.06


@pytest.fixture
def people(pairs, tmp_path, folder):
    asked = {"paste": 1.0, "cutouts": str(folder)}
    made = tiny.config(pairs, val=[], augment=asked)
    return tiny.loaded(made, tmp_path / "cache")


def test_labels_follow(people):
    crops, rows = people.train.crops, people.train.rows[:16]
    only = AS_IS.model_copy(update={"paste_fraction": (0.3, 0.6)})
    before = batches.make_batch(crops, rows, people.spec, NO_AUGMENTATION)
    after = batches.make_batch(crops, rows, people.spec, only, seed=1, pictures=people.pictures)
    labels, plain = after.labels, before.labels
    assert torch.allclose(labels.xy, plain.xy, equal_nan=True)
    changed = (after.images != before.images).any(1)
    newly = (labels.state == 1) & (plain.state == 2)
    still = (labels.state == 2) & (plain.state == 2)
    assert (
        newly.sum() > 20
        and still.sum() > 20
        and not ((plain.state == 1) & (labels.state == 2)).any()
    )
    height, width = people.spec.size
    under = []
    for b, j in newly.nonzero().tolist():
        x, y = (labels.xy[b, j] * torch.tensor([width, height])).int().tolist()
        near = changed[b, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        under.append(float(near.float().mean()))
    assert np.mean(under) > 0.8
    share = labels.visibility_fractions[newly]
    assert (share[:, 3] > 0.05).all() and float(share[:, 3].median()) > 0.8
    assert torch.allclose(share.sum(1), torch.ones(len(share)))
    kept = (labels.visibility_fractions[still][:, 0] >= 0.5).all()
    assert kept and (labels.occluder >= plain.occluder.nan_to_num() - 1e-6).all()


def test_those_without_a_paste_are_as_they_would_be_without_cutouts(people):
    crops, rows = people.train.crops, people.train.rows[:8]
    made, bare = (
        batches.make_batch(
            crops, rows, people.spec, Augment(paste=paste), seed=5, step=3, pictures=people.pictures
        )
        for paste in (0.7, 0.0)
    )
    assert 0 < (made.images == bare.images).flatten(1).all(1).sum() < 8


def test_photos_say_visible_and_hidden_without_a_cause():
    """A joint marked v=1 teaches that it is not visible, whatever hides it."""
    nothing = torch.full((1, 2, 4), torch.nan)
    labels = Labels(
        xy=torch.zeros(1, 2, 2), known=torch.ones(1, 2, dtype=torch.bool),
        present=torch.ones(1, 2), visibility_fractions=nothing, state=torch.tensor([[1, 255]]),
        area=torch.ones(1), occluder=torch.zeros(1, 1, 2, 2), xyz_m=torch.zeros(1, 2, 3),
    )  # fmt: skip
    logits = torch.zeros(1, 2, 4, requires_grad=True)
    fractions_loss(logits, labels, torch.ones(4)).backward()
    assert logits.grad[0, 0, 0] > 0 and (logits.grad[0, 0, 1:] < 0).all()
    assert torch.allclose(logits.grad[0, 0, 1:], logits.grad[0, 0, 1:].mean())
    assert (logits.grad[0, 1] == 0).all()
    sure = torch.zeros(1, 2, 4)
    sure[0, 0, 0] = -30
    assert float(fractions_loss(sure, labels, torch.ones(4))) < 1e-4


def test_bad_folders_are_named(pairs, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "opaque").mkdir()
    Image.fromarray(np.full((20, 20, 3), 9, np.uint8)).save(tmp_path / "opaque" / "a.png")
    for name, says in (("none", "none"), ("empty", "no usable file"), ("opaque", "opaque")):
        asked = {"paste": 1.0, "cutouts": str(tmp_path / name)}
        made = tiny.config(pairs, val=[], augment=asked)
        with pytest.raises(AssetError, match=says):
            tiny.loaded(made, tmp_path / "cache")


def test_other_cutouts_are_another_run(pairs, tmp_path, folder):
    keys = []
    for asked in ({}, {"paste": 0.5}, {"paste": 0.5, "cutouts": str(folder)}):
        made = tiny.config(pairs, val=[], augment=asked)
        data = tiny.loaded(made, tmp_path / "cache")
        keys.append(data.key)
    assert keys[0] == keys[1] != keys[2]


def test_seed_and_step_decide_styles(pairs, tmp_path):
    (album := tmp_path / "photos").mkdir()
    Image.new("RGB", (200, 150), (10, 20, 90)).save(album / "a.jpg")
    Image.fromarray(np.full((120, 160, 3), (230, 220, 120), np.uint8)).save(album / "b.png")
    (album / "notes.txt").write_text("none")
    half = {"colours": 0.5, "noise": 0.5}
    asked = half | {"photos": str(album)}
    made = tiny.config(pairs, val=[], augment=asked)
    people = tiny.loaded(made, tmp_path / "cache")
    assert len(people.pictures.photos.lab) == 2
    crops, rows = people.train.crops, people.train.rows[:8]
    busy = NO_AUGMENTATION.model_copy(update=half)

    def batch(step, augment=busy):
        return batches.make_batch(
            crops, rows, people.spec, augment, seed=4, step=step,
            pictures=people.pictures,
        )  # fmt: skip

    one, again, other = batch(2), batch(2), batch(3)
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
    plain = batch(2, augment=NO_AUGMENTATION)
    assert not torch.equal(one.images, plain.images)
    assert torch.equal(one.labels.xy.nan_to_num(), plain.labels.xy.nan_to_num())


def test_unusable_photos(tmp_path):
    with pytest.raises(AssetError, match="no photos"):
        load_photos(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(AssetError, match="no photos"):
        load_photos(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(AssetError, match=r"broken\.jpg"):
        load_photos(tmp_path)
