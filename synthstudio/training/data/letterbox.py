"""How a whole image lies in the frame that a network sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.training.data.windows import crop_and_resize

F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Letterbox:
    """How an image lies in a frame: `scale` frame pixels an image pixel; `corner` (2,) is the
    frame's corner in image pixels, not above 0."""

    scale: float
    corner: F64

    @classmethod
    def of(cls, image: tuple[int, int], frame: tuple[int, int]) -> Letterbox:
        """The whole image (H, W), as large as fits, in the middle."""
        scale = min(frame[0] / image[0], frame[1] / image[1])
        extent = np.array(frame[::-1]) / scale
        return cls(scale=scale, corner=(np.array(image[::-1]) - extent) / 2)

    def to_frame(self, xy: F64) -> F64:
        """Places (..., 2) of the image in the frame."""
        return np.asarray((xy - self.corner) * self.scale)

    def to_image(self, xy: F64) -> F64:
        """Places (..., 2) of the frame in the image."""
        return np.asarray(xy / self.scale + self.corner)

    def boxes_to_frame(self, xywh: F64) -> F64:
        """Boxes (P, 4) of the image in the frame."""
        return np.concatenate([self.to_frame(xywh[:, :2]), xywh[:, 2:] * self.scale], 1)

    def framed(self, rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """The image in a frame of `size` (H, W), grey beyond it."""
        return crop_and_resize(rgb, self.corner, self.scale, size)
