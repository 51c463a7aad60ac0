"""Re-render a stored frame and compare it with the one on disk."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthstudio.core.images import decode_rgb
from synthstudio.core.labels import Frame
from synthstudio.core.places import Place
from synthstudio.core.spec import to_json
from synthstudio.dataset import rows
from synthstudio.dataset.derive import lacks_people
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.pipeline import make_frame
from synthstudio.generation.stage import FrameGenerator, Settings

WITHIN_PX = 1e-3
WITHIN_SHARE = 0.02
WITHIN_LEVELS = 2
WITHIN_PIXELS = 0.999


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Comparison of a re-rendered frame with the stored one.

    `held` is "same bytes", "same within tolerance" (another kind of machine: joints within
    1e-3 px, fractions within 0.02, 99.9 % of pixels within 2 grey levels) or "different".
    """

    held: str
    joints_px: float  # largest difference
    visibility_fractions: float
    pixels: float  # share of pixel values within 2 levels


def replay(place: Place, index: int, settings: Settings) -> tuple[Frame, Agreement]:
    """Re-render frame `index` of a data set from its stored spec; DatasetError without it."""
    dataset = Dataset(place, allow_unfinished=True)
    frame = make_frame(FrameGenerator(settings), dataset.spec(index), layers=settings.recipe.layers)
    return frame, compare(dataset, index, frame)


def compare(dataset: Dataset, index: int, frame: Frame) -> Agreement:
    stored = dataset.image_bytes(index)
    had, made = dataset.instances(index), rows.instance_rows(frame)
    if lacks_people(dataset.identity.derived):
        kept = {row["instance"] for row in had}
        made = [row for row in made if row["instance"] in kept]
    same_image = stored == frame.jpeg
    row = dataset.frame(index)
    again = rows.frame_row(frame, row["file_name"])
    # A stored spec may lack fields of later versions: rewritten it has them, at their defaults.
    row = row | {"spec": to_json(dataset.spec(index))}
    same_people = _text(had, rows.INSTANCE_SCHEMA) == _text(made, rows.INSTANCE_SCHEMA)
    same_frame = _text([row], rows.FRAME_SCHEMA) == _text([again], rows.FRAME_SCHEMA)
    same_labels = same_people and same_frame
    joints_px = _largest(had, made, "joints_px")
    fractions = _largest(had, made, "visibility_fractions")
    a, b = (decode_rgb(data, f"frame {index}").astype(np.int16) for data in (stored, frame.jpeg))
    pixels = float((np.abs(a - b) <= WITHIN_LEVELS).mean()) if a.shape == b.shape else 0.0
    close = joints_px <= WITHIN_PX and fractions <= WITHIN_SHARE and pixels >= WITHIN_PIXELS
    held = "same within tolerance" if close else "different"
    return Agreement(
        held="same bytes" if same_image and same_labels else held,
        joints_px=joints_px,
        visibility_fractions=fractions,
        pixels=pixels,
    )


def _text(found: list[rows.Row], schema: pa.Schema) -> str:
    return json.dumps(pa.Table.from_pylist(found, schema).to_pylist(), default=str)


def _largest(had: list[rows.Row], made: list[rows.Row], column: str) -> float:
    x, y = (np.array([row[column] for row in found], np.float64) for found in (had, made))
    if x.shape != y.shape or (np.isnan(x) != np.isnan(y)).any():
        return float("inf")
    return float(np.nanmax(np.abs(x - y), initial=0.0))
