"""Some hundred photos of 12 joints and no face: memory grows by labels, not by pixels."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import experiment_world as world
import pytest

from synthstudio.experiment import photos
from synthstudio.formats.imports import import_from
from synthstudio.training.data.crops import canvas_size, crop_kind
from synthstudio.training.data.samples import load_dataset

pytestmark = pytest.mark.nightly("memory of 360 photos")

FEW, MANY = 60, 360
SIZE = (96, 72)
PIXELS_KB = canvas_size(*SIZE)[0] * canvas_size(*SIZE)[1] * 4 / 1e3
"""What a cut out person's pixels and cover weigh: 62 KB."""


def peak_kb(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e3
    finally:
        tracemalloc.stop()


def quiet(done: int, total: int) -> None: ...


def test_each_photo_adds_a_line_and_each_person_labels_and_no_pixels(tmp_path: Path) -> None:
    found: dict[int, tuple[float, float]] = {}
    for count in (3, FEW, MANY):  # the first time loads what all need
        root = world.write(tmp_path / str(count), count + 5)
        out = root / "out"
        parted = peak_kb(
            lambda r=root, o=out: photos.split(r / "coco.json", r / "images", o, seed=0)
        )
        import_from("coco", out / "train.json", root / "data", images=root / "images")
        found[count] = (
            parted,
            peak_kb(
                lambda r=root: load_dataset(r / "data", crop_kind(size=SIZE), cache=r / "crops")
            ),
        )
    parted, cut = (many - few for many, few in zip(found[MANY], found[FEW], strict=True))
    assert parted / (MANY - FEW) < 2  # KB; an annotation as Python values: about 3 KB
    assert cut / (0.7 * (MANY - FEW)) < PIXELS_KB / 4
