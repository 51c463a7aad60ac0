"""Some hundred photos of 12 joints and no face: memory grows by labels, not by pixels."""

import tracemalloc
from collections.abc import Callable

import experiment_world as world
import pytest

from synthstudio.experiment import photos
from synthstudio.formats.imports import import_from
from synthstudio.training.data.crops import canvas_size, crop_dataset

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


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, float]]:
    """Return the most memory that each step held, in KB, by the number of photos."""
    found: dict[int, dict[str, float]] = {}
    for count in (3, FEW, MANY):  # the first time loads what all need
        root = world.write(tmp_path_factory.mktemp("scale") / "set", count + 5)
        out = root / "out"
        parted = peak_kb(
            lambda r=root, o=out: photos.split(r / "coco.json", r / "images", o, seed=0)
        )
        import_from("coco", out / "train.json", root / "data", images=root / "images")
        cut = peak_kb(
            lambda r=root: crop_dataset(r / "data", size=SIZE, cache=r / "crops", progress=_quiet)
        )
        found[count] = {"part": parted, "cut": cut}
    return found


def _quiet(done: int, total: int) -> None: ...


def test_parting_holds_a_line_a_photo(peaks: dict[int, dict[str, float]]) -> None:
    each = (peaks[MANY]["part"] - peaks[FEW]["part"]) / (MANY - FEW)
    assert each < 2, f"{each:.2f} KB a photo"  # an annotation as Python values: about 3 KB


def test_cutting_out_holds_labels_and_no_pixels(peaks: dict[int, dict[str, float]]) -> None:
    people = 0.7 * (MANY - FEW)
    each = (peaks[MANY]["cut"] - peaks[FEW]["cut"]) / people
    assert each < PIXELS_KB / 4, f"{each:.2f} KB a person"
