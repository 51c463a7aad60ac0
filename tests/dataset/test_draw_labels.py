import dataclasses

import numpy as np
import pytest
from stick_people import make_camera, make_frame, make_labels, make_posed

from synthstudio.core.labels import FrameLabels
from synthstudio.core.skeleton import get_skeleton
from synthstudio.report.draw import draw_labels

COCO17 = get_skeleton("coco17")
NOBODY = FrameLabels(people=(), crowd_index=0.0, objects=())


def grey(width, height):
    return np.full((height, width, 3), 128, np.uint8)


def person_before(camera):
    return make_labels(camera, COCO17, (make_posed(COCO17, instance=1),)).people[0]


@pytest.mark.parametrize(("width", "zoom"), [(320, 4), (640, 2), (1280, 1)])
def test_small_frames_are_enlarged_by_a_whole_number(width, zoom):
    height = width * 3 // 4
    labels = make_frame(1, width=width, height=height).labels
    out = draw_labels(grey(width, height), labels, COCO17, legend=False)
    assert out.shape == (height * zoom, width * zoom, 3)
    assert out.dtype == np.uint8
    with_legend = draw_labels(grey(width, height), labels, COCO17)
    assert with_legend.shape[0] > out.shape[0]
    assert (with_legend[: out.shape[0]] == out).all()


@pytest.mark.parametrize("size", [(320, 240), (1280, 960)])
def test_a_visible_joint_lies_where_its_label_says(size):
    """The marker's centroid, in continuous frame pixels."""
    person = person_before(make_camera(*size))
    wrist = COCO17.joints.index("left_wrist")
    far = np.full((17, 2), -500.0)
    far[wrist] = person.joints_px[wrist]
    boxes = {"modal_box_px": (0, 0, 0, 0), "amodal_box_px": (9e3, 9e3, 9e3, 99)}
    alone = dataclasses.replace(person, joints_px=far, **boxes)
    labels = dataclasses.replace(NOBODY, people=(alone,))
    bare = dataclasses.replace(COCO17, edges=())
    out = draw_labels(grey(*size), labels, bare, legend=False).astype(int)
    zoom = out.shape[0] // size[1]
    ink = np.abs(out - 128).sum(axis=2)
    x, y = (person.joints_px[wrist] * zoom).astype(int)
    ink[: y - 25], ink[y + 25 :], ink[:, : x - 25], ink[:, x + 25 :] = 0, 0, 0, 0
    i, j = (np.arange(n) + 0.5 for n in ink.shape)
    found = np.array([ink.sum(axis=0) @ j, ink.sum(axis=1) @ i]) / ink.sum() / zoom
    assert np.abs(found - person.joints_px[wrist]).max() < 0.15


def test_each_cause_has_its_own_shape():
    person = person_before(make_camera())
    pictures = []
    for cause in ("visible", "self", "person", "object", "truncated", "unknown"):
        changed = dataclasses.replace(person, cause=(cause,) * 17)
        labels = dataclasses.replace(NOBODY, people=(changed,))
        pictures.append(draw_labels(grey(320, 240), labels, COCO17).tobytes())
    assert len(set(pictures)) == 6
    assert (draw_labels(grey(320, 240), NOBODY, COCO17, legend=False) == 128).all()
    lost = dataclasses.replace(person, joints_px=np.full((17, 2), np.nan))
    draw_labels(grey(320, 240), dataclasses.replace(NOBODY, people=(lost,)), COCO17)
