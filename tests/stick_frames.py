"""Frames of people who are drawn as sticks: joints, boxes and masks that need no renderer."""

import dataclasses

import cv2
import numpy as np

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation.precision import Truth, average_precision
from synthstudio.models.contract import FramePeople

SKELETON = get_skeleton("coco17")
# Shares of the height, from the crown: x to the person's left, y down.
_PLACES = {
    "nose": (0, 0.07), "eye": (0.022, 0.05), "ear": (0.045, 0.06), "shoulder": (0.12, 0.19),
    "elbow": (0.14, 0.36), "wrist": (0.15, 0.5), "hip": (0.07, 0.52), "knee": (0.08, 0.74),
    "ankle": (0.08, 0.96),
}  # fmt: skip
_SWINGS = {"elbow": ("shoulder", 0.7), "wrist": ("elbow", 0.8),
           "knee": ("hip", 0.5), "ankle": ("knee", 0.5)}  # fmt: skip


def pose(rng, height_px, *, mirrored=False):
    """Joints (17, 2) in pixels about the body's middle; limbs swing, the body leans. `mirrored`:
    the right limbs swing as the left ones, so that one side tells of the other."""
    places = {}
    swings = {}
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        rotated = {}
        for name, (x, y) in _PLACES.items():
            here = np.array([sign * x, y])
            if name in _SWINGS:
                parent, reach = _SWINGS[name]
                again = mirrored and name in swings
                swings[name] = -swings[name] if again else rng.uniform(-reach, reach)
                rotated[name] = rotated.get(parent, 0.0) + swings[name]
                px, py = _PLACES[parent]
                c, s = np.cos(rotated[name]), np.sin(rotated[name])
                bone = here - [sign * px, py]
                here = places[side + parent] + [[c, -s], [s, c]] @ bone
            places[name if name == "nose" else side + name] = here
    xy = np.array([places[name] for name in SKELETON.joints]) - [0, 0.5]
    lean = rng.uniform(-0.25, 0.25)
    c, s = np.cos(lean), np.sin(lean)
    return height_px * xy @ np.array([[c, s], [-s, c]])


def box_of(xy, margin=0.05):
    """The box (4,) x y w h of joints (J, 2), wider by a share of its longer side."""
    low, high = xy.min(0), xy.max(0)
    more = margin * (high - low).max()
    return np.concatenate([low - more, high - low + 2 * more])


def outline(xy, size):
    """The mask (H, W) of a person: thick limbs, a trunk, a head."""
    mask = np.zeros(size, np.uint8)
    thick = max(2, int(0.045 * np.ptp(xy[:, 1])))
    names = SKELETON.joints
    for a, b in SKELETON.edges:
        start, end = (tuple(round(float(v)) for v in xy[k]) for k in (a, b))
        cv2.line(mask, start, end, 1, thick)
    trunk = [names.index(n) for n in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
    cv2.fillPoly(mask, [xy[trunk].round().astype(np.int32)], 1)
    head = xy[[names.index("left_ear"), names.index("right_ear")]].mean(0)
    cv2.circle(mask, tuple(round(float(v)) for v in head), 2 * thick, 1, -1)
    return mask.astype(bool)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnPeople(FramePeople):
    """`masks` (P, H, W): what is seen of each."""

    masks: np.ndarray


def frame_of(joints, size):
    """The labels of people (P, J, 2), the last in front."""
    whole = [outline(xy, size) for xy in joints]
    seen = [m & ~np.any(whole[k + 1 :], 0) if whole[k + 1 :] else m for k, m in enumerate(whole)]
    return DrawnPeople(
        size=size,
        joints_px=joints,
        boxes_px=np.array([box_of(xy) for xy in joints]).reshape(-1, 4),
        masks=np.array(seen, bool).reshape(-1, *size),
    )


def crowd(rng, *, people=3, size=(480, 640), height_px=(240, 340), apart_px=24, spread=0.3):
    """People, `spread` heights apart, who overlap their neighbours, every joint in the frame.
    No two have the same joint within `apart_px`: nobody could tell such peaks from one."""
    middle = (people - 1) / 2
    while True:
        tall = rng.uniform(*height_px, people)
        base = np.array([size[1] / 2, size[0] / 2])
        at = [base + rng.uniform(-12, 12, 2) for _ in range(people)]
        joints = np.array(
            [pose(rng, tall[k]) + at[k] + [(k - middle) * spread * tall[k], 0]
             for k in range(people)]
        )  # fmt: skip
        inside = ((joints >= 0) & (joints < size[::-1])).all()
        low, high = joints.min(1)[:, 0], joints.max(1)[:, 0]
        inside &= (low[1:] < high[:-1]).all()
        between = np.linalg.norm(joints[:, None] - joints[None], axis=-1)
        between[np.arange(people), np.arange(people)] = np.inf
        if inside and between.min() > apart_px:
            return frame_of(joints, size)


def truth_of(frames):
    """The labels as truth; a person covers half of their box."""
    boxes = np.concatenate([f.boxes_px for f in frames])
    joints = np.concatenate([f.joints_px for f in frames])
    return Truth(
        image=np.repeat(np.arange(len(frames)), [len(f.joints_px) for f in frames]),
        xy=joints,
        known=np.isfinite(joints).all(-1),
        area=boxes[:, 2] * boxes[:, 3] / 2,
        box=boxes,
    )


def oks(frame, found):
    """(P, D) OKS of people with detections (cocodataset.org/#keypoints-eval); a joint that was
    not found counts 0."""
    apart = frame.joints_px[:, None] - found.joints_px[None]
    squared = (apart**2).sum(-1)
    area = (frame.boxes_px[:, 2] * frame.boxes_px[:, 3] / 2)[:, None, None]
    similar = np.exp(-squared / (2 * area * (2 * SKELETON.sigmas) ** 2))
    known = np.isfinite(frame.joints_px).all(-1)
    total = np.where(known[:, None], np.nan_to_num(similar), 0).sum(-1)
    return np.asarray(total / known.sum(1)[:, None])


def detections(found):
    """Arguments of `average_precision` for people found in frames."""
    return {
        "xy": np.concatenate([f.joints_px for f in found]),
        "score": np.concatenate([f.score for f in found]),
        "image": np.repeat(np.arange(len(found)), [len(f) for f in found]),
    }


def precision(frames, found):
    said = detections(found)
    return average_precision(truth_of(frames), sigmas=SKELETON.sigmas, **said)["AP"]


def at_borders(stride):
    """Twelve frames of one person each, a shoulder of whom lies in the border's cells or beside."""
    size, rng = (256, 320), stream(4, "borders", stride)
    joints = np.stack([pose(rng, 200) for _ in range(12)]) + np.array([160, 128])
    joints[:, 5] = rng.uniform(0, [size[1] - 1e-3, size[0] - 1e-3], (12, 2))
    joints[:6, 5, 0] = rng.uniform(0, stride / 2, 6)  # the border's half cell
    joints[3:9, 5, 1] = size[0] - rng.uniform(1e-3, stride / 2, 6)
    joints[:3, 7] = joints[:3, 7].round() // stride * stride  # the corner of four cells
    return [frame_of(xy[None], size) for xy in joints]


def error_inside(frame, found):
    """Largest distance of the one found person's joints inside the frame, in pixels."""
    assert len(found) == 1
    inside = ((frame.joints_px[0] >= 0) & (frame.joints_px[0] < frame.size[::-1])).all(-1)
    return float(np.linalg.norm(found.joints_px[0] - frame.joints_px[0], axis=-1)[inside].max())


def crowds():
    return [crowd(stream(2, "crowds", k), height_px=(260, 340)) for k in range(20)]


def best_oks(frames, found):
    return np.concatenate([oks(a, b).max(1, initial=0) for a, b in zip(frames, found, strict=True)])
