"""Clips: features warped by flow, a transformer over each joint, a wrist hidden for ten frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.models.backbones.hourglass import StackedHourglass
from synthstudio.models.backbones.pyramid import ConvPyramid
from synthstudio.models.backbones.sizes import HOURGLASSES
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.blocks.heads import PointHead
from synthstudio.models.blocks.kpe import KPE
from synthstudio.models.blocks.orn import ORN
from synthstudio.models.contract import PoseNet
from synthstudio.models.flow import flow_from, warped
from synthstudio.models.video import VideoPoseNet

J, T, CELLS = 5, 4, (12, 16)


def _texture(seed: int, height: int, width: int) -> np.ndarray:
    coarse = stream(seed, "texture").uniform(0, 255, (height // 4, width // 4, 3))
    whole = torch.from_numpy(coarse).movedim(-1, 0)[None]
    grown = torch.nn.functional.interpolate(whole, (height, width), mode="bicubic")[0]
    return grown.movedim(0, -1).clamp(0, 255).numpy().astype(np.uint8)


# Warping.


def test_features_of_a_moved_picture_are_warped_onto_those_of_the_picture() -> None:
    """Pure translation: in the interior features are equal; without the flow they are not."""
    torch.manual_seed(0)
    backbone = ConvPyramid(widths=(8, 16), channels=8).eval()
    wide = torch.from_numpy(_texture(0, 160, 224)).movedim(-1, 0)[None].float() / 255
    before, now = wide[..., 16:-16, 24:-8], wide[..., 8:-24, 8:-24]  # 16 px right, 8 px down
    with torch.no_grad():
        old, new = (backbone(each) for each in (before, now))
        old, new = old / new.std(), new / new.std()
    flow = torch.zeros(1, 2, *now.shape[-2:])
    flow[:, 0], flow[:, 1] = -16.0, -8.0  # where the current picture's pixels lie in the other
    inside = (..., slice(9, -9), slice(11, -11))
    assert (warped(old, flow) - new)[inside].abs().max() < 1e-3
    assert (warped(old, torch.zeros_like(flow)) - new)[inside].abs().max() > 0.2


def test_warping_is_exact_between_cells_for_a_ramp() -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    ramp = (2 * x - 3 * y)[None, None]
    flow = torch.full((1, 2, 48, 64), 0.0)
    flow[:, 0], flow[:, 1] = 6.0, -2.0  # 1.5 and -0.5 cells
    moved = warped(ramp, flow)
    assert (moved - ramp)[..., 1:, :-2].numpy() == pytest.approx(2 * 1.5 + 3 * 0.5, abs=1e-4)
    assert warped(ramp, torch.zeros_like(flow)).numpy() == pytest.approx(ramp.numpy(), abs=1e-5)


def test_the_flow_between_pictures_is_found() -> None:
    wide = _texture(3, 120, 160)
    now, other = wide[10:-10, 10:-10], wide[13:-7, 6:-14]  # what was at x lies at x + 4, y - 3
    flow = flow_from(now, [other, None, now])
    assert flow.shape == (3, 2, *now.shape[:2])
    middle = flow[0, :, 15:-15, 15:-15]
    assert np.median(middle[0]) == pytest.approx(4, abs=0.2)
    assert np.median(middle[1]) == pytest.approx(-3, abs=0.2)
    assert not flow[1:].any()
    with pytest.raises(ModelError, match=r"picture 1: frames of one clip differ in size.*Resize"):
        flow_from(now, [other, wide])


# The network.


def _net(seed: int = 0) -> VideoPoseNet:
    torch.manual_seed(seed)
    backbone = ConvPyramid(widths=(8, 16), channels=8)
    net = PoseNet(backbone, PointHead(8, J, size=CELLS))
    return VideoPoseNet(net, J, channels=8, width=16).eval()


def _clip(b: int = 2) -> dict[str, Tensor]:
    rng = stream(1, "clip")
    return {
        "frames": torch.from_numpy(rng.integers(0, 256, (b, T, 3, 48, 64), np.uint8)),
        "flow_px": torch.from_numpy(rng.normal(0, 2, (b, T, 2, 48, 64))).float(),
        "offset": torch.tensor([[-4, -1, 0, 3]] * b),
        "there": torch.ones(b, T, dtype=torch.bool),
    }


@torch.no_grad()
def test_attention_ignores_frames_that_are_missing() -> None:
    net, clip = _net(), _clip()
    clip["there"][0, 0] = clip["there"][1, 3] = False
    out = net(**clip).logits[-1]
    other = {name: value.clone() for name, value in clip.items()}
    lost = ~clip["there"]
    other["frames"][lost] = 255
    other["flow_px"][lost] = torch.nan
    other["offset"][lost] = 77
    assert torch.equal(net(**other).logits[-1], out)
    # One that is not given at all is the same as one that is missing.
    short = {name: value[:1, 1:] for name, value in clip.items()}
    assert net(**short).logits[-1].numpy() == pytest.approx(out[:1].numpy(), abs=1e-4)
    whole = net(**(clip | {"there": torch.ones_like(clip["there"])})).logits[-1]
    assert (whole - out).abs().amax((1, 2, 3)).min() > 1e-3  # there, they are heard


@torch.no_grad()
def test_frames_are_told_apart_by_their_time_alone() -> None:
    net, clip = _net(), _clip()
    out = net(**clip).logits[-1]
    order = torch.tensor([3, 2, 0, 1])
    mixed = {name: value[:, order] for name, value in clip.items()}
    assert net(**mixed).logits[-1].numpy() == pytest.approx(out.numpy(), abs=1e-4)
    wrong = clip | {"offset": torch.tensor([[3, -1, 0, -4]] * 2)}  # reordered frames
    assert (net(**wrong).logits[-1] - out).abs().max() > 1e-3


@pytest.mark.parametrize("block", ["own", "kpe", "orn", "hourglass"])
def test_any_network_of_the_contract_becomes_one_of_clips(block: str) -> None:
    torch.manual_seed(0)
    size, stages, channels = (48, 64), 0, 8
    backbone: torch.nn.Module = ConvPyramid(widths=(8, 16), channels=8)
    head: torch.nn.Module = PointHead(8, J, size=CELLS)
    if block == "kpe":
        head = KPE(8, J, size=CELLS, width=8)
    elif block == "orn":
        bank = PoseBank(torch.rand(20, J, 2), torch.randn(20, J, 3))
        head = ORN(8, J, size=CELLS, bank=bank, width=8)
    elif block == "hourglass":
        backbone = StackedHourglass(HOURGLASSES["nano"], J, cells=CELLS, stacks=2)
        stages, channels = 1, backbone.channels
        head = PointHead(channels, J, size=CELLS)
    net = PoseNet(backbone, head)
    video, clip = VideoPoseNet(net, J, channels=channels, width=16), _clip()
    assert clip["frames"].shape[-2:] == size
    outputs = video(**clip)
    own = net(clip["frames"][:, 2])
    assert len(outputs.logits) == len(own.logits) + 1 and len(own.logits) > stages
    assert outputs.logits[-1].shape == (2, J, *CELLS)
    assert outputs.maps.sum((2, 3)).detach().numpy() == pytest.approx(1, abs=1e-4)
    for name in ("presence", "shares", "quality", "occluder", "xyz_m"):
        mine, theirs = getattr(outputs, name), getattr(own, name)
        assert (mine is None) == (theirs is None)
        assert mine is None or mine.shape == theirs.shape
    outputs.maps.amax((2, 3)).sum().backward()
    assert all(p.grad is not None for p in video.temporal.parameters())


@torch.no_grad()
def test_without_flow_the_current_frame_s_own_answers_are_the_network_s() -> None:
    net, clip = _net(), _clip()
    clip["flow_px"][:, 2] = 0.0
    alone = net.net.eval()(clip["frames"][:, 2]).logits[0]
    assert net(**clip).logits[0].numpy() == pytest.approx(alone.numpy(), abs=1e-4)


def test_a_clip_that_does_not_fit_is_said() -> None:
    net, clip = _net(), _clip()
    with pytest.raises(ModelError, match="VideoPoseNet, clip 1: a clip has one current frame"):
        there = clip["there"].clone()
        there[1, 2] = False
        net(**(clip | {"there": there}))
    with pytest.raises(ModelError, match=r"clip 0: a clip has one current frame.* got 4"):
        net(**(clip | {"offset": torch.zeros(2, T)}))
    with pytest.raises(ModelError, match=r"VideoPoseNet, flow_px: .*expected \(2, 4, 2, 48, 64\)"):
        net(**(clip | {"flow_px": clip["flow_px"][..., :-1]}))
    with pytest.raises(ModelError, match=r"VideoPoseNet, there: .*got \(2, 3\)"):
        net(**(clip | {"there": clip["there"][:, 1:]}))
