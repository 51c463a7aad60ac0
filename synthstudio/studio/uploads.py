"""Checks of an uploaded file before decoding; StudioError, AssetError."""

from __future__ import annotations

from synthstudio.core.errors import StudioError
from synthstudio.core.images import decode
from synthstudio.core.video import VIDEOS

_MAGIC: tuple[tuple[int, bytes], ...] = (
    (4, b"ftyp"), (8, b"AVI "), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x00\x00\x01\xba"),
)  # fmt: skip
"""Signatures of MP4 and MOV, AVI, Matroska and WebM, and MPEG: a playlist posing as a video
could name other files."""


def check_bytes(data: bytes, maximum: int) -> None:
    if not 0 < len(data) <= maximum:
        raise StudioError(
            "the file is empty or too large",
            where="upload",
            got=f"{len(data)} bytes",
            expected=f"at most {maximum // 2**20} MB",
        )


def checked_size(data: bytes, most_pixels: int) -> tuple[int, int]:
    """Width and height of a picture from its header, without decoding. StudioError, AssetError."""
    width, height = decode(data, "upload", lambda image: image.size)
    if width * height > most_pixels:
        raise StudioError(
            "the picture has too many pixels",
            where="upload",
            got=f"{width} x {height}",
            expected=f"at most {most_pixels / 1e6:g} megapixels",
        )
    return width, height


def check_video(data: bytes, suffix: str) -> None:
    """StudioError if the content is no known video, whatever its name."""
    if suffix not in VIDEOS or not any(data[at : at + len(mark)] == mark for at, mark in _MAGIC):
        raise StudioError(
            "this is not a supported video",
            where="upload",
            expected="MP4, MOV, AVI, MKV, WebM or MPEG",
        )
