"""A data set at a URL: written, resumed, read, with the bytes of one on disk."""

import io
import json
import pickle
import tarfile

import fake_frames
import pytest
from command_line import run
from s3_server import at, downloaded, faults
from written_sets import make, write

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset import store
from synthstudio.dataset.derive import origins
from synthstudio.dataset.merge import merge, merge_sets
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.dataset.source import ENTRIES
from synthstudio.dataset.writer import open_or_create


@pytest.fixture
def on_disk(tmp_path):
    make(tmp_path / "disk", fake_frames.identity())
    return tmp_path / "disk"


def test_the_bytes_are_those_on_disk(s3, on_disk, tmp_path):
    session = make(at(s3), fake_frames.identity())
    assert session.set_aside == [] and not session.todo
    assert hashed_files(downloaded(s3, tmp_path / "down")) == hashed_files(on_disk)
    packed = [f"shards/0000{shard}.tar" for shard in range(3)]
    assert sorted(s3.objects()) == ["dataset.json", "index.json", "run.log", *packed]
    lines = s3.objects()["run.log"].decode().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["started", *["shard"] * 3, "finished"]


def test_reading_is_as_from_disk(s3, on_disk, tmp_path):
    make(at(s3), fake_frames.identity())
    there, here = Dataset(s3.url()), Dataset(on_disk)
    kept = tmp_path / "cache" / ENTRIES
    assert not list(kept.glob("shard-*")) and there.image_bytes(5)
    assert len(list(kept.glob("shard-*"))) == 1  # only what is read is fetched
    assert there.place == at(s3) and len(there) == len(here) == 10
    assert list(there.iter_frames()) == list(here.iter_frames())
    assert list(there.iter_instances()) == list(here.iter_instances())
    assert [there.image_bytes(i) for i in range(10)] == [here.image_bytes(i) for i in range(10)]
    assert there.layer_path(3, "depth").read_bytes() == here.layer_path(3, "depth").read_bytes()
    assert list(there.verify()) == [] and there.mixed == [] and there.part is None
    copied = pickle.loads(pickle.dumps(there))
    assert copied.place == there.place and copied.frame(4) == there.frame(4)


def test_an_unfinished_set_is_resumed_and_opened_as_far_as_it_is(s3, on_disk):
    with open_or_create(at(s3), fake_frames.identity()) as session:
        session.publish(write(session, 1))
    with pytest.raises(DatasetError, match=f"{s3.url()}: this data set is unfinished"):
        Dataset(s3.url())
    part = Dataset(s3.url(), allow_unfinished=True)
    assert [row["index"] for row in part.iter_frames()] == [4, 5, 6, 7]
    assert part.image_bytes(4) == Dataset(on_disk).image_bytes(4)
    with pytest.raises(DatasetError, match="already exists here"):
        make(at(s3), fake_frames.identity())
    assert set(make(at(s3), fake_frames.identity(), resume=True).done) == {0, 1, 2}
    assert Dataset(s3.url()).frames == 10


def tar_with(name, data):
    """A packed shard with one more file, of a name that leads out."""
    out = io.BytesIO(data)
    with tarfile.open(fileobj=out, mode="a") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    return out.getvalue()


def test_resuming_checks_every_shard(s3, on_disk, tmp_path):
    make(at(s3), fake_frames.identity())
    good = s3.objects()["shards/00001.tar"]
    s3.put("set/shards/00000.tar", good[:-2000])
    s3.put("set/shards/00001.tar", tar_with("../out", good))
    s3.put("set/shards/00002.txt", b"notes")
    s3.put("set/shards/00000", b"")
    with pytest.raises(DatasetError, match=r"00001\.tar: this packed shard is damaged"):
        Dataset(s3.url()).frame(4)
    assert not list((tmp_path / "cache" / ENTRIES).glob("shard-*"))
    text = run("validate", s3.url(), code=1).stdout
    assert all(f"set: {s3.url()}/shards/0000{shard}.tar: this " in text for shard in (0, 1))
    assert text.count("Run ") == text.count(" command again with `resume`") == 3
    session = make(at(s3), fake_frames.identity(), resume=True)
    assert session.set_aside == ["00000", "00000.tar", "00001.tar", "00002.txt"]
    assert hashed_files(downloaded(s3, tmp_path / "down")) == hashed_files(on_disk)
    aside = [name for name in s3.objects() if name.startswith("set-aside/")]
    assert len(aside) == 4 and not list(tmp_path.rglob("out"))
    with pytest.raises(DatasetError, match="started with other settings"):
        make(at(s3), fake_frames.identity(seed=2), resume=True)


def test_messages_name_the_url(s3):
    with pytest.raises(DatasetError, match=r"not a data set; expected a file dataset\.json"):
        Dataset(s3.url())
    s3.put("set/notes.txt", b"mine")
    with pytest.raises(DiskError, match=r"invalid output location.*got notes\.txt"):
        make(at(s3), fake_frames.identity())
    assert sorted(s3.objects()) == ["notes.txt"]
    s3.delete("set/notes.txt")
    make(at(s3), fake_frames.identity())
    index = json.loads(s3.objects()["index.json"])
    with pytest.raises(DatasetError, match=f"^{s3.url()}/shards/00000/frames.parquet: no such col"):
        list(Dataset(s3.url()).iter_batches("frames", ["hidden"]))
    index["shards"][0]["people"] += 1
    s3.put("set/index.json", json.dumps(index).encode())
    with pytest.raises(DatasetError, match=f"^{s3.url()}/shards/00000/shard.json: this file"):
        Dataset(s3.url()).frame(0)
    for data in (b"[]", b'{"shards": 1}'):
        s3.put("set/index.json", data)
        with pytest.raises(DatasetError, match=f"^{s3.url()}/index.json: this file"):
            len(Dataset(s3.url()))


def test_merged_from_and_to_urls(s3, on_disk, tmp_path):
    whole = fake_frames.identity()
    make(at(s3, "one"), whole, part=(1, 2))
    make(tmp_path / "two", whole, part=(2, 2))
    merge([at(s3, "one"), tmp_path / "two"], at(s3))
    assert hashed_files(downloaded(s3, tmp_path / "down")) == hashed_files(on_disk)
    merge([at(s3, "one"), tmp_path / "two"], tmp_path / "local")
    assert hashed_files(tmp_path / "local") == hashed_files(on_disk)
    make(at(s3, "seed2"), fake_frames.identity(seed=2))
    opened = [Dataset(s3.url()), Dataset(s3.url("seed2"))]
    merged = merge_sets(opened, at(s3, "both"))
    merge_sets([Dataset(on_disk), opened[1]], tmp_path / "both")
    assert len(merged) == 20 and [index for index, *_ in origins(merged)] == list(range(20))
    down = downloaded(s3, tmp_path / "down2", "both/")
    assert hashed_files(down) == hashed_files(tmp_path / "both")


def test_the_same_bytes_through_faults(s3, on_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FIRST_S", 0.01)
    kinds = ("500", "drop", "lost", "503", "cut")

    def fault(method, name, n):
        return kinds[(len(name) + n) % 5] if n % 3 == 1 else None

    with faults(s3, fault, monkeypatch):
        make(at(s3), fake_frames.identity())
        there, here = Dataset(s3.url()), Dataset(on_disk)
        assert [there.image_bytes(i) for i in range(10)] == [here.image_bytes(i) for i in range(10)]
    assert hashed_files(downloaded(s3, tmp_path / "down")) == hashed_files(on_disk)
