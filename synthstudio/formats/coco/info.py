"""What each key of a COCO file of ours means: its `info`."""

from __future__ import annotations

from synthstudio.core.labels import SHARES
from synthstudio.core.visibility import AMBIGUOUS_FROM, VISIBLE_THRESHOLD

FIXED_DATE = "1970-01-01 00:00:00"
INFO: dict[str, str] = {
    "description": "synthetic people with exact keypoints and visibility, made by synthstudio",
    "date_created": FIXED_DATE,
    "keypoints": "pixel indices: continuous pixels - 0.5; v 2 visible, 1 hidden, 0 outside the "
    "frame or unlabelled (then 0,0,0)",
    "bbox, segmentation, area": "modal (what is seen): x y w h in continuous pixels, mask, pixels",
    "amodal_bbox, amodal_segmentation, amodal_area": "the person alone; the box may leave the "
    "frame, mask and area are inside it",
    "keypoints_all": "J x (x, y) continuous pixels, also hidden and outside; null before the "
    "near plane",
    "keypoints_3d_camera_m, keypoints_3d_world_m": "J x (x, y, z) metres, of which keypoints are "
    "the projection, regressed from the body's surface; camera: x right, y down, z forward; "
    "world: z up",
    "keypoints_3d_kinematic_world_m": "J x (x, y, z) metres in the world: rotation centres, whose "
    "bones keep their lengths in every pose; null: nobody knows",
    "K, world_to_camera": "on images; K projects keypoints_3d_camera_m to keypoints_all",
    "distortion": "on images whose lens bends lines: k1, k2, p1, p2, OpenCV's distCoeffs, with "
    "which K projects",
    "shares": f"J x ({', '.join(SHARES)}), of the surface patch round the joint, sum 1; null: "
    "nobody knows",
    "cause": "J: visible, or what hides most of the patch, or truncated (outside the frame)",
    "ambiguous": f"J: visible share between {AMBIGUOUS_FROM} and {VISIBLE_THRESHOLD}",
    "hidden_by": "J lists of [instance, share], largest first; people from 1, things from 1000 "
    "(`things` on images)",
    "instance_number": "the person's number in the image, from 1, as in hidden_by",
    "occluder_id": "J: the largest occluder of the winning cause; 0 none",
    "truncated": "part of the person's camera-facing surface is outside the frame",
    "crowdIndex": "on images, as in CrowdPose: the same as crowd_index",
    "other keys": "columns of the data set's own tables (synthstudio/dataset/rows.py)",
    "max_iou": "as in OCHuman: the largest overlap (IoU) of the person's box with another's",
}
