import dataclasses

import numpy as np
import pytest
from stick_people import make_camera, make_frame, make_labels, make_posed

from synthstudio.core.labels import FrameLabels
from synthstudio.core.skeleton import get_skeleton
from synthstudio.report.draw import contact_sheet, draw_labels, person_colour

COCO17 = get_skeleton("coco17")
NOBODY = FrameLabels(people=(), crowd_index=0.0, things=())


def grey(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


@pytest.mark.parametrize(("size", "zoom"), [((320, 240), 4), ((640, 480), 2), ((1280, 960), 1)])
def test_small_frames_are_enlarged_by_a_whole_number(size, zoom):
    width, height = size
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
    camera = make_camera(*size)
    person = make_labels(camera, COCO17, (make_posed(COCO17, instance=1),)).people[0]
    wrist = COCO17.joints.index("left_wrist")
    far = np.full((17, 2), -500.0)
    far[wrist] = person.joints_px[wrist]
    alone = dataclasses.replace(
        person, joints_px=far, modal_box_px=(0, 0, 0, 0), amodal_box_px=(9e3, 9e3, 9e3, 99)
    )
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
    person = make_labels(make_camera(), COCO17, (make_posed(COCO17, instance=1),)).people[0]
    pictures = []
    for cause in ("visible", "self", "person", "object", "truncated", "unknown"):
        changed = dataclasses.replace(person, cause=(cause,) * 17)
        labels = dataclasses.replace(NOBODY, people=(changed,))
        pictures.append(draw_labels(grey(320, 240), labels, COCO17).tobytes())
    assert len(set(pictures)) == 6


def test_the_picture_that_is_given_is_not_changed():
    rgb = grey(1280, 960)
    draw_labels(rgb, make_frame(0, width=1280, height=960).labels, COCO17)
    assert (rgb == 128).all()


def test_nobody_and_nowhere():
    assert (draw_labels(grey(320, 240), NOBODY, COCO17, legend=False) == 128).all()
    person = make_labels(make_camera(), COCO17, (make_posed(COCO17, instance=1, x_m=9.0),)).people[
        0
    ]
    lost = dataclasses.replace(person, joints_px=np.full((17, 2), np.nan))
    draw_labels(grey(320, 240), dataclasses.replace(NOBODY, people=(lost,)), COCO17)


def test_a_crowd_on_a_narrow_picture():
    frame = make_frame(5, people=25, width=96, height=240)
    out = draw_labels(grey(96, 240), frame.labels, COCO17)
    assert out.shape[1] == 96 * 4
    assert (out == person_colour(3)).all(axis=2).any()


def test_a_name_covers_no_head():
    """Two people close together: the name of the one below would lie on the other's face."""
    camera = make_camera(640, 480)
    people = make_labels(
        camera, COCO17, (make_posed(COCO17, instance=1), make_posed(COCO17, instance=2, x_m=0.5))
    ).people
    high, low = people
    x, y, w, h = low.amodal_box_px
    face = [COCO17.joints.index(n) for n in ("nose", "left_eye", "right_eye")]
    moved = low.joints_px[face].mean(axis=0) - high.joints_px[face].mean(axis=0)
    above = dataclasses.replace(  # its head just over the box of the other
        high,
        joints_px=high.joints_px + moved - (0, 22),
        modal_box_px=(x, y - 22, w, h),
        amodal_box_px=(x, y - 22, w, h),
    )
    labels = dataclasses.replace(NOBODY, people=(above, low))
    named = draw_labels(grey(640, 480), labels, COCO17, legend=False).astype(int)
    bare = draw_labels(grey(640, 480), labels, COCO17, legend=False, names=False).astype(int)
    zoom = named.shape[0] // 480
    tags = np.abs(named - bare).max(axis=2) > 8
    assert tags.sum() > 400 * zoom
    for person in labels.people:
        for j, reach in zip(face, (6, 6, 6), strict=True):
            px, py = (person.joints_px[j] * zoom).astype(int)
            assert not tags[py - reach : py + reach, px - reach : px + reach].any()


def test_a_contact_sheet():
    images = [np.full((4, 6, 3), k, np.uint8) for k in range(1, 4)] + [
        np.full((2, 2, 3), 9, np.uint8)
    ]
    sheet = contact_sheet(images, columns=3, gap_px=2)
    assert sheet.shape == (2 * 6 + 2, 3 * 8 + 2, 3)
    assert (sheet[2:6, 2:8] == 1).all()
    assert (sheet[2:6, 18:24] == 3).all()
    assert (sheet[9:11, 4:6] == 9).all()
    assert contact_sheet([], columns=3).shape == (1, 1, 3)
