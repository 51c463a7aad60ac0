"""Photos and videos without labels become a set to be reviewed: upright, whole, and told."""

from io import BytesIO

import asset_roots
import numpy as np
import pytest
from command_line import run_json
from PIL import Image

import synthstudio as ss
from synthstudio.api.datasets import import_photos
from synthstudio.core.errors import ArgumentError, FormatError
from synthstudio.core.images import decode_rgb
from synthstudio.dataset import durable
from synthstudio.dataset.reader import Dataset
from synthstudio.formats import photos as module

RED, BLUE = (220, 30, 30), (30, 30, 220)


def halves(width=60, height=40):
    picture = Image.new("RGB", (width, height), BLUE)
    picture.paste(RED, (0, 0, width // 2, height))
    return picture


def film(path):
    """Twenty frames at 10 Hz, each ten shades brighter than the last."""
    return asset_roots.film(path, range(0, 200, 10), hz=10.0, size=(64, 48))


def test_a_folder_is_a_set_with_nobody_in_it(tmp_path):
    source = tmp_path / "photos"
    (source / "more").mkdir(parents=True)
    halves().save(source / "a.png")
    halves().save(source / "more" / "b.jpg", quality=95)
    (source / "notes.txt").write_text("no photo")
    made = import_photos(source, tmp_path / "set")
    assert (len(made), made.summary.people, made.summary.notes) == (2, 0, [])
    stored = Dataset(tmp_path / "set")
    assert stored.identity.skeleton == "coco17" and stored.people == 0
    assert stored.image_bytes(0) == (source / "a.png").read_bytes()  # copied as they are
    assert stored.image_bytes(1) == (source / "more" / "b.jpg").read_bytes()
    assert len(ss.Dataset(tmp_path / "set")[1].people) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_that_exif_turns_is_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = tmp_path / "turned.jpg"
    halves().save(source, exif=exif, quality=95)
    made = import_photos(source, tmp_path / "set")
    row = made._stored.frame(0)
    rotated = orientation >= 5
    assert (row["width_px"], row["height_px"]) == ((40, 60) if rotated else (60, 40))
    data = made._stored.image_bytes(0)
    with Image.open(BytesIO(data)) as picture:
        assert picture.getexif().get(0x0112, 1) == 1  # a browser turns it no second time
    rgb = decode_rgb(data, "stored")
    expected = decode_rgb(source.read_bytes(), "source")  # the package's own upright picture
    assert rgb.shape == expected.shape and np.abs(rgb.astype(int) - expected).mean() < 6
    assert any("re-encoded" in note for note in made.summary.notes) == (orientation != 1)


def test_what_cannot_be_used_is_left_out_and_told(tmp_path, monkeypatch):
    source = tmp_path / "photos"
    source.mkdir()
    halves().save(source / "a.png")
    (source / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    (source / "empty.png").touch()
    halves().save(source / "caf\udce9.jpg")
    Image.new("RGB", (1500, 20)).save(source / "strip.png")
    Image.new("1", (16_000, 12_500)).save(source / "vast.png")  # 200 megapixels in few bytes
    made = import_photos(source, tmp_path / "set")
    assert len(made) == 1 and len(made.summary.notes) == 5
    (vast,) = [note for note in made.summary.notes if "vast.png" in note]
    assert "100" in vast and "pixels" in vast
    monkeypatch.setattr(module, "MAX_LISTED", 1)
    made = import_photos(source, tmp_path / "again")
    assert made.summary.notes[1] == "Not imported: 4 more such photos."
    with pytest.raises(FormatError, match="no usable photos"):
        import_photos(source / "vast.png", tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_a_video_at_a_rate(tmp_path):
    made = import_photos(film(tmp_path / "a.mp4"), tmp_path / "set", rate_hz=2.0)
    greys = [decode_rgb(made._stored.image_bytes(k), "x").mean() for k in range(len(made))]
    assert np.allclose(greys, [0, 50, 100, 150], atol=6)  # frames 0, 5, 10, 15 of 20 at 10 Hz
    rows = [made._stored.frame(k) for k in range(len(made))]
    found = [(row["clip_id"], row["clip_frame"], row["time_s"]) for row in rows]
    assert found == [("a.mp4", k, 0.5 * k) for k in range(4)]
    every = import_photos(tmp_path / "a.mp4", tmp_path / "every", every=7)
    assert len(every) == 3
    faster = import_photos(tmp_path / "a.mp4", tmp_path / "all", rate_hz=100.0)
    assert len(faster) == 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "all", "every", "set"]


def test_what_a_killed_run_left_goes_with_the_next(tmp_path, monkeypatch):
    """And what runs to other sets are using stays."""

    def killed(*_):
        raise SystemExit("killed")

    source = film(tmp_path / "a.mp4")
    for name in ("set", "other"):
        with monkeypatch.context() as patch:
            patch.setattr(durable, "remove", lambda path: None)  # as if nothing ran any more
            patch.setattr(module.images, "encode_jpeg", killed)
            with pytest.raises(SystemExit):
                import_photos(source, tmp_path / name)
    left = sorted(p.name.rpartition("-")[0] for p in tmp_path.glob(".tmp-*"))
    assert left == [".tmp-other.scratch", ".tmp-set.scratch"]
    import_photos(source, tmp_path / "set")
    (other,) = tmp_path.glob(".tmp-*")
    assert other.name.startswith(".tmp-other.scratch-")
    assert not list(Dataset(tmp_path / "set").verify())


def test_videos_that_are_none(tmp_path, monkeypatch):
    (tmp_path / "x.mp4").write_bytes(b"no film")
    with pytest.raises(FormatError, match="no frame of this video"):
        import_photos(tmp_path / "x.mp4", tmp_path / "set", every=1)
    film(tmp_path / "a.mp4")
    monkeypatch.setattr(module, "stated_rate_hz", lambda path: 0.0)
    with pytest.raises(FormatError, match="`every` 10"):
        import_photos(tmp_path / "a.mp4", tmp_path / "set")
    for wrong in ({"rate_hz": 0.0}, {"rate_hz": float("nan")}, {"every": 0}):
        with pytest.raises(ArgumentError, match=r"not a (whole )?number"):
            import_photos(tmp_path / "a.mp4", tmp_path / "set", **wrong)
    (tmp_path / "none").mkdir()
    with pytest.raises(FormatError, match="no photos found"):
        import_photos(tmp_path / "none", tmp_path / "set")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "none", "x.mp4"]


def test_the_command(tmp_path):
    film(tmp_path / "a.mp4")
    words = ["import-photos", tmp_path / "a.mp4", "--out", tmp_path / "set"]
    assert run_json(*words, "--rate", 5)["frames"] == 10
