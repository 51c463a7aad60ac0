"""The rule for output paths, and disk errors.

A folder is new or empty: `.`, a mount point and a link to an empty folder are too. A file is new
or replaces a plain file. Nothing else is overwritten: no device, pipe, socket, link that
leads nowhere, no file in place of a folder or the reverse.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from synthstudio.core.errors import DiskError

TEMPORARY = ".tmp-"
"""Every unfinished file or folder has this prefix; the next writer there may delete it."""

_FREE = "Free some space, then run it again (generate: with --resume)."
_OTHER = "Choose another place for it."
_OWNER = "Choose another place for it, or change the owner of this one."
_WHY = {
    errno.ENOSPC: ("the disk is full, or has no room for more files", _FREE),
    errno.EDQUOT: ("the disk quota is used up", _FREE),
    errno.EFBIG: ("a file may not become as large as this here", "Raise the limit (ulimit -f)."),
    errno.EROFS: ("the file system is read-only", _OTHER),
    errno.EACCES: ("no permission to write here", _OWNER),
    errno.EPERM: ("no permission to write here", _OWNER),
    errno.ENOTDIR: ("a file is where a folder should be", _OTHER),
    errno.EISDIR: ("a folder is where a file should be", _OTHER),
    errno.EEXIST: ("something is there already", _OTHER),
    errno.ENOTEMPTY: ("something is there already", _OTHER),
    errno.ENAMETOOLONG: ("the name is too long for this file system", "Choose a shorter name."),
    errno.ELOOP: ("links lead in a circle", _OTHER),
    errno.ENOENT: ("a folder of the path is missing, or was deleted", "Run it again."),
    errno.EMFILE: ("too many files are open", "Raise the limit (ulimit -n), then run it again."),
    errno.ENOMEM: ("there is not enough memory", "Close other programs, then run it again."),
    errno.EIO: ("the disk failed", "Check the disk, then run it again (generate: with --resume)."),
}
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn an OSError of the body into a DiskError that names `where` and the remedy."""
    try:
        yield
    except OSError as error:
        what, then = _WHY.get(
            error.errno or 0, ("writing failed", "Run it again (generate: with --resume).")
        )
        named = error.filename2 or error.filename
        place = shown(Path(named) if isinstance(named, str) else where)
        got = os.strerror(error.errno) if error.errno else str(error)
        raise DiskError(what, where=place, got=got, then=then) from error


def shown(path: Path) -> str:
    """A path for messages: of an unfinished file the final path."""
    for place, part in enumerate(path.parts):
        if part.startswith(TEMPORARY):
            return str(Path(*path.parts[:place]))
    return str(path)


def free_folder(out: Path, *, own: Callable[[str], bool] = lambda name: False) -> Path:
    """The new or empty folder that `out` means, links followed; DiskError for anything else.

    Unfinished files do not count, nor do the caller's own files by `own(name)`.
    """
    kind = _kind(out)
    got = kind
    with disk_errors(out):
        if kind == "a folder":
            names = [p.name for p in out.iterdir()]
            others = sorted(n for n in names if not n.startswith(TEMPORARY) and not own(n))
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            got = f"a folder that holds {others[0]}{more}" if others else ""
    if got:
        raise DiskError(
            "invalid output folder",
            where=str(out),
            expected="a new or empty folder",
            got=got,
            then=_OTHER,
        )
    return _resolved(out)


def plain_file(out: Path, *, new: bool = False) -> Path:
    """The file that `out` means, links followed: new, or unless `new` a plain one; DiskError."""
    kind = _kind(out)
    if kind and (new or kind != "a file"):
        raise DiskError(
            "invalid output file",
            where=str(out),
            expected="a new file" if new else "a new file, or one to replace",
            got=kind,
            then=_OTHER,
        )
    return _resolved(out)


def _kind(path: Path) -> str:
    """Kind of the file at a path, links followed; "" if none."""
    with disk_errors(path):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return "a link that leads nowhere" if path.is_symlink() else ""
    return next((name for test, name in _KINDS if test(mode)), "a device")


def _resolved(path: Path) -> Path:
    """The absolute path only for links and `.`: otherwise as the user wrote it."""
    with disk_errors(path):
        return path.resolve() if path.is_symlink() or not path.name else path
