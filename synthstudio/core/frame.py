"""A finished frame: what `pipeline` hands to the data set."""

from __future__ import annotations

from dataclasses import dataclass, field

from synthstudio.core.labels import FrameLabels
from synthstudio.core.spec import FrameSpec


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame. `layers` maps a layer's name to the bytes of its PNG file.

    `timings_ms` says how long each stage took; it goes to the log, never into a hashed file.
    """

    spec: FrameSpec
    jpeg: bytes
    labels: FrameLabels
    layers: dict[str, bytes] = field(default_factory=dict)
    timings_ms: dict[str, float] = field(default_factory=dict)
