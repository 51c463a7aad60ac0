"""Fixtures of the review store: each store test runs on SQLite and on a PostgreSQL of its own."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from postgres_programs import missing, programs
from review_ops import KEY, make_set
from sqlalchemy import create_engine, text

from synthstudio.review.models import DatasetRow, utc_now
from synthstudio.review.store import open_store
from synthstudio.review.team import passwords


@pytest.fixture(scope="session")
def postgres_server():
    """Start a server with its own data folder, port, user and socket; return its folder."""
    folder = programs()
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    prefix: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None:
            missing("PostgreSQL does not run as root, and there is no runuser")
        shutil.chown(home, "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        command = [*prefix, str(folder / program), *arguments]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        log = home / "log"
        output = log.read_text() if log.is_file() else ""
        assert done.returncode == 0, f"{program}: {done.stderr}\n{output}"

    data = str(home / "data")
    run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
    options = f"-c listen_addresses= -c port=54329 -c unix_socket_directories={home} -c fsync=off"
    # Its output goes to a file: whoever waits for a pipe would wait for the server's end.
    run("pg_ctl", "start", "-w", "-t", "240", "-D", data, "-l", str(home / "log"), "-o", options)
    try:
        yield home
    finally:
        run("pg_ctl", "stop", "-D", data, "-m", "immediate")
        shutil.rmtree(home)


@pytest.fixture
def postgres_url(postgres_server, request):
    """Return the URL of an empty database on the test's server; dropped at the end."""

    def url(name: str) -> str:
        return f"postgresql+psycopg://tester@/{name}?host={postgres_server}&port=54329"

    name = f"t{abs(hash(request.node.nodeid))}"
    admin = create_engine(url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    yield url(name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request, tmp_path):
    """Return the URL of an empty store: first SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'review.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def cheap_hashes(monkeypatch):
    """Hash passwords with little memory: what is asked does not depend on it."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(1, 64, 1))
    passwords._nobodys.cache_clear()
    yield
    passwords._nobodys.cache_clear()


@pytest.fixture
def empty_store(store_url):
    """Return an open store that knows no data set."""
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def store(empty_store):
    """Return an open store that knows one data set under the key KEY."""
    with empty_store.session() as session:
        session.add(
            DatasetRow(key=KEY, name="sticks", skeleton="coco17", people=6, added_at=utc_now())
        )
    return empty_store


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """Return a data set of 5 frames of stick people with pictures (3, 1, 0, 2 and 4 people)."""
    return make_set(tmp_path_factory.mktemp("sticks") / "set")
