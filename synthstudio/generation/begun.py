"""How a set that is there was begun: its recipe, in the words it is written in."""

from __future__ import annotations

import dataclasses

from synthstudio.core.errors import RecipeError
from synthstudio.core.places import Place
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.writer import begun_at
from synthstudio.generation.stage import PHOTOS, Settings
from synthstudio.recipe.schema import older
from synthstudio.recipe.schema.load import dump, parse


def as_begun(settings: Settings, out: Place) -> Settings:
    """The settings to go on with in `out`: a set of before goes on as it was begun."""
    had = begun_at(out)
    if had is None:
        return settings
    recipe = settings.recipe
    begun = parse(older.as_begun(dump(recipe), had.recipe))
    fields = {name: getattr(begun, name) for name in older.PARTS}
    return dataclasses.replace(settings, recipe=recipe.model_copy(update=fields))


def as_written(identity: Identity, out: Place) -> Identity:
    """The identity with its recipe in the words of the set in `out`, if those mean the same.

    A set of before has no fields that came later and change nothing.
    """
    there = begun_at(out)
    if there is None:
        return identity
    had = {k: v for k, v in there.recipe.items() if k != PHOTOS}
    photos = {k: v for k, v in identity.recipe.items() if k == PHOTOS}
    try:
        meant = older.as_stored(dump(parse(older.as_begun(had))))
    except RecipeError:
        return identity  # the difference will be told
    del meant["frames"]
    same = meant | photos == identity.recipe
    return dataclasses.replace(identity, recipe=had | photos) if same else identity
