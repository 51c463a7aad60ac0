"""One reader of pictures for every door, and one listing of folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthstudio.api.exchange import import_photos
from synthstudio.core import images
from synthstudio.core.errors import AssetError, FormatError
from synthstudio.inference.sources import open_source

SIZE = (64, 48)


def saved(path: Path, kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", size, (200, 100, 50)).convert(mode)
    more = {"save_all": True, "append_images": [picture.resize((32, 24))]} if kind == "MPO" else {}
    picture.save(path, kind, **more)
    return path


READ = {
    "jpeg": ("a.jpg", "JPEG", "RGB"),
    "grey jpeg": ("a.jpg", "JPEG", "L"),
    "cmyk jpeg": ("a.jpeg", "JPEG", "CMYK"),
    "multi-picture jpeg": ("a.jpg", "MPO", "RGB"),
    "multi-picture by name": ("a.mpo", "MPO", "RGB"),
    "jfif": ("a.jfif", "JPEG", "RGB"),
    "capitals": ("A.JPG", "JPEG", "RGB"),
    "jpeg named png": ("a.png", "JPEG", "RGB"),
    "png named tif": ("a.tif", "PNG", "RGB"),
    "jpeg without an ending": ("a", "JPEG", "RGB"),
    "webp named dat": ("a.dat", "WEBP", "RGB"),
    "transparent png": ("a.png", "PNG", "RGBA"),
    "transparent grey png": ("a.png", "PNG", "LA"),
    "palette png": ("a.png", "PNG", "P"),
    "one bit png": ("a.png", "PNG", "1"),
    "16 bit png": ("a.png", "PNG", "I;16"),
    "bmp": ("a.bmp", "BMP", "RGB"),
}


@pytest.mark.parametrize("name", READ)
def test_what_one_door_takes_all_take(name, tmp_path) -> None:
    file, kind, mode = READ[name]
    path = saved(tmp_path / "in" / file, kind, mode)
    assert images.list_pictures(tmp_path / "in") == ([path], {})
    assert images.check_rgb(path.read_bytes(), "a") == images.image_size(path) == SIZE
    (seen,) = open_source(tmp_path / "in").read()
    assert seen.rgb.shape == (48, 64, 3)
    (same,) = open_source(path).read()
    assert np.array_equal(same.rgb, seen.rgb)
    for source in (tmp_path / "in", path):
        made = import_photos(source, tmp_path / "out" / source.name)
        assert made[0].image.shape == (48, 64, 3) and made.summary.left_out == {}
    stored = made._stored.frame(0)["file_name"]
    assert Path(stored).suffix in (".jpg", ".png", ".bmp", ".webp")


LEFT_OUT = {
    "tiff": ("b.tif", "TIFF", SIZE, "tif"),
    "gif": ("b.gif", "GIF", SIZE, "gif"),
    "heic": ("IMG_1.HEIC", None, SIZE, "heic"),
    "a video among photos": ("clip.mp4", None, SIZE, "mp4"),
    "raw": ("x.CR2", None, SIZE, "cr2"),
    "damaged": ("b.jpg", None, SIZE, "damaged|not a picture"),
    "strip": ("b.png", "PNG", (1500, 20), "1500 x 20"),
    "column": ("b.png", "PNG", (20, 1500), "20 x 1500"),
    "too long": ("b.png", "PNG", (66_000, 1100), "66000 x 1100"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_told_and_the_rest_goes_on(name, tmp_path, caplog) -> None:
    file, kind, size, told = LEFT_OUT[name]
    saved(tmp_path / "in" / "a.jpg", "JPEG")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    if kind:
        saved(tmp_path / "in" / file, kind, size=size)
    else:
        (tmp_path / "in" / file).write_bytes(b"something else")
    made = import_photos(tmp_path / "in", tmp_path / "set")
    (note,) = made.summary.notes
    assert len(made) == 1 and any(part in note for part in told.split("|"))
    assert [image.name for image in open_source(tmp_path / "in").read()] == ["a.jpg"]
    assert any(part in caplog.text for part in told.split("|"))


def test_a_folder_without_a_readable_picture_is_refused_with_its_reason(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.heic").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"1 x file ending in \.heic"):
        import_photos(tmp_path / "in", tmp_path / "set")
    (tmp_path / "in" / "a.jpg").write_bytes(b"x")
    with pytest.raises(AssetError, match=r"a\.jpg"):
        list(open_source(tmp_path / "in").read())


def test_hidden_files_are_passed_over(tmp_path) -> None:
    for name in (".a.jpg", ".cache/a.jpg", "__MACOSX/a.jpg", "b/._a.jpg"):
        saved(tmp_path / name, "JPEG")
    one = saved(tmp_path / "b" / "c.jpg", "JPEG")
    assert images.list_pictures(tmp_path) == ([one], {})
