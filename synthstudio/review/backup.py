"""A copy of the store at one moment, made while others go on writing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from synthstudio.core.errors import ReviewError
from synthstudio.dataset.durable import disk_errors
from synthstudio.review.migrate import copy_sqlite
from synthstudio.review.store import Store, refusing

_MOST_SECONDS = 24 * 3600


def backup(store: Store, path: Path) -> Path:
    """Copy the store to a new file: a SQLite database, or pg_dump's custom format.

    The file appears only when it is whole. ReviewError when it exists already, or when pg_dump
    is missing or fails; DiskError; Refused ("busy").
    """
    if path.exists():
        raise ReviewError(
            "a backup overwrites nothing", where=str(path), expected="a new file name"
        )
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if store.engine.dialect.name == "sqlite":
            with refusing(store.url):
                copy_sqlite(store.engine, path)
        else:
            _dump(store, path)
    return path


def _dump(store: Store, path: Path) -> None:
    url = store.engine.url
    program = _pg_dump()
    partial = path.with_name(path.name + ".partial")
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    # A password on a command line could be read by everybody on the machine.
    secret = {"PGPASSWORD": url.password} if url.password else {}
    command = [program, "--format=custom", f"--file={partial}", "--no-password", plain]
    done = subprocess.run(
        command,
        env={**os.environ, **secret},
        capture_output=True,
        text=True,
        check=False,
        timeout=_MOST_SECONDS,
    )
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise ReviewError(
            "pg_dump failed",
            where=store.url,
            got=done.stderr.strip()[:300],
            then="Its release must not be older than the server's.",
        )
    partial.replace(path)


def _pg_dump() -> str:
    found = shutil.which("pg_dump")
    others = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), reverse=True)
    if found is None and not others:
        raise ReviewError(
            "a copy of a PostgreSQL store is made by pg_dump, which is not here",
            where="backup",
            expected="pg_dump on PATH",
            then="Install PostgreSQL's client programs, or run it where they are: "
            "pg_dump --format=custom --file=FILE URL.",
        )
    return found or str(others[0])
