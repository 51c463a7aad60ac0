"""Maps there and back, at every place and stride; expected hits; peaks; mirrors."""

import numpy as np
import pytest
import torch

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models import heatmaps as hm
from synthstudio.models.losses import gaussian_cross_entropy

SIZES = [(24, 18), (48, 36), (64, 48), (6, 5)]


def places(h, w, margin):
    rng = stream(1, "places", h, w)
    xy = rng.uniform([margin, margin], [w - margin, h - margin], (8, 5, 2))
    return torch.from_numpy(xy)


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_there_and_back_inside(h, w):
    xy = places(h, w, 1.6)
    found = hm.decode_peak(hm.gaussian_map(xy, h, w))
    assert (found.xy - xy).abs().max() < 1e-6  # a Gaussian's logarithm is a parabola: exact
    if min(h, w) > 8:
        far = places(h, w, 4.0)  # discs that end inside; at a border expected hits draw back
        assert (hm.expected_hits(hm.gaussian_map(far, h, w)).xy - far).abs().max() < 0.07


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_there_and_back_at_the_border(h, w):
    xy = places(h, w, 0.0)
    found = hm.decode_peak(hm.gaussian_map(xy, h, w))
    assert (found.xy - xy).abs().max() <= 0.5 + 1e-9  # the border cell's centre
    naive = hm.decode_peak(hm.gaussian_map(xy, h, w, sigma=1e-3)).xy  # no slope to refine by
    assert (naive - xy).abs().max() > 0.25


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.0])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_a_known_sigma_is_exact_at_the_border_too(h, w, sigma):
    xy = places(h, w, 0.0)
    xy[:2, :, 0], xy[2:4, :, 1] = xy[:2, :, 0] / (2 * w), h - xy[2:4, :, 1] / (2 * h)
    maps = hm.gaussian_map(xy, h, w, sigma=sigma)
    assert (hm.decode_peak(maps, sigma=sigma).xy - xy).abs().max() < 1e-6
    assert (hm.find_peaks(maps, count=1, sigma=sigma).xy[:, :, 0] - xy).abs().max() < 1e-6
    wrong = hm.decode_peak(maps, sigma=0.5 * sigma).xy - xy
    assert wrong[:4].abs().max() > 0.1
    inner = hm.decode_peak(hm.gaussian_map(places(h, w, 1.6), h, w, sigma=sigma), sigma=9.0)
    assert (inner.xy - places(h, w, 1.6)).abs().max() < 1e-6  # asked only at the border


@pytest.mark.parametrize("reach", [1, 2, 3])
def test_peaks_are_those_that_pooling_finds(reach):
    """By the indices of a max-pooling; coarse levels, so that many cells are equal."""
    maps = torch.from_numpy(stream(3, "levels").integers(0, 6, (2, 3, 24, 18)) / 6)
    _, top = torch.nn.functional.max_pool2d(
        maps, 2 * reach + 1, stride=1, padding=reach, return_indices=True
    )
    wanted = (top == torch.arange(24 * 18).view(24, 18)) & (maps > 0.5)
    found = hm.find_peaks(maps, count=24 * 18, minimum=0.5, reach=reach)
    assert torch.equal((found.score > 0).sum(-1), wanted.flatten(2).sum(-1))
    assert torch.equal(
        found.score.sum(-1).round(decimals=4), (maps * wanted).flatten(2).sum(-1).round(decimals=4)
    )


def test_oks_map_is_the_oks_of_each_cells_centre():
    skeleton = get_skeleton("coco17")
    xy = torch.from_numpy(stream(2, "oks").uniform(3, 15, (2, 17, 2)))
    area = torch.tensor([400.0, 900.0], dtype=torch.float64)
    sigmas = torch.from_numpy(skeleton.sigmas)
    maps = hm.oks_map(xy, sigmas, area, 24, 18)
    scale = 2 * skeleton.sigmas[None] * np.sqrt(area.numpy())[:, None]
    free = (scale > 0.55) & (scale < 3)
    assert free.sum() > 10
    cell = np.array([7.5, 11.5])
    squared = ((cell - xy.numpy()) ** 2).sum(-1)  # the definition at cocodataset.org
    wanted = np.exp(-squared / (2 * area.numpy()[:, None] * (2 * skeleton.sigmas) ** 2))
    assert maps[:, :, 11, 7].numpy()[free] == pytest.approx(wanted[free], abs=1e-9)


def test_expected_hits_prefers_the_heavier_hill_to_the_sharper_one():
    xy = torch.tensor([[[4.5, 4.5]], [[13.5, 18.5]]], dtype=torch.float64)
    sharp = hm.gaussian_map(xy[:1], 24, 18, sigma=0.4)
    broad = hm.gaussian_map(xy[1:], 24, 18, sigma=1.0)
    maps = 0.3 * sharp + 0.7 * broad
    assert hm.decode_peak(maps).xy[0, 0].tolist() == pytest.approx([4.5, 4.5], abs=0.1)
    found = hm.expected_hits(maps)
    assert found.xy[0, 0].tolist() == pytest.approx([13.5, 18.5], abs=0.1)
    # The score is the chance to lie in the disc: brute force over the cells.
    centres = hm.cell_centres(24, 18, maps)
    near = ((centres - centres.new_tensor([13.5, 18.5])).norm(dim=-1) <= 1.4).view(24, 18)
    far = ((centres - centres.new_tensor([13.5, 18.5])).norm(dim=-1) <= 2.4).view(24, 18)
    assert maps[0, 0][near].sum() <= found.score[0, 0] <= maps[0, 0][far].sum()


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_hits_are_the_sums_over_a_disc(h, w):
    maps = torch.from_numpy(stream(4, "maps").uniform(0, 1, (1, 2, h, w)))
    centres = hm.cell_centres(h, w, maps)
    disc = (hm.HIT_CELLS + 0.5 - torch.cdist(centres, centres)).clamp(0, 1)
    assert torch.allclose(hm.hits(maps).flatten(2), maps.flatten(2) @ disc, atol=1e-9)


def test_find_peaks_finds_both_hills_in_order_and_no_shoulder():
    xy = torch.tensor([[[4.3, 4.6]], [[13.7, 18.2]]], dtype=torch.float64)
    both = hm.gaussian_map(xy, 24, 18)
    maps = 0.4 * both[:1] + 0.6 * both[1:]
    found = hm.find_peaks(maps, count=4, minimum=1e-3)
    assert found.xy[0, 0, :2].tolist() == [pytest.approx([13.7, 18.2], abs=1e-3),
                                           pytest.approx([4.3, 4.6], abs=1e-3)]  # fmt: skip
    assert found.score[0, 0, 2:].tolist() == [0, 0]
    assert found.xy[0, 0, 2:].isnan().all()


@pytest.mark.parametrize("reach", [1, 2])
def test_a_plateau_is_one_peak(reach):
    maps = torch.full((1, 1, 24, 18), 0.1)
    maps[..., 4:6, 3:6] = 0.7  # six cells
    maps[..., 15, 9] = maps[..., 16, 10] = 0.9  # two that touch by a corner
    found = hm.find_peaks(maps, count=5, minimum=0.2, reach=reach)
    assert found.score[0, 0].tolist() == pytest.approx([0.9, 0.7, 0, 0, 0])
    assert found.xy[0, 0, 0].tolist() == pytest.approx([9.5, 15.5], abs=0.6)


def test_blur_keeps_the_sum_inside_and_widens():
    maps = hm.gaussian_map(torch.tensor([[[9.0, 12.0]]]), 24, 18, sigma=0.8)
    wide = hm.blur(maps, 1.5)
    assert wide.sum() == pytest.approx(1, abs=1e-4)
    assert wide.max() < 0.5 * maps.max()
    assert (hm.blur(maps, 3.0)[0, 0, 12, 2:16] > 1e-4).all()  # as far as three sigma
    assert hm.decode_peak(wide).xy[0, 0].tolist() == pytest.approx([9, 12], abs=1e-3)


def test_mirrored_maps_undo_a_mirror():
    flip = torch.from_numpy(get_skeleton("coco17").flip)
    maps = torch.rand(2, 17, 6, 5)
    assert torch.equal(hm.mirrored_maps(hm.mirrored_maps(maps, flip), flip), maps)
    xy = torch.rand(1, 17, 2) * torch.tensor([5, 6])
    rotated = torch.stack([5 - xy[..., 0], xy[..., 1]], -1)[:, flip]
    mirrored = hm.mirrored_maps(hm.gaussian_map(rotated, 6, 5), flip)
    assert torch.allclose(mirrored, hm.gaussian_map(xy, 6, 5), atol=1e-6)


def test_the_cross_entropy_with_a_gaussian_is_that_with_its_map():
    """Without the map: values and gradients, also of joints outside."""
    rng = stream(0, "cross-entropy")
    logits = torch.from_numpy(rng.normal(0, 6, (5, 7, 24, 18))).float().requires_grad_()
    xy = torch.from_numpy(rng.uniform(-5, 30, (5, 7, 2))).float()
    found = gaussian_cross_entropy(logits, xy, sigma=1.3)
    wanted = hm.gaussian_map(xy, 24, 18, sigma=1.3).flatten(2)
    mapped = -(wanted * torch.log_softmax(logits.flatten(2), -1)).sum(-1)
    assert torch.allclose(found, mapped, rtol=1e-5)
    slope, expected = (torch.autograd.grad(each.sum(), logits)[0] for each in (found, mapped))
    assert torch.allclose(slope, expected, atol=1e-5)
    assert slope.abs().max() > 0.5
