"""People read shard by shard: whom each process reads, in which order, from disks and stores."""

import itertools
import shutil
import threading
from contextlib import closing

import numpy as np
import pytest
import tiny
import two_processes
from hypothesis import given
from hypothesis import strategies as st
from s3_server import s3 as s3
from s3_server import s3_endpoint as s3_endpoint
from waiting import wait_for

from synthstudio.core.errors import DatasetError, ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.shards import pack
from synthstudio.training.data import streamed
from synthstudio.training.data.sources import load_data
from synthstudio.training.data.streamed import BlockOrder, StreamReader
from synthstudio.training.devices import ALONE, World


def changes(data, **more):
    """Changes of tiny.config that stream the people of `data` with something in front."""
    source = {"dataset": str(data), "variants": ["base"], "stream": True}
    fields = {"train": [source | more.pop("source", {})], "window": 2, "steps": 6}
    return fields | {"augment": two_processes.BUSY} | more


def streaming(data, **more):
    return tiny.config(data, **changes(data, **more))


def read(config, cache, world, epochs):
    """Whom a process reads: epoch by epoch the people of its batches."""
    data = tiny.loaded(config, cache)
    steps = len(data) // config.batch
    found = [[] for _ in range(epochs)]
    with closing(StreamReader(data.stream, config, world, steps_per_epoch=steps)) as reader:
        for epoch, step in itertools.product(range(epochs), range(steps)):
            people, part = reader.part(epoch, step * config.batch)
            assert len(reader._held) <= 2 * min(config.window, len(data.stream.refs))
            crops = people.crops
            found[epoch].append([(int(crops.frame[r]), int(crops.instance[r])) for r in part.rows])
    wait_for(lambda: not any("batches" in t.name for t in threading.enumerate()), "the thread")
    return found


def test_each_person_is_read_once_an_epoch_by_two_processes_of_two_workers(shards, tmp_path):
    cache = tmp_path / "cache"
    alone = read(streaming(shards), cache, ALONE, 2)
    two = [
        read(streaming(shards, workers=2), cache, World(rank=rank, size=2), 2) for rank in (0, 1)
    ]
    for epoch in (0, 1):
        for step, people in enumerate(alone[epoch]):
            first, second = (process[epoch][step] for process in two)
            assert first == people[0::2] and second == people[1::2]
        seen = [person for batch in alone[epoch] for person in batch]
        assert len(seen) == len(set(seen)) == 24
    assert alone[0] != alone[1]
    other = read(streaming(shards, seed=1), cache, ALONE, 1)
    assert other[0] != alone[0]


def test_fewer_shards_than_processes_leave_nobody_out(pairs, tmp_path):
    """One shard; two processes with two workers each, and a last batch that is not full."""
    config = streaming(pairs, workers=2, batch=6)
    both = [read(config, tmp_path / "cache", World(rank=rank, size=2), 1)[0] for rank in (0, 1)]
    seen = [person for process in both for batch in process for person in batch]
    assert len(seen) == len(set(seen)) == 12  # of 16: the rest fills no batch


def test_a_set_in_one_window_trains_to_the_weights_of_people_held_in_memory(
    shards, tmp_path, tensors
):
    held = changes(shards, source={"stream": False})
    tiny.run(tiny.config(shards, **held), tmp_path / "held")
    config = streaming(shards, window=6)
    tiny.run(config, tmp_path / "streamed")
    assert tensors(tmp_path / "streamed") == tensors(tmp_path / "held")


def test_validation_cuts_out_only_who_is_chosen(shards, tmp_path):
    chosen = {"dataset": str(shards), "variants": ["clean"], "stream": True}
    config = streaming(shards, val=[chosen])
    data = tiny.loaded(config, tmp_path / "cache")
    assert len(data.val) == len(data.val.crops) == 24
    assert set(data.val.crops.variant) == {"clean"}


@pytest.mark.parametrize("damage", ["picture", "table"])
def test_a_damaged_shard_is_one_message(shards, tmp_path, damage):
    data = tmp_path / "damaged"
    shutil.copytree(shards, data)
    pattern = {"picture": "shards/00003/images/*.jpg", "table": "shards/00003/instances.parquet"}
    config = streaming(data)
    if damage == "picture":
        tiny.loaded(config, tmp_path / "cache")  # counted before
    for path in data.glob(pattern[damage]):
        path.write_bytes(path.read_bytes()[:-30] + b"x" * 30)
    with pytest.raises(DatasetError, match="00003"):
        tiny.run(config, tmp_path / "run")


def test_a_shard_that_changed_since_it_was_counted_is_refused(shards):
    reader = streamed.ShardReader(streaming(shards), get_skeleton("coco23"))
    with pytest.raises(ModelError, match=r"shard 2: a shard changed.*expected 5 people.*got 4"):
        reader.cut(streamed.ShardRef(source=0, shard=2), [0], people=5)


def test_an_unfinished_set_is_taken_as_far_as_it_is(shards, tmp_path):
    data = tmp_path / "unfinished"
    shutil.copytree(shards, data)
    (data / "index.json").unlink()
    shutil.rmtree(data / "shards" / "00005")
    said = []
    val = {"dataset": str(data), "stream": True}
    found = load_data(streaming(data, val=[val]), cache=tmp_path / "a", log=said.append)
    assert len(found) == 20 and len(found.val) == 40
    assert sum("unfinished: the 20 existing frames" in text for text in said) == 2


def test_too_few_people_are_refused(shards, tmp_path):
    config = streaming(shards, batch=16, accumulate=2)
    with pytest.raises(ModelError, match=r"fewer people than one step.*at most 24.*got 32"):
        tiny.run(config, tmp_path / "run")
    config = streaming(shards, source={"variants": ["light"]})
    with pytest.raises(ModelError, match=r"no people are left.*variants \('light',\)"):
        tiny.loaded(config, tmp_path / "cache")


# ---- the order of streamed people


COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any)


def everybody(order, epoch):
    """(shard, number) of each person of an epoch, in order."""
    shards, found = order.shards(epoch), []
    for number in range(order.windows):
        window = order.of_window(epoch, number)
        assert window.start == len(found)
        found += [(int(shards[s]), int(n)) for s, n in zip(window.slot, window.number, strict=True)]
    return found


@given(COUNTS, st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_everybody_is_in_an_epoch_once(counts, window, seed, epoch):
    order = BlockOrder(np.array(counts), window=window, seed=seed)
    found = everybody(order, epoch)
    assert sorted(found) == [(s, n) for s, count in enumerate(counts) for n in range(count)]
    assert found == everybody(BlockOrder(np.array(counts), window=window, seed=seed), epoch)
    for place in (0, len(found) // 2, len(found) - 1):
        (at,) = order.windows_of(epoch, place, place)
        held = order.of_window(epoch, at)
        assert held.start <= place < held.stop


def test_shards_and_people_in_a_window_are_shuffled_anew_each_epoch():
    order = BlockOrder(np.full(40, 10), window=4, seed=1)
    first, second = everybody(order, 0), everybody(order, 1)
    assert first != second and first != everybody(BlockOrder(order.counts, window=4, seed=2), 0)
    blocks = [{shard for shard, _ in first[k : k + 40]} for k in range(0, 400, 40)]
    assert all(len(block) == 4 for block in blocks)  # people of four shards at a time
    assert any(max(block) - min(block) > 4 for block in blocks)  # which are no neighbours
    assert [n for s, n in first if s == first[0][0]] != list(range(10))


def test_one_window_has_the_order_of_people_in_memory():
    order = BlockOrder(np.array([3, 0, 5]), window=3, seed=7)
    rows = [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]
    for epoch in (0, 4):
        shuffled = stream(7, "order", epoch).permutation(8)
        assert everybody(order, epoch) == [rows[k] for k in shuffled]


# ---- data sets in an object store


@pytest.fixture
def url(s3, shards, tmp_path, monkeypatch):
    """The data set in a bucket, each shard one object; shards are cached in `fetched`."""
    monkeypatch.setenv("SYNTHSTUDIO_CACHE", str(tmp_path / "fetched"))
    for path in shards.glob("*.json"):
        s3.put(f"set/{path.name}", path.read_bytes())
    for folder in sorted((shards / "shards").iterdir()):
        s3.put(f"set/shards/{folder.name}.tar", pack(folder))
    return s3.url()


def test_a_run_from_a_url_has_the_weights_of_one_from_disk(url, shards, tmp_path, tensors):
    for name, data in (("disk", str(shards)), ("store", url)):
        tiny.run(streaming(data, steps=3, val=[]), tmp_path / name)
    assert tensors(tmp_path / "store") == tensors(tmp_path / "disk")


def test_a_url_that_is_gone_is_a_note_of_an_evaluation(s3, url, pairs, tmp_path):
    tiny.run(streaming(url, val=[], steps=1), tmp_path / "run")
    for name in s3.objects():
        s3.delete(f"set/{name}")
    shutil.rmtree(tmp_path / "fetched")
    weights = tmp_path / "run" / "last.safetensors"
    found = tiny.evaluated(weights, pairs, tmp_path / "evaluation")
    (note,) = found.about["notes"]
    assert note == (
        f"set, which the network was trained on, cannot be read: shared people with "
        f"{pairs.name} are unknown."
    )


def test_a_damaged_shard_of_a_store_is_one_message(s3, url, tmp_path):
    data = s3.objects()["shards/00003.tar"]
    s3.put("set/shards/00003.tar", data.replace(b"JFIF", b"JFIX"))
    with pytest.raises(DatasetError, match=r"shards/00003.tar.*does not match the index"):
        tiny.run(streaming(url, val=[]), tmp_path / "run")
