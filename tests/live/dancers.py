"""Videos of coloured sticks, and what answers where they are: live runs without a network."""

import cv2
import numpy as np

from synthstudio.core.skeleton import get_skeleton
from synthstudio.inference.predict import CropPredictions

SIZE = (96, 72)
SKELETON = get_skeleton("coco17")
STICK = (30, 90)
"""Width and height of somebody."""


def picture(places, size=(240, 320)):
    """Red sticks on grey, (H, W, 3) RGB: each a rectangle STICK with its corner at a place."""
    rgb = np.full((*size, 3), 90, np.uint8)
    for x, y in places:
        left, top = round(x), round(y)
        cv2.rectangle(rgb, (left, top), (left + STICK[0], top + STICK[1]), (250, 30, 30), -1)
    return rgb


def video(path, pictures, fps=30):
    high, wide = pictures[0].shape[:2]
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (wide, high))
    for rgb in pictures:
        out.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    out.release()
    return path


def ask(crops):
    """Joints spread over the red of each crop (B, H, W, 3); without red nobody is sure. The second
    joint is hidden by the person itself, the third by a person, the fourth by an object."""
    joints = len(SKELETON.joints)
    xy, score = np.zeros((len(crops), joints, 2)), np.zeros((len(crops), joints))
    for k, crop in enumerate(crops):
        rgb = crop.astype(np.int64)
        rows, columns = np.nonzero((rgb[..., 0] > 170) & (rgb[..., 1] < 110))
        if len(rows) < 30:
            continue
        # of several the one in the middle: the box is about them
        near = np.abs(columns - crop.shape[1] / 2) < 0.45 * crop.shape[1]
        rows, columns = rows[near], columns[near]
        if len(rows) < 30:
            continue
        low = np.array([columns.min(), rows.min()])
        high = np.array([columns.max() + 1, rows.max() + 1])
        spread = np.linspace(0, 1, joints)[:, None]
        xy[k] = low + np.concatenate(
            [spread[::-1] * 0 + (np.arange(joints) % 2)[:, None], spread], 1
        ) * (high - low)
        score[k] = 0.9
    fractions = np.zeros((len(crops), joints, 4))
    fractions[..., 0] = 1
    for joint, cause in ((1, 1), (2, 2), (3, 3)):
        fractions[:, joint] = np.eye(4)[cause]
    return CropPredictions(
        xy=xy,
        score=score,
        visibility_fractions=fractions,
        quality=score.copy(),
        present=np.where(score > 0, 0.95, 0.6),
        peaks=np.zeros((len(crops), joints, 0, 3)),
    )
