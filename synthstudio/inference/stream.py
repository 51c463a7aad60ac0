"""Pictures from a camera, a video or a network stream. A thread keeps only the newest picture of
live sources: a slow reader drops pictures but never lags."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import cv2
import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.errors import ArgumentError, DeviceError, FormatError, SynthStudioError
from synthstudio.core.images import MAX_PIXELS, VIDEOS
from synthstudio.core.video import FrameClock

Kind = Literal["camera", "video", "network"]

TIMEOUT_S = 10.0
SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https")
MAX_CAMERA = 99
_USUAL_FPS = 30.0
_HANGS_S = 2.0
"""A reader thread that takes longer to stop hangs in the driver."""
_log = logging.getLogger("synthstudio")


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """A picture (H, W, 3) RGB. `number` counts all from 0, dropped ones too; `time_s` is
    since the first; `arrived_s`: arrival by time.perf_counter."""

    number: int
    time_s: float
    arrived_s: float
    rgb: U8


@dataclass(frozen=True, kw_only=True)
class StreamSource:
    """A source of pictures. `place`: argument of OpenCV, `name`: name in messages (without
    a password), `paced`: real-time, unread pictures are dropped."""

    kind: Kind
    place: int | str
    name: str
    paced: bool


def stream_source(source: int | str | Path, *, realtime: bool = False) -> StreamSource:
    """A camera by number, a video by path, a network stream by address. `realtime`: a video at its
    frame rate. ArgumentError; FormatError for a missing file or no video."""
    text = str(source)
    if text.isdecimal():
        if int(text) > MAX_CAMERA:
            raise ArgumentError("no such camera", expected=f"0 to {MAX_CAMERA}", got=text[:20])
        return StreamSource(kind="camera", place=int(text), name=f"camera {int(text)}", paced=True)
    if "://" in text:
        return StreamSource(kind="network", place=text, name=_without_user(text), paced=True)
    path = Path(text)
    if not path.is_file():
        raise FormatError(
            "no such file",
            where=text,
            expected="a camera's number, a video, or rtsp://...",
        )
    if path.suffix.lower() not in VIDEOS:
        raise FormatError(
            "not a video",
            where=text,
            expected=", ".join(VIDEOS),
            got=path.suffix or "no suffix",
            then="For photos: synthstudio predict.",
        )
    return StreamSource(kind="video", place=str(path.resolve()), name=text, paced=realtime)


def _without_user(address: str) -> str:
    """A URL without password for messages; ArgumentError for an unsupported scheme."""
    try:
        parts = urlsplit(address)
        named = parts.netloc.rpartition("@")[2]
    except ValueError as error:
        raise ArgumentError("not a URL", where="source", got=str(error)) from error
    if parts.scheme.lower() not in SCHEMES or not named:
        raise ArgumentError(
            "not a stream URL",
            where="source",
            expected=", ".join(f"{scheme}://..." for scheme in SCHEMES),
            got=f"{parts.scheme[:20]}://...",
        )
    return urlunsplit((parts.scheme, named, parts.path, "", ""))


class Stream:
    """The pictures of a source, once; close it when done. Raises DeviceError when it is missing,
    stalls for `timeout_s` or disconnects, FormatError for no pictures or a change of size."""

    def __init__(
        self,
        source: StreamSource,
        *,
        timeout_s: float = TIMEOUT_S,
        max_pixels: int = MAX_PIXELS,
        name: str = "",
    ) -> None:
        """`max_pixels` of a picture; `name`: name of the source in messages."""
        self.source = replace(source, name=name or source.name)
        self._timeout_s, self._max_pixels = timeout_s, max_pixels
        self.fps = _USUAL_FPS
        """The source's frame rate, known with the first picture."""
        self._ready = threading.Condition()
        self._slot: LiveFrame | None = None
        self._ended: bool = False
        self._error: SynthStudioError | None = None
        self._stop = threading.Event()
        self._reader: threading.Thread | None = None

    def __iter__(self) -> Iterator[LiveFrame]:
        if not self.source.paced:
            return self._read()
        self._reader = threading.Thread(target=self._pump, name="stream", daemon=True)
        self._reader.start()
        return self._newest()

    def close(self) -> None:
        """Release the camera. Waits for the reader, since exiting Python while OpenCV reads
        aborts the process; one that hangs in the driver is abandoned."""
        self._stop.set()
        if self._reader is not None:
            self._reader.join(_HANGS_S)

    def _newest(self) -> Iterator[LiveFrame]:
        while not self._stop.is_set():
            with self._ready:
                there = self._ready.wait_for(
                    lambda: self._slot is not None or self._ended, self._timeout_s
                )
                frame, self._slot = self._slot, None
            if frame is not None:
                yield frame
            elif there:
                if self._error is not None:
                    raise self._error
                return
            else:
                self._stop.set()
                raise DeviceError(
                    "no more pictures",
                    where=self.source.name,
                    expected=f"one within {self._timeout_s:g} s",
                    then="Check the connection and other users of it, or raise --timeout.",
                )

    def _pump(self) -> None:
        """Read on and keep the newest picture; a video at its frame rate."""
        began = None
        error: SynthStudioError | None = None
        try:
            for frame in self._read():
                began = frame.arrived_s if began is None else began
                late_s = frame.time_s - (time.perf_counter() - began)
                if self.source.kind == "video":
                    self._stop.wait(max(late_s, 0))
                    frame = replace(frame, arrived_s=time.perf_counter())
                with self._ready:
                    self._slot = frame
                    self._ready.notify_all()
                if self._stop.is_set():
                    return
        except SynthStudioError as raised:
            error = raised
        except Exception as raised:  # any driver error must reach the reader
            error = DeviceError("reading failed", where=self.source.name, got=str(raised)[:200])
        finally:
            with self._ready:
                self._ended, self._error = True, error
                self._ready.notify_all()

    def _read(self) -> Iterator[LiveFrame]:
        source = self.source
        with closing(_Film(source, self._timeout_s, self._max_pixels)) as film:
            self.fps = film.fps
            began, size, done = 0.0, None, 0
            clock = FrameClock(film.fps)
            while not self._stop.is_set():
                bgr = film.next()
                now = time.perf_counter()
                if bgr is None:
                    break
                if size is not None and bgr.shape != size:
                    raise FormatError(
                        "the picture size changes",
                        where=f"{source.name}, picture {done}",
                        expected=f"{size[1]} x {size[0]}",
                        got=f"{bgr.shape[1]} x {bgr.shape[0]}",
                        then="Rescale it, for example with ffmpeg -vf scale.",
                    )
                began, size = (now, bgr.shape) if size is None else (began, size)
                yield LiveFrame(
                    number=done,
                    time_s=clock.time_s(film.stamp_s()) if source.kind == "video" else now - began,
                    arrived_s=now,
                    rgb=np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8),
                )
                done += 1
            if not self._stop.is_set():
                film.check_end(done)


class _Film:
    """OpenCV's capture."""

    def __init__(self, source: StreamSource, timeout_s: float, max_pixels: int) -> None:
        self._source = source
        if source.kind == "camera":
            self._film: Any = cv2.VideoCapture(source.place)
        else:
            wait = int(timeout_s * 1000)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait]
            self._film = cv2.VideoCapture(source.place, cv2.CAP_FFMPEG, limits)
        if not self._film.isOpened():
            self.close()
            if source.kind == "video":
                raise _undecodable(source)
            camera = source.kind == "camera"
            raise DeviceError(
                "no such camera, or it is in use" if camera else "the stream cannot be opened",
                where=source.name,
                then="Check connection and permissions. On Linux: ls -l /dev/video*."
                if camera
                else "Test the address in another player.",
            )
        pixels = self._stated(cv2.CAP_PROP_FRAME_WIDTH) * self._stated(cv2.CAP_PROP_FRAME_HEIGHT)
        if not pixels <= max_pixels:
            self.close()
            raise FormatError(
                "the pictures are too large",
                where=source.name,
                expected=f"at most {max_pixels} pixels",
                got=f"{pixels:g}",
            )
        fps = self._stated(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 1000 else _USUAL_FPS

    def next(self) -> Any:
        """The next picture (H, W, 3) BGR, None at the end."""
        good, bgr = self._film.read()
        return bgr if good and bgr is not None and bgr.ndim == 3 else None

    def stamp_s(self) -> float:
        """The timestamp of the last picture."""
        return self._stated(cv2.CAP_PROP_POS_MSEC) / 1000

    def check_end(self, done: int) -> None:
        """Raise if a source must not end after `done` pictures."""
        source, stated = self._source, self._stated(cv2.CAP_PROP_FRAME_COUNT)
        if source.kind == "camera" or (source.kind == "network" and not 0 < stated < 1e9):
            raise DeviceError(
                "the camera disconnected" if source.kind == "camera" else "the stream disconnected",
                where=source.name,
                got=f"{done} pictures until then",
                then="Reconnect it and restart.",
            )
        if not done:
            raise _undecodable(source)
        if stated < 1e9 and done < 0.9 * stated:
            _log.warning("%s: only %d of %d pictures could be decoded", source.name, done, stated)

    def close(self) -> None:
        self._film.release()

    def _stated(self, what: int) -> float:
        value = float(self._film.get(what))
        return value if math.isfinite(value) and value >= 0 else 0.0


def _undecodable(source: StreamSource) -> FormatError:
    return FormatError(
        "no picture of this video can be decoded",
        where=source.name,
        then="Convert it, for example to MP4 with H.264.",
    )
