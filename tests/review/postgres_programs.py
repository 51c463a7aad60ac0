"""Where PostgreSQL's own programs are."""

import os
import shutil
from pathlib import Path

import pytest

NEEDED = ("initdb", "pg_ctl", "psql")


def missing(what: str) -> None:
    """Skip, or fail where SYNTHSTUDIO_REQUIRE says that it has to be there."""
    if "postgres" in os.environ.get("SYNTHSTUDIO_REQUIRE", ""):
        pytest.fail(f"{what}, and SYNTHSTUDIO_REQUIRE asks for postgres")
    pytest.skip(what)


def programs() -> Path:
    """Return the folder of PostgreSQL's server programs."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if all((folder / name).is_file() for name in NEEDED):
            return folder
    missing("no initdb, pg_ctl and psql on PATH or in /usr/lib/postgresql")
    raise AssertionError
