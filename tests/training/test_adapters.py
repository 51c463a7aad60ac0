"""Files of other programs give the joints that their makers' own code gives: tiny networks of the
right inputs and outputs with known answers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.inference import adapters
from synthstudio.inference.adapters import bilinear, local_means, newton_peaks

RGB = stream(0, "image").integers(0, 256, (120, 160, 3), dtype=np.uint8)
BOX = np.array([[40.0, 20.0, 48.0, 64.0]])


def write_graph(path, nodes, kind, shape, outputs, constants=()):
    given = helper.make_tensor_value_info("input", kind, shape)
    values = [helper.make_tensor_value_info(k, TensorProto.FLOAT, of) for k, of in outputs.items()]
    graph = helper.make_graph(nodes, "graph", [given], values, constants)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def constant_file(path, shape, outputs):
    """A network that answers the same for every input."""
    arrays = {name: np.asarray(value, np.float32) for name, value in outputs.items()}
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))
        for name, array in arrays.items()
    ]
    shapes = {name: array.shape for name, array in arrays.items()}
    return write_graph(path, nodes, TensorProto.FLOAT, shape, shapes)


def bright_file(path, kind):
    """A network whose one joint lies at the middle, and whose score is the input's mean."""
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("scale", 1 / 255), ("place", [[[[0.5, 0.5]]]]))
    ]
    nodes = [
        helper.make_node("Cast", ["input"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "scale"], ["score"]),
        helper.make_node("Concat", ["place", "score"], ["output"], axis=3),
    ]
    return write_graph(path, nodes, kind, [1, 192, 192, 3], {"output": [1, 1, 1, 3]}, constants)


def asked(path, kind, joints, boxes=BOX, rgb=RGB):
    names = tuple(f"j{k}" for k in range(joints))
    return adapters.open_network(path, kind, names).predict(rgb, boxes)


def test_rtmpose_reads_simcc_as_mmpose_does(tmp_path):
    across, down = np.zeros((1, 2, 384)), np.zeros((1, 2, 512))
    across[0, 0, 192], down[0, 0, 256] = 0.9, 0.7  # the middle of the crop
    across[0, 1, 0], down[0, 1, 511] = 0.4, 0.8
    path = constant_file(tmp_path / "a.onnx", [1, 3, 256, 192], {"x": across, "y": down})
    found = asked(path, "rtmpose", 2)[0]
    # 80 high by 60 wide with the padding of 1.25: 256 x 192 pixels at 0.3125 a pixel.
    np.testing.assert_allclose(found[0], [64, 52, 0.7], atol=1e-6)
    np.testing.assert_allclose(found[1], [34, 12 + 79.84375, 0.4], atol=1e-5)


def test_vitpose_finds_the_middle_of_a_bell(tmp_path):
    middles = np.array([(20.3, 30.8), (9.0, 50.2), (33.4, 11.5)])
    y, x = np.mgrid[:64, :48]
    maps = np.stack([np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8) for u, v in middles])
    path = constant_file(tmp_path / "a.onnx", [1, 3, 256, 192], {"maps": maps[None]})
    found = asked(path, "vitpose", 3)[0]
    # From the first cell's middle to the last one's is the whole box, widened (UDP).
    np.testing.assert_allclose(found[:, :2], middles * [60 / 47, 80 / 63] + [34, 12], atol=0.02)
    np.testing.assert_allclose(found[:, 2], maps.reshape(3, -1).max(1), atol=1e-6)
    assert np.isnan(newton_peaks(np.zeros((1, 64, 48)))[0]).all()


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.FLOAT])
def test_movenet_sees_a_square_around_the_box(kind, tmp_path):
    path = bright_file(tmp_path / "a.onnx", kind)
    white = np.full((120, 160, 3), 255, np.uint8)
    boxes = np.array([[40.0, 20.0, 48.0, 64.0], [140.0, 40.0, 40.0, 40.0]])
    found = asked(path, "movenet", 1, boxes, white)
    np.testing.assert_allclose(found[:, 0, :2], [(64, 52), (160, 60)])
    assert found[0, 0, 2] == pytest.approx(1, abs=0.01)  # all of it inside
    assert found[1, 0, 2] == pytest.approx(0.5, abs=0.02)  # black beyond the edge
    striped = white * 0 + np.arange(160, dtype=np.uint8)[:, None] % 2
    (score,) = asked(path, "movenet", 1, rgb=striped)[0, :, 2]
    assert score * 255 < 0.1  # the fractions between stripes of 0 and 1 are cut off


def test_colours_between_pixels_and_beyond_the_edge():
    found = bilinear(RGB, np.array([3.25, -9, np.nan]), np.array([7, 500, 0.5]))
    between = [[0.75, 0.25, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0.5]] @ RGB[[7, 7, -1, 0], [3, 4, 0, 0]]
    np.testing.assert_allclose(found, between + [[0], [0], [0.5]] * RGB[1, 0], atol=1e-3)


def test_mediapipe_looks_twice_and_refines_by_its_maps(tmp_path):
    points = np.zeros((39, 5))
    points[:, :2] = 128
    points[34, 1] = 64  # above the middle by a quarter: half as large, upright
    points[0] = [192, 64, 0, np.log(3), 0]
    maps = np.full((1, 64, 64, 39), -20.0)
    outputs = {"landmarks": points.reshape(1, -1), "heat": maps}
    found = asked(constant_file(tmp_path / "a.onnx", [1, 256, 256, 3], outputs), "mediapipe", 33)[0]
    side = 1.25 * 64 * 0.25 * 2 * 1.25
    np.testing.assert_allclose(found[0], [64 + side / 4, 52 - side / 4, 0.75], atol=1e-6)
    maps[0, 17, 48:51, 0] = 20  # the mean of columns 48, 49 and 50, of row 17
    out = local_means(np.full((39, 2), (48.5 / 64, 16.5 / 64)), maps[0])
    np.testing.assert_allclose(out[0], [49 / 64, 17 / 64], atol=1e-6)
    np.testing.assert_allclose(out[1], [48.5 / 64, 16.5 / 64])


@pytest.mark.parametrize("end_to_end", [False, True])
def test_ultralytics_gives_each_box_its_person(end_to_end, tmp_path):
    # 160x120 in 320x320: twice as large, 40 rows of grey above. J = 2.
    rows = []
    for x, y, score in ((64, 52, 0.9), (65, 52, 0.8), (110, 60, 0.6)):
        box = [2 * x, 2 * y + 40, 96, 128]
        joints = [2 * x, 2 * y + 40, 0.7, -10, 60, 0.2]
        if end_to_end:
            box = [box[0] - 48, box[1] - 64, box[0] + 48, box[1] + 64]
            rows.append([*box, score, 0, *joints])
        else:
            rows.append([*box, score, *joints])
    table = np.array(rows)[None] if end_to_end else np.array(rows).T[None]
    if not end_to_end:
        table = np.concatenate([table, np.zeros((1, 11, 90))], 2)
    path = constant_file(tmp_path / "a.onnx", [1, 3, 320, 320], {"output0": table})
    model = onnx.load(path)
    model.metadata_props.add(key="kpt_shape", value="[2, 3]")
    onnx.save(model, path)
    boxes = np.concatenate([BOX, [[90.0, 30.0, 40.0, 60.0]], [[0.0, 0.0, 10.0, 10.0]]])
    found = asked(path, "ultralytics", 2, boxes)
    np.testing.assert_allclose(found[0], [[64.5, 52.5, 0.7], [0.5, 10.5, 0.2]], atol=1e-5)
    np.testing.assert_allclose(found[1, 0], [110.5, 60.5, 0.7], atol=1e-5)
    assert np.isnan(found[2]).all()


@pytest.mark.parametrize("maps", [False, True])
def test_a_file_by_the_plain_contract(maps, tmp_path):
    value = np.array([[[96, 128, 0.3], [0, 0, 0.6]]], np.float32)
    if maps:
        value = np.zeros((1, 2, 64, 48), np.float32)
        value[0, 0, 32, 24], value[0, 0, 32, 23], value[0, 1, 0, 0] = 0.3, 0.2, 0.6
    path = constant_file(tmp_path / "a.onnx", [1, 3, 256, 192], {"y": value})
    found = asked(path, "onnx", 2)[0]
    off = 0.25 * 60 / 48 if maps else 0  # half a cell right, a quarter left
    down = 0.5 * 60 / 48 if maps else 0
    np.testing.assert_allclose(found[0], [64 + off, 52 + down, 0.3], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "shape", "outputs", "message"),
    [
        ("rtmpose", [1, 3, 256, 192], {"maps": np.zeros((1, 17, 64, 48))}, "simcc_x"),
        (
            "vitpose",
            [1, 3, 256, 192],
            {"a": np.zeros((1, 17)), "b": np.zeros((1, 2))},
            "one output",
        ),
        ("movenet", [1, 3, 256, 192], {"a": np.zeros((1, 1, 17, 3))}, "an input"),
        ("movenet", [1, 192, 192, 3], {"a": np.zeros((1, 6, 56))}, "an output"),
        ("mediapipe", [1, 256, 256, 3], {"a": np.zeros((1, 195))}, "195 numbers"),
        ("ultralytics", [1, 3, 320, 320], {"a": np.zeros((1, 1, 17, 3))}, "an output"),
        ("onnx", ["b", 3, "h", "w"], {"a": np.zeros((1, 17, 2))}, "of a fixed size"),
        ("onnx", [1, 3, 64, 48], {"a": np.zeros((1, 17, 2))}, "in pixels"),
        ("onnx", [1, 3, 64, 48], {"a": np.ones((1, 11, 3)) * 9}, "the file's joint order"),
    ],
)
def test_files_of_another_kind_are_refused(kind, shape, outputs, message, tmp_path):
    path = constant_file(tmp_path / "a.onnx", shape, outputs)
    with pytest.raises(ModelError, match=message):
        adapters.open_network(path, kind).predict(RGB, BOX)


@pytest.mark.parametrize("write", [lambda p: p.write_bytes(b"x" * 99), lambda p: None])
@pytest.mark.parametrize("name", ["a.onnx", "a.pt"])
def test_what_is_no_network_is_refused(name, write, tmp_path):
    write(tmp_path / name)
    with pytest.raises(ModelError):
        adapters.open_network(tmp_path / name, "movenet")
