"""Stick people in a few poses and clothes each, as people to learn codes of poses from."""

from __future__ import annotations

import cv2
import numpy as np
from stick_frames import SKELETON, box_of, pose

from synthstudio.core.labels import SHARES
from synthstudio.core.masks import encode
from synthstudio.core.rng import stream
from synthstudio.training.config import Config, parse
from synthstudio.training.data.crops import crops_in_memory, label_person
from synthstudio.training.pretraining import PosePeople

LOOKS = 3
"""So many clothes are worn in each pose, and POSES poses are shown in each."""
POSES = 3
FRAME, SIZE = (96, 96), (48, 36)
"""Pixels (H, W) of the pictures, and of what networks see."""
_LIMBS = ("elbow", "wrist", "knee", "ankle")


def config(*, widths: tuple[int, ...] = (16, 32, 48), **changes: object) -> Config:
    network = {"head": "kpe", "size": list(SIZE), "widths": list(widths), "width": 24}
    fields = {
        "train": [{"dataset": "drawn"}],
        "network": network,
        "augment": {"scale": 0.1, "rotation_deg": 5, "shift": 0.03, "colour": 0.2},
        "batch": 64,
        "lr": 5e-3,
        "device": "cpu",
    }
    return parse(fields | changes)


def people(moments: int, *, seed: int) -> PosePeople:
    """POSES x LOOKS pictures of each of so many people, all before the same wall."""
    rows, poses, looks = [], [], []
    for moment in range(moments):
        rng = stream(seed, "drawn poses", moment)
        wall = rng.integers(108, 148, 3)
        clothes = [clothes_of(rng) for _ in range(LOOKS)]
        for k in range(POSES):
            joints = pose(rng, 66.0) + np.array([48, 48])
            for look in range(LOOKS):
                rows.append(_row(joints, clothes[look], wall, group=moment))
                poses.append(moment * POSES + k)
                looks.append(moment * LOOKS + look)
    return PosePeople(
        crops=crops_in_memory(rows),
        rows=np.arange(len(rows)),
        pose=np.array(poses),
        look=np.array(looks),
        skeleton=SKELETON,
    )


def clothes_of(rng: np.random.Generator) -> np.ndarray:  # noqa: TID251
    """Colours of trunk, limbs and head, each darker or brighter than any wall."""
    bright = rng.random((3, 1)) < 0.5
    return np.where(bright, rng.integers(180, 256, (3, 3)), rng.integers(0, 76, (3, 3)))


def _row(joints: np.ndarray, colours: np.ndarray, wall: np.ndarray, *, group: int) -> dict:
    picture = np.full((*FRAME, 3), wall, np.uint8)
    paint(picture, joints, colours)
    return row_of(picture, joints, group=group)


def paint(picture: np.ndarray, joints: np.ndarray, colours: np.ndarray) -> None:
    """Draw somebody in colours (3, 3) of trunk, limbs and head over a picture (H, W, 3)."""
    names = SKELETON.joints
    at = {name: joints[names.index(name)].round().astype(int) for name in names}
    trunk = np.array([at[f"{s}_{p}"] for s, p in
                      (("left", "shoulder"), ("right", "shoulder"), ("right", "hip"),
                       ("left", "hip"))])  # fmt: skip
    cv2.fillPoly(picture, [trunk], colours[0].tolist())
    for a, b in SKELETON.edges:
        if names[a].endswith(_LIMBS) or names[b].endswith(_LIMBS):
            start, end = at[names[a]].tolist(), at[names[b]].tolist()
            cv2.line(picture, start, end, colours[1].tolist(), 5)
    head = ((at["left_ear"] + at["right_ear"]) // 2).tolist()
    cv2.circle(picture, head, 6, colours[-1].tolist(), -1)


def row_of(
    picture: np.ndarray,
    joints: np.ndarray,
    *,
    group: int,
    cause: np.ndarray | None = None,
    cover: np.ndarray | None = None,
) -> dict:
    """A row of crops of somebody in a picture: `cause` (J,) of SHARES for each joint, visible
    without; `cover` (H, W), what stands in front."""
    box, count = box_of(joints), len(SKELETON.joints)
    causes = np.zeros(count, int) if cause is None else cause
    person = {
        "joints_px": joints.ravel().tolist(), "state": np.where(causes, 1, 2).tolist(),
        "amodal_box_px": box.tolist(), "modal_box_px": box.tolist(),
        "amodal_area_px": float(box[2:].prod() / 3), "modal_area_px": None, "mask_size": FRAME,
        "modal_counts": None if cover is None else encode(np.zeros(FRAME, bool))["counts"],
        "amodal_counts": None if cover is None else encode(cover)["counts"],
        "shares": np.eye(5)[causes].ravel().tolist(), "cause": [SHARES[k] for k in causes],
        "occluded_fraction": float((causes > 0).mean()), "frame_index": group, "instance": 1,
    }  # fmt: skip
    found = label_person(person, SKELETON, size=SIZE, image=FRAME)
    assert found is not None
    return found.cut_out(picture) | {
        "xyz_m": np.full((count, 3), np.nan, np.float32), "split": "train", "variant": "base",
        "family": "", "crowd": np.float32(0), "moment": (group, 0, 0, 1),
    }  # fmt: skip
