"""What a browser is given to hold: all of a person, nothing that JSON or HTML would choke on."""

import json
from contextlib import closing

import numpy as np
import pytest
from imported_photos import import_photos

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.core.masks import decode, encode
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.check import base_of
from synthstudio.review.datasets import content_key, register
from synthstudio.review.edits import apply
from synthstudio.review.leases import claim
from synthstudio.review.reviewed import reviewed
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import open_store
from synthstudio.review.values import JointLabel, Op, Person, User
from synthstudio.studio import components, frame_rows
from synthstudio.studio.drawing import pictures
from synthstudio.studio.editor import window
from synthstudio.studio.editor.queue import QueueRequest, build_queue
from synthstudio.studio.overview import count_people, review_progress

ADA = User(name="Ada", role="reviewer")
BO = User(name="Bo", role="reviewer")


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
    return frame_rows.Frames(dataset, skeleton)


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
    first, later, other = (item["people"] for item in found)
    assert [p["instance"] for p in first] == [1, 2] and later is None, "once a frame"
    assert first[1]["joints"] == found[1]["base"] and first[1]["closed"] is None
    assert other[0]["joints"] == found[2]["base"]


def test_neighbours_and_comments_are_what_the_store_says(store, dataset, frames):
    nose = JointLabel(x_px=3.5, y_px=4.5, state=1, cause="object")
    say(store, dataset, (0, 2), "edit", 1, revision=0, joints={"nose": nose})
    say(store, dataset, (0, 3), "add", 2, revision=0, joints={"nose": nose})
    for seq, text in enumerate(["first", "second", "third", "fourth"]):
        say(store, dataset, (0, 1), "comment", 3 + seq, revision=seq, text=text)
    item = give(store, dataset, frames, [(0, 1)])[0]
    at = frames.skeleton.joints.index("nose")
    put = [3.5, 4.5, 1, "object", "human"]
    keys = ("instance", "revision", "status")
    assert [[p[k] for k in keys] for p in item["people"]] == [
        [1, 4, "pending"],
        [2, 1, "pending"],
        [3, 1, "pending"],
    ]
    assert [p["joints"][at] for p in item["people"][1:]] == [put, put]
    told = [(t["open"], [(c["who"], c["text"]) for c in t["comments"]]) for t in item["threads"]]
    assert told == [(True, [("Ada", text)]) for text in ("first", "second", "third", "fourth")]
    veiled = give(store, dataset, frames, [(0, 1)], veiled={(0, 1), (0, 2)})[0]
    assert veiled["threads"] == []
    hidden = veiled["people"][1]
    assert (
        hidden["joints"][at]
        == give(store, dataset, frames, [(0, 2)], veiled={(0, 2)})[0]["base"][at]
        and hidden["revision"] == 0
    )
    assert [p["closed"] for p in veiled["people"]] == [*["a second look is open"] * 2, None]
    claim(store, [Person(dataset=content_key(dataset), frame=0, instance=3)], who=BO)
    held = give(store, dataset, frames, [(0, 1)])[0]["people"]
    assert [p["closed"] for p in held] == [None, None, "held by Bo"]
    shown = give(store, dataset, frames, [(0, 1), (0, 2), (0, 3)], veiled={(0, 2)})
    assert [one["closed"] for one in shown] == [None, "a second look is open", "held by Bo"]
    assert [one["closed"] for one in shown] == [p["closed"] for p in shown[0]["people"]]
    say(store, dataset, (0, 2), "status", 7, revision=1, status="approved", text="")
    before = give(store, dataset, frames, [(0, 1)])[0]["people"][1]
    hidden = give(store, dataset, frames, [(0, 1)], veiled={(0, 2)})[0]["people"][1]
    assert (before["status"], hidden["status"]) == ("approved", "pending"), "a blind look is blind"
    say(store, dataset, (0, 2), "delete", 8, revision=2)
    item = give(store, dataset, frames, [(0, 1)])[0]
    assert [p["instance"] for p in item["people"]] == [1, 3]


def test_masks_are_those_of_the_reviewers_and_blind_looks_stay_blind(store, dataset, frames):
    disk = base_of(dataset, 0, 2).masks
    size = [dataset.frame(0)[name] for name in ("height_px", "width_px")]
    drawn = encode(np.eye(*size, dtype=bool) | decode({"size": size, "counts": disk["modal"]}))
    say(store, dataset, (0, 2), "edit", 1, revision=0, masks={"modal": drawn})
    one = give(store, dataset, frames, [(0, 1)])[0]["people"]
    assert one[0]["masks"] is None, "of who has an item of their own it is there"
    assert one[1]["masks"] == disk and one[1]["drawn"]["modal"] == drawn["counts"]
    two = give(store, dataset, frames, [(0, 2)])[0]
    assert two["state"]["masks"] == one[1]["drawn"] and two["modal"]["counts"] == disk["modal"]
    one, two = give(store, dataset, frames, [(0, 1), (1, 1)], veiled={(0, 2)})
    assert one["people"][1]["masks"] == disk and one["people"][1]["drawn"] is None, "as on disk"


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


def walk(store, dataset, frames, table, request):
    """Everybody whom a browser is given that goes through a whole queue; each once."""
    order = build_queue(store, table, request, who=ADA)
    found = []
    for start in range(0, len(order.rows), 5):
        people = order.people(table, start, start + 5)
        found += give(store, dataset, frames, people, elsewhere=order.extra)
    ids = [item["id"] for item in found]
    assert len(ids) == len(set(ids)) == len(order.rows)
    return set(ids)


def test_as_many_people_everywhere(store, dataset, frames, tmp_path):
    """Lists, queue, counts and export agree for 0 to 30 people added to one frame."""
    table, key = people_table(dataset), register(store, dataset, "crates")
    nose = {"nose": JointLabel(x_px=3.5, y_px=4.5, state=1, cause="object")}
    on_disk = {f"{r['frame_index']}:{r['instance']}" for r in dataset.iter_instances()}
    added = set()
    for number in range(4):
        if number:
            instance = give(store, dataset, frames, [(4, 1)])[0]["next_instance"]
            say(store, dataset, (4, instance), "add", number, revision=0, joints=nose)
            added.add(f"4:{instance}")
        total = len(on_disk) + number
        everybody = on_disk | added
        for request in (QueueRequest(), QueueRequest(queue="all"), QueueRequest(todo=True)):
            assert walk(store, dataset, frames, table, request) == everybody
        assert walk(store, dataset, frames, table, QueueRequest(queue="added")) == added
        assert count_people(store, key).total == total
        assert count_people(store, key).added == number
        assert history.counts(store, key).people == total
        assert review_progress(store, key) == {"done": 0, "total": total, "nobody": 0}
        rows = reviewed(store, dataset, only="all").iter_instances()
        assert {f"{r['frame_index']}:{r['instance']}" for r in rows} == everybody
    # Those added in this session have no place in the queue yet: they come after their frame.
    alone = give(store, dataset, frames, [(4, 1), (5, 1)])
    assert len(alone) == 2 + 3 and [item["frame"] for item in alone[-2:]] == [4, 5]
    assert give(store, dataset, frames, [(4, 1)])[0]["next_instance"] == 6


def test_a_number_far_away_hides_nobody_and_blocks_nobody(store, dataset, frames):
    nose = {"nose": JointLabel(x_px=3.5, y_px=4.5, state=1, cause="object")}
    with pytest.raises(Refused, match="an add has joints"):
        say(store, dataset, (0, 999), "add", 1, revision=0)
    say(store, dataset, (0, 999), "add", 2, revision=0, joints=nose)
    found = give(store, dataset, frames, [(0, 1), (0, 2)])
    assert [item["id"] for item in found] == ["0:1", "0:2", "0:999"]
    assert {item["next_instance"] for item in found} == {3}


def test_frames_without_people_are_reached(tmp_path):
    dataset = import_photos(tmp_path / "set", 40, empty=1)
    frames = frame_rows.Frames(dataset, get_skeleton("coco17"))
    with closing(open_store(f"sqlite:///{tmp_path}/review.db")) as store:
        register(store, dataset, "set")
        table, ask = people_table(dataset), QueueRequest(queue="empty")
        assert walk(store, dataset, frames, table, ask) == {"1:0"}
        say(store, dataset, (0, 1), "delete", 1, revision=0)
        assert walk(store, dataset, frames, table, ask) == {"0:0", "1:0"}
        (item,) = give(store, dataset, frames, [(1, 0)])
        assert item["next_instance"] == 1 and not item["exists"]
        assert item["facts"] == ["nobody is labelled"]
        everybody = build_queue(store, table, QueueRequest(queue="all"), who=ADA)
        first = everybody.with_first(table, 1, 0)  # as an address says
        assert first.people(table, 0, 9) == [(1, 0), *everybody.people(table, 0, 9)]
        assert first.place_near(table, 1, 1) == 0
        assert everybody.with_first(table, 77, 0) is everybody
        nose = JointLabel(x_px=3.5, y_px=4.5, state=2, cause="visible")
        with pytest.raises(Refused):
            say(store, dataset, (1, 0), "add", 2, revision=0, joints={"nose": nose})
        say(store, dataset, (1, 1), "add", 3, revision=0, joints={"nose": nose})
        assert walk(store, dataset, frames, table, ask) == {"0:0"}
        assert walk(store, dataset, frames, table, QueueRequest()) == {"1:1", "2:1"}


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
        components.mount_editor({"x": float("nan")}, key="k", on_change=int)
    with pytest.raises(TypeError):
        components.mount_editor({"x": np.int64(1)}, key="k", on_change=int)


def test_the_parts_of_the_module_fit_together():
    js, css = components.editor_source()
    assert js.count("export default") == 1 and "import " not in js.split("export default")[0]
    assert "http://" not in js.replace("http://www.w3.org", "") and "https://" not in js
    assert "innerHTML" not in js and "url(" not in css and "@import" not in css
