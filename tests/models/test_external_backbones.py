"""Backbones of elsewhere: which maps count, what is refused, and what weights may call."""

import importlib
import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models import external_backbones as external
from synthstudio.models.efficientnet import EfficientNetLite0
from synthstudio.models.external_backbones import TRUST, Features, OwnMaps
from synthstudio.training import checkpoint, networks, optimization
from synthstudio.training import config as configs
from synthstudio.training.config import Network

SIZE = (64, 48)
SKELETON = get_skeleton("coco17")


class Maps(nn.Module):
    """Convolutions of the given strides, each to 4 + its number channels, laid out by `form`."""

    def __init__(self, *strides, form=list, inputs=3):
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Conv2d(inputs, 4 + k, s, s, bias=False) for k, s in enumerate(strides)
        )
        self.form = form

    def forward(self, images):
        return self.form([step(images) for step in self.steps])


def nhwc(maps):
    return {str(k): found.permute(0, 2, 3, 1) for k, found in enumerate(maps)}


def tokens(maps):
    flat = maps[-1].flatten(2).transpose(1, 2)
    return torch.cat([flat[:, :1], flat], 1)  # a class token first


@pytest.mark.parametrize(
    ("net", "strides", "channels"),
    [
        (Maps(16, form=lambda maps: maps[0]), [16], [4]),
        (Maps(2, 4, 8, 16, 32), [4, 8, 16, 32], [5, 6, 7, 8]),
        (Maps(*[8] * 10), [8], [13]),  # of ten maps of one stride the last
        (Maps(4, 8, form=nhwc), [4, 8], [4, 5]),
        (Maps(16, form=tokens), [16], [4]),
        (Maps(2), [2], [4]),
        (Maps(14, form=lambda maps: (maps, maps[0].mean((2, 3)))), [14], [4]),
    ],
)
def test_one_probe_finds_strides_and_channels(net, strides, channels):
    torch.manual_seed(0)
    size = (70, 56) if strides == [14] else SIZE
    features = Features(net, size=size, width=8).eval()
    assert [level.stride for level in features.levels] == strides
    assert [level.channels for level in features.levels] == channels
    images = torch.rand(3, 3, *size)
    found = features(images)
    assert found.shape == (3, 8, size[0] // strides[0], size[1] // strides[0])
    with pytest.raises(ModelError, match="unsupported image size"):
        features(images[..., :-1])
    if strides == [16]:  # tokens are put where their patches are
        plain = net.steps[-1](images)
        assert torch.allclose(features.levels[0].of(external._tensors(net(images))), plain)


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (Maps(4, form=lambda maps: maps[0].mean((2, 3))), r"no spatial map.*got \(2, 4\)"),
        (Maps(4, form=lambda maps: maps[0][..., :5]), r"no spatial map.*\(2, 4, 16, 5\)"),
        (Maps(4, form=lambda maps: None), "no spatial map.*got no tensor"),
        (Maps(4, inputs=4), "fails on these images.*4 channels"),
        (nn.Linear(5, 5), "fails on these images"),
    ],
)
def test_a_network_without_maps_is_refused_in_one_message(net, says):
    with pytest.raises(ModelError, match=says):
        Features(net, size=SIZE)


def network(**changes):
    return Network(size=SIZE, width=8, bank=0, **changes)


def test_a_head_that_is_kept_gives_the_maps_itself():
    name = external.give(Maps(4, 8, form=lambda maps: maps[1].repeat(1, 4, 1, 1)[:, :17]))
    net = networks.build(network(backbone=name, head="own"), SKELETON).eval()
    images = torch.rand(2, 3, *SIZE)
    logits = net(images).logits
    assert len(logits) == 1 and logits[0].shape == (2, 17, 16, 12)
    kept = net.features.net(net.inputs(images))
    assert torch.allclose(nn.functional.interpolate(kept, (16, 12), mode="bilinear"), logits[0])
    with pytest.raises(ModelError, match=r"has not one map.*expected \(B, 17, h, w\)"):
        OwnMaps(Maps(4), 17, size=SIZE, name="x")


CODE = """
from torch import nn
from synthstudio.models.contract import PoseOutputs
from synthstudio.models.heads import ORN

def backbone():
    return nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 1))

class Head(nn.Module):
    def __init__(self, channels, joints, *, size, width):
        super().__init__()
        self.maps = nn.Conv2d(channels, joints, 1)

    def forward(self, features):
        return PoseOutputs(logits=(self.maps(features),))

number = lambda: 5
wrong = lambda *given, **more: 1 / 0
plain = lambda channels, joints, **more: nn.Conv2d(channels, joints, 1)
orn = lambda channels, joints, **more: ORN(channels, joints, bank=None, **more)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The name of a module in the working directory."""
    name = f"mine_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TRUST, "")
    importlib.invalidate_caches()
    return name


def test_backbone_and_head_of_ones_own_are_a_file_and_two_lines(mine, tmp_path):
    asked = {"backbone": f"{mine}:backbone", "head": f"{mine}:Head", "size": SIZE, "width": 8}
    config = configs.parse({"train": [{"dataset": "x"}], "network": asked})
    net = networks.build(config.network, SKELETON)
    optimization.make_optimizer(net, config)
    rates = optimization.lr_scales(net, config)
    top, bottom = rates["features.net.2.weight"], rates["features.net.0.weight"]
    assert top == optimization.PRETRAINED_LR
    assert bottom == top * optimization.LAYER_DECAY**2
    assert rates["features.laterals.0.weight"] == rates["block.maps.weight"] == 1
    path = tmp_path / "net.safetensors"
    checkpoint.save_weights(path, net, config, skeleton=SKELETON, note="")
    again, _, _ = checkpoint.load_any(path)  # trained with here, so trusted here
    images = torch.rand(2, 3, *SIZE)
    assert torch.equal(again(images).maps, net.eval()(images).maps)
    os.environ[TRUST] = ""  # as elsewhere
    with pytest.raises(ModelError, match=f"custom code.*{TRUST}={mine}:backbone"):
        checkpoint.load_any(path)
    os.environ[TRUST] = f"{mine}:backbone"
    with pytest.raises(ModelError, match=f"custom code.*{mine}:Head"):
        checkpoint.load_any(path)


@pytest.mark.parametrize("head", ["synthstudio.models.heads:KPE", "{mine}:orn"])
def test_a_head_of_the_package_called_by_name_is_loaded_again(head, mine, tmp_path):
    asked = {"head": head.format(mine=mine), "size": SIZE, "width": 8}
    config, path = configs.parse({"train": [{"dataset": "x"}], "network": asked}), tmp_path / "x"
    net = networks.build(config.network, SKELETON).eval()
    checkpoint.save_weights(path, net, config, skeleton=SKELETON, note="")
    images = torch.rand(2, 3, *SIZE)
    assert torch.equal(checkpoint.load_any(path)[0](images).maps, net(images).maps)
    os.environ[TRUST] = ""
    with pytest.raises(ModelError, match="custom code"):
        checkpoint.load_any(path)


def test_weights_call_nothing_by_themselves(tmp_path, monkeypatch):
    monkeypatch.setenv(TRUST, "")
    monkeypatch.setattr(os, "getcwdb", lambda: pytest.fail("it is called"), raising=False)
    config = configs.parse({"train": [{"dataset": "x"}], "network": {"backbone": "os:getcwdb"}})

    class Net(nn.Module):
        features = type("F", (), {"description": '{"mean": [0, 0, 0], "std": [1, 1, 1]}'})()

    path = tmp_path / "net.safetensors"
    checkpoint.save_weights(path, Net(), config, skeleton=SKELETON, note="")
    with pytest.raises(ModelError, match="custom code"):
        checkpoint.load_any(path)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("{mine}:number", "no network.*expected nn.Module.*got int"),
        ("{mine}:missing", "cannot load the backbone.*has no attribute 'missing'"),
        ("no_such_module_here:x", "cannot load the backbone.*No module named"),
        ("given:Nothing", "the module that this network"),
        ("transformers:{folder}/nothing", "cannot load the backbone"),
        ("head {mine}:orm", "cannot load the head.*'orm'"),
        ("head {mine}:backbone", r"cannot load the head.*TypeError: [^,]*\.$"),
        ("head {mine}:wrong", r"cannot load the head.*ZeroDivision.*zero, mine_.*py line \d+\.$"),
        ("head {mine}:plain", r"has not one map.*logits \(B, 17, h, w\); got Tensor, \(2, 17,"),
    ],
)
def test_what_cannot_be_loaded_is_one_message(asked, says, mine, tmp_path):
    *part, name = asked.format(mine=mine, folder=tmp_path).split()
    with pytest.raises(ModelError, match=says):
        networks.build(network(**{"head" if part else "backbone": name}), SKELETON)


@pytest.mark.parametrize("form", ["same", "prefixed", "nested", "other"])
def test_weights_from_a_file_fit_by_name(form, mine, tmp_path):
    own = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 1))
    state = {k: torch.ones_like(v) for k, v in own.state_dict().items()}
    path = tmp_path / ("w.pth" if form == "nested" else "w.safetensors")
    if form == "nested":
        torch.save({"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    elif form == "other":
        save_file({"x.y": torch.zeros(2)}, path)
    else:
        before = {"same": "", "prefixed": "module.backbone."}[form]
        save_file({before + k: v for k, v in state.items()}, path)
    said, asked = [], network(backbone=f"{mine}:backbone")
    if form == "other":
        with pytest.raises(ModelError, match="no weight matches"):
            networks.build(asked, SKELETON, weights=str(path))
        return
    net = networks.build(asked, SKELETON, weights=str(path), log=said.append)
    assert "9 of 9 tensors loaded" in said[0]
    assert all(bool((v == 1).all()) for v in net.features.net.state_dict().values())


def test_a_torch_file_with_code_is_refused(mine, tmp_path):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save(Code(), tmp_path / "w.pth")
    asked, weights = network(backbone=f"{mine}:backbone"), str(tmp_path / "w.pth")
    with pytest.raises(ModelError, match="cannot load the backbone"):
        networks.build(asked, SKELETON, weights=weights)
    assert not (tmp_path / "made").exists()


def test_efficientnet_lite0_is_that_of_timm():
    net = EfficientNetLite0().eval()
    state = net.state_dict()
    for name, old in state.items():
        if old.is_floating_point():
            wave = (0.7 * torch.arange(old.numel(), dtype=torch.float64)).sin().reshape(old.shape)
            scale = "var" in name or ("bn" in name and "weight" in name)
            new = 1 + 0.5 * wave if scale else wave / max(old[0].numel(), 1) ** 0.5
            state[name] = new.float()
    net.load_state_dict(state)
    images = torch.cos(0.3 * torch.arange(2 * 3 * 101 * 67, dtype=torch.float64))
    with torch.no_grad():
        maps = net(images.reshape(2, 3, 101, 67).float())
    shapes = [(24, 26, 17), (40, 13, 9), (112, 7, 5), (320, 4, 3)]
    assert [tuple(m.shape[1:]) for m in maps] == shapes
    means = [m.abs().mean().item() for m in maps]  # timm 1.0.31, tf_efficientnet_lite0
    assert means == pytest.approx([0.23875, 0.25592, 0.38387, 0.14172], abs=2e-5)
    values = [m[1, 3, -1, -1].item() for m in maps]
    assert values == pytest.approx([-0.33032, -0.34317, -0.51122, -0.02912], abs=2e-5)
