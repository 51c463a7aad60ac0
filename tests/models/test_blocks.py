"""KPE and ORN: shapes, what each part is for, ablations, and any backbone in front."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from builders import CELLS as SIZE
from builders import J, images, labels

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.backbones.pyramid import ConvPyramid
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.blocks.kpe import KPE
from synthstudio.models.blocks.orn import ORN
from synthstudio.models.contract import PoseNet, PoseOutputs, standardized
from synthstudio.models.layers import Residual
from synthstudio.models.losses import (
    Labels,
    Weights,
    pose_losses,
    shares_loss,
)

SIGMAS = torch.from_numpy(get_skeleton("coco17").sigmas).float()


def bank(count: int = 40) -> PoseBank:
    made = torch.Generator().manual_seed(0)
    return PoseBank(
        torch.rand(count, J, 2, generator=made), torch.randn(count, J, 3, generator=made)
    )


def nano(**options: object) -> PoseNet:
    torch.manual_seed(0)
    features = ConvPyramid()
    return PoseNet(features, ORN(features.channels, J, size=SIZE, bank=bank(), **options))  # type: ignore[arg-type]


def losses(output: PoseOutputs, found: Labels) -> dict[str, torch.Tensor]:
    return pose_losses(output, found, weights=Weights(), sigmas=SIGMAS, balance=torch.ones(4))


def test_shapes_of_kpe_and_orn() -> None:
    features = ConvPyramid()
    plain = PoseNet(features, KPE(features.channels, J, size=SIZE))(images())
    assert [tuple(s.shape) for s in plain.logits] == [(2, J, *SIZE)]
    assert (plain.presence, plain.shares, plain.occluder, plain.xyz_m) == (None,) * 4
    with torch.no_grad():
        output = nano()(images())
    assert [tuple(s.shape) for s in output.logits] == [(2, J, *SIZE)] * 3
    assert output.presence is not None and output.presence.shape == (2, J)
    assert output.shares is not None and output.shares.shape == (2, J, 4)
    assert output.quality is not None and output.quality.shape == (2, J)
    assert output.occluder is not None and output.occluder.shape == (2, 1, *SIZE)
    assert output.xyz_m is not None and output.xyz_m.shape == (2, J, 3)
    assert output.attention["poses"].sum(-1) == pytest.approx(torch.ones(2), abs=1e-5)
    assert output.maps.sum((-2, -1)) == pytest.approx(torch.ones(2, J), abs=1e-5)


def test_every_term_has_a_gradient_and_every_parameter_gets_one() -> None:
    net = nano()
    with torch.no_grad():  # what starts at nought passes nothing on
        net.block.refiner.last.weight.normal_(0, 0.01)  # type: ignore[index, union-attr]
        for module in net.modules():
            if isinstance(module, Residual):
                module.norm.weight.fill_(0.5)
    terms = losses(net(images()), labels())
    assert set(terms) == {
        "map",
        "stages",
        "presence",
        "shares",
        "quality",
        "occluder",
        "lift",
    }
    torch.stack(list(terms.values())).sum().backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not silent


def test_unknown_labels_cost_nothing_and_make_no_nan() -> None:
    found = labels()
    nothing = Labels(
        xy=torch.full_like(found.xy, torch.nan),
        known=torch.zeros_like(found.known),
        present=torch.full_like(found.present, torch.nan),
        shares=torch.full_like(found.shares, torch.nan),
        state=torch.full_like(found.state, 255),
        area=found.area,
        occluder=torch.full_like(found.occluder, torch.nan),
        xyz_m=torch.full_like(found.xyz_m, torch.nan),
    )
    net = nano()
    terms = losses(net(images()), nothing)
    torch.stack(list(terms.values())).sum().backward()
    assert all(t.item() == 0 for n, t in terms.items() if n != "occluder")
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_a_standardized_network_does_not_see_exposure_and_contrast() -> None:
    features = ConvPyramid(widths=(8, 12), channels=16)
    block = KPE(16, J, size=SIZE)
    plain, own = (PoseNet(features, block, standardize=on).eval() for on in (False, True))
    picture = images().float() / 255
    darker = picture * 0.4 + 0.1
    changes = [
        (net(picture).logits[-1] - net(darker).logits[-1]).abs().max() for net in (plain, own)
    ]
    assert changes[1] < 1e-5 < 1e-2 < changes[0]
    levels = standardized(picture)
    assert torch.allclose(levels.mean((1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(levels.std((1, 2, 3), correction=0), torch.ones(2), atol=1e-4)
    one_colour = torch.full((1, 3, 8, 8), 0.3)
    assert (
        torch.isfinite(standardized(one_colour)).all()
        and standardized(one_colour).abs().max() < 1e-4
    )


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(ModelError, match="not a batch of images"):
        nano()(torch.rand(3, 96, 72))
    with pytest.raises(ModelError, match="another skeleton"):
        ORN(8, 12, size=SIZE, bank=bank())


def test_said_shares_are_the_true_ones_however_the_loss_weighs_them() -> None:
    balance, true = torch.tensor([0.8, 1.1, 18.0, 1.3]), torch.tensor([0.65, 0.13, 0.02, 0.2])
    net = nano()
    block = net.block
    assert isinstance(block, ORN)
    logits = torch.zeros(2, J, 4, requires_grad=True)
    labelled = dataclasses.replace(labels(), shares=true.expand(2, J, 4))
    for _ in range(200):
        (slope,) = torch.autograd.grad(shares_loss(logits, labelled, balance), logits)
        logits.data -= 100 * slope
    learnt = torch.softmax(logits.detach()[0, 0], -1)
    assert learnt[0] < 0.5  # it leans towards rare causes: a joint that is seen would be hidden
    with torch.no_grad():
        block.balance.copy_(balance)
        for part in (block.heads.answers.weight, block.heads.answers.bias, block.heads.own):
            part.zero_()
        block.heads.own[:, 1:5] = logits.detach()[0, 0]  # behind presence
        raw = net(images()).shares
        output = net.eval()(images()).shares
    assert raw is not None and output is not None
    assert torch.allclose(torch.softmax(raw, -1)[0, 0], learnt, atol=1e-3)
    assert torch.allclose(torch.softmax(output, -1)[0, 0], true, atol=1e-3)
