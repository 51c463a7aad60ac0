"""What an attacker, or a careless script, puts into a file: each is named and nothing is made."""

import io
import json
import os
import shutil
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coco_objects import annotation, document, image
from exchange_sets import rows_of
from PIL import Image

from synthstudio.core.errors import FormatError, SynthStudioError
from synthstudio.formats import FORMATS, cvat, webdataset
from synthstudio.formats.imports import import_from


def picture(path, size=(80, 60), kind="JPEG"):
    Image.new("RGB", size, (9, 99, 199)).save(path, kind)


def coco(**changes):
    photo = image(5, "a.jpg", (80, 60))
    person = annotation(1, 5, [10, 20, 2] * 17, (10, 20, 18, 18), area=99.4)
    person["segmentation"] = [[10, 20, 28, 20, 28, 38, 10, 38]]
    for key, value in changes.items():
        (photo if key in photo and key != "id" else person)[key] = value
    return document([photo], [person])


@pytest.mark.parametrize(
    "value",
    [{"crowd_target": {"a": "z" * 9000}}, {"crowd_target": 1e400}, {"variant": 7}, {"seed": "one"}],
)
def test_columns_of_ours_that_lie_are_named_with_their_image(value, tmp_path):
    data = coco()
    data["images"][0].update(value)
    picture(tmp_path / "a.jpg")
    with pytest.raises(FormatError, match=r"image 5|NaN|Infinity") as refused:
        take(tmp_path, data)
    assert len(str(refused.value)) < 500


def take(tmp_path, data, name="coco", file="a.json"):
    path = tmp_path / file
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    made = import_from(name, path, tmp_path / "new" / "out")
    return made, rows_of(tmp_path / "new" / "out")


def refused(tmp_path, data, match, **options):
    with pytest.raises(SynthStudioError, match=match):
        take(tmp_path, data, **options)
    assert not (tmp_path / "new").exists() or not list((tmp_path / "new").iterdir())


def test_a_plain_file_of_others_is_taken(tmp_path):
    picture(tmp_path / "a.jpg")
    data = coco()
    data["images"][0]["license"] = 3
    data["licenses"] = [{"id": 3, "name": "CC BY", "url": "http://by"}]
    _, (frames, people) = take(tmp_path, data)
    assert (frames[0]["index"], frames[0]["file_name"]) == (0, "images/000000.jpg")
    assert people[0]["state"] == [2] * 17
    sources = pq.read_table(tmp_path / "new/out/shards/00000/sources.parquet").to_pylist()
    assert sources == [{"index": 0, "name": "a.jpg", "licence": "CC BY http://by", "id": "5"}]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"bbox": [1, 2, 3, 1e400]}, "NaN|Infinity|number"),
        ({"segmentation": {"size": [60, 80], "counts": "1000"}}, "not of size"),
        ({"segmentation": {"size": [60, 80], "counts": [1, 2]}}, "not of size"),
        ({"segmentation": {"size": [60, 80], "counts": "zzzz"}}, "run-length"),
        ({"segmentation": [[1e9] * 8]}, "not a place in an image"),
        ({"width": 100_000, "height": 100_000}, "too large"),
        ({"file_name": "/etc/passwd"}, "unsafe file name"),
        ({"file_name": "a.jpg\x00"}, "unsafe file name"),
        ({"file_name": "\ud800.jpg"}, "surrogates not allowed"),
        ({"file_name": "link.jpg"}, "unsafe file name"),
        ({"file_name": "."}, "no such file|unsafe file name"),
    ],
)
def test_coco(changes, match, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    picture(folder / "a.jpg")
    picture(tmp_path / "outside.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "a.json").write_text(json.dumps(coco(**changes)))
    with pytest.raises(SynthStudioError, match=match):
        import_from("coco", folder / "a.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def edited(exports, tmp_path, name, file, old, new):
    shutil.copytree(exports / name, tmp_path / "in", ignore=shutil.ignore_patterns("synthstudio"))
    path = tmp_path / "in" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return tmp_path / "in"


CLIMBS = [
    ("ochuman", "ochuman.json", "000000.jpg", "../evil.jpg"),
    ("mpii", "annotations.json", "000000.jpg", "../evil.jpg"),
    ("label-studio", "tasks.json", "?d=images/000000.jpg", "?d=..%2Fevil.jpg"),
    ("label-studio", "tasks.json", "/data/local-files/?d=images/000000.jpg", "file:///../evil"),
    ("yolo", "data.yaml", "images/train", "../../images"),
]


@pytest.mark.parametrize(("name", "file", "old", "new"), CLIMBS)
def test_names_do_not_climb_out(name, file, old, new, exports, tmp_path):
    folder = edited(exports, tmp_path, name, file, old, new)
    picture(tmp_path / "evil.jpg", (320, 240))
    if name == "label-studio":  # a task is left out, not the file
        made = import_from(name, folder, tmp_path / "out")
        assert "unsafe file name" in str(made.notes) and made.frames > 0
        return
    with pytest.raises(FormatError, match="unsafe file name"):
        import_from(name, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    "]><annotations>&b;</annotations>"
)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (LAUGHS, "DTD"),
        ('<!DOCTYPE z SYSTEM "file:///etc/passwd"><annotations/>', "DTD"),
        ("<annotations>" + "<a>" * 100, "nested deeper"),
        ('<?xml version="1.0" encoding="utf-16"?><annotations/>', "UTF-8|no XML"),
        ("<annotations/>", "no label matches"),
        (b"<annotations>\xff</annotations>", "invalid XML"),
    ],
)
def test_xml(text, match, tmp_path):
    refused(tmp_path, text, match, name="cvat", file="a.xml")


def test_an_endless_xml_token(tmp_path, monkeypatch):
    monkeypatch.setattr(cvat, "MAX_IMAGE_BYTES", 1_000_000)
    for evil in ('<annotations a="', "<annotations><!--", "<"):
        text = evil + "x" * 3_000_000
        refused(tmp_path, text, "too long|no XML", name="cvat", file="a.xml")


def tar(path, *members):
    with tarfile.open(path, "w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def linked(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ([(tarfile.TarInfo("../000000.jpg"), b"x")], "no member of a shard"),
        ([(tarfile.TarInfo("/000000.jpg"), b"x")], "no member of a shard"),
        ([(linked("000000.jpg", tarfile.SYMTYPE), b"")], "not a plain file"),
        ([(linked("000000.jpg", tarfile.LNKTYPE), b"")], "not a plain file"),
        ([(linked("000000.jpg", tarfile.CHRTYPE), b"")], "not a plain file"),
        ([(tarfile.TarInfo("000000.jpg"), b"x")], "without its JSON"),
        ([(tarfile.TarInfo("000000.json"), b"{}")], "without its image"),
        ([(tarfile.TarInfo("000000.jpg"), b"x"), (tarfile.TarInfo("000000.json"), b"{}")], "frame"),
        ([], "empty"),
    ],
)
def test_tar_members(members, match, tmp_path):
    tar(tmp_path / "a.tar", *members)
    with pytest.raises(FormatError, match=match):
        import_from("webdataset", tmp_path / "a.tar", tmp_path / "out")


def test_a_tar_head_that_asks_for_gigabytes(tmp_path, monkeypatch):
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 2 * 1024**3
    (tmp_path / "a.tar").write_bytes(head.tobuf(tarfile.USTAR_FORMAT) + bytes(4096))
    with pytest.raises(FormatError, match=r"declares too many|not a tar"):
        import_from("webdataset", tmp_path / "a.tar", tmp_path / "out")
    monkeypatch.setattr(webdataset, "MAX_JSON_BYTES", 100)
    members = ("000000.jpg", b"x"), ("000000.json", b"{" * 200)
    tar(tmp_path / "b.tar", *((tarfile.TarInfo(name), data) for name, data in members))
    with pytest.raises(FormatError, match="too large"):
        import_from("webdataset", tmp_path / "b.tar", tmp_path / "out")


LIES = (
    {"state": [2]}, {"state": [7] * 23}, {"cause": ["x"] * 23}, {"joints_px": [None] * 46},
    {"modal_counts": "0"}, {"mask_size": [1, 1]}, {"visibility_fractions": [9.0] * 115},
    {"hidden_joint": [99], "hidden_instance": [1], "hidden_share": [0.5]}, {"extra": 1},
    {"instance": 0}, {"frame_index": 3}, {"identity": 7}, {"identity": "x" * 2_000_000},
)  # fmt: skip


def test_rows_that_lie(exports, tmp_path):
    """Whole rows are checked too: a list too short, a mask of another size, a wild state."""
    (shard,) = (exports / "webdataset").glob("*.tar")
    with tarfile.open(shard) as archive:
        members = [(m.name, archive.extractfile(m).read()) for m in archive]
    for change in LIES:
        packed = []
        for name, data in members:
            value = data
            if name == "000000.json":
                whole = json.loads(data)
                whole["people"][0] |= change
                value = json.dumps(whole).encode()
            packed.append((tarfile.TarInfo(name), value))
        tar(tmp_path / "a.tar", *packed)
        with pytest.raises(FormatError):
            import_from("webdataset", tmp_path / "a.tar", tmp_path / "out")


def test_other_columns_and_no_parquet(exports, tmp_path):
    data = tmp_path / "hf" / "data"
    data.mkdir(parents=True)
    with pytest.raises(FormatError, match="no data"):
        import_from("huggingface", tmp_path / "hf", tmp_path / "out")
    (data / "train-00000.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(FormatError, match=r"Parquet"):
        import_from("huggingface", tmp_path / "hf", tmp_path / "out")
    pq.write_table(pa.table({"index": [1]}), data / "train-00000.parquet")
    with pytest.raises(FormatError, match="columns differ"):
        import_from("huggingface", tmp_path / "hf", tmp_path / "out")


YOLO = "kpt_shape: [17, 3]\ntrain: images\nnames: [person]\n"


@pytest.mark.parametrize(
    ("yaml", "label", "match"),
    [
        (YOLO, "0 0.5 0.5 0.1 0.1" + " 1.5 0.5 2" * 17, "not within 0 to 1"),
        (YOLO, "0 x", "56 numbers"),
        (YOLO.replace("17", "5"), "", "no known skeleton"),
        (YOLO.replace("[17, 3]", "17"), "", "invalid entry"),
        ("a: &a [1]\nb: *a\n" + YOLO, "", "aliases"),
        ("[" * 3000, "", "nesting below"),
        ("- 1", "", "no data.yaml"),
        ("{", "", "invalid YAML"),
    ],
)
def test_yolo(yaml, label, match, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    picture(tmp_path / "images/a.jpg")
    (tmp_path / "labels/a.txt").write_text(label)
    refused(tmp_path, yaml, match, name="yolo", file="data.yaml")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_nothing_and_pipes_are_refused(name, tmp_path):
    """A named pipe would be waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path / "pipe", tmp_path):
        with pytest.raises(SynthStudioError):
            import_from(name, path, tmp_path / "out")


def test_a_label_that_is_a_link_outside_is_not_read(tmp_path):
    for folder in ("in/images", "in/labels"):
        (tmp_path / folder).mkdir(parents=True)
    picture(tmp_path / "in/images/a.jpg")
    (tmp_path / "secret").write_text("secret words")
    (tmp_path / "in/labels/a.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "in/data.yaml").write_text(YOLO)
    with pytest.raises(FormatError, match="unsafe file name") as caught:
        import_from("yolo", tmp_path / "in", tmp_path / "out")
    assert "secret words" not in str(caught.value)
