"""The scenes offered as starting points, also with uploaded photos as their background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.studio.context import Context
from synthstudio.studio.jobs.orders import asset_roots, missing_folders
from synthstudio.studio.page_parts import field_error
from synthstudio.studio.settings import Settings
from synthstudio.studio.uploads import folders

FIRST = "quickstart"
MAX = 200
_OWN = "Reset to the scene's values"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A recipe on offer. `roots`: indices of the asset roots with its assets."""

    name: str
    recipe: Recipe
    roots: tuple[int, ...]

    @property
    def usable(self) -> bool:
        return bool(self.roots) and self.recipe.occlude is None

    @property
    def why_not(self) -> str:
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
    """Return the scenes, the easiest first, and the errors of invalid files."""
    found, wrong = [], []
    for path in sorted(settings.scenes.glob("*.yaml"))[:MAX]:
        try:
            found.append(_scene(path, settings))
        except RecipeError as error:
            wrong.append(f"{path.name}: {str(error).splitlines()[0]}")
    found.sort(key=lambda scene: (scene.name != FIRST, not scene.usable, scene.name))
    return found, wrong


def _scene(path: Path, settings: Settings) -> Scene:
    recipe = load(path)
    roots = asset_roots(settings)
    fit = [k for k, root in enumerate(roots) if not missing_folders(recipe, root)]
    return Scene(name=path.stem, recipe=recipe, roots=tuple(fit))


def background(ctx: Context, scene: Scene) -> Scene:
    found = folders(ctx.settings.uploads)
    here = st.container()  # also if empty, to keep later elements in place
    if not found or not may_have_photos(scene):
        return scene
    titles = {name: f"Your photos: {name} ({photos:,})" for name, photos in found.items()}
    picked = here.selectbox(
        "Background",
        (_OWN, *titles),
        key=f"background_{scene.name}",
        persist_state="session",
        format_func=lambda n: titles.get(n, n),
    )
    if picked == _OWN:
        return scene
    try:
        return with_photos(scene, picked, ctx.settings)
    except RecipeError as error:
        field_error(f"This scene does not support background photos: {error}")
        return scene


def may_have_photos(scene: Scene) -> bool:
    """Whether a scene can take uploaded photos: one asset root has all of its assets."""
    return scene.recipe.occlude is None and not set(scene.recipe.folders) - {"backgrounds", "hdris"}


def with_photos(scene: Scene, folder: str, settings: Settings) -> Scene:
    """A scene with an uploads folder's photos as its backdrop; RecipeError if it allows none."""
    backdrop = {"kind": "photo", "folder": folder, "ground": "any"}  # no sidecars are uploaded
    values = {**dump(scene.recipe), "backdrop": backdrop}
    root = asset_roots(settings).index(settings.uploads)
    return replace(scene, name=f"{scene.name}-{folder}", recipe=parse(values), roots=(root,))
