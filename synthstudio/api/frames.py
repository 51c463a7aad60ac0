"""`ss.Frame`: one picture with its labels, rendered or read from a data set."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, U8, Array
from synthstudio.core.errors import ArgumentError, DatasetError
from synthstudio.core.images import decode, decode_rgb, encode_jpeg
from synthstudio.core.labels import Frame as MadeFrame
from synthstudio.core.people import People, stack
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import FrameSpec, from_json
from synthstudio.dataset.reader import Dataset as StoredDataset
from synthstudio.dataset.rows import distortion_of, frame_row

_SHOWN_ROWS_PX = 480


class Frame:
    """A picture and its labels; H x W pixels, P people with J joints.

    Pixels and layers are decoded on first access.
    """

    def __init__(
        self,
        row: Mapping[str, Any],
        skeleton: Skeleton,
        *,
        people: Callable[[], People],
        jpeg: Callable[[], bytes],
        layer: Callable[[str], bytes],
        where: str,
    ) -> None:
        self.skeleton = skeleton
        self._row, self._where = row, where
        self._people, self._jpeg, self._layer = people, jpeg, layer

    @property
    def index(self) -> int:
        """The frame's number in its data set; seed and index decide every byte."""
        return int(self._row["index"])

    @cached_property
    def people(self) -> People:
        """The labels of its P people."""
        return self._people()

    @cached_property
    def image(self) -> U8:
        """(H, W, 3) sRGB; AssetError or DatasetError when the file is damaged."""
        return decode_rgb(self.encoded, self._where)

    @property
    def encoded(self) -> bytes:
        """The bytes of the picture's file (rendered ones are JPEG), checked against their hash."""
        return self._jpeg()

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._row["width_px"])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._row["height_px"])

    @cached_property
    def K(self) -> F64 | None:
        """(3, 3) intrinsics for continuous pixels; None where the camera is unknown."""
        return self._matrix("K", 3)

    @cached_property
    def distortion(self) -> F64 | None:
        """(4,) OpenCV's distCoeffs k1, k2, p1, p2 of the lens; None without distortion.

        Joints in pixels are `cv2.projectPoints` of those in 3D with `K` and these.
        """
        found = distortion_of(self._row["spec"])
        return None if found is None else np.array(found)

    @cached_property
    def world_to_camera(self) -> F64 | None:
        """(4, 4) rigid transform, OpenCV axes, metres; None where the camera is unknown."""
        return self._matrix("world_to_camera", 4)

    @property
    def split(self) -> str:
        """train, val or test."""
        return str(self._row["split"])

    @property
    def row(self) -> dict[str, Any]:
        """Its row of the frames table (columns: dataset/rows.py)."""
        return dict(self._row)

    @cached_property
    def spec(self) -> FrameSpec | None:
        """The spec it was rendered from; None for photos and imports."""
        text = self._row["spec"]
        return None if text is None else from_json(text)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers stored beside the picture: depth, instance, part, normals."""
        return tuple(self._row["layers"])

    def layer(self, name: str) -> Array:
        """A layer's pixels: depth (H, W) uint16 millimetres, 0 for nothing; instance (H, W)
        uint16; part (H, W) uint8; normals (H, W, 3) uint8.

        Raises:
            DatasetError: when the layer was not stored.
        """
        if name not in self.layers:
            raise DatasetError(
                "this layer is not stored",
                where=self._where,
                expected=", ".join(self.layers) or "layers named in the recipe",
                got=repr(name)[:60],
            )
        return decode(self._layer(name), f"{self._where}, layer {name}", np.asarray)

    def drawn(self, *, rows_px: int = _SHOWN_ROWS_PX, legend: bool = True) -> U8:
        """The picture (h, w, 3) with its labels drawn in, enlarged by a whole number to about
        `rows_px` rows, and a legend below."""
        from synthstudio.report.draw import draw_labels, drawable

        labels = drawable(self.people)
        return draw_labels(self.image, labels, self.skeleton, rows_px=rows_px, legend=legend)

    def show(self) -> None:
        """Show the drawn frame: in a notebook below the cell, elsewhere in the image viewer."""
        ipython = sys.modules.get("IPython")  # a notebook has imported it
        if ipython is not None and ipython.get_ipython() is not None:
            ipython.display.display(self)
            return
        from PIL import Image

        Image.fromarray(self.drawn(rows_px=2 * _SHOWN_ROWS_PX)).show(title=self._where)

    def __repr__(self) -> str:
        return f"Frame({self.index}, {self.width} x {self.height}, {len(self.people)} people)"

    def _repr_html_(self) -> str:
        code = base64.b64encode(encode_jpeg(self.drawn(), 90)).decode("ascii")
        return f'<img src="data:image/jpeg;base64,{code}" alt="frame {self.index}, labels drawn">'

    def _matrix(self, name: str, size: int) -> F64 | None:
        values = self._row[name]
        return None if values is None else np.array(values, np.float64).reshape(size, size)


def made_frame(frame: MadeFrame, skeleton: Skeleton) -> Frame:
    """A frame that was just rendered."""
    return Frame(
        frame_row(frame, ""),
        skeleton,
        people=partial(stack, frame.labels.people, skeleton, frame.spec),
        jpeg=partial(bytes, frame.jpeg),
        layer=frame.layers.__getitem__,
        where=f"frame {frame.spec.index}",
    )


def stored_frame(dataset: StoredDataset, index: int) -> Frame:
    """Frame `index` of a data set on disk; DatasetError when the set does not hold it."""
    row = dataset.frame(index)
    return Frame(
        row,
        dataset.skeleton,
        people=partial(dataset.people_of, index),
        jpeg=partial(dataset.image_bytes_of, row),
        layer=partial(_stored_layer, dataset, index),
        where=f"{dataset.place}, frame {index}",
    )


def _stored_layer(dataset: StoredDataset, index: int, name: str) -> bytes:
    return dataset.layer_path(index, name).read_bytes()


def to_index(key: Any, length: int, where: str) -> int:
    """A position from a whole number, counted from the end when negative; IndexError beyond."""
    if isinstance(key, bool) or not isinstance(key, int | np.integer):
        raise ArgumentError(
            "a frame index is a number or a slice", where=where, got=type(key).__name__
        )
    position = int(key) + (length if key < 0 else 0)
    if not 0 <= position < length:
        raise IndexError(f"{where}: frame {key} of {length}")
    return position
