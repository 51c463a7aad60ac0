"""What a browser is given to hold: all of a person, nothing that JSON or HTML would choke on."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from imported_photos import import_photos
from review_ops import hidden, refused, seen
from reviewing import reviewed

from synthstudio.core.errors import DatasetError
from synthstudio.core.last_used import LastUsed
from synthstudio.core.masks import decode, encode
from synthstudio.review import history
from synthstudio.review.check import base_of
from synthstudio.review.leases import claim
from synthstudio.review.reviewed import reviewed as as_reviewed
from synthstudio.review.risk.table import people_table
from synthstudio.review.values import User
from synthstudio.studio import overview, page_parts
from synthstudio.studio.editor import window
from synthstudio.studio.editor.queue import QueueRequest, build_queue
from synthstudio.studio.overview import count_people, frames_left

ADA, BO = User(name="Ada", role="reviewer"), User(name="Bo", role="reviewer")
NOSE = {"nose": hidden(3.5, 4.5)}
PUT = [3.5, 4.5, 1, "object", "human"]


def give(review, people, **more):
    return review.window(people, who=ADA, **more)


def log(review, person, kind, **more):
    return review.log(ADA, review.at(*person), kind, **more)


def test_all_of_a_person(review):
    people, dataset = [(0, 1), (0, 2), (1, 1)], review.dataset
    found = give(review, people, start=7, reasons=[["flip"], [], []])
    assert [(one["id"], one["pos"]) for one in found] == [("0:1", 7), ("0:2", 8), ("1:1", 9)]
    assert [one["risk"] for one in found] == [["flip"], [], []]
    for item, person in zip(found, people, strict=True):
        row = next(r for r in dataset.instances(person[0]) if r["instance"] == person[1])
        px = np.array(row["joints_px"]).reshape(-1, 2)
        np.testing.assert_allclose([joint[:2] for joint in item["base"]], px, atol=1e-4)
        assert [joint[2] for joint in item["base"]] == list(row["state"])
        assert [joint[3] for joint in item["base"]] == list(row["cause"])
        assert item["modal"]["counts"] == row["modal_counts"]
        picture = f"/api/v1/sets/{review.table.key}/frames/{person[0]}/image"
        assert item["image"] == picture and item["next_instance"] == 3
        named = [h is not None for h in item["occluder"]]
        assert named == [c in ("person", "object") for c in row["cause"]]
    assert [item["clean"] is None for item in found] == [False, False, True]  # frame 1 is clean
    first, later, other = (item["people"] for item in found)
    assert [p["instance"] for p in first] == [1, 2] and later is None, "once a frame"
    assert first[1]["joints"] == found[1]["base"] and first[1]["closed"] is None
    assert other[0]["joints"] == found[2]["base"]


def test_neighbours_and_comments_are_what_the_store_says(review):
    log(review, (0, 2), "edit", joints=NOSE)
    log(review, (0, 3), "add", joints=NOSE)
    texts = ("first", "second")
    for text in texts:
        log(review, (0, 1), "comment", text=text)
    item = give(review, [(0, 1)])[0]
    at = review.frames.skeleton.joints.index("nose")
    keys = ("instance", "revision", "status")
    found = [[p[k] for k in keys] for p in item["people"]]
    assert found == [[1, 2, "pending"], [2, 1, "pending"], [3, 1, "pending"]]
    assert [p["joints"][at] for p in item["people"][1:]] == [PUT, PUT]
    told = [(t["open"], [(c["who"], c["text"]) for c in t["comments"]]) for t in item["threads"]]
    assert told == [(True, [("Ada", text)]) for text in texts]
    blinded = give(review, [(0, 1)], blinded={(0, 1), (0, 2)})[0]
    blind, alone = blinded["people"][1], give(review, [(0, 2)], blinded={(0, 2)})[0]
    assert blinded["threads"] == [] and blind["revision"] == 0
    assert blind["joints"][at] == alone["base"][at] != PUT
    claim(review.store, [review.at(0, 3)], who=BO)
    shown = give(review, [(0, 1), (0, 2), (0, 3)], blinded={(0, 2)})
    assert [one["closed"] for one in shown] == [None, "a second review is open", "held by Bo"]
    assert [one["closed"] for one in shown] == [p["closed"] for p in shown[0]["people"]]
    log(review, (0, 2), "status", status="approved")
    for blind, status in (((), "approved"), ({(0, 2)}, "pending")):
        assert give(review, [(0, 1)], blinded=blind)[0]["people"][1]["status"] == status
    log(review, (0, 2), "delete")
    assert [p["instance"] for p in give(review, [(0, 1)])[0]["people"]] == [1, 3]


def test_masks_are_those_of_the_reviewers_and_blind_looks_stay_blind(review):
    disk = base_of(review.dataset, 0, 2).masks
    size = [review.dataset.frame(0)[name] for name in ("height_px", "width_px")]
    drawn = encode(np.eye(*size, dtype=bool) | decode({"size": size, "counts": disk["modal"]}))
    log(review, (0, 2), "edit", joints={}, masks={"modal": drawn})
    one = give(review, [(0, 1)])[0]["people"]
    assert one[0]["masks"] is None, "of who has an item of their own it is there"
    assert one[1]["masks"] == disk and one[1]["drawn"]["modal"] == drawn["counts"]
    two = give(review, [(0, 2)])[0]
    assert two["state"]["masks"] == one[1]["drawn"] and two["modal"]["counts"] == disk["modal"]
    blind = give(review, [(0, 1), (1, 1)], blinded={(0, 2)})[0]["people"][1]
    assert blind["masks"] == disk and blind["drawn"] is None, "as on disk"


def test_base_is_what_the_reader_says(review):
    for person in [(0, 1), (5, 2), (0, 9)]:
        assert review.frames.base_of(review.at(*person)) == base_of(review.dataset, *person)
    with pytest.raises(DatasetError):
        review.frames.base_of(review.at(10_000, 1))


def walk(review, request):
    """Everybody whom a browser is given that goes through a whole queue; each once."""
    order = build_queue(review.store, review.table, request, who=ADA)
    found = []
    for start in range(0, len(order.rows), 5):
        people = order.people(review.table, start, start + 5)
        found += give(review, people, elsewhere=order.extra)
    ids = [item["id"] for item in found]
    assert len(ids) == len(set(ids)) == len(order.rows)
    return set(ids)


def test_as_many_people_everywhere(review):
    """Lists, queue, counts and export agree for 0 to 3 people added to one frame."""
    store, key = review.store, review.table.key
    on_disk = {f"{r['frame_index']}:{r['instance']}" for r in review.dataset.iter_instances()}
    added = set()
    for number in range(4):
        if number:
            instance = give(review, [(4, 1)])[0]["next_instance"]
            log(review, (4, instance), "add", joints=NOSE)
            added.add(f"4:{instance}")
        everybody, total = on_disk | added, len(on_disk) + number
        for request in (QueueRequest(), QueueRequest(queue="all"), QueueRequest(todo=True)):
            assert walk(review, request) == everybody
        assert walk(review, QueueRequest(queue="added")) == added
        count = count_people(store, key)
        assert (count.total, count.added, history.counts(store, key).people) == (
            total,
            number,
            total,
        )
        assert (count.decided, count.empty_frames) == (0, 0)
        rows = as_reviewed(store, review.dataset, only="all").iter_instances()
        assert {f"{r['frame_index']}:{r['instance']}" for r in rows} == everybody
    # Those added in this session have no place in the queue yet: they come after their frame.
    alone = give(review, [(4, 1), (5, 1)], start=7)
    assert [(one["frame"], one["pos"]) for one in alone[1:]] == [(4, 7)] * 3 + [(5, 8)]
    assert alone[1]["state"]["added"] and not alone[1]["exists"]
    assert alone[0]["next_instance"] == 6
    log(review, (4, 999), "add", joints=NOSE)  # a number far away hides and blocks nobody
    far = give(review, [(4, 1)])
    assert far[-1]["id"] == "4:999" and {one["next_instance"] for one in far} == {6}


def test_frames_without_people_are_reached(tmp_path):
    import_photos(tmp_path / "set", 40, empty=1)
    with closing((review := reviewed(tmp_path / "review.db", tmp_path / "set")).store):
        table, ask = review.table, QueueRequest(queue="empty")
        assert walk(review, ask) == {"1:0"}
        log(review, (0, 1), "delete")
        assert walk(review, ask) == {"0:0", "1:0"}
        (item,) = give(review, [(1, 0)])
        assert item["next_instance"] == 1 and not item["exists"]
        assert item["facts"] == ["no people labelled"]
        everybody = build_queue(review.store, table, QueueRequest(queue="all"), who=ADA)
        first = everybody.with_first(table, 1, 0)  # as an address says
        assert first.people(table, 0, 9) == [(1, 0), *everybody.people(table, 0, 9)]
        assert first.place_near(table, 1, 1) == 0
        assert everybody.with_first(table, 77, 0) is everybody
        with refused("invalid"):
            log(review, (1, 0), "add", joints={"nose": seen()})
        log(review, (1, 1), "add", joints={"nose": seen()})
        assert walk(review, ask) == {"0:0"}
        assert walk(review, QueueRequest()) == {"1:1", "2:1"}


def test_frames_left_are_those_with_somebody_or_nobody_to_decide_on(tmp_path, monkeypatch):
    import_photos(tmp_path / "set", 40, empty=1)
    with closing((review := reviewed(tmp_path / "review.db", tmp_path / "set")).store):
        chosen = SimpleNamespace(table=review.table, key=review.table.key)
        steps = [((0, 1), "status", {"status": "approved"}, 2)]
        steps += [((1, 0), "status", {"status": "no_people"}, 1), ((2, 1), "delete", {}, 1)]
        steps += [((2, 0), "status", {"status": "no_people"}, 0), ((0, 1), "delete", {}, 1)]
        assert frames_left(review.store, chosen) == 3
        for pair, kind, more, left in steps:
            log(review, pair, kind, **more)
            assert frames_left(review.store, chosen) == left
            with monkeypatch.context() as patch:
                patch.setattr(overview, "_left_cache", LastUsed(9))
                assert frames_left(review.store, chosen) == left  # anew


def test_where_a_stretch_ends():
    assert window.span(0, 100) == (0, window.AHEAD + 1)
    assert window.span(50, 100) == (50 - window.BACK, 50 + window.AHEAD + 1)
    assert window.span(99, 100) == window.span(500, 100) == (99 - window.BACK, 100)
    assert window.span(0, 0) == (0, 0)


def test_queues(review, tmp_path):
    table = people_table(review.dataset, cache=tmp_path)

    def queue(**more):
        return build_queue(review.store, table, QueueRequest(**{"queue": "all", **more}), who=ADA)

    everybody, risky = queue(), queue(queue="risk")
    assert everybody.people(table, 0, 3) == [(0, 1), (0, 2), (1, 1)]
    assert sorted(risky.rows) == list(everybody.rows)
    assert all(isinstance(risky.reasons(k), list) for k in range(5))
    assert len(queue(queue="assigned").rows) == 0
    assert 0 < len(queue(query="any joint hidden by person").rows) <= len(everybody.rows)
    with pytest.raises(DatasetError):
        queue(query="wrist of")
    log(review, (0, 1), "status", status="approved")
    todo = queue(todo=True)
    assert len(todo.rows) == len(everybody.rows) - 1 and todo.place_of(table, 0, 1) is None
    first = todo.with_first(table, 0, 1)
    assert first.place_of(table, 0, 1) == 0 and len(first.rows) == len(everybody.rows)
    assert first.reasons(0) is not None


def test_scripts_ask_no_other_host_and_insert_no_html():
    folder = Path(page_parts.__file__).parent / "editor"
    js = "".join(path.read_text("utf-8") for path in (folder / "js").glob("*.js"))
    css = (folder / "editor.css").read_text("utf-8")
    assert "http://" not in js.replace("http://www.w3.org", "") and "https://" not in js
    assert "innerHTML" not in js and "url(" not in css and "@import" not in css


def test_a_crowd_in_a_frame(tmp_path):
    """A window has each once: it grows with the people, not with their square."""
    import_photos(tmp_path / "set", 40)
    with closing((review := reviewed(tmp_path / "review.db", tmp_path / "set")).store):
        for instance in range(2, 102):
            log(review, (0, instance), "add", joints=NOSE)
        found = give(review, [(0, n) for n in range(1, 1 + sum(window.span(0, 101)))])
        listings = [one["people"] for one in found]
        assert len(listings[0]) == 101 and listings[1:] == [None] * (len(found) - 1)
        assert len(str(found)) < 5e5
