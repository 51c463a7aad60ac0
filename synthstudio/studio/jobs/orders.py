"""Orders of jobs: every value is checked before a process is started.

An order names a recipe (already validated), an output by a plain name, and an asset root by its
place in the list from the command line. No text from a page becomes a path or an option.
"""

import json
import re
import shutil
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthstudio.core.errors import RecipeError, Refused
from synthstudio.core.skeleton import SKELETONS
from synthstudio.dataset.durable import write_file
from synthstudio.formats import FORMATS
from synthstudio.recipe.schema.load import parse
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.review.values import User, require
from synthstudio.studio.jobs.process import environment_of
from synthstudio.studio.settings import Limits, Settings

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
RESERVED = frozenset({"studio", "demo", "uploads", "con", "nul", "aux", "prn"})
_UPLOAD = re.compile(r"[0-9a-f]{16}")
_SKELETON = re.compile(r"[\w-]{1,80}")
MAX_WORKERS = 8
SPARE_BYTES = 500 * 2**20
"""The free disk space a job must leave."""
_FRAME_BYTES = 30_000
_BYTES_A_PIXEL = 0.4
_BYTES_A_PIXEL_OF_LAYER = 1.0
ONLY = {
    "approved": "frames with approved people; others' joints are left out",
    "touched": "frames with people edited, approved or commented on",
    "all": "all frames, with all changes",
}


@dataclass(frozen=True, kw_only=True)
class Generate:
    """A data set to be generated. `assets`: index of its asset root in `asset_roots`."""

    recipe: Mapping[str, Any]
    out: str
    assets: int = 0
    workers: int = 1
    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class Export:
    """Reviewed labels to be exported. `dataset`: the folder or URL of a served one."""

    dataset: str
    form: str
    out: str
    only: str = "approved"


@dataclass(frozen=True, kw_only=True)
class Photos:
    """A data set of uploaded photos, or of a video. `files`: their folder in `incoming`."""

    files: str
    out: str
    skeleton: str = "coco17"


Order = Generate | Export | Photos


def asset_roots(settings: Settings) -> tuple[Path, ...]:
    """Folders of assets: the scenes' own first, that of uploaded photos last."""
    return (settings.scenes, *settings.assets, settings.uploads)


def _asset_root(number: int, settings: Settings) -> Path:
    roots = asset_roots(settings)
    if type(number) is not int or not 0 <= number < len(roots):
        expected = f"0 to {len(roots) - 1}"
        raise _refused("no such asset root", "assets", expected=expected, got=repr(number)[:40])
    return roots[number]


def incoming(settings: Settings, files: str) -> Path:
    """Return the folder of an upload waiting for its job; Refused for other names."""
    place = settings.state / "incoming" / files
    if not isinstance(files, str) or not _UPLOAD.fullmatch(files) or not place.is_dir():
        raise _refused("no such upload", "files", got=repr(files)[:80], then="Upload them again.")
    return place


def output_folder(settings: Settings, name: str) -> Path:
    """Return an output's folder; Refused unless its name is a short plain word."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        raise _refused(
            "invalid output name",
            "name",
            expected="1 to 48 of a-z, 0-9, - and _, beginning with a letter or digit",
            got=repr(name)[:80],
            then="Choose another.",
        )
    return settings.exports / name


def check_name_free(settings: Settings, name: str) -> None:
    place = output_folder(settings, name)
    for taken in (place, place.with_suffix(".yaml"), place.with_suffix(".zip")):
        if taken.exists() or taken.is_symlink():
            raise _refused(
                "this name is taken",
                taken.name,
                expected="an unused name",
                then="Choose another.",
            )


def check_order(order: Order, settings: Settings, who: User) -> None:
    if isinstance(order, Generate):
        require(who, "generate")
        check_generate(order, settings)
    elif isinstance(order, Photos):
        require(who, "import")
        incoming(settings, order.files)
        _skeleton(order.skeleton, settings)
    else:
        require(who, "export")
        _check_known(order.form, FORMATS, "no such format", "format")
        _check_known(order.only, ONLY, "no such choice", "only")
    check_name_free(settings, order.out)


def _check_known(name: str, known: Collection[str], what: str, where: str) -> None:
    if name not in known:
        raise _refused(what, where, expected=", ".join(known), got=repr(name)[:80])


def check_generate(order: Generate, settings: Settings, *, made: int = 0) -> None:
    """Check an order's values; `made` of its frames are on the disk. Refused, RecipeError."""
    limits, recipe = settings.limits, parse(dict(order.recipe))
    check_size(recipe, limits)
    if type(order.workers) is not int or not 1 <= order.workers <= MAX_WORKERS:
        raise _refused(
            "too many workers",
            "workers",
            expected=f"1 to {MAX_WORKERS}",
            got=repr(order.workers)[:40],
        )
    check_folders(recipe, _asset_root(order.assets, settings))
    needed = bytes_needed(recipe, made=made)
    free = free_bytes(settings.exports)
    if needed + SPARE_BYTES > free:
        raise _refused(
            "the disk is too full for this",
            "exports",
            expected=f"{(needed + SPARE_BYTES) / 1e9:.1f} GB free",
            got=f"{free / 1e9:.1f} GB",
            then="Reduce frames, or free some space.",
        )


def check_size(recipe: Recipe, limits: Limits) -> None:
    """Check a recipe against the studio's limits; RecipeError with the field."""
    pixels = recipe.image.width_px * recipe.image.height_px
    for field, got, maximum in (
        ("frames", recipe.frames, limits.frames),
        ("image.width_px", pixels, limits.pixels),
    ):
        if got > maximum:
            what = "frames" if field == "frames" else "pixels a picture"
            raise RecipeError(
                f"more {what} than the studio allows",
                where=f"recipe: {field}",
                expected=f"at most {maximum:,}",
                got=f"{got:,}",
                then="Use the command line for more.",
            )
    if recipe.occlude is not None:
        raise RecipeError(
            "the studio does not support recipes with occlude",
            where="recipe: occlude",
            then="Use the command: synthstudio occlude.",
        )


def missing_folders(recipe: Recipe, root: Path) -> list[str]:
    return sorted({name for name in recipe.folders.values() if not (root / name).is_dir()})


def check_folders(recipe: Recipe, root: Path) -> None:
    if lacking := missing_folders(recipe, root):
        raise _refused(
            "the recipe's asset folders are missing",
            root.name,
            expected=", ".join(lacking),
            then="Start the studio with --assets FOLDER.",
        )


def bytes_needed(recipe: Recipe, *, made: int = 0) -> int:
    """An upper estimate of the data set's bytes; `made` of its frames exist."""
    frames = max(0, recipe.frames - made)
    pixels = recipe.image.width_px * recipe.image.height_px
    layers = len(recipe.layers) * _BYTES_A_PIXEL_OF_LAYER
    return int(frames * (_FRAME_BYTES + pixels * (_BYTES_A_PIXEL + layers)))


def free_bytes(folder: Path) -> int:
    """Return the free disk space of a folder, which need not exist yet."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


def _refused(what: str, where: str, **more: str) -> Refused:
    return Refused(what, where=where, reason="invalid", **more)


DATABASE = "SYNTHSTUDIO_JOB_DATABASE"
"""The environment variable with the store's URL for an export: it may hold a password, and
command lines are readable by all users of a machine."""


def command(kind: str, spec: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return the arguments of a job; Refused if its row is invalid."""
    place = output_folder(settings, str(spec["out"]))
    if kind == "generate":
        root = _asset_root(spec["assets"], settings)
        line = [sys.executable, "-m", "synthstudio", "generate", str(place.with_suffix(".yaml"))]
        line += ["--out", str(place), "--assets", str(root)]
        line += ["--workers", str(int(spec["workers"])), "--json"]
        return [*line, "--resume"] if spec["resume"] else line
    if kind == "photos":
        found = sorted(incoming(settings, spec["files"]).iterdir())
        source = found[0] if len(found) == 1 else found[0].parent
        line = [sys.executable, "-m", "synthstudio", "import-photos", str(source)]
        line += ["--skeleton", _skeleton(str(spec["skeleton"]), settings)]
        return [*line, "--out", str(place), "--json"]
    if kind == "export" and spec["form"] in FORMATS:
        request = {name: str(spec[name]) for name in ("dataset", "form", "only")}
        request["out"] = str(place.with_suffix(".zip"))
        line = [sys.executable, "-m", "synthstudio.studio.jobs.workers", "export"]
        return [*line, json.dumps(request)]
    raise _refused("invalid entry in the job table", "job, kind", got=repr(kind)[:80])


def _skeleton(name: str, settings: Settings) -> str:
    """A skeleton as a command argument: the package's, or a file of the exports folder."""
    own = settings.exports / "skeletons" / f"{name}.yaml"
    if name not in SKELETONS and not (_SKELETON.fullmatch(name) and own.is_file()):
        raise _refused("no such skeleton", "skeleton", got=repr(name)[:80])
    return name if name in SKELETONS else str(own)


def environment(kind: str, spec: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    if kind != "export":
        return {}
    return {DATABASE: settings.database, **environment_of(str(spec["dataset"]))}


def delete_inputs(kind: str, spec: Mapping[str, Any], settings: Settings) -> None:
    """Delete files not needed after the job: uploaded photos are in the data set."""
    if kind == "photos":
        with suppress(Refused):
            shutil.rmtree(incoming(settings, spec["files"]), ignore_errors=True)


def write_inputs(kind: str, spec: Mapping[str, Any], settings: Settings) -> None:
    """Write the job's input: a recipe as YAML beside its output. DiskError on failure."""
    if kind != "generate":
        return
    settings.exports.mkdir(parents=True, exist_ok=True)
    path = output_folder(settings, str(spec["out"])).with_suffix(".yaml")
    text = yaml.safe_dump(dict(spec["recipe"]), sort_keys=False, allow_unicode=True)
    write_file(path, f"# Made by the studio.\n{text}".encode())
