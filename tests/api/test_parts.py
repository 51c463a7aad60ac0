"""A part of a data set, a query's or a slice, is what every function that takes one works on."""

import inspect
import json
import pickle

import numpy as np
import pytest
import untrained

import synthstudio as ss
from synthstudio.api import evaluations, generation, inference, networks, quality, selection
from synthstudio.core.errors import SynthStudioError
from synthstudio.dataset import reader

QUERY = "occluded > 0.3"
DATASETS = inspect.getmodule(ss.Dataset)
MODULES = (DATASETS, evaluations, generation, inference, networks, quality, selection)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return untrained.save(tmp_path_factory.mktemp("run") / "model.safetensors", block="own")


def _of(found, *_):
    """Frames and people that a call tells of, or a data set has; other calls only have to end."""
    if isinstance(found, ss.Dataset):
        return len(found), found.num_people
    told = found if isinstance(found, dict) else found.as_json()
    return told["images" if "images" in told else "frames"], told["people"]


def _evaluate(part, out, weights):
    found = ss.evaluate(weights, part, out=out / "e", cache=out / "cache", progress=False)
    assert found.about["frames"] == part.indices.tolist()
    assert set(found.predictions.frame) <= set(part.indices.tolist())
    return len(part), len(found.predictions.frame)


def _predict(part, out, weights):
    found = ss.predict(weights, part)
    assert set(found.picture) <= set(part.indices.tolist())
    return len(part), len(found)


def _diff(part, out, weights):
    found = quality.diff(part, part)
    assert str(len(part)) in json.dumps(found)
    return len(part), part.num_people


FUNCTIONS = {
    "audit": lambda part, out, _: _of(generation.audit(part, progress=False).figures),
    "contact_sheet": lambda part, out, _: _of(part, generation.contact_sheet(part, out / "a.jpg")),
    "count": lambda part, out, _: _of(vars(selection.count(part, "people >= 1"))),
    "coverage": lambda part, out, _: _of(quality.coverage(part)),
    "diff": _diff,
    "evaluate": _evaluate,
    "export": lambda part, out, _: (ss.export(part, "coco", out / "coco").images, part.num_people),
    "filter": lambda part, out, _: _of(selection.filter(part, "people >= 1", out / "f")),
    "leaks": lambda part, out, _: _of(part, selection.leaks(part, by="group")),
    "predict": _predict,
    "write_report": lambda part, out, _: _of(quality.write_report(part, out / "a.html")),
    "split": lambda part, out, _: _of(part, selection.split(part, out=out / "s")),
    "stats": lambda part, out, _: _of(quality.stats(part)),
    "validate": lambda part, out, _: _of(quality.validate(part)),
}
OTHERS = {"evaluate", "unmet_targets", "gap", "fit", "remake", "frame", "diff_text"}
"""What one of these calls, or of one frame: `gap` takes photos and reads the same columns."""


def test_the_table_has_every_function_that_takes_a_data_set():
    found = set()
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            kinds = map(str, inspect.signature(function).parameters.values())
            if function.__module__ == module.__name__ and not name.startswith("_"):
                if any("Dataset | args.PlaceLike" in kind for kind in kinds):
                    found.add(name)
    assert len(found) > 10 and found - OTHERS <= FUNCTIONS.keys(), found - OTHERS - FUNCTIONS.keys()


@pytest.mark.parametrize("kind", ["query", "slice", "slice of a query"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_part_is_respected(people, weights, tmp_path, name, kind):
    if kind != "query" and name in ("evaluate", "split", "write_report", "audit", "contact_sheet"):
        pytest.skip("one kind of part is enough where a call is slow")
    query = people.query(QUERY)
    part = {"query": query, "slice": people[3:7], "slice of a query": query[1:4]}[kind]
    assert 0 < len(part) < len(people) and 0 < part.num_people < people.num_people
    frames, persons = FUNCTIONS[name](part, tmp_path, weights)
    assert frames == len(part)
    assert abs(persons - part.num_people) <= (part.num_people - 1 if name == "evaluate" else 0)


def test_readers_of_parts_agree_with_the_whole(people):
    whole = people._stored
    chosen = np.array([2, 5, 11, 17], np.int64)
    part = whole.of_frames(chosen)
    assert [part.index_at(k) for k in range(len(part))] == chosen.tolist()
    assert [row["index"] for row in part.iter_frames()] == chosen.tolist()
    rows = [row for row in whole.iter_instances() if row["frame_index"] in chosen]
    got = list(part.iter_instances(["instance", "frame_index"]))
    assert got == [{k: row[k] for k in ("instance", "frame_index")} for row in rows]
    assert part.people == len(rows) and part.failed == ()
    assert part.shard_digests.keys() <= whole.shard_digests.keys()
    assert part.shard_digests != whole.shard_digests
    assert whole.of_frames(chosen).shard_digests == part.shard_digests
    shards = sorted(part.shard_digests)
    assert [r["index"] for s in shards for r in part.frames_of_shard(s)] == chosen.tolist()
    for call in (part.frame, part.instances, part.image_bytes, part.people_of, part.spec):
        with pytest.raises(SynthStudioError, match="is not in this part"):
            call(3)
    again = pickle.loads(pickle.dumps(part))
    assert isinstance(again, reader.Dataset) and again.only.tolist() == chosen.tolist()
    empty = whole.of_frames(chosen[:0])
    assert len(empty) == empty.people == 0 and not list(empty.iter_frames())
