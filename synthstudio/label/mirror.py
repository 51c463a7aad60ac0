"""The mirror image of a frame's labels. Two mirrors give back every field."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.camera import Camera
from synthstudio.core.labels import F64, FrameLabels, PersonLabel, Rle
from synthstudio.core.skeleton import Skeleton
from synthstudio.label.masks import Box, decode, encode


def flip_frame(
    camera: Camera, labels: FrameLabels, *, skeleton: Skeleton
) -> tuple[Camera, FrameLabels]:
    """The camera and labels of the frame mirrored left to right.

    The world is mirrored in its plane x = 0 and the camera with it, so that the flipped camera
    still takes the flipped world joints to the flipped camera joints and pixels. A person's
    left is then its right: joints, shares and causes change places. Identity, pose name,
    depths, areas and the crowd index stay.
    """
    people = tuple(_flip_person(p, camera.width_px, skeleton.flip) for p in labels.people)
    return flip_camera(camera), dataclasses.replace(labels, people=people)


def flip_camera(camera: Camera) -> Camera:
    """The camera mirrored in the world's plane x = 0, with its principal point moved."""
    x, y, z = camera.position_m
    centre = camera.centre_px
    return dataclasses.replace(
        camera,
        position_m=(-x, y, z),
        yaw_rad=-camera.yaw_rad,
        roll_rad=-camera.roll_rad,
        centre_px=None if centre is None else (camera.width_px - centre[0], centre[1]),
    )


def _flip_person(person: PersonLabel, width_px: int, order: NDArray[np.int64]) -> PersonLabel:
    px = person.joints_px[order]
    return dataclasses.replace(
        person,
        joints_px=np.stack([width_px - px[:, 0], px[:, 1]], axis=1),
        joints_camera_m=_negate_x(person.joints_camera_m[order]),
        joints_world_m=_negate_x(person.joints_world_m[order]),
        shares=person.shares[order],
        state=person.state[order],
        cause=tuple(person.cause[j] for j in order),
        ambiguous=person.ambiguous[order],
        occluder_id=person.occluder_id[order],
        hidden_by=tuple(person.hidden_by[j] for j in order),
        modal=_flip_mask(person.modal),
        amodal=_flip_mask(person.amodal),
        modal_box_px=_flip_box(person.modal_box_px, width_px),
        amodal_box_px=_flip_box(person.amodal_box_px, width_px),
    )


def _negate_x(points_m: F64) -> F64:
    return points_m * np.array([-1.0, 1.0, 1.0])


def _flip_mask(rle: Rle) -> Rle:
    return encode(decode(rle)[:, ::-1])


def _flip_box(box: Box, width_px: int) -> Box:
    x, y, w, h = box
    return (width_px - x - w, y, w, h) if w > 0 else box
