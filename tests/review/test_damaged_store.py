"""A store with bytes that are not its own is named, not stumbled over."""

from contextlib import closing
from datetime import datetime

import pytest
from review_ops import ANNA, KEY, ON_DISK, op
from sqlalchemy import select, text

from synthstudio.core.errors import ReviewError
from synthstudio.review import edits, history
from synthstudio.review.models import EventRow, UtcTime
from synthstudio.review.store import open_store


@pytest.fixture
def of_file(store, store_url):
    if not store_url.startswith("sqlite"):
        pytest.skip("PostgreSQL looks after its own pages and has a type for times")
    return store


def test_malformed_pages(of_file, store_url, tmp_path):
    for revision in range(60):
        edits.apply(of_file, op("comment", revision, text="x" * 2000), who=ANNA, base=ON_DISK)
    of_file.close()
    path = tmp_path / "review.db"
    data = bytearray(path.read_bytes())
    data[-24 * 4096 :] = b"\x05" * (24 * 4096)
    path.write_bytes(bytes(data))
    with (
        pytest.raises(ReviewError, match="cannot be used"),
        closing(open_store(store_url)) as broken,
        broken.reading() as session,
    ):
        session.scalars(select(EventRow)).all()


def test_a_file_that_is_no_database_or_no_text(made_store, tmp_path):
    path, whole = tmp_path / "review.db", made_store.read_bytes()
    for table in (b"TABLE event", b"TABLE item", b""):
        assert table in whole
        damaged = whole.replace(table, b"TABL\xee" + table[5:]) if table else b"not one" * 300
        path.write_bytes(damaged)
        with pytest.raises(ReviewError, match="cannot be used"):
            open_store(f"sqlite:///{path}")
        assert path.read_bytes() == damaged


def test_a_time_that_is_none(of_file):
    edits.apply(of_file, op("comment", 0, text="x"), who=ANNA, base=ON_DISK)
    with of_file.session() as session:
        session.execute(text("UPDATE event SET \"when\" = '202x-11-21 15:18:20.813638'"))
    with pytest.raises(ReviewError, match="cannot be used"), of_file.reading() as session:
        session.scalars(select(EventRow)).all()
    # A fault of ours is not blamed on the file.
    with pytest.raises(ValueError, match="needs a time zone"), of_file.session():
        UtcTime().process_bind_param(datetime(2026, 1, 1), None)


def test_labels_that_are_none(store):
    edits.apply(store, op("comment", 0, text="x"), who=ANNA, base=ON_DISK)
    unknown = '{"x_px": 1, "y_px": 2, "state": 2, "cause": "", "obigin": ""}'
    noses = [f'{{"joints": {{"nose": {nose}}}}}' for nose in (unknown, "5", "{}")]
    for stored in (*noses, '{"joints": [1]}', "[1]", "7"):
        with store.session() as session:
            session.execute(text("UPDATE event SET after = :stored"), {"stored": stored})
        with pytest.raises(ReviewError, match=r"row is damaged.*backup"):
            history.check_replay(store, KEY)


def test_a_thread_without_its_key(of_file):
    edits.apply(of_file, op("comment", 0, text="x"), who=ANNA, base=ON_DISK)
    with of_file.session() as session:
        session.execute(text("CREATE TABLE bare AS SELECT * FROM thread"))
        session.execute(text("DROP TABLE thread"))
        session.execute(text("ALTER TABLE bare RENAME TO thread"))
        session.execute(text("UPDATE thread SET id = NULL"))
    assert "events without a thread" in " ".join(history.check_replay(of_file, KEY))
