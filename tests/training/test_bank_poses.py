"""The bank in training: poses move as crops do, nobody finds himself, gaps are filled in."""

import dataclasses

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.models.contract import PoseNet
from synthstudio.models.heatmaps import gaussian_map
from synthstudio.models.pose_bank import OUTSIDE, PoseBank
from synthstudio.training import config, networks, poses
from synthstudio.training.config import Augment, Network, overfitted
from synthstudio.training.data import batches, sources, windows
from synthstudio.training.data.batches import CropSubset
from synthstudio.training.data.crops import MARGIN
from synthstudio.training.data.windows import PADDING
from synthstudio.training.evaluation import clip_windows, image_sizes
from synthstudio.training.poses import bank_sample, filled, pose_bank
from synthstudio.training.predictions import predict_subset

STRONG = Augment(flip=0.5, scale=0.4, rotation_deg=60, shift=0.1, colour=0)
SIZE = (48, 36)


def net_with(bank):
    block = nn.Module()
    block.bank = bank
    return PoseNet(nn.Identity(), block)


def settings(people, *, count=0):
    return config.parse(
        {"train": [{"dataset": "x"}], "network": {"size": list(SIZE), "bank_sample": count}}
    )


def bank_of(people, subset, **how):
    return pose_bank(subset, people.skeleton, size=SIZE, count=10_000, seed=0, **how)


def augmented(people, rows, step=0):
    return batches.make_batch(people.train.crops, rows, people.spec, STRONG, seed=3, step=step)


def test_who_is_cut_off_stands_in_a_bank_as_if_not():
    """The same person in two pictures, of which one ends at the hips, gives the same pose."""
    skeleton, rng = get_skeleton("coco17"), stream(0, "uncut")
    size, limbs = (96, 72), windows.of_limbs(skeleton)
    xy = rng.uniform([100, 100], [200, 300], (17, 2))
    hips = [skeleton.joints.index(f"{side}_hip") for side in ("left", "right")]
    knees = [skeleton.joints.index(f"{side}_knee") for side in ("left", "right")]
    xy[hips], xy[knees] = [[120, 200], [180, 200]], [[120, 290], [180, 290]]
    found = []
    for height in (400, 210):
        inside = (xy >= 0).all(-1) & (xy < [400, height]).all(-1)
        box = windows.limb_box(xy, inside, skeleton, (height, 400))
        x, y, w, h = windows.crop_window(box, size)
        found.append((xy - [x, y]) / [w, h])
    whole, cut = found
    assert (cut[knees, 1] > 1).all() and (whole[limbs] > 0).all() and (whole[limbs] < 1).all()
    unknown = cut.copy()
    unknown[knees[0]] = np.nan
    after = poses.reprojected(np.stack([whole, cut, unknown]), limbs, size)
    np.testing.assert_array_equal(after[0], whole)
    np.testing.assert_allclose(after[1], whole, atol=1e-9)
    np.testing.assert_array_equal(after[2], unknown)


def test_poses_land_where_augmentation_put_the_people(people):
    """Found by the labels, which were moved by code of their own: everybody's own pose is there."""
    bank = bank_of(people, people.train)
    mirrored = 0
    for step in range(6):
        batch = augmented(people, people.train.rows[:16], step)
        sample = bank_sample(net_with(bank), batch, settings(people), step=step)
        assert len(sample.rows) == len(bank.poses)
        moved = torch.einsum("bik,njk->bnji", sample.move[:, :, :2], bank.poses)
        moved = moved + sample.move[:, None, None, :, 2]
        apart = (moved - batch.labels.xy[:, None]).abs().flatten(2).amax(-1)
        assert float(apart.amin(1).max()) < 1e-4
        mirrored += int((np.linalg.det(batch.view[:, :, :2]) < 0).sum())
        if bank.xyz_m is not None:
            best = apart.argmin(1)
            rotated = bank.xyz_m[best].clone()
            rotated[..., :2] = torch.einsum("bik,bjk->bji", sample.turn, rotated[..., :2])
            assert torch.allclose(rotated, batch.labels.xyz_m, atol=1e-4)
    assert bank.xyz_m is not None and 20 < mirrored < 76


def test_pitched_poses_are_the_same_people_seen_from_other_heights(people):
    """Everybody from four heights, each at the places where its own 3D joints are seen."""
    crops, extent = people.train.crops, np.array([SIZE[1], SIZE[0]])
    edge = extent * (MARGIN - 1) / 2
    flat = (crops.xyz_m[..., :2] * 12 + extent / 2 + edge).astype(np.float32)  # far cameras
    subset = dataclasses.replace(people.train, crops=dataclasses.replace(crops, xy=flat))
    still, bank = (bank_of(people, subset, pitch_deg=deg) for deg in (0.0, 30.0))
    count = len(still.poses) // 2
    assert len(bank.poses) == 2 * count * poses.VIEWS
    limbs, angles = windows.of_limbs(people.skeleton), []
    for k in range(count * poses.VIEWS):
        before, after = still.xyz_m[k % count].double(), bank.xyz_m[k].double()
        assert torch.allclose(before[:, 0], after[:, 0], atol=1e-6)
        assert torch.allclose(torch.pdist(before), torch.pdist(after), atol=1e-5)
        y, z = before[:, 1].numpy(), before[:, 2].numpy()
        angle, *_ = np.linalg.lstsq(np.stack([y, -z], 1), after[:, 1].numpy(), rcond=None)
        angles.append(float(np.rad2deg(np.arctan2(angle[1], angle[0]))))
        seen = bank.poses[k].double().numpy() * extent
        shown = after[:, :2].numpy()
        apart = np.ptp(
            seen - shown * np.ptp(seen, 0).max() / np.ptp(shown, 0)[np.ptp(seen, 0).argmax()], 0
        )
        assert apart.max() < 1e-3
        inside = bank.poses[k][limbs]
        assert (
            inside.min() > 0 and inside.max() < 1 and (inside.amax(0) - inside.amin(0)).max() > 0.5
        )
    assert 24 < np.std(angles) < 36 and abs(np.mean(angles)) < 6
    deep = dataclasses.replace(crops, xy=flat, xyz_m=np.full_like(crops.xyz_m, np.nan))
    flat_people = dataclasses.replace(people.train, crops=deep)
    plain, pitched = (bank_of(people, flat_people, pitch_deg=deg) for deg in (0.0, 30.0))
    assert pitched is not None and torch.equal(plain.poses, pitched.poses)


def test_nobody_finds_himself(people):
    bank = bank_of(people, people.train)
    batch = augmented(people, people.train.rows[:8])
    sample = bank_sample(net_with(bank), batch, settings(people), step=0)
    h, w = people.spec.cells
    maps = gaussian_map(batch.labels.xy * torch.tensor([w, h]), h, w, sigma=0.7)
    kept = bank(maps, None, sample)
    stranger = dataclasses.replace(sample, own=torch.full_like(sample.own, 0.5))
    whole = bank(maps, None, stranger)
    moved = torch.einsum("bik,njk->bnji", sample.move[:, :, :2], bank.poses)
    moved = moved + sample.move[:, None, None, :, 2]
    apart = (moved - batch.labels.xy[:, None]).abs().flatten(2).amax(-1)
    own, far = apart < 0.003, apart > 0.06
    assert (kept.weights[own] == 0).all() and (kept.weights[far] > 0).all()
    assert (own.sum(1) >= 1).all() and (own.sum(1) < len(bank.poses)).all()
    assert float(whole.weights.masked_fill(~own, 0).sum(1).mean()) > 0.3  # it was heard most
    assert torch.allclose(kept.weights.sum(1), torch.ones(8), atol=1e-5)
    alone = PoseBank(bank.poses[:1])
    nobody = dataclasses.replace(
        sample, rows=torch.zeros(1, dtype=torch.long), own=alone.poses.expand(8, -1, -1)
    )
    answer = alone(maps.requires_grad_(), None, nobody)  # all are left out: nothing is claimed
    assert torch.allclose(answer.maps, torch.full_like(maps, 1 / (h * w)), atol=1e-6)
    answer.maps.sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_a_sample_is_drawn_by_seed_and_step(people):
    bank = bank_of(people, people.train)
    batch = augmented(people, people.train.rows[:2])
    drawn = [
        bank_sample(net_with(bank), batch, settings(people, count=5), step=step)
        for step in (0, 0, 1)
    ]
    rows = [s.rows.tolist() for s in drawn if s is not None]
    assert rows[0] == rows[1] != rows[2] and len(set(rows[0])) == 5
    assert (
        bank_sample(PoseNet(nn.Identity(), nn.Identity()), batch, settings(people), step=0) is None
    )


def test_gaps_are_filled_by_what_the_others_show():
    rng = stream(0, "gaps")
    root = rng.uniform(0.3, 0.6, (400, 1, 2))
    whole = np.concatenate([root, root + 0.1, root * [1, -1] + [0.2, 1.0]], 1)
    whole += rng.normal(0, 0.002, whole.shape)
    gaps = whole.copy()
    gaps[:40, 2] = np.nan
    gaps[40:60, :2] = np.nan
    found = filled(gaps)
    known = np.isfinite(gaps)
    np.testing.assert_array_equal(found[known], gaps[known])
    off = np.abs(found - whole).max(-1)
    assert np.median(off[:40, 2]) < 0.01 and np.median(off[40:60, 0]) < 0.01
    assert np.abs(whole[:60].mean(0) - whole[:60]).max(-1).mean() > 0.05  # the mean is no answer
    never = np.concatenate([gaps, np.full((400, 1, 2), np.nan)], 1)
    assert np.isnan(filled(never)[:, 3]).all() and np.isfinite(filled(never)[:, :3]).all()
    assert np.isfinite(filled(gaps[:1])).any()  # one person


def test_people_with_unlabelled_joints_give_poses(people):
    crops = people.train.crops
    state, xy = crops.state.copy(), crops.xy.copy()
    state[::2, 3], xy[::2, 3] = 255, np.nan  # half of the people lack a joint,
    for j in (1, 2):
        state[:, j], xy[:, j] = 255, np.nan  # all of them lack both eyes,
    state[1, 5:], xy[1, 5:] = 255, np.nan  # and one person nearly all
    partly = dataclasses.replace(crops, state=state, xy=xy)
    subset = CropSubset(crops=partly, rows=people.train.rows, weight=people.train.weight)
    bank = bank_of(people, subset)
    every = bank_of(people, people.train)
    assert len(every.poses) - 2 <= len(bank.poses) <= len(every.poses)
    lost = (bank.poses == OUTSIDE).all(-1)
    assert lost[:, 1:3].all()
    assert torch.isfinite(bank.poses).all() and not lost[:, 3].any()


def test_a_bank_knows_only_the_people_that_are_learnt_from(people):
    crops, few = people.train.crops, np.array([2, 5])
    bank, every = (
        bank_of(people, CropSubset(crops=crops, rows=rows, weight=np.ones(len(rows))))
        for rows in (few, np.arange(len(crops)))
    )
    assert len(bank.poses) <= 4 < len(every.poses)
    own = (crops.xy[few] - np.array([36, 48]) * 0.25) / [36, 48]
    for pose in bank.poses[: len(bank.poses) // 2].numpy():
        assert np.abs(own - pose).max((1, 2)).min() < 1e-5


def test_first_people_are_learnt_and_judged(people, pairs):
    some = sources.overfit_subset(people, 3, repeats=4)
    assert len(some.val) == 3 and len(some.train) == 12
    assert set(some.train.rows) == set(some.val.rows) == set(people.train.rows[:3])
    assert some.key != people.key != sources.overfit_subset(people, 4).key
    changed = overfitted(tiny.config(pairs, steps=0), 3)
    assert changed.batch == 3 and changed.steps == 400 and changed.augment.flip == 0


def test_windows_end_with_their_pictures(pairs, people):
    torch.manual_seed(0)
    bank = pose_bank(people.train, people.skeleton, size=SIZE, count=8, seed=0)
    small = Network(head="orn", size=SIZE, widths=(8, 12), width=16)
    net = networks.build(small, people.skeleton, bank=bank).eval()
    free = predict_subset(net, people.val, people.spec, device=torch.device("cpu"))
    high = np.maximum(free.box[:, 3], free.box[:, 2] * 48 / 36) * PADDING
    size = free.window[:, 2:] - free.window[:, :2]
    assert size == pytest.approx(np.stack([high * 36 / 48, high], 1), rel=1e-4)
    middle = (free.window[:, 2:] + free.window[:, :2]) / 2
    assert middle == pytest.approx(free.box[:, :2] + free.box[:, 2:] / 2, abs=1e-2)
    sizes = image_sizes(Dataset(pairs), free.frame)
    identity = {(r["index"]): (r["width_px"], r["height_px"]) for r in Dataset(pairs).iter_frames()}
    assert [tuple(s) for s in sizes] == [identity[int(f)] for f in free.frame]
    cut = clip_windows(free, sizes).window
    assert (cut[:, :2] >= 0).all() and (cut[:, 2:] <= sizes).all()
    within = (free.window[:, :2] >= 0).all(1) & (free.window[:, 2:] <= sizes).all(1)
    assert (cut[within] == free.window[within]).all() and not within.all()
