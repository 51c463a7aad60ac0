"""Pictures for people: a frame with its labels drawn in, a contact sheet of a data set."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from synthstudio.core.errors import RecipeError, explain
from synthstudio.core.frame import Frame
from synthstudio.core.images import decode_rgb, encode_png
from synthstudio.core.scene import U8
from synthstudio.core.skeleton import skeleton
from synthstudio.dataset.durable import write_file
from synthstudio.dataset.pages.draw import contact_sheet, draw_labels
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import labels_from_rows
from synthstudio.pipeline import draw_spec, make_frame
from synthstudio.stage import Settings, Stage

SHEET_ROWS_PX = 400


def preview(settings: Settings, index: int, out: Path) -> None:
    """Draw frame `index` of a recipe with its labels into the PNG file `out`."""
    stage = Stage(settings)
    save_drawn(make_frame(stage, draw_spec(stage, index)), settings.recipe.skeleton, out)


def moment(settings: Settings, number: int, out: Path) -> None:
    """Write moment `number`: its clip as a film (.webp) or strip, or else its variants."""
    if settings.recipe.clip is None:
        group_sheet(settings, number, out)
    elif out.suffix == ".webp":
        clip_film(settings, number, out)
    else:
        clip_strip(settings, number, out, columns=4)


def group_sheet(settings: Settings, number: int, out: Path, *, columns: int = 4) -> None:
    """Write moment `number` of a recipe, its base and all variants in order, as a PNG file."""
    stage, per = Stage(settings), settings.recipe.variants.per_moment
    frames = [make_frame(stage, draw_spec(stage, number * per + k)) for k in range(per)]
    pictures = [decode_rgb(f.jpeg, f"frame {f.spec.index}") for f in frames]
    write_file(out, encode_png(contact_sheet(pictures, columns=columns)))


def save_drawn(frame: Frame, skeleton_name: str, out: Path) -> None:
    """Write a frame with its labels drawn in as a PNG file."""
    rgb = decode_rgb(frame.jpeg, f"frame {frame.spec.index}")
    write_file(out, encode_png(draw_labels(rgb, frame.labels, skeleton(skeleton_name))))


def drawn(dataset: Dataset, index: int, *, rows_px: int = 900, legend: bool = True) -> U8:
    """Return a stored frame (h, w, 3) with its stored labels drawn in, about `rows_px` high."""
    labels = labels_from_rows(dataset.frame(index), dataset.instances(index))
    rgb = decode_rgb(dataset.image_bytes(index), str(dataset.image_path(index)))
    joints = skeleton(dataset.identity.skeleton)
    return draw_labels(rgb, labels, joints, rows_px=rows_px, legend=legend)


def sheet(folder: Path, out: Path, *, frames: int = 12, columns: int = 4) -> None:
    """Write a contact sheet of evenly spread frames of a data set as a PNG file."""
    dataset = Dataset(folder)
    indices = [row["index"] for row in dataset.iter_frames(columns=["index"])]
    step = max(1, len(indices) // frames)
    chosen = indices[::step][:frames]
    pictures = [drawn(dataset, i, rows_px=SHEET_ROWS_PX, legend=False) for i in chosen]
    write_file(out, encode_png(contact_sheet(pictures, columns=columns)))


def clip_frames(settings: Settings, number: int, *, frames: int) -> list[U8]:
    """Return evenly spread frames of clip `number` of a recipe, with their labels drawn in."""
    clip, per = settings.recipe.clip, settings.recipe.variants.per_moment
    if clip is None:
        raise RecipeError(
            explain("this recipe makes no clips", where=settings.recipe.name,
                    expected="the field clip")
        )  # fmt: skip
    stage, joints = Stage(settings), skeleton(settings.recipe.skeleton)
    count = min(frames, clip.frames)
    out = []
    for k in range(count):
        t = round(k * (clip.frames - 1) / max(1, count - 1))
        frame = make_frame(stage, draw_spec(stage, (number * clip.frames + t) * per))
        rgb = decode_rgb(frame.jpeg, f"frame {frame.spec.index}")
        out.append(draw_labels(rgb, frame.labels, joints, rows_px=SHEET_ROWS_PX, legend=False))
    return out


def clip_strip(
    settings: Settings, number: int, out: Path, *, frames: int = 8, columns: int = 8
) -> None:
    """Write frames of clip `number` side by side, with their labels, as a PNG file."""
    pictures = clip_frames(settings, number, frames=frames)
    write_file(out, encode_png(contact_sheet(pictures, columns=columns)))


def clip_film(settings: Settings, number: int, out: Path) -> None:
    """Write all frames of clip `number`, with their labels, as an animated WebP file."""
    clip = settings.recipe.clip
    pictures = clip_frames(settings, number, frames=clip.frames if clip else 1)
    first, *rest = (Image.fromarray(picture) for picture in pictures)
    film, pause_ms = io.BytesIO(), round(1000 / clip.fps) if clip else 0
    first.save(film, "WEBP", save_all=True, append_images=rest, duration=pause_ms, loop=0)
    write_file(out, film.getvalue())
