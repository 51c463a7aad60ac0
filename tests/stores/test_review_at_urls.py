"""Review of a data set at a URL, which is only read; photos that are taken in from one."""

import json
from contextlib import closing
from dataclasses import asdict

import numpy as np
import pytest
from command_line import run
from review_ops import ANNA, PEOPLE, make_set, op, seen

from synthstudio.api import datasets
from synthstudio.cli.review import parse_studio
from synthstudio.core.errors import ArgumentError, FormatError, StudioError, SynthStudioError
from synthstudio.core.images import encode_jpeg
from synthstudio.core.places import parse_place
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.store import Store
from synthstudio.formats import photos
from synthstudio.review.edits import apply
from synthstudio.review.store import open_store
from synthstudio.review.values import Person
from synthstudio.studio import frame_data
from synthstudio.studio.context import Context
from synthstudio.studio.editor.queue import QueueRequest, build_queue
from synthstudio.studio.jobs import orders, workers


@pytest.fixture
def there(s3, tmp_path):
    """The URL of the small set, without the frame in which nobody is."""
    sticks = make_set(tmp_path / "sticks").folder
    run("filter", sticks, "people > 0", "--out", s3.url("sticks"))
    return s3.url("sticks")


def test_a_set_at_a_url_is_reviewed_and_exported(s3, there, tmp_path, monkeypatch):
    words = [there, "--exports", str(tmp_path / "exports"), "--state", str(tmp_path / "state")]
    settings = parse_studio(words)
    monkeypatch.setenv("SYNTHSTUDIO_DATASETS", f"{there}:{tmp_path}")
    assert parse_studio(words[1:]).datasets == (parse_place(there), tmp_path)
    before = s3.objects("sticks/")
    ctx = Context(settings)
    with closing(ctx.store):
        (chosen,) = ctx.sets.values()
        assert (chosen.name, chosen.dataset.frames) == ("sticks", 4)
        frame, instance = chosen.table.ids([0])[0]
        person = Person(dataset=chosen.key, frame=frame, instance=instance)
        base = chosen.frames.base_of(person)
        apply(ctx.store, op("edit", 0, person=person, joints={"nose": seen()}), who=ANNA, base=base)
        apply(ctx.store, op("status", 1, person=person, status="approved"), who=ANNA, base=base)
        queue = build_queue(ctx.store, chosen.table, QueueRequest(), who=ANNA)
        assert len(queue.rows) == sum(PEOPLE)
        assert frame_data.image(chosen.source, frame)[:2] == b"\xff\xd8"
        order = orders.Export(dataset=there, form="coco", out="out", only="all")
        words = orders.command("export", asdict(order), settings)
        assert json.loads(words[-1])["dataset"] == there
        packed = tmp_path / "exports" / "out.zip"
        workers.write_archive(settings.database, there, packed, form="coco", only="all")
        assert packed.is_file()
    assert s3.objects("sticks/") == before  # only read
    db = ["--db", settings.database]
    run("review", "export", there, "--out", s3.url("done"), "--format", "dataset", *db)
    rows = list(Dataset(s3.url("done")).iter_instances())
    assert rows[0]["joints_px"][:2] == [10.0, 20.0]
    made = run("review", "export", there, "--out", tmp_path / "coco", "--json", *db)
    assert json.loads(made.stdout)["people"] == 3


def test_what_cannot_be_is_one_message(s3, there, tmp_path):
    with pytest.raises(SynthStudioError, match="data set"):
        Context(parse_studio([s3.url("none"), "--state", str(tmp_path / "a")]))
    for wrong in ("https://bucket/set", "s3://user:pa55@bucket/set", "s3://bucket/../set"):
        with pytest.raises(SynthStudioError) as caught:
            parse_studio([wrong])
        assert "pa55" not in str(caught.value)
    with pytest.raises(StudioError, match="no such data set"):
        parse_studio([f"file://{tmp_path}/none"])
    with pytest.raises(ArgumentError, match="Name the store"):
        run("review", "stats", there)
    open_store(f"sqlite:///{tmp_path}/r.db").close()
    with pytest.raises(SynthStudioError, match="a URL is not supported here"):
        run("review", "export", there, "--out", s3.url("x"), "--db", f"sqlite:///{tmp_path}/r.db")


def photo(grey=90):
    return encode_jpeg(np.full((48, 64, 3), grey, np.uint8), 90)


NO_NAMES = [(n,) for n in ("../a.jpg", "a/../../b.jpg", "/a.jpg", "a\\b.jpg", "a\nb.jpg")]
NO_NAMES += [("é" * 126 + ".jpg",), ("b" * 256 + "/a.jpg",)]


def test_photos_are_taken_in_from_a_url(s3, tmp_path, monkeypatch):
    with pytest.raises(FormatError, match="no photos found"):
        datasets.import_photos(s3.url("photos"), tmp_path / "made")
    for name, data in {"a.jpg": photo(), "deep/b.jpg": photo(50), "c.jpg": b"none"}.items():
        s3.put(f"photos/{name}", data)
    s3.put("photos/notes.txt", b"not fetched")
    s3.put("photos/upload-7", photo(20))
    s3.put("photos/words", b"not fetched")
    made = datasets.import_photos(s3.url("photos"), tmp_path / "made")
    assert len(made) == 3
    assert "cannot be used" in " ".join(made.summary.notes)
    assert len(datasets.import_photos(s3.url("photos/a.jpg"), tmp_path / "one")) == 1
    total = ("formats.photos.MAX_TOTAL_BYTES", len(photo()) + 1)
    for name, maximum in (("formats.photos.MAX_PHOTOS", 1), ("core.images.MAX_BYTES", 10), total):
        with monkeypatch.context() as patch:
            patch.setattr(f"synthstudio.{name}", maximum)
            with pytest.raises(FormatError, match="at most"):
                datasets.import_photos(s3.url("photos"), tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "one"]
    for wrong in (*NO_NAMES, ("a.jpg", "a.jpg/b.jpg")):
        with pytest.raises(FormatError, match=r"unsafe object name|not a valid file name"):
            photos._check(parse_place("s3://bucket/photos"), dict.fromkeys(wrong, 5))


def test_photos_come_in_pieces_as_long_as_they_were_listed(s3, tmp_path, monkeypatch):
    data, read, parts = photo(), Store.read, []

    def reading(store, name, *, part):
        parts.append(part[1] - part[0])
        return read(store, name, part=part)

    monkeypatch.setattr(photos, "_PIECE_BYTES", 100)
    monkeypatch.setattr(Store, "read", reading)
    url = parse_place(s3.url("photos"))
    s3.put("photos/a.jpg", data)
    s3.put("photos/none.jpg", b"")
    with photos.fetched(url, tmp_path / "out") as folder:  # type: ignore[arg-type]
        assert (folder / "a.jpg").read_bytes() == data
        assert (folder / "none.jpg").read_bytes() == b""
    assert max(parts) <= 101 and sum(parts) == len(data) + 1
    for length in (len(data) - 1, len(data) + 1):
        monkeypatch.setattr(Store, "sizes", lambda *_, length=length: {"a.jpg": length})
        with pytest.raises(FormatError, match="changed in the store"):
            datasets.import_photos(str(url), tmp_path / "out")
    s3.delete("photos/a.jpg")
    with pytest.raises(FormatError, match="deleted"):
        datasets.import_photos(str(url), tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
