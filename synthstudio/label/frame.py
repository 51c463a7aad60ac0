"""From the renderer's results to a frame's labels: the entry point of this package."""

from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F32, F64, I32, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.errors import GeometryError
from synthstudio.core.labels import FrameLabels, PersonLabel
from synthstudio.core.masks import amodal_box, encode, mask_box
from synthstudio.core.scene import CutoutLayer, PosedPerson
from synthstudio.core.skeleton import Skeleton, crowd_joints, crowd_ratio
from synthstudio.core.spec import PersonSpec
from synthstudio.core.visibility import occluded_fraction
from synthstudio.label.visibility import PatchQuery, decide_visibility, joint_pixels

Object = tuple[int, str, int | None]


@dataclass(frozen=True, kw_only=True)
class PersonEvidence:
    """The evidence for one person's labels.

    `query` is `patch_query(camera, posed)`; the blockers are the renderer's result for its
    points (read only where `query.needed`). `amodal` and what follows describe the person
    drawn alone, hair and clothes included.
    """

    spec: PersonSpec
    posed: PosedPerson
    query: PatchQuery
    blocker_instance: I32  # (J, N) nearest instance in front of the point; 0 nothing
    blocker_depth_m: F32  # (J, N) z of that surface
    amodal: Bool  # (H, W) inside the frame
    amodal_extent_px: tuple[float, float, float, float]  # x0, y0, x1, y1 on an endless canvas
    outside_share: float  # of the camera-facing surface, outside the frame
    depth_m: float  # median z of its surface


def label_frame(
    camera: Camera,
    skeleton: Skeleton,
    *,
    people: tuple[PersonEvidence, ...],
    instance_map: I32,  # (H, W) cut-outs included where their alpha is at least 0.5
    cutouts: tuple[CutoutLayer, ...] = (),
    objects: tuple[Object, ...] = (),  # (instance, kind, held_by instance or None)
) -> FrameLabels:
    """The labels of a frame; GeometryError if a mask exceeds the one of its person alone."""
    nearest = sorted(people, key=lambda p: (p.depth_m, p.posed.instance))
    rank = {p.posed.instance: i for i, p in enumerate(nearest)}
    labels = tuple(
        _label_person(camera, p, instance_map, cutouts, rank[p.posed.instance]) for p in people
    )
    return FrameLabels(
        people=labels, crowd_index=crowd_index(camera, skeleton, labels), objects=objects
    )


def crowd_index(camera: Camera, skeleton: Skeleton, people: tuple[PersonLabel, ...]) -> float:
    """The crowd index: the mean over all people of N_other / N_own (Li et al. 2019).

    N_own counts a person's own in-frame joints inside its amodal box, N_other those of other
    people. A ratio is 0 when N_own < 4 and clipped to 1; no people: 0. The joints are
    CrowdPose's 14: shoulders, elbows, wrists, hips, knees, ankles as the skeleton has them; the
    neck is the middle of the shoulders, the head the middle of the ears, both in 3D. Joints
    that a skeleton lacks are left out.
    """
    joints = [_crowd_joints(camera, skeleton, p) for p in people]
    boxes = [(np.array(p.amodal_box_px[:2]), np.array(p.amodal_box_px[2:])) for p in people]
    return crowd_ratio(joints, [(corner, corner + size) for corner, size in boxes])


def _label_person(
    camera: Camera,
    person: PersonEvidence,
    instance_map: I32,
    cutouts: tuple[CutoutLayer, ...],
    rank: int,
) -> PersonLabel:
    posed, instance = person.posed, person.posed.instance
    modal = instance_map == instance
    beyond = np.count_nonzero(modal & ~person.amodal)
    if beyond:
        raise GeometryError(
            f"masks of person {instance}: the renderer's results do not fit",
            where="label",
            expected="every visible pixel in the mask of the person alone",
            got=f"{beyond} pixels beyond it",
        )
    visibility = decide_visibility(
        person.query,
        instance=instance,
        blocker_instance=person.blocker_instance,
        blocker_depth_m=person.blocker_depth_m,
        cutouts=cutouts,
        frame_px=(camera.width_px, camera.height_px),
    )
    joints_camera_m = camera.to_camera(posed.joints_m)
    modal_box, inner_box = mask_box(modal), mask_box(person.amodal)
    modal_area, amodal_area = (int(np.count_nonzero(m)) for m in (modal, person.amodal))
    return PersonLabel(
        instance=instance,
        identity=person.spec.identity,
        pose=person.spec.pose.name,
        pose_family=person.spec.pose.family,
        joints_px=joint_pixels(camera, joints_camera_m),
        joints_camera_m=joints_camera_m,
        joints_world_m=posed.joints_m,
        kinematic_joints_world_m=posed.kinematic_joints_m,
        **vars(visibility),
        modal=encode(modal, modal_box),
        amodal=encode(person.amodal, inner_box),
        modal_box_px=modal_box,
        amodal_box_px=amodal_box(inner_box, person.amodal_extent_px),
        modal_area_px=modal_area,
        amodal_area_px=amodal_area,
        occluded_fraction=occluded_fraction(modal_area, amodal_area),
        truncated_fraction=float(person.outside_share),
        depth_m=float(person.depth_m),
        depth_rank=rank,
        stature_m=float(posed.stature_m),
    )


def _crowd_joints(camera: Camera, skeleton: Skeleton, person: PersonLabel) -> F64:
    """(n, 2) the person's in-frame crowd joints in continuous pixels."""
    limbs, pairs = crowd_joints(skeleton.joints)
    middles = camera.project(person.joints_camera_m[pairs].mean(axis=1))
    px = np.concatenate([person.joints_px[limbs], middles])
    return px[camera.shows(px)]
