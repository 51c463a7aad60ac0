import dataclasses

import numpy as np
import pytest
from stick_people import make_camera, make_frame, make_labels, make_posed

from synthstudio.core.camera import Camera
from synthstudio.core.labels import FrameLabels
from synthstudio.core.skeleton import get_skeleton
from synthstudio.label.masks import decode
from synthstudio.label.mirror import flip_camera, flip_frame


def differences(a: FrameLabels, b: FrameLabels) -> list[str]:
    """Name every field in which two labels differ, bit for bit but for NaN and signed zero."""
    found = [f for f in ("crowd_index", "things") if getattr(a, f) != getattr(b, f)]
    if len(a.people) != len(b.people):
        return [*found, "people"]
    for p, q in zip(a.people, b.people, strict=True):
        for field in dataclasses.fields(p):
            one, two = getattr(p, field.name), getattr(q, field.name)
            if isinstance(one, np.ndarray):
                same = one.dtype == two.dtype and np.array_equal(
                    one, two, equal_nan=one.dtype == float
                )
            else:
                same = one == two
            if not same:
                found.append(field.name)
    return found


@pytest.mark.parametrize("skeleton", ["coco17", "coco23"])
@pytest.mark.parametrize("index", range(4))
def test_two_flips_change_nothing(skeleton, index) -> None:
    frame, joints = make_frame(index, people=3, skeleton=skeleton), get_skeleton(skeleton)
    camera = dataclasses.replace(frame.spec.camera, centre_px=(150.25, 101.5), roll_rad=0.1)
    once = flip_frame(camera, frame.labels, skeleton=joints)
    twice = flip_frame(*once, skeleton=joints)
    assert twice[0] == camera
    assert differences(twice[1], frame.labels) == []
    # The negative control: one flip is no identity, field by field.
    changed = differences(once[1], frame.labels)
    assert {"joints_px", "joints_world_m", "shares", "modal", "amodal", "modal_box_px"} <= set(
        changed
    )


def test_nan_and_empty_masks_come_back() -> None:
    camera, joints = make_camera(), get_skeleton("coco17")
    person = make_labels(camera, joints, (make_posed(joints, instance=1, x_m=9.0),)).people[0]
    person = dataclasses.replace(person, joints_px=np.full((17, 2), np.nan))
    labels = FrameLabels(people=(person,), crowd_index=0.0, things=())
    once = flip_frame(camera, labels, skeleton=joints)
    assert differences(flip_frame(*once, skeleton=joints)[1], labels) == []
    assert once[1].people[0].modal_box_px == (0, 0, 0, 0)


def test_the_flipped_camera_takes_the_flipped_world_to_the_flipped_pixels() -> None:
    joints = get_skeleton("coco17")
    camera = make_camera(
        position_m=(0.7, -4.0, 1.2), yaw_rad=0.2, pitch_rad=-0.1, roll_rad=0.15,
        centre_px=(130.0, 110.0),
    )  # fmt: skip
    labels = make_labels(camera, joints, (make_posed(joints, instance=1, sway=0.3),))
    mirrored, flipped = flip_frame(camera, labels, skeleton=joints)
    for person in flipped.people:
        assert np.allclose(mirrored.to_camera(person.joints_world_m), person.joints_camera_m)
        assert np.abs(mirrored.project(person.joints_camera_m) - person.joints_px).max() < 1e-5
    left, right = (joints.joints.index(f"{s}_wrist") for s in ("left", "right"))
    assert flipped.people[0].joints_px[left, 0] == 320 - labels.people[0].joints_px[right, 0]
    before, after = labels.people[0], flipped.people[0]
    assert (decode(after.modal) == decode(before.modal)[:, ::-1]).all()
    assert after.cause[left] == before.cause[right]


def test_labelling_the_mirrored_scene_gives_the_mirrored_labels() -> None:
    """The flip of the labels is the label of the flip: masks, boxes, joints, rank, crowd."""
    camera, joints = make_camera(roll_rad=0.05), get_skeleton("coco17")
    people = (
        make_posed(joints, instance=1, x_m=0.31, sway=0.17),
        make_posed(joints, instance=2, x_m=0.1, y_m=0.5, sway=-0.2),
    )
    labels = make_labels(camera, joints, people)
    mirrored, expected = flip_frame(camera, labels, skeleton=joints)
    turned = tuple(_mirrored(p, joints.flip) for p in people)
    found = make_labels(mirrored, joints, turned)
    assert found.crowd_index == expected.crowd_index
    for a, b in zip(found.people, expected.people, strict=True):
        assert np.abs(a.joints_px - b.joints_px).max() < 1e-5
        assert np.abs(a.shares - b.shares).max() < 1e-9
        assert (a.cause, a.amodal_box_px, a.depth_rank) == (b.cause, b.amodal_box_px, b.depth_rank)
        assert (decode(a.modal) != decode(b.modal)).sum() <= 2  # a pixel centre on a rim


def _mirrored(posed, order):
    sign, patches = np.array([-1.0, 1.0, 1.0]), posed.patches
    return dataclasses.replace(
        posed,
        joints_m=posed.joints_m[order] * sign,
        patches=dataclasses.replace(
            patches, points_m=patches.points_m[order] * sign, normals=patches.normals[order] * sign
        ),
    )


def test_the_camera_turns_with_the_world() -> None:
    camera = Camera(
        width_px=64, height_px=48, focal_px=50.0, position_m=(1.0, 2.0, 3.0), yaw_rad=0.3,
        pitch_rad=0.1, roll_rad=-0.2,
    )  # fmt: skip
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    expected = mirror @ camera.world_to_camera @ mirror
    assert np.allclose(flip_camera(camera).world_to_camera, expected)
    assert flip_camera(camera).centre_px is None
