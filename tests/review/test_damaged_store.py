"""A store with bytes that are not its own is named, not stumbled over."""

from datetime import datetime

import pytest
from review_ops import ANNA, KEY, ON_DISK, op
from sqlalchemy import select, text

from synthstudio.core.errors import ReviewError
from synthstudio.review import edits, history
from synthstudio.review.models import EventRow, UtcTime
from synthstudio.review.store import open_store


def test_malformed_pages(store, store_url, tmp_path):
    if not store_url.startswith("sqlite"):
        pytest.skip("PostgreSQL looks after its own pages")
    for revision in range(60):
        edits.apply(store, op("comment", revision, text="x" * 2000), who=ANNA, base=ON_DISK)
    store.close()
    path = tmp_path / "review.db"
    data = bytearray(path.read_bytes())
    data[-24 * 4096 :] = b"\x05" * (24 * 4096)
    path.write_bytes(bytes(data))
    with pytest.raises(ReviewError, match="cannot be used"):
        broken = open_store(store_url)
        try:
            with broken.reading() as session:
                session.scalars(select(EventRow)).all()
        finally:
            broken.close()


def test_a_file_that_is_no_database_or_no_text(made_store, tmp_path):
    path, whole = tmp_path / "review.db", made_store.read_bytes()
    for table in (b"TABLE event", b"TABLE item", b""):
        assert table in whole
        damaged = whole.replace(table, b"TABL\xee" + table[5:]) if table else b"not one" * 300
        path.write_bytes(damaged)
        with pytest.raises(ReviewError, match="cannot be used"):
            open_store(f"sqlite:///{path}")
        assert path.read_bytes() == damaged


def test_a_time_that_is_none(store, store_url):
    if not store_url.startswith("sqlite"):
        pytest.skip("PostgreSQL has a type for times")
    edits.apply(store, op("comment", 0, text="x"), who=ANNA, base=ON_DISK)
    with store.session() as session:
        session.execute(text("UPDATE event SET \"when\" = '202x-11-21 15:18:20.813638'"))
    with pytest.raises(ReviewError, match="cannot be used"), store.reading() as session:
        session.scalars(select(EventRow)).all()


def test_a_fault_of_ours_is_not_blamed_on_the_file(store):
    with pytest.raises(ValueError, match="needs its zone"), store.session():
        UtcTime().process_bind_param(datetime(2026, 1, 1), None)


@pytest.mark.parametrize(
    "stored",
    [
        '{"joints": {"nose": {"x_px": 1, "y_px": 2, "state": 2, "cause": "", "obigin": ""}}}',
        '{"joints": {"nose": 5}}',
        '{"joints": {"nose": {}}}',
        '{"joints": [1]}',
        "[1]",
        "7",
    ],
)
def test_labels_that_are_none(store, stored):
    edits.apply(store, op("comment", 0, text="x"), who=ANNA, base=ON_DISK)
    with store.session() as session:
        session.execute(text("UPDATE event SET after = :stored"), {"stored": stored})
    with pytest.raises(ReviewError, match=r"row is damaged.*backup"):
        history.check_replay(store, KEY)
