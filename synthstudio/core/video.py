"""Frames of video files, in order, without seeking, so that any playable file can be read."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.errors import FormatError
from synthstudio.core.images import MAX_PIXELS

_log = logging.getLogger(__name__)
_FASTEST_HZ, _MOST_FRAMES = 1000.0, 999_999_999
_JITTER_S = 0.002
"""Rounding of container timestamps."""


class FrameClock:
    """Presentation times of a video's frames in seconds from 0, non-decreasing.

    A constant rate is used as stated. Frames that deviate by more than `_JITTER_S`, as telephones
    and screen recorders write them, keep their own presentation timestamps (FFmpeg's pts, which
    OpenCV gives as CAP_PROP_POS_MSEC).
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._frames = 0
        self._start_s = self._stamp_s = self._last_s = 0.0
        self._uneven = False

    def time_s(self, stamp_s: float) -> float:
        """The next frame's second; `stamp_s`: its timestamp."""
        self._start_s = self._start_s if self._frames else stamp_s
        stamp_s -= self._start_s
        even_s = self._frames / self._rate_hz if self._rate_hz else math.nan
        later = stamp_s > self._stamp_s and math.isfinite(stamp_s)
        if later and not abs(stamp_s - even_s) <= _JITTER_S:
            self._uneven = True
            even_s = stamp_s
        elif self._uneven and not later:
            even_s = self._last_s
        self._frames += 1
        self._stamp_s = stamp_s if later else self._stamp_s
        self._last_s = max(even_s, self._last_s) if self._frames > 1 else 0.0
        return self._last_s


def timed_frames(path: Path) -> Iterator[tuple[U8, float]]:
    """Yield the frames of a video, (H, W, 3) uint8 RGB, and their presentation times in seconds
    from 0.

    NaN if a video has neither rate nor timestamps. FormatError without frames.
    """
    import cv2

    clock = FrameClock(stated_rate_hz(path))
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
            time_s = clock.time_s(film.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            done += 1
            yield np.ascontiguousarray(bgr[..., ::-1]), time_s
        if done < 0.9 * (stated := stated_frames(path)):
            _log.warning("%s: only %d of %d frames decoded", path, done, stated)
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
    """Number of frames by the header, 0 if invalid."""
    return int(_stated(path, "CAP_PROP_FRAME_COUNT", _MOST_FRAMES))


def stated_rate_hz(path: Path) -> float:
    """Frame rate in Hz by the header, 0.0 if invalid."""
    return _stated(path, "CAP_PROP_FPS", _FASTEST_HZ)


def _stated(path: Path, what: str, maximum: float) -> float:
    """A number of the header, which may be damaged: 0.0 unless from above 0 to `maximum`."""
    import cv2

    film = cv2.VideoCapture(str(path))
    try:
        found = float(film.get(getattr(cv2, what)))
    finally:
        film.release()
    return found if 0 < found <= maximum else 0.0
