"""Damage to an input, decided by a generator of random numbers: its bytes, text or structure."""

import io
import json
import math
import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import yaml

Files = dict[str, bytes]
"""An input: the files of a folder by their names below it."""

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 7, 255, 1_000, 65_536, 2**31, 2**53 + 1, 2**63, 2**64,
    10**30, -(10**9), 0.5, -0.0, 1.0000001, 5e-324, 1e-9, 1e16, 1e308, -1e308, math.nan, math.inf,
    -math.inf, "", " ", "x", "0", "-1", "1e9", "NaN", "null", "yes", "../../evil", "/etc/passwd",
    ".", "CON", "a\x00b", "a\nb", "\x1b[31mred", "\x85\x9b", "\ud800", "e\u0301\u202e\u200b",
    "\U0001d54f" * 20, "<script>alert(1)</script>", "%s%n{0}", "a" * 5_000, "9" * 5_000,
    "a/" * 2_000, "\ufeffx", [], {}, [[]], [None], [math.nan], {"": None}, [0] * 51, [1, 2, 3],
    [[0, 0, 1, 1]], ["nose"] * 17, {"size": [10**9, 10**9], "counts": "0"}, {"low": 3, "high": 1},
    {"kind": "x"},
)  # fmt: skip
TOKENS = (
    b"NaN", b"1e400", b"-1e400", b"1e308", b"-1", b"0", b"9" * 5_000, b"18446744073709551616",
    b"null", b"true", b'"x"', b"[]", b"{}", b"[" * 3_000, b"{" * 500, b"../../evil",
    b"/etc/passwd", b"\xff\xfe\x00", b"\\ud800", b"a" * 100_000, b"&lol;", b"C:\\evil", b"",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"\x00", b'"', b"'", b"]]>", b"<a>" * 50, b"*a",
    b"&a [*a]", b"!!python/name:os.system", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b"0x10",
    b"1_000", b"0.5", b"\xc2\x85", b"- ", b": ", b"#", b"inf", b"-nan",
)  # fmt: skip
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_WORD = re.compile(rb"[A-Za-z_./-]{2,}")
_LONGEST = 4_000_000


def mutate(files: Files, rng: random.Random, *, keep: tuple[str, ...] = ()) -> Files:
    """Damage one to three files, or which there are; those whose name begins as `keep` stay."""
    files = dict(files)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        names = sorted(n for n in files if not (keep and n.startswith(keep)))
        if not names:
            break
        name = rng.choice(names)
        if len(files) > 1 and rng.random() < 0.06:
            _regroup(files, name, names, rng)
        else:
            files[name] = damage(name, files[name], rng)
    return files


def _regroup(files: Files, name: str, names: list[str], rng: random.Random) -> None:
    """Take a file away, exchange two, or put one where it does not belong."""
    other, how = rng.choice(names), rng.randrange(3)
    if how == 0:
        del files[name]
    elif how == 1:
        files[name], files[other] = files[other], files[name]
    else:
        files[rng.choice(("a.txt", f"{name}.tmp", f"{name}.jpg", f"{name}0"))] = files[other]


def damage(name: str, data: bytes, rng: random.Random) -> bytes:
    """Damage a file: mostly its structure where its kind is known, else its bytes or its text."""
    suffix = name.rpartition(".")[2].lower()
    within = _STRUCTURES.get(suffix)
    if within is not None and rng.random() < 0.75:
        try:
            return within(data, rng)[:_LONGEST]
        except Exception:  # whatever a library says
            pass  # damaged before so much that it has no structure
    if suffix in _TEXTS and rng.random() < 0.6:
        return _text(data, rng)[:_LONGEST]
    return _bytes(data, rng)[:_LONGEST]


# Bytes and text ------------------------------------------------------------------------------


def _bytes(data: bytes, rng: random.Random) -> bytes:
    size = len(data)
    at = rng.randrange(size + 1)
    length = min(size - at, 1 << rng.randrange(10))
    how = rng.randrange(10)
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + data[at + length :]
    if how == 2:
        return (
            data[: at + length]
            + data[at : at + length] * rng.choice((1, 2, 50))
            + data[at + length :]
        )
    if how == 3:
        return data[:at] + rng.choice(TOKENS) + data[at:]
    if how == 4:
        return data[:at] + rng.randbytes(length) + data[at + length :]
    if how == 5:
        return data[:at] + bytes(length) + data[at + length :]
    if how == 6 and size >= 8:  # a number in a head: near its beginning, a length of someone's
        at = rng.randrange(min(size - 8, 512) + 1)
        value = rng.choice((0, 1, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, rng.getrandbits(64)))
        kind = rng.choice(("<I", ">I", "<H", ">H", "<Q", "B"))
        packed = struct.pack(kind, value & (256 ** struct.calcsize(kind) - 1))
        return data[:at] + packed + data[at + len(packed) :]
    if how == 7:
        other = rng.randrange(size + 1)
        return data[:at] + data[other:]
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if size else 0):
        flipped[rng.randrange(size)] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _text(data: bytes, rng: random.Random) -> bytes:
    how = rng.randrange(5)
    if how == 4:
        lines = data.splitlines(keepends=True)
        if lines:
            at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            copies = min(rng.choice((2, 500)), 1 + _LONGEST // len(lines[at]))
            moved = rng.choice(([], [lines[other]], [lines[at]] * copies))
            return b"".join([*lines[:at], *moved, *lines[at + 1 :]])
    found = list((_NUMBER if how % 2 else _WORD).finditer(data))
    if not found:
        return _bytes(data, rng)
    hit = rng.choice(found)
    token = rng.choice(TOKENS) if rng.random() < 0.7 else rng.choice(found).group()
    return data[: hit.start()] + token + data[hit.end() :]


# Trees ---------------------------------------------------------------------------------------


def damaged_tree(value: Any, rng: random.Random) -> Any:
    """A copy of plain values with one to three places changed."""
    root = [_copied(value)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        holder, key = _place(root, rng)
        _change(root, holder, key, rng)
    return root[0]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def _place(root: list[Any], rng: random.Random) -> tuple[Any, Any]:
    """A place found by going down from the root: long lists do not draw all the damage."""
    holder, key = root, 0
    while rng.random() < 0.85:
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner:
            break
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        holder, key = inner, rng.choice(keys)
    return holder, key


def _change(root: list[Any], holder: Any, key: Any, rng: random.Random) -> None:
    value, how = holder[key], rng.randrange(12)
    if how <= 3:
        holder[key] = _copied(rng.choice(ODD))
    elif how == 4 and holder is not root:
        del holder[key]
    elif how == 5 and isinstance(holder, list) and holder is not root:
        holder[key:key] = [_copied(value)] * rng.choice((1, 2, 300))
    elif how == 6 and isinstance(holder, dict):
        name = rng.choice((*list(holder), "unknown", "", str(key) + "s", str(key).upper(), 7))
        holder[name] = holder.pop(key)
    elif how == 7:
        other, name = _place(root, rng)
        holder[key] = _copied(other[name])
    elif how == 8:
        holder[key] = _nested(value, rng)
    elif how == 9:
        holder[key] = _other_type(value)
    else:
        holder[key] = _near(value, rng)


def _nested(value: Any, rng: random.Random) -> Any:
    for _ in range(rng.choice((1, 1, 2, 40, 150))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def _other_type(value: Any) -> Any:
    if isinstance(value, str):
        return len(value) if value else [value]
    if isinstance(value, list):
        return {str(k): one for k, one in enumerate(value)}
    return list(value.values()) if isinstance(value, dict) else str(value)


def _near(value: Any, rng: random.Random) -> Any:
    """Something of the same type: a value that may be taken, and then has to be lived with."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, -value, value * 1_000, value * 10**9, 0))
    if isinstance(value, float) and math.isfinite(value):
        return rng.choice((value * 1.5, -value, value * 1e6, value * 1e-6, value + 1, 0.0))
    if isinstance(value, str):
        cut = rng.randrange(len(value) + 1)
        return rng.choice((value[:cut], value * 2, value[:cut] + "é" + value[cut:], value.upper()))
    if isinstance(value, list):
        return rng.choice((value[:-1], value[::-1], value + value, value[:1] * 3))
    return value


def as_json(value: Any) -> bytes:
    return json.dumps(value, default=str).encode()


def _json(data: bytes, rng: random.Random) -> bytes:
    return as_json(damaged_tree(json.loads(data), rng))


def _yaml(data: bytes, rng: random.Random) -> bytes:
    tree = damaged_tree(yaml.load(data, yaml.CSafeLoader), rng)
    try:
        return yaml.dump(tree, Dumper=yaml.CSafeDumper, allow_unicode=True).encode()
    except (UnicodeEncodeError, yaml.YAMLError):
        return as_json(tree)


# Pictures ------------------------------------------------------------------------------------


def _png(data: bytes, rng: random.Random) -> bytes:
    """Damage one chunk and say so in its checksum; pixels are damaged before they are packed."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    place = rng.randrange(len(chunks))
    kind, body = chunks[place]
    how = rng.randrange(5)
    if how == 0:
        chunks[place : place + 1] = rng.choice(([], [chunks[place]] * 2, chunks[place:][::-1]))
    elif kind == b"IDAT" and how < 4:
        chunks[place] = (kind, zlib.compress(_bytes(zlib.decompress(body), rng)))
    else:
        name = rng.choice((kind, kind, kind, b"eXIf", b"iCCP", b"tRNS", b"PLTE", b"acTL", b"zTXt"))
        chunks[place] = (name, _bytes(body, rng))
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return data[:8] + b"".join(packed)


# Files with a head of JSON ------------------------------------------------------------------


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    (length,) = struct.unpack_from("<Q", data)
    head = json.loads(data[8 : 8 + length])
    metadata = head.get("__metadata__", {})
    inside = [key for key, text in metadata.items() if text[:1] in "{["]
    if inside and rng.random() < 0.6:  # JSON in a text
        key = rng.choice(inside)
        metadata[key] = as_json(damaged_tree(json.loads(metadata[key]), rng)).decode()
    else:
        head = damaged_tree(head, rng)
    text = as_json(head)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _parquet(data: bytes, rng: random.Random) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    at = rng.randrange(table.num_columns)
    field, how = table.schema.field(at), rng.randrange(9)
    if how == 0:
        table = table.drop_columns([field.name])
    elif how == 1:
        table = pa.concat_tables([table, table.slice(rng.randrange(table.num_rows))])
    elif how == 2:
        table = table.slice(rng.randrange(table.num_rows), rng.randrange(table.num_rows + 1))
    elif how == 3:
        order = rng.sample(range(table.num_rows), table.num_rows)
        table = table.take(order)
    elif how == 4:
        nothing = pa.nulls(table.num_rows, field.type)
        table = table.set_column(at, pa.field(field.name, field.type), nothing)
    else:
        values = table.column(at).to_pylist()
        row = rng.randrange(len(values))
        values[row] = damaged_tree(values[row], rng)
        if how == 5:
            values = [values[row]] * len(values)
        try:
            column = pa.array(values, field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            column = pa.array(values)  # of another type, where Arrow finds one
        table = table.set_column(at, field.name, column)
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _tar(data: bytes, rng: random.Random) -> bytes:
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive if m.isfile()]  # type: ignore[union-attr]
    at = rng.randrange(len(members))
    info, body = members[at]
    how = rng.randrange(5)
    if how == 0:
        del members[at]
    elif how == 1:
        members.insert(rng.randrange(len(members) + 1), members[at])
    elif how == 2:
        info.name = rng.choice(("../evil.jpg", "/x.jpg", "a" * 300, "", "000000.JSON", "é.json"))
    else:
        members[at] = (info, damage(info.name, body, rng))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, body in members:
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


_STRUCTURES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "json": _json, "gltf": _json, "yaml": _yaml, "safetensors": _safetensors, "png": _png,
    "parquet": _parquet, "tar": _tar,
}  # fmt: skip
_TEXTS = ("json", "gltf", "yaml", "xml", "txt", "csv", "obj", "ply", "bvh", "hdr", "md", "mtl")
