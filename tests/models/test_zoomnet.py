"""ZoomNet: windows see three times as much, move with their boxes, and help on small hands."""

import dataclasses

import pytest
import torch

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.models.backbones import ConvPyramid
from synthstudio.models.heatmaps import decode_peak, gaussian_map
from synthstudio.models.zoomnet import BODY, PARTS, ZoomNet, found_boxes, sample_windows, zoom_to

SIDE, TRAIN, TEST, STEPS, BATCH = 96, 160, 32, 100, 4
HANDS = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)


def backbone(channels):
    return ConvPyramid(widths=(16, 32, 48, 48), channels=channels)


def test_a_moved_box_moves_the_window_by_as_much():
    boxes = torch.tensor([[[30.0, 40, 60, 80], [10, 20, 34, 40], [50, 20, 70, 48]]])
    px = torch.from_numpy(stream(4, "places").uniform(0, SIDE, (1, 3, 21, 2))).float()
    for delta in (torch.tensor([2.0, -1.0]), torch.tensor([-1.5, 2.5])):
        here, moved = zoom_to(boxes, 32), zoom_to(boxes + delta.repeat(2), 32)
        by = moved.to_cells(px) - here.to_cells(px)
        wanted = (-delta / here.step)[:, :, None].expand_as(by)
        torch.testing.assert_close(by, wanted, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(moved.to_px(moved.to_cells(px)), px)


@pytest.mark.parametrize("part", [1, 2])
@pytest.mark.parametrize("delta", [(0.0, 0.0), (3.0, -2.0), (-2.4, 3.7)])
def test_a_spot_in_a_window_is_put_back_where_it_was(part, delta):
    """A spot of one pixel is sampled, found in the window and put back; a window that forgets its
    box, or which side it mirrors, does not."""
    spot, cells = torch.tensor([[[41.3, 58.8]]]), 40
    image = gaussian_map(spot, SIDE, SIDE, sigma=1.0)
    boxes = torch.tensor([[30.0, 46.0, 54.0, 70.0]]).repeat(1, 3, 1)
    zoom = zoom_to(boxes + torch.tensor(delta).repeat(2), cells)
    seen = sample_windows(image, zoom, cells, (SIDE, SIDE)).view(1, 3, cells, cells)
    at = decode_peak(seen, sigma=1.3).xy[:, :, None]
    assert (zoom.to_px(at)[0, part, 0] - spot[0, 0]).norm() < 0.2
    if any(delta):
        wrong = zoom_to(boxes, cells).to_px(at)[0, part, 0]
        assert (wrong - spot[0, 0] + torch.tensor(delta)).norm() < 0.2
    other = dataclasses.replace(zoom, step=zoom.step * torch.tensor([-1.0, 1.0]))
    assert (other.to_px(at)[0, part, 0] - spot[0, 0]).norm() > 5


def test_the_right_hand_is_seen_as_a_left_one():
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, 3, SIDE, SIDE, generator=generator)
    box = torch.tensor([[[20.0, 30.0, 44.0, 50.0]]]).repeat(1, 3, 1)
    mirrored = box.clone()
    mirrored[..., [0, 2]] = SIDE - box[..., [2, 0]]
    left = sample_windows(image, zoom_to(box, 16), 16, (SIDE, SIDE))[1]
    right = sample_windows(image.flip(-1), zoom_to(mirrored, 16), 16, (SIDE, SIDE))[2]
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


def test_a_batch_without_any_hand_can_be_trained_on():
    net = ZoomNet(backbone(32), channels=32, early=(8, 16), width=16, cells=16)
    joints = torch.full((2, 133, 2), float("nan"))
    joints[:, :BODY] = 20.0
    joints[:, HANDS] = 500.0  # outside
    joints[:, 91:94] = 10.0  # three of a hand are too few
    targets = net.targets(joints, (SIDE, SIDE))
    assert not targets.present.any() and targets.boxes.isnan().all()
    images = torch.zeros(2, 3, SIDE, SIDE)
    losses = net.losses(net(images, targets.shifted(torch.ones(2, 3, 4))), targets)
    assert all(value.isfinite() for value in losses.values())
    assert losses["face"] == losses["hands"] == losses["boxes"] == 0 < losses["body"]
    sum(losses.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_boxes_are_read_from_their_points():
    boxes = torch.tensor([[[8.0, 12.0, 40.0, 52.0]]]).repeat(1, 3, 1)
    low, high = boxes[..., :2], boxes[..., 2:]
    points = torch.stack([low, high, (low + high) / 2], 2).flatten(1, 2)
    maps = gaussian_map(points / 4, SIDE // 4, SIDE // 4, sigma=1.0).clamp_min(1e-12).log()
    torch.testing.assert_close(found_boxes(maps, (SIDE, SIDE)), boxes, atol=0.05, rtol=0)


def test_what_does_not_fit_is_refused():
    net = ZoomNet(backbone(32), channels=32, early=(8, 16), width=16, cells=16)
    with pytest.raises(ModelError, match="multiples of 4"):
        net(torch.zeros(1, 3, 30, 32))
