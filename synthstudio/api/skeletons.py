"""`Skeletons`: built-in by name, custom by file."""

from __future__ import annotations

from pathlib import Path

from synthstudio.api.arguments import PathLike, to_path
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, definition, get_skeleton


def skeleton(path: PathLike, *, category: str | None = None) -> Skeleton:
    """A skeleton of your own: names, limbs, pairs and sigmas of its joints.

    Args:
        path: Definition in YAML or JSON, or a COCO file.
        category: Category of a COCO file that has several with keypoints.

    Raises:
        RecipeError: for an invalid definition, naming the field; FormatError: for an invalid COCO
            file.
    """
    from synthstudio.formats.skeleton_file import read_skeleton

    return read_skeleton(to_path(path, "path"), category=category)


def to_skeleton(value: Skeleton | PathLike) -> Skeleton:
    """A skeleton from a skeleton, a built-in name, or a definition file."""
    if isinstance(value, Skeleton):
        return value
    name = str(value)
    looks_like_a_file = isinstance(value, Path) or Path(name).suffix.lower() in _SUFFIXES
    if looks_like_a_file and name not in SKELETONS and name not in FOREIGN:
        return skeleton(value)
    return get_skeleton(name)


_SUFFIXES = (".yaml", ".yml", ".json")
skeleton_facts = definition


def save_skeleton(value: Skeleton, out: PathLike) -> None:
    """Write a custom skeleton's definition; DiskError."""
    from synthstudio.formats.skeleton_file import write_skeleton

    write_skeleton(to_path(out, "out"), value)
