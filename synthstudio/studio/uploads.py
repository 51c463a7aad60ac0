"""Pictures from a browser: checked before they are decoded, drawn anew, named by their content."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from PIL import Image

from synthstudio.core.errors import AssetError, StudioError, explain
from synthstudio.core.images import decode, decode_rgba, encode_jpeg, encode_png
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.studio.guard import refused
from synthstudio.studio.settings import Limits

UPLOADS = "uploads"
MOST_BYTES = 4 * 2**30
"""Of all uploads into one folder."""
_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_QUALITY = 95


def keep_picture(data: bytes, root: Path, folder: str, *, limits: Limits) -> Path:
    """Store an uploaded picture as ROOT/uploads/FOLDER/SHA256.jpg or .png; return its path.

    Nothing of the file but its pixels is kept: no name, no metadata, no bytes behind the end.
    `folder` is a short lower-case name. StudioError or AssetError for what is refused; then
    nothing was written.
    """
    try:
        made, suffix = _drawn_anew(data, limits)
        place = _place(root, folder)
    except (StudioError, AssetError) as error:
        refused("an upload", folder=folder, bytes=len(data), why=error)
        raise
    path = place / f"{hashlib.sha256(made).hexdigest()}{suffix}"
    with disk_errors(path):
        place.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _check_room(place, len(made))
            replace_file(path, made)
    return path


def _drawn_anew(data: bytes, limits: Limits) -> tuple[bytes, str]:
    if not 0 < len(data) <= limits.upload_bytes:
        raise StudioError(
            explain("the file is empty or too large", where="upload", got=f"{len(data)} bytes",
                    expected=f"at most {limits.upload_bytes // 2**20} MB")
        )  # fmt: skip
    width, height = decode(data, "upload", _size)  # the header; no pixel is decoded
    if width * height > limits.upload_pixels:
        raise StudioError(
            explain("the picture has too many pixels", where="upload", got=f"{width} x {height}",
                    expected=f"at most {limits.upload_pixels // 1_000_000} megapixels")
        )  # fmt: skip
    rgba = decode_rgba(data, "upload")
    if rgba[..., 3].min() < 255:
        return encode_png(rgba), ".png"
    return encode_jpeg(rgba[..., :3], _QUALITY), ".jpg"


def _size(image: Image.Image) -> tuple[int, int]:
    return image.size


def _place(root: Path, folder: str) -> Path:
    place = root / UPLOADS / folder
    inside = place.resolve().is_relative_to(root.resolve()) if "\0" not in folder else False
    if not _FOLDER.fullmatch(folder) or not inside:
        raise StudioError(
            explain("this cannot be a folder of uploads", where="upload", got=repr(folder)[:80],
                    expected="a to z, 0 to 9, _ and -, at most 40")
        )  # fmt: skip
    return place


def _check_room(place: Path, more: int) -> None:
    held = sum(path.stat().st_size for path in place.iterdir() if path.is_file())
    if held + more > MOST_BYTES:
        refused("an upload", folder=place.name, bytes=more, why="the folder is full")
        raise StudioError(
            explain("this folder of uploads is full", where=place.name,
                    expected=f"at most {MOST_BYTES // 2**30} GB",
                    then="Use another one, or remove some.")
        )  # fmt: skip
