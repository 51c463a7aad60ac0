"""Text of people where more could be read into it: Markdown, CSV, logs, names; and uploads."""

from __future__ import annotations

import csv
import io
import logging
import struct
import tracemalloc
import zlib

import pytest
from PIL import Image

from synthstudio.core.errors import AssetError, StudioError
from synthstudio.core.images import read_rgba
from synthstudio.studio.settings import Limits
from synthstudio.studio.text import checked_name, csv_bytes, csv_cell, log_text, plain
from synthstudio.studio.uploads import keep_picture

NASTY = "<img src=x onerror=alert(1)>![a](http://evil.example/b.png)[c](javascript:x) **d** :red[e]"
LIMITS = Limits()


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "|x", "%x", "\uff1d1"]
)
def test_no_cell_starts_a_formula(text):
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["Ada", "-1.5", "+2e-3", -3, 0.5, None, "", "a=b"])
def test_other_cells_stay(value):
    assert csv_cell(value) == ("" if value is None else str(value))


def test_a_table_reads_back():
    rows = [["=1", 'a "b", c\nd'], ["x", -1]]
    data = csv_bytes(["=h", "n"], rows).decode()
    assert list(csv.reader(io.StringIO(data))) == [
        ["'=h", "n"], ["'=1", 'a "b", c\nd'], ["x", "-1"]
    ]  # fmt: skip


def test_plain_text_keeps_its_letters_and_loses_its_markup():
    shown = plain(NASTY)
    bare = shown.replace("\\", "").replace("\u2060", "")
    assert bare == NASTY
    for mark in "<>[]()*:!`_#":
        assert all(shown[k - 1] == "\\" for k, c in enumerate(shown) if c == mark)
    assert plain("a\nb\u202ec\0d") == "a b c d"
    for address in ("http://a.example", "WWW.a.example", "a@b.example"):
        assert address not in plain(address).replace("\\", "")  # else Markdown makes it a link


def test_log_lines_are_one_line():
    assert log_text("a\nb\r\x1b[31m\u2028") == "a\\nb\\r\\x1b[31m\\u2028"
    assert log_text("x" * 500).startswith("x" * 200 + "... (500")


@pytest.mark.parametrize("name", ["Ada", "  Ada ", "Zoë K.", "a@b.example", "李 雷", "O'Hara-2"])
def test_names(name):
    assert checked_name(name) == name.strip()


@pytest.mark.parametrize(
    "name", ["", " ", "<b>", "a\nb", "a\u202eb", "x" * 65, "=1", "-a", "[a](b)", "a;", "\0"]
)
def test_no_names(name):
    with pytest.raises(StudioError, match="cannot be a name"):
        checked_name(name)


def picture(mode: str = "RGB", size: tuple[int, int] = (8, 6), kind: str = "PNG", **more) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, (200, 40, 90, 128)[: len(mode)]).save(file, kind, **more)
    return file.getvalue()


def test_an_upload_is_drawn_anew_and_renamed(tmp_path):
    data = picture(kind="JPEG", comment=b"secret") + b"trailing <script>"
    path = keep_picture(data, tmp_path, "backdrops", limits=LIMITS)
    assert path.parent == tmp_path / "uploads" / "backdrops"
    assert len(path.stem) == 64 and path.suffix == ".jpg"
    kept = path.read_bytes()
    assert b"secret" not in kept and b"script" not in kept
    assert read_rgba(path).shape == (6, 8, 4)
    assert keep_picture(data, tmp_path, "backdrops", limits=LIMITS) == path
    clear = keep_picture(picture("RGBA"), tmp_path, "backdrops", limits=LIMITS)
    assert clear.suffix == ".png" and read_rgba(clear)[0, 0, 3] == 128


def bomb(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        tail = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + tail

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [6_000, 20_000, 60_000])
def test_an_image_bomb_is_refused_before_a_pixel_is_decoded(side, tmp_path, caplog):
    tracemalloc.start()
    caplog.set_level(logging.WARNING, "synthstudio.studio.guard")
    with pytest.raises((StudioError, AssetError), match="pixels"):
        keep_picture(bomb(side), tmp_path, "a", limits=LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert "an upload" in caplog.text and not (tmp_path / "uploads").exists()


@pytest.mark.parametrize(
    "data", [b"", b"<svg onload='x'/>", b"GIF89a" + bytes(50), b"\xff\xd8\xff" + bytes(99),
             bytes(20 * 2**20 + 1), picture()[:40]],
)  # fmt: skip
def test_what_is_no_picture_is_refused(data, tmp_path):
    with pytest.raises((StudioError, AssetError)):
        keep_picture(data, tmp_path, "a", limits=LIMITS)
    assert not (tmp_path / "uploads").exists()


@pytest.mark.parametrize("folder", ["", "..", "a/b", "../a", "/tmp", "A", "a\0", ".a", "x" * 41])
def test_uploads_stay_in_their_folder(folder, tmp_path):
    with pytest.raises(StudioError, match="folder"):
        keep_picture(picture(), tmp_path / "root", folder, limits=LIMITS)
    assert not (tmp_path / "root").exists()


def test_a_link_does_not_lead_uploads_out(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "root" / "uploads").symlink_to(tmp_path / "out")
    with pytest.raises(StudioError):
        keep_picture(picture(), tmp_path / "root", "a", limits=LIMITS)
    assert not list((tmp_path / "out").iterdir())
