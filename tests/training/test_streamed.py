"""People read shard by shard: whom each process reads, memory, going on, what is refused."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recorded
import tiny
from waiting import wait_for

from synthstudio.core.errors import DatasetError, ModelError, SynthStudioError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.data import streamed
from synthstudio.training.data.sources import load_data
from synthstudio.training.data.streamed import StreamReader
from synthstudio.training.devices import ALONE, World

People = list[tuple[int, int]]


def changes(data: Path, **more: Any) -> dict[str, Any]:
    """Changes of tiny.config that stream the people of `data` with something in front."""
    source = {"dataset": str(data), "variants": ["base"], "stream": True}
    fields = {"train": [source | more.pop("source", {})], "window": 2, "steps": 6}
    return fields | {"augment": recorded.BUSY} | more


def streaming(data: Path, **more: Any) -> Config:
    return tiny.config(data, **changes(data, **more))


def read(config: Config, cache: Path, world: World, epochs: int) -> list[list[People]]:
    """Whom a process reads: epoch by epoch the people of its batches."""
    data = tiny.loaded(config, cache)
    assert data.stream is not None
    steps = len(data) // config.batch
    reader = StreamReader(data.stream, config, world, steps_per_epoch=steps)
    found: list[list[People]] = []
    try:
        for epoch in range(epochs):
            found.append([])
            for step in range(steps):
                people, part = reader.part(epoch, step * config.batch)
                assert len(reader._held) <= 2 * min(config.window, len(data.stream.refs))
                crops = people.crops
                found[-1].append([(int(crops.frame[r]), int(crops.instance[r])) for r in part.rows])
    finally:
        reader.close()
    wait_for(lambda: not any("batches" in t.name for t in threading.enumerate()), "the thread")
    return found


def test_each_person_is_read_once_an_epoch_by_two_processes_of_two_workers(
    shards: Path, tmp_path: Path
) -> None:
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


def test_fewer_shards_than_processes_leave_nobody_out(pairs: Path, tmp_path: Path) -> None:
    """One shard; two processes with two workers each, and a last batch that is not full."""
    config = streaming(pairs, workers=2, batch=6)
    both = [read(config, tmp_path / "cache", World(rank=rank, size=2), 1)[0] for rank in (0, 1)]
    seen = [person for process in both for batch in process for person in batch]
    assert len(seen) == len(set(seen)) == 12  # of 16: the rest fills no batch


def test_a_set_in_one_window_trains_to_the_weights_of_people_held_in_memory(
    shards: Path, tmp_path: Path, tensors: Callable[[Path], dict[str, bytes]]
) -> None:
    held = changes(shards, source={"stream": False})
    tiny.run(tiny.config(shards, **held), tmp_path / "held")
    config = streaming(shards, window=6)
    tiny.run(config, tmp_path / "streamed")
    assert tensors(tmp_path / "streamed") == tensors(tmp_path / "held")


@pytest.mark.parametrize(("labelled", "found"), [(24, 24), (12, 12), (4, 4)])
def test_who_is_looked_at_before_is_some_of_a_large_set(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labelled: int, found: int
) -> None:
    monkeypatch.setattr(streamed, "LABELLED", labelled)  # 48 people, half without occluder
    said: list[str] = []
    data = load_data(streaming(shards), cache=tmp_path / "cache", log=said.append)
    assert len(data) == 24 and len(data.train) == found
    assert "24 people to train on, 128 to validate on" not in said
    assert any(line.startswith("24 people to train on") for line in said)
    assert not list((tmp_path / "cache").glob("*/images.npy")) or data.val is not None


def test_validation_cuts_out_only_who_is_chosen(shards: Path, tmp_path: Path) -> None:
    chosen = {"dataset": str(shards), "variants": ["clean"], "stream": True}
    config = streaming(shards, val=[chosen])
    data = tiny.loaded(config, tmp_path / "cache")
    assert data.val is not None and len(data.val) == len(data.val.crops) == 24
    assert set(data.val.crops.variant) == {"clean"}


def test_some_are_learnt_by_heart(shards: Path, tmp_path: Path) -> None:
    from synthstudio.training.data.sources import overfit_subset

    data = tiny.loaded(streaming(shards), tmp_path / "cache")
    few = overfit_subset(data, 5, repeats=2)
    assert few.stream is None and len(few.train) == 10 and len(few.val.crops) == 5
    assert few.val.crops.images[0].shape == (72, 54, 3)


@pytest.mark.parametrize("damage", ["picture", "table"])
def test_a_damaged_shard_is_one_message(shards: Path, tmp_path: Path, damage: str) -> None:
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


def test_a_shard_that_changed_since_it_was_counted_is_refused(shards: Path) -> None:
    skeleton, sources = get_skeleton("coco23"), streaming(shards).train
    reader = streamed.ShardReader(sources, skeleton, size=(48, 36), joints_3d="kinematic")
    with pytest.raises(ModelError, match=r"shard 2: a shard changed.*expected 5 people.*got 4"):
        reader.cut(streamed.ShardRef(source=0, shard=2), [0], people=5)


def test_an_unfinished_set_is_taken_as_far_as_it_is(shards: Path, tmp_path: Path) -> None:
    data = tmp_path / "unfinished"
    shutil.copytree(shards, data)
    (data / "index.json").unlink()
    shutil.rmtree(data / "shards" / "00005")
    said: list[str] = []
    val = {"dataset": str(data), "stream": True}
    found = load_data(streaming(data, val=[val]), cache=tmp_path / "a", log=said.append)
    assert len(found) == 20 and found.val is not None and len(found.val) == 40
    assert sum("unfinished: the 20 frames" in text for text in said) == 2


def test_a_set_smaller_than_a_step_is_refused(shards: Path, tmp_path: Path) -> None:
    config = streaming(shards, batch=16, accumulate=2)
    with pytest.raises(ModelError, match=r"fewer people than one step.*at most 24.*got 32"):
        tiny.run(config, tmp_path / "run")


def test_nobody_left_is_refused(shards: Path, tmp_path: Path) -> None:
    config = streaming(shards, source={"variants": ["light"]})
    with pytest.raises(ModelError, match=r"no people are left.*variants \('light',\)"):
        tiny.loaded(config, tmp_path / "cache")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"train": [{"coco": "x", "stream": True}]}, "stream belongs to dataset"),
        ({"train": [{"dataset": "x", "stream": True}, {"dataset": "y"}]}, "all sources"),
        (
            {
                "train": [
                    {"dataset": "x", "stream": True},
                    {"dataset": "y", "stream": True, "weight": 2},
                ]
            },
            "leave out weight",
        ),
        (
            {
                "train": [{"dataset": "x", "stream": True}],
                "network": {"head": "openpose"},
            },
            "leave out stream",
        ),
    ],
)
def test_configs_that_cannot_stream_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(SynthStudioError, match=says):
        configs.parse(fields)


def test_two_sets_are_mixed_and_moments_of_one_are_none_of_the_other(
    shards: Path, pairs: Path, tmp_path: Path
) -> None:
    given = [{"dataset": str(d), "variants": ["base"], "stream": True} for d in (shards, pairs)]
    config = streaming(shards, train=given, window=7, val=[])
    data = tiny.loaded(config, tmp_path / "cache")
    assert len(data) == 40 and len(np.unique(data.train.crops.group)) == 20
    reader = StreamReader(data.stream, config, ALONE, steps_per_epoch=5)
    try:
        people, part = reader.part(0, 0)
    finally:
        reader.close()
    crops = people.crops
    assert len(part.rows) == len(crops) == 8
