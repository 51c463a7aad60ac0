"""Custom skeletons as files: YAML or JSON, and COCO's categories.

core/skeleton.py describes definitions (`own_skeleton`). Files are not trusted.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from synthstudio.core.errors import FormatError
from synthstudio.core.safe_json import read_value
from synthstudio.core.safe_yaml import MAX_BYTES, read_yaml
from synthstudio.core.skeleton import (
    COCO17,
    FOREIGN,
    SKELETONS,
    Skeleton,
    definition,
    mirror_pairs,
    own_skeleton,
)
from synthstudio.dataset.durable import replace_file
from synthstudio.formats import checked
from synthstudio.formats.coco.file import RawCoco

_NO_NAME = re.compile(r"[^a-z0-9_-]+")


_STANDING = {  # shares of a square; those of the left side, which is on the picture's right
    "head_top": (0.5, 0.04), "nose": (0.5, 0.13), "eye": (0.54, 0.09), "ear": (0.6, 0.11),
    "upper_neck": (0.5, 0.2), "neck": (0.5, 0.22), "thorax": (0.5, 0.25), "shoulder": (0.65, 0.26),
    "elbow": (0.75, 0.4), "wrist": (0.82, 0.53), "spine": (0.5, 0.4), "pelvis": (0.5, 0.55),
    "hip": (0.59, 0.55), "knee": (0.61, 0.74), "ankle": (0.62, 0.92), "heel": (0.59, 0.96),
    "big_toe": (0.65, 0.97), "small_toe": (0.72, 0.95),
}  # fmt: skip


def read_skeleton(path: Path, *, category: str | None = None) -> Skeleton:
    """The skeleton of a definition in YAML or JSON, or of a category of a COCO file.

    `category`: required if several have keypoints. RecipeError for an invalid
    definition, FormatError for an invalid COCO file.
    """
    if path.suffix.lower() != ".json":
        return own_skeleton(read_yaml(path, "skeleton"), str(path))
    if path.is_file() and path.stat().st_size <= MAX_BYTES:
        value = read_value(path)
        if not (isinstance(value, dict) and "categories" in value):
            return own_skeleton(value, str(path))
    return _of_category(RawCoco(path).head["categories"], category, str(path))


def write_skeleton(path: Path, skeleton: Skeleton) -> None:
    """Write a custom skeleton's whole definition atomically; DiskError."""
    replace_file(path, skeleton_text(skeleton).encode("utf-8"))


def skeleton_text(skeleton: Skeleton) -> str:
    """A custom skeleton's definition in YAML, as `read_skeleton` reads it."""
    value = definition(skeleton)
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=96)


def of_package(skeleton: Skeleton, name: str) -> Skeleton:
    """A copy of a built-in skeleton as a custom one of another name, as a starting point."""
    at = skeleton.joints
    return own_skeleton(
        {
            "name": name,
            "joints": list(at),
            "limbs": [[at[a], at[b]] for a, b in skeleton.edges],
            "pairs": [[at[a], at[b]] for a, b in skeleton.pairs],
            "sigmas": dict(zip(at, skeleton.sigmas.tolist(), strict=True)),
            "sigma_source": skeleton.sigma_source,
            "same_as": {joint: joint for joint in at if joint in COCO17},
            "places": dict(zip(at, skeleton.places, strict=True)),
            "figure": _standing(at),
        }
    )


def _standing(joints: tuple[str, ...]) -> dict[str, list[float]]:
    """Positions of a standing, facing figure's joints; {} if one is unknown."""
    found = {}
    for joint in joints:
        side, _, part = joint.partition("_") if joint.startswith(("left_", "right_")) else ("",) * 3
        x, y = _STANDING.get(part or joint, (None, None))
        if x is None or y is None:
            return {}
        found[joint] = [round(1 - x, 3) if side == "right" else x, y]
    return found


def _of_category(categories: list[Any], wanted: str | None, where: str) -> Skeleton:
    able = [c for c in categories if isinstance(c, dict) and c.get("keypoints")]
    named = {str(c.get("name"))[:80]: c for c in able}
    if (wanted is not None and wanted not in named) or len(named) != len(able) or not able:
        raise FormatError(
            "no such category with keypoints",
            where=f"{where}, categories",
            expected=f"one of {', '.join(named)}" if named else "keypoints: [names]",
            got=wanted,
        )
    if wanted is None and len(able) > 1:
        raise FormatError(
            "several categories have keypoints",
            where=f"{where}, categories",
            got=", ".join(named),
            then="Pass --category NAME.",
        )
    name = wanted if wanted is not None else next(iter(named))
    category = named[name]
    if "own_skeleton" in category:
        return own_skeleton(category["own_skeleton"], f"{where}, category {name}")
    with checked.reading(f"{where}, category {name}"):
        value = _from_coco(category, name)
    return own_skeleton(value, f"{where}, category {name}")


def _from_coco(category: dict[str, Any], name: str) -> dict[str, Any]:
    """The definition of a category as COCO writes it: names, limbs from 1; ValueError."""
    joints = category["keypoints"]
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise ValueError("keypoints is not a list of names")
    limbs: dict[frozenset[int], list[str]] = {}
    for limb in category.get("skeleton") or []:
        one, other = (checked.integer(joint, 1, len(joints)) for joint in limb)
        if one != other:
            limbs.setdefault(frozenset((one, other)), [joints[one - 1], joints[other - 1]])
    title = _NO_NAME.sub("-", name.lower()).strip("-_")[:40] or "skeleton"
    if title in SKELETONS or title in FOREIGN:
        title += "-own"
    person = name.lower() == "person"
    return {
        "name": title,
        "joints": joints,
        "limbs": list(limbs.values()),
        "pairs": mirror_pairs(joints),
        "same_as": {joint: joint for joint in joints if person and joint in COCO17},
        "category": name,
    }
