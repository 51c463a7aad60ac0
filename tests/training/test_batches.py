"""Crops and augmented batches: labels follow the pixels, and (seed, step) decides both."""

import dataclasses
import os
import signal

import cv2
import numpy as np
import pytest
import torch

from synthstudio.core.errors import ModelError
from synthstudio.core.masks import encode
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.training.config import NO_AUGMENTATION, Augment
from synthstudio.training.data import augment as aug
from synthstudio.training.data import batches, crops, windows
from synthstudio.training.data.batches import prefetch
from synthstudio.training.data.crops import root_relative
from synthstudio.transforms.pasting import fractions_under_paste

BONES = get_skeleton("coco17")
SIZE, CELLS = (96, 72), (24, 18)
FRAME = batches.InputSpec(size=SIZE, skeleton=BONES)
STRONG = Augment(shift=0.15)


def a_person(seed=0):
    rng = stream(seed, "person")
    xy = np.stack([rng.uniform(60, 140, 17), rng.uniform(40, 200, 17)], -1)
    whole = np.zeros((240, 320), bool)
    whole[40:200, 60:140] = True
    seen = whole.copy()
    seen[120:200, 60:140] = False
    codes = [encode(m)["counts"] for m in (seen, whole)]
    return {
        "joints_px": xy.ravel().tolist(), "state": [2] * 16 + [1], "cause": ["visible"] * 17,
        "visibility_fractions": [1.0, 0, 0, 0, 0] * 17, "amodal_box_px": [60.0, 40.0, 80.0, 160.0],
        "modal_box_px": [60.0, 40.0, 80.0, 80.0], "mask_size": [240, 320],
        "modal_counts": codes[0], "amodal_counts": codes[1], "modal_area_px": 6400,
        "amodal_area_px": 12800, "occluded_fraction": 0.5, "frame_index": 3, "instance": 1,
        "joints_camera_m": rng.normal(0, 1, 51).tolist(),
    }  # fmt: skip


def marked(person):
    x, y = person["joints_px"][:2]
    yy, xx = np.mgrid[0:240, 0:320]
    dot = np.exp(-((xx + 0.5 - x) ** 2 + (yy + 0.5 - y) ** 2) / (2 * 2.5**2)) * 255
    return np.repeat(dot.round().astype(np.uint8)[..., None], 3, -1)


def cut_out(image, person, **more):
    frame = {"height_px": image.shape[0], "width_px": image.shape[1]}
    sample = crops.Sample(frame=frame, people=[person], rgb=lambda: image, **more)
    found = crops.label_person(person, sample, BONES, SIZE)
    return None if found is None else found.cut_out(image)


def some_crops(people=4, pictures=None):
    rows = []
    for i in range(people):
        person = a_person(i)
        made = cut_out(marked(person) if pictures is None else pictures, person)
        made["xyz_m"] = root_relative(person, {}, BONES, "regressed")
        extra = {"group": np.int64(i), "crowd": np.float32(0), "clean": np.int64(-1)}
        extra |= {"split": "train", "variant": "base", "family": "stand"}
        rows.append(made | extra)
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return crops.Crops(images=columns.pop("image"), **columns)


def miss(picture, place):
    yy, xx = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    near = np.hypot(xx + 0.5 - place[0], yy + 0.5 - place[1]) < 9
    weight = np.where(near, picture[..., 0].astype(float), 0)
    assert weight.sum() > 300
    middle = np.array([(weight * (xx + 0.5)).sum(), (weight * (yy + 0.5)).sum()]) / weight.sum()
    return float(np.linalg.norm(middle - place))


def test_a_marker_stays_on_its_joint_in_the_canvas():
    taken = some_crops()
    for i in range(4):
        assert miss(taken.images[i], taken.xy[i, 0]) < 0.1
        assert miss(taken.images[i], taken.xy[i, 0] + 0.5) > 0.3  # it would tell half a pixel


@pytest.mark.parametrize("rotated", [0.0, 1.0])
def test_a_marker_stays_on_its_joint_through_augmentation(rotated):
    taken, checked = some_crops(), 0
    plain = STRONG.model_copy(update={"colour": 0.0, "rotated": rotated})
    for step in range(12):
        batch = batches.make_batch(taken, np.arange(4), FRAME, plain, seed=1, step=step)
        for b in range(4):
            place = batch.labels.xy[b, 0].numpy() * [72, 96]  # the nose is its own mirror
            beyond = np.array(batch.images[b].numpy() == 114).any(0)
            x, y = place.astype(int)
            if not (10 < x < 62 and 10 < y < 86) or beyond[y - 10 : y + 10, x - 10 : x + 10].any():
                continue
            assert miss(batch.images[b].numpy().transpose(1, 2, 0), place) < 0.2
            checked += 1
    assert checked > 8


def test_flips_swap_sides_and_mirror_3d():
    taken = some_crops(1)
    draws = {"zoom": np.ones(1), "angle": np.zeros(1), "shift": np.zeros((1, 2)), "size": SIZE}
    still = aug.view_matrices(flipped=np.zeros(1, bool), **draws)[0]
    rotated = aug.view_matrices(flipped=np.ones(1, bool), **draws)[0]
    a, b = aug.transform_points(taken.xy[0], still), aug.transform_points(taken.xy[0], rotated)
    assert b == pytest.approx(np.stack([72 - a[:, 0], a[:, 1]], -1), abs=1e-4)
    batch = batches.make_batch(
        taken,
        np.zeros(1, int),
        FRAME,
        NO_AUGMENTATION.model_copy(update={"flip": 1.0}),
        seed=0,
        step=0,
    )
    assert batch.labels.xy[0].numpy() * [72, 96] == pytest.approx(b[BONES.flip], abs=1e-3)
    mirrored = taken.xyz_m[0][BONES.flip] * [-1, 1, 1]
    assert batch.labels.xyz_m[0].numpy() == pytest.approx(mirrored, abs=1e-5)
    assert batch.labels.state[0].tolist().index(1) == BONES.flip[16]


def test_who_is_turned_is_cut_out_as_if_seen_so():
    """The box of their joints stays in the middle of the crop and as large as it was in there."""
    taken = some_crops(1)
    straight = batches.make_batch(taken, np.zeros(1, int), FRAME, NO_AUGMENTATION)
    always = NO_AUGMENTATION.model_copy(update={"rotated": 1.0})
    angles = []

    def box(batch):
        points = batch.labels.xy[0].numpy().astype(float) * [72, 96]
        low, high = points.min(0), points.max(0)
        margin = 0.3 * (high - low).max()
        return (low + high) / 2, float(((high - low + margin) / [72, 96]).max())

    for step in range(20):
        batch = batches.make_batch(taken, np.zeros(1, int), FRAME, always, step=step)
        for found, before in zip(box(batch), box(straight), strict=True):
            assert found == pytest.approx(before, abs=1e-3)
        lines = [b.labels.xy[0, [0, 9]].numpy() * [72, 96] for b in (straight, batch)]
        (x0, y0), (x1, y1) = (pair[1] - pair[0] for pair in lines)
        angle = np.arctan2(x0 * y1 - y0 * x1, x0 * x1 + y0 * y1)
        angles.append(angle)
        back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        rotated = batch.labels.xyz_m[0].numpy()
        flat = straight.labels.xyz_m[0, :, :2]
        np.testing.assert_allclose(rotated[:, :2] @ back.T, flat, atol=1e-4)
        np.testing.assert_array_equal(rotated[:, 2], straight.labels.xyz_m[0, :, 2])
    assert np.histogram(angles, 4, (-np.pi, np.pi))[0].min() >= 1
    np.testing.assert_array_equal(batch.unrotated, straight.view)


def test_cover_lies_over_the_hidden_half():
    batch = batches.make_batch(
        some_crops(1), np.zeros(1, int), FRAME, NO_AUGMENTATION, seed=0, step=0
    )
    cover = batch.labels.occluder[0, 0]
    assert cover.shape == CELLS
    assert cover[4, 9] == 0 and cover[16, 9] == 1
    # 80 of the person's 160 px, in a window 200 px high: 0.4 of the rows, 0.53 of the columns
    assert float(cover.mean()) == pytest.approx(0.4 * 80 / 150, abs=0.02)


def test_a_box_of_limbs_is_about_the_joints_that_are_in_the_image():
    xy = np.full((len(BONES.joints), 2), 500.0)
    where = {"left_shoulder": (40, 30), "right_wrist": (100, 50), "left_ankle": (60, 150)}
    for name, at in where.items():
        xy[BONES.joints.index(name)] = at
    known = np.array([name in where or name == "nose" for name in BONES.joints])
    box = windows.limb_box(xy, known, BONES, (160, 300))
    assert box is not None  # the longer side is 120, so 18 pixels wider, but not below row 160
    assert box == pytest.approx([22, 12, 96, 148])
    known[BONES.joints.index("left_ankle")] = False
    assert windows.limb_box(xy, known, BONES, (160, 300)) is None


def test_people_are_cut_out_by_their_limbs_where_asked():
    person = a_person()
    image = marked(person)
    plain = cut_out(image, person)
    limbs = cut_out(image, person, boxes="limbs")
    xy, state = np.array(person["joints_px"]).reshape(-1, 2), np.array(person["state"])
    box = windows.limb_box(xy, np.isin(state, (1, 2)), BONES, image.shape[:2])
    assert limbs["box"] == pytest.approx(box)
    assert not np.allclose(plain["box"], limbs["box"])
    back = limbs["xy"] / limbs["scale"] + limbs["corner"]
    assert back == pytest.approx(xy, abs=1e-3)


def test_window_is_the_padded_amodal_box():
    x, y, w, h = windows.crop_window(np.array([60.0, 40.0, 80.0, 160.0]), SIZE)
    assert (w, h) == (150, 200)  # 160 * 1.25 high, 3:4
    assert (x + w / 2, y + h / 2) == (100, 120)
    taken = some_crops(1)
    assert taken.scale[0] == pytest.approx(96 / 200)
    assert taken.side[0] == pytest.approx(160 * 96 / 200)


def test_seed_and_step_decide_every_number():
    taken = some_crops()
    rows = np.array([2, 0, 1])
    busy = Augment(paste=1.0, dropout=1.0, rotated=0.5)
    a, b = (batches.make_batch(taken, rows, FRAME, busy, seed=3, step=5) for _ in range(2))
    assert torch.equal(a.images, b.images)
    for field in dataclasses.fields(a.labels):
        x, y = getattr(a.labels, field.name), getattr(b.labels, field.name)
        assert torch.equal(x.nan_to_num(9), y.nan_to_num(9))
    other = batches.make_batch(taken, rows, FRAME, busy, seed=3, step=6)
    assert not torch.equal(a.images, other.images)


def test_a_paste_hides_what_lies_under_it_and_nothing_else():
    taken = some_crops(3)
    noise = stream(9, "noise").integers(0, 256, taken.images.shape, np.uint8)
    taken = dataclasses.replace(taken, images=noise)
    pasting = NO_AUGMENTATION.model_copy(update={"paste": 1.0})
    before = batches.make_batch(taken, np.arange(3), FRAME, NO_AUGMENTATION, seed=1, step=1)
    after = batches.make_batch(taken, np.arange(3), FRAME, pasting, seed=1, step=1)
    moved = (before.images != after.images).any(1)
    assert moved.flatten(1).any(1).all()
    extra = after.labels.occluder[:, 0] > before.labels.occluder[:, 0] + 0.05
    for b in range(3):
        pixels = moved[b].numpy().astype(np.float32)
        touched = cv2.resize(pixels, CELLS[::-1], interpolation=cv2.INTER_AREA)
        assert (touched[extra[b].numpy()] > 0).all()
    share = after.labels.visibility_fractions[..., 3]
    for b, j in np.ndindex(3, 17):
        x, y = (after.labels.xy[b, j].numpy() * [72, 96]).astype(int)
        if 0 <= x < 72 and 0 <= y < 96:  # the largest joint's square reaches 12 pixels
            near = moved[b, max(y - 13, 0) : y + 14, max(x - 13, 0) : x + 14].float().mean()
            assert near > 0 or share[b, j] == 0
            assert near < 0.97 or share[b, j] > 0.9
    assert (share > 0.5).any()


def test_a_moment_is_never_pasted_over_itself():
    """A piece of these pictures has no green, and a pattern has."""
    taken = some_crops(3)
    plain = np.full_like(taken.images, (255, 0, 255))
    others = dataclasses.replace(taken, images=plain)
    alone = dataclasses.replace(others, group=np.zeros(3, np.int64))
    pasting = NO_AUGMENTATION.model_copy(update={"paste": 1.0})
    patterns = {True: 0, False: 0}
    for one, people in ((True, alone), (False, others)):
        for step in range(20):
            batch = batches.make_batch(people, np.arange(3), FRAME, pasting, seed=1, step=step)
            patterns[one] += int((batch.images[:, 1] > 9).flatten(1).any(1).sum())
    assert patterns[True] > 50 and patterns[False] < 45


def test_nan_shares_stay_unknown_under_a_paste():
    fractions = np.full((1, 5), np.nan, np.float32)
    mask = np.full(SIZE, 255, np.uint8)
    there = np.array([[30.0, 40]])
    assert np.isnan(fractions_under_paste(fractions, there, mask, np.ones(1))).all()


def test_a_person_without_a_labelled_joint_is_left_out():
    person = a_person() | {"state": [255] * 17}
    assert cut_out(marked(a_person()), person) is None


@pytest.mark.parametrize("processes", [0, 2])
def test_batches_ahead_come_in_order_and_raise_what_was_raised(processes):
    taken = some_crops()

    def make(step):
        if step == 4:
            raise ModelError("broken", where="batch 4")
        return batches.make_batch(
            taken, np.array([step % 4]), FRAME, NO_AUGMENTATION, seed=0, step=step
        )

    seen = []
    with pytest.raises(ModelError, match="broken"):
        for batch in prefetch(make, range(9), processes=processes):
            alone = make(len(seen))
            assert torch.equal(batch.images, alone.images)
            assert torch.equal(batch.labels.xy, alone.labels.xy)
            seen.append(int(batch.rows[0]))
    assert seen == [0, 1, 2, 3]


def test_a_process_that_dies_is_one_message():
    def make(step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return step

    seen = []
    with pytest.raises(ModelError, match=r"a process that makes batches died.*shm-size"):
        for number in prefetch(make, range(9), processes=2):
            seen.append(number)
    assert seen == list(range(len(seen))) and len(seen) <= 5
