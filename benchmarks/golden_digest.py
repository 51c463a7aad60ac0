"""What files come to as short facts: a digest of the bytes, and one of each column or key.

Facts of a file lie under `FILE` (its bytes) and `FILE:PART` (a column, a key path, an array), so
that bytes which differ are explained by the parts that do.
"""

import fnmatch
import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq

Facts = dict[str, Any]
UNHASHED = ("run.log", "run.lock", "log.jsonl")
"""Files that may hold times, hosts and process numbers."""
LABELS = frozenset((
    *("joints_px", "joints_camera_m", "joints_world_m", "kinematic_joints_world_m", "joints"),
    *("visibility_fractions", "state", "cause", "ambiguous", "visible_share"),
    *("keypoints", "num_keypoints"),
    *("hidden_joint", "hidden_instance", "hidden_share", "occluder_id", "origin"),
    *("modal_counts", "amodal_counts", "mask_size", "masks", "segmentation", "area"),
    *("modal_box_px", "amodal_box_px", "box", "boxes", "bbox", "modal_area_px", "amodal_area_px"),
    *("occluded_fraction", "truncated_fraction"),
))  # fmt: skip
"""Keys that say what is seen, wherever they stand. Of `instances.parquet` every column does."""
_CONSEQUENCE = re.compile(r"(shard|index)\.json:.*(sha256|bytes|check)$|\.json:identity$")


def is_label(key: str) -> bool:
    """Whether a fact is a digest of labels: a difference in it is never expected."""
    path, _, part = key.partition(":")
    if path.endswith("instances.parquet") or "/layers/" in path:
        return True
    if not part or path.endswith(("dataset.json", ".yaml")) or path.startswith("json/"):
        return False  # what was asked for, such as `people.shape`, and keys without values
    if part.startswith("info."):
        return False  # words for people about the file
    return any(word in LABELS for word in re.split(r"[.\[\]/]+", part))


def allows_labels(pattern: str) -> bool:
    """Whether a glob could let a difference of labels pass."""
    probes = [f"frames/x/shards/00000/instances.parquet:{name}" for name in sorted(LABELS)]
    probes += [f"exports/coco/annotations.json:annotations[].{name}" for name in sorted(LABELS)]
    return any(fnmatch.fnmatchcase(probe, pattern) for probe in probes)


def digest(data: bytes | str) -> str:
    """First 16 digits of a SHA-256."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


def plain(value: Any) -> str:
    """A value as text that is equal for equal values alone (NaN and -0.0 included)."""
    return json.dumps(
        value, sort_keys=True, default=lambda v: v.hex() if isinstance(v, bytes) else repr(v)
    )


def folder_facts(folder: Path, name: str) -> Facts:
    """The facts of every stored file below a folder, under `name/RELATIVE`."""
    found: Facts = {f"{name}:files": 0}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in UNHASHED):
        found[f"{name}:files"] += 1
        found |= file_facts(path, f"{name}/{path.relative_to(folder).as_posix()}")
    return found


def file_facts(path: Path, name: str) -> Facts:
    """The facts of one file; the bytes of a PNG are those of its pixels, however packed."""
    data = path.read_bytes()
    parts = _PARTS.get(path.suffix, lambda path, data: {})(path, data)
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.suffix == ".png" else None
    if pixels is not None:
        data = f"{pixels.dtype}, {pixels.shape}".encode() + pixels.tobytes()
    return {name: digest(data)} | {f"{name}:{part}": value for part, value in parts.items()}


def json_parts(value: Any) -> dict[str, str]:
    """A digest of the values at each key path; places in lists are not told apart."""
    held: dict[str, list[str]] = {}
    for path, leaf in _leaves(value, ""):
        held.setdefault(path, []).append(plain(leaf))
    return {path: digest("\n".join(leaves)) for path, leaves in held.items()}


def key_types(value: Any, path: str = "") -> dict[str, str]:
    """Key path -> the types of the values there, without the values and the kinds of objects."""
    held: dict[str, set[str]] = {}
    for where, leaf in _leaves(value, path, branches=True):
        where = re.sub(r"^(hidden_by_kind|objects)\..*", r"\1.*", where)
        held.setdefault(where or ".", set()).add(_KINDS.get(type(leaf), "?"))
    return {where: "|".join(sorted(kinds)) for where, kinds in held.items()}


_KINDS = {
    dict: "object",
    list: "list",
    str: "text",
    int: "number",
    float: "number",
    bool: "bool",
    type(None): "null",
}


def _leaves(value: Any, path: str, *, branches: bool = False) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if branches or not value:
            yield path, {}
        for key in sorted(value):
            yield from _leaves(value[key], f"{path}.{key}" if path else key, branches=branches)
    elif isinstance(value, list):
        if branches or not value:
            yield path, []
        for inner in value:
            yield from _leaves(inner, f"{path}[]", branches=branches)
    else:
        yield path, value


def _columns(path: Path) -> dict[str, list[Any]]:
    """The values of a Parquet file's columns; JSON text is decoded."""
    table = pq.read_table(path, use_threads=False, partitioning=None)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    for name in ("spec", "identity"):
        if name in columns:
            columns[name] = [_decoded(v) for v in columns[name]]
    return columns


def _decoded(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _parquet(path: Path, data: bytes) -> dict[str, str]:
    found = {"rows": str(pq.ParquetFile(path).metadata.num_rows)}
    for name, values in _columns(path).items():
        if any(isinstance(v, dict) or (isinstance(v, list) and _dicts(v)) for v in values):
            parts = json_parts(values).items()
            found |= {f"{name}{where.removeprefix('[]')}": part for where, part in parts}
        else:
            found[name] = digest(plain(values))
    return found


def _dicts(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)


def _json(path: Path, data: bytes) -> dict[str, str]:
    return json_parts(json.loads(data))


def _lines(path: Path, data: bytes) -> dict[str, str]:
    return json_parts([json.loads(line) for line in data.splitlines() if line.strip()])


def _tar(path: Path, data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            held = archive.extractfile(member)
            inside = held.read() if held else b""
            if member.name.endswith(".json"):
                parts = json_parts(json.loads(inside))
                found |= {f"{member.name}/{part}": value for part, value in parts.items()}
            else:
                found[member.name] = digest(inside)
    return found


def tensors(path: Path) -> dict[str, str]:
    """A digest of each tensor of a safetensors file: type, shape and bytes."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    head.pop("__metadata__", None)
    body = data[8 + length :]
    return {
        name: digest(
            plain([row["dtype"], row["shape"]]).encode() + body[slice(*row["data_offsets"])]
        )
        for name, row in head.items()
    }


_PARTS = {
    ".parquet": _parquet,
    ".json": _json,
    ".jsonl": _lines,
    ".tar": _tar,
    ".safetensors": lambda path, data: tensors(path),
}


def differences(base: Facts, new: Facts) -> dict[str, tuple[Any, Any]]:
    """The facts that differ: key -> (base, new), None where a side lacks it.

    Bytes of a file are left out when one of its parts tells why they differ, hashes of other
    files when something else of the same set differs.
    """
    found = {
        key: (base.get(key), new.get(key))
        for key in sorted(set(base) | set(new))
        if base.get(key) != new.get(key)
    }
    explained = {key.partition(":")[0] for key in found if ":" in key}
    kept = {key: pair for key, pair in found.items() if ":" in key or key not in explained}
    causes = {_set_of(key) for key in kept if not _CONSEQUENCE.search(key)}
    return {
        key: pair
        for key, pair in kept.items()
        if not (_CONSEQUENCE.search(key) and _set_of(key) in causes)
    }


def _set_of(key: str) -> str:
    return "/".join(key.split("/")[:2])
