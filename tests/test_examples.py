"""Files of examples/: all they use exists; nightly, each runs with small numbers."""

import importlib
import json
import os

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from printed import ROOT, check_python
from programs import python

EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*"))
# What each one takes, besides the data set of the first, and what it leaves below exports/.
SMALL = {
    "02_hard_frames_to_coco.py": ("", ["hard-coco/annotations", "hard-coco-imported"]),
    "03_torch_training_loop.py": ("--steps 5", ["own-loop/report.html"]),
    "04_own_photos_occluded.py": ("--photos 3 --each 2", ["own-photos/dataset.json"]),
    "05_own_occluders.py": ("--frames 4", ["own-occluders/dataset.json"]),
    "06_orn_after_own_backbone.py": ("--steps 3", []),
    "07_arrow_pandas.py": ("", ["joints.parquet"]),
    "09_own_place.py": ("--frames 4", ["own-place/dataset.json"]),
    "10_occlude_in_ultralytics.py": ("--size 160", ["occluded-yolo"]),
    "11_occlude_in_mmpose.py": ("", []),
    "12_ultralytics.py": ("--size 96", ["yolo-judged/report.html"]),
    "13_mmpose.py": ("", ["mm-judged/report.html"]),
    "14_vitpose_trainer.py": ("--steps 2", ["vitpose-judged/report.html"]),
    "15_keypoint_rcnn.py": ("--steps 2 --size 96", ["rcnn-judged/report.html"]),
    "16_teach_an_onnx.py": (
        "--model exports/net.onnx --first images --last maps --size 96 72 --steps 2",
        ["teach.onnx", "teach-judged/report.html"],
    ),
}
NEEDS = dict.fromkeys(("10_occlude_in_ultralytics.py", "12_ultralytics.py"), "ultralytics")
NEEDS |= dict.fromkeys(("11_occlude_in_mmpose.py", "13_mmpose.py"), "mmpose")
NEEDS |= {"14_vitpose_trainer.py": "accelerate", "15_keypoint_rcnn.py": "torchvision"}
NEEDS |= {"16_teach_an_onnx.py": "onnx2torch"}
OUTSIDE = ("ultralytics", "mmcv", "mmengine", "mmpose", "torchvision", "onnx2torch")
WHY = "a minute and more of processes; quick tests check all that an example calls"


def run(*command, folder):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "JUPYTER_PLATFORM_DIRS": "1"}
    done = python(*command, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def first(once):
    """The folder in which the first example ran. Read only."""

    def make(folder):
        (folder / "scenes").symlink_to(ROOT / "scenes")
        output = run(ROOT / "examples" / "01_first_dataset.py", "--frames", "16", folder=folder)
        assert "16 frames with 32 people" in output and "hidden by object" in output
        assert "within the goals" in output
        assert (folder / "exports" / "first-frame.png").is_file()

    return once("examples", make)


@pytest.fixture
def folder(first, tmp_path):
    (tmp_path / "scenes").symlink_to(ROOT / "scenes")
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "first").symlink_to(first / "exports" / "first")
    shapes = {"images": ("B", 3, 96, 72), "maps": ("B", 17, 24, 18)}
    ends = [[helper.make_tensor_value_info(name, 1, shape)] for name, shape in shapes.items()]
    weights = numpy_helper.from_array(np.full((17, 3, 7, 7), 0.01, np.float32), "weights")
    layer = helper.make_node("Conv", ["images", "weights"], ["maps"], strides=[4, 4], pads=[3] * 4)
    net = helper.make_model(helper.make_graph([layer], "net", *ends, [weights]))
    net.opset_import[0].version = 13
    onnx.save(net, tmp_path / "exports" / "net.onnx")
    return tmp_path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_what_an_example_uses_exists(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
    check_python(text, {}, not_here=OUTSIDE)
    options, _ = SMALL.get(path.name, ("", []))
    assert all(f'"{word}"' in text for word in options.split() if word.startswith("--"))


@pytest.mark.nightly(WHY)
@pytest.mark.parametrize("name", SMALL)
def test_it_runs(name, folder):
    if name in NEEDS:
        try:
            importlib.import_module(NEEDS[name])
        except Exception as error:  # not installed, or for another PyTorch
            pytest.skip(f"{NEEDS[name]} cannot be imported: {error}")
    options, left = SMALL[name]
    output = run(ROOT / "examples" / name, *options.split(), folder=folder)
    assert output and "NOT agree" not in output
    for file in left:
        assert (folder / "exports" / file).exists(), file


@pytest.mark.nightly(WHY)
def test_the_notebook_runs(folder):
    (folder / "examples").mkdir()
    path = folder / "examples" / "08_notebook.ipynb"
    path.write_bytes((ROOT / "examples" / path.name).read_bytes())
    run("-m", "jupyter", "execute", "--inplace", path, folder=folder)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = [output for cell in cells for output in cell.get("outputs", [])]
    html = "".join("".join(out.get("data", {}).get("text/html", "")) for out in shown)
    assert "data:image/jpeg;base64," in html and "occluded_fraction" in html
