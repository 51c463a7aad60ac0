"""What a browser is given to hold: all of a person, nothing that JSON or HTML would choke on."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from synthstudio.core.errors import DatasetError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import base_of
from synthstudio.review.datasets import register
from synthstudio.review.edits import apply
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import open_store
from synthstudio.review.values import JointLabel, Op, Person, User
from synthstudio.studio import components
from synthstudio.studio.drawing import pictures
from synthstudio.studio.editor import window
from synthstudio.studio.editor.queue import QueueRequest, build_queue

ADA = User(name="Ada", role="reviewer")


@pytest.fixture
def dataset(studio_set):
    return Dataset(studio_set)


@pytest.fixture
def store(tmp_path, dataset):
    with closing(open_store(f"sqlite:///{tmp_path}/review.db")) as store:
        register(store, dataset, "crates")
        yield store


@pytest.fixture
def frames(dataset):
    skeleton = get_skeleton(dataset.identity.skeleton)
    return window.Frames(dataset, skeleton)


def give(store, dataset, frames, people, **more):
    key = register(store, dataset, "crates")
    source = pictures.read_source(dataset, frames.skeleton)
    found = window.items(
        store,
        key,
        frames,
        window.Stretch(start=7, people=people, **more),
        who=ADA,
        url=lambda kind, frame: f"/img/{kind}-{frame}",
        clean_of=source.clean_of,
    )
    return json.loads(json.dumps(found, allow_nan=False))


def say(store, dataset, person, kind, seq, **more):
    key = register(store, dataset, "crates")
    op = Op(
        client="c" * 16,
        seq=seq,
        person=Person(dataset=key, frame=person[0], instance=person[1]),
        kind=kind,
        **more,
    )
    return apply(store, op, who=ADA, base=base_of(dataset, *person))


def test_all_of_a_person(store, dataset, frames):
    people = [(0, 1), (0, 2), (1, 1)]
    found = give(store, dataset, frames, people, reasons=[["flip"], [], []])
    assert [item["id"] for item in found] == ["0:1", "0:2", "1:1"]
    assert [item["pos"] for item in found] == [7, 8, 9]
    assert found[0]["risk"] == ["flip"] and found[1]["risk"] == []
    for item, person in zip(found, people, strict=True):
        row = next(r for r in dataset.instances(person[0]) if r["instance"] == person[1])
        px = np.array(row["joints_px"]).reshape(-1, 2)
        np.testing.assert_allclose([joint[:2] for joint in item["base"]], px, atol=1e-4)
        assert [joint[2] for joint in item["base"]] == list(row["state"])
        assert [joint[3] for joint in item["base"]] == list(row["cause"])
        assert item["modal"]["counts"] == row["modal_counts"]
        assert item["image"] == f"/img/image-{person[0]}" and item["next_instance"] == 3
        named = [h is not None for h in item["occluder"]]
        assert named == [c in ("person", "object") for c in row["cause"]]
    assert [item["clean"] is None for item in found] == [False, False, True]  # frame 1 is clean
    assert found[0]["others"][0]["instance"] == 2


def test_base_is_what_the_reader_says(dataset, frames, store):
    key = register(store, dataset, "crates")
    for person in [(0, 1), (5, 2), (0, 9)]:
        mine = frames.base_of(Person(dataset=key, frame=person[0], instance=person[1]))
        assert mine == base_of(dataset, *person)
    with pytest.raises(DatasetError):
        frames.base_of(Person(dataset=key, frame=10_000, instance=1))


def test_edits_and_added_people_are_in_it(store, dataset, frames):
    nose = JointLabel(x_px=3.5, y_px=4.5, state=1, cause="object")
    say(store, dataset, (0, 1), "edit", 1, revision=0, joints={"nose": nose})
    say(store, dataset, (0, 3), "add", 2, revision=0, joints={"nose": nose})
    found = give(store, dataset, frames, [(0, 1), (0, 2), (1, 1)])
    assert [(item["id"], item["pos"]) for item in found] == [
        ("0:1", 7),
        ("0:2", 8),
        ("0:3", 8),
        ("1:1", 9),
    ]
    assert found[0]["state"]["joints"] == {"nose": [3.5, 4.5, 1, "object", "human"]}
    assert found[2]["state"]["added"] and not found[2]["exists"]


def test_where_a_stretch_ends():
    assert window.span(0, 100) == (0, window.AHEAD + 1)
    assert window.span(50, 100) == (50 - window.BACK, 50 + window.AHEAD + 1)
    assert window.span(99, 100) == (99 - window.BACK, 100)
    assert window.span(500, 100) == (99 - window.BACK, 100)
    assert window.span(0, 0) == (0, 0)


def test_queues(store, dataset, tmp_path):
    table = people_table(dataset, cache=tmp_path)
    everybody = build_queue(store, table, QueueRequest(queue="all"), who=ADA)
    assert everybody.people(table, 0, 3) == [(0, 1), (0, 2), (1, 1)]
    risky = build_queue(store, table, QueueRequest(queue="risk"), who=ADA)
    assert sorted(risky.rows) == list(everybody.rows)
    assert len(risky.reasons(0, 5)) == 5
    assert len(build_queue(store, table, QueueRequest(queue="mine"), who=ADA).rows) == 0
    some = build_queue(
        store, table, QueueRequest(queue="all", query="any joint hidden by person"), who=ADA
    )
    assert 0 < len(some.rows) <= len(everybody.rows)
    with pytest.raises(DatasetError):
        build_queue(store, table, QueueRequest(query="wrist of"), who=ADA)
    say(store, dataset, (0, 1), "status", 9, revision=0, status="approved")
    todo = build_queue(store, table, QueueRequest(queue="all", todo=True), who=ADA)
    assert len(todo.rows) == len(everybody.rows) - 1 and todo.place_of(table, 0, 1) is None
    first = todo.with_first(table, 0, 1)
    assert first.place_of(table, 0, 1) == 0 and len(first.rows) == len(everybody.rows)
    assert first.reasons(0, 1)[0] is not None


def test_what_json_cannot_hold_is_an_error_not_a_string():
    with pytest.raises(ValueError, match="JSON"):
        components.mount_editor({"x": float("nan")}, key="k", on_outbox=int, on_view=int)
    with pytest.raises(TypeError):
        components.mount_editor({"x": np.int64(1)}, key="k", on_outbox=int, on_view=int)


def test_the_parts_of_the_module_fit_together():
    js, css = components.editor_source()
    assert js.count("export default") == 1 and "import " not in js.split("export default")[0]
    assert "http://" not in js.replace("http://www.w3.org", "") and "https://" not in js
    assert "innerHTML" not in js and "url(" not in css and "@import" not in css
    folder = Path(components.__file__).parent
    for part in [*folder.rglob("*.js"), folder / "editor" / "editor.css"]:
        assert len(part.read_text().splitlines()) <= 400, part
