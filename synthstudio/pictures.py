"""Pictures for people: a frame with its labels drawn in, a contact sheet of a data set."""

from __future__ import annotations

from pathlib import Path

from synthstudio.core.frame import Frame
from synthstudio.core.images import decode_rgb, encode_png
from synthstudio.core.scene import U8
from synthstudio.core.skeleton import skeleton
from synthstudio.dataset.draw import contact_sheet, draw_labels
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import labels_from_rows
from synthstudio.pipeline import draw_spec, make_frame
from synthstudio.stage import Settings, Stage

SHEET_ROWS_PX = 400


def preview(settings: Settings, index: int, out: Path) -> None:
    """Draw frame `index` of a recipe with its labels into the PNG file `out`."""
    stage = Stage(settings)
    save_drawn(make_frame(stage, draw_spec(stage, index)), settings.recipe.skeleton, out)


def save_drawn(frame: Frame, skeleton_name: str, out: Path) -> None:
    """Write a frame with its labels drawn in as a PNG file."""
    rgb = decode_rgb(frame.jpeg, f"frame {frame.spec.index}")
    save(out, encode_png(draw_labels(rgb, frame.labels, skeleton(skeleton_name))))


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
    save(out, encode_png(contact_sheet(pictures, columns=columns)))


def save(out: Path, data: bytes) -> None:
    """Write a file, making its folder; DiskError on failure."""
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, data)
