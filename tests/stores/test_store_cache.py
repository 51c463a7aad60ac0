"""The cache of shards: bounded, shared, and never trusted without a look."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import fake_frames
import pytest
from s3_server import at
from waiting import wait_for
from written_sets import make

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.places import Url
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.source import ENTRIES, Cache, StoreSource, default_cache


def filled(size):
    return lambda folder: (folder / "data").write_bytes(b"x" * size) and None


def kept(cache):
    return sorted(path.name.removeprefix("set-") for path in cache.folder.iterdir())


def whole(folder):
    return (folder / "data").is_file()


def test_the_longest_unused_goes_and_none_in_use(tmp_path):
    cache = Cache(tmp_path / "cache", 250)

    def later():  # the file system's clock has gone on
        (tmp_path / "late").touch()
        return (tmp_path / "late").stat().st_mtime_ns > (tmp_path / "early").stat().st_mtime_ns

    def hold(name, size):
        (tmp_path / "early").touch()
        wait_for(later, "a later time of files")
        return cache.hold(f"set-{name}", filled(size), whole)

    a = hold("a", 100)
    hold("b", 100).close()
    hold("c", 100).close()
    assert kept(cache) == ["a", "c"]
    a.close()
    hold("a", 1).close()  # used again: c is older now
    hold("d", 100).close()
    assert kept(cache) == ["a", "d"] and (a.folder / "data").stat().st_size == 100
    held = [hold(name, 200) for name in "xyz"]
    assert kept(cache) == ["x", "y", "z"]  # in use, so more than the bound
    del held
    hold("e", 1).close()
    assert kept(cache) == ["e", "z"]


def test_what_fails_or_was_killed_leaves_nothing(tmp_path):
    cache = Cache(tmp_path / "cache", 10_000)

    def fail(folder):
        (folder / "data").write_bytes(b"x")
        raise DatasetError("no")

    with pytest.raises(DatasetError, match="no"):
        cache.hold("set-a", fail, whole)
    assert kept(cache) == []
    (cache.folder / ".tmp-set-a-12345678").mkdir()
    with cache.scratch() as scratch:
        cache.hold("set-b", filled(1), whole).close()
        assert kept(cache) == sorted([scratch.name, "b"])
    assert kept(cache) == ["b"]
    with pytest.raises(DiskError, match="entries of the cache disappear"):
        cache.hold("set-c", filled(1), lambda folder: False)


def test_folders_of_the_user_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHSTUDIO_CACHE", str(tmp_path))
    for text in ("ten", "-1", "nan"):
        monkeypatch.setenv("SYNTHSTUDIO_CACHE_GB", text)
        with pytest.raises(DatasetError, match=f"SYNTHSTUDIO_CACHE_GB.*got {text}"):
            default_cache()
    monkeypatch.setenv("SYNTHSTUDIO_CACHE_GB", "0")
    cache = default_cache()
    for folder in (tmp_path, cache.folder):
        for name in ("photos", ".tmp-mine", "shard-of-mine.d"):
            filled(100)((folder / name).mkdir() or folder / name)
    cache.hold("set-a", filled(1), whole).close()
    cache.hold("set-b", filled(1), whole).close()
    folders = [path.name for path in tmp_path.rglob("*") if path.is_dir()]
    mine = ["photos", ".tmp-mine", "shard-of-mine.d"]
    assert sorted(folders) == sorted(mine * 2 + ["shards-v1", "set-b"])


def test_threads_that_want_the_same_fetch_it_once(tmp_path):
    cache, calls, started = Cache(tmp_path / "cache", 1000), [], threading.Barrier(4)

    def fill(folder):
        calls.append(folder)
        filled(10)(folder)

    def ask(_):
        started.wait()
        cache.hold("set-a", fill, whole).close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(4)))
    assert len(calls) == 1 and kept(cache) == ["a"]


def test_a_damaged_entry_is_fetched_again(s3, tmp_path):
    make(at(s3), fake_frames.identity())
    images = [Dataset(s3.url()).image_bytes(i) for i in range(10)]
    entries = sorted((tmp_path / "cache" / ENTRIES).glob("shard-*"))
    assert len(entries) == 3
    shutil.rmtree(next(entries[0].glob("*/images")))
    (next(entries[1].glob("*/frames.parquet"))).write_bytes(b"")
    (next((tmp_path / "cache" / ENTRIES).glob("set-*")) / "index.json").write_bytes(b"{}")
    assert [Dataset(s3.url()).image_bytes(i) for i in range(10)] == images


def test_a_small_cache_serves_a_large_set(s3, tmp_path, monkeypatch):
    make(at(s3), fake_frames.identity(frames=24))
    monkeypatch.setenv("SYNTHSTUDIO_CACHE_GB", "0")
    opened = Dataset(s3.url())
    assert [row["index"] for row in opened.iter_frames()] == list(range(24))
    entries = tmp_path / "cache" / ENTRIES
    assert len(list(entries.glob("shard-*"))) <= 5  # those in use and the last one
    assert len({opened.image_bytes(i) for i in (*range(24), *range(24))}) == 24
    first = opened.shard_folder(0)
    for shard in (1, 2, 3, 0, 4, 5):
        opened.shard_folder(shard)
    assert first.is_dir()  # the last used ones are kept


def test_a_shard_that_is_not_the_one_of_the_index(s3):
    make(at(s3), fake_frames.identity())
    make(at(s3, "other"), fake_frames.identity(seed=2))
    s3.put("set/shards/00001.tar", s3.objects("other/")["shards/00001.tar"])
    opened = Dataset(s3.url())
    assert opened.image_bytes(0)
    with pytest.raises(DatasetError, match=r"set/shards/00001\.tar: this shard does not match"):
        opened.image_bytes(5)
    s3.delete("set/shards/00002.tar")
    with pytest.raises(DatasetError, match=r"00002\.tar.*got no such object"):
        opened.image_bytes(9)
    # A wrong index costs no other set its entry.
    wrong, used = StoreSource(Url("s3", f"{s3.bucket}/set")), opened.shard_folder(0)
    inode = used.stat().st_ino
    with pytest.raises(DatasetError, match=r"00001\.tar: this shard does not match"):
        wrong.shard(1, opened.shard_digests[0])
    assert used.stat().st_ino == inode and opened.image_bytes(0)
