"""Locations: a local folder, or the URL of an object store; the rule for output paths, disk errors.

An output folder is new or empty: `.`, a mount point and a link to an empty folder are too. A file
is new or replaces a plain file. Nothing else is overwritten: no device, pipe, socket, link that
leads nowhere, no file in place of a folder or the reverse.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from synthstudio.core.errors import DatasetError, DiskError

SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az"}
"""URL schemes of stores -> canonical scheme."""
_FILE = "file"
_MEANT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?:/|(?<=file:))(/?)(.*)", re.DOTALL)
_OF_OTHERS = ("http", "https", "ftp", "hdfs", "abfs", "abfss", "memory", "wasb", "wasbs")
_AFTER = re.compile(r"(?<=://)[^\s\"']+")


@dataclass(frozen=True)
class Url:
    """A location in an object store. `path`: bucket and key, without a trailing /."""

    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __truediv__(self, name: str) -> Url:
        return Url(self.scheme, f"{self.path}/{name}")

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


Place = Path | Url


def looks_like_url(text: str) -> bool:
    """Whether a text looks like a URL; pathlib reduces its // to /."""
    found = _MEANT.fullmatch(text)
    if found is None:
        return False
    known = found[1].lower() in (*SCHEMES, _FILE, *_OF_OTHERS)
    return bool(found[2]) or known


def parse_place(value: str | os.PathLike[str] | Url) -> Place:
    """The location of a text or path; DatasetError for an invalid URL.

    `file://` is a local folder. Passwords and queries are refused in a URL, since they
    would be stored with it.
    """
    if isinstance(value, Url):
        return value
    text = os.fspath(value)
    found = _MEANT.fullmatch(text)
    if found is None or not looks_like_url(text):
        return Path(text)
    scheme, rest = found[1].lower(), found[3]
    if scheme == _FILE:
        if text[5:6] != "/" or (found[2] and not rest.startswith(("/", "localhost/"))):
            raise DatasetError(
                "a file URL must name a local folder",
                where=shown_url(text),
                expected="such as file:///data/people",
            )
        rest = rest.removeprefix("localhost/") if found[2] else rest
        return Path("/" + unquote(rest).lstrip("/"))
    shown = shown_url(text)
    if scheme not in SCHEMES:
        raise DatasetError(
            "unsupported URL scheme",
            where=shown,
            expected=" or ".join(f"{name}://" for name in ("s3", "gs", "az", _FILE)),
            got=f"{scheme}://",
        )
    if re.search(r"[?#@]", rest):
        raise DatasetError(
            "a URL must not hold a password, query or fragment",
            where=shown,
            expected="such as s3://bucket/folder",
            then="Credentials come from the environment, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY.",
        )
    parts = rest.rstrip("/").split("/")
    if len(parts) < 2 or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise DatasetError(
            "not a folder in a bucket",
            where=shown,
            expected="such as s3://bucket/folder, without .. or empty names",
        )
    return Url(SCHEMES[scheme], "/".join(parts))


def resolved(place: Place) -> Place:
    """The canonical form of a location; links of a folder followed."""
    return place.resolve() if isinstance(place, Path) else place


def shown_url(text: str) -> str:
    """A URL without possible passwords and queries."""
    found = _MEANT.fullmatch(text)
    if found is None:
        return without_secrets(text)
    scheme = found[1].lower()
    between = text[len(_FILE) : found.start(3)] if scheme == _FILE else "://"
    return f"{scheme}{between}{_open(found[3])}"


def without_secrets(text: str) -> str:
    """A text with passwords and queries of its URLs removed."""
    return _AFTER.sub(lambda found: _open(found[0]), text)


def _open(rest: str) -> str:
    """The host or bucket and the path in what follows a URL's ://."""
    before, _, place = rest.rpartition("@")  # AWS secrets may hold a /
    return "..." if re.search(r"[?#]", before) else re.split(r"[?#]", place)[0]


_OWN_NAME = re.compile(r"[a-z0-9]{20,60}\.localhost")


def is_own_name(host: str | None) -> bool:
    """Whether a host is a hard-to-guess local name (against other accounts of this machine)."""
    return host is not None and _OWN_NAME.fullmatch(host) is not None


def is_local(address: str | None) -> bool:
    """Whether only this machine can reach an address or host name."""
    if address == "localhost" or is_own_name(address):
        return True
    try:
        return address is not None and ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def studio_origin(url: str) -> str | None:
    """A studio's origin without trailing slash, None if not allowed.

    With https, or with http on this machine; nothing but scheme, host and port.
    """
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and is_local(parts.hostname)
    except ValueError:
        return None
    secure = parts.scheme == "https" or local
    if not secure or not parts.hostname or parts.username or parts.query or parts.path.strip("/"):
        return None
    return f"{parts.scheme}://{parts.netloc}"


# Output paths, and disk errors --------------------------------------------------------------------

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
