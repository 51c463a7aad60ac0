"""The review store: a SQLite file or a PostgreSQL database, opened, locked, copied."""

import os
import shutil
import subprocess
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Delete,
    Engine,
    Update,
    create_engine,
    event,
    exc,
    func,
    inspect,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from synthstudio.core.errors import DiskError, Refused, ReviewError
from synthstudio.core.places import plain_file
from synthstudio.dataset.durable import new_parents, whole_file
from synthstudio.review.models import SCHEMA, Base, SchemaRow

BEGIN = "sqlite_begin"
"""The execution option with the BEGIN statement of a SQLite transaction; "" for none."""
BUSY_S = 10.0
"""How long a writer waits for another one before the op is refused as busy."""
_AT_ONCE = "synthstudio_at_once"
"""The execution option of a transaction that does not wait for others."""
FILE_NAME = "review.db"
_FULL = ("disk is full", "no space left", "disk full", "53100")
_READ_ONLY = ("readonly", "read-only", "unable to open")
_TEMPORARY = ("locked", "busy", *_FULL, *_READ_ONLY, "disk i/o")


@dataclass(frozen=True, kw_only=True)
class Store:
    """An open review store. Thread-safe; not fork-safe."""

    engine: Engine
    url: str

    @contextmanager
    def session(self, *, waits: bool = True) -> Iterator[Session]:
        """Begin a transaction that may write; commits at the end, or rolls back.

        On SQLite it takes the write lock at the start, so it cannot fail later. Refused
        ("busy") when that takes longer than BUSY_S, or when the disk is full. `waits` False:
        refused at once during another write (on PostgreSQL: of the same rows).
        """
        engine = self.engine if waits else self.engine.execution_options(**{_AT_ONCE: True})
        with refusing(self.url), _transaction(engine) as session:
            if not waits and engine.dialect.name == "postgresql":
                # Milliseconds; 0 would be for ever.
                session.connection().exec_driver_sql("SET LOCAL lock_timeout = 1")
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Begin a read-only transaction on a current snapshot."""
        store, session = _snapshot.get() or (None, None)
        with refusing(self.url):
            if store is self and session is not None:
                yield session
                return
            with _transaction(self._reader) as session:
                yield session

    def check(self) -> None:
        """Read from the database; Refused or ReviewError if that fails."""
        with self.reading() as session:
            session.scalar(select(SchemaRow.version_num))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Share one snapshot transaction among all nested `reading` of this thread.

        Concurrent writes are not visible.
        """
        with self.reading() as session:
            token = _snapshot.set((self, session))
            try:
                yield
            finally:
                _snapshot.reset(token)

    @cached_property
    def _reader(self) -> Engine:
        options: dict[str, Any] = {BEGIN: "BEGIN"}
        if self.engine.dialect.name == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return self.engine.execution_options(**options)

    def close(self) -> None:
        self.engine.dispose()


_snapshot: ContextVar[tuple[Store, Session] | None] = ContextVar("snapshot", default=None)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Session]:
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


def default_url(folder: Path) -> str:
    """The URL of the SQLite store in a folder: beside data sets, never inside one."""
    path = (Path(folder) / FILE_NAME).resolve()
    return URL.create("sqlite", database=str(path)).render_as_string()


def open_store(url: str, *, make: bool = True) -> Store:
    """An open review store, created if missing unless `make` is False.

    `url`: "sqlite:///FILE" or "postgresql+psycopg://USER@HOST/DATABASE". ReviewError for other
    URLs, a foreign database, a store of another schema, or an unreachable one.
    """
    parsed = _parsed(url)
    shown = parsed.render_as_string(hide_password=True)
    file = parsed.database if parsed.get_backend_name() == "sqlite" else None
    if not make and file is not None and not Path(file).is_file():
        raise ReviewError(
            "no review store here",
            where=shown,
            then="Review something in the studio first, or pass another with --db.",
        )
    engine = _engine(parsed)
    try:
        if file is not None:
            _check_writable(Path(file), shown)
            _make_private(Path(file))
            _use_wal(engine, shown)
        _make_tables(engine, shown)
    except (exc.DBAPIError, UnicodeDecodeError) as error:
        raise _unusable(shown, error) from error
    finally:
        engine.dispose()
    return Store(engine=engine, url=shown)


def _make_tables(engine: Engine, where: str) -> None:
    """Make the tables of an empty database; once among several processes."""
    with engine.connect().execution_options(**{BEGIN: "BEGIN"}) as connection:
        if _schema(connection) == SCHEMA:
            return
    with Session(engine) as session, session.begin():
        advisory_lock(session, "schema")
        connection = session.connection()
        found, tables = _schema(connection), inspect(connection).get_table_names()
        if not tables:
            Base.metadata.create_all(connection)
            session.add(SchemaRow(version_num=SCHEMA))
        elif found is None:
            raise ReviewError(
                "not a review store",
                where=where,
                expected="a review store or an empty database",
                got=f"the tables {', '.join(sorted(tables)[:5])}",
                then="Pass another with --db.",
            )
        elif found != SCHEMA:
            raise ReviewError(
                "this review store has another schema",
                where=where,
                expected=SCHEMA,
                got=found,
                then="Use the version of synthstudio that made it; nothing was changed.",
            )


def _schema(connection: Connection) -> str | None:
    if not inspect(connection).has_table(SchemaRow.__tablename__):
        return None
    return connection.scalar(select(SchemaRow.version_num))


def upsert(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows (of the same columns), replacing those with the same primary key."""
    query = insert_into(session, table)
    keys = [column.name for column in inspect(table).primary_key]
    new = {name: query.excluded[name] for name in rows[0] if name not in keys}
    session.execute(query.on_conflict_do_update(index_elements=keys, set_=new), list(rows))


def insert_into(session: Session, table: type[Base]) -> Any:
    """The dialect's INSERT with ON CONFLICT."""
    postgres = session.get_bind().dialect.name == "postgresql"
    return (postgresql.insert if postgres else sqlite.insert)(table)


def count_changed(session: Session, statement: Update | Delete) -> int:
    """Row count of an UPDATE or DELETE."""
    done = session.execute(statement)
    assert isinstance(done, CursorResult)
    return done.rowcount


def advisory_lock(session: Session, what: str) -> None:
    """Take a named lock for the transaction; SQLite serialises writers anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(what, 0))))


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise _bad_url("not understood") from error
    if parsed.get_backend_name() == "sqlite":
        path = parsed.database or ""
        if not path or path.startswith((":", "file:")) or parsed.query:
            raise _bad_url("a SQLite store needs a file")
        if not Path(path).parent.is_dir():
            raise ReviewError(
                "no such folder",
                where=str(Path(path).parent),
                then="Create it, or pass another file with --db.",
            )
    elif parsed.drivername in ("postgresql", "postgresql+psycopg", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    else:
        raise _bad_url(f"not for databases of {parsed.drivername}")
    return parsed


def _bad_url(what: str) -> ReviewError:
    return ReviewError(
        f"the URL of a review store: {what}",
        where="--db",
        expected="sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE",
    )


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_S})
        _set_up_sqlite(engine)
        return engine
    options = f"-c lock_timeout={int(BUSY_S * 1000)} -c timezone=UTC"
    arguments = {"connect_timeout": int(BUSY_S)}
    if "options" not in url.query:
        arguments["options"] = options  # type: ignore[assignment]
    try:
        return create_engine(url, connect_args=arguments, pool_pre_ping=True)
    except ImportError as error:
        raise ReviewError(
            "PostgreSQL needs the package psycopg",
            where="--db",
            then="Install it with: pip install 'synthstudio[postgres]'",
        ) from error


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # this file sends BEGIN itself
        # Full: acknowledged writes survive a power cut.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that becomes a writer can be refused at once, regardless of the timeout.
        options = connection.get_execution_options()
        begin = options.get(BEGIN, "BEGIN IMMEDIATE")
        if options.get(_AT_ONCE):
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            if begin:
                connection.exec_driver_sql(begin)
        finally:
            if options.get(_AT_ONCE):  # restore waiting for pooled connections
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def _make_private(path: Path) -> None:
    """Make the store readable by its owner only; SQLite's other files get the same mode.

    An existing store is not opened here: closing it would release all locks of this process
    has on it (https://sqlite.org/howtocorrupt.html, 2.2), and others could delete its log.
    """
    with suppress(OSError):  # another owner's file; opening it reports errors
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            if file.is_file() and file.stat().st_uid == os.getuid():
                file.chmod(0o600)


def _check_writable(path: Path, where: str) -> None:
    """ReviewError for a read-only SQLite store, which SQLite reports as "unable to open"."""
    closed = [p for p in (path, path.parent) if p.exists() and not os.access(p, os.W_OK)]
    if closed:
        raise ReviewError(
            "the review store is read-only",
            where=where,
            expected="a writable file and folder, for reviews and leases",
            got=f"no permission to write {closed[0]}",
            then="Change its permissions, or pass a copy elsewhere with --db.",
        )


def _use_wal(engine: Engine, where: str) -> None:
    """Set WAL mode, for concurrent readers and a writer; persistent in the file."""
    with engine.connect().execution_options(**{BEGIN: ""}) as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
    if mode != "wal":
        raise ReviewError(
            "the file system does not support a shared SQLite store",
            where=where,
            expected="journal mode wal",
            got=str(mode),
            then="Put it on a local disk, or use PostgreSQL.",
        )


@contextmanager
def refusing(where: str) -> Iterator[None]:
    """Turn a temporary failure into Refused("busy"), a damaged file into ReviewError."""
    try:
        yield
    except (exc.OperationalError, exc.TimeoutError) as error:
        raise as_refused(error, where) from error
    except exc.DataError as error:  # NUL in a text, as PostgreSQL refuses it
        what = "the database cannot store this value"
        raise Refused(what, got=str(error.orig)[:200], reason="invalid") from error
    except exc.DatabaseError as error:
        if type(error) is not exc.DatabaseError:  # its subclasses are programming errors
            raise
        raise _unusable(where, error) from error
    except ValueError as error:  # an invalid time, JSON or text in a cell
        *_, last = traceback.walk_tb(error.__traceback__)
        if str(last[0].f_globals.get("__name__", "")).startswith("synthstudio."):
            raise  # a bug, not a damaged file
        raise _unusable(where, error) from error


def as_refused(error: Exception, where: str) -> Exception:
    """Refused("busy") for a database that is locked, full or unreachable; else the error."""
    text = str(getattr(error, "orig", error)).lower()
    if isinstance(error, exc.OperationalError) and "sqlite" in str(type(error.orig)):
        if not any(sign in text for sign in _TEMPORARY):
            return _unusable(where, error)
    if any(sign in text for sign in _FULL):
        what, then = "the database's disk is full", "Free some space, then try again."
    elif any(sign in text for sign in _READ_ONLY):
        what = "the review store is read-only"
        then = "Make its file and folder writable, then try again."
    else:
        what, then = "the database cannot be used now", "Try again in a moment."
    # If a connection breaks during a commit, the outcome is unknown. Repeats under
    # the same name take effect once in any case.
    unknown = getattr(error, "connection_invalidated", False)
    return Refused(
        what,
        where=where,
        got=text.splitlines()[0][:200],
        then=then if unknown else f"Nothing changed. {then}",
        reason="busy",
    )


def _unusable(where: str, error: Exception) -> ReviewError:
    first = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
    return ReviewError("the review store cannot be used", where=where, got=first[0][:200])


_MAX_SECONDS = 24 * 3600


def backup(store: Store, path: Path) -> Path:
    """Copy the store to a new SQLite file, or by pg_dump; ReviewError, DiskError."""
    with new_parents(plain_file(path, new=True)):
        if store.engine.dialect.name == "sqlite":
            try:
                _copy_sqlite(store.engine, path)
            except exc.DBAPIError as error:
                text = str(error.orig)
                full = any(sign in text.lower() for sign in _FULL)
                raise DiskError(
                    "the disk is full" if full else "the copy could not be made",
                    where=str(path),
                    got=text.splitlines()[0][:200],
                    then=f"The store is unchanged. {_MORE_SPACE if full else _LATER}",
                ) from error
        else:
            _dump(store, path)
    return path


def _copy_sqlite(engine: Engine, path: Path) -> None:
    reading = engine.connect().execution_options(**{BEGIN: ""})
    with whole_file(path, private=True) as unfinished, reading as connection:
        connection.exec_driver_sql("VACUUM INTO ?", (str(unfinished),))


_MORE_SPACE = "Free some space or choose another --out, then run it again."
_LATER = "Run it again when the store is not being written."


def _dump(store: Store, path: Path) -> None:
    url = store.engine.url
    program = _pg_dump()
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    # A password on a command line is visible to all users of the machine.
    secret = {"PGPASSWORD": url.password} if url.password else {}
    with whole_file(path, private=True) as unfinished:
        done = subprocess.run(
            [program, "--format=custom", f"--file={unfinished}", "--no-password", plain],
            env={**os.environ, **secret},
            capture_output=True,
            text=True,
            check=False,
            timeout=_MAX_SECONDS,
        )
        if done.returncode:
            raise ReviewError(
                "pg_dump failed",
                where=store.url,
                got=done.stderr.strip()[:300],
                then="Its release must not be older than the server's.",
            )


def _pg_dump() -> str:
    found = shutil.which("pg_dump")
    others = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), reverse=True)
    if found is None and not others:
        raise ReviewError(
            "copying a PostgreSQL store needs pg_dump",
            where="backup",
            expected="pg_dump on PATH",
            then="Install PostgreSQL's client programs, or run it elsewhere: "
            "pg_dump --format=custom --file=FILE URL.",
        )
    return found or str(others[0])
