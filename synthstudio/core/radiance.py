"""Radiance .hdr panoramas: linear float pixels from untrusted files, with no library's help.

Format: Ward, "Real Pixels", Graphics Gems II (1991), and radsite.lbl.gov/radiance/refer/filefmts.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import AssetError

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

MAX_HDR_PIXELS = 8192 * 4096
_MAX_HEADER = 64 * 1024
_SIZE_LINE = re.compile(rb"([-+][XY]) +(\d{1,6}) +([-+][XY]) +(\d{1,6})")


def decode_hdr(data: bytes, where: str) -> F32:
    """(h, w, 3) float32 linear radiance of a 2:1 panorama; row 0 looks up.

    AssetError, naming `where`, for anything but a whole, finite 32-bit_rle_rgbe file in the
    usual orientation.
    """
    (width, height), exposure, start = _header(data, where)
    rgbe = _pixels(data, start, (width, height), where)
    # A colour is mantissa * 2^(exponent - 136); exponent 0 means black.
    scale = np.ldexp(np.float64(1.0), rgbe[..., 3].astype(np.int32) - 136) / exposure
    scale[rgbe[..., 3] == 0] = 0
    radiance = rgbe[..., :3].astype(np.float64) * scale[..., None]
    if not radiance.max() <= np.finfo(np.float32).max:
        raise _bad(where, "radiance is not finite", got=f"EXPOSURE={exposure:g}")
    return radiance.astype(np.float32)


def _bad(
    where: str, what: str, *, expected: str | None = None, got: str | None = None
) -> AssetError:
    return AssetError(
        what,
        where=where,
        expected=expected,
        got=got,
        then="Save it again as a 2:1 Radiance .hdr panorama.",
    )


def _header(data: bytes, where: str) -> tuple[tuple[int, int], float, int]:
    """((width, height), exposure, place of the first pixel byte)."""
    if not data.startswith((b"#?RADIANCE", b"#?RGBE")):
        raise _bad(where, "this is not a Radiance file", expected="#?RADIANCE first")
    end = data.find(b"\n\n", 0, _MAX_HEADER)
    stop = data.find(b"\n", end + 2, _MAX_HEADER)
    if end < 0 or stop < 0:
        raise _bad(where, "the header has no end", expected="a blank line, then the size")
    exposure = _exposure(data[:end].split(b"\n"), where)
    match = _SIZE_LINE.fullmatch(data[end + 2 : stop].strip())
    if match is None or (match[1], match[3]) != (b"-Y", b"+X"):
        raise _bad(
            where,
            "unknown size or orientation",
            expected="-Y height +X width",
            got=repr(data[end + 2 : stop][:40]),
        )
    height, width = int(match[2]), int(match[4])
    if width != 2 * height or height == 0:
        raise _bad(
            where,
            "a panorama shows the whole sphere",
            expected="a picture twice as wide as high",
            got=f"{width} x {height}",
        )
    if width * height > MAX_HDR_PIXELS:
        raise _bad(
            where, "the panorama is too large", expected="at most 8192 x 4096", got=f"{width} wide"
        )
    return (width, height), exposure, stop + 1


def _exposure(lines: list[bytes], where: str) -> float:
    """The product of the header's EXPOSURE values after checking its FORMAT."""
    exposure = 1.0
    for line in lines:
        key, _, value = line.partition(b"=")
        if key == b"FORMAT" and value.strip() != b"32-bit_rle_rgbe":
            raise _bad(
                where, "unknown pixel format", expected="32-bit_rle_rgbe", got=repr(value[:40])
            )
        if key == b"EXPOSURE":
            try:
                exposure *= float(value)
            except ValueError:
                exposure = float("nan")
    if not 1e-12 < exposure < 1e12:
        raise _bad(where, "EXPOSURE makes no sense", expected="a number above 0")
    return exposure


def _pixels(data: bytes, start: int, size: tuple[int, int], where: str) -> U8:
    """(h, w, 4) mantissas and exponents, from run-length coded or flat scanlines."""
    width, height = size
    coded = 8 <= width <= 0x7FFF and data[start : start + 2] == b"\x02\x02"
    if not coded:
        flat = np.frombuffer(data[start:], np.uint8)
        if len(flat) < width * height * 4:
            raise _bad(
                where,
                "the file ends early, or holds the old run-length code",
                expected=f"{width * height * 4} bytes of pixels",
                got=str(len(flat)),
            )
        return flat[: width * height * 4].reshape(height, width, 4)
    out = np.empty((height, 4, width), np.uint8)
    place = start
    for row in range(height):
        if data[place : place + 4] != b"\x02\x02" + width.to_bytes(2, "big"):
            raise _bad(where, f"scanline {row} of {height} is missing or damaged")
        line, place = _scanline(data, place + 4, width * 4)
        if len(line) != width * 4:
            raise _bad(where, f"scanline {row} of {height} is cut off or damaged")
        out[row] = np.frombuffer(line, np.uint8).reshape(4, width)
    return out.transpose(0, 2, 1)


def _scanline(data: bytes, place: int, length: int) -> tuple[bytearray, int]:
    """One scanline's four planes; another length than asked for means damage.

    A count above 128 repeats the next byte count - 128 times; else that many bytes follow.
    """
    line = bytearray()
    end = len(data)
    while len(line) < length and place < end:
        count = data[place]
        if count > 128:
            line += data[place + 1 : place + 2] * (count - 128)
            place += 2
        elif count:
            line += data[place + 1 : place + 1 + count]
            place += 1 + count
        else:
            break
    return line, place
