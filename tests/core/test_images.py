"""Untrusted pictures: every bad file is one AssetError, every good one the right pixels."""

import contextlib
import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from synthstudio.core import images
from synthstudio.core.errors import AssetError
from synthstudio.core.rng import stream


def _photo(w=24, h=16):
    """A smooth picture without symmetry."""
    y, x = np.mgrid[:h, :w]
    channels = x * 250 // w, y * 250 // h, (x + y) * 120 // (w + h)
    return np.stack(channels, axis=-1).astype(np.uint8)


def _saved(image, kind, **options):
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _write(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def _png_header(w, h):
    """A PNG that promises w x h pixels and holds none."""

    def chunk(name, body):
        crc = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + crc

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _webp_header(w, h):
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0"
    body += (w - 1).to_bytes(3, "little") + (h - 1).to_bytes(3, "little") + b"\0" * 20
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


PHOTO = _photo()
GOOD_JPEG = _saved(Image.fromarray(PHOTO), "JPEG", quality=95)
GOOD_PNG = _saved(Image.fromarray(PHOTO), "PNG")
GOOD_WEBP = _saved(Image.fromarray(PHOTO), "WEBP", lossless=True)
BAD = {
    "empty.jpg": (b"", "0 bytes"),
    "text.jpg": (b"this is no picture at all", "not a picture"),
    "gif.png": (_saved(Image.fromarray(PHOTO), "GIF"), "not a picture"),
    "tiff.png": (_saved(Image.fromarray(PHOTO), "TIFF"), "not a picture"),
    "cut.jpg": (GOOD_JPEG[: len(GOOD_JPEG) // 2], "damaged"),
    "cut.png": (GOOD_PNG[: len(GOOD_PNG) // 2], "damaged"),
    "cut.webp": (GOOD_WEBP[: len(GOOD_WEBP) // 2], "damaged"),
    "huge.png": (_png_header(20_000, 6_000), "too many pixels"),
    "bomb.png": (_png_header(60_000, 60_000), "too many pixels"),
    "wide.png": (_png_header(66_000, 1_200), "the picture is too long"),
    "thin.png": (_png_header(6_600, 100), "too long for its other side"),
    "bomb.webp": (_webp_header(16_000, 16_000), "too many pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_one_clear_error(tmp_path, name):
    data, reason = BAD[name]
    path = _write(tmp_path, name, data)
    for read in (images.read_rgb, images.read_rgba, images.check_image):
        with pytest.raises(AssetError, match=reason) as caught:
            read(path)
        assert name in str(caught.value)


def test_a_missing_file_a_folder_and_one_too_large_are_named(tmp_path):
    for path in (tmp_path / "no.jpg", tmp_path):
        with pytest.raises(AssetError, match=str(path)):
            images.read_rgb(path)
    with pytest.raises(AssetError, match="too large"):
        images.read_bytes(_write(tmp_path, "a.bin", bytes(2_000)), limit=1_000)


def test_a_check_finds_the_size_and_the_faults_that_decoding_finds():
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = _saved(Image.fromarray(PHOTO), "JPEG", exif=exif)
    opaque = _saved(Image.fromarray(PHOTO).convert("RGBA"), "PNG")
    for data in (GOOD_JPEG, GOOD_PNG, GOOD_WEBP, rotated, opaque):
        height, width = images.decode_rgb(data, "a").shape[:2]
        assert images.check_rgb(data, "a") == (width, height)
    clear = Image.fromarray(PHOTO)
    clear.putalpha(128)
    keyed = _saved(Image.fromarray(PHOTO), "PNG", transparency=tuple(PHOTO[0, 0].tolist()))
    for data in (_saved(clear, "PNG"), keyed):
        assert (images.decode_rgb(data, "a") == PHOTO).all()  # as cv2.imread reads it
        assert images.check_rgb(data, "a") == (24, 16)
        with pytest.raises(AssetError, match="transparent"):
            images.decode_opaque(data, "a")
    for data in (BAD["cut.jpg"][0], BAD["cut.png"][0]):
        with pytest.raises(AssetError, match="damaged"):
            images.check_rgb(data, "a")


@pytest.mark.parametrize("form", ["lossy", "lossless", "extended"])
def test_a_webp_is_measured_before_its_pixels_are_reserved(form, monkeypatch):
    image = Image.fromarray(PHOTO)
    if form == "extended":
        image.putalpha(128)
    data = _saved(image, "WEBP", lossless=form == "lossless")
    kind = {"lossy": b"VP8 ", "lossless": b"VP8L", "extended": b"VP8X"}[form]
    assert data[12:16] == kind
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(AssetError, match="24 x 16"):
        images.decode(data, "a.webp", lambda image: image, max_pixels=24 * 16 - 1)


def test_cmyk_and_sixteen_bits_are_converted():
    flat = Image.new("CMYK", (32, 32), (0, 255, 255, 0))  # full magenta and yellow: red
    red = images.decode_rgb(_saved(flat, "JPEG", quality=95), "x").astype(int)
    assert np.abs(red - [254, 0, 0]).max() <= 3
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    grey = images.decode_rgb(cv2.imencode(".png", ramp)[1].tobytes(), "x")
    assert (grey == expected[..., None]).all()
    colours = np.stack([ramp, ramp // 2, ramp * 0], axis=-1)  # as OpenCV has them: BGR
    rgb = images.decode_rgb(cv2.imencode(".png", colours)[1].tobytes(), "x")
    assert (rgb[..., 2] == expected).all() and (rgb[..., 0] == 0).all()


def test_palette_transparency_becomes_alpha(tmp_path):
    image = Image.fromarray(PHOTO).convert("P")
    corner = image.getpixel((0, 0))
    path = _write(tmp_path, "a.png", _saved(image, "PNG", transparency=corner))
    assert images.read_rgba(path)[0, 0, 3] == 0
    with pytest.raises(AssetError, match="transparent"):
        images.read_opaque(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture_once(tmp_path, orientation):
    upright = _photo(40, 24)
    # What a camera stores so that `orientation` makes it upright again (EXIF 2.3, 4.6.4).
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind, maximum in (("PNG", 0.01), ("JPEG", 3)):
        data = _saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, quality=95)
        path = _write(tmp_path, f"a.{kind.lower()}", data)
        assert images.image_size(path) == images.check_image(path)[:2] == (40, 24)
        assert np.abs(images.read_rgb(path).astype(int) - upright).mean() < maximum


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    source=st.sampled_from([GOOD_JPEG, GOOD_PNG, GOOD_WEBP, b"\xff\xd8\xff", b"RIFF", b"BM"]),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 40),
)
def test_mutated_pictures_decode_or_are_asset_errors(source, edits, cut):
    data = bytearray(source)
    for place, value in edits:
        data[place % len(data)] = value
    try:
        rgba = images.decode_rgba(bytes(data[: len(data) - cut]), "fuzz")
    except AssetError as error:
        assert "fuzz" in str(error)
        return
    assert (rgba.dtype, rgba.ndim) == (np.uint8, 3)


def test_encoders_are_deterministic_and_read_back():
    rng = stream(1, "pictures")
    rgb = rng.integers(0, 256, (20, 30, 3), np.uint8)
    assert images.encode_png(rgb) == images.encode_png(rgb.copy())
    assert (images.decode_rgb(images.encode_png(rgb), "x") == rgb).all()
    assert images.encode_jpeg(PHOTO, 90) == images.encode_jpeg(PHOTO.copy(), 90)
    back = images.decode_rgb(images.encode_jpeg(PHOTO, 95), "x")
    assert np.abs(back.astype(int) - PHOTO).mean() < 3, "channels in the right order"
    rgba = rng.integers(0, 256, (9, 7, 4), np.uint8)
    assert (images.decode_rgba(images.encode_png(rgba), "x") == rgba).all()
    deep = rng.integers(0, 65536, (6, 5)).astype(np.uint16)
    again = cv2.imdecode(np.frombuffer(images.encode_png(deep), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (again == deep).all()


def test_srgb_tables_match_the_formula():
    values = np.arange(256, dtype=np.uint8)
    linear = images.srgb_to_linear(values)
    assert linear[0] == 0
    assert linear[255] == 1
    assert linear[188] == pytest.approx(0.502886, abs=1e-5)  # sRGB 188 is half of the light
    assert (images.linear_to_srgb_u8(linear) == values).all(), "there and back is the identity"
    x = stream(2, "light").random(10_000)
    exact = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055) * 255
    assert np.abs(images.linear_to_srgb_u8(x) - exact).max() < 0.56
    assert list(images.linear_to_srgb_u8(np.array([-1.0, 7.0]))) == [0, 255]


def _hdr(pixels, *, head=b"FORMAT=32-bit_rle_rgbe\n", size):
    return b"#?RADIANCE\n" + head + b"\n" + size + b"\n" + pixels


FLAT = _hdr(bytes([128, 64, 32, 129]) * 8, size=b"-Y 2 +X 4")


def test_flat_radiance_and_exposure():
    # 128 * 2^(129 - 136) = 1
    assert np.array_equal(images.decode_hdr(FLAT, "x")[0, 0], np.float32([1.0, 0.5, 0.25]))
    brighter = FLAT.replace(b"\n\n", b"\nEXPOSURE=2\nEXPOSURE=2\n\n", 1)
    assert np.array_equal(images.decode_hdr(brighter, "x")[0, 0], np.float32([1.0, 0.5, 0.25]) / 4)


BAD_HDR = [
    (GOOD_PNG, "not a Radiance"),
    (FLAT[:-1], "cut off"),
    (FLAT.replace(b"-Y 2 +X 4", b"-Y 2 +X 5"), "twice as wide"),
    (FLAT.replace(b"-Y 2 +X 4", b"+Y 2 +X 4"), "orientation"),
    (FLAT.replace(b"-Y 2 +X 4", b"-Y 0 +X 0"), "twice as wide"),
    (FLAT.replace(b"-Y 2 +X 4", b"-Y 9000 +X 18000"), "too large"),
    (FLAT.replace(b"rgbe", b"xyze"), "pixel format"),
    (FLAT.replace(b"\n\n", b"\nEXPOSURE=0\n\n", 1), "EXPOSURE"),
    (FLAT.replace(b"\n\n", b"\nEXPOSURE=nan\n\n", 1), "EXPOSURE"),
    (b"#?RADIANCE\n" + b"x" * 100_000, "no end"),
    (_hdr(b"\x02\x02\x00\x10" + bytes([144, 1] * 3), size=b"-Y 8 +X 16"), "cut off"),
    (_hdr(b"\x02\x02\x00\x11" + bytes(400), size=b"-Y 8 +X 16"), "damaged"),
]


def test_bad_panoramas_are_one_clear_error(tmp_path):
    for data, reason in BAD_HDR:
        with pytest.raises(AssetError, match=reason):
            images.read_hdr(_write(tmp_path, "a.hdr", data))


@settings(max_examples=100, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 255)), max_size=8))
def test_mutated_panoramas_decode_or_are_asset_errors(edits):
    ok, good = cv2.imencode(".hdr", np.full((16, 32, 3), 0.7, np.float32))
    assert ok
    data = bytearray(good.tobytes())
    for place, value in edits:
        data[place % len(data)] = value
    with contextlib.suppress(AssetError):
        assert np.isfinite(images.decode_hdr(bytes(data), "fuzz")).all()
