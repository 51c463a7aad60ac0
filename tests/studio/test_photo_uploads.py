"""Uploaded photos and videos: what is kept, refused, used as background, or made a data set."""

import io
import logging
import tracemalloc

import pytest
from attackers import bomb, picture
from job_orders import LEAD, RECIPE, REVIEWER, drive, ended, settings_in
from PIL import Image
from review_ops import refused
from test_tryit_uploads import BAD_VIDEOS, video

from synthstudio.core.errors import AssetError, RecipeError, Refused, StudioError
from synthstudio.core.images import read_rgb
from synthstudio.dataset.reader import Dataset
from synthstudio.props.assets import scan_images
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.review.values import User
from synthstudio.studio import recipe_form as form
from synthstudio.studio import uploads
from synthstudio.studio.answers import checked_photo
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.orders import Generate, asset_roots, check_order, output_folder
from synthstudio.studio.recipe_form import Scene, with_photos
from synthstudio.studio.settings import Limits
from synthstudio.studio.uploads import order_photos

LIMITS = Limits()
TOO_MANY = r"at most 25 megapixels(; got [\dx =]+megapixels)?\. Scale"


def keep(data, root, folder="a", who=LEAD):
    return uploads.keep_photo(data, root, folder, limits=LIMITS, who=who)


def test_an_upload_is_drawn_anew_and_renamed(tmp_path):
    data = picture(kind="JPEG", comment=b"secret") + b"trailing <script>"
    path = keep(data, tmp_path / "uploads", "backdrops")
    assert path.parent == tmp_path / "uploads" / "backdrops"
    assert len(path.stem) == 64 and path.suffix == ".jpg"
    kept = path.read_bytes()
    assert b"secret" not in kept and b"script" not in kept
    assert read_rgb(path).shape == (80, 96, 3)
    assert keep(data, tmp_path / "uploads", "backdrops") == path
    assert uploads.folders(tmp_path / "uploads") == {"backdrops": 1}


def test_an_upload_is_upright_and_has_its_colours(tmp_path):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        kept = keep(picture(kind="JPEG", size=(96, 72), exif=exif), tmp_path / "uploads")
        assert read_rgb(kept).shape == ((96, 72, 3) if orientation >= 5 else (72, 96, 3))
        with Image.open(kept) as again:
            assert again.getexif().get(0x0112, 1) == 1  # or a browser would turn it once more
    file = io.BytesIO()
    Image.new("CMYK", (96, 80), (0, 255, 255, 0)).save(file, "JPEG", quality=95)
    found = read_rgb(keep(file.getvalue(), tmp_path / "uploads")).reshape(-1, 3).mean(0)
    assert abs(found - [254, 0, 0]).max() < 6


@pytest.mark.parametrize("side", [6_000, 20_000, 60_000])
def test_an_image_bomb_is_refused_before_a_pixel_is_decoded(side, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "synthstudio.studio.guard")
    data = bomb(side)
    tracemalloc.start()
    with pytest.raises(AssetError, match=TOO_MANY):
        keep(data, tmp_path / "uploads")
    with pytest.raises(AssetError, match=TOO_MANY):
        checked_photo(data, limits=LIMITS, who=LEAD)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20 and not (tmp_path / "uploads").exists()
    assert "an upload" in caplog.text and "a photo to try" in caplog.text


BAD_PHOTOS = [b"", b"<svg onload='x'/>", b"GIF89a" + bytes(50), b"\xff\xd8\xff" + bytes(99)]
BAD_PHOTOS += [bytes(20 * 2**20 + 1), picture()[:40], picture("RGBA"), picture(size=(63, 200))]


def test_what_is_no_background_or_has_no_place_is_refused(tmp_path, caplog):
    root = tmp_path / "root"
    for data in BAD_PHOTOS:
        with pytest.raises((StudioError, AssetError)):
            keep(data, root / "uploads")
    for folder in ("", "..", "a/b", "../a", "/tmp", "A", "a\0", ".a", "x" * 41):
        with pytest.raises(StudioError, match="folder"):
            keep(picture(), root / "uploads", folder)
    for who in (REVIEWER, User(name="Vi", role="viewer")):
        with refused("role"):
            keep(picture(), root / "uploads", who=who)
        assert who.name in caplog.text
    assert not root.exists()
    (tmp_path / "out").mkdir()
    for link in ("uploads", "others/a"):
        (root / link).parent.mkdir(exist_ok=True, parents=True)
        (root / link).symlink_to(tmp_path / "out")
        with pytest.raises(StudioError):
            keep(picture(), root / link.split("/")[0])
    assert not list((tmp_path / "out").iterdir())


def test_folders_hold_so_many_photos(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_PHOTOS", 2)
    monkeypatch.setattr(uploads, "MAX_FOLDERS", 1)
    root = tmp_path / "uploads"
    first = [keep(picture(size=(96, 80 + k)), root) for k in range(2)]
    with pytest.raises(StudioError, match="full"):
        keep(picture(size=(96, 90)), root)
    with pytest.raises(StudioError, match="too many folders"):
        keep(picture(), root, "b")
    assert keep(picture(size=(96, 80)), root) == first[0]  # it is there already
    monkeypatch.setattr(uploads, "MAX_PHOTOS", 9)
    monkeypatch.setattr(uploads, "MAX_BYTES", sum(p.stat().st_size for p in first) + 10)
    with pytest.raises(StudioError, match="full"):
        keep(picture(size=(96, 90)), root)
    assert sorted(root.rglob("*.jpg")) == sorted(first) and not (root / "b").exists()


def test_a_scene_takes_uploaded_photos_and_nothing_else_of_the_exports(tmp_path):
    settings = settings_in(tmp_path)
    path = keep(picture(), settings.uploads, "street")
    scene = Scene(name="tiny", recipe=parse(RECIPE), roots=(0,))
    own = with_photos(scene, "street", settings)
    assert own.recipe.folders == {"backgrounds": "street"} and own.name == "tiny-street"
    root = asset_roots(settings)[own.roots[0]]
    (found,) = scan_images(root, "street", kind="background")
    assert found.asset.name == f"street/{path.name}"
    made = Generate(recipe=dump(own.recipe), out="first", assets=own.roots[0])
    check_order(made, settings, LEAD)
    for field, value in ((("backdrop", "folder"), "../../etc"), (("backdrop", "folder"), "other")):
        assert form.apply_edits(own.recipe, {field: value})[0] is None
    with pytest.raises(RecipeError, match="below the asset root"):
        with_photos(scene, "../studio", settings)
    with pytest.raises(Refused, match="asset folders are missing"):
        check_order(Generate(recipe=made.recipe, out="first", assets=0), settings, LEAD)
    with pytest.raises(Refused, match="invalid output name"):
        output_folder(settings, "uploads")


NO_VIDEOS = [BAD_VIDEOS[k] for k in (0, 2, 4, 5, 6)]  # what the others are shows when decoded


def left(pages):
    folder = pages.ctx.settings.state / "incoming"
    return list(folder.iterdir()) if folder.is_dir() else []


def test_photos_become_a_data_set_by_a_job(open_pages):
    pages = open_pages()
    app = pages.open()
    files = [("../x y.PNG", picture(), "image/png"), ("x y.PNG", picture("L"), "image/png")]
    app.file_uploader[0].set_value(files)
    app.text_input(key="new_set_name").set_value("mine")
    assert "mine is being made" in pages.words(pages.press(app, "Make a data set"))
    (job,) = job_store.jobs(pages.ctx.store)
    drive(pages.ctx.store, pages.ctx.settings, job.id, until=ended)
    assert job_store.job(pages.ctx.store, job.id).state == "done" and not left(pages)
    rows = list(Dataset(pages.ctx.settings.exports / "mine").iter_frames())
    assert [row["width_px"] for row in rows] == [96, 96]
    assert "##### mine" in pages.words(pages.open())


def test_a_video_becomes_a_clip(open_pages, tmp_path):
    ctx = open_pages().ctx
    data = video(tmp_path / "a.mp4", count=60)
    order_photos(ctx, LEAD, [("a.mp4", data)], out="film", skeleton="coco23")
    (job,) = job_store.jobs(ctx.store)
    seen = drive(ctx.store, ctx.settings, job.id, until=ended)
    assert seen.state == "done", seen.message
    made = Dataset(ctx.settings.exports / "film")
    assert made.frames == 3 and made.identity.skeleton == "coco23"


def test_what_is_refused_or_cancelled_leaves_nothing(open_pages, monkeypatch):
    pages = open_pages()
    good = ("a.png", picture())
    bad = [[], [good] * 41, [good, ("a.mp4", b"x")], [("a.png", b"<svg/>")], [("a.png", b"")]]
    bad += [[("a.png", bomb(60_000))], *([(f"a{end}", data)] for data, end in NO_VIDEOS)]
    for files in bad:
        with pytest.raises((StudioError, AssetError)):
            order_photos(pages.ctx, LEAD, files, out="mine", skeleton="coco17")
    for out, skeleton in (("../x", "coco17"), ("mine", "../../etc/passwd"), ("mine", "nobodys")):
        with refused("invalid"):
            order_photos(pages.ctx, LEAD, [good], out=out, skeleton=skeleton)
    with refused("role"):
        order_photos(pages.ctx, REVIEWER, [good], out="mine", skeleton="coco17")
    assert not left(pages) and not job_store.jobs(pages.ctx.store)
    order_photos(pages.ctx, LEAD, [good], out="mine", skeleton="coco17")
    job_store.cancel(pages.ctx.store, 1, who=LEAD)
    monkeypatch.setattr(job_store, "_ORPHAN_S", -60.0)
    assert left(pages) and not job_store.run_once(pages.ctx.store, pages.ctx.settings)
    assert not left(pages)
