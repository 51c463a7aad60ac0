"""Reading and writing pictures: the only module that decodes untrusted pixels.

Headers come first and cost no decompression; pixels only after size, shape and format are
accepted. The format is that of the content, not of the file's suffix. Arrays are (H, W, C)
uint8 sRGB, upright (EXIF orientation applied once); ICC profiles are ignored. Of a Multi-Picture
JPEG (MPO) the first picture is read, as any JPEG decoder does.
"""

import re
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from synthstudio.core.arrays import F32, U8
from synthstudio.core.errors import AssetError

T = TypeVar("T")

MAX_PIXELS = 100_000_000
MAX_BYTES = 256 * 1024 * 1024
KNEE = 0.5  # linear light above which highlights roll off
MAX_SIDE_PX, MAX_RATIO = 65_500, 64
"""Maximum side (JPEG's limit), and maximum ratio of the sides."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".bmp")
SUFFIX_OF = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}
"""Ending of a stored picture by the format of its content."""
VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
UNREAD = (
    ".3fr", ".3gp", ".arw", ".avif", ".cr2", ".cr3", ".dng", ".exr", ".gif", ".heic", ".heif",
    ".hif", ".ico", ".jp2", ".jxl", ".mts", ".nef", ".orf", ".pbm", ".pgm", ".ppm", ".psd", ".raf",
    ".raw", ".rw2", ".svg", ".tga", ".tif", ".tiff", ".wmv", *VIDEOS,
)  # fmt: skip
"""Suffixes of unsupported pictures and videos, which are counted in a folder."""
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Of linear red, green and blue (IEC 61966-2-1, Rec. 709)."""
_ORIENTATION = 0x0112
_EXIF, _FOCAL_35MM = 0x8769, 0xA405
MAX_HDR_PIXELS = 8192 * 4096
_MAX_HDR_HEADER = 64 * 1024
_SIZE_LINE = re.compile(rb"([-+][XY]) +(\d{1,6}) +([-+][XY]) +(\d{1,6})")
_FEW_PX, _BRIGHTEST = 256, 0.999
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EIGHT_BIT = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def read_bytes(path: Path, *, limit: int = MAX_BYTES) -> bytes:
    """A file's bytes; AssetError if it is missing, no plain file, empty or too large."""
    check_bytes(path, limit=limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def check_bytes(path: Path, *, limit: int) -> None:
    """AssetError if a file is missing, no plain file, empty or too large; reads none of it."""
    try:
        if not path.is_file():
            raise AssetError(
                "there is no such file" if not path.exists() else "this is not a plain file",
                where=str(path),
                then="Check the path in the recipe.",
            )
        size = path.stat().st_size
        if size == 0:
            raise AssetError(
                "the file is empty",
                where=str(path),
                got="0 bytes",
                then="Copy it again or take it out of the folder.",
            )
        if size > limit:
            raise AssetError(
                "the file is too large",
                where=str(path),
                expected=f"at most {limit / 2**20:.0f} MB",
                got=f"{size / 2**20:.1f} MB",
                then="Save a smaller version.",
            )
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> AssetError:
    return AssetError(f"cannot read the file: {error.strerror or error}", where=str(path))


def list_pictures(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Pictures in a folder and the folders in it, sorted, and counts of skipped files.

    A picture has one of `SUFFIXES`, or is a JPEG, PNG or WebP by its first bytes. Counted by
    ending are other pictures and videos (`UNREAD`); text and other files are not mentioned.
    Hidden files and folders (a leading dot, __MACOSX) are skipped.
    """
    found, left_out = [], Counter[str]()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__MACOSX" for part in parts) or not path.is_file():
            continue
        suffix = path.suffix.lower()
        if suffix in SUFFIXES or is_picture(path):
            found.append(path)
        elif suffix in UNREAD:
            why = "pass a video itself" if suffix in VIDEOS else "this format is not read"
            left_out[f"file ending in {suffix}: {why}"] += 1
    return found, left_out


def is_picture(path: Path) -> bool:
    """Whether the first bytes are a JPEG's, PNG's or WebP's."""
    try:
        with path.open("rb") as file:
            return is_image_header(file.read(12))
    except OSError:
        return False


def is_image_header(head: bytes) -> bool:
    """Whether 12 bytes are the first of a JPEG, PNG or WebP."""
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture; reads the header, decodes no pixels.

    (A PNG may keep its EXIF behind the pixels: only then they are decoded too.)
    """
    return decode(read_bytes(path), str(path), _upright_size)


def check_image(path: Path) -> tuple[int, int, int]:
    """(width, height, level) of the upright picture after decoding all of it, JPEG at 1/8.

    `level`: 0.999 quantile of the brightest channel, 0 to 255.
    """
    return decode(read_bytes(path), str(path), _checked_size_and_level)


def read_rgb(path: Path) -> U8:
    """A picture as (H, W, 3) uint8; of a transparent one its colours, as OpenCV and training
    tools read it."""
    return decode_rgb(read_bytes(path), str(path))


def read_opaque(path: Path) -> U8:
    """A backdrop as (H, W, 3) uint8; AssetError if parts are transparent."""
    return decode_opaque(read_bytes(path), str(path))


def read_rgba(path: Path) -> U8:
    """A picture as (H, W, 4) uint8, alpha not premultiplied; 255 where it has none."""
    return decode_rgba(read_bytes(path), str(path))


def read_hdr(path: Path) -> F32:
    """A Radiance panorama as (h, w, 3) float32 linear; row 0 looks up."""
    return decode_hdr(read_bytes(path), str(path))


def decode_rgb(data: bytes, where: str) -> U8:
    """Decode as `read_rgb` does; `where` names the source in messages."""
    return decode(data, where, _rgb)


def check_rgb(data: bytes, where: str) -> tuple[int, int]:
    """(width, height) of `decode_rgb`'s result, every byte read, a JPEG at 1/8; AssetError."""
    return decode(data, where, _checked_size)


def decode_opaque(data: bytes, where: str) -> U8:
    """Decode as `read_rgb` does; AssetError if parts are transparent."""
    return decode(data, where, lambda image: _opaque(image, where))


def decode_rgba(data: bytes, where: str) -> U8:
    """Decode as `read_rgba` does; `where` names the source in messages."""
    return decode(data, where, lambda image: _upright(image, _rgba(image)))


def picture_rgba(image: Image.Image, where: str, *, longest: int) -> U8:
    """An open, undecoded picture as (h, w, 4), at most `longest` a side; EXIF is ignored."""
    with _as_asset_error(where), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_pixels(image.size, where)
        _check_mode(image.mode, where)
        rgba = Image.fromarray(_rgba(image))
        rgba.thumbnail((longest, longest), Image.Resampling.BOX)
        return np.array(rgba)


def decode(
    data: bytes, where: str, use: Callable[[Image.Image], T], *, max_pixels: int = MAX_PIXELS
) -> T:
    """Open `data` as a picture, check its header, and return use(picture); else AssetError."""
    _check_webp_size(data, where, max_pixels)
    with _as_asset_error(where, max_pixels), warnings.catch_warnings():
        # Pillow warns of odd metadata, and of sizes below our own limit, which is checked next.
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image.size, where, max_pixels)
            _check_mode(image.mode, where)
            return use(image)


@contextmanager
def _as_asset_error(where: str, max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Turn any decoder error on damaged input into an AssetError."""
    try:
        yield
    except AssetError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many(where, None, max_pixels) from error
    except UnidentifiedImageError as error:
        raise AssetError(
            "this is not a picture that can be read",
            where=where,
            expected="JPEG, PNG, WebP or BMP",
            then="Convert it to JPEG, or take it out of the folder.",
        ) from error
    except Exception as error:  # decoders raise nearly every built-in error on damaged bytes
        raise AssetError(
            f"the picture is damaged ({type(error).__name__}: {error})",
            where=where,
            then="Copy it again or take it out of the folder.",
        ) from error


def _too_many(where: str, got: str | None, max_pixels: int) -> AssetError:
    return AssetError(
        "the picture has too many pixels",
        where=where,
        expected=f"at most {max_pixels / 1e6:g} megapixels",
        got=got,
        then="Scale it down.",
    )


def _check_pixels(size: tuple[int, int], where: str, max_pixels: int = MAX_PIXELS) -> None:
    if max(size) > min(MAX_SIDE_PX, MAX_RATIO * min(size)):
        raise AssetError(
            "the picture is too long for its other side"
            if max(size) <= MAX_SIDE_PX
            else "the picture is too long",
            where=where,
            expected=f"sides of at most {MAX_SIDE_PX} pixels, one at most {MAX_RATIO} of the other",
            got=f"{size[0]} x {size[1]} pixels",
            then="Cut it into parts, or take it out of the folder.",
        )
    if (pixels := size[0] * size[1]) > max_pixels:
        got = f"{size[0]} x {size[1]} = {pixels / 1e6:.0f} megapixels"
        raise _too_many(where, got, max_pixels)


def _check_mode(mode: str, where: str) -> None:
    if mode not in _EIGHT_BIT + _SIXTEEN_BIT:
        raise AssetError(
            "unsupported pixel format",
            where=where,
            expected="8 or 16 bits a channel",
            got=f"mode {mode}",
            then="Save it as an 8-bit RGB picture.",
        )


def _check_webp_size(data: bytes, where: str, max_pixels: int) -> None:
    """Check a WebP canvas before Pillow opens it, which would already reserve its pixels.

    Layout: developers.google.com/speed/webp/docs/riff_container.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return
    chunk = data[12:16]
    if chunk == b"VP8X":
        w = 1 + int.from_bytes(data[24:27], "little")
        h = 1 + int.from_bytes(data[27:30], "little")
    elif chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        w, h = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        w, h = (side & 0x3FFF for side in struct.unpack("<HH", data[26:30]))
    _check_pixels((w, h), where, max_pixels)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8. Damaged EXIF counts as upright, as viewers have it."""
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def focal_35mm(path: Path) -> float | None:
    """The focal length that EXIF gives for a 35 mm film's diagonal, 5 to 2,000 mm, or None."""
    return decode(read_bytes(path), str(path), _focal_35mm)


def _focal_35mm(image: Image.Image) -> float | None:
    try:
        value = float(image.getexif().get_ifd(_EXIF).get(_FOCAL_35MM, 0))
    except (TypeError, ValueError, KeyError, ZeroDivisionError, OverflowError, struct.error):
        return None  # damaged EXIF is ignored
    return value if 5 <= value <= 2000 else None


def _upright_size(image: Image.Image) -> tuple[int, int]:
    w, h = image.size
    return (h, w) if _orientation(image) >= 5 else (w, h)


def _checked_size(image: Image.Image) -> tuple[int, int]:
    size = _upright_size(image)
    image.draft(None, (1, 1))
    image.load()
    return size


def _checked_size_and_level(image: Image.Image) -> tuple[int, int, int]:
    width, height = _checked_size(image)
    few = _rgba(image.resize((_FEW_PX, _FEW_PX), Image.Resampling.NEAREST))
    return width, height, int(np.quantile(few[..., :3].max(axis=2), _BRIGHTEST))


def _rgb(image: Image.Image) -> U8:
    if image.mode == "RGB":
        return _upright(image, np.array(image))
    return np.ascontiguousarray(_upright(image, _rgba(image))[..., :3])


def _opaque(image: Image.Image, where: str) -> U8:
    if not image.has_transparency_data:
        return _rgb(image)
    rgba = _upright(image, _rgba(image))
    if rgba[..., 3].min() < 255:
        raise AssetError(
            "the picture has transparent parts",
            where=where,
            expected="an opaque picture",
            then="Flatten it, or use it as a cut-out.",
        )
    return np.ascontiguousarray(rgba[..., :3])


def _upright(image: Image.Image, pixels: U8) -> U8:
    turn = _TURNS.get(_orientation(image))
    return pixels if turn is None else np.array(Image.fromarray(pixels).transpose(turn))


def _rgba(image: Image.Image) -> U8:
    if image.mode in _SIXTEEN_BIT:
        # The high byte, as Pillow itself does for 16-bit colour.
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
        image = Image.fromarray(grey)
    return np.array(image.convert("RGBA"))


def resample(rgb: U8, box_px: tuple[float, float, float, float], size_px: tuple[int, int]) -> U8:
    """The box (x0, y0, x1, y1, continuous pixels) of (H, W, 3) scaled to (width, height).

    Bicubic, widened when shrinking so that nothing aliases.
    """
    with Image.fromarray(rgb) as image:
        return np.array(image.resize(size_px, Image.Resampling.BICUBIC, box=box_px))


def encode_jpeg(rgb: U8, quality: int) -> bytes:
    """(H, W, 3) as the bytes of a JPEG file; the same array gives the same bytes."""
    import cv2

    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not ok:
        raise ValueError(f"no JPEG of shape {rgb.shape} at quality {quality}")
    return data.tobytes()


def encode_png(array: U8 | NDArray[np.uint16]) -> bytes:
    """(H, W), (H, W, 3) or (H, W, 4) of 8 or 16 bits as the bytes of a PNG file."""
    import cv2

    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a PNG holds uint8 or uint16, not {array.dtype}")
    bgr: Any = np.ascontiguousarray(array)
    if array.ndim == 3:
        bgr = cv2.cvtColor(bgr, cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    # One filter: trying all for each row takes most of the time and saves an eighth.
    how = [cv2.IMWRITE_PNG_COMPRESSION, 2, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    ok, data = cv2.imencode(".png", bgr, how)
    if not ok:
        raise ValueError(f"no PNG of shape {array.shape}")
    return data.tobytes()


_SRGB, _LIGHT = np.arange(256) / 255, np.arange(65536) / 65535
_TO_LINEAR: F32 = np.where(
    _SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4
).astype(np.float32)
"""The sRGB transfer curve (IEC 61966-2-1) at 0..255."""
_CURVE = np.where(_LIGHT <= 0.0031308, _LIGHT * 12.92, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)
_TO_SRGB: U8 = np.rint(_CURVE * 255).astype(np.uint8)
"""The inverse curve at k / 65535: within 0.03 of a grey level before rounding."""


def srgb_to_linear(srgb: U8) -> F32:
    """Linear light 0..1 of sRGB values 0..255, any shape."""
    import cv2

    if not srgb.size:
        return np.zeros(srgb.shape, np.float32)
    return np.asarray(cv2.LUT(srgb.reshape(-1), _TO_LINEAR), np.float32).reshape(srgb.shape)


def toned(linear: F32, *, knee: float = KNEE) -> F32:
    """Linear light whose highlights above `knee` roll off towards 1, any shape.

    Below it nothing changes; the slope is continuous: with k the knee and t what lies above it,
    k + (1 - k) t / (t + 1 - k) (Reinhard et al. 2002). Renderer and panoramas share this curve.
    """
    out = linear.astype(np.float32)
    hot = out > knee
    above, rest = out[hot] - np.float32(knee), np.float32(1 - knee)
    out[hot] = np.float32(knee) + rest * above / (above + rest)
    return out


def linear_to_srgb_u8(linear: NDArray[np.floating]) -> U8:
    """sRGB values 0..255 of linear light, any shape; what lies outside 0..1 is clipped."""
    scaled = np.clip(linear, 0, 1)
    scaled *= np.float32(65535)
    scaled += np.float32(0.5)
    return _TO_SRGB.take(scaled.astype(np.uint16))


# Radiance panoramas ----------------------------------------------------------------------
# Ward, "Real Pixels", Graphics Gems II (1991); radsite.lbl.gov/radiance/refer/filefmts


def decode_hdr(data: bytes, where: str) -> F32:
    """(h, w, 3) float32 linear radiance of a 2:1 panorama; row 0 looks up.

    AssetError, naming `where`, for anything but a whole, finite 32-bit_rle_rgbe file in the
    usual orientation.
    """
    import cv2

    width, height, exposure = _hdr_header(data, where)
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        bgr = None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if bgr is None or bgr.shape != (height, width, 3):
        raise _bad_hdr(where, "the pixels are damaged or cut off", got=f"{len(data)} bytes")
    radiance = bgr[..., ::-1].astype(np.float64) / exposure
    if not radiance.max() <= np.finfo(np.float32).max:
        raise _bad_hdr(where, "radiance is not finite", got=f"EXPOSURE={exposure:g}")
    return radiance.astype(np.float32)


def _bad_hdr(
    where: str, what: str, *, expected: str | None = None, got: str | None = None
) -> AssetError:
    return AssetError(
        what,
        where=where,
        expected=expected,
        got=got,
        then="Save it again as a 2:1 Radiance .hdr panorama.",
    )


def _hdr_header(data: bytes, where: str) -> tuple[int, int, float]:
    if not data.startswith((b"#?RADIANCE", b"#?RGBE")):
        raise _bad_hdr(where, "this is not a Radiance file", expected="#?RADIANCE first")
    end = data.find(b"\n\n", 0, _MAX_HDR_HEADER)
    stop = data.find(b"\n", end + 2, _MAX_HDR_HEADER)
    if end < 0 or stop < 0:
        raise _bad_hdr(where, "the header has no end", expected="a blank line, then the size")
    exposure = _hdr_exposure(data[:end].split(b"\n"), where)
    match = _SIZE_LINE.fullmatch(data[end + 2 : stop].strip())
    if match is None or (match[1], match[3]) != (b"-Y", b"+X"):
        raise _bad_hdr(
            where,
            "unknown size or orientation",
            expected="-Y height +X width",
            got=repr(data[end + 2 : stop][:40]),
        )
    height, width = int(match[2]), int(match[4])
    if width != 2 * height or height == 0:
        raise _bad_hdr(
            where,
            "a panorama shows the whole sphere",
            expected="a picture twice as wide as high",
            got=f"{width} x {height}",
        )
    if width * height > MAX_HDR_PIXELS:
        raise _bad_hdr(
            where, "the panorama is too large", expected="at most 8192 x 4096", got=f"{width} wide"
        )
    return width, height, exposure


def _hdr_exposure(lines: list[bytes], where: str) -> float:
    """The product of the header's EXPOSURE values after checking its FORMAT."""
    exposure = 1.0
    for line in lines:
        key, _, value = line.partition(b"=")
        if key == b"FORMAT" and value.strip() != b"32-bit_rle_rgbe":
            raise _bad_hdr(
                where, "unknown pixel format", expected="32-bit_rle_rgbe", got=repr(value[:40])
            )
        if key == b"EXPOSURE":
            try:
                exposure *= float(value)
            except ValueError:
                exposure = float("nan")
    if not 1e-12 < exposure < 1e12:
        raise _bad_hdr(where, "invalid EXPOSURE", expected="a number above 0")
    return exposure
