"""Data sets drawn from the same random numbers are named, others are not."""

import dataclasses
import logging
from pathlib import Path

import pytest
from painted_frames import painted, write_set

from synthstudio.core.labels import Frame
from synthstudio.dataset.merge import merge_sets
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.splits import shared_notes, split


def older(frame: Frame) -> Frame:
    """The same frame of people of another body."""
    people = tuple(
        dataclasses.replace(p, phenotype=dataclasses.replace(p.phenotype, age=0.7123))
        for p in frame.spec.people
    )
    jpeg = frame.jpeg + b"\0\0"  # another picture
    return dataclasses.replace(
        frame, jpeg=jpeg, spec=dataclasses.replace(frame.spec, people=people)
    )


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Path]:
    frames = [painted(i, people=2) for i in range(8)]
    made = {
        "one": frames,
        "two": [dataclasses.replace(f, jpeg=f.jpeg + b"\0") for f in frames],
        "other": [older(frame) for frame in frames],
    }
    for seed, (name, own) in enumerate(made.items()):
        write_set(tmp_path / name, own, recipe=name, seed=seed)
    return {name: tmp_path / name for name in made}


def test_two_sources_of_the_same_people_are_named(sets):
    (note,) = shared_notes(sets.values())
    assert note.startswith("one and two share ")
    assert "identities" in note and "poses" in note and "designs" in note


def test_a_source_is_not_held_against_itself(sets):
    assert shared_notes([sets["one"], sets["one"] / ".." / "one"]) == []
    assert shared_notes([sets["one"], sets["other"]]) == []


def test_split_warns_of_sources_that_share_people(sets, tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="synthstudio")
    for names, warned in ((("one", "two"), True), (("one", "other"), False)):
        merged = merge_sets([Dataset(sets[n]) for n in names], tmp_path / "-".join(names))
        caplog.clear()
        split(merged, keys=("group",))
        found = [r.getMessage() for r in caplog.records if "identities" in r.getMessage()]
        assert bool(found) == warned
        assert not warned or all(name in found[0] for name in names)
