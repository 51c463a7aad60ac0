"""Lists and counts of threads are the database's work: no more rows than are shown are read."""

from types import SimpleNamespace

import pytest
from review_ops import ANNA, BEN, LEAD
from sqlalchemy import event

from synthstudio.review import comments
from synthstudio.review.models import MemberRow, ThreadRow, utc_now
from synthstudio.review.risk.table import people_table
from synthstudio.review.settings import set_share
from synthstudio.studio.thread_list import shown_threads, threads_csv, threads_note


@pytest.fixture
def write(desk):
    with desk.store.session() as session:
        for name in ("anna", "Ann", "José"):
            session.add(MemberRow(name=name, role="reviewer", by="ada", when=utc_now()))
    return lambda instance, kind="comment", **more: desk.do(kind, 0, instance, **more)


@pytest.fixture
def read():
    """The threads that were read from the database, by their numbers."""
    found = []

    def loaded(row, _):
        found.append(row.id)

    event.listen(ThreadRow, "load", loaded)
    yield found
    event.remove(ThreadRow, "load", loaded)


def test_no_more_threads_are_read_than_are_listed(empty_store, key, write, read):
    ids = [write(1, text=f"{k} @{'José' if k % 2 else 'anna'}").id for k in range(6)]
    read.clear()
    assert [one.id for one in comments.thread_list(empty_store, key, limit=2)] == ids[:2] == read
    read.clear()
    mine = comments.thread_list(empty_store, key, mentions="José", after_id=ids[1], limit=1)
    assert [one.id for one in mine] == [ids[3]] == read
    for other in ("Anna", "Ann", "", '", "', "%"):
        assert comments.thread_list(empty_store, key, mentions=other) == []
    assert comments.thread_count(empty_store, key, is_open=True, mentions="José") == 3
    assert comments.threads_of_people(empty_store, key, is_open=True) == {(0, 1): 6}


def test_home_counts_what_one_may_see_and_reads_no_thread(empty_store, small_set, key, write, read):
    ctx = SimpleNamespace(store=empty_store)
    chosen = SimpleNamespace(key=key, table=people_table(small_set))
    set_share(empty_store, key, "second_share", 1.0, by=LEAD)
    assert threads_note(ctx, BEN, chosen) == ""
    write(1, text="a @anna")
    write(1, text="b")
    write(2, text="c")
    write(1, "status", status="approved")
    read.clear()
    assert threads_note(ctx, ANNA, chosen) == "3 open threads, 1 mentions you"
    assert threads_note(ctx, LEAD, chosen) == "3 open threads"
    assert (
        threads_note(ctx, BEN, chosen) == "1 open thread"
    )  # of whose person the look is not blind
    assert read == []


def test_a_page_reads_the_threads_that_it_shows_and_all_for_its_csv(
    empty_store, small_set, key, write, read
):
    ctx = SimpleNamespace(store=empty_store)
    chosen = SimpleNamespace(key=key, table=people_table(small_set))
    ids = [write(1 + k % 2, text=f"comment {k}").id for k in range(6)]
    write(1, "resolve", event=ids[0])
    set_share(empty_store, key, "second_share", 1.0, by=LEAD)
    write(2, "status", status="approved")
    read.clear()
    mine = shown_threads(ctx, LEAD, chosen, "Open")
    assert mine.count == 5 and read == []
    assert [one.id for one in mine.latest(2)] == [ids[5], ids[4]] == read
    assert threads_csv(ctx, "lea", lambda: "lead", chosen, "Open").count(b"\n") == 6
    blind = shown_threads(ctx, BEN, chosen, "All")
    assert (blind.count, [one.id for one in blind.latest(2)]) == (3, [ids[0], ids[4]])
    found = threads_csv(ctx, BEN.name, lambda: BEN.role, chosen, "All")
    assert found.count(b"\n") == 4 and b"\n6," not in found


def test_a_csv_has_what_one_may_see_when_it_is_asked_for(empty_store, small_set, key, write):
    role = BEN.role
    ctx = SimpleNamespace(store=empty_store)
    chosen = SimpleNamespace(key=key, table=people_table(small_set))

    def made():
        return threads_csv(ctx, BEN.name, lambda: role, chosen, "Open").decode()

    set_share(empty_store, key, "second_share", 1.0, by=LEAD)
    write(1, text="left? @José", joint="nose")
    write(2, text="b")
    assert "nose,open,anna" in made() and "José" in made() and made().count("\n") == 3
    write(1, "status", status="approved")  # the second review at this one is blind from now on
    assert "nose" not in made() and "José" not in made() and made().count("\n") == 2
    role = "lead"
    assert "nose" in made()
    role = None
    assert "Only members" in made() and made().count("\n") == 1
