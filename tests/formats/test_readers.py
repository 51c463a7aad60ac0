"""Other people's readers in our own environment, and the comparison that `make interop` makes."""

import contextlib
import io

import numpy as np
import pytest
from exchange_sets import make_set

from benchmarks import interop
from synthstudio.formats.coco.file import annotation_files
from synthstudio.formats.export import export


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("readers")
    original = make_set(root / "set", skeleton="coco17")
    for name in ("coco", "crowdpose", "yolo"):
        export(name, original.folder, root / name)
    return original, root


def evaluators():
    from faster_coco_eval import COCO as FasterCOCO
    from faster_coco_eval import COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return {"pycocotools": (COCO, COCOeval), "faster-coco-eval": (FasterCOCO, COCOeval_faster)}


@pytest.mark.parametrize("tool", ["pycocotools", "faster-coco-eval"])
def test_joints_and_flags_are_read_as_written(tool, exported) -> None:
    original, root = exported
    frames = {}
    for path in annotation_files(root / "coco"):
        with contextlib.redirect_stdout(io.StringIO()):
            coco = evaluators()[tool][0](str(path))
        for number in coco.getImgIds():
            people = coco.loadAnns(coco.getAnnIds(imgIds=[number]))
            frames[f"{number:06d}"] = [np.reshape(a["keypoints"], (-1, 3)).tolist() for a in people]
    read = {"rule": "index", "frames": frames}
    outcome = interop.compare("fiftyone", "coco", read, original)
    assert outcome.problems == []
    assert outcome.joints > 150


def truth_of(root):
    """Return what a perfect reader of our YOLO files would print."""
    frames = {}
    for path in sorted((root / "yolo/labels").rglob("*.txt")):
        frames[path.stem] = [
            (np.reshape([float(v) for v in line.split()[5:]], (-1, 3)) * (320, 240, 1)).tolist()
            for line in path.read_text().splitlines()
        ]
    return {"rule": "continuous", "frames": frames}


def moved(read) -> None:
    read["frames"]["000000"][0][5][0] += 0.5


def reset_flag(read) -> None:
    person = next(
        p for people in read["frames"].values() for p in people if any(j[2] == 1 for j in p)
    )
    next(joint for joint in person if joint[2] == 1)[2] = 2


def lost(read) -> None:
    read["frames"]["000000"].pop()


def swapped(read) -> None:
    person = read["frames"]["000000"][0]
    person[5], person[6] = person[6], person[5]


@pytest.mark.parametrize("fault", [moved, reset_flag, lost, swapped])
def test_the_comparison_finds_a_planted_fault(fault, exported) -> None:
    original, root = exported
    read = truth_of(root)
    assert interop.compare("ultralytics", "yolo", read, original).problems == []
    fault(read)
    assert interop.compare("ultralytics", "yolo", read, original).problems
