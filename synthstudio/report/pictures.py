"""Rendered pictures: a frame with its labels drawn in, a contact sheet of a data set."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from synthstudio.core.arrays import U8
from synthstudio.core.errors import FormatError, RecipeError
from synthstudio.core.images import decode_rgb, encode_jpeg, encode_png
from synthstudio.core.labels import Frame
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import FrameSpec
from synthstudio.dataset.durable import write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.pipeline import draw_spec, make_frame
from synthstudio.generation.stage import FrameGenerator, Settings
from synthstudio.report.draw import captioned, contact_sheet, draw_labels, drawable

SHEET_ROWS_PX = 400
_SHEET_FRAMES = 12
_QUALITY = 92


def preview(settings: Settings, index: int, out: Path) -> None:
    """Draw frame `index` of a recipe with its labels into `out`, in the format of its suffix."""
    check_name(out)
    stage = FrameGenerator(settings)
    save_drawn(make_frame(stage, draw_spec(stage, index)), settings.recipe.skeleton, out)


def moment(settings: Settings, number: int, out: Path) -> None:
    """Write moment `number`: its clip as a film (.webp) or strip, or else its variants."""
    check_name(out)
    if settings.recipe.clip is None:
        group_sheet(settings, number, out)
    elif out.suffix.lower() == ".webp":
        clip_film(settings, number, out)
    else:
        clip_strip(settings, number, out)


def group_sheet(settings: Settings, number: int, out: Path) -> None:
    """Write moment `number` of a recipe, its base and all variants in order, each with its name."""
    stage, per = FrameGenerator(settings), settings.recipe.variants.per_moment
    frames = [make_frame(stage, draw_spec(stage, number * per + k)) for k in range(per)]
    pictures = [
        captioned(decode_rgb(f.jpeg, f"frame {f.spec.index}"), _variant(f.spec)) for f in frames
    ]
    save(out, contact_sheet(pictures, columns=4))


def _variant(spec: FrameSpec) -> str:
    """A frame's role in its moment, and its differences from the base."""
    what = f": other {', '.join(spec.differs)}" if spec.differs else ""
    return f"frame {spec.index}, {spec.variant or 'base'}{what}"


def save_drawn(frame: Frame, skeleton_name: str, out: Path) -> None:
    """Write a frame with its labels drawn in; the suffix of `out` selects the format."""
    rgb = decode_rgb(frame.jpeg, f"frame {frame.spec.index}")
    save(out, draw_labels(rgb, frame.labels, get_skeleton(skeleton_name)))


def check_name(out: Path) -> None:
    """Raise FormatError when a picture's suffix is not a supported format."""
    if out.suffix.lower() not in _ENCODERS:
        raise FormatError(
            "unknown picture format",
            where=str(out),
            expected=f"a name that ends in {', '.join(_ENCODERS)}",
            got=out.suffix or "no suffix",
        )


def save(out: Path, rgb: U8) -> None:
    """Write a picture (h, w, 3) in the format of the suffix, checked before; DiskError."""
    write_file(out, _ENCODERS[out.suffix.lower()](rgb))


def _webp(rgb: U8) -> bytes:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "WEBP", quality=_QUALITY)
    return data.getvalue()


_JPEG = partial(encode_jpeg, quality=_QUALITY)
_ENCODERS: dict[str, Callable[[U8], bytes]] = {
    ".png": encode_png,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _webp,
}


def sheet(dataset: Dataset, out: Path) -> None:
    """Write a contact sheet of evenly spread frames of a data set, each with its number."""
    check_name(out)
    indices = [row["index"] for row in dataset.iter_frames(columns=["index"])]
    pictures = []
    for index in indices[:: max(1, len(indices) // _SHEET_FRAMES)][:_SHEET_FRAMES]:
        labels = drawable(dataset.people_of(index))
        rgb = dataset.rgb_of(dataset.frame(index))
        made = draw_labels(rgb, labels, dataset.skeleton, rows_px=SHEET_ROWS_PX, legend=False)
        pictures.append(captioned(made, f"frame {index}"))
    save(out, contact_sheet(pictures, columns=4))


def clip_frames(settings: Settings, number: int, *, frames: int) -> list[U8]:
    """Evenly spread frames of clip `number` of a recipe with labels and their times."""
    clip, per = settings.recipe.clip, settings.recipe.variants.per_moment
    if clip is None:
        raise RecipeError(
            "this recipe has no clips", where=settings.recipe.name, expected="the field clip"
        )
    stage, joints = FrameGenerator(settings), get_skeleton(settings.recipe.skeleton)
    count = min(frames, clip.frames)
    out = []
    for k in range(count):
        t = round(k * (clip.frames - 1) / max(1, count - 1))
        frame = make_frame(stage, draw_spec(stage, (number * clip.frames + t) * per))
        rgb = decode_rgb(frame.jpeg, f"frame {frame.spec.index}")
        made = draw_labels(rgb, frame.labels, joints, rows_px=SHEET_ROWS_PX, legend=False)
        time_s = frame.spec.clip.time_s if frame.spec.clip else 0.0
        out.append(captioned(made, f"frame {frame.spec.index}, {time_s:.2f} s"))
    return out


def clip_strip(settings: Settings, number: int, out: Path, *, frames: int = 8) -> None:
    """Write frames of clip `number` in rows of four, with their labels and times."""
    save(out, contact_sheet(clip_frames(settings, number, frames=frames), columns=4))


def clip_film(settings: Settings, number: int, out: Path) -> None:
    """Write all frames of clip `number`, with their labels, as an animated WebP file."""
    clip = settings.recipe.clip
    pictures = clip_frames(settings, number, frames=clip.frames if clip else 1)
    first, *rest = (Image.fromarray(picture) for picture in pictures)
    film, pause_ms = io.BytesIO(), round(1000 / clip.fps) if clip else 0
    first.save(film, "WEBP", save_all=True, append_images=rest, duration=pause_ms, loop=0)
    write_file(out, film.getvalue())
