"""Output of a live run: drawn people and speed, in a window or video; keys."""

from __future__ import annotations

import functools
import os
import re
import select
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.errors import DiskError
from synthstudio.core.places import TEMPORARY
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import whole_file
from synthstudio.inference.live import TrackedFrame
from synthstudio.inference.write import frame_labels
from synthstudio.report.draw import TEXT, draw_labels, legend_strip

LAST = 300
"""Window in pictures of p50, p95 and the rate on screen."""
SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv")
QUIT = "q"
_TITLE = "synthstudio live"


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Of the last pictures: ms from arrival to result, results per second; `missed` of all."""

    p50_ms: float
    p95_ms: float
    per_second: float
    pictures: int
    missed: int

    def text(self) -> str:
        return (
            f"p50 {self.p50_ms:.0f} ms  p95 {self.p95_ms:.0f} ms  {self.per_second:.1f} frames/s  "
            f"{self.missed} dropped"
        )


class Clock:
    """Counts pictures and their latencies; `last` 0: all of them."""

    def __init__(self, last: int = LAST) -> None:
        self._ended: deque[tuple[float, float]] = deque(maxlen=last or None)
        self.pictures, self.missed, self._next = 0, 0, 0

    def count(self, seen: TrackedFrame) -> None:
        number = seen.frame.number
        self.missed += number - self._next
        self._next = number + 1
        self.pictures += 1
        self._ended.append((seen.frame.arrived_s + seen.latency_s, seen.latency_s))

    def throughput(self) -> Throughput:
        """NaN before the first picture; the rate is 0 until the second."""
        ends = [end for end, _ in self._ended]
        took_ms = np.array([took * 1000 for _, took in self._ended] or [np.nan])
        p50, p95 = (float(v) for v in np.percentile(took_ms, [50, 95]))
        lasted = ends[-1] - ends[0] if len(ends) > 1 else 0.0
        return Throughput(
            p50_ms=p50,
            p95_ms=p95,
            per_second=(len(ends) - 1) / lasted if lasted > 0 else 0.0,
            pictures=self.pictures,
            missed=self.missed,
        )


def annotated(seen: TrackedFrame, skeleton: Skeleton, text: str = "", *, names: bool = False) -> U8:
    """The picture with its people (and their numbers: `names`), causes by colour and shape, and
    `text` at the top; sides are even, as videos need."""
    rgb = seen.frame.rgb
    out = draw_labels(
        rgb,
        frame_labels(seen.people),
        skeleton,
        rows_px=rgb.shape[0],
        legend=False,
        names=names,
        by_cause=True,
    )
    scale = max(0.35, rgb.shape[0] / 900)
    for colour, strokes in (((18, 20, 24), 4), (TEXT, 1)):
        at = (round(12 * scale), round(30 * scale))
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, strokes, cv2.LINE_AA)
    whole = np.vstack([out, _legend(rgb.shape[1])])
    high, wide = (side // 2 * 2 for side in whole.shape[:2])
    return np.ascontiguousarray(whole[:high, :wide])


@functools.lru_cache(1)
def _legend(width: int) -> U8:
    return legend_strip(width, by_cause=True)


def window_missing() -> str:
    """Why no window can be opened; "" if possible."""
    gui = re.search(r"^\s+GUI:\s+(\S+)", cv2.getBuildInformation(), re.M)
    if gui is None or gui.group(1) == "NONE":
        return "this OpenCV build has no windows (opencv-python-headless; opencv-python has)"
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "no display"
    return ""


def show(rgb: U8) -> bool:
    """Show a picture in the window; whether q was pressed there, or the window closed."""
    cv2.imshow(_TITLE, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    pressed = cv2.waitKey(1) & 0xFF
    return pressed == ord(QUIT) or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1


@contextmanager
def quit_key() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether q was typed into the terminal, if there is one."""
    try:
        import termios
        import tty
    except ImportError:  # no terminals on this system
        yield lambda: False
        return
    try:
        held: Any = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin, termios.TCSANOW)  # earlier input counts
    except (OSError, ValueError, AttributeError, termios.error):
        yield lambda: False
        return

    def typed() -> bool:
        while select.select([sys.stdin], [], [], 0)[0]:
            letter = os.read(sys.stdin.fileno(), 1)
            if letter in (QUIT.encode(), b""):
                return letter != b""
        return False

    try:
        yield typed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, held)


@contextmanager
def video_out(path: Path) -> Iterator[Callable[[U8, int, float], None]]:
    """Yield write(picture, number, fps); `path` is created if the body succeeds. A picture is
    repeated for missed ones before it. DiskError."""
    with (
        whole_file(path) as whole,
        tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as folder,
    ):
        part = Path(folder) / f"video{path.suffix.lower()}"
        with closing(_Video(part, path)) as video:
            yield video.write
        video.check()
        part.replace(whole)


class _Video:
    def __init__(self, part: Path, path: Path) -> None:
        self._part, self._path = part, path
        self._video: Any = None
        self._last = -1
        self._written = 0

    def write(self, rgb: U8, number: int, fps: float) -> None:
        if self._video is None:
            size = (rgb.shape[1], rgb.shape[0])
            kind = "MJPG" if self._part.suffix == ".avi" else "mp4v"
            code = cv2.VideoWriter.fourcc(*kind)
            self._video = cv2.VideoWriter(str(self._part), cv2.CAP_FFMPEG, code, fps, size)
            if not self._video.isOpened():
                raise DiskError(
                    "cannot write this video",
                    where=str(self._path),
                    expected=", ".join(SUFFIXES),
                    then="Name it .mp4.",
                )
            self._last = number - 1
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        for _ in range(number - self._last):
            self._video.write(bgr)
            self._written += 1
        self._last = number

    def close(self) -> None:
        if self._video is not None:
            self._video.release()

    def check(self) -> None:
        """DiskError unless the video is complete: OpenCV does not report a full disk."""
        film = cv2.VideoCapture(str(self._part), cv2.CAP_FFMPEG)
        count = film.get(cv2.CAP_PROP_FRAME_COUNT) if film.isOpened() else 0
        film.release()
        if round(count) != self._written or not self._written:
            raise DiskError(
                "the video is incomplete",
                where=str(self._path),
                expected=f"{self._written} pictures",
                got=f"{count:g}",
                then="Check the disk space.",
            )


def every_s(seconds: float) -> Callable[[], bool]:
    """A function that returns True once per interval."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return due


def close_window() -> None:
    with suppress(cv2.error):
        cv2.destroyWindow(_TITLE)
