"""Occluders of an experiment, disjoint between training and test.

Built-in objects are split by kind, cut-outs by category (a cut-out bicycle goes with the built-in
one) or, with fewer than two categories, by file. Rendered people are never pasted.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from synthstudio.core.errors import AssetError
from synthstudio.dataset.durable import canonical_json, whole_folder
from synthstudio.props.assets import scan_images

FOLDER = "cutouts"
KINDS = {
    "train": (
        "backpack", "barrel", "bench", "bin", "cardboard_box", "chair", "crate", "handbag",
        "low_wall", "pole", "shopping_bag", "stool", "suitcase", "traffic_cone", "trolley_case",
    ),
    "test": (
        "bicycle", "fence", "pillar", "pram", "railing", "shopping_cart", "sign_board", "table",
    ),
}  # fmt: skip
EACH = {"train": 3, "test": 2}
"""Occluded frames of each photo, beside the clean one."""
_TEST_SHARE = 0.4


def recipe(name: str, *, seed: int, cutouts: bool) -> dict[str, Any]:
    """The recipe that occludes the people of a part."""
    occlude: dict[str, Any] = {
        "ground": "any",  # as many hidden joints as possible, plausible or not
        "each": EACH[name],
        "hide": [1, 3],
        "by": {"cutout": 1, "object": 1},
        "min_height_px": 32,
    }
    if cutouts:
        occlude["cutouts"] = {"folder": FOLDER}
    return {
        "name": f"experiment_{name}",
        "seed": seed,
        "occlude": occlude,
        "targets": {"occluded_fraction": [0.1, 0.6], "max_objects": 2, "effort": 12},
        "objects": [{"kind": "procedural", "kinds": dict.fromkeys(KINDS[name], 1)}],
    }


def split_cutouts(folder: Path, out: Path, *, seed: int) -> dict[str, list[str]]:
    """Copy the cut-outs of `folder` into out/train and out/test; return the names of each.
    AssetError when they cannot be split or one has no transparency."""
    found = scan_images(folder.parent, folder.name, kind="cutout")
    by_file = len({picture.category for picture in found}) < 2
    key = {p: p.asset.sha256 if by_file else p.category for p in found}
    held = _test_kinds(set(key.values()), seed=seed)
    parts = {
        "train": [p for p in found if key[p] not in held],
        "test": [p for p in found if key[p] in held],
    }
    if not all(parts.values()):
        raise _one_sided(folder, key.values(), "test" if held else "train")
    with whole_folder(out) as unfinished:
        for name, pictures in parts.items():
            target = unfinished / name / FOLDER
            target.mkdir(parents=True)
            for picture in pictures:
                shutil.copyfile(
                    folder.parent / picture.asset.name, target / Path(picture.asset.name).name
                )
            ledger = [
                {
                    "file": Path(p.asset.name).name,
                    "category": p.category,
                    "license": p.licence,
                    "source": p.source,
                }
                for p in pictures
            ]
            (target / "manifest.json").write_bytes(canonical_json(ledger))
    return {n: [Path(p.asset.name).name for p in pictures] for n, pictures in parts.items()}


def _one_sided(folder: Path, keys: Collection[str], part: str) -> AssetError:
    """The error for cut-outs that cannot be split: too few, or all of `part`'s kinds."""
    kinds = sorted(set(keys))
    if len(kinds) < 2:
        return AssetError(
            "too few cut-outs to hold some out for the test",
            where=str(folder),
            expected="two or more, best of several categories",
            got=str(len(keys)),
        )
    use = {"train": "hide people in training", "test": "are held out for the test"}[part]
    return AssetError(
        f"all cut-outs belong to built-in kinds that {use}",
        where=str(folder),
        got=", ".join(kinds)[:300],
        expected=f"some of other categories than {', '.join(KINDS[part])}",
        then="Add cut-outs of another kind.",
    )


def _test_kinds(kinds: set[str], *, seed: int) -> set[str]:
    """The kinds of cut-outs for the test: those of its built-in objects, then by hash."""
    as_objects = {name: {k for k in kinds if _is_one_of(k, KINDS[name])} for name in KINDS}
    free = sorted(
        kinds - as_objects["train"] - as_objects["test"],
        key=lambda k: hashlib.blake2b(f"{seed} {k}".encode()).digest(),
    )
    count = max(1, round(_TEST_SHARE * len(kinds))) - len(as_objects["test"])
    return as_objects["test"] | set(free[: max(0, min(count, len(kinds) - 1))])


def _is_one_of(category: str, kinds: tuple[str, ...]) -> bool:
    """Whether a category is a built-in kind, or a subtype of one ("dining table")."""
    plain = "_" + category.strip().lower().replace(" ", "_")
    return any(plain.endswith("_" + kind) for kind in kinds)
