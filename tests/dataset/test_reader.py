"""Reading: lazy, in order, and trusting nothing that is stored."""

import json

import fake_frames
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from painted_frames import painted, write_set
from tampered import tamper

from synthstudio.api import quality, selection
from synthstudio.core.errors import DatasetError
from synthstudio.dataset import matching, rows
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import check_text
from synthstudio.dataset.shards import FailedFrame, write_shard
from synthstudio.dataset.splits import shared_notes
from synthstudio.dataset.writer import open_or_create


def _make(out, frames, *, finish=True, skip=-1):
    with open_or_create(out, fake_frames.identity(frames=frames)) as session:
        for shard in session.todo if finish else session.todo[:-1]:
            made = {i: fake_frames.frame(i) for i in session.identity.frames_of(shard)}
            if skip in made:
                made[skip] = FailedFrame(index=skip, error="GeometryError")
            session.publish(write_shard(out, shard, made.values()))
        if finish:
            session.finish()
    return out


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return _make(tmp_path_factory.mktemp("read") / "set", 10)


@pytest.fixture
def own(tmp_path):
    return _make(tmp_path / "set", 6)


def test_what_was_written_is_read(stored):
    data = Dataset(stored)
    made = [fake_frames.frame(i) for i in range(10)]
    assert data.finished and data.part is None and data.frames == 10 and data.people == 9
    frames = [rows.frame_row(f, f"images/{f.spec.index:06d}.jpg") for f in made]
    assert list(data.iter_frames()) == frames
    assert list(data.iter_instances()) == [r for f in made for r in rows.instance_rows(f)]
    for index in (9, 0, 5):
        assert data.spec(index) == made[index].spec
        assert data.image_path(index).read_bytes() == made[index].jpeg
        assert data.layer_path(index, "depth").read_bytes() == made[index].layers["depth"]
        assert data.instances(index) == rows.instance_rows(made[index])
    assert list(data.verify()) == []
    assert list(data.iter_frames(["index"])) == [{"index": i} for i in range(10)]
    with pytest.raises(DatasetError, match=r"no such column of frames.*nonsense"):
        list(data.iter_frames(["nonsense"]))


def test_frames_and_layers_that_are_not_there(stored, tmp_path):
    data = Dataset(stored)
    for index in (-1, 10):
        with pytest.raises(DatasetError, match=r"the frame is not in the data set.*0 to 9"):
            data.frame(index)
    for layer in ("normal", "../../../00000/images", "../../images"):
        with pytest.raises(DatasetError, match="not stored"):
            data.layer_path(0, layer)
    skipped = Dataset(_make(tmp_path / "skipped", 3, skip=1))
    assert skipped.failed == (FailedFrame(index=1, error="GeometryError"),)
    assert skipped.frames == 2 and skipped.frame(2)["index"] == 2
    with pytest.raises(DatasetError, match=r"skipped.*GeometryError"):
        skipped.frame(1)


def test_an_unfinished_set_is_read_only_when_asked(tmp_path):
    out = _make(tmp_path / "set", 10, finish=False)
    with pytest.raises(DatasetError, match=r"unfinished.*`resume`"):
        Dataset(out)
    data = Dataset(out, allow_unfinished=True)
    assert not data.finished and data.frames == 8 and len(list(data.iter_frames())) == 8
    with pytest.raises(DatasetError, match="the frame is not in the data set"):
        data.frame(9)
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DatasetError, match="not a data set"):
            Dataset(path)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" * 100])
@pytest.mark.parametrize("name", ["frames.parquet", "instances.parquet"])
def test_damaged_tables_are_one_message(own, name, data):
    (own / "shards" / "00001" / name).write_bytes(data)
    read = Dataset(own)
    with pytest.raises(DatasetError, match=f"{name}.*damaged"):
        list(read.iter_frames())
        list(read.iter_instances())
    assert any(name in line for line in read.verify())
    (own / "shards" / "00001" / "shard.json").unlink()
    (line,) = read.verify()
    assert line.startswith("shards/00001/shard.json: ") and "No such file" in line


def _rewrite(out, column, value):
    tamper(out, "frames.parquet", lambda table: _with(column, [value] * len(table))(table))


def test_image_files_cannot_lead_outside_and_have_their_bytes(own, tmp_path):
    Dataset(own).image_path(1).write_bytes(b"none")
    with pytest.raises(DatasetError, match=r"000001\.jpg.*other bytes"):
        Dataset(own).image_bytes(1)
    for name in ("../../../etc/passwd", "/etc/passwd", "images/../x.jpg", "images/1.jpg", ""):
        _rewrite(own, "file_name", name)
        with pytest.raises(DatasetError, match=r"file_name as images/000000\.jpg"):
            Dataset(own).image_path(0)
    _rewrite(own, "file_name", "images/000000.jpg")
    image = own / "shards" / "00000" / "images" / "000000.jpg"
    image.rename(tmp_path / "outside.jpg")
    image.symlink_to(tmp_path / "outside.jpg")
    with pytest.raises(DatasetError, match="inside the data set"):
        Dataset(own).image_path(0)


def test_damaged_specs_and_tables_of_other_columns_are_one_message(own):
    for text in ("", "{}", "[1]", '{"seed": "x"}'):
        _rewrite(own, "spec", text)
        with pytest.raises(DatasetError, match="frame 0"):
            Dataset(own).spec(0)
    path = own / "shards" / "00000" / "frames.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["seed"]), path)
    with pytest.raises(DatasetError, match="this version's columns"):
        Dataset(own).frame(0)


def test_a_damaged_index_is_one_message(own):
    path = own / "index.json"
    whole = path.read_text()
    for change, message in (
        ({"shards": None}, "shards as a list"),
        ({"shards": [{}]}, "a row for each shard"),
        ({"shards": ["x"]}, "a row for each shard"),
        ({"part": "1/3"}, "part as"),
    ):
        path.write_text(json.dumps(json.loads(whole) | change))
        with pytest.raises(DatasetError, match=message):
            data = Dataset(own)
            _ = data.entries, data.part
    outside = whole.replace("shards/00001", "../elsewhere")
    people = whole.replace('"people": 3', '"people": 4')
    for text, message in ((outside, "path shards/00001"), (people, "damaged"), ("{", "damaged")):
        path.write_text(text)
        with pytest.raises(DatasetError, match=message):
            _ = Dataset(own).entries


@pytest.fixture
def folder(tmp_path):
    return write_set(tmp_path / "set", [painted(i, people=2) for i in range(3)]).folder


def _with(name, values):
    def change(table):
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        return table.set_column(place, field, pa.array(values, field.type))

    return change


@pytest.mark.parametrize("kept", [slice(0, 1), slice(1, 3)])
def test_a_query_about_people_of_no_frame(kept, folder):
    tamper(folder, "frames.parquet", lambda table: table[kept])
    dataset = Dataset(folder, check=False)
    with pytest.raises(DatasetError, match="are inconsistent"):
        matching.count(dataset, matching.query_of(dataset, "area > 100 and crowd < 0.5"))


@pytest.mark.parametrize(
    "spec", ["", "{", "[1]", "3", '{"backdrop": 3}', '{"backdrop": {"kind": "plain"}}', "[" * 9999,
             '{"people": [3]}', '{"people": [{"pose": 1}]}']
)  # fmt: skip
def test_a_spec_that_is_none(spec, folder, tmp_path):
    tamper(folder, "frames.parquet", _with("spec", [spec] * 3))
    calls = [lambda: quality.write_report(folder, tmp_path / "page.html")]
    if "backdrop" not in spec:
        calls.append(lambda: selection.filter(folder, "area > 0", tmp_path / "out"))
        calls.append(lambda: selection.leaks(folder, by=["asset"]))
        calls.append(lambda: shared_notes([folder]))
    for call in calls if "people" not in spec else calls[-1:]:
        with pytest.raises(DatasetError, match="not a stored frame spec"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_text_that_is_none(folder, tmp_path):
    def change(table):
        raw = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary())
        text = pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:])
        place = table.schema.get_field_index("pose")
        return table.set_column(place, table.schema.field(place), text)

    tamper(folder, "instances.parquet", change)
    with pytest.raises(DatasetError, match="text in pose"):
        list(Dataset(folder).iter_instances())
    check_text(pa.table({"file_name": ["ä"], "index": [1]}), tmp_path / "frames.parquet")


@pytest.mark.parametrize("name", ["target_fraction", "occluded_fraction", "truncated_fraction"])
@pytest.mark.parametrize("value", [2.0**31, -0.1, np.inf])
def test_a_fraction_out_of_range(name, value, folder):
    tamper(folder, "instances.parquet", _with(name, [value] * 6))
    with pytest.raises(DatasetError, match=f"{name} from 0 to 1"):
        quality.stats(folder)
