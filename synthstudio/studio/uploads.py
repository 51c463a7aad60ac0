"""Background photos from a browser: checked before they are decoded, drawn anew, renamed.

They lie in folders below the uploads folder, EXPORTS/uploads/NAME/SHA256.jpg, which is an asset
root like those of the command line: a recipe's `backdrop.folder` may name one of its folders.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from synthstudio.core.errors import AssetError, StudioError
from synthstudio.core.images import decode, decode_rgb, encode_jpeg
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.review.values import User, require
from synthstudio.studio.guard import refused
from synthstudio.studio.settings import Limits

MOST_BYTES = 4 * 2**30
"""Of all photos of one folder."""
MOST_PHOTOS = 500
"""In one folder."""
MOST_FOLDERS = 20
LEAST_PX = 64
"""Of a photo's shorter side: less is no background."""
_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder of uploaded photos."""

    name: str
    photos: int


def folders(root: Path) -> list[Folder]:
    """Return the folders of photos below the uploads folder, by name; empty ones are left out."""
    if not root.is_dir():
        return []
    found = [
        Folder(name=place.name, photos=len(_photos(place)))
        for place in sorted(root.iterdir())
        if _FOLDER.fullmatch(place.name) and place.is_dir() and not place.is_symlink()
    ]
    return [folder for folder in found if folder.photos]


def keep_photo(data: bytes, root: Path, folder: str, *, limits: Limits, who: User) -> Path:
    """Store an uploaded photo as ROOT/FOLDER/SHA256.jpg; return its path.

    Nothing of the file but its pixels is kept: no name, no metadata, no bytes behind the end.
    `folder` is a short lower-case name. Refused for who may not generate; StudioError or
    AssetError for what is refused: then nothing was written. Whatever is refused is logged.
    """
    require(who, "generate")
    try:
        place = _place(root, folder)
        made = _drawn_anew(data, limits)
        path = place / f"{hashlib.sha256(made).hexdigest()}.jpg"
        if not path.exists():
            _check_room(root, place, len(made))
    except (StudioError, AssetError) as error:
        refused("an upload", user=who.name, folder=folder, bytes=len(data), why=error)
        raise
    with disk_errors(path):
        place.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            replace_file(path, made)
    return path


def _drawn_anew(data: bytes, limits: Limits) -> bytes:
    if not 0 < len(data) <= limits.upload_bytes:
        raise StudioError(
            "the file is empty or too large",
            where="upload",
            got=f"{len(data)} bytes",
            expected=f"at most {limits.upload_bytes // 2**20} MB",
        )
    width, height = decode(data, "upload", _size)  # the header; no pixel is decoded
    if width * height > limits.upload_pixels:
        raise StudioError(
            "the picture has too many pixels",
            where="upload",
            got=f"{width} x {height}",
            expected=f"at most {limits.upload_pixels // 1_000_000} megapixels",
        )
    if min(width, height) < LEAST_PX:
        raise StudioError(
            "the picture is too small for a background",
            where="upload",
            got=f"{width} x {height}",
            expected=f"at least {LEAST_PX} pixels a side",
        )
    return encode_jpeg(decode_rgb(data, "upload"), _QUALITY)


def _size(image: Image.Image) -> tuple[int, int]:
    return image.size


def _place(root: Path, folder: str) -> Path:
    place = root / folder
    # The uploads folder itself may be no link either: it lies below the exports folder.
    inside = "\0" not in folder and place.resolve() == root.parent.resolve() / root.name / folder
    if not _FOLDER.fullmatch(folder) or not inside:
        raise StudioError(
            "this cannot be a folder of photos",
            where="upload",
            got=repr(folder)[:80],
            expected="a to z, 0 to 9, _ and -, at most 40",
            then="Choose another name.",
        )
    return place


def _check_room(root: Path, place: Path, more: int) -> None:
    held = _photos(place) if place.is_dir() else []
    if not held and len(folders(root)) >= MOST_FOLDERS:
        raise StudioError(
            "there are too many folders of photos",
            where="upload",
            expected=f"at most {MOST_FOLDERS}",
            then="Use one that is there.",
        )
    size = sum(path.stat().st_size for path in held)
    if len(held) >= MOST_PHOTOS or size + more > MOST_BYTES:
        raise StudioError(
            "this folder of photos is full",
            where=place.name,
            expected=f"at most {MOST_PHOTOS} photos and {MOST_BYTES // 2**30} GB",
            then="Use another name.",
        )


def _photos(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.suffix == ".jpg" and path.is_file()]
