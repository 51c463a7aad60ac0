"""Own skeletons of a studio: files below the exports folder, validated like uploads."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from synthstudio.core.errors import StudioError, SynthStudioError
from synthstudio.core.skeleton import (
    FOREIGN,
    MAX_CHARS,
    SKELETONS,
    Skeleton,
    default_sigma,
    definition,
    own_skeleton,
)
from synthstudio.formats.skeleton_file import read_skeleton, write_skeleton
from synthstudio.review.values import User, require

FOLDER = "skeletons"
MAX_FILES = 500


def stored(exports: Path) -> dict[str, Skeleton]:
    """Name -> skeleton of the valid files, by name."""
    found = {}
    for file in sorted((exports / FOLDER).glob("*.yaml"))[:MAX_FILES]:
        try:
            status = file.stat()
            skeleton = _read(file, status.st_mtime_ns, status.st_size)
        except (OSError, SynthStudioError):
            continue
        if skeleton is not None and skeleton.title == file.stem:
            found[skeleton.title] = skeleton
    return found


@lru_cache(2 * MAX_FILES)
def _read(file: Path, _mtime_ns: int, _size: int) -> Skeleton | None:
    """Cached, as rejecting a foreign file may take seconds; disk errors are raised, not cached."""
    try:
        return read_skeleton(file)
    except SynthStudioError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return None


def parse(text: Any) -> Skeleton:
    """The skeleton of a JSON definition sent by a browser; SynthStudioError."""
    if not isinstance(text, str) or len(text) > MAX_CHARS:
        raise StudioError("no definition", expected=f"text of at most {MAX_CHARS:,} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StudioError("no definition", expected="JSON") from error
    return own_skeleton(value, "skeleton")


def number(sent: Any, name: str = "n") -> int | None:
    """The number of a save sent by a browser, or (`after`) of its predecessor."""
    found = sent.get(name) if isinstance(sent, dict) else None
    return found if isinstance(found, int) else None


def take(
    exports: Path,
    sent: Any,
    *,
    who: User,
    used: Iterable[Skeleton],
    last: Mapping[int, str] = MappingProxyType({}),
) -> tuple[Skeleton, bool]:
    """Save a browser's definition as `save` does: the skeleton, and whether it was written.

    `sent`: {n, definition, opened, after}, untrusted. `last`: number and digest of this session's
    last save, which one sent before its answer arrived (its `after`) may replace.
    SynthStudioError; Refused without permission.
    """
    require(who, "skeletons")
    fields = sent if isinstance(sent, dict) else {}
    skeleton, opened = parse(fields.get("definition")), fields.get("opened")
    opened = opened if isinstance(opened, str) else ""
    after = number(sent, "after")
    opened = opened if after is None else last.get(after, opened)
    return skeleton, save(exports, skeleton, opened=opened, used=used)


def digest(skeleton: Skeleton) -> str:
    return hashlib.sha256(skeleton.name.encode()).hexdigest()


def to_edit(skeleton: Skeleton) -> dict[str, Any]:
    """The definition of an own skeleton, with sigmas only where not the default."""
    value = definition(skeleton)
    same, sigmas = value["same_as"], value["sigmas"]
    stated = {j: s for j, s in sigmas.items() if s != default_sigma(same.get(j))}
    return value | {"sigmas": stated}


def save(exports: Path, skeleton: Skeleton, *, opened: str, used: Iterable[Skeleton]) -> bool:
    """Write exports/skeletons/NAME.yaml; False if unchanged. SynthStudioError.

    `opened`: the `digest` of the edited stored one, which only may be replaced.
    `used`: the skeletons of data sets; one of them is not changed, for its file would no longer
    be theirs.
    """
    name = skeleton.title
    before = stored(exports).get(name)
    if before is not None and before.name == skeleton.name:
        return False
    if name in SKELETONS or name in FOREIGN:
        raise _name_error("the package has a skeleton of this name", name)
    if any(each.own and each.title == name for each in used):
        raise _name_error("data sets use the skeleton of this name, so it cannot be changed", name)
    file = exports / FOLDER / f"{name}.yaml"
    if file.exists() and (before is None or digest(before) != opened):
        what = "another skeleton has this name, or it was saved since you opened it"
        raise _name_error(what, name)
    if before is None and len(list(file.parent.glob("*.yaml"))) >= MAX_FILES:
        raise StudioError("too many skeletons", expected=f"at most {MAX_FILES}")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_skeleton(file, skeleton)
    return True


def _name_error(what: str, name: str) -> StudioError:
    return StudioError(what, where="name", got=name, then="Save it under another name.")
