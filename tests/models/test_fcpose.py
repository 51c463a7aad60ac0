"""FCPose: everybody's own filters, the detector, and the codec of maps."""

import dataclasses

import numpy as np
import pytest
import torch
from stick_frames import SKELETON, crowd, oks, pose
from torch.nn import functional

from synthstudio.core.masks import nms
from synthstudio.core.rng import stream
from synthstudio.models.backbones import ConvPyramid
from synthstudio.models.bottom_up.fcpose import (
    FCPose,
    FCPoseOutputs,
    best_locations,
    box_loss,
    centre_ness,
    decode_joints,
    joint_loss,
    person_maps,
)
from synthstudio.models.contract import FramePeople
from synthstudio.models.heatmaps import gaussian_map

SIZE = (128, 160)


def network(**options):
    torch.manual_seed(0)
    features = ConvPyramid(widths=(8, 12, 16), channels=8)
    return FCPose(features, SKELETON, channels=8, **options)


def painted(frame):
    """A picture (1, 3, H, W) of the masks, each in a colour."""
    rng, picture = stream(8, "paint"), np.full((*frame.size, 3), 90, np.uint8)
    for mask in frame.masks:
        picture[mask] = rng.integers(0, 255, 3)
    return torch.from_numpy(picture.transpose(2, 0, 1)[None].copy())


@dataclasses.dataclass
class Learnt:
    net: FCPose
    frame: FramePeople
    outputs: FCPoseOutputs
    location: torch.Tensor  # (2,) of the two people
    losses: list[float]


@pytest.fixture(scope="module")
def learnt():
    """A network that knows one frame of two people by heart."""
    torch.set_num_threads(1)
    frame = crowd(stream(7, "heart"), people=2, size=SIZE, height_px=(90, 110), apart_px=16)
    net, images = network(maximum=12).train(), painted(frame)
    targets, losses = net.targets([frame]), []
    optimizer = torch.optim.AdamW(net.parameters(), lr=8e-3)
    for _ in range(200):
        loss = torch.stack(list(net.losses(net(images), targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    outputs = net(images)
    chance = outputs.person[0].sigmoid() * outputs.centre[0].sigmoid()
    best = [torch.where(targets.owner[0] == p, chance, -torch.inf).argmax() for p in (0, 1)]
    return Learnt(net=net, frame=frame, outputs=outputs, location=torch.stack(best), losses=losses)


def test_filters_of_a_person_are_three_convolutions():
    made = torch.Generator().manual_seed(0)
    shared, away = (torch.randn(2, n, 5, 6, generator=made) for n in (32, 2))
    layers = [torch.nn.Conv2d(34, 32, 1), torch.nn.Conv2d(32, 32, 1), torch.nn.Conv2d(32, 17, 1)]
    flat = torch.cat([p.flatten() for layer in layers for p in (layer.weight, layer.bias)])
    x = torch.cat([shared, away], 1)
    wanted = layers[2](functional.relu(layers[1](functional.relu(layers[0](x)))))
    got = person_maps(shared, away, flat.expand(2, -1), joints=17)
    assert torch.allclose(got, wanted, atol=1e-5)
    other = torch.stack([flat, flat.flip(0)])
    assert not torch.allclose(person_maps(shared, away, other, joints=17)[1], wanted[1], atol=0.1)


def test_two_people_of_one_frame_have_their_own_filters_and_peaks(learnt):
    net, frame, features = learnt.net, learnt.frame, learnt.outputs.features[0]
    filters = net.controller(features[learnt.location])
    assert (filters[0] - filters[1]).abs().max() > 0.1
    with torch.no_grad():
        maps = net.maps(learnt.outputs, torch.zeros(2, dtype=torch.int64), learnt.location)
    assert maps.shape == (2, 17, SIZE[0] // 2, SIZE[1] // 2)
    joints, _ = decode_joints(maps, stride=2, sigma=net.sigma)
    away = np.linalg.norm(joints[:, None] - frame.joints_px[None], axis=-1)  # (found, true, J)
    own, other = away[[0, 1], [0, 1]], away[[0, 1], [1, 0]]
    assert (own < other).mean() > 0.9
    assert np.median(own) < 6 < np.median(other)


def test_the_loss_falls_and_the_people_are_found(learnt):
    frame, images = learnt.frame, painted(learnt.frame)
    assert learnt.losses[-1] < 0.5 * learnt.losses[0]
    (found,) = learnt.net.decode(learnt.outputs)
    before = network(minimum=0.0).eval()
    (untrained,) = before.decode(before(images))
    assert len(untrained) > 0
    assert oks(frame, found).max(1, initial=0).mean() > oks(frame, untrained).max(1).mean() + 0.4


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_there_and_back_at_every_stride_and_border(stride):
    rng = stream(4, "borders", stride)
    joints = rng.uniform(0, [SIZE[1] - 1e-3, SIZE[0] - 1e-3], (16, 17, 2))
    joints[:6, :, 0] = rng.uniform(0, stride / 2, (6, 17))
    joints[3:9, :, 1] = SIZE[0] - rng.uniform(1e-3, stride / 2, (6, 17))
    cells = torch.from_numpy(joints) / stride
    for sigma in (1.0, 2.0):
        logits = gaussian_map(cells, SIZE[0] // stride, SIZE[1] // stride, sigma=sigma).log()
        back, score = decode_joints(logits, stride=stride, sigma=sigma)
        assert np.linalg.norm(back - joints, axis=-1).max() < 0.25
        assert score[9:].min() > 0.7
        if stride > 1:  # the highest cell alone
            high = logits.flatten(2).argmax(-1).numpy()
            centre = np.stack([high % (SIZE[1] // stride), high // (SIZE[1] // stride)], -1) + 0.5
            assert np.linalg.norm(centre * stride - joints, axis=-1).max() > 0.25


def test_targets_belong_to_people_and_sides_are_those_of_their_boxes():
    frame = crowd(stream(9, "boxes"), size=(256, 320), height_px=(130, 180), apart_px=8)
    net = network()
    targets = net.targets([frame])
    where = net.places(torch.empty(1, 1, 32, 40))
    assert len(where.xy) == targets.owner.shape[1] == 32 * 40 + 16 * 20 + 8 * 10
    assert set(targets.owner[0].tolist()) == {-1, 0, 1, 2}
    for n in np.flatnonzero(targets.owner[0] >= 0):
        x, y, w, h = frame.boxes_px[targets.owner[0, n]]
        px, py = where.xy[n].tolist()
        low = np.maximum([x, y], 0)
        high = np.minimum([x + w, y + h], [320, 256])
        wanted = [px - low[0], py - low[1], high[0] - px, high[1] - py]
        assert targets.sides[0, n].tolist() == pytest.approx(wanted, abs=1e-3)
        assert min(wanted) > 0


def test_everybodys_best_location_is_trained_first():
    owner = torch.tensor([[-1, 0, 0, 0, 1, 1], [0, -1, -1, -1, -1, -1]])
    centre = torch.tensor([[1.0, 0.7, 0.9, 0.8, 0.2, 0.1], [0.3, 1, 1, 1, 1, 1]])
    frame, location = best_locations(owner, centre, maximum=4)
    assert frame.tolist() == [0, 1, 0, 0]
    assert location.tolist() == [2, 0, 4, 3]
    every = best_locations(owner, centre, maximum=99)
    assert every[1].tolist() == [2, 0, 4, 3, 5, 1]
    assert best_locations(torch.full((2, 6), -1), centre, maximum=4)[0].tolist() == []


def unlabelled(frame, *joints):
    xy = frame.joints_px.copy()
    xy[0, list(joints)] = np.nan
    return dataclasses.replace(frame, joints_px=xy)


def test_odd_people_are_taught_rightly():
    net, frame = network(), crowd(stream(10, "odd"), people=2, size=SIZE, height_px=(90, 110),
                                  apart_px=8)  # fmt: skip
    whole = net.targets([frame])
    assert whole.loss_mask.all()
    # One joint is unlabelled: its map costs nothing, the others' do.
    less = net.targets([unlabelled(frame, 7)])
    assert torch.equal(less.owner, whole.owner)
    assert less.joints_px[0, 0, 7].isnan().all()
    logits = torch.zeros(1, 17, 64, 80)
    changed = {}
    for joint in (7, 8):
        spoilt = logits.clone()
        spoilt[0, joint, 0, 0] = 9
        before, after = (
            joint_loss(x, less.joints_px[0, :1], stride=2, sigma=2.0) for x in (logits, spoilt)
        )
        changed[joint] = float(after - before)
    assert changed[7] == 0
    assert changed[8] > 0.01
    # Nobody knows a joint of the first: they own no location, and their box is not taught.
    gone = net.targets([unlabelled(frame, *range(17))])
    assert set(gone.owner[0].tolist()) == {-1, 1}
    first = whole.owner[0] == 0
    assert not gone.loss_mask[0, first & (gone.owner[0] < 0)].any()
    assert gone.loss_mask[0].any()
    # Wider than the frame: the box ends with it.
    wide = pose(stream(3, "wide"), 420) * [2.2, 1.0] + [80, 60]
    box = np.array([[-100.0, -200.0, 500.0, 600.0]])
    big = FramePeople(size=SIZE, joints_px=wide[None], boxes_px=box)
    targets = net.targets([big])
    mine = targets.owner[0] == 0
    assert mine.any()
    sums = targets.sides[0, mine][:, :2] + targets.sides[0, mine][:, 2:]
    assert sums.tolist() == [[160.0, 128.0]] * int(mine.sum())
    outside = ((wide < 0) | (wide >= SIZE[::-1])).any(1)
    assert torch.equal(targets.joints_px[0, 0].isnan().any(-1), torch.from_numpy(outside))


def test_a_batch_may_have_nobody():
    net = network(minimum=0.99)  # nothing is as sure before it has learnt
    none = FramePeople(size=SIZE, joints_px=np.zeros((0, 17, 2)), boxes_px=np.zeros((0, 4)))
    outputs = net(torch.zeros(2, 3, *SIZE, dtype=torch.uint8))
    losses = net.losses(outputs, net.targets([none, none]))
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert losses["box"] == losses["map"] == losses["centre"] == 0
    assert losses["person"] > 0
    assert [len(f) for f in net.decode(outputs)] == [0, 0]
    assert all(len(f) > 0 for f in network(minimum=0.0).decode(outputs))


def test_boxes_by_hand():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [8, 0, 18, 10.0]])
    assert nms(boxes, np.array([0.5, 0.9, 0.7]), overlap=0.6).tolist() == [1, 2]
    assert nms(boxes, np.array([0.5, 0.9, 0.7]), overlap=0.9).tolist() == [1, 2, 0]
    assert nms(boxes[:0], np.zeros(0), overlap=0.6).tolist() == []
    middle = torch.tensor([[5.0, 5, 5, 5], [1, 5, 9, 5]])
    assert centre_ness(middle).tolist() == pytest.approx([1, 1 / 3])
    truth, mine = torch.full((1, 4), 5.0), torch.ones(1, dtype=torch.bool)
    assert box_loss(truth, truth, mine) == pytest.approx(0)
    assert box_loss(torch.full((1, 4), 10.0), truth, mine) == pytest.approx(0.75)  # IoU 1/4
    # sides 10 5 0 5 against 0 5 10 5: they touch, and fill their hull
    ends = (torch.tensor([[10.0, 5, 0, 5]]), torch.tensor([[0.0, 5, 10, 5]]))
    assert box_loss(*ends, mine) == pytest.approx(1.0)
