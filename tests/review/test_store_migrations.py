"""An older store becomes one of this release after a copy; others are left as they are."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from review_ops import ANNA, KEY, ON_DISK, op
from setuptools import find_packages
from sqlalchemy import create_engine, inspect, make_url, text

from synthstudio.core.errors import ReviewError
from synthstudio.review import edits, history, migrate
from synthstudio.review.models import Base, DatasetRow, MemberRow, utc_now
from synthstudio.review.store import open_store

OLD, NEW = migrate.revisions()[0], migrate.revisions()[-1]
ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def plain_engine(url):
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def tables(url):
    """Return table -> its columns and indexes, as the database has them."""
    with plain_engine(url) as engine:
        looked = inspect(engine)
        return {
            name: (
                [c["name"] for c in looked.get_columns(name)],
                sorted(i["name"] for i in looked.get_indexes(name)),
            )
            for name in looked.get_table_names()
        }


def fill(url):
    """Put a data set, two events and a member into a store."""
    store = open_store(url)
    with store.session() as session:
        session.add(DatasetRow(key=KEY, name="a", skeleton="coco17", people=3, added_at=utc_now()))
        session.add(MemberRow(name="anna", role="lead", by="ada", when=utc_now()))
    for revision in range(2):
        edits.apply(store, op("edit", revision), who=ANNA, base=ON_DISK)
    found = history.events(store, KEY)
    store.close()
    return found


def to(url, revision):
    with plain_engine(url) as engine:
        migrate.move_to(engine, revision)


def revision_of(url):
    with plain_engine(url) as engine, engine.connect() as connection:
        return migrate.current(connection)


def test_revisions_are_one_chain_of_rising_numbers_in_the_package():
    folder = Path(migrate.__file__).parent / "migrations/versions"
    files = sorted(path.name[1:5] for path in folder.glob("r*.py"))
    assert files == list(migrate.revisions()) == [f"{n:04d}" for n in range(1, len(files) + 1)]
    packages = find_packages(str(ROOT), include=["synthstudio*"])
    assert "synthstudio.review.migrations.versions" in packages


def test_all_steps_run_from_the_first_and_make_what_the_models_say(store_url):
    for revision in migrate.revisions():
        to(store_url, revision)
    with plain_engine(store_url) as engine:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
        with engine.begin() as connection:  # the control: a missing column would be seen
            connection.execute(text('ALTER TABLE member DROP COLUMN "by"'))
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert len(compare_metadata(context, Base.metadata)) == 1


def test_an_older_store_is_copied_then_migrated(store_url, tmp_path):
    found = fill(store_url)
    open_store(store_url).close()
    assert not list(tmp_path.glob("*before*"))  # one of today is not copied
    to(store_url, OLD)
    store = open_store(store_url)
    assert revision_of(store_url) == NEW
    assert history.events(store, KEY) == found and history.check_replay(store, KEY) == []
    with store.session() as session:
        member = session.get(MemberRow, "anna")
        assert (member.role, member.by, member.when) == ("lead", None, None)
    store.close()
    if store_url.startswith("sqlite"):
        copy = tmp_path / f"review.db.before-{OLD}"
        assert revision_of(f"sqlite:///{copy}") == OLD
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT count(*) FROM event").fetchone() == (2,)
        to(store_url, OLD)
        open_store(store_url).close()  # a second time the first copy stays
        assert (tmp_path / f"review.db.before-{OLD}-2").is_file()
    else:
        with plain_engine(store_url) as engine, engine.connect() as connection:
            count = connection.scalar(text(f'SELECT count(*) FROM "before_{OLD}".event'))
            assert count == 2
    to(store_url, "base")
    assert set(tables(store_url)) <= {"alembic_version"}


def test_a_newer_store_and_one_of_something_else_are_refused(store_url):
    with plain_engine(store_url) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE songs (id INTEGER)"))
    with pytest.raises(ReviewError, match=r"something else.*songs"):
        open_store(store_url)
    assert set(tables(store_url)) == {"songs"}
    with plain_engine(store_url) as engine, engine.begin() as connection:
        connection.execute(text("DROP TABLE songs"))
    open_store(store_url).close()
    with plain_engine(store_url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = tables(store_url)
    with pytest.raises(ReviewError, match=r"newer release.*9999"):
        open_store(store_url)
    assert tables(store_url) == before and revision_of(store_url) == "9999"


def test_a_step_that_fails_leaves_the_old_store(store_url, monkeypatch):
    found = fill(store_url)
    to(store_url, OLD)
    old = tables(store_url)
    real = migrate.command.upgrade

    def fail(config, revision):
        real(config, revision)
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(migrate.command, "upgrade", fail)
        with pytest.raises(RuntimeError):
            open_store(store_url)
    assert tables(store_url) == old and revision_of(store_url) == OLD
    store = open_store(store_url)
    assert history.events(store, KEY) == found
    store.close()


@pytest.mark.nightly("three processes race for a new store")
def test_processes_open_a_new_store_at_once(store_url):
    code = (
        "import sys; from synthstudio.review.store import open_store;"
        "sys.stdin.read(1); open_store(sys.argv[1]).close()"
    )
    command = [sys.executable, "-W", "error", "-c", code, store_url]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in started:
        process.stdin.write("x")
        process.stdin.flush()
    output = [process.communicate()[1] for process in started]
    assert [p.returncode for p in started] == [0, 0, 0], output
    assert revision_of(store_url) == NEW


@pytest.mark.postgres
@pytest.mark.nightly("PostgreSQL beyond the smoke test")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_made_while_another_process_looks_is_no_stranger(postgres_url, monkeypatch, when):
    look = migrate.current

    def current(connection):
        """Be overtaken, the first time, by a process that makes the store."""
        monkeypatch.setattr(migrate, "current", look)
        now = look(connection) if when == "after" else None
        open_store(postgres_url).close()
        return now if when == "after" else look(connection)

    monkeypatch.setattr(migrate, "current", current)
    open_store(postgres_url).close()
    assert revision_of(postgres_url) == NEW


OTHERS = ["", "sqlite://", "sqlite:///:memory:", "mysql://a/b", "no url", "sqlite:///a?mode=ro"]
OTHERS += ["sqlite:////no/such/folder/review.db", "postgresql+asyncpg://x/y"]


@pytest.mark.parametrize("url", OTHERS)
def test_other_urls_are_refused(url):
    with pytest.raises(ReviewError):
        open_store(url)


@pytest.mark.postgres
@pytest.mark.nightly("PostgreSQL beyond the smoke test")
def test_a_server_that_is_away_is_named_without_the_password(postgres_url):
    url = make_url(postgres_url).set(database="absent", password="s3cret")
    with pytest.raises(ReviewError, match="absent") as caught:
        open_store(url.render_as_string(hide_password=False))
    assert "s3cret" not in str(caught.value)
