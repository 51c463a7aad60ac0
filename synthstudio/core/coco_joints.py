"""COCO's 17 joints and their sigmas, which other skeletons begin with or refer to."""

COCO17 = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
    0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
)  # fmt: skip
COCO_SOURCE = "COCO keypoint evaluation (cocodataset.org/#keypoints-eval)"
MEDIAN_SIGMA = sorted(COCO_SIGMAS)[len(COCO_SIGMAS) // 2]
"""What a joint gets of which nobody measured how far people who click it differ."""
