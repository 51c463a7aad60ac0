"""Folders of the user's pictures and meshes, found below an asset root and known by content."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from synthstudio.core import images
from synthstudio.core.arrays import F32
from synthstudio.core.catalogue import (
    GarmentAsset,
    GarmentKind,
    ImageAsset,
    MeshAsset,
    MotionAsset,
    PlaceAsset,
)
from synthstudio.core.errors import AssetError
from synthstudio.core.safe_files import unpacked
from synthstudio.core.spec import AssetRef, Vec3
from synthstudio.props.backgrounds import panorama_gain
from synthstudio.props.cutouts import check_alpha, crop_to_alpha
from synthstudio.props.mesh_files import named_files
from synthstudio.props.meshes import MESH_SUFFIXES, load_mesh
from synthstudio.props.photos import with_sidecar
from synthstudio.props.places import read_place

ImageKind = Literal["background", "cutout", "hdri"]
Stamp = tuple[str, int, int]  # path, bytes, change time in ns: the same stamp is the same content
Asset = TypeVar("Asset", GarmentAsset, ImageAsset, MeshAsset, MotionAsset, PlaceAsset)

MANIFEST = "manifest.json"
_MAX_MANIFEST = 16 * 1024 * 1024
_MAX_GARMENTS = 2000
_HEIGHTS_M = (0.02, 30.0)
_PACKED = (".mhclo", ".mhmat", ".obj", *images.SUFFIXES)
_HASHES: dict[tuple[Stamp, ...], str] = {}
_UNPACKED: dict[Stamp, Path] = {}
_NAMED: dict[Stamp, tuple[Path, ...]] = {}
_MIN_PX, _BLACK = 32, 16
"""Minimum size of a photo in pixels, and minimum of its brightest value; else it is no place."""
_MIN_LIGHT = 1e-8
_FLOOR_DEG = (3, 30)
"""Angle below a panorama's horizon of the feet of fully visible people."""


_CHECKED: dict[tuple[ImageKind, Stamp], dict[str, Any]] = {}
"""Fields of an ImageAsset determined by decoding a picture."""


@dataclass(frozen=True, kw_only=True)
class AssetTable:
    """Finds the file named by a stored spec, and verifies that its content is unchanged."""

    root: Path

    def resolve(self, ref: AssetRef) -> Path:
        """The absolute path of `ref`; AssetError if it is missing or has changed."""
        path = _below(self.root, ref.name)
        if not path.is_file():
            raise AssetError(
                "the file no longer exists",
                where=ref.name,
                expected=f"a file with sha256 {ref.sha256[:12]}… below {self.root}",
                then="Put it back, or name the folder that the assets were taken from.",
            )
        got = content_hash(path)
        if got != ref.sha256:
            raise AssetError(
                "the file has changed since the frame was drawn",
                where=ref.name,
                expected=f"sha256 {ref.sha256[:12]}…",
                got=f"{got[:12]}…",
                then="Put the old file back, or generate the data set anew.",
            )
        return path


def content_hash(path: Path) -> str:
    """The sha256 of a file's bytes, cached while its size and time are unchanged.

    A mesh with further files is identified by the sha256 of all their sha256s.
    """
    files = [path]
    for file in files:
        files += [other for other in _named(file) if other not in files]
    stamps = tuple(_stamp(file) for file in files)
    if stamps not in _HASHES:
        each = [hashlib.sha256(images.read_bytes(file)).hexdigest() for file in files]
        joint = hashlib.sha256(" ".join(each).encode()).hexdigest()
        _HASHES[stamps] = joint if len(each) > 1 else each[0]
    return _HASHES[stamps]


def _named(path: Path) -> tuple[Path, ...]:
    if path.suffix.lower() in images.SUFFIXES:
        return ()
    stamp = _stamp(path)
    if stamp not in _NAMED:
        _NAMED[stamp] = named_files(path)
    return _NAMED[stamp]


def scan_images(root: Path, folder: str, *, kind: ImageKind) -> tuple[ImageAsset, ...]:
    """The pictures of `folder` (relative to `root`, not its subfolders) sorted by name.

    Every picture is decoded once, so damage is found before a run starts; the same content is
    kept once. Licence, category, source and height come from a manifest.json beside the pictures,
    a photo's camera and floor from NAME.camera.yaml; without them they are unknown. AssetError
    names the first file that cannot be used.
    """
    suffixes = (".hdr",) if kind == "hdri" else images.SUFFIXES
    facts = _manifest(_folder(root, folder) / MANIFEST)
    found = []
    for path in _files(root, folder, suffixes):
        pixels, entry = _checked(path, kind), facts.get(path.name, {})
        licence, source = _credit(entry)
        asset = ImageAsset(
            asset=_ref(folder, path),
            category=entry.get("category", ""),
            height_m=float(entry["height_m"]) if "height_m" in entry else None,
            licence=licence,
            source=source,
            **pixels,
        )
        if kind == "background":
            asset = with_sidecar(asset, path)
        if "unfit" in pixels:
            asset = replace(asset, ground=None, unfit=pixels["unfit"])
        found.append(asset)
    return _once(found)


def scan_meshes(root: Path, folder: str) -> tuple[MeshAsset, ...]:
    """The meshes of `folder` (relative to `root`) by name, each loaded and checked."""
    paths = _files(root, folder, MESH_SUFFIXES)
    return _once([MeshAsset(asset=_ref(folder, p), size_m=load_mesh(p).size_m) for p in paths])


def scan_places(root: Path, folder: str) -> tuple[PlaceAsset, ...]:
    """The places of `folder` (relative to `root`) by name; the floor of each is found."""
    found = []
    for path in _files(root, folder, MESH_SUFFIXES):
        model = read_place(path)
        ref = _ref(folder, path)
        found.append(PlaceAsset(asset=ref, size_m=model.mesh.size_m, level_m=model.level_m))
    return _once(found)


def scan_motions(
    root: Path,
    folder: str,
    *,
    suffixes: tuple[str, ...],
    length: Callable[[Path], tuple[int, float]],
) -> tuple[MotionAsset, ...]:
    """The recorded motions of `folder` by name; `length` reads one whole and returns its
    frames and frames a second. Licence and source come from a manifest.json beside them."""
    facts = _manifest(_folder(root, folder) / MANIFEST)
    found = []
    for path in _files(root, folder, suffixes):
        frames, fps = length(path)
        licence, source = _credit(facts.get(path.name, {}))
        ref = _ref(folder, path)
        found.append(MotionAsset(asset=ref, frames=frames, fps=fps, licence=licence, source=source))
    return _once(found)


def scan_garments(
    root: Path,
    folder: str,
    *,
    describe: Callable[[Path, str], tuple[GarmentKind, Vec3 | None, str]],
) -> tuple[GarmentAsset, ...]:
    """The MakeHuman assets of `folder` and the folders and ZIP archives in it, unusable ones last:
    .mhclo files, and the .mhmat files below a folder skins, by name.

    `describe` reads one whole, by its path and the name of its kind, and returns the catalogue's
    entry, the mean colour and the licence.
    """
    found, unusable = [], []
    for name, problem in sorted(_garment_files(root, folder))[:_MAX_GARMENTS]:
        ref = AssetRef(sha256="", name=name.as_posix())
        try:
            if problem is not None:
                raise problem
            path = _below(root, ref.name)
            ref = replace(ref, sha256=content_hash(path))
            kind, rgb, licence = describe(path, f"{path.stem}#{ref.sha256[:12]}")
        except AssetError as error:
            at = Path(error.where or name).name
            text = f"{error.what}: {error.details}" if error.details else error.what
            unfit = text if at == name.name else f"{at}: {text}"
            unusable.append(GarmentAsset(asset=ref, kind=None, unfit=unfit))
        else:
            found.append(GarmentAsset(asset=ref, kind=kind, rgb=rgb, licence=licence))
    return (*_once(found), *unusable)


def _garment_files(root: Path, folder: str) -> Iterator[tuple[Path, AssetError | None]]:
    """The assets of a folder and of the archives in it, below `root`, and each archive that
    cannot be read, with its error."""
    base = _folder(root, folder)
    for path in base.rglob("*"):
        name = Path(folder) / path.relative_to(base)
        if _is_asset(name):
            yield name, None
        elif path.suffix.lower() == ".zip" and path.is_file():
            try:
                inside = _unpacked(_below(root, name.as_posix()))
            except AssetError as error:
                yield name, error
            else:
                found = (name / packed.relative_to(inside) for packed in inside.rglob("*"))
                yield from ((packed, None) for packed in found if _is_asset(packed))


def _is_asset(name: Path) -> bool:
    skin = name.suffix == ".mhmat" and "skins" in name.parts
    return name.suffix == ".mhclo" or skin


def credits(folder: Path) -> dict[str, tuple[str, str]]:
    """The licence and source that a folder's manifest.json gives each file; {} without."""
    return {name: _credit(entry) for name, entry in _manifest(folder / MANIFEST).items()}


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError as error:
        raise AssetError(
            f"cannot read the file: {error.strerror}",
            where=str(path),
            then="Put it back, or remove its entry.",
        ) from error
    return (str(path.resolve()), stat.st_size, stat.st_mtime_ns)


def _unpacked(archive: Path) -> Path:
    stamp = _stamp(archive)
    if stamp not in _UNPACKED:
        _UNPACKED[stamp] = unpacked(archive, _PACKED)
    return _UNPACKED[stamp]


def _below(root: Path, name: str) -> Path:
    """Root/name, in an archive the unpacked file; AssetError if that leads out of the root, also
    through links."""
    path = root / name
    if Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
        raise AssetError(
            "assets are named relative to the asset root",
            where=name or "folder",
            expected="a relative path without '..'",
            then="Move the files below the root, or name another root.",
        )
    if not path.resolve().is_relative_to(root.resolve()):
        raise AssetError(
            "a link leads out of the asset root",
            where=name,
            got=str(path.resolve()),
            then="Copy the files below the root.",
        )
    for parent in path.parents[: len(Path(name).parts) - 1]:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            return _unpacked(parent) / path.relative_to(parent)
    return path


def _folder(root: Path, folder: str) -> Path:
    path = _below(root, folder)
    if not path.is_dir():
        raise AssetError(
            "this is a file, not a folder" if path.exists() else "no such folder",
            where=folder,
            expected=f"a folder below {root}",
            then="Check the path in the recipe, or name the asset root that has it (--assets).",
        )
    return path


def _files(root: Path, folder: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The visible files with one of the suffixes; AssetError if there are none."""
    base = _folder(root, folder)
    names = sorted(
        path.name
        for path in base.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )
    if not names:
        raise AssetError(
            "no usable file in the folder",
            where=folder,
            expected=" ".join(suffixes),
            got=f"{sum(1 for _ in base.iterdir())} other files",
            then="Put files in, or take the folder out of the recipe.",
        )
    return [_below(root, f"{folder.rstrip('/')}/{name}") for name in names]


def _ref(folder: str, path: Path) -> AssetRef:
    return AssetRef(sha256=content_hash(path), name=(Path(folder) / path.name).as_posix())


def _once(found: list[Asset]) -> tuple[Asset, ...]:
    first: dict[str, Asset] = {}
    for item in found:
        first.setdefault(item.asset.sha256, item)
    return tuple(first.values())


def _checked(path: Path, kind: ImageKind) -> dict[str, Any]:
    key = (kind, _stamp(path))
    if key not in _CHECKED:
        _CHECKED[key] = {"hdri": _panorama, "cutout": _cutout, "background": _photo}[kind](path)
    return _CHECKED[key]


def _photo(path: Path) -> dict[str, Any]:
    width, height, level = images.check_image(path)
    facts: dict[str, Any] = {"width_px": width, "height_px": height}
    if min(width, height) < _MIN_PX:
        facts["unfit"] = f"{width} x {height} pixels: smaller than {_MIN_PX} a side"
    elif level <= _BLACK:
        facts["unfit"] = f"black: hardly a pixel is brighter than {_BLACK} of 255"
    return facts


def _cutout(path: Path) -> dict[str, Any]:
    rgba = images.read_rgba(path)
    check_alpha(rgba[..., 3], str(path))
    (height, width), trimmed = rgba.shape[:2], crop_to_alpha(rgba).shape
    return {"width_px": width, "height_px": height, "trimmed_px": (trimmed[1], trimmed[0])}


def _panorama(path: Path) -> dict[str, Any]:
    radiance = images.read_hdr(path)
    rows = radiance.mean(axis=1, dtype=np.float64) @ images.LUMINANCE
    light = rows * np.sin((np.arange(len(rows)) + 0.5) / len(rows) * math.pi)
    half = len(rows) // 2
    above, below = light[:half].sum(), light[len(rows) - half :].sum()
    mean = float(light.sum() * math.pi / (2 * len(rows)))
    if mean <= _MIN_LIGHT:
        raise AssetError(
            "the panorama is black",
            where=str(path),
            expected="light from somewhere",
            got=f"a mean luminance of {mean:g}",
            then="Save it again from its source, or take it out of the folder.",
        )
    return {
        "width_px": 2 * len(rows),
        "height_px": len(rows),
        "below_above": float(below / max(above, _MIN_LIGHT)),
        "dark_floor": _dark_floor(radiance),
    }


def _dark_floor(radiance: F32) -> float:
    """The share of what is where people's feet are that is black, as the panorama is exposed."""
    first, last = (round(len(radiance) * (0.5 + deg / 180)) for deg in _FLOOR_DEG)
    floor = radiance[first : max(last, first + 1)]
    shown = images.linear_to_srgb_u8(images.toned(floor * np.float32(panorama_gain(radiance))))
    return float((shown @ images.LUMINANCE <= _BLACK).mean())


def _manifest(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    try:
        entries = json.loads(images.read_bytes(path, limit=_MAX_MANIFEST))
    except (ValueError, RecursionError) as error:
        raise AssetError(
            f"the manifest is not JSON: {error}", where=str(path), then="Mend it."
        ) from error
    if not isinstance(entries, list):
        raise _bad_manifest(path, type(entries).__name__)
    facts: dict[str, dict[str, str]] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
            raise _bad_manifest(path, f"entry {number}: {str(entry)[:60]}")
        if entry["file"] in facts:
            raise _bad_manifest(path, f"{entry['file']} twice")
        facts[entry["file"]] = {k: v for k, v in entry.items() if isinstance(v, str)}
        if "height_m" in entry:
            height = _height_m(path, entry["file"], entry["height_m"])
            facts[entry["file"]]["height_m"] = str(height)
    return facts


def _height_m(path: Path, name: str, value: object) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not _HEIGHTS_M[0] <= number <= _HEIGHTS_M[1]:
        raise AssetError(
            "invalid height of an object",
            where=f"{path}: {name[:80]}: height_m",
            expected=f"metres, {_HEIGHTS_M[0]:g} to {_HEIGHTS_M[1]:g}",
            got=str(value)[:40],
            then="Mend it, or leave it out.",
        )
    return float(number)


def _bad_manifest(path: Path, got: str) -> AssetError:
    return AssetError(
        "invalid manifest",
        where=str(path),
        expected='a list of {"file": …, "category": …, "license": …}, each file once',
        got=got,
        then="Mend it, or remove it.",
    )


def _credit(entry: dict[str, str]) -> tuple[str, str]:
    licence = " ".join(filter(None, (entry.get("license", ""), entry.get("license_url", ""))))
    return licence, entry.get("flickr_url") or entry.get("coco_url") or entry.get("source") or ""
