"""Networks of other programs are evaluated: results files of any order of joints, and callables."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from command_line import run
from own_skeleton_sets import VIEWER
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import synthstudio as ss
from synthstudio.core.errors import ArgumentError, FormatError, ModelError
from synthstudio.core.rng import stream
from synthstudio.formats.coco.results import ORDERS, numbers_in, order_of


def results(data, order="coco17", **more):
    """The truth as COCO results in an order of joints, hidden joints 40 px off."""
    out = []
    for index in range(len(data)):
        people = data[index].people
        names = [*data.skeleton.joints]
        for row in range(len(people)):
            flat = []
            for name in ORDERS[order].joints:
                if name not in names:
                    flat += [5, 5, 0.5]
                    continue
                j = names.index(name)
                off = 40 if people.state[row, j] == 1 else 0
                flat += [*(people.joints_px[row, j] - 0.5 + off), 0.9]
            out.append({"image_id": index, "category_id": 1, "keypoints": flat, "score": 1} | more)
    return out


def written(folder, value):
    path = folder / "results.json"
    path.write_text(json.dumps(value))
    return path


@pytest.fixture(scope="session")
def data(sticks):
    return ss.Dataset(next(path.parent for path in sticks.rglob("index.json")))


@pytest.mark.parametrize("order", ["coco17", "mediapipe33", "halpe136"])
def test_a_results_file_is_judged_as_a_run_is(order, data, tmp_path):
    path = written(tmp_path, results(data, order))
    made = ss.evaluate(predictions=path, dataset=data, out=tmp_path / "out", progress=False)
    places = made.metrics["localization"]
    assert places["visible"]["PCK@0.1"]["value"] == 1
    assert places["hidden"]["PCK@0.1"]["value"] < 0.5
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_command_and_the_comparison_of_two_files(data, tmp_path):
    good, worse = tmp_path / "good", tmp_path / "worse"
    for folder, drop in ((good, 0), (worse, 3)):
        folder.mkdir()
        path = written(folder, results(data)[drop:])
        run("evaluate", "--predictions", path, data.path, "--json", "--out", folder / "out")
    run("compare", good / "out", worse / "out")
    kept = json.loads((worse / "out" / "metrics.json").read_text())["about"]["notes"]
    assert kept == ["3 of 18 people have no prediction: all joints missed."]


def test_a_function_is_judged(data, tmp_path):
    order = ["left_wrist", "n0se", "Nose", "-", "-"]

    def middle(rgb, boxes):
        assert rgb.dtype == np.uint8 and rgb.shape[2] == 3
        return np.repeat((boxes[:, :2] + boxes[:, 2:] / 2)[:, None], 5, axis=1)

    made = ss.evaluate(
        predict=middle, dataset=data, keypoints=order, out=tmp_path / "out", progress=False
    )
    assert made.predictions.known.sum(axis=0).nonzero()[0].tolist() == [0, 9]
    assert made.about["notes"][0] == "Unknown joints, ignored: n0se (did you mean nose?)."
    assert made.about["notes"][1].startswith("Not predicted, and left out: left_eye")


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("coco17", {9: 1, 10: 0}),
        (",".join(ORDERS["coco17"].joints), {9: 1, 10: 0}),
        (VIEWER.joints, {0: 0, 1: 1, 2: 2}),  # all are the set's
        ("nose,right_wrist,tail", {0: 2, 1: 1}),  # not all are the package's
        ("nose,left_eye", {}),
    ],
)
def test_joints_are_mapped_by_what_they_mean(order, numbers):
    found = numbers_in(order_of(order), VIEWER)
    assert {k: j for k, j in enumerate(found) if j is not None} == numbers


@pytest.mark.parametrize(
    ("change", "keypoints", "message"),
    [
        ({"image_id": 999}, None, "belongs to an image.*such as 0, '000009'; got 999"),
        ({"keypoints": [1, 2, 0.3] * 5}, None, "17 joints need 51 numbers, got 15"),
        ({"keypoints": [1, 2, float("nan")] * 17}, None, "NaN|nan"),
        ({"keypoints": [1e9, 2, 0.3] * 17}, None, "a number is out of range"),
        ({"score": "high"}, None, "number missing or out of range: 'high'"),
        ({}, "coco99", "unknown order"),
        ({}, "nose,nose", "named twice.*Write - for"),
        ({}, ["tail", "horn"], "2 joints need 6 numbers"),
        ({"keypoints": [1, 2, 0.3] * 2}, ["tail", "horn"], "no common joints"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, keypoints, message, data, tmp_path):
    path = written(tmp_path, results(data, **change))
    with pytest.raises(FormatError, match=message):
        ss.evaluate(predictions=path, dataset=data, keypoints=keypoints, out=tmp_path / "out")
    with pytest.raises(ArgumentError, match="one network"):
        ss.evaluate(dataset=data)


def test_average_precision_is_that_of_pycocotools(data, tmp_path):
    rng, found = stream(0, "detections"), []
    for entry in results(data):
        for _ in range(4):
            xy = np.reshape(entry["keypoints"], (-1, 3)) + rng.normal(0, 3, (17, 3)) * [1, 1, 0]
            found.append(entry | {"keypoints": xy.ravel().tolist(), "score": rng.uniform(0, 3)})
    path = written(tmp_path, found)
    made = ss.evaluate(predictions=path, dataset=data, out=tmp_path / "out", progress=False)
    truth, base = made.predictions, COCO()
    points = np.nan_to_num(np.dstack([truth.true_xy - 0.5, np.where(truth.known, 2, 0)]))
    names = ("image_id", "keypoints", "area", "bbox", "num_keypoints")
    columns = truth.frame, points.reshape(len(truth), -1), truth.area, truth.box, truth.known.sum(1)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    people = [dict(zip(names, row, strict=True)) for row in rows]
    for number, person in enumerate(people, 1):
        person |= {"id": number, "category_id": 1, "iscrowd": 0}
    images = [{"id": k} for k in range(len(data))]
    base.dataset = {"images": images, "categories": [{"id": 1}], "annotations": people}
    base.createIndex()
    theirs = COCOeval(base, base.loadRes(json.loads(path.read_text())), "keypoints")
    theirs.params.kpt_oks_sigmas = np.array(data.skeleton.sigmas)
    for step in (theirs.evaluate, theirs.accumulate, theirs.summarize):
        step()
    ours = made.metrics["precision"]["all"]
    assert 0.05 < ours["AP"] < 0.8
    figures = [ours[k] for k in ("AP", "AP50", "AP75", "AR")]
    assert figures == pytest.approx(theirs.stats[[0, 1, 2, 5]], abs=1e-6)


@pytest.mark.parametrize("name", ["images/{:06d}.jpg", "val/{:06d}.jpg", "C:\\set\\{:06d}.jpg"])
def test_names_of_images_decide_where_ids_disagree(name, data, tmp_path):
    entries = results(data)
    images = [{"id": k + 1, "file_name": name.format(k)} for k in range(len(data))]
    for number, entry in enumerate(entries):
        entry |= {"id": number, "num_keypoints": 17, "image_id": entry["image_id"] + 1}
    shifted = {"images": images, "annotations": entries, "categories": [{"id": 1}]}
    by_name = [e | {"image_id": name.format(e["image_id"] - 1)} for e in entries]
    for value in (shifted, by_name):
        path, out = written(tmp_path, value), tmp_path / str(type(value))
        made = ss.evaluate(predictions=path, dataset=data, out=out, progress=False)
        assert made.about["images_matched_by"] == "file name"
        assert made.metrics["localization"]["visible"]["PCK@0.1"]["value"] == 1


def doubled(entries):
    """Everybody twice, the second time a pixel off."""
    moved = [e | {"keypoints": [v + (k % 3 == 0) for k, v in enumerate(e["keypoints"])]}
             for e in entries]  # fmt: skip
    return [*entries, *moved]


def changed(entries, third):
    return [
        e | {"keypoints": [third if k % 3 == 2 else v for k, v in enumerate(e["keypoints"])]}
        for e in entries
    ]


@pytest.mark.parametrize(
    ("change", "notes", "visible", "matched_by"),
    [
        (lambda e: e, [], 1, "frame number"),
        (lambda e: [], ["18 of 18 people have no prediction: all joints missed."], 0, ""),
        (lambda e: [o | {"image_id": f"{o['image_id']:06d}"} for o in e], [], 1, "file name"),
        (lambda e: doubled(e),
         ["18 of 36 predictions match no person: they lower AP alone."], 1, None),
        (lambda e: changed(e, 1.5), ["306 scores over 1 count as 1."], 1, None),
        (lambda e: changed(e, 0),  # COCO's "not found": missed, not left out
         ["18 of 18 predictions match no person: they lower AP alone.",
          "306 joints with a score of 0 count as not found.",
          "18 of 18 people have no prediction: all joints missed."], 0, None),
        (lambda e: [o | {"keypoints": [None, None, 0.5] * 17} for o in e],
         ["18 of 18 predictions match no person: they lower AP alone.",
          "18 of 18 people have no prediction: all joints missed."], 0, None),
        (lambda e: e[:9], ["9 of 18 people have no prediction: all joints missed."], 0.5, None),
        (lambda e: [o | {"instance_number": 1} for o in e], [], 1, None),
    ],
)  # fmt: skip
def test_files_that_fit_badly_are_judged_and_said(
    change, notes, visible, matched_by, data, tmp_path
):
    path = written(tmp_path, change(results(data)))
    made = ss.evaluate(predictions=path, dataset=data, out=tmp_path / "out", progress=False)
    found = made.metrics["localization"]["visible"]["PCK@0.1"]["value"]
    assert found == pytest.approx(visible, abs=0.1)
    assert matched_by in (None, made.about["images_matched_by"])
    assert [n for n in made.about["notes"] if "Not predicted" not in n] == notes


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda boxes: np.zeros((len(boxes), 16, 2)), "wrong shape"),
        (lambda boxes: np.zeros((len(boxes) + 1, 17, 2)), "wrong shape"),
        (lambda boxes: np.zeros((len(boxes), 17, 4)), "wrong shape"),
        (lambda boxes: None, "wrong shape"),
        (lambda boxes: 3, "wrong shape"),
        (lambda boxes: [["a"]], "raised ValueError"),
        (lambda boxes: {"keypoints": np.zeros((len(boxes), 17, 2))}, "wrong shape.*got keypoints"),
        (lambda boxes: {"xy": np.zeros((len(boxes), 17, 2)), "score": [1]}, r"score \(1,\)"),
    ],
)
def test_what_a_function_may_not_return(returned, message, data, tmp_path):
    with pytest.raises(ModelError, match=message):
        ss.evaluate(predict=lambda rgb, boxes: returned(boxes), dataset=data, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_function_that_is_not_sure_is_judged_and_said(data, tmp_path):
    calls = []

    def loose(rgb, boxes):
        calls.append(len(boxes))
        joints = np.full((len(boxes), 17, 3), np.nan)
        joints[:, 0] = [len(calls), 5, 7.0]
        return joints

    made = ss.evaluate(predict=loose, dataset=data, out=tmp_path / "out", progress=False)
    assert made.about["notes"] == [
        "Not deterministic: two calls on one image differ.", "Some scores over 1 count as 1."
    ]  # fmt: skip
    assert made.predictions.score.max() == 1 and np.isnan(made.predictions.xy[:, 1:]).all()


@pytest.mark.parametrize("options", [{"dtype": torch.bfloat16}, {"requires_grad": True}])
def test_tensors_are_read_and_what_cannot_be_pixels_is_said(options, data, tmp_path):
    for size, note in ((1, "All joints lie from 0 to 1"), (np.inf, "No joint has a finite pos")):
        given = {"predict": lambda _, b, of=size: of * torch.ones((len(b), 17, 2), **options)}
        made = ss.evaluate(dataset=data, out=tmp_path / str(size), progress=False, **given)
        assert made.about["notes"][-1].startswith(note)


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_options_that_do_not_apply_are_named(device, data, tmp_path):
    path = written(tmp_path, results(data))
    given = {"decode": "peak", "flip": True, "bank": True, "workers": 1}
    words = "decode, flip, bank, workers" + (", device" if device == "cpu" else "")
    with pytest.raises(ArgumentError, match=f"^{words}: this applies to a run alone"):
        ss.evaluate(predictions=path, dataset=data, device=device, **given)
    with pytest.raises(ArgumentError, match=r"^keypoints: this applies to results"):
        ss.evaluate("default", data, keypoints="coco17")
    with pytest.raises(ArgumentError, match="flip, engine: this applies to a run"):
        run("evaluate", "--predictions", path, data.path, "--flip", "--engine", "ray")
    with pytest.raises(ModelError, match=r"expected splits \('tset',\); got splits \['"):
        ss.evaluate(predictions=path, dataset=data, split="tset", out=tmp_path / "none")


def test_results_are_judged_without_pytorch(data, tmp_path):
    path = written(tmp_path, results(data))
    program = (
        "import sys; sys.modules['torch'] = None; import synthstudio as ss; "
        f"ss.evaluate(predictions={str(path)!r}, dataset={str(data.path)!r}, "
        f"out={str(tmp_path / 'out')!r}, progress=False)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    assert (tmp_path / "out" / "report.html").is_file()
