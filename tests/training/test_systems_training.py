"""Every system is trained, goes on, answers and is evaluated; what does not fit is one message."""

import itertools
import shutil
from typing import Any

import numpy as np
import pytest
import tiny
import torch

import synthstudio as ss
from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training import checkpoint, networks, optimization
from synthstudio.training import config as configs
from synthstudio.training.config import Network
from synthstudio.training.loop import train

BACKBONES = ("hrnet", "hourglass", "vit")
STEPS = 2
MORE = pytest.mark.nightly("combinations of parts that are tested one by one each time")


def config(pairs, backbone, block="own", **changes):
    network = {"backbone": f"{backbone}-nano", "head": block, "size": [48, 32]}
    network |= changes.pop("network", {})
    fields: dict[str, Any] = {"steps": STEPS, "augment": tiny.STILL, "save_every": 50}
    fields |= {"lr": 2e-3 if backbone == "vit" else 5e-3, "val": []}
    return tiny.config(pairs, network=network, **fields | changes)


@pytest.fixture(scope="module")
def trained(pairs, once):
    """Return the folder of a run of two steps of each backbone with its own head."""

    def make(folder):
        for backbone in BACKBONES:
            tiny.run(config(pairs, backbone), folder / backbone)

    folder = once("systems", make)
    return {backbone: folder / backbone for backbone in BACKBONES}


@pytest.mark.parametrize(
    "backbone", ["vit", pytest.param("hrnet", marks=MORE), pytest.param("hourglass", marks=MORE)]
)
def test_it_answers_and_is_evaluated(pairs, trained, backbone, tmp_path):
    torch.set_num_threads(1)
    model = ss.Model.load(trained[backbone], device="cpu")
    found = model.predict(pairs)
    assert np.isfinite(found.joints_px).all() and len(found.joints_px) == 32
    assert np.isnan(found.expected_oks).all()  # its own head says places alone
    weights = trained[backbone] / "best.safetensors"
    evaluation = tiny.evaluated(weights, pairs, tmp_path / "found", flip=True)
    assert evaluation.about["block"] == f"{backbone}-nano, own head 48x32"
    assert (tmp_path / "found" / "report.html").is_file()


@pytest.mark.parametrize(("first", "then"), [("hrnet", "vit")])
def test_another_systems_checkpoint_says_that_its_backbone_is_not_used(
    pairs, trained, first, then, tmp_path
):
    said: list[str] = []
    settings = config(pairs, then, steps=1, init_from=str(trained[first] / "best.safetensors"))
    train(settings, tmp_path / "run", cache=tmp_path / "cache", log=said.append)
    report = "\n".join(said)
    assert "nothing of the backbone: the file holds another one" in report
    assert "not in the file: features." in report and "not used: " in report
    said.clear()
    again = config(pairs, first, steps=1, init_from=settings.init_from)
    train(again, tmp_path / "again", cache=tmp_path / "cache", log=said.append)
    assert "nothing of the backbone" not in "\n".join(said)  # the control
    assert "not in the file" not in "\n".join(said)


@pytest.mark.parametrize(("first", "then"), [("vit", "hourglass")])
def test_a_run_of_another_system_is_not_resumed(pairs, trained, first, then, tmp_path):
    shutil.copytree(trained[first], tmp_path / "run")
    with pytest.raises(ModelError, match=r"began with another config.*changed: network"):
        tiny.run(config(pairs, then), tmp_path / "run", resume=True)
    other = tmp_path / "other"
    tiny.run(config(pairs, then), other, steps=1)
    shutil.copy(trained[first] / "state.safetensors", other / "state.safetensors")
    with pytest.raises(ModelError, match="saved state does not fit this run"):
        tiny.run(config(pairs, then), other, resume=True)


def network(backbone, *, skeleton, seed=0, **changes):
    torch.manual_seed(seed)
    fields = {"backbone": f"{backbone}-nano", "head": "own", "size": (48, 32), **changes}
    own = get_skeleton(skeleton)
    bank = PoseBank(torch.rand(4, len(own.joints), 2)) if fields["head"] == "orn" else None
    return networks.build_network(Network(**fields), own, bank=bank).eval()


def saved(net, skeleton, path):
    settings = configs.parse({"train": [{"dataset": "somewhere"}]})
    checkpoint.save_weights(path, net, settings, skeleton=get_skeleton(skeleton), note="")
    return path


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_state_of_another_skeleton_is_refused(pairs, trained, backbone):
    settings, state = config(pairs, backbone), trained[backbone] / "state.safetensors"

    def step(skeleton):
        net = network(backbone, skeleton=skeleton)
        return checkpoint.load_state(
            state,
            net=net,
            ema=None,
            optimizer=optimization.make_optimizer(net, settings),
            scaler=torch.amp.GradScaler("cpu", enabled=False),
        ).step

    assert step("coco23") == STEPS  # the set's own
    with pytest.raises(ModelError, match=r"saved state does not fit this run.*Start anew"):
        step("coco17")


CHOICES = [*itertools.product(BACKBONES, ("own", "kpe")), ("hourglass", "orn")]
FEW = {("hrnet", "own"), ("vit", "own"), ("hourglass", "orn")}


@pytest.mark.parametrize(
    ("backbone", "head"),
    [pytest.param(*choice, marks=[] if choice in FEW else [MORE]) for choice in CHOICES],
)
def test_joints_of_another_skeleton_go_by_their_names(backbone, head, tmp_path):
    whole = network(backbone, skeleton="coco17", head=head)
    fewer = network(backbone, skeleton="body12", seed=1, head=head)
    differ = {
        name
        for name, tensor in whole.state_dict().items()
        if tensor.shape != fewer.state_dict()[name].shape
    } - {checkpoint.POSES}
    assert differ and differ == set(checkpoint.JOINT_AXES) & set(whole.state_dict())
    path = saved(whole, "coco17", tmp_path / "w.safetensors")
    text = checkpoint.initialize(fewer, path, skeleton=get_skeleton("body12"), poses=0)
    assert "12 of 12 joints by name from coco17" in text and "of another shape" not in text
    images = torch.rand(2, 3, 48, 32)
    with torch.inference_mode():
        ours, theirs = fewer(images).logits[0], whole(images).logits[0][:, 5:]
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ({"backbone": "resnet"}, "backbone.*pyramid.*hrnet-w32.*transformers:NAME"),
        ({"backbone": "hrnet-base"}, "backbone.*hrnet-w32"),
        ({"backbone": "vit-nano", "size": [96, 76]}, "vit nano's patch, 8 pixels.*96x76"),
        ({"backbone": "vit-base", "size": [96, 72]}, "patch, 16 pixels.*96x72"),
        ({"backbone": "hrnet-nano", "size": [98, 72]}, "height and width are multiples of 4"),
        ({"backbone": "hourglass-nano", "size": [96, 12]}, "16 at least"),
    ],
)
def test_networks_that_do_not_fit_are_refused(network, says):
    with pytest.raises(ModelError, match=says):
        configs.parse({"train": [{"dataset": "a"}], "network": network}, "run.yaml")
