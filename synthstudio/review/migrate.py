"""An older store becomes one of this release, after a copy; a newer one is refused.

Steps lie in review/migrations/versions. All of them happen in one transaction under a lock, so
two processes that open the same store at once do them once, and a kill leaves the old store.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from synthstudio.core.errors import ReviewError
from synthstudio.dataset.durable import whole_file

BEGIN = "sqlite_begin"
"""The execution option that says how store.py's SQLite transactions begin; "" for none."""
_PG_LOCK = 0x53594E54
"""Any number that no other program locks by: it stands for "migrating a review store"."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "synthstudio.review:migrations")
    config.attributes["connection"] = connection
    return config


def revisions() -> tuple[str, ...]:
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(step.revision for step in steps)[::-1]


def current(connection: Connection) -> str | None:
    """Return the revision of a store; None where there is none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate_store(engine: Engine, where: str) -> None:
    """Make the tables, or migrate those of an older release after a copy of them was made.

    `engine` must not enforce foreign keys on SQLite. ReviewError for a newer store and for a
    database of something else, which are left as they are.
    """
    known = revisions()
    with engine.connect() as connection:
        # In this order: tables that another process makes in between are not taken for strangers'.
        tables = inspect(connection).get_table_names()
        now = current(connection)
    if now == known[-1]:
        return
    _check(now, known, tables, where)
    if now is not None and engine.dialect.name == "sqlite":
        copy_sqlite(engine, _free(Path(f"{engine.url.database}.before-{now}")))
    with engine.begin() as connection:
        lock(connection)
        now = current(connection)
        if now == known[-1]:
            return  # another process was faster
        if now is not None and engine.dialect.name == "postgresql":
            _copy_postgres(connection, now)
        command.upgrade(_config(connection), "head")


def move_to(engine: Engine, revision: str) -> None:
    """Bring a store up or down to a revision ("base": no tables at all), without a copy."""
    with engine.begin() as connection:
        lock(connection)
        known = ("base", *revisions())
        now = current(connection) or "base"
        act = command.upgrade if known.index(revision) > known.index(now) else command.downgrade
        act(_config(connection), revision)


def lock(connection: Connection) -> None:
    """Wait until nobody else migrates; SQLite's write lock is held since BEGIN IMMEDIATE."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _PG_LOCK})


def copy_sqlite(engine: Engine, path: Path) -> None:
    """Copy a SQLite database as it is at one moment, while others write; it is on disk after.

    The copy gets its name only when it is whole.
    """
    reading = engine.connect().execution_options(**{BEGIN: ""})
    with whole_file(path, private=True) as unfinished, reading as connection:
        connection.exec_driver_sql("VACUUM INTO ?", (str(unfinished),))


def _check(now: str | None, known: tuple[str, ...], tables: list[str], where: str) -> None:
    if now is None and tables:
        raise ReviewError(
            "this database holds something else",
            where=where,
            expected="a review store or an empty database",
            got=f"the tables {', '.join(sorted(tables)[:5])}",
            then="Name another with --db.",
        )
    if now is not None and now not in known:
        raise ReviewError(
            "this review store was made by a newer release",
            where=where,
            expected=f"revision {known[-1]} or older",
            got=now,
            then="Update synthstudio; nothing was changed.",
        )


def _free(path: Path) -> Path:
    tries = (path.with_name(f"{path.name}-{n}") if n > 1 else path for n in range(1, 10_000))
    return next(candidate for candidate in tries if not candidate.exists())


def _copy_postgres(connection: Connection, revision: str) -> None:
    """Copy all tables into a schema of their own, in the migration's own transaction."""
    have = set(inspect(connection).get_schema_names())
    names = (f"before_{revision}" + (f"_{n}" if n > 1 else "") for n in range(1, 10_000))
    schema = next(name for name in names if name not in have)
    tables = inspect(connection).get_table_names()
    connection.execute(text(f'CREATE SCHEMA "{schema}"'))
    for table in tables:
        connection.execute(text(f'CREATE TABLE "{schema}"."{table}" AS TABLE "{table}"'))
