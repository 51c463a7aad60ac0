"""Which databases are opened as a review store, and which data set a review is of."""

import contextlib
import shutil
import subprocess
import sys

import pytest
from imported_photos import import_photos
from review_ops import ANNA, make_set, op
from sqlalchemy import create_engine, inspect, make_url, text

from synthstudio.core.errors import ReviewError
from synthstudio.dataset.reader import Dataset
from synthstudio.review import edits, history, store
from synthstudio.review.check import base_of
from synthstudio.review.history import content_key, register
from synthstudio.review.models import SCHEMA
from synthstudio.review.reviewed import export_reviewed
from synthstudio.review.store import open_store
from synthstudio.review.values import Person


@contextlib.contextmanager
def database(url):
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def tables(url):
    with database(url) as connection:
        return set(inspect(connection).get_table_names())


def schema(url):
    with database(url) as connection:
        return connection.scalar(text("SELECT version_num FROM alembic_version"))


def test_a_store_of_another_schema_and_a_database_of_something_else_are_refused(
    store_url, monkeypatch
):
    with database(store_url) as connection:
        connection.execute(text("CREATE TABLE songs (id INTEGER)"))
    with pytest.raises(ReviewError, match="songs"):
        open_store(store_url)
    assert tables(store_url) == {"songs"}
    with database(store_url) as connection:
        connection.execute(text("DROP TABLE songs"))
    look = store._schema

    def overtaken(connection):
        monkeypatch.setattr(store, "_schema", look)
        open_store(store_url).close()

    monkeypatch.setattr(store, "_schema", overtaken)
    open_store(store_url).close()  # one that another process makes meanwhile is no stranger
    assert schema(store_url) == SCHEMA
    for other in ("0011", "9999"):
        with database(store_url) as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{other}'"))
        before = tables(store_url)
        with pytest.raises(ReviewError, match=f"expected {SCHEMA}; got {other}"):
            open_store(store_url)
        assert tables(store_url) == before and schema(store_url) == other


OTHERS = ["", "sqlite://", "sqlite:///:memory:", "mysql://a/b", "no url", "sqlite:///a?mode=ro"]
OTHERS += ["sqlite:////no/such/folder/review.db", "postgresql+asyncpg://x/y"]


def test_other_urls_are_refused_and_a_file_that_may_not_be_written(tmp_path, monkeypatch):
    for url in OTHERS:
        with pytest.raises(ReviewError):
            open_store(url)
    url = f"sqlite:///{tmp_path}/review.db"
    open_store(url).close()
    monkeypatch.setattr(store.os, "access", lambda path, mode: False)
    with pytest.raises(ReviewError, match="read-only"):
        open_store(url)


@pytest.mark.postgres
@pytest.mark.nightly("PostgreSQL beyond the smoke test")
def test_a_server_that_is_away_is_named_without_the_password(postgres_url):
    url = make_url(postgres_url).set(database="absent", password="s3cret")
    with pytest.raises(ReviewError, match="absent") as caught:
        open_store(url.render_as_string(hide_password=False))
    assert "s3cret" not in str(caught.value)


def test_a_review_is_of_the_data_set_with_that_content(empty_store, tmp_path):
    """Two imports of three photos each have the same dataset.json, and other photos."""
    first, second = import_photos(tmp_path / "a", 40), import_photos(tmp_path / "b", 90)
    same, other = ((d.folder / "dataset.json").read_bytes() for d in (first, second))
    assert same == other
    keys = [register(empty_store, d, d.folder.name) for d in (first, second)]
    assert history.datasets(empty_store) == dict(zip(keys, ("a", "b"), strict=True))
    done = op("status", 0, person=Person(dataset=keys[0], frame=0, instance=1), status="approved")
    edits.apply(empty_store, done, who=ANNA, base=base_of(first, 0, 1))
    export_reviewed(empty_store, first, tmp_path / "out", form="coco")
    with pytest.raises(ReviewError):
        export_reviewed(empty_store, second, tmp_path / "none", form="coco")
    assert content_key(import_photos(tmp_path / "elsewhere", 40)) == keys[0] == content_key(first)
    unfinished = shutil.copytree(first.folder, tmp_path / "unfinished")
    (unfinished / "index.json").unlink()
    assert content_key(Dataset(unfinished, allow_unfinished=True)) == keys[0]
    sticks = make_set(tmp_path / "coco17"), make_set(tmp_path / "coco23", skeleton="coco23")
    assert len({content_key(d) for d in sticks}) == 2


WITHOUT_DATABASES = """
import sys
sys.modules.update(dict.fromkeys(("sqlalchemy", "psycopg")))  # None: they cannot be imported
import synthstudio.cli, synthstudio.formats.export
from synthstudio.core.errors import ReviewError
try:
    import synthstudio.review.store
except ReviewError as error:
    print(error)
"""


def test_without_its_packages_it_says_what_to_install_and_the_rest_works():
    command = [sys.executable, "-c", WITHOUT_DATABASES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'pip install "synthstudio[studio]"' in done.stdout
