import dataclasses

import numpy as np
import pytest
import stick_people
from stick_people import Panel, make_camera, make_labels, make_posed

from synthstudio.core.errors import GeometryError
from synthstudio.core.masks import decode
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.skeleton import get_skeleton
from synthstudio.label.frame import crowd_index, label_frame

COCO17 = get_skeleton("coco17")


def joint(name):
    return COCO17.joints.index(name)


def alone(x_m=0.0, **more):
    people = (make_posed(COCO17, instance=1, x_m=x_m),)
    return make_labels(make_camera(), COCO17, people, **more).people[0]


def test_a_panel_over_the_left_side():
    """The camera sees the person's left on its right: right of the middle is hidden."""
    camera = make_camera()
    panel = Panel(instance=1002, depth_m=2.0, box_px=(160, 0, 999, 999))
    labels = make_labels(camera, COCO17, (make_posed(COCO17, instance=1),), panels=(panel,))
    person = labels.people[0]
    for j, name in enumerate(COCO17.joints):
        if name.startswith("left"):
            assert person.joints_px[j, 0] > 160
        if name in ("left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee"):
            assert (person.state[j], person.cause[j], person.occluder_id[j]) == (1, "object", 1002)
        if name in ("right_shoulder", "right_elbow", "right_wrist", "right_hip"):
            assert (person.state[j], person.cause[j], person.occluder_id[j]) == (2, "visible", 0)
    nose = person.visibility_fractions[joint("nose")]
    assert nose[0] == pytest.approx(0.5, abs=0.1)
    assert nose[3] == pytest.approx(1 - nose[0])
    assert person.occluded_fraction == pytest.approx(0.5, abs=0.05)
    assert not decode(person.modal)[:, 160:].any()
    x, _, w, _ = person.modal_box_px
    assert x + w == 160
    assert labels.objects == ((1002, "panel", None),)


def test_who_stands_in_front():
    near = make_posed(COCO17, instance=1)
    far = make_posed(COCO17, instance=2, y_m=0.6)
    labels = make_labels(make_camera(), COCO17, (near, far))
    assert [p.depth_rank for p in labels.people] == [0, 1]
    hidden = labels.people[1]
    assert hidden.cause[joint("left_shoulder")] == "person"
    assert hidden.occluder_id[joint("left_shoulder")] == 1
    assert labels.people[0].cause == ("visible",) * 17
    assert labels.people[0].occluded_fraction == 0


def test_somebody_wholly_hidden_has_labels_and_no_modal_mask():
    person = alone(panels=(Panel(instance=1002, depth_m=1.0, box_px=(0, 0, 999, 999)),))
    assert person.modal_area_px == 0
    assert person.modal_box_px == (0, 0, 0, 0)
    assert person.occluded_fraction == 1
    assert set(person.cause) == {"object"}
    assert (person.state == 1).all()


def test_somebody_cut_by_the_frame():
    person = alone(x_m=2.3)
    outside = person.joints_px[:, 0] >= 320
    assert 0 < outside.sum() < 17
    assert ((person.state == 0) == outside).all()
    assert all((c == "truncated") == o for c, o in zip(person.cause, outside, strict=True))
    x, _, w, _ = person.amodal_box_px
    assert x + w > 320
    assert 0 < person.truncated_fraction < 1
    mx, _, mw, _ = person.modal_box_px
    assert mx + mw == 320


def test_somebody_wholly_outside():
    person = alone(x_m=9.0)
    assert person.amodal_area_px == person.modal_area_px == 0
    assert person.occluded_fraction == 0
    assert person.truncated_fraction == 1
    assert person.amodal_box_px[0] > 320
    assert (person.visibility_fractions == [0, 0, 0, 0, 1]).all()
    assert not person.ambiguous.any() and person.hidden_by == ((),) * 17


def test_a_thin_cutout_hides_by_its_alpha():
    layer = CutoutLayer(
        instance=1002, left_px=0, top_px=0, rgb=np.zeros((240, 320, 3), np.uint8),
        alpha=np.full((240, 320), 0.4, np.float32), depth_m=0.0,
    )  # fmt: skip
    person = alone(cutouts=(layer,))
    assert person.visibility_fractions[:, 0] == pytest.approx(0.6)
    assert set(person.cause) == {"visible"}
    assert person.occluded_fraction == 0  # masks take it from alpha 0.5 on
    assert person.hidden_by[0] == ((1002, pytest.approx(0.4)),)


def crowd(*people) -> float:
    camera = make_camera()
    labels = make_labels(camera, COCO17, people)
    assert labels.crowd_index == crowd_index(camera, COCO17, labels.people)
    return labels.crowd_index


def test_crowd_index_by_hand():
    one, beside, away, outside = (
        make_posed(COCO17, instance=k, **place)
        for k, place in enumerate(({}, {"y_m": 0.001}, {"x_m": 1.5}, {"x_m": 9.0}), 1)
    )
    assert crowd() == crowd(one) == 0
    assert crowd(one, beside) == 1  # in one place: each box holds all 14 joints of both
    assert crowd(one, away) == 0  # nothing of the other in either box
    # Someone outside counts as a person whose ratio is 0.
    assert crowd(one, beside, outside) == pytest.approx(2 / 3)


def test_crowd_index_counts_head_and_neck():
    """A box round the head alone: of 14 joints it holds the neck, the head and two shoulders."""
    person = alone()
    shoulders = person.joints_px[[joint("left_shoulder"), joint("right_shoulder")]]
    x0, x1 = sorted(shoulders[:, 0])
    box = (x0 - 2, 0.0, x1 - x0 + 4, shoulders[0, 1] + 2)
    other = dataclasses.replace(person, instance=2)
    small = dataclasses.replace(person, amodal_box_px=box)
    # small: own 4, other 4 -> 1; the other: own 14, other 14 -> 1.
    assert crowd_index(make_camera(), COCO17, (small, other)) == 1
    lower = dataclasses.replace(small, amodal_box_px=(box[0], shoulders[0, 1] - 2, box[2], 4.0))
    # Shoulders and neck are only three: N_own < 4 gives 0.
    assert crowd_index(make_camera(), COCO17, (lower, other)) == pytest.approx(0.5)


def test_a_mask_beyond_the_one_of_its_person_alone_is_refused(monkeypatch):
    kept = {}

    def keep(camera, skeleton, **given):
        kept.update(given)
        return label_frame(camera, skeleton, **given)

    monkeypatch.setattr(stick_people, "label_frame", keep)
    alone()
    people, image = kept["people"], kept["instance_map"].copy()
    image[0, 0] = 1
    with pytest.raises(GeometryError, match="do not fit"):
        label_frame(make_camera(), COCO17, people=people, instance_map=image)
