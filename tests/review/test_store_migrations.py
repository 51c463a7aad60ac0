"""An older store becomes one of this release after a copy; others are left as they are."""

import contextlib
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from review_ops import ANNA, KEY, ON_DISK, op
from sqlalchemy import create_engine, inspect, make_url, text

from synthstudio.core.errors import ReviewError
from synthstudio.review import edits, history, migrate
from synthstudio.review.models import Base, DatasetRow, MemberRow, utc_now
from synthstudio.review.store import open_store

OLD, NEW = migrate.revisions()[0], migrate.revisions()[-1]


def test_revisions_are_one_chain_of_rising_numbers():
    folder = Path(migrate.__file__).parent / "migrations/versions"
    files = sorted(path.name[1:5] for path in folder.glob("r*.py"))
    assert files == list(migrate.revisions()) == [f"{n:04d}" for n in range(1, len(files) + 1)]


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


def test_steps_make_what_the_models_say(store_url):
    open_store(store_url).close()
    with plain_engine(store_url) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_missing_column_would_be_seen(store_url):
    """The control for the test above."""
    open_store(store_url).close()
    with plain_engine(store_url) as engine:
        with engine.begin() as connection:
            connection.execute(text('ALTER TABLE member DROP COLUMN "by"'))
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert len(compare_metadata(context, Base.metadata)) == 1


def test_up_and_down(store_url):
    found = fill(store_url)
    whole = tables(store_url)
    to(store_url, OLD)
    older = tables(store_url)
    assert older["member"][0] == ["name", "role"] and whole["member"][0][2:] == ["by", "when"]
    assert "ix_event_dataset_who_when" not in older["event"][1]
    to(store_url, NEW)
    assert tables(store_url) == whole
    store = open_store(store_url)
    assert history.events(store, KEY) == found and history.check_replay(store, KEY) == []
    store.close()
    to(store_url, "base")
    assert set(tables(store_url)) <= {"alembic_version"}
    to(store_url, NEW)
    assert tables(store_url) == whole


def test_an_older_store_is_copied_then_migrated(store_url, tmp_path):
    found = fill(store_url)
    to(store_url, OLD)
    store = open_store(store_url)
    assert revision_of(store_url) == NEW
    assert history.events(store, KEY) == found
    with store.session() as session:
        member = session.get(MemberRow, "anna")
        assert (member.role, member.by, member.when) == ("lead", None, None)
    store.close()
    if store_url.startswith("sqlite"):
        copy = tmp_path / f"review.db.before-{OLD}"
        assert revision_of(f"sqlite:///{copy}") == OLD
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT count(*) FROM event").fetchone() == (2,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    else:
        with plain_engine(store_url) as engine, engine.connect() as connection:
            count = connection.scalar(text(f'SELECT count(*) FROM "before_{OLD}".event'))
            assert count == 2
    # A second time the first copy stays.
    to(store_url, OLD)
    open_store(store_url).close()
    if store_url.startswith("sqlite"):
        assert (tmp_path / f"review.db.before-{OLD}-2").is_file()


def test_a_store_of_today_is_not_copied(store_url, tmp_path):
    fill(store_url)
    open_store(store_url).close()
    assert not list(tmp_path.glob("*before*"))


def test_a_newer_store_is_refused(store_url):
    fill(store_url)
    with plain_engine(store_url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = tables(store_url)
    with pytest.raises(ReviewError, match=r"newer release.*9999.*Update synthstudio"):
        open_store(store_url)
    assert tables(store_url) == before and revision_of(store_url) == "9999"


def test_a_database_of_something_else_is_refused(store_url):
    with plain_engine(store_url) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE songs (id INTEGER)"))
    with pytest.raises(ReviewError, match=r"something else.*songs"):
        open_store(store_url)
    assert set(tables(store_url)) == {"songs"}


def test_a_step_that_fails_leaves_the_old_store(store_url, monkeypatch):
    found = fill(store_url)
    to(store_url, OLD)
    old = tables(store_url)
    real = migrate.command.upgrade

    def fail(config, revision):
        real(config, revision)
        raise RuntimeError("the power went")

    monkeypatch.setattr(migrate.command, "upgrade", fail)
    with pytest.raises(RuntimeError):
        open_store(store_url)
    monkeypatch.undo()
    assert tables(store_url) == old and revision_of(store_url) == OLD
    store = open_store(store_url)
    assert history.events(store, KEY) == found
    store.close()


def test_two_processes_open_a_new_store_at_once(store_url):
    code = (
        "import sys; from synthstudio.review.store import open_store;"
        "sys.stdin.read(1); open_store(sys.argv[1]).close()"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, store_url],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        process.stdin.write("x")
        process.stdin.flush()
    output = [process.communicate(timeout=120)[1] for process in started]
    assert [p.returncode for p in started] == [0, 0, 0], output
    assert revision_of(store_url) == NEW


@pytest.mark.postgres
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


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://a/b",
        "no url",
        "sqlite:///a?mode=ro",
        "sqlite:////no/such/folder/review.db",
        "postgresql+asyncpg://x/y",
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(ReviewError):
        open_store(url)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "review.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ReviewError, match="cannot be used"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"not a database at all" * 100


@pytest.mark.postgres
def test_a_server_that_is_away_is_told_without_the_password(postgres_url):
    url = make_url(postgres_url).set(database="absent", password="s3cret")
    with pytest.raises(ReviewError, match="absent") as caught:
        open_store(url.render_as_string(hide_password=False))
    assert "s3cret" not in str(caught.value)


def test_a_wheel_holds_the_steps(tmp_path):
    """What an installed package migrates with: the steps are modules of a package."""
    root = Path(__file__).resolve().parents[2]
    code = (
        "from setuptools import find_packages;"
        f"print(*find_packages({str(root)!r}, include=['synthstudio*']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "synthstudio.review.migrations.versions" in done.stdout.split()
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:  # nothing but what packages hold
        for path in (root / "synthstudio" / "review").rglob("*.py"):
            file.write(path, path.relative_to(root))
        for part in ("core", "dataset"):
            for path in (root / "synthstudio" / part).rglob("*.py"):
                file.write(path, path.relative_to(root))
        file.write(root / "synthstudio" / "__init__.py", "synthstudio/__init__.py")
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r});"
        "from synthstudio.review import migrate;"
        "from sqlalchemy import create_engine;"
        f"assert migrate.__file__.startswith({str(tmp_path)!r});"
        f"engine = create_engine('sqlite:///{tmp_path / 'new.db'}');"
        "migrate.move_to(engine, migrate.revisions()[-1])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert revision_of(f"sqlite:///{tmp_path / 'new.db'}") == NEW
