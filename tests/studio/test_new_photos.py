"""Photos and videos are uploaded on Home and become data sets; hostile uploads leave nothing."""

import pytest
from attackers import bomb, picture
from job_orders import LEAD, REVIEWER, drive, ended
from review_ops import refused
from test_tryit_uploads import BAD_VIDEOS, video

from synthstudio.core.errors import AssetError, StudioError
from synthstudio.dataset.reader import Dataset
from synthstudio.studio.generating.photo_sets import order_photos
from synthstudio.studio.jobs import job_store

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


def test_what_is_refused_leaves_nothing(open_pages):
    pages = open_pages()
    good = ("a.png", picture())
    uploads = [[], [good] * 41, [good, ("a.mp4", b"x")], [("a.png", b"<svg/>")], [("a.png", b"")]]
    uploads += [[("a.png", bomb(60_000))], *([(f"a{end}", data)] for data, end in NO_VIDEOS)]
    for files in uploads:
        with pytest.raises((StudioError, AssetError)):
            order_photos(pages.ctx, LEAD, files, out="mine", skeleton="coco17")
    for out, skeleton in (("../x", "coco17"), ("mine", "../../etc/passwd"), ("mine", "nobodys")):
        with refused("invalid"):
            order_photos(pages.ctx, LEAD, [good], out=out, skeleton=skeleton)
    with refused("role"):
        order_photos(pages.ctx, REVIEWER, [good], out="mine", skeleton="coco17")
    assert not left(pages) and not job_store.jobs(pages.ctx.store)
