"""Fixtures of the review store: on SQLite, and in nightly runs on a PostgreSQL of its own too."""

import shutil
import tempfile
from pathlib import Path

import pytest
from people_rows import make_rows, write_rows
from postgres_programs import Server
from review_ops import KEY, Desk, make_set
from sqlalchemy import create_engine, event, text

from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.risk.table import people_table
from synthstudio.review.store import open_store


@pytest.fixture(scope="session")
def postgres_server():
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    server = Server(home).create().start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def made_store(tmp_path_factory):
    file = tmp_path_factory.mktemp("made") / "review.db"
    open_store(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def made_database(postgres_server):
    admin = create_engine(postgres_server.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE made TEMPLATE template0"))
    admin.dispose()
    open_store(postgres_server.url("made")).close()
    return "made"


@pytest.fixture
def postgres_url(postgres_server, request):
    """Return the URL of a database on the test's server, dropped at the end: empty, or with an
    empty store where a test asks for that too."""
    name = f"t{abs(hash(request.node.nodeid))}"
    opened = "empty_store" in request.fixturenames
    template = request.getfixturevalue("made_database") if opened else "template0"
    admin = create_engine(postgres_server.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield postgres_server.url(name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


NIGHTLY = pytest.mark.nightly("PostgreSQL beyond the smoke test of test_store_load.py")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, NIGHTLY])])
def store_url(request, tmp_path):
    """Return the URL of a store: first SQLite, then PostgreSQL. There is none yet, or an empty one
    where a test asks for that too."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    if "empty_store" in request.fixturenames:
        shutil.copy(request.getfixturevalue("made_store"), tmp_path / "review.db")
    return f"sqlite:///{tmp_path / 'review.db'}"


@pytest.fixture
def empty_store(store_url):
    opened = open_store(store_url)
    if opened.engine.dialect.name == "sqlite":
        event.listen(opened.engine, "checkout", lambda c, *_: c.execute("PRAGMA synchronous=OFF"))
    yield opened
    opened.close()


@pytest.fixture
def store(empty_store):
    with empty_store.session() as session:
        session.add(
            DatasetRow(key=KEY, name="sticks", skeleton="coco17", people=6, added_at=utc_now())
        )
    return empty_store


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("sticks") / "set")


@pytest.fixture(scope="session")
def people_set(tmp_path_factory):
    return write_rows(make_rows(50, each=4), tmp_path_factory.mktemp("people") / "set")


@pytest.fixture(scope="session")
def table(people_set):
    return people_table(people_set)


@pytest.fixture
def desk(empty_store, small_set):
    return Desk(empty_store, small_set)


@pytest.fixture
def key(desk):
    return desk.key
