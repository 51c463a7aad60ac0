"""`ss.Recipe` and `ss.skeleton`: the descriptions of a data set and of joints of your own."""

from __future__ import annotations

import difflib
import html
from pathlib import Path
from typing import Any

import yaml
from pydantic import PrivateAttr

from synthstudio.api.arguments import PathLike, is_path, shown, to_path
from synthstudio.core.errors import ArgumentError, AssetError, RecipeError
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import write_file
from synthstudio.dataset.manifest import MANIFEST_NAME
from synthstudio.recipe.schema import load as yaml_files
from synthstudio.recipe.schema import recipe as schema


class _Checked(type(schema.Recipe)):  # type: ignore[misc]
    """Calls the class as `parse` does, with its errors."""

    def __call__(cls, **fields: Any) -> Any:
        return cls.parse(fields)


class Recipe(schema.Recipe, metaclass=_Checked):
    """Distributions from which frames are drawn; scenes/README.md lists every field.

    A recipe is a frozen pydantic model: `Recipe.load` reads YAML, `with_` changes fields,
    `save` writes YAML with every default filled in.
    """

    _folder: Path | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: PathLike) -> Recipe:
        """Read a recipe from a YAML file, or one of the package's own by its name ("quickstart").

        Raises:
            RecipeError: listing every fault of the file with line and field.
        """
        where = named_file(to_path(path, "path"))
        if (where / MANIFEST_NAME).is_file():
            then = "Pass the recipe, and the data set as out."
            raise RecipeError("no recipe there", where=str(where), got="a data set", then=then)
        recipe = yaml_files.load_as(cls, where)
        recipe._folder = where.parent
        return recipe

    @classmethod
    def parse(cls, fields: dict[str, Any]) -> Recipe:
        """Build a recipe from plain values; RecipeError for invalid values."""
        return yaml_files.parse_as(cls, fields)

    def with_(self, **changes: Any) -> Recipe:
        """A validated copy with some fields changed; a section, as `people`, is replaced whole.

        Raises:
            RecipeError: for an unknown field or an invalid value.
        """
        changed = type(self).parse({**yaml_files.dump(self), **changes})
        changed._folder = self._folder
        return changed

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values with every default filled in; `parse` reads them."""
        return yaml_files.dump(self)

    def save(self, path: PathLike) -> None:
        """Write the recipe as YAML; DiskError when that fails."""
        write_file(to_path(path, "path"), self._text().encode())

    @property
    def folder(self) -> Path:
        """The base of its asset folders: its file's folder, else the current one."""
        return self._folder or Path()

    def _text(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self._text())}</pre>"


def to_recipe(value: Any) -> Recipe:
    """A recipe from a Recipe, the path of a YAML file, or a dict of its fields."""
    if isinstance(value, Recipe):
        return value
    if isinstance(value, schema.Recipe):
        return Recipe.parse(yaml_files.dump(value))
    if isinstance(value, dict):
        return Recipe.parse(value)
    if is_path(value):
        return Recipe.load(value)
    raise ArgumentError(
        "not a recipe", where="recipe", expected="a Recipe, a path or a dict", got=shown(value)
    )


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


def save_skeleton(value: Skeleton, out: PathLike) -> None:
    """Write a custom skeleton's definition; DiskError."""
    from synthstudio.formats.skeleton_file import write_skeleton

    write_skeleton(to_path(out, "out"), value)


recipe_schema = yaml_files.json_schema
SCENES = Path(__file__).resolve().parents[1] / "scenes"
"""Recipes and training configs of the package: scenes/ of a checkout."""


def scene_file(name: str) -> Path:
    """A file of scenes/, as quickstart.yaml; AssetError."""
    found = SCENES / name
    if not found.is_file():
        raise AssetError("the package has no such file", where=name, got=str(found))
    return found


def named_file(path: Path, folder: str = "") -> Path:
    """`path` if it exists, else the package's file of that name (below `folder` of
    scenes/): "quickstart", "challenges/dark"; RecipeError for an unknown name."""
    if path.suffix or path.exists() or path.is_absolute():
        return path
    own = SCENES / folder
    if (found := own / f"{path}.yaml").is_file():
        return found
    names = [p.relative_to(own).with_suffix("").as_posix() for p in own.rglob("*.yaml")]
    near = difflib.get_close_matches(str(path), names, n=3)
    raise RecipeError(
        "neither a file nor a name of the package",
        where=str(path),
        expected=", ".join(near or sorted(n for n in names if "/" not in n)),
    )
