"""Pictures that the server makes: what they show, and how many of them it keeps."""

import numpy as np
import pytest

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk.table import people_table
from synthstudio.review.values import JointLabel
from synthstudio.studio.drawing import pictures


@pytest.fixture(scope="module")
def source(studio_set):
    dataset = Dataset(studio_set)
    return pictures.read_source(dataset, get_skeleton(dataset.identity.skeleton))


def test_a_crop_shows_what_reviewers_changed(source):
    def crop(**more):
        return pictures.crop(source, 0, 1, size=128, **more)

    bare, drawn = crop(labels=False), crop(labels=True)
    x, y, w, h = source.dataset.instances(0)[0]["modal_box_px"]
    moved = JointLabel(x_px=x + w / 2, y_px=y + h / 2, state=2, cause="visible")
    gone = JointLabel(x_px=None, y_px=None, state=None, cause="unlabelled")
    changed = [crop(labels=True, changed={"left_wrist": label}) for label in (moved, gone)]
    assert len({bare, drawn, *changed}) == 4
    assert crop(labels=True) == drawn


def test_a_crop_is_the_same_by_row_and_by_table(source):
    table = people_table(source.dataset)
    for frame in source.frames:
        for row in source.dataset.instances(frame):
            by_row = pictures.labels_from_row(source, frame, row["instance"])
            by_table = pictures.labels_from_table(table, frame, row["instance"])
            np.testing.assert_allclose(by_table.px, by_row.px, atol=1e-3)
            np.testing.assert_array_equal(by_table.state, by_row.state)
            np.testing.assert_allclose(by_table.box_px, by_row.box_px, atol=1e-3)
    by_table = pictures.crop(source, 0, 2, size=64, labels=True, table=table)
    assert by_table == pictures.crop(source, 0, 2, size=64, labels=True)
    for read in (
        lambda: pictures.labels_from_row(source, 0, 77),
        lambda: pictures.labels_from_table(table, 0, 77),
    ):
        with pytest.raises(SynthStudioError):
            read()
