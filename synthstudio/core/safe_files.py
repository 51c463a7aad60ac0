"""Files from outside: safe names, ZIP archives, and NumPy archives larger than memory.

Reading a NumPy archive (.npz): no pickle; each header is checked against its member's size before a
byte of data is read, and data are mapped from a temporary folder. Writing: rows are written as they
come; equal rows give equal bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import IO, Any
from urllib.parse import unquote

import numpy as np
from numpy.lib import format as npy

from synthstudio.core.arrays import Array
from synthstudio.core.errors import AssetError, FormatError

MAX_NAME_CHARS = 1024
_BAD = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|^[A-Za-z]:")


def plain_name(name: object, *, where: str) -> str:
    """A relative name without `..`; FormatError for any other."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME_CHARS or _BAD.search(name):
        raise _out(where, name)
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise _out(where, name)
    return pure.as_posix()


def is_file_below(root: Path, name: str) -> bool:
    """Whether a file exists; False for an impossible name."""
    try:
        return (root / name).is_file()
    except OSError:
        return False


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
                then="If the images are elsewhere, pass their folder as --images.",
            )
    except (OSError, RuntimeError, ValueError) as error:  # name too long, links in a circle
        raise FormatError(f"invalid file name: {error}", where=where) from error
    return found


def inside(folder: Path, name: str, where: str) -> Path:
    """The file `name` of `folder`; AssetError if it lies elsewhere or is an address."""
    plain = unquote(name).replace("\\", "/")
    odd = "://" in plain or "\0" in plain or re.match(r"[A-Za-z]:", plain)
    if odd or plain.startswith(("/", "~")) or ".." in Path(plain).parts or not plain.strip():
        raise leaves_folder(name, where)
    path = folder / plain
    if not path.resolve().is_relative_to(folder.resolve()):
        raise leaves_folder(name, where)
    return path


def inside_skins(path: Path, name: str, where: str) -> Path:
    """The file that `path` names, `inside` its folder; of skins/NAME also in skins, as MakeHuman's
    own skins name ../textures/skin.png."""
    skins = path.parent.parent
    if name.startswith("../") and skins.name == "skins":
        return inside(skins, name[3:], where)
    return inside(path.parent, name, where)


def leaves_folder(name: str, where: str) -> AssetError:
    return AssetError(
        "the mesh names a file outside its folder",
        where=where,
        expected="files in the same folder, or data inside the file",
        got=name[:100],
        then="Save it as a single .glb, or put its files beside it.",
    )


def _out(where: str, name: object) -> FormatError:
    return FormatError(
        "unsafe file name",
        where=where,
        expected="a relative name without ..",
        got=repr(name)[:200],
    )


MAX_BYTES = 64 * 1024**3
MAX_MEMBERS = 1000
_MAX_RATIO = 200
"""Maximum compression ratio. Deflate's limit is about 1,030; joints stay far below."""
_FREE_BYTES = 64 * 1024 * 1024
"""Smaller members are not checked as decompression bombs."""
_CHUNK = 1 << 20
_KINDS = "fiubU"
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    SyntaxError,
    TokenError,
    RuntimeError,
    OverflowError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors of zipfile and NumPy on damaged files (an unsupported compression
method is a RuntimeError too)."""


def read_npz(
    path: Path,
    names: Collection[str],
    scratch: Path,
    *,
    limit: int = MAX_BYTES,
    fortran: bool = False,
) -> dict[str, Array]:
    """The arrays of these names, mapped from files in `scratch`; FormatError.

    Missing names are left out, and other members are never opened. `limit`: maximum
    declared bytes of each, checked before any is unpacked; `fortran` also
    accepts column-major arrays.
    """
    found: dict[str, Array] = {}
    if not path.is_file():
        raise FormatError("there is no such file", where=str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if len(members) > MAX_MEMBERS or len(members) != len(archive.infolist()):
                raise ValueError("too many members, or two of one name")
            wanted = {name: members[f"{name}.npy"] for name in names if f"{name}.npy" in members}
            for member in wanted.values():
                _check_size(member, limit)
            for name, member in wanted.items():
                found[name] = _extract(archive, member, scratch / f"{len(found)}.npy", fortran)
    except UNREADABLE as error:
        problem = f"unreadable .npz archive: {str(error)[:200] or type(error).__name__}"
        raise FormatError(problem, where=str(path)) from error
    return found


def _check_size(member: zipfile.ZipInfo, limit: int) -> None:
    ratio = member.file_size / max(1, member.compress_size)
    if member.file_size > limit or (member.file_size > _FREE_BYTES and ratio > _MAX_RATIO):
        raise ValueError(f"{member.filename} unpacks to {member.file_size} bytes")


_MAX_UNPACKED, _MAX_FILES = 4 * 1024**3, 20_000


def unpacked(archive: Path, suffixes: tuple[str, ...]) -> Path:
    """The folder of the user's cache with the files of a ZIP archive that have one of `suffixes`.

    It is named by the archive's content; only missing files are written. AssetError if the
    archive is damaged, encrypted, too large, or has links or unsafe names: nothing of it is used.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        with archive.open("rb") as file:
            folder = (
                cache / "synthstudio" / "packs" / hashlib.file_digest(file, "sha256").hexdigest()
            )
        with zipfile.ZipFile(archive) as opened:
            for name, member in _safe_members(opened, archive.stat().st_size).items():
                path = folder / name
                hidden = any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)
                if hidden or path.suffix.lower() not in suffixes:
                    continue
                if not (path.is_file() and path.stat().st_size == member.file_size):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    scratch = path.with_name(f".{path.name}-{os.getpid()}")
                    with opened.open(member) as stream, scratch.open("wb") as out:
                        shutil.copyfileobj(stream, out, _CHUNK)  # at most the declared size
                    scratch.replace(path)
    except (FormatError, *UNREADABLE) as error:
        raise AssetError(
            f"unusable ZIP archive: {str(error)[:200] or type(error).__name__}",
            where=str(archive),
            then="Download it again, or unpack it by hand.",
        ) from error
    return folder


def _safe_members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive of `size` bytes by name; FormatError or ValueError."""
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if len(members) > _MAX_FILES:
        raise ValueError(f"{len(members):,} files in it, more than {_MAX_FILES:,}")
    if total > min(_MAX_UNPACKED, max(_FREE_BYTES, _MAX_RATIO * size)):
        raise ValueError(f"{size:,} bytes unpack to {total:,}")
    found = {plain_name(m.filename, where="a file in it"): m for m in members}
    if len(found) < len(members):
        raise ValueError("two files of one name in it")
    for name, member in found.items():
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"a link in it, {name}")
        if member.flag_bits & 1:
            raise ValueError("the archive is encrypted")
    return {name: member for name, member in found.items() if not member.is_dir()}


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, any_order: bool
) -> Array:
    if member.flag_bits & 1:
        raise ValueError("the archive is encrypted")
    with archive.open(member) as stream:
        shape, fortran, kind = _head(stream)
        items = math.prod(shape)
        bad_order = fortran and not any_order
        if kind.hasobject or kind.kind not in _KINDS or bad_order or kind.itemsize > 65536:
            raise ValueError(f"{member.filename} holds {kind}")
        if member.file_size - stream.tell() != items * kind.itemsize:
            raise ValueError(f"{member.filename} has another size than its header states")
    with archive.open(member) as stream, target.open("wb") as file:
        shutil.copyfileobj(stream, file, _CHUNK)  # at most the declared size
    if not items:
        return np.zeros(shape, kind)
    return np.load(target, mmap_mode="r", allow_pickle=False)


def _head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream)
    raise ValueError(f"npy version {version}")


class NpzWriter:
    """Writes columns row by row; `columns`: shape and dtype of a row of each."""

    def __init__(self, scratch: Path, columns: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
        self._columns = dict(columns)
        self._files = {name: (scratch / f"{name}.raw").open("w+b") for name in columns}
        self._rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row: a value of the column's shape for each column."""
        for name, (shape, kind) in self._columns.items():
            value = np.asarray(row[name], kind)
            if value.shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {value.shape}")
            self._files[name].write(value.tobytes())
        self._rows += 1

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            file.close()

    def save(self, path: Path, constants: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Write the archive with the columns and small `constants`; OSError."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, values in sorted((constants or {}).items()):
                with _member(archive, name) as out:
                    npy.write_array(out, np.array(values), allow_pickle=False)
            for name, (shape, kind) in self._columns.items():
                file = self._files[name]
                file.seek(0)
                with _member(archive, name) as out:
                    head = {
                        "descr": npy.dtype_to_descr(np.dtype(kind)),
                        "fortran_order": False,
                        "shape": (self._rows, *shape),
                    }
                    npy.write_array_header_1_0(out, head)
                    shutil.copyfileobj(file, out, _CHUNK)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
