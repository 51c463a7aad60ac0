"""`dataset.json`: exactly the inputs that decide the bytes of a data set."""

import dataclasses
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.places import Place
from synthstudio.core.skeleton import definition, get_skeleton, is_own, own_skeleton
from synthstudio.core.visibility import VISIBLE_THRESHOLD
from synthstudio.dataset.durable import (
    canonical_json,
    damaged,
    read_json,
)

MANIFEST_NAME = "dataset.json"
INDEX_NAME = "index.json"
MIXED_NAME = "mixed.json"
LOG_NAME = "run.log"
SET_ASIDE_DIR = "set-aside"
FORMAT_VERSION = 6
FRAMES_PER_SHARD = 64

CONVENTIONS = {
    "pixels": "continuous: pixel (row i, column j) covers [j, j+1) x [i, i+1)",
    "world": "z up, metres",
    "camera": "OpenCV axes: x right, y down, z forward; world_to_camera 4x4, K 3x3",
    "visibility_fractions": ", ".join(VISIBILITY),
    "state": f"2 visible share >= {VISIBLE_THRESHOLD}, 1 hidden, 0 outside the frame",
    "instances": "0 nothing, people from 1, objects from 1000",
    "masks": "COCO compressed RLE",
}
"""Conventions stored in each data set; docs/conventions.md has the details."""

_PACKAGES = (
    "synthstudio",
    "numpy",
    "scipy",
    "torch",
    "warp-lang",
    "anny",
    "opencv-python-headless",
    "albumentations",
    "pillow",
    "trimesh",
    "pyrender",
    "pycocotools",
    "pyarrow",
)
# The instruction sets that select kernels of numeric libraries.
_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512", "amx", "neon", "asimd", "sve")
_STRUCTURE = ("format_version", "frames_per_shard", "skeleton", "derived")


@dataclass(frozen=True, kw_only=True)
class AssetRow:
    """One line of the licence ledger. `name` is a path below the asset root, never absolute."""

    sha256: str
    name: str
    licence: str = ""
    source: str = ""
    category: str = ""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The identity of a data set. Equal identities give equal bytes.

    `recipe` has its defaults filled in; `versions` maps packages to releases; `machine`:
    CPU model, instruction sets and device kind. `frames` is the length of the whole run, also
    in a part of it. `skeleton` is a name for `get_skeleton`; the file has a custom skeleton as an
    object there. `derived`: operation and sources of a derived set; empty for a run.
    """

    recipe: dict[str, Any]
    assets: tuple[AssetRow, ...] = ()
    seed: int
    skeleton: str
    frames: int
    frames_per_shard: int = FRAMES_PER_SHARD
    conventions: dict[str, str] = field(default_factory=lambda: dict(CONVENTIONS))
    versions: dict[str, str]
    machine: dict[str, str]
    format_version: int = FORMAT_VERSION
    derived: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("frames", "frames_per_shard"):
            if getattr(self, name) < 1:
                raise DatasetError(
                    "a data set holds at least one frame",
                    where=name,
                    expected="1 or more",
                    got=str(getattr(self, name)),
                )

    @property
    def shards(self) -> int:
        return -(-self.frames // self.frames_per_shard)

    def frames_of(self, shard: int) -> range:
        first = shard * self.frames_per_shard
        return range(first, min(first + self.frames_per_shard, self.frames))


def package_versions() -> dict[str, str]:
    """Return the releases that decide bytes, without importing any of the packages."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def machine_kind(device: str) -> dict[str, str]:
    """Return CPU model, instruction sets and `device`: nothing that identifies a single machine."""
    model, flags = platform.machine(), set[str]()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags |= {f for f in value.split() if f.startswith(_FLAGS)}
    return {
        "cpu": model,
        "flags": " ".join(sorted(flags)),
        "device": device,
        "system": f"{platform.system()} {platform.machine()}",
    }


def to_bytes(identity: Identity) -> bytes:
    value = dataclasses.asdict(identity)
    if not identity.derived:
        del value["derived"]
    if is_own(identity.skeleton):
        value["skeleton"] = definition(get_skeleton(identity.skeleton))
    return canonical_json(value)


def read_identity(folder: Path) -> Identity:
    """Read `dataset.json`; DatasetError when it is missing, damaged or of another format."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise no_dataset(folder)
    return identity_of(read_json(path), path)


def no_dataset(place: Place) -> DatasetError:
    return DatasetError("not a data set", where=str(place), expected=f"a file {MANIFEST_NAME}")


def identity_of(value: dict[str, Any], path: Place) -> Identity:
    """The identity in `dataset.json` at `path`; DatasetError."""
    if value.get("format_version") != FORMAT_VERSION:
        raise DatasetError(
            "this data set has another format",
            where=str(path),
            expected=f"format_version {FORMAT_VERSION}",
            got=str(value.get("format_version")),
            then="Read it with the synthstudio release that made it (see versions).",
        )
    _check_types(path, value)
    rows = tuple(AssetRow(**row) for row in value.pop("assets"))
    if isinstance(value["skeleton"], dict):
        value["skeleton"] = own_skeleton(value["skeleton"], f"{path}, skeleton").name
    return Identity(assets=rows, **value)


def _check_types(path: Place, value: dict[str, Any]) -> None:
    kinds = {name: get_origin(kind) or kind for name, kind in get_type_hints(Identity).items()}
    kinds["assets"] = list
    if isinstance(value.get("skeleton"), dict):
        kinds["skeleton"] = dict
    if "derived" not in value:
        del kinds["derived"]
    if set(value) != set(kinds):
        raise damaged(path, f"the fields {', '.join(sorted(kinds))}", ", ".join(sorted(value)))
    for name, kind in kinds.items():
        if not isinstance(value[name], kind) or isinstance(value[name], bool):
            raise damaged(path, f"{name} as {kind.__name__}", repr(value[name]))
    if value["frames"] < 0 or value["frames_per_shard"] < 1:
        got = f"{value['frames']} and {value['frames_per_shard']}"
        raise damaged(path, "frames from 0 and frames_per_shard from 1", got)
    columns = {f.name for f in dataclasses.fields(AssetRow)}
    for row in value["assets"]:
        if not isinstance(row, dict) or set(row) != columns:
            raise damaged(path, f"assets with {', '.join(sorted(columns))}", repr(row))


def identity_differences(a: Identity, b: Identity) -> list[str]:
    """A line for each field in which the wanted `b` differs from `a`, but for more frames."""
    had, wants = dict(_flatten(dataclasses.asdict(a))), dict(_flatten(dataclasses.asdict(b)))
    if b.frames >= a.frames:
        del had["frames"], wants["frames"]
    return [
        f"{path}: had {_short(had.get(path, _ABSENT))}, wants {_short(wants.get(path, _ABSENT))}"
        for path in sorted(set(had) | set(wants))
        if had.get(path, _ABSENT) != wants.get(path, _ABSENT)
    ]


def structural_differences(a: Identity, b: Identity) -> list[str]:
    """Return differences that --allow-mixed does not accept: files would be incompatible."""
    lines = identity_differences(a, b)
    return [line for line in lines if line.startswith((*_STRUCTURE, "frames:"))]


_ABSENT = object()


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _flatten(inner, f"{path}[{place}]")
        yield f"{path} (length)", len(value)
    else:
        yield path, value


def _short(value: Any) -> str:
    text = "nothing" if value is _ABSENT else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
