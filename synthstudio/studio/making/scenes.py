"""The scenes that a person may start from: the recipes in the folder named on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.schema.load import load
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.studio.jobs.orders import folders_lacking, roots_of
from synthstudio.studio.settings import Settings

FIRST = "quickstart"
MOST = 200


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A recipe on offer. `roots`: places of the asset roots that hold what it needs."""

    name: str
    recipe: Recipe
    roots: tuple[int, ...]

    @property
    def usable(self) -> bool:
        """Say whether the studio can make it: a root has its folders, and it needs no photos."""
        return bool(self.roots) and self.recipe.occlude is None

    @property
    def why_not(self) -> str:
        """Return why it cannot be made here; "" when it can."""
        if self.recipe.occlude is not None:
            return "It hides people in your own photos: use the command synthstudio occlude."
        if not self.roots:
            wanted = ", ".join(sorted(set(self.recipe.folders.values())))
            own = set(self.recipe.folders) == {"backgrounds"}
            return (
                f"It takes pictures from {wanted}: start the studio with --assets FOLDER"
                f"{', or keep photos of that name below' if own else ''}."
            )
        return ""


def scenes(settings: Settings) -> tuple[list[Scene], list[str]]:
    """Return the scenes, the first to try in front, and what is wrong with files that are none."""
    found, wrong = [], []
    for path in sorted(settings.scenes.glob("*.yaml"))[:MOST]:
        try:
            found.append(_scene(path, settings))
        except RecipeError as error:
            wrong.append(f"{path.name}: {str(error).splitlines()[0]}")
    found.sort(key=lambda scene: (scene.name != FIRST, not scene.usable, scene.name))
    return found, wrong


def _scene(path: Path, settings: Settings) -> Scene:
    recipe = load(path)
    roots = roots_of(settings)
    fit = [k for k, root in enumerate(roots) if not folders_lacking(recipe, root)]
    return Scene(name=path.stem, recipe=recipe, roots=tuple(fit))
