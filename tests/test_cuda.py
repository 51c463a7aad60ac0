"""On a GPU the labels are the CPU's; what differed would be found, which is asked everywhere."""

import dataclasses

import numpy as np
import pytest
import warp as wp

from benchmarks.cuda import SCENES, Compared, compare, compared
from benchmarks.proofs import ROOT
from synthstudio.core.images import encode_jpeg
from synthstudio.generation import pipeline
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.schema.load import dump, load, parse

BENCH = ROOT / "scenes" / "bench.yaml"


@pytest.mark.gpu
@pytest.mark.parametrize("scene", SCENES)
def test_the_labels_of_a_gpu_are_those_of_the_cpu(scene):
    if not wp.is_cuda_available():
        pytest.skip("no CUDA device")
    assert not compared(scene, ("cpu", "cuda"), frames=6).fields


def test_a_label_or_a_pixel_that_differs_is_found():
    small = {"width_px": 96, "height_px": 96}
    recipe = parse({**dump(load(BENCH)), "frames": 1, "image": small}, "small")
    stage = Stage(prepare(recipe, assets=BENCH.parent, device="cpu", renderer="raster"))
    frame = pipeline.make_frame(stage, pipeline.draw_spec(stage, 0))
    found = Compared()
    compare(found, frame, frame)
    assert not found.fields and found.pixels == [0.0] and found.worst == 0
    person = frame.labels.people[0]
    moved = dataclasses.replace(person, joints_px=person.joints_px + 1e-9)
    people = (moved, *frame.labels.people[1:])
    labels = dataclasses.replace(frame.labels, people=people)
    grey = encode_jpeg(np.full((96, 96, 3), 128, np.uint8), 90)
    compare(found, frame, dataclasses.replace(frame, labels=labels, jpeg=grey))
    assert dict(found.fields) == {"labels.people[0].joints_px": 1}
    assert found.pixels[1] > 0.5 and found.worst > 20
    assert "labels.people[0].joints_px in 1" in found.text()
