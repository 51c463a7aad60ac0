"""Sets made of sets: filtered, merged, split; nothing lost, nothing leaks, origins kept."""

import dataclasses
import json

import numpy as np
import pytest
from painted_frames import painted, write_set

from synthstudio.core.errors import DatasetError
from synthstudio.core.spec import from_json
from synthstudio.dataset import matching, splits
from synthstudio.dataset.derive import origins
from synthstudio.dataset.merge import merge_sets
from synthstudio.dataset.rows import pair_rows
from synthstudio.dataset.shards import hashed_files
from synthstudio.dataset.writer import open_or_create
from synthstudio.quality import stats as comparing
from synthstudio.quality.validate import validate_dataset

FRAMES = 11


def _frames(seed=7, first=0, count=FRAMES, **changes):
    made = [painted(first + i, people=i % 3, seed=seed, **changes) for i in range(count)]
    return [
        dataclasses.replace(f, spec=dataclasses.replace(f.spec, index=i, group_id=f"{seed}-{i}"))
        for i, f in enumerate(made)
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("source") / "set", _frames())


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    frames = _frames(seed=8, first=20, count=5)
    return write_set(tmp_path_factory.mktemp("other") / "set", frames, recipe="others", seed=8)


def _sound(dataset):
    found = validate_dataset(dataset).findings
    assert not found.counts, found.text()
    assert list(dataset.verify()) == []
    for frame in dataset.iter_frames():
        spec = from_json(frame["spec"])
        for name in ("index", "split", "group_id"):
            assert getattr(spec, name) == frame[name]


def test_a_filter_goes_on_where_it_was_cut_and_nothing_that_matches_is_said(source, tmp_path):
    none = matching.query_of(source, "occluded > 2")
    with pytest.raises(DatasetError, match="nothing matches"):
        matching.filter_dataset(source, none, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    query = matching.query_of(source, "frame >= 0")
    whole = matching.filter_dataset(source, query, tmp_path / "whole")
    cut = tmp_path / "cut"
    matching.filter_dataset(source, query, cut)
    (cut / "index.json").unlink()
    (cut / "shards" / "00001" / "origin.parquet").unlink()
    made = matching.filter_dataset(source, query, cut, resume=True)
    assert hashed_files(made.folder) == hashed_files(whole.folder)
    refused = pytest.raises(DatasetError, match="derived")
    with refused, open_or_create(cut, source.identity, resume=True, allow_mixed=True):
        pass  # a filtered set is not topped up by a run


def test_a_filtered_set_holds_the_frames_that_match(source, tmp_path):
    before = hashed_files(source.folder)
    query = matching.query_of(source, "instance = 2 and frame > 3")
    made = matching.filter_dataset(source, query, tmp_path / "out")
    assert [o[2] for o in origins(made)] == [5, 8]
    assert [o[:2] for o in origins(made)] == [(0, 0), (1, 0)]
    counted = matching.count(source, query)
    assert (counted.frames, counted.people, counted.all_frames) == (2, 2, FRAMES)
    assert (made.frames, made.people) == (2, 4)
    samples = pair_rows(made.iter_frames(), made.iter_instances())
    for (frame, people), (_, _, index) in zip(samples, origins(made), strict=True):
        had = source.frame(index)
        assert made.image_bytes_of(frame) == source.image_bytes_of(had)
        assert frame["image_sha256"] == had["image_sha256"]
        assert [p["visibility_fractions"] for p in people] == [
            p["visibility_fractions"] for p in source.instances(index)
        ]
        assert {p["frame_index"] for p in people} == {frame["index"]}
    derived = made.identity.derived
    assert derived["query"] == "instance = 2 and frame > 3"
    assert derived["sources"][0]["identity"]["recipe"] == source.identity.recipe
    _sound(made)
    assert hashed_files(source.folder) == before
    again = matching.filter_dataset(source, query, tmp_path / "again")
    assert hashed_files(again.folder) == hashed_files(made.folder)
    query = matching.query_of(source, "instance = 2")
    made = matching.filter_dataset(source, query, tmp_path / "kept", keep_people=True)
    assert made.people == made.frames == sum(1 for i in range(FRAMES) if i % 3 == 2)
    assert {p["instance"] for p in made.iter_instances()} == {2}


def test_a_changed_picture_is_refused(tmp_path):
    made = write_set(tmp_path / "set", _frames(count=3))
    image = made.image_path(1)
    image.write_bytes(made.image_path(2).read_bytes())
    with pytest.raises(DatasetError, match="an image of the source has changed"):
        matching.filter_dataset(made, matching.query_of(made, "frame >= 0"), tmp_path / "out")
    assert not (tmp_path / "out" / "index.json").exists()
    mended = matching.without(made, validate_dataset(made).bad, tmp_path / "repaired")
    assert mended.frames == 2
    _sound(mended)


def test_sets_of_different_runs_are_kept_apart(source, other, tmp_path):
    made = merge_sets([source, other], tmp_path / "out")
    assert made.frames == FRAMES + 5 and made.people == source.people + other.people
    names = [{p["identity"] for p in s.iter_instances()} for s in (source, other)]
    assert names[0] == names[1] == {"p0", "p1"}
    merged = {p["identity"] for p in made.iter_instances()}
    assert len(merged) == 4 and {n.split("/")[1] for n in merged} == {"p0", "p1"}
    groups = [f["group_id"] for f in made.iter_frames()]
    assert len(set(groups)) == made.frames
    assert list(origins(made))[FRAMES] == (FRAMES, 1, 0)
    assert [f["seed"] for f in made.iter_frames()] == [7] * FRAMES + [8] * 5
    _sound(made)
    spec = from_json(made.frame(FRAMES + 1)["spec"])
    had = from_json(other.frame(1)["spec"])
    assert spec.people == had.people  # their names decide how clothes fall
    run = made.identity.derived["runs"][1]
    assert made.instances(FRAMES + 1)[0]["identity"] == f"{run}/{had.people[0].identity}"
    assert made.identity.derived["runs"][0] != made.identity.derived["runs"][1]
    # A filtered part keeps its names when it is merged again.
    query = matching.query_of(made, f"frame >= {FRAMES}")
    some = matching.filter_dataset(made, query, tmp_path / "some")
    third = write_set(tmp_path / "third", _frames(seed=9, first=40, count=3), recipe="x", seed=9)
    more = merge_sets([some, third], tmp_path / "more")
    kept, names = ({p["identity"] for p in held.iter_instances()} for held in (some, more))
    assert kept <= names
    feet = write_set(tmp_path / "feet", [painted(0, skeleton="coco23")])
    with pytest.raises(DatasetError, match="different skeletons"):
        merge_sets([source, feet], tmp_path / "no")


def test_topping_up_with_the_same_run_keeps_names_and_refuses_doubles(source, tmp_path):
    low, high = (
        matching.filter_dataset(source, matching.query_of(source, f"frame {name}"), tmp_path / name)
        for name in ("< 6", ">= 4")
    )
    with pytest.raises(DatasetError, match="2 frames, such as 0, are in an earlier set"):
        merge_sets([low, high], tmp_path / "no")
    assert not (tmp_path / "no").exists()
    made = merge_sets([low, high], tmp_path / "out", drop_duplicates=True)
    assert made.frames == FRAMES and made.people == source.people
    assert {p["identity"] for p in made.iter_instances()} == {"p0", "p1"}
    hashes = [[f["image_sha256"] for f in each.iter_frames()] for each in (made, source)]
    assert hashes[0] == hashes[1]
    _sound(made)


@pytest.fixture(scope="module")
def tangled(tmp_path_factory):
    frames = []
    for i in range(24):
        made = painted(i, people=1 + i % 2, group_id=f"g{i // 3}")
        people = made.labels.people
        people = (dataclasses.replace(p, identity=f"who{i // 6}-{p.instance}") for p in people)
        labels = dataclasses.replace(made.labels, people=tuple(people))
        spec = dataclasses.replace(made.spec, split=("train", "val", "test")[i % 3])
        frames.append(dataclasses.replace(made, labels=labels, spec=spec))
    return write_set(tmp_path_factory.mktemp("tangled") / "set", frames)


def test_a_split_leaks_nothing_and_holds_its_shares(tangled, tmp_path):
    made = splits.split(tangled, keys=("group",), fractions=(0.5, 0.25, 0.25), seed=3)
    reported = made.as_json()
    assert reported["components"] == 8
    assert [reported["splits"][n]["frames"] for n in splits.NAMES] == [12, 6, 6]
    assert sum(reported["splits"][n]["people"] for n in splits.NAMES) == tangled.people
    splits.write_table(made, tmp_path / "splits.csv")
    table = splits.read_table(tmp_path / "splits.csv")
    assert splits.leaks(tangled, keys=("group",), table=table) == []
    # Identities reach over two groups each: by them there are only four components.
    both = ("group", "identity")
    finer = splits.split(tangled, keys=both, fractions=(0.5, 0.25, 0.25))
    assert finer.as_json()["components"] == 4
    assert np.array_equal(finer.table, splits.split(tangled, keys=both, fractions=(2, 1, 1)).table)
    applied = splits.apply(tangled, finer, tmp_path / "applied")
    assert splits.leaks(applied, keys=("group", "identity")) == []
    _sound(applied)


def test_planted_leaks_are_found(tangled):
    made = splits.split(tangled, keys=("group", "identity"))
    table = {int(i): splits.NAMES[k] for i, k in zip(made.frames, made.table, strict=True)}
    assert splits.leaks(tangled, keys=("group", "identity"), table=table) == []
    table[4] = next(name for name in splits.NAMES if name != table[4])
    found = splits.leaks(tangled, keys=("group", "identity"), table=table)
    assert {(leak.key, leak.value) for leak in found} == {("group", "g1"), ("identity", "who0-1")}
    assert sum(found[0].frames.values()) == 3
    # The stored splits were planted by place: every group is in all three.
    assert len(splits.leaks(tangled, keys=("group",))) == 8
    del table[5]
    with pytest.raises(DatasetError, match="lacks a frame"):
        splits.leaks(tangled, keys=("group",), table=table)
    for options, message in (
        ({"keys": ("colour",)}, "no such key"),
        ({"fractions": (1.0, 0.5)}, "invalid fractions"),
        ({"fractions": (0.0, 0.0, 0.0)}, "invalid fractions"),
        ({"keys": ("pose",)}, "too few independent groups"),
    ):
        with pytest.raises(DatasetError, match=message):
            splits.split(tangled, **options)


def test_splits_are_alike_in_what_is_hidden(tmp_path):
    frames = []
    for i in range(40):
        made = painted(i, people=1)
        person = dataclasses.replace(made.labels.people[0], occluded_fraction=0.8 * (i < 20))
        labels = dataclasses.replace(made.labels, people=(person,))
        frames.append(dataclasses.replace(made, labels=labels))
    dataset = write_set(tmp_path / "set", frames)
    reported = splits.split(dataset, keys=("group",), fractions=(0.5, 0.25, 0.25)).as_json()[
        "splits"
    ]
    for name, frames_of in (("train", 10), ("val", 5), ("test", 5)):
        bins = reported[name]["by_occluded_fraction"]
        assert (bins["0"], bins[".7-.9"]) == (frames_of, frames_of)


def test_what_differs_between_two_sets(source, other):
    found = comparing.diff(source, other)
    assert found["counts"]["frames"] == [FRAMES, 5]
    assert "recipe.name: had 'sticks', wants 'others'" in found["identity"]
    assert "seed: had 7, wants 8" in found["identity"]
    # 0, 1 and 2 people: 4, 4 and 3 of 11 frames against 2, 2 and 1 of 5.
    assert found["distances"]["people_per_frame"] == pytest.approx(3 / 11 - 1 / 5)
    seen = sum(p["cause"][0] == "visible" for p in source.iter_instances())
    assert found["joints"]["nose"]["visible"][0] == pytest.approx(seen / source.people)
    json.dumps(found, allow_nan=False)
    text = comparing.diff_text(found)
    assert "'sticks' -> 'others'" in text and "joints whose rate differs" in text
    assert comparing.distance({"a": 1, "b": 1}, {"a": 5, "b": 5}) == 0
    assert comparing.distance({"a": 1}, {"b": 1}) == 1
    assert comparing.distance({"a": 3, "b": 1}, {"a": 1, "b": 1}) == pytest.approx(0.25)
    assert comparing.distance({}, {"a": 1}) is None
