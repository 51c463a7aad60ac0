"""Image files against their labels: there, whole, of that size, and not the mirror of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.images import decode_rgba, read_bytes
from synthstudio.core.safe_files import plain_name
from synthstudio.quality.checks.findings import Finding
from synthstudio.quality.checks.masks import Mask

F64 = NDArray[np.float64]

OUTLINE_POINTS = 64
"""Places on a mask's border that are kept of each person."""
MOST_POINTS = 256
"""And of each image."""
_REACH_PX = 3
_LEAST_POINTS = 40
_MIRROR_Z = -3.5
"""Untouched pictures lie above +2: 148 rendered frames, 21 photos (docs/validate.md)."""
_CLIP = 150.0


def outlines(masks: Sequence[Mask]) -> bytes:
    """Return border places of one image's masks, packed: what `picture_findings` wants."""
    places = [mask.outline(OUTLINE_POINTS) for mask in masks]
    return np.concatenate([*places, np.zeros((0, 2))]).astype(np.float32).tobytes()


def file_findings(image: Mapping[str, Any], folder: Path) -> tuple[Path | None, list[Finding]]:
    """Return where an image's file lies, or None and why it cannot be used."""
    name = image["file_name"]
    try:
        path = folder / plain_name(name, where="file_name")
        inside = path.resolve().is_relative_to(folder.resolve())
        there = path.is_file()
    except FormatError:
        return None, [_found(image, "unsafe_name", name[:80])]
    except (OSError, RuntimeError) as error:  # a name too long, links in a circle
        return None, [_found(image, "image_missing", f"{name[:80]}: {type(error).__name__}")]
    if not inside:
        return None, [_found(image, "unsafe_name", name[:80])]
    if not there:
        return None, [_found(image, "image_missing", name)]
    return path, []


def picture_findings(
    image: Mapping[str, Any],
    read: Callable[[], bytes],
    *,
    outline: bytes = b"",
    sha256: str = "",
) -> Iterator[Finding]:
    """Yield what is wrong with an image's bytes; `read` returns them or raises AssetError or
    FileNotFoundError.

    All of the picture is decoded. Whether it is mirrored is told by how much the colours
    change across the borders of masks, compared with the same places in the mirror image:
    nothing is said without masks.
    """
    try:
        data = read()
        rgb = decode_rgba(data, str(image["file_name"]))[..., :3]
    except FileNotFoundError:
        yield _found(image, "image_missing", str(image["file_name"]))
        return
    except AssetError as error:
        yield _found(image, "image_broken", str(error))
        return
    size = (image["width"], image["height"])
    if (rgb.shape[1], rgb.shape[0]) != size:
        told = f"{rgb.shape[1]} x {rgb.shape[0]}, its entry says {size[0]} x {size[1]}"
        yield _found(image, "image_size", told)
        return
    z = mirror_score(rgb, np.frombuffer(outline, np.float32).reshape(-1, 2))
    changed = bool(sha256) and hashlib.sha256(data).hexdigest() != sha256
    if z is not None and z < _MIRROR_Z:
        told = ", and its bytes are other ones" if changed else ""
        yield _found(
            image, "image_mirrored", f"masks fit the mirror image better (z {z:.1f}){told}"
        )
    elif changed:
        yield _found(image, "image_changed", f"sha256 is not {sha256[:12]}…")


def mirror_score(rgb: NDArray[np.uint8], places: NDArray[np.float32]) -> float | None:
    """Return z of the picture's fit to mask borders (n, 2) over its mirror's; None: too few.

    Positive: the picture fits better. Each place compares the colours 3 px above and below
    itself, softened by 1 px, clipped so that no edge decides alone; z is the mean difference
    over its standard error.
    """
    if len(places) < _LEAST_POINTS:
        return None
    chosen = places[np.linspace(0, len(places) - 1, min(MOST_POINTS, len(places))).astype(int)]
    soft = np.asarray(cv2.GaussianBlur(rgb.astype(np.float32), (0, 0), 1.0), np.float64)
    here, there = (_contrast(picture, chosen) for picture in (soft, soft[:, ::-1]))
    gain = here - there
    spread = float(gain.std())
    return float(gain.mean() / (spread / np.sqrt(len(gain)))) if spread > 0 else 0.0


def _contrast(rgb: F64, places: NDArray[np.float32]) -> F64:
    height, width = rgb.shape[:2]
    x = np.clip(places[:, 0].astype(np.int64), 0, width - 1)
    y = places[:, 1].astype(np.int64)
    above = rgb[np.clip(y - _REACH_PX, 0, height - 1), x]
    below = rgb[np.clip(y + _REACH_PX - 1, 0, height - 1), x]
    return np.asarray(np.minimum(np.abs(above - below).sum(axis=1), _CLIP))


def reader_of(path: Path) -> Callable[[], bytes]:
    """Return what reads a file once it is asked to."""
    return lambda: read_bytes(path)


def _found(image: Mapping[str, Any], kind: str, what: str) -> Finding:
    return Finding(kind=kind, where=f"image {image['id']}", what=what, image=image["id"])
