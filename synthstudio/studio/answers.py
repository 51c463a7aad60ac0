"""Uploads of the page Try it, checked, and a network's predictions for them.

Uploads are not stored: pictures are decoded from memory, a video is in a private folder while
it is read.
"""

import base64
import functools
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.errors import AssetError, FormatError, StudioError
from synthstudio.core.images import decode_rgb, encode_jpeg
from synthstudio.core.skeleton import COLOURS, Skeleton
from synthstudio.inference.finder import find_people
from synthstudio.inference.live import Follower, LiveOptions, TrackedFrame, annotated
from synthstudio.inference.model_files import OnnxModel
from synthstudio.inference.predict import TRUNCATED, Person
from synthstudio.inference.sources import Boxes
from synthstudio.inference.stream import LiveFrame, Stream, stream_source
from synthstudio.inference.write import shown_number
from synthstudio.models.packaged import DEFAULT, ONNX, WEIGHTS
from synthstudio.report.draw import CAUSE_COLOURS
from synthstudio.review.values import HIDDEN_BY, User
from synthstudio.studio.guard import log_refusal
from synthstudio.studio.settings import EXPORTED, Limits, Settings
from synthstudio.studio.uploads import check_photo, check_video, checked_size

VIDEO_PICTURES, VIDEO_SHOWN = 300, 60
FRAME_CHARS, FRAME_PIXELS = 700_000, 1_000_000
_VIDEO_PIXELS = 4_200_000
_START = "data:image/jpeg;base64,"
_QUALITY = 88
_WORDS = {**HIDDEN_BY, TRUNCATED: "outside the picture"}


@dataclass(frozen=True, kw_only=True)
class Shown:
    jpeg: bytes
    lines: tuple[str, ...]
    people: int


def checked_photo(data: bytes, *, limits: Limits, who: User) -> U8:
    """An uploaded photo as (H, W, 3); refusals are logged and raise StudioError or AssetError."""
    try:
        check_photo(data, limits)
        return decode_rgb(data, "upload")
    except (StudioError, AssetError) as error:
        log_refusal("a photo to try", user=who.name, bytes=len(data), why=error)
        raise


def photo_people(model: OnnxModel, rgb: U8, boxes: list[list[float]]) -> Shown:
    frame = LiveFrame(number=0, time_s=0.0, arrived_s=time.perf_counter(), rgb=rgb)
    return shown(new_follower(model, boxes, minimum=0.0).step(frame), model.skeleton)


def video_people(
    model: OnnxModel,
    data: bytes,
    suffix: str,
    boxes: list[list[float]],
    *,
    limits: Limits,
    who: User,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Shown]:
    """People of a video's first pictures, evenly sampled; a StudioError, FormatError is logged."""
    try:
        check_video(data, suffix.lower(), limits)
        with tempfile.TemporaryDirectory(prefix="synthstudio-try-") as folder:  # mode 700
            path = Path(folder) / f"upload{suffix.lower()}"
            path.write_bytes(data)
            follower, found = new_follower(model, boxes), list[Shown]()
            stream = Stream(stream_source(path), max_pixels=_VIDEO_PIXELS, name="upload")
            with closing(stream):
                for frame in itertools.islice(stream, VIDEO_PICTURES):
                    seen = follower.step(frame)
                    if frame.number % (VIDEO_PICTURES // VIDEO_SHOWN) == 0:
                        found.append(shown(seen, model.skeleton))
                        progress(frame.number + 1)
        return found
    except (StudioError, FormatError) as error:
        log_refusal("a video to try", user=who.name, bytes=len(data), why=error)
        raise


def new_follower(
    model: OnnxModel, boxes: list[list[float]], *, minimum: float = LiveOptions.minimum
) -> Follower:
    """Tracks people in boxes x y w h, or those detected in the whole picture."""
    given = Boxes(xywh=np.array(boxes, np.float64), score=np.ones(len(boxes)))
    find = (lambda image: given) if boxes else find_people(model, size=model.size)
    return Follower(model, find, size=model.size, options=LiveOptions(every=0, minimum=minimum))


def parse_boxes(text: str) -> list[list[float]]:
    """Boxes in text form x, y, w, h; more after a semicolon. StudioError if invalid."""
    boxes: list[list[float]] = []
    for part in text.split(";") if text.strip() else ():
        try:
            row = [float(word) for word in part.split(",")]
        except ValueError:
            row = []
        good = len(row) == 4 and all(math.isfinite(v) and abs(v) < 1e6 for v in row)
        if not good or row[2] <= 0 or row[3] <= 0 or len(boxes) >= 20:
            raise StudioError(
                "invalid boxes",
                where="boxes",
                expected="x, y, width, height; more after a semicolon, at most 20",
                got=part[:60],
            )
        boxes.append(row)
    return boxes


def shown(seen: TrackedFrame, skeleton: Skeleton) -> Shown:
    jpeg = encode_jpeg(annotated(seen, skeleton), _QUALITY)
    return Shown(jpeg=jpeg, lines=hidden_lines(seen.people, skeleton), people=len(seen.people))


def hidden_lines(people: list[Person], skeleton: Skeleton) -> tuple[str, ...]:
    """The hidden joints of each person, one per line; numbers are the picture's."""
    return tuple(
        f"person {shown_number(person, place)}: {joint.replace('_', ' ')} {_WORDS[cause]}"
        for place, person in enumerate(people)
        for joint, cause in zip(skeleton.joints, person.causes, strict=True)
        if cause in _WORDS
    )


# The camera.


def camera_frame(message: Any, *, who: User) -> tuple[int, U8] | None:
    """(number, picture) from a browser's camera component; None if invalid, which is logged."""
    try:
        number, image = _message(message)
        checked_size(image, FRAME_PIXELS)
        return number, decode_rgb(image, "upload")
    except (StudioError, AssetError) as error:
        log_refusal("a camera's picture", user=who.name, why=error)
        return None


def _message(message: Any) -> tuple[int, bytes]:
    number = message.get("n") if isinstance(message, Mapping) else None
    image = message.get("image") if isinstance(message, Mapping) else None
    whole = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53
    if whole and isinstance(image, str) and len(image) <= FRAME_CHARS and image.startswith(_START):
        with suppress(ValueError):
            return int(number), base64.b64decode(image.removeprefix(_START), validate=True)  # type: ignore[arg-type]
    raise StudioError("invalid camera picture", where="camera")


def camera_people(seen: TrackedFrame, number: int, skeleton: Skeleton) -> dict[str, Any]:
    """Input of the component: joints (x, y relative to the picture), causes, colours, edges."""
    high, wide = seen.frame.rgb.shape[:2]
    people = [
        {
            "name": f"person {shown_number(person, place)}",
            "joints": [
                [round(float(x) / wide, 5), round(float(y) / high, 5), cause or "visible"]
                for (x, y), cause in zip(person.xy, person.causes, strict=True)
            ],
        }
        for place, person in enumerate(seen.people)
    ]
    return {
        "n": number,
        "people": people,
        "hidden": list(hidden_lines(seen.people, skeleton)),
        "edges": [list(edge) for edge in skeleton.edges],
        "colours": {name: f"rgb{colour}" for name, colour in CAUSE_COLOURS.items()},
        "bone": f"rgb{COLOURS['middle']}",
    }


MAX = 200


def models(settings: Settings) -> dict[str, Path]:
    """Exported networks by displayed name, the package's last; links out of runs are ignored."""
    runs = settings.runs
    found = sorted(runs.glob(f"*/{EXPORTED}"))[:MAX] if runs.is_dir() else []
    own = [p for p in found if p.is_file() and p.resolve().is_relative_to(runs.resolve())]
    named: dict[str, Path] = {}
    package = [path for path in (WEIGHTS / ONNX,) if path.is_file()]
    for path in (*settings.models, *own, *package):
        name = path.parent.name if path.name == EXPORTED else path.stem
        name = DEFAULT if path in package else name
        while name in named:
            name += " (another)"
        named[name] = path
    return named


def load(path: Path) -> OnnxModel:
    """A network, cached until its file changes; ModelError if invalid."""
    return _load(path, path.stat().st_mtime_ns)


@functools.lru_cache(4)
def _load(path: Path, changed: int) -> OnnxModel:
    return OnnxModel.load(path, device="cpu")
