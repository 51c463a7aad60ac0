"""Frames of video files, one after the other: nothing is sought, so any that plays can be read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import FormatError
from synthstudio.core.images import MAX_PIXELS

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
_FASTEST_HZ = 1000.0


def decoded_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video, (H, W, 3) uint8 RGB; FormatError when there is none."""
    import cv2

    film = cv2.VideoCapture(str(path))
    try:
        size = film.get(cv2.CAP_PROP_FRAME_WIDTH) * film.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if film.isOpened() and not 0 <= size <= MAX_PIXELS:
            raise FormatError(
                "the video's frames are too large",
                where=str(path),
                expected=f"at most {MAX_PIXELS} pixels",
                got=f"{size:g}",
            )
        done = 0
        while film.isOpened():
            good, bgr = film.read()
            if not good:
                break
            done += 1
            yield np.ascontiguousarray(bgr[..., ::-1])
        if not done:
            raise FormatError(
                "no frame of this video can be decoded",
                where=str(path),
                then="Convert it, for example to MP4 with H.264, or give its frames as a "
                "folder of images.",
            )
    finally:
        film.release()


def stated_frames(path: Path) -> int:
    """Return how many frames a video says it has, 0 where that cannot be."""
    import cv2

    count = _stated(path, cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else 0  # headers may be damaged


def stated_rate_hz(path: Path) -> float:
    """Return how many frames a second a video says it has, 0.0 where that cannot be."""
    import cv2

    rate = _stated(path, cv2.CAP_PROP_FPS)
    return rate if math.isfinite(rate) and 0 < rate <= _FASTEST_HZ else 0.0


def _stated(path: Path, what: int) -> float:
    import cv2

    film = cv2.VideoCapture(str(path))
    try:
        return float(film.get(what))
    finally:
        film.release()
