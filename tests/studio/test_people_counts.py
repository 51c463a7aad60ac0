"""The one count of people, and of second looks, held against a store that holds every case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from review_store import Reviewed, reviewed

from synthstudio.review.check import base_of
from synthstudio.review.datasets import register
from synthstudio.review.history import counts, events
from synthstudio.review.progress import done_and_total
from synthstudio.review.team.second_pass import (
    Decision,
    adjudicate,
    begin_second_looks,
    progress,
    second_rows,
)
from synthstudio.review.values import FRAME, Person, User
from synthstudio.studio.overview import added_note, count_people, review_progress
from synthstudio.studio.second_look import progress_words

ADA = User(name="Ada", role="admin")
REX, UNA = (User(name=name, role="reviewer") for name in ("Rex", "Una"))


@pytest.fixture
def review(studio_set: Path, tmp_path: Path) -> Iterator[Reviewed]:
    found = reviewed(tmp_path / "review.db", studio_set)
    register(found.store, found.dataset, "crates")
    yield found
    found.store.close()


def busy(review: Reviewed) -> None:
    """Decide on some, skip, delete, add two, delete one of those again."""
    for row, status in enumerate(("approved", "approved", "rejected", "flagged", "skipped")):
        review.decide(ADA, review.person(row), status)  # type: ignore[arg-type]
    review.say(ADA, review.person(5), "delete")
    review.decide(ADA, review.person(6), "approved")
    review.say(ADA, review.person(6), "delete")
    for instance in (50, 51):
        person = Person(dataset=review.table.key, frame=0, instance=instance)
        joints = review.on_disk(review.person(0))
        review.say(ADA, person, "add", joints=joints)
    review.say(ADA, person, "delete")


def test_people_are_counted_alike_everywhere(review: Reviewed) -> None:
    key, on_disk = review.table.key, review.table.people
    assert count_people(review.store, key).status == {"pending": on_disk}
    busy(review)
    found = count_people(review.store, key)
    assert found.status == {
        "approved": 2,
        "rejected": 1,
        "flagged": 1,
        "skipped": 1,
        "pending": on_disk - 7 + 1,
    }
    assert (found.total, found.added, found.deleted) == (on_disk - 2 + 1, 1, 2)
    assert (found.decided, found.waiting) == (4, found.total - 4)
    whole = counts(review.store, key)  # what the command line tells
    assert (whole.people, dict(whole.status)) == (found.total, found.status)
    assert done_and_total(review.store, key) == (found.decided, found.total)  # the editor
    assert added_note(found) == (
        "1 person whom reviewers added is in Review, where they have a queue of their own."
    )


def test_frames_without_people_are_counted_apart(review: Reviewed) -> None:
    store, key = review.store, review.table.key
    frame = replace(review.person(7), instance=FRAME)
    here = review.dataset.instances(frame.frame)
    for row in here:
        review.say(ADA, replace(frame, instance=row["instance"]), "delete")
    people = dict(count_people(store, key).status)
    for status in ("nobody", "nobody", "pending", "nobody"):
        review.say(ADA, frame, "status", status=status)
        nobody = int(status == "nobody")
        assert review_progress(store, key) == {
            "done": 0,
            "total": review.table.people - len(here),
            "nobody": nobody,
        }
        assert count_people(store, key).nobody == counts(store, key).nobody == nobody
        assert dict(count_people(store, key).status) == counts(store, key).status == people
    review.say(ADA, frame, "revert", event=_last(review, frame))
    assert review_progress(store, key)["nobody"] == count_people(store, key).nobody == 0


def test_second_looks_count_each_person_once(review: Reviewed) -> None:
    store, table = review.store, review.table
    rows = [int(row) for row in second_rows(table, share=1.0)]
    for row in rows[:5]:
        review.decide(REX, review.person(row))
    review.decide(REX, review.person(rows[5]), "skipped")  # no look yet
    taken = begin_second_looks(store, table, who=UNA, count=3, share=1.0)
    for person in taken:
        review.decide(UNA, person, "rejected")
    first = Person(dataset=table.key, frame=taken[0].frame, instance=taken[0].instance)
    base = base_of(review.dataset, first.frame, first.instance)
    adjudicate(store, first, Decision(choice="second"), revision=1, who=ADA, base=base)
    reported = progress_words(progress(store, table, share=1.0), 1.0).replace("**", "")
    everybody = table.people
    assert f"{everybody} people (100%)" in reported
    assert f"So far: {everybody - 5} not yet, 2 once, 3 twice" in reported
    assert "a lead has decided 1." in reported
    found = count_people(store, table.key)  # a second look changes no count but by its decision
    assert found.decided == 5 and found.status["rejected"] == 1


def _last(review: Reviewed, person: Person) -> int:
    return events(review.store, review.table.key, person=person)[-1].id
