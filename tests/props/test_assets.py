"""Folders of pictures and meshes: what is listed, what is refused, how a replay finds files."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mesh_makers import TEXTURED

from synthstudio.core.errors import AssetError
from synthstudio.core.images import encode_jpeg, encode_png
from synthstudio.core.spec import AssetRef
from synthstudio.props.assets import AssetTable, content_hash, scan_images, scan_meshes


def _photo(path: Path, shade: int, size: tuple[int, int] = (12, 20)) -> None:
    path.write_bytes(encode_jpeg(np.full((*size, 3), shade, np.uint8), 90))


def _cutout(path: Path, low: int = 0, high: int = 255) -> None:
    rgba = np.full((10, 14, 4), low, np.uint8)
    rgba[3:7, 4:9] = high
    path.write_bytes(encode_png(rgba))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "photos").mkdir(parents=True)
    for k, name in enumerate(("b.jpg", "a.JPG", "c.jpeg")):
        _photo(folder / "photos" / name, 50 * (k + 1))
    return folder


def test_pictures_are_sorted_hashed_and_measured(root):
    (root / "photos" / "notes.txt").write_text("not a picture")
    (root / "photos" / "._a.jpg").write_text("a shadow file that another system leaves")
    found = scan_images(root, "photos", kind="background")
    assert [a.asset.name for a in found] == ["photos/a.JPG", "photos/b.jpg", "photos/c.jpeg"]
    assert [(a.width_px, a.height_px) for a in found] == [(20, 12)] * 3
    assert found[0].asset.sha256 == content_hash(root / "photos" / "a.JPG")
    assert found[0].licence == found[0].source == found[0].category == ""
    assert scan_images(root, "photos/", kind="background") == found


def test_the_manifest_gives_licence_category_and_source(root):
    entry = {"file": "b.jpg", "category": "street", "license": "CC BY", "license_url": "http://l"}
    entry |= {"coco_url": "http://c", "flickr_url": "http://f", "w": 20}
    (root / "photos" / "manifest.json").write_text(json.dumps([entry]))
    by_name = {a.asset.name: a for a in scan_images(root, "photos", kind="background")}
    asset = by_name["photos/b.jpg"]
    assert (asset.category, asset.licence, asset.source) == ("street", "CC BY http://l", "http://f")
    assert by_name["photos/a.JPG"].licence == ""


@pytest.mark.parametrize(
    "text",
    ["{", "{}", "[1]", '[{"file": 3}]', '[{"file": "b.jpg"}, {"file": "b.jpg"}]', "[" * 100_000],
)
def test_a_bad_manifest_is_refused(root, text):
    (root / "photos" / "manifest.json").write_text(text)
    with pytest.raises(AssetError, match=r"manifest\.json"):
        scan_images(root, "photos", kind="background")


@pytest.mark.parametrize("kind", ["background", "cutout", "hdri"])
@pytest.mark.parametrize(
    "folder", ["nowhere", "photos/a.JPG", "/etc", "../root/photos", "empty", "link"]
)
def test_folders_that_cannot_be_used_are_refused(root, folder, kind):
    (root / "empty").mkdir()
    (root.parent / "outside").mkdir()
    _photo(root.parent / "outside" / "a.jpg", 3)
    (root / "link").symlink_to(root.parent / "outside")
    with pytest.raises(AssetError, match=folder):
        scan_images(root, folder, kind=kind)  # type: ignore[arg-type]
    with pytest.raises(AssetError, match=folder):
        scan_meshes(root, folder)


def test_a_linked_file_may_not_leave_the_root(root):
    _photo(root.parent / "secret.jpg", 3)
    (root / "photos" / "d.jpg").symlink_to(root.parent / "secret.jpg")
    with pytest.raises(AssetError, match=r"photos/d\.jpg: a link leads out"):
        scan_images(root, "photos", kind="background")


def test_a_damaged_picture_is_found_while_scanning(root):
    path = root / "photos" / "b.jpg"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(AssetError, match=r"b\.jpg.*damaged"):
        scan_images(root, "photos", kind="background")


def test_cutouts_must_be_cut_out(root):
    (root / "objects").mkdir()
    _cutout(root / "objects" / "a.png")
    assert len(scan_images(root, "objects", kind="cutout")) == 1
    _cutout(root / "objects" / "b.png", low=255)
    with pytest.raises(AssetError, match=r"b\.png.*opaque"):
        scan_images(root, "objects", kind="cutout")
    _cutout(root / "objects" / "b.png", high=0)
    with pytest.raises(AssetError, match=r"b\.png.*is empty"):
        scan_images(root, "objects", kind="cutout")


def _panorama(path, radiance):
    ok, data = cv2.imencode(".hdr", radiance.astype(np.float32))
    assert ok
    path.write_bytes(data.tobytes())


def _halves(above, below):
    return np.repeat([above, below], 16)[:, None, None] * np.ones((32, 64, 3))


def test_panoramas_say_how_bright_they_are_below_the_horizon(root):
    _panorama(root / "photos" / "sky.hdr", _halves(1.0, 0.25))
    _panorama(root / "photos" / "turned.hdr", _halves(0.0, 1.0))
    sky, rotated = scan_images(root, "photos", kind="hdri")
    assert (sky.width_px, sky.height_px) == (64, 32)
    assert sky.below_above == pytest.approx(0.25) and rotated.below_above > 1e6
    _panorama(root / "photos" / "black.hdr", _halves(0.0, 0.0))
    with pytest.raises(AssetError, match=r"black\.hdr: the panorama is black.*out of the folder"):
        scan_images(root, "photos", kind="hdri")


def test_a_replay_finds_the_same_content_or_says_why_not(root):
    (first, *_) = scan_images(root, "photos", kind="background")
    table = AssetTable(root=root)
    path = table.resolve(first.asset)
    assert path == root / "photos" / "a.JPG"
    stamp = path.stat()
    _photo(path, 99)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    with pytest.raises(AssetError, match="has changed"):
        table.resolve(first.asset)
    path.unlink()
    with pytest.raises(AssetError, match="no longer exists"):
        table.resolve(first.asset)
    for name in ("../x.jpg", "/etc/passwd"):
        with pytest.raises(AssetError, match="relative"):
            table.resolve(AssetRef(sha256="0" * 64, name=name))


def test_a_mesh_is_known_by_all_its_files(root):
    folder = root / "meshes"
    folder.mkdir()
    (folder / "a.obj").write_text(TEXTURED)
    (folder / "a.mtl").write_text("newmtl m\nmap_Kd a.png\n")
    (folder / "a.png").write_bytes(encode_png(np.zeros((4, 4, 3), np.uint8)))
    (asset,) = scan_meshes(root, "meshes")
    table = AssetTable(root=root)
    assert (asset.asset.name, asset.size_m) == ("meshes/a.obj", pytest.approx((1, 0, 1)))
    assert table.resolve(asset.asset) == folder / "a.obj"
    (folder / "a.png").write_bytes(encode_png(np.ones((5, 4, 3), np.uint8)))
    with pytest.raises(AssetError, match="has changed"):
        table.resolve(asset.asset)
    (folder / "a.png").unlink()
    with pytest.raises(AssetError, match=r"a\.png"):
        table.resolve(asset.asset)
    tree = {"asset": {"version": "2.0"}, "buffers": [{"byteLength": 4, "uri": "b%20c.bin"}]}
    (folder / "b.gltf").write_text(json.dumps(tree))
    (folder / "b c.bin").write_bytes(b"1234")
    before = content_hash(folder / "b.gltf")
    (folder / "b c.bin").write_bytes(b"12345")
    assert content_hash(folder / "b.gltf") != before
