"""What the bottom-up systems share: odd frames, and networks that a loop can train."""

import dataclasses

import numpy as np
import pytest
import torch
from stick_frames import SKELETON, crowd, frame_of, oks, pose

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.models.backbones import ConvPyramid
from synthstudio.models.bottom_up.openpose import OpenPose, OpenPoseOutputs
from synthstudio.models.bottom_up.personlab import PersonLab, PersonLabOutputs
from synthstudio.models.contract import FramePeople, finite

SIZE = (256, 320)
ELBOW = SKELETON.joints.index("left_elbow")


def features():
    return ConvPyramid(widths=(8, 12, 16), channels=8)


def openpose():
    torch.manual_seed(0)
    return OpenPose(features(), SKELETON, channels=8)


def personlab():
    torch.manual_seed(0)
    return PersonLab(features(), SKELETON, channels=8)


def ideal(net, targets):
    """Outputs that say what the targets do."""
    if isinstance(net, OpenPose):
        return OpenPoseOutputs(fields=(targets.fields,), maps=(targets.maps,))
    discs = 20 * (targets.discs - 0.5)
    return PersonLabOutputs(discs=discs, short=targets.short, mid=targets.mid)


SYSTEMS = pytest.mark.parametrize("build", [openpose, personlab])


def decode_ideal(net, frame):
    (found,) = net.decode(ideal(net, net.targets([frame])))
    return found


def two(seed=1):
    return crowd(stream(seed, "two"), people=2, size=SIZE, height_px=(150, 200))


@SYSTEMS
def test_an_unlabelled_joint_is_neither_taught_nor_found(build):
    net, whole = build(), two()
    joints = whole.joints_px.copy()
    joints[0, ELBOW] = np.nan
    frame = dataclasses.replace(whole, joints_px=joints)
    found = decode_ideal(net, frame)
    who = oks(frame, found).argmax(1)
    arm = [ELBOW, SKELETON.joints.index("left_wrist")]  # nothing leads on to the wrist
    assert len(found) == 2
    assert found.scores[who[0], arm] == pytest.approx(0, abs=1e-3)
    assert (np.delete(found.scores[who[0]], arm) > 0.7).all()
    assert (found.scores[who[1]] > 0.7).all()
    # What the network says there of that joint costs nothing; beside the person it does.
    targets = net.targets([frame])
    x, y, w, h = (int(v) // 8 for v in frame.boxes_px[0])
    maps = "maps" if isinstance(net, OpenPose) else "discs"
    taught = getattr(targets, f"{maps}_mask")[0]
    assert not taught[ELBOW, y + 1 : y + h - 1, x + 1 : x + w - 1].any()
    assert taught[ELBOW].any()
    assert taught[0].all()
    assert getattr(net.targets([whole]), f"{maps}_mask").all()  # nothing unknown: all is taught

    def cost(row, column):
        said = getattr(targets, maps).clone()
        said[0, ELBOW, row, column] += 3
        other = ideal(net, dataclasses.replace(targets, **{maps: said}))
        return float(sum(net.losses(other, targets).values()))

    right = float(sum(net.losses(ideal(net, targets), targets).values()))
    assert cost(y + h // 2, x + w // 2) == pytest.approx(right, abs=1e-6)
    assert cost(*(int(v[0]) for v in np.nonzero(taught[ELBOW].numpy()))) > right + 1e-5


@SYSTEMS
def test_somebody_without_a_joint_is_a_place_that_teaches_nothing(build):
    net, whole = build(), two()
    joints = whole.joints_px.copy()
    joints[1] = np.nan
    frame = dataclasses.replace(whole, joints_px=joints)
    alone = FramePeople(size=SIZE, joints_px=joints[:1], boxes_px=whole.boxes_px[:1])
    targets, without = net.targets([frame]), net.targets([alone])
    names = ("maps", "fields") if isinstance(net, OpenPose) else ("discs", "short", "mid")
    for name in names:
        assert torch.equal(getattr(targets, name), getattr(without, name))
    taught = getattr(targets, f"{names[0]}_mask")[0]
    x, y, w, h = (int(v) // 8 for v in whole.boxes_px[1])
    assert not taught[:, y + 1 : y + h - 1, x + 1 : x + w - 1].any()
    assert getattr(without, f"{names[0]}_mask").all()
    assert len(decode_ideal(net, frame)) == 1


@SYSTEMS
def test_a_batch_may_have_nobody(build):
    net, nobody = build(), frame_of(np.zeros((0, 17, 2)), SIZE)
    targets = net.targets([nobody, nobody])
    outputs = net(torch.zeros(2, 3, *SIZE, dtype=torch.uint8))
    loss = torch.stack(list(net.losses(outputs, targets).values())).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert [len(f) for f in net.decode(ideal(net, targets))] == [0, 0]
    assert len(decode_ideal(net, two())) == 2  # the same way with people


@SYSTEMS
def test_one_person_wider_than_the_frame(build):
    """Head, hands and legs lie outside; what lies inside is one person."""
    net = build()
    xy = pose(stream(3, "wide"), 420) * [2.2, 1.0] + [160, 170]
    assert np.ptp(xy[:, 0]) > SIZE[1]
    frame = frame_of(xy[None], SIZE)
    inside = ((xy >= 0) & (xy < SIZE[::-1])).all(-1)
    assert 4 <= inside.sum() <= 14
    found = decode_ideal(net, frame)
    assert len(found) == 1
    assert np.abs(found.joints_px[0] - xy)[inside].max() < 0.25
    assert (found.scores[0, inside] > 0.8).all()
    assert (found.scores[0, ~inside] < 0.01).all()


@SYSTEMS
def test_several_frames_are_as_each_alone(build):
    net, frames = build(), [two(seed) for seed in (4, 5)]
    together = net.decode(ideal(net, net.targets(frames)))
    for found, frame in zip(together, frames, strict=True):
        alone = decode_ideal(net, frame)
        assert np.array_equal(found.joints_px, alone.joints_px, equal_nan=True)
        assert oks(frame, found).max(1).min() > 0.95


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_outputs_have_the_shapes_of_targets_at_every_stride(stride):
    images, frame = torch.zeros(2, 3, *SIZE, dtype=torch.uint8), two()
    first = OpenPose(features(), SKELETON, channels=8, stride=stride, stages=(2, 2))
    outputs, targets = first(images), first.targets([frame, frame])
    assert [f.shape for f in outputs.fields] == [targets.fields.shape] * 2
    assert [m.shape for m in outputs.maps] == [targets.maps.shape] * 2
    second = PersonLab(features(), SKELETON, channels=8, stride=stride, radius=32 / stride)
    said, wanted = second(images), second.targets([frame, frame])
    for name in vars(said):
        assert getattr(said, name).shape == getattr(wanted, name).shape


@SYSTEMS
def test_losses_are_least_for_what_the_targets_say(build):
    net, targets = build(), build().targets([two()])
    best = net.losses(ideal(net, targets), targets)
    for term in best:
        assert best[term] < 1e-3
    wrong = net.losses(ideal(net, net.targets([two(6)])), targets)
    assert all(wrong[term] > 10 * best[term] for term in best)


@SYSTEMS
def test_images_that_do_not_fit_are_named(build):
    net = build()
    with pytest.raises(ModelError, match="multiples of"):
        net(torch.zeros(1, 3, 66, 50))
    with pytest.raises(ModelError, match=r"\(B, 3, H, W\)"):
        net(torch.zeros(3, 64, 64))
    with pytest.raises(ModelError, match="not finite"):
        finite(torch.tensor([1.0, torch.nan]))
