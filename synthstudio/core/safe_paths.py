"""File names from outside: none leads out of the folder that it is said to be in."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from synthstudio.core.errors import FormatError

MAX_NAME_CHARS = 1024
_BAD = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:")


def plain_name(name: object, *, where: str) -> str:
    """A relative name without `..`; FormatError for any other."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME_CHARS or _BAD.search(name):
        raise _out(where, name)
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise _out(where, name)
    return pure.as_posix()


def file_inside(root: Path, name: object, *, where: str) -> Path:
    """The path of the plain file `name` below `root`, links followed; else FormatError."""
    path = root / plain_name(name, where=where)
    try:
        found = path.resolve()
        if not found.is_relative_to(root.resolve()):
            raise _out(where, name)
        if not found.is_file():
            raise FormatError(
                "there is no such file",
                where=where,
                expected=f"a file below {root}",
                got=str(name)[:200],
            )
    except (OSError, RuntimeError, ValueError) as error:  # name too long, links in a circle
        raise FormatError(f"no file can be named so: {error}", where=where) from error
    return found


def _out(where: str, name: object) -> FormatError:
    return FormatError(
        "a file name leads out of its folder or is none",
        where=where,
        expected="a relative name without ..",
        got=repr(name)[:200],
    )
