"""Networks of people in boxes: each backbone with its own head, KPE and ORN."""

import dataclasses
import itertools

import pytest
import torch

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models import heatmaps as hm
from synthstudio.models.backbones import ConvPyramid
from synthstudio.models.contract import PoseNet, predict_maps, standardized
from synthstudio.models.heads import KPE, ORN
from synthstudio.models.layers import Residual
from synthstudio.models.losses import Labels, fractions_loss, pose_losses
from synthstudio.models.pose_bank import PoseBank
from synthstudio.training.config import Network
from synthstudio.training.networks import build

J, CELLS, SIZE = 17, (24, 18), (96, 72)
SKELETON = get_skeleton("coco17")
BACKBONES = ("pyramid", "hrnet-nano", "hourglass-nano", "vit-nano")
SYSTEMS = [
    {"backbone": name, "head": head}
    for name, head in itertools.product(BACKBONES, ("own", "kpe", "orn"))
]
NAMES = ["-".join(system.values()) for system in SYSTEMS]


def images(count=2, size=SIZE):
    made = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=made)


def labels(count=2):
    made = torch.Generator().manual_seed(2)
    return Labels(
        xy=torch.rand(count, J, 2, generator=made),
        known=torch.ones(count, J, dtype=torch.bool),
        present=torch.ones(count, J),
        visibility_fractions=torch.softmax(torch.randn(count, J, 4, generator=made), -1),
        state=torch.full((count, J), 2),
        area=torch.full((count,), 0.5),
        occluder=(torch.rand(count, 1, *CELLS, generator=made) > 0.7).float(),
        xyz_m=torch.randn(count, J, 3, generator=made),
    )


def losses(output, found):
    sigmas = torch.from_numpy(SKELETON.sigmas).float()
    return pose_losses(output, found, sigmas=sigmas, balance=torch.ones(4))


def net(system):
    torch.manual_seed(0)
    bank = PoseBank(torch.rand(20, J, 2), torch.randn(20, J, 3))
    built = build(Network(**system), SKELETON, bank=bank if system["head"] == "orn" else None)
    with torch.no_grad():
        for module in built.modules():  # what begins at nought passes nothing on
            if isinstance(module, Residual):
                module.norm.weight.fill_(0.5)
        if system["head"] == "orn":
            built.block.get_parameter("refiner.last.weight").normal_(0, 0.01)
    return built


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_every_parameter_learns_from_the_losses(system):
    built = net(system).train()
    outputs = built(images())
    assert all(stage.shape == (2, J, 24, 18) for stage in outputs.logits)
    terms = losses(outputs, labels())
    said = {"presence", "visibility_fractions", "quality", "occluder", "lift"}
    assert ("stages" in terms) == (len(outputs.logits) > 1)
    assert set(terms) - {"map", "stages"} == (said if system["head"] == "orn" else set())
    torch.stack(list(terms.values())).sum().backward()
    silent = [n for n, p in built.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("system", SYSTEMS, ids=NAMES)
def test_the_flip_test_of_a_mirrored_picture_is_mirrored(system):
    built, flip = net(system).eval(), torch.from_numpy(SKELETON.flip)
    with torch.inference_mode():
        both, _ = predict_maps(built, images(), flip=flip)
        mirrored, _ = predict_maps(built, images().flip(-1), flip=flip)
        plain, _ = predict_maps(built, images())
        rotated, _ = predict_maps(built, images().flip(-1))
    assert torch.allclose(hm.mirrored_maps(mirrored, flip), both, atol=1e-6)
    assert not torch.allclose(hm.mirrored_maps(rotated, flip), plain, atol=1e-6)  # the control


@pytest.mark.parametrize(
    ("backbone", "size", "multiple"),
    [("hrnet-nano", (98, 72), 4), ("hrnet-nano", (0, 72), 4), ("hourglass-nano", (96, 70), 4),
     ("vit-nano", (96, 76), 8), ("vit-nano", (0, 8), 8)],
)  # fmt: skip
def test_images_that_do_not_fit_are_refused(backbone, size, multiple):
    with pytest.raises(ModelError, match=rf"unsupported image size.*multiples of {multiple}"):
        net({"backbone": backbone, "head": "own"})(torch.zeros(1, 3, *size))


# KPE and ORN.


def nano():
    return net({"backbone": "pyramid", "head": "orn"})


def test_shapes_of_kpe_and_orn():
    features = ConvPyramid()
    plain = PoseNet(features, KPE(features.channels, J, size=CELLS))(images())
    assert [tuple(s.shape) for s in plain.logits] == [(2, J, *CELLS)]
    assert (plain.presence, plain.visibility_fractions, plain.occluder, plain.xyz_m) == (None,) * 4
    with torch.no_grad():
        output = nano()(images())
    assert [tuple(s.shape) for s in output.logits] == [(2, J, *CELLS)] * 3
    assert output.presence.shape == (2, J)
    assert output.visibility_fractions.shape == (2, J, 4)
    assert output.quality.shape == (2, J)
    assert output.occluder.shape == (2, 1, *CELLS)
    assert output.xyz_m.shape == (2, J, 3)
    assert output.attention["poses"].sum(-1) == pytest.approx(torch.ones(2), abs=1e-5)
    assert output.maps.sum((-2, -1)) == pytest.approx(torch.ones(2, J), abs=1e-5)


def test_unknown_labels_cost_nothing_and_make_no_nan():
    found = labels()
    nothing = Labels(
        xy=torch.full_like(found.xy, torch.nan),
        known=torch.zeros_like(found.known),
        present=torch.full_like(found.present, torch.nan),
        visibility_fractions=torch.full_like(found.visibility_fractions, torch.nan),
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


def test_a_standardized_network_does_not_see_exposure_and_contrast():
    features = ConvPyramid(widths=(8, 12), channels=16)
    block = KPE(16, J, size=CELLS)
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
    assert standardized(one_colour).abs().max() < 1e-4


def test_wrong_inputs_are_refused():
    with pytest.raises(ModelError, match="not a batch of images"):
        nano()(torch.rand(3, 96, 72))
    with pytest.raises(ModelError, match="skeletons of pose bank and network differ"):
        ORN(8, 12, size=CELLS, bank=PoseBank(torch.rand(3, J, 2)))


def test_said_shares_are_the_true_ones_however_the_loss_weighs_them():
    balance, true = torch.tensor([0.8, 1.1, 18.0, 1.3]), torch.tensor([0.65, 0.13, 0.02, 0.2])
    net = nano()
    block = net.block
    logits = torch.zeros(2, J, 4, requires_grad=True)
    labelled = dataclasses.replace(labels(), visibility_fractions=true.expand(2, J, 4))
    for _ in range(200):
        (slope,) = torch.autograd.grad(fractions_loss(logits, labelled, balance), logits)
        logits.data -= 100 * slope
    learnt = torch.softmax(logits.detach()[0, 0], -1)
    assert learnt[0] < 0.5  # it leans towards rare causes: a joint that is seen would be hidden
    with torch.no_grad():
        block.balance.copy_(balance)
        for part in (block.heads.answers.weight, block.heads.answers.bias, block.heads.own):
            part.zero_()
        block.heads.own[:, 1:5] = logits.detach()[0, 0]  # behind presence
        raw = net(images()).visibility_fractions
        output = net.eval()(images()).visibility_fractions
    assert torch.allclose(torch.softmax(raw, -1)[0, 0], learnt, atol=1e-3)
    assert torch.allclose(torch.softmax(output, -1)[0, 0], true, atol=1e-3)
