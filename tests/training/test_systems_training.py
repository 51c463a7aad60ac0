"""Every system is trained, goes on, answers and is evaluated; weights of another start it."""

import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

import synthstudio as ss
from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import SKELETONS, get_skeleton
from synthstudio.models.pose_bank import PoseBank
from synthstudio.training import checkpoint, optimization
from synthstudio.training import config as configs
from synthstudio.training.config import Network
from synthstudio.training.loop import train
from synthstudio.training.networks import build

BACKBONES = ("hrnet", "hourglass", "vit")
STEPS = 2
MORE = pytest.mark.nightly("combinations of parts that are tested one by one each time")


def config(pairs, backbone, block="own", **changes):
    network = {"backbone": f"{backbone}-nano", "head": block, "size": [48, 32]}
    network |= changes.pop("network", {})
    fields = {"steps": STEPS, "augment": tiny.STILL, "save_every": 50}
    fields |= {"lr": 2e-3 if backbone == "vit" else 5e-3, "val": []}
    return tiny.config(pairs, network=network, **fields | changes)


@pytest.fixture(scope="module")
def trained(pairs, once):
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
    said = []
    settings = config(pairs, then, steps=1, init_from=str(trained[first] / "best.safetensors"))
    train(settings, tmp_path / "run", cache=tmp_path / "cache", log=said.append)
    report = "\n".join(said)
    assert "no backbone weights: the file has another backbone" in report
    assert "not in the file: features." in report and "not used: " in report
    said.clear()
    again = config(pairs, first, steps=1, init_from=settings.init_from)
    train(again, tmp_path / "again", cache=tmp_path / "cache", log=said.append)
    assert "no backbone weights" not in "\n".join(said)  # the control
    assert "not in the file" not in "\n".join(said)


@pytest.mark.parametrize(("first", "then"), [("vit", "hourglass")])
def test_a_run_of_another_system_is_not_resumed(pairs, trained, first, then, tmp_path):
    shutil.copytree(trained[first], tmp_path / "run")
    with pytest.raises(ModelError, match=r"the run has another config.*changed: network"):
        tiny.run(config(pairs, then), tmp_path / "run", resume=True)
    other = tmp_path / "other"
    tiny.run(config(pairs, then), other, steps=1)
    shutil.copy(trained[first] / "state.safetensors", other / "state.safetensors")
    with pytest.raises(ModelError, match="saved state is incompatible with this run"):
        tiny.run(config(pairs, then), other, resume=True)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_state_of_another_skeleton_is_refused(pairs, trained, backbone):
    settings, state = config(pairs, backbone), trained[backbone] / "state.safetensors"

    def step(skeleton):
        net = build(settings.network, get_skeleton(skeleton))
        run = SimpleNamespace(
            net=net,
            ema=None,
            optimizer=optimization.make_optimizer(net, settings),
            scaler=torch.amp.GradScaler("cpu", enabled=False),
            progress=None,
        )
        checkpoint.load_state(state, run)
        return run.progress.step

    assert step("coco23") == STEPS  # the set's own
    with pytest.raises(ModelError, match=r"saved state is incompatible with this run.*Start again"):
        step("coco17")


# Weights learnt with one skeleton start a network of another: joints go by their names.


COCO, BODY = SKELETONS["coco17"], get_skeleton("body12")
FACE = 5


def network(skeleton, *, block, poses=0, seed=0, backbone="pyramid"):
    torch.manual_seed(seed)
    given = PoseBank(torch.rand(poses, len(skeleton.joints), 2)) if poses else None
    bank = given if block == "orn" else None
    small = Network(head=block, size=(48, 36), widths=(8, 12), width=16)
    if backbone != "pyramid":
        small = Network(head=block, size=(48, 32), backbone=f"{backbone}-nano")
    net = build(small, skeleton, bank=bank)
    for tensor in net.state_dict().values():
        if tensor.dtype.is_floating_point and tensor.ndim:
            tensor.add_(0.1 * torch.rand_like(tensor))  # the refiner's last layer begins at 0
    return net.eval()


def settings():
    return configs.parse({"train": [{"dataset": "somewhere"}]})


def saved(net, skeleton, path):
    checkpoint.save_weights(path, net, settings(), skeleton=skeleton, note="")
    return path


CHOICES = [*itertools.product(("hrnet", "hourglass", "vit"), ("own", "kpe")), ("hourglass", "orn")]
FEW = {("hrnet", "own"), ("vit", "own"), ("hourglass", "orn")}


@pytest.mark.parametrize(
    ("backbone", "block", "poses"),
    [("pyramid", "kpe", 0), ("pyramid", "orn", 0), ("pyramid", "orn", 6)]
    + [pytest.param(*c, 4, marks=[] if c in FEW else [MORE]) for c in CHOICES],
)
def test_the_common_joints_are_answered_as_before(backbone, block, poses, tmp_path):
    """And every tensor that has a part for each joint is known as such."""
    whole = network(COCO, backbone=backbone, block=block, poses=poses)
    fewer = network(BODY, backbone=backbone, block=block, poses=poses, seed=1)
    a, b = whole.state_dict(), fewer.state_dict()
    differ = {name for name in a if a[name].shape != b[name].shape}
    bank = {checkpoint.POSES} if poses and block == "orn" else set()
    assert differ == (set(checkpoint.JOINT_AXES) & set(a)) | bank
    path = saved(whole, COCO, tmp_path / "w.safetensors")
    images = torch.rand(2, 3, 48, 36 if backbone == "pyramid" else 32)
    with torch.inference_mode():
        before, other = whole(images).logits[0][:, FACE:], fewer(images).logits[0]
        assert not torch.allclose(before, other, atol=1e-3)
        text = checkpoint.initialize(fewer, path, skeleton=BODY, poses=0)
        after = fewer(images).logits[0]
    assert torch.allclose(before, after, atol=1e-5)
    assert "12 of 12 joints by name from coco17" in text
    assert "of another shape" not in text and "not in the file" not in text


@pytest.mark.parametrize("poses", [0, 6])
def test_the_refiner_reads_each_joint_from_its_own_map(poses, tmp_path):
    whole = network(COCO, block="orn", poses=poses)
    fewer = network(BODY, block="orn", poses=poses, seed=1)
    checkpoint.initialize(
        fewer, saved(whole, COCO, tmp_path / "w.safetensors"), skeleton=BODY, poses=poses
    )
    name = "block.refiner.maps.weight"
    theirs, ours = whole.state_dict()[name], fewer.state_dict()[name]
    kept = [0]  # the cover
    for k in range(2 if poses else 1):
        kept += [1 + 17 * k + FACE + j for j in range(12)]
    assert torch.equal(ours, theirs[:, kept])


def test_joints_that_the_file_does_not_know_stay_as_they_were(tmp_path):
    fewer, whole = network(BODY, block="kpe"), network(COCO, block="kpe", seed=1)
    before = whole.state_dict()["block.maps.weight"].clone()
    text = checkpoint.initialize(
        whole, saved(fewer, BODY, tmp_path / "w.safetensors"), skeleton=COCO, poses=0
    )
    after = whole.state_dict()["block.maps.weight"]
    assert torch.equal(after[:FACE], before[:FACE])
    assert torch.equal(after[FACE:], fewer.state_dict()["block.maps.weight"])
    assert "new: nose, left_eye" in text


def test_the_bank_keeps_its_poses_and_is_filled_up(tmp_path):
    whole = network(COCO, block="orn", poses=6)
    fewer = network(BODY, block="orn", poses=2, seed=1)
    own = fewer.state_dict()[checkpoint.POSES].clone()
    path = saved(whole, COCO, tmp_path / "w.safetensors")
    fewer.block.bank.sharpness = 1.1
    checkpoint.initialize(fewer, path, skeleton=BODY, poses=5)
    assert fewer.block.bank.sharpness == 1.1  # as the config says, not the usual one
    found = fewer.state_dict()[checkpoint.POSES]
    assert found.shape == (5, 12, 2) and torch.equal(found[:2], own)
    assert torch.equal(found[2:], whole.state_dict()[checkpoint.POSES][:3, FACE:])
    checkpoint.initialize(fewer, path, skeleton=BODY, poses=5)  # full: nothing is added
    assert torch.equal(fewer.state_dict()[checkpoint.POSES], found)


@pytest.mark.parametrize("lacks", [False, True])
def test_a_file_that_lacks_joints_gives_no_places_in_3d(lacks, tmp_path):
    ours, theirs = (COCO, BODY) if lacks else (BODY, COCO)
    net, other = network(ours, block="orn", poses=2), network(theirs, block="orn", poses=4, seed=1)
    for of, skeleton in ((net, ours), (other, theirs)):
        poses = of.get_buffer("block.bank.poses")
        places = torch.rand(len(poses), len(skeleton.joints), 3)
        of.get_submodule("block").bank = PoseBank(poses, places)
    checkpoint.initialize(
        net, saved(other, theirs, tmp_path / "w.safetensors"), skeleton=ours, poses=6
    )
    bank = net.get_submodule("block.bank")
    assert len(bank.poses) == 6
    if lacks:  # a place of (-1, -1, -1) metres would be mixed into what is said of the joint
        assert bank.xyz_m is None
    else:
        assert float(bank.xyz_m.min()) >= 0
