"""What a network says of crops, whatever runs it: the contract of networks.py and onnx_model.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.labels import SHARES
from synthstudio.core.visibility import is_visible

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
TRUNCATED = SHARES[4]
PRESENT = 0.5
"""A joint is in the image from this probability on."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The joints of B crops, in continuous pixels of the crop. NaN: the network has no such output.

    `shares` (B, J, 4): visible, hidden by self, person, object; `quality` (B, J): the expected
    OKS; `present` (B, J): the probability that the joint lies in the image; `peaks` (B, J, K, 3):
    the highest separate peaks of each map, x, y and value.
    """

    xy: F64  # (B, J, 2)
    score: F64  # (B, J)
    shares: F64
    quality: F64
    present: F64
    peaks: F64


Ask = Callable[[U8], Answers]
"""Crops (B, H, W, 3) RGB to their answers."""


def cause_of(shares: F64, present: float) -> str | None:
    """What hides a joint, one of core.labels.SHARES; None: the network does not say."""
    if present < PRESENT:  # NaN is not
        return TRUNCATED
    if not np.isfinite(shares).all():
        return None
    if is_visible(shares[0]):
        return SHARES[0]
    return SHARES[1 + int(shares[1:].argmax())]
