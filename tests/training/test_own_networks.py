"""A network of one's own: in our loop, in a loop of one's own, and behind the pose bank."""

import numpy as np
import pytest
import tiny
import torch
from torch import nn

import synthstudio as ss
from synthstudio.core.errors import ArgumentError, ModelError, SynthStudioError
from synthstudio.models import external_backbones as external
from synthstudio.models.heatmaps import gaussian_map
from synthstudio.training import devices, trainer
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches as making

SIZE = (48, 36)


class Backbone(nn.Module):
    """Two maps, of strides 4 and 8."""

    def __init__(self):
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU())
        self.high = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())

    def forward(self, images):
        low = self.low(images)
        return [low, self.high(low)]


def fields(data, **changes):
    return tiny.config(data, steps=2, val=[], **changes).model_dump(mode="json")


def test_a_module_is_trained_evaluated_exported_and_loaded(pairs, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    module = Backbone()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    model = ss.train(fields(pairs), tmp_path / "run", model=module, progress=False)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())  # a copy learns
    net = model.net
    assert not torch.equal(net.features.net.low[0].weight, before["low.0.weight"])
    judged = ss.evaluate(model, pairs, out=tmp_path / "judged", device="cpu", progress=False)
    assert len(judged.predictions) > 10 and judged.about["block"].startswith("given:Backbone, ORN")
    model.export(tmp_path / "net.onnx")
    data = ss.Dataset(pairs)
    exported = ss.Model.load(tmp_path / "net.onnx", device="cpu")
    image, boxes = data[0].image, data[0].people.amodal_boxes_px
    ours, theirs = (m.predict(image, boxes=boxes) for m in (model, exported))
    assert np.allclose(ours.joints_px, theirs.joints_px, atol=0.05)
    asked = []
    load = external._load
    monkeypatch.setattr(external, "_load", lambda request: asked.append(request) or load(request))
    begun = fields(pairs) | {"init_from": str(tmp_path / "run")}
    ss.train(begun, tmp_path / "more", model=Backbone(), progress=False)
    assert not asked[0].published  # nothing is downloaded that the file holds
    external._GIVEN.clear()  # as in another process
    with pytest.raises(ModelError, match="the module that this network"):
        ss.Model.load(tmp_path / "run", device="cpu")
    again = ss.Model.load(tmp_path / "run", device="cpu", model=Backbone())
    assert np.array_equal(again.predict(image, boxes=boxes).joints_px, ours.joints_px)
    with pytest.raises(ArgumentError, match="module in this process"):
        ss.train(fields(pairs), tmp_path / "no", model="resnet18")


def test_batches_are_those_of_training(pairs, tmp_path):
    source = {"dataset": str(pairs), "variants": ["base"]}
    given = ss.batches(
        source, size=SIZE, augment={"paste": 0.5}, batch=8, steps=5, seed=3, cache=tmp_path
    )
    config = tiny.config(pairs, seed=3, augment={"paste": 0.5}, val=[])
    data = tiny.loaded(config, tmp_path)
    assert len(list(given)) == len(given) == 5
    for step, (batch, again) in enumerate(zip(given, given, strict=True)):
        epoch, at = divmod(step, len(data) // 8)
        order = data.train.epoch_order(3, epoch)
        rows = trainer.batch_rows(config, order, at, devices.ALONE)
        spec = making.InputSpec(size=config.network.size, skeleton=data.skeleton)
        made = making.make_batch(data.train.crops, rows, spec, config.augment, seed=3, step=step)
        for one in (batch, again):
            assert torch.equal(one.images, made.images)
            assert torch.equal(one.labels.xy.nan_to_num(), made.labels.xy.nan_to_num())
    plain = next(iter(ss.batches(str(pairs), size=SIZE, augment=False, batch=4)))
    crops, windows = given.cut_out(ss.Dataset(pairs)[0].image, [[5, 5, 20, 30]])
    assert plain.images.shape == (4, 3, *SIZE) and crops.shape == (1, 3, *SIZE)
    assert windows.tolist()[0][2] / windows.tolist()[0][3] == pytest.approx(SIZE[1] / SIZE[0])
    assert NO_AUGMENTATION.flip == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda data: ss.batches(5), "invalid source of people"),
        (lambda data: ss.batches({"recipe": "a.yaml", "moments": 3}), "held in memory.*a.yaml"),
        (lambda data: ss.batches(data, augment={"past": 1}), "Did you mean paste"),
        (lambda data: ss.batches(data, size=(50, 36)), "multiples of 4"),
        (lambda data: ss.batches(data, size=7), "network.size"),
        (lambda data: ss.with_bank(np.zeros((2, 3, 4)), np.zeros((1, 3, 2))), "not heat maps"),
        (lambda data: ss.with_bank(-np.ones((1, 3, 4, 4)), np.zeros((1, 3, 2))), "softmax"),
        (lambda data: ss.with_bank(np.ones((1, 3, 4, 4)), np.zeros((1, 2, 2))), "joints of poses"),
    ],
)
def test_what_does_not_fit_is_one_message(call, says, pairs):
    with pytest.raises(SynthStudioError, match=says):
        call(str(pairs))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_the_bank_finds_the_joint_that_no_map_shows(kind):
    torch.manual_seed(0)
    poses = torch.rand(50, 6, 2) * 0.8 + 0.1
    maps = gaussian_map(poses[7:8] * torch.tensor([18, 24]), 24, 18)
    maps[0, 2] = 1 / (24 * 18)  # hidden: it may be anywhere
    found = ss.with_bank(kind(maps.numpy()), kind(poses.numpy()))
    assert type(found) is type(kind(maps.numpy()))
    joined = torch.as_tensor(found)
    assert torch.allclose(joined.sum((2, 3)), torch.ones(1, 6), atol=1e-4)
    row, column = divmod(int(joined[0, 2].argmax()), 18)
    there = poses[7, 2] * torch.tensor([18, 24])
    assert (torch.tensor([column + 0.5, row + 0.5]) - there).abs().max() < 1.5
