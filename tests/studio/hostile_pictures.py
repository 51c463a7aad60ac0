"""Files that somebody may upload: pictures, bombs, and what only calls itself a picture."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image


def picture(
    mode: str = "RGB", size: tuple[int, int] = (96, 80), kind: str = "PNG", **more: Any
) -> bytes:
    """Return a picture of one colour."""
    file = io.BytesIO()
    Image.new(mode, size, (200, 40, 90, 128)[: len(mode)]).save(file, kind, **more)
    return file.getvalue()


def bomb(side: int) -> bytes:
    """Return a small PNG file that says it has side x side pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        tail = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + tail

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
