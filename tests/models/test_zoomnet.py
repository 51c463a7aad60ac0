"""ZoomNet: windows see three times as much, move with their boxes, and help on small hands."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.models.backbones.pyramid import ConvPyramid
from synthstudio.models.heatmaps import decode_peak, gaussian_map, probabilities
from synthstudio.models.zoomnet import (
    BODY,
    PARTS,
    ZOOMED,
    PartHead,
    ZoomNet,
    ZoomTargets,
    found_boxes,
    sample_windows,
    zoom_to,
)

SIDE, TRAIN, TEST, STEPS, BATCH = 96, 160, 32, 100, 4
BODY_RATE = 1 / 4  # cells of the body's maps a pixel
HANDS = slice(PARTS["left_hand"].start, PARTS["right_hand"].stop)
TRAINED = pytest.mark.nightly("networks are trained for 100 steps; windows are tested without")
SPOTS = ((24, 26), (72, 26), (24, 72), (72, 72))


def toy(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images with a disc for a face and two hands of five fingers, each a line of one pixel.

    A hand in four lies outside the picture. Joints (N, 133, 2) in pixels.
    """
    rng = stream(seed, "zoomnet toy")
    images = torch.from_numpy(rng.uniform(0.3, 0.45, (count, 3, SIDE, SIDE))).float()
    joints = torch.full((count, 133, 2), float("nan"))
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    for image, own in zip(images, joints, strict=True):
        own[:BODY] = SIDE / 2 + 0.5 * (torch.arange(BODY)[:, None] - BODY / 2)
        spots = rng.permutation(SPOTS)
        for part, spot in zip(ZOOMED, spots, strict=False):
            centre = torch.from_numpy(spot + rng.uniform(-6, 6, 2)).float()
            if part == "face":
                radius = float(rng.uniform(9, 12))
                image[:, (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2] = 0.7
                angle = torch.arange(68) / 68 * 6.283
                own[PARTS[part]] = centre + 0.8 * radius * _unit(angle)
                continue
            if rng.random() < 0.25:
                own[PARTS[part]] = -20.0 - torch.arange(21.0)[:, None]
                continue
            side, points = (1.0 if part == "left_hand" else -1.0), [centre]
            for finger in range(5):
                angle = torch.tensor(-2.6 + 0.52 * finger + rng.uniform(-0.1, 0.1))
                way = _unit(angle) * torch.tensor([side, 1.0]) * float(rng.uniform(7, 13))
                points += [centre + way * k / 4 for k in range(1, 5)]
                line = (centre + way * torch.linspace(0, 1, 24)[:, None]).long()
                image[:, line[:, 1], line[:, 0]] = torch.tensor([[1.0], [0.2], [0.2]])
                image[0 if side > 0 else 2, line[:, 1], line[:, 0]] = 1.0
            own[PARTS[part]] = torch.stack(points)
    return images, joints


def _unit(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], -1).float()


def backbone(channels: int) -> ConvPyramid:
    return ConvPyramid(widths=(16, 32, 48, 48), channels=channels)


class Single(nn.Module):
    """All joints from the maps of stride 4, with more parameters than the ZoomNet beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = backbone(48), PartHead(48, 56, 133)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.head(self.features(images))
        return maps


def rows(targets: ZoomTargets, index: Tensor) -> ZoomTargets:
    fields = {f.name: getattr(targets, f.name)[index] for f in dataclasses.fields(targets)}
    return ZoomTargets(**fields)


def fit(net: nn.Module, loss_of, seed: int) -> nn.Module:  # type: ignore[no-untyped-def]
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    rng = stream(seed, "batches")
    net.train()
    for _ in range(STEPS):
        index = torch.from_numpy(rng.integers(0, TRAIN, BATCH))
        optimizer.zero_grad()
        loss_of(net, index).backward()
        optimizer.step()
    return net.eval()


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    return toy(TRAIN + TEST, 3)


def trained(data: tuple[Tensor, Tensor], cells: int) -> ZoomNet:
    images, joints = data
    torch.manual_seed(0)
    net = ZoomNet(backbone(32), channels=32, early=(8, 16), width=24, cells=cells)
    targets, generator = net.targets(joints, (SIDE, SIDE)), torch.Generator().manual_seed(1)

    def loss(net: ZoomNet, index: Tensor) -> Tensor:
        some = rows(targets, index)
        drawn = 2 * torch.rand(some.boxes.shape, generator=generator) - 1
        found = net.losses(net(images[index], some.shifted(drawn)), some)
        return torch.stack(list(found.values())).sum()

    return fit(net, loss, 5)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def net(data: tuple[Tensor, Tensor]) -> ZoomNet:
    return trained(data, 32)


@pytest.fixture(scope="module")
def coarse(data: tuple[Tensor, Tensor]) -> ZoomNet:
    """The control: windows sampled hardly more densely than the body's maps."""
    return trained(data, 8)


@pytest.fixture(scope="module")
def single(data: tuple[Tensor, Tensor]) -> nn.Module:
    images, joints = data
    torch.manual_seed(0)
    known = ZoomNet(backbone(32), channels=32).targets(joints, (SIDE, SIDE)).known

    def loss(net: nn.Module, index: Tensor) -> Tensor:
        logits, at = net(images[index]), known[index]
        xy = (joints[index] / 4).masked_fill(~at[..., None], 0.0)
        wanted = gaussian_map(xy, *logits.shape[-2:])
        each = -(wanted.flatten(2) * torch.log_softmax(logits.flatten(2), -1)).sum(-1)
        return (each * at).sum() / at.sum()

    return fit(Single(), loss, 5)


def hand_error(found: Tensor, joints: Tensor) -> float:
    """Mean distance of hand joints in the picture, pixels."""
    inside = (joints[:, HANDS] >= 0).all(-1)
    apart = (found[:, HANDS] - joints[:, HANDS]).norm(dim=-1)[inside]
    return float(apart.nan_to_num(SIDE / 4).mean())


@torch.no_grad()
@TRAINED
def test_hands_are_found_better_than_by_one_net_without_zoom(
    data: tuple[Tensor, Tensor], net: ZoomNet, single: nn.Module, coarse: ZoomNet
) -> None:
    images, joints = (each[TRAIN:] for each in data)
    size = [sum(p.numel() for p in each.parameters()) for each in (net, single)]
    assert size[0] < size[1]
    outputs = net(images)
    there = net.targets(joints, (SIDE, SIDE)).present[:, 1:]
    assert (outputs.zoom.rate[:, 1:][there] / BODY_RATE).min() > 3
    zoomed = hand_error(net.decode(outputs).joints_px, joints)
    plain = decode_peak(probabilities(single(images)), sigma=1.0).xy * 4
    assert zoomed < 0.75 * hand_error(plain, joints)
    assert zoomed < 1.5
    found = coarse(images)
    assert (found.zoom.rate[:, 1:][there] / BODY_RATE).median() < 2
    assert hand_error(coarse.decode(found).joints_px, joints) > 1.3 * zoomed


@torch.no_grad()
@TRAINED
def test_a_moved_box_leaves_hands_where_they_are(data: tuple[Tensor, Tensor], net: ZoomNet) -> None:
    images, joints = (each[TRAIN:] for each in data)
    targets = net.targets(joints, (SIDE, SIDE))
    boxes, there = targets.boxes, targets.present[:, 1:].all(1)
    still = net.decode(net(images, boxes)).joints_px[there][:, HANDS]
    for delta in (torch.tensor([2.0, -1.0]), torch.tensor([-1.5, 2.5])):
        back = net.decode(net(images, boxes + delta.repeat(2))).joints_px[there][:, HANDS]
        assert (back - still).norm(dim=-1).median() < 0.5


def test_a_moved_box_moves_the_window_by_as_much() -> None:
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
def test_a_spot_in_a_window_is_put_back_where_it_was(part: int, delta: tuple[float, float]) -> None:
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


def test_the_right_hand_is_seen_as_a_left_one() -> None:
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, 3, SIDE, SIDE, generator=generator)
    box = torch.tensor([[[20.0, 30.0, 44.0, 50.0]]]).repeat(1, 3, 1)
    mirrored = box.clone()
    mirrored[..., [0, 2]] = SIDE - box[..., [2, 0]]
    left = sample_windows(image, zoom_to(box, 16), 16, (SIDE, SIDE))[1]
    right = sample_windows(image.flip(-1), zoom_to(mirrored, 16), 16, (SIDE, SIDE))[2]
    torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@TRAINED
def test_hands_outside_the_picture_are_said_to_be(
    data: tuple[Tensor, Tensor], net: ZoomNet
) -> None:
    images, joints = (each[TRAIN:] for each in data)
    there = net.targets(joints, (SIDE, SIDE)).present
    assert 0.1 < (~there[:, 1:]).float().mean() < 0.5
    found = net.decode(net(images))
    for p, part in enumerate(ZOOMED):
        own = found.joints_px[:, PARTS[part]]
        said = own.isfinite().all(-1).all(-1)
        assert (said == there[:, p]).float().mean() > 0.9
        assert (own.isnan().all(-1).all(-1) == ~said).all()
        assert (found.scores[:, PARTS[part]][~said] == 0).all()
        assert found.boxes[:, p].isnan().all(-1).equal(~said)
    assert found.joints_px[:, :BODY].isfinite().all()


def test_a_batch_without_any_hand_can_be_trained_on() -> None:
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
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_boxes_are_read_from_their_points() -> None:
    boxes = torch.tensor([[[8.0, 12.0, 40.0, 52.0]]]).repeat(1, 3, 1)
    low, high = boxes[..., :2], boxes[..., 2:]
    points = torch.stack([low, high, (low + high) / 2], 2).flatten(1, 2)
    maps = gaussian_map(points / 4, SIDE // 4, SIDE // 4, sigma=1.0).clamp_min(1e-12).log()
    torch.testing.assert_close(found_boxes(maps, (SIDE, SIDE)), boxes, atol=0.05, rtol=0)


def test_what_does_not_fit_is_refused() -> None:
    net = ZoomNet(backbone(32), channels=32, early=(8, 16), width=16, cells=16)
    with pytest.raises(ModelError, match="133"):
        net.targets(torch.zeros(1, 17, 2), (SIDE, SIDE))
    with pytest.raises(ModelError, match="multiples of 4"):
        net(torch.zeros(1, 3, 30, 32))
    with pytest.raises(ModelError, match="multiple of 4"):
        ZoomNet(backbone(32), channels=32, cells=18)
