"""Exported networks answer as the trained ones do, elsewhere too, and bad files say why not."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from command_line import run_json
from waiting import PATIENCE_S

import synthstudio as ss
from synthstudio.core.errors import ArgumentError, DeviceError, ModelError
from synthstudio.core.images import encode_png
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.skeleton import get_skeleton
from synthstudio.inference import export as exporting
from synthstudio.inference.model_files import OnnxModel
from synthstudio.inference.networks import network_predictor
from synthstudio.models import packaged
from synthstudio.training import config as configs
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.crops import crop_kind
from synthstudio.training.data.samples import load_dataset
from synthstudio.training.networks import build

BATCHES = (1, 5, 64)
WITH = {"orn": {}, "flip": {"flip": True, "floats": True}, "kpe": {}}
MORE = pytest.mark.nightly("each export takes seven seconds")
NAMES = [pytest.param(name, marks=[] if name == "orn" else [MORE]) for name in WITH]


@pytest.fixture(scope="module")
def exported(learnt, once):
    def make(name, folder):
        model = ss.Model.load(learnt / ("kpe" if name == "kpe" else "orn"), device="cpu")
        model.export(folder / "model.onnx", **WITH[name])

    def export(name):
        if name == "orn":
            return learnt / "orn.onnx"
        return once(f"{name}.onnx", functools.partial(make, name)) / "model.onnx"

    return export


@pytest.fixture(scope="module")
def crops(pairs, tmp_path_factory):
    """Crops (64, 48, 36, 3) of rendered people, each several times in other colours."""
    cache = tmp_path_factory.mktemp("crops")
    taken = load_dataset(pairs, crop_kind(size=(48, 36)), cache=cache).samples
    spec = InputSpec(size=(48, 36), skeleton=get_skeleton("coco23"))
    rows = np.arange(len(taken))
    images = batches.make_batch(taken, rows, spec, NO_AUGMENTATION).images.numpy()
    several = np.concatenate([np.roll(images, k, 1) for k in range(3)] * 3)[:64]
    assert len(several) == 64
    return np.ascontiguousarray(several.transpose(0, 2, 3, 1))


def far_apart(model, ours, theirs, crops, *, flip=False):
    """The largest distance in pixels, but of joints of which the scores' difference decides which
    of two cells is the likelier; hardly any are so."""
    whole = exporting.WithDecoder(model.net, model.skeleton, flip=flip)
    with torch.inference_mode():
        leads = whole.leads(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy())).numpy()
    sure = leads > 2 * np.abs(ours.score - theirs.score).max()
    assert sure.mean() > 0.995
    return float(np.abs(ours.xy - theirs.xy)[sure].max())


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_pytorch(learnt, exported, crops, name):
    model = ss.Model.load(learnt / ("kpe" if name == "kpe" else "orn"), device="cpu")
    ask = network_predictor(model.net, model.skeleton, flip=name == "flip")
    network = OnnxModel.load(exported(name), device="cpu")
    assert network.size == (48, 36) and network.flip == (name == "flip")
    for count in BATCHES:
        ours, theirs = ask(crops[:count]), network(crops[:count])
        assert far_apart(model, ours, theirs, crops[:count], flip=name == "flip") < 0.01
        for field in ("score", "visibility_fractions", "quality", "present"):
            mine, its = getattr(ours, field), getattr(theirs, field)
            assert (np.isnan(mine) == np.isnan(its)).all()
            assert np.isnan(mine).all() == (name == "kpe" and field != "score")
            assert np.nan_to_num(np.abs(mine - its)).max() < 1e-4
    spread = ask(crops).xy.std(0).mean()
    assert spread > 0.3  # pixels: the answers are not the same for everybody
    plain = network_predictor(model.net, model.skeleton)(crops)
    assert (np.abs(plain.xy - network(crops).xy).mean() > 0.01) == (name == "flip")


def test_causes_and_visibility_are_in_the_file(learnt, crops):
    exported = OnnxModel.load(learnt / "orn.onnx", device="cpu")
    found = exported.run(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
    assert set(found) == {
        "joints", "score", "present", "visibility_fractions", "visibility", "cause", "expected_oks"
    }  # fmt: skip
    assert np.allclose(found["visibility_fractions"].sum(-1), 1, atol=1e-5)
    assert (found["visibility"] == found["visibility_fractions"][..., 0]).all()
    people = exported(crops)
    for b in range(8):
        for j in range(len(exported.skeleton.joints)):
            fractions, present = people.visibility_fractions[b, j], people.present[b, j]
            cause = "truncated" if present < 0.5 else VISIBILITY[0]
            if cause != "truncated" and fractions[0] < 0.5:
                cause = VISIBILITY[1 + int(fractions[1:].argmax())]
            assert VISIBILITY[found["cause"][b, j]] == cause


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_valid_and_says_what_it_is(exported, name):
    model = onnx.load(exported(name))
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == exporting.OPSET
    facts = {entry.key: entry.value for entry in model.metadata_props}
    skeleton = get_skeleton(facts["skeleton"])
    assert json.loads(facts["joints"]) == list(skeleton.joints)
    assert json.loads(facts["sigmas"]) == pytest.approx(skeleton.sigmas)
    assert json.loads(facts["size"]) == [48, 36]
    assert json.loads(facts["causes"]) == list(VISIBILITY)
    assert facts["version"] == ss.__version__
    wide = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT64]
    assert all(np.prod(t.dims) < 4096 for t in wide)
    narrow = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT16]
    assert narrow  # weights in 16 bits


GATE = """
import sys
class Gate:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "synthstudio", "scipy", "onnx", "pandas", "cv2"):
            raise ImportError("not in this environment: " + name)
sys.meta_path.insert(0, Gate())
"""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"


def test_the_page_s_script_runs_it_with_onnxruntime_numpy_and_pillow_alone(learnt, pairs, tmp_path):
    frame = ss.Dataset(pairs)[0]
    picture = tmp_path / "frame.png"
    picture.write_bytes(encode_png(frame.image))
    script = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    person = frame.people.amodal_boxes_px[0]
    words = [GATE + script, learnt / "orn.onnx", picture, *person]
    command = [sys.executable, "-I", "-c", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in found] == list(get_skeleton("coco23").joints)
    assert {line[3] for line in found} <= set(VISIBILITY)
    ours = ss.predict(learnt / "orn", frame.image, boxes=[person]).joints_px[0]
    theirs = np.array([[float(line[1]), float(line[2])] for line in found])
    apart = np.linalg.norm(ours - theirs, axis=1)  # printed with one digit
    assert np.median(apart) < 0.1 and np.quantile(apart, 0.8) < 1


def test_the_network_of_the_package(learnt, pairs, tmp_path, monkeypatch):
    """A wheel holds it; a checkout whose network was not trained says what to do."""
    installed = packaged.WEIGHTS
    monkeypatch.setattr(packaged, "WEIGHTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no packaged network.*make model"):
        ss.Model.load("default")
    (tmp_path / packaged.ONNX).write_bytes((learnt / "orn.onnx").read_bytes())
    (tmp_path / packaged.FINDER).write_bytes((installed / packaged.FINDER).read_bytes())
    picture = tmp_path / "photo.png"
    picture.write_bytes(encode_png(ss.Dataset(pairs)[0].image))
    found = run_json("predict", picture)
    assert found["people"] >= 1  # whom the detector finds, or the whole picture
    assert (tmp_path / "photo-people" / "results.json").is_file()


def test_a_program_of_pytorch(learnt, crops, tmp_path):
    model = ss.Model.load(learnt / "kpe", device="cpu")
    made = model.export(tmp_path / "kpe.pt2", format="torch")
    assert made["joints_px"] < 0.01
    facts = {"size": "", "outputs": "", "skeleton": ""}
    program = torch.export.load(tmp_path / "kpe.pt2", extra_files=facts).module()
    assert json.loads(facts["outputs"]) == ["joints", "score"]
    images = torch.from_numpy(np.ascontiguousarray(crops[:7].transpose(0, 3, 1, 2)))
    with torch.inference_mode():
        joints, _ = program(images)
    assert np.abs(joints.numpy() - model.predictor()(crops[:7]).xy).max() < 0.01


def test_what_an_exported_network_cannot_do(learnt, pairs, tmp_path):
    model = ss.Model.load(learnt / "orn.onnx", device="cpu")
    assert "onnx" in repr(model) and model.size == (48, 36)
    with pytest.raises(ArgumentError, match=r"no flip.*`flip`"):
        model.predict(pairs, flip=True)
    with pytest.raises(ArgumentError, match="no peaks"):
        model.predictor(peaks=2)
    with pytest.raises(ModelError, match="exported already"):
        model.export(tmp_path / "again.onnx")
    with pytest.raises(DeviceError, match="no CUDA"):
        ss.Model.load(learnt / "orn.onnx", device="cuda")


def _changed(path, out, change):
    model = onnx.load(path)
    change(model)
    out.write_bytes(model.SerializeToString())
    return out


def fact(**values):
    def change(model):
        for entry in model.metadata_props:
            entry.value = values.get(entry.key, entry.value)

    return change


def outside(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "cannot be read"),
        (lambda model: model.metadata_props.__delitem__(slice(None)), "not a pose network"),
        (fact(format="other 9"), "not a pose network"),
        *((fact(size=size), "lack the input size")
          for size in ("x", "[96]", "[1e400, 4]", '["96", "72"]', "[true, 72]", "[" * 9000)),
        (fact(size="[96, 72]"), "contradict its metadata"),
        (fact(skeleton="cow9"), "unknown skeleton"),
        (fact(skeleton="coco17"), "unknown skeleton"),
        (outside, "cannot load"),
        (5000, r"cannot load.*export-model"),
        (0, "cannot load"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(change, says, learnt, tmp_path):
    """Changed ones, and those that are cut off."""
    good, bad = learnt / "orn.onnx", tmp_path / "bad.onnx"
    if callable(change):
        _changed(good, bad, change)
    elif change is not None:
        bad.write_bytes(good.read_bytes()[:change])
    with pytest.raises(ModelError, match=says):
        OnnxModel.load(bad, device="cpu")


def test_answers_that_are_no_numbers(learnt, crops, tmp_path):
    def poison(model):
        for tensor in model.graph.initializer:
            values = onnx.numpy_helper.to_array(tensor)
            if values.ndim == 4 and values.dtype == np.float32:
                values = np.full_like(values, np.nan)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    broken = OnnxModel.load(_changed(learnt / "orn.onnx", tmp_path / "nan.onnx", poison))
    with pytest.raises(ModelError, match="not finite"):
        broken(crops[:2])


def test_a_file_that_answers_otherwise_is_not_written(learnt, tmp_path, monkeypatch):
    model = ss.Model.load(learnt / "kpe", device="cpu")
    monkeypatch.setattr(exporting, "_apart", lambda *_: (0.2, 0.0))
    with pytest.raises(ModelError, match="differ from the trained"):
        model.export(tmp_path / "off.pt2", format="torch")
    assert not list(tmp_path.iterdir())


@pytest.mark.nightly("exports other networks, ten seconds each")
@pytest.mark.parametrize(("backbone", "gain"), [("hrnet", 20), ("hourglass", 20), ("vit", 3)])
def test_other_systems_are_exported(backbone, gain, tmp_path):
    """Parity is checked before the file is written, of maps with peaks: flat ones are not compared,
    and of many cells that are equally high any may be the highest."""
    torch.manual_seed(0)
    asked = {
        "train": [{"dataset": "x"}],
        "network": {"backbone": f"{backbone}-nano", "head": "own"},
    }
    network, skeleton = configs.parse(asked).network, get_skeleton("coco17")
    net = build(network, skeleton)
    with torch.no_grad():
        for parameter in net.block.parameters():
            parameter.mul_(gain)
    about = exporting.Info(size=network.size, name="a", version="1")
    made = exporting.export_onnx(net, skeleton, tmp_path / "a.onnx", about)
    assert 0 < made.joints_px < exporting.LIMITS["int16"][0]


def test_a_network_that_values_steer_cannot_be_exported():
    class Odd(torch.nn.Module):
        def forward(self, images):
            return images if images.sum() > 0 else images[:, :1]

    with pytest.raises(ModelError, match=r"cannot be exported.*torch.export can follow; got \w+:"):
        exporting.program_of(Odd(), torch.ones(2, 3, 8, 8), ["maps"], {})
