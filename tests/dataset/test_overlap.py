"""Data sets drawn from the same random numbers are named, others are not."""

import dataclasses
import logging

import pytest
from painted_frames import painted, write_set

from synthstudio.dataset.merge import merge_sets
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.splits import shared_notes, split


@pytest.fixture
def sets(tmp_path):
    """Two sets of the same people in other pictures, and one of other bodies."""
    frames = [painted(i, people=2) for i in range(8)]
    other = []
    for spec in (frame.spec for frame in frames):
        bodies = (dataclasses.replace(p.phenotype, age=0.7123) for p in spec.people)
        pairs = zip(spec.people, bodies, strict=True)
        people = tuple(dataclasses.replace(p, phenotype=body) for p, body in pairs)
        other.append(dataclasses.replace(spec, people=people))
    made = {"one": frames, "two": frames}
    made["other"] = [dataclasses.replace(f, spec=s) for f, s in zip(frames, other, strict=True)]
    for seed, (name, own) in enumerate(made.items()):
        pictures = [dataclasses.replace(f, jpeg=f.jpeg + bytes(seed)) for f in own]
        write_set(tmp_path / name, pictures, recipe=name, seed=seed)
    return {name: tmp_path / name for name in made}


def test_two_sources_of_the_same_people_are_named_and_split_warns_of_them(sets, tmp_path, caplog):
    (note,) = shared_notes(sets.values())
    assert note.startswith("one and two share ")
    assert "identities" in note and "poses" in note and "designs" in note
    assert shared_notes([sets["one"], sets["one"] / ".." / "one"]) == []
    assert shared_notes([sets["one"], sets["other"]]) == []
    caplog.set_level(logging.WARNING, logger="synthstudio")
    for names, warned in ((("one", "two"), True), (("one", "other"), False)):
        merged = merge_sets([Dataset(sets[n]) for n in names], tmp_path / "-".join(names))
        caplog.clear()
        split(merged, keys=("group",))
        found = [r.getMessage() for r in caplog.records if "identities" in r.getMessage()]
        assert bool(found) == warned
        assert not warned or all(name in found[0] for name in names)
