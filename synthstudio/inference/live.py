"""People in a stream: detected once, then tracked by their joints, and shown with the speed.

A person's box encloses their joints of the previous picture; the detector (`find`) runs only
when no one is tracked, and every `every` pictures. The one-euro filter smooths reported joints,
not boxes, so that quick people are not lost. They are drawn in a window or a video; keys end it.
"""

import dataclasses
import functools
import math
import os
import re
import select
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import DiskError
from synthstudio.core.places import TEMPORARY
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.video import stated_frames
from synthstudio.dataset.durable import whole_file
from synthstudio.inference.finder import box_around
from synthstudio.inference.predict import Person, Predictor, predict, tracking_columns
from synthstudio.inference.sources import Boxes, FindPeople, SourceImage
from synthstudio.inference.stream import LiveFrame
from synthstudio.inference.tracking import REPEATED, Tracker, overlaps
from synthstudio.inference.write import frame_labels
from synthstudio.report.draw import TEXT, draw_labels, legend_strip

_SAME = 0.3
"""Minimum IoU of a detected box with a tracked person's."""
MAX_PEOPLE = 50
_GAP_S = 1.0
"""Maximum gap of a track."""


@dataclass(frozen=True, kw_only=True)
class OneEuro:
    """The one-euro filter (Casiez, Roussel and Vogel 2012) on joints; speed is measured in person
    sizes a second. `min_cutoff_hz`: lower is steadier at rest; `beta`: hertz of cutoff per unit of
    speed, higher lags less; `speed_cutoff_hz`: of the speed itself (1 in the paper)."""

    min_cutoff_hz: float = 1.0
    beta: float = 3.0
    speed_cutoff_hz: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """Filtered joints (J, 2), their velocity (J, 2) in pixels per second, and the time."""

    xy: F64
    velocity: F64
    time_s: float


def filtered(
    settings: OneEuro, before: Filtered | None, xy: F64, *, time_s: float, size_px: float
) -> Filtered:
    """Joints (J, 2) after the filter; `size_px`: the person's. Missing ones stay NaN."""
    step_s = math.inf if before is None else time_s - before.time_s
    if before is None or not 0 < step_s <= _GAP_S:
        return Filtered(xy=xy.copy(), velocity=np.zeros_like(xy), time_s=time_s)
    share = _share(np.float64(settings.speed_cutoff_hz), step_s)
    moved = xy - before.xy
    known = np.isfinite(moved)
    moved = np.where(known, moved, 0.0)
    velocity = np.where(known, before.velocity + share * (moved / step_s - before.velocity), 0.0)
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True) / max(size_px, 1.0)
    share = _share(settings.min_cutoff_hz + settings.beta * speed, step_s)
    xy = np.where(known, before.xy + share * moved, xy)
    return Filtered(xy=xy, velocity=velocity, time_s=time_s)


def _share(cutoff_hz: F64 | np.float64, step_s: float) -> F64:
    return np.asarray(1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s)))


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """`every`: pictures between two detections while people are tracked, 0: never. `minimum`:
    confidence below which a person is lost. `euro`: None: no smoothing."""

    every: int = 30
    minimum: float = 0.2
    euro: OneEuro | None = field(default_factory=OneEuro)


@dataclass(frozen=True, kw_only=True)
class TrackedFrame:
    """The people of a picture. `searched`: detected anew; `latency_s`: from arrival to result."""

    frame: LiveFrame
    people: list[Person]
    searched: bool
    latency_s: float


class Follower:
    """Tracks people through pictures. `size`: the (H, W) of crops. Errors as of `predict`."""

    def __init__(
        self,
        predictor: Predictor,
        find: FindPeople,
        *,
        size: tuple[int, int],
        options: LiveOptions | None = None,
    ) -> None:
        self._predict, self._find, self._size = predictor, find, size
        self._options = options or LiveOptions()
        self._tracker = Tracker()
        self._people: list[Person] = []
        self._filters: dict[int, Filtered] = {}
        self._since = 0

    def step(self, frame: LiveFrame) -> TrackedFrame:
        image = SourceImage(
            number=frame.number,
            name=f"picture {frame.number}",
            rgb=frame.rgb,
            sequence="live",
            time=frame.number,
        )
        boxes, searched = self._boxes(image)
        found = Boxes(xywh=boxes, score=np.ones(len(boxes)))
        predicted = predict(self._predict, [image], lambda image: found, size=self._size)
        confident = [person for person in predicted if person.confidence >= self._options.minimum]
        self._people = self._named(confident, frame.number)
        steady = [self._steadied(person, frame.time_s) for person in self._people]
        seen = {person.track for person in steady}
        self._filters = {track: f for track, f in self._filters.items() if track in seen}
        return TrackedFrame(
            frame=frame,
            people=steady,
            searched=searched,
            latency_s=time.perf_counter() - frame.arrived_s,
        )

    def _boxes(self, image: SourceImage) -> tuple[F64, bool]:
        """Boxes (P, 4) of tracked people and, if due, of detected ones; whether detection ran."""
        size = (image.rgb.shape[1], image.rgb.shape[0])
        about = [box for p in self._people if (box := box_around(p, size)) is not None]
        boxes = np.array(about, np.float64).reshape(-1, 4)
        self._since += 1
        every = self._options.every
        if len(boxes) and not (every and self._since >= every):
            return boxes, False
        self._since = 0
        more = np.asarray(self._find(image).xywh, np.float64).reshape(-1, 4)
        if len(boxes):
            more = more[(overlaps(more, boxes) < _SAME).all(-1)]
        return np.concatenate([boxes, more])[:MAX_PEOPLE], True

    def _named(self, people: list[Person], number: int) -> list[Person]:
        if not people:
            return []
        names = self._tracker.name(*tracking_columns(people), at=number)
        return [
            dataclasses.replace(person, track=int(name))
            for person, name in zip(people, names, strict=True)
            if name != REPEATED
        ]

    def _steadied(self, person: Person, time_s: float) -> Person:
        euro, track = self._options.euro, person.track
        if euro is None or track is None:
            return person
        size_px = float(person.box[2:].max())
        now = filtered(euro, self._filters.get(track), person.xy, time_s=time_s, size_px=size_px)
        self._filters[track] = now
        return dataclasses.replace(person, xy=now.xy)


LAST = 300
"""Window in pictures of p50, p95 and the rate on screen."""
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv")
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


def annotated(seen: TrackedFrame, skeleton: Skeleton, text: str = "") -> U8:
    """The picture with its people and their numbers, causes by colour and shape, and `text` at
    the top; sides are even, as videos need."""
    rgb = seen.frame.rgb
    out = draw_labels(
        rgb,
        frame_labels(seen.people),
        skeleton,
        rows_px=rgb.shape[0],
        legend=False,
        names=True,
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
                    expected=", ".join(VIDEO_SUFFIXES),
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
        count = stated_frames(self._part)
        if count != self._written or not self._written:
            raise DiskError(
                "the video is incomplete",
                where=str(self._path),
                expected=f"{self._written} pictures",
                got=str(count),
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
