"""Own background photos on the page Generate: taken in, and put behind the people of a scene."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from synthstudio.core.errors import RecipeError, SynthStudioError
from synthstudio.core.images import SUFFIXES
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.review.values import User
from synthstudio.studio import uploads
from synthstudio.studio.context import Context
from synthstudio.studio.jobs.orders import roots_of
from synthstudio.studio.making.scenes import Scene
from synthstudio.studio.making.widgets import message
from synthstudio.studio.settings import Settings
from synthstudio.studio.text import plain

MOST_AT_ONCE = 40
_OWN = "As the scene has it"
_NAME = "photos"


def background(ctx: Context, scene: Scene) -> Scene:
    """Let the person put uploaded photos behind a scene's people; return the scene as chosen."""
    found = uploads.folders(ctx.settings.uploads)
    here = st.container()  # also without a choice: what follows keeps its place
    if not found or not may_have_photos(scene):
        return scene
    told = {folder.name: f"Your photos: {folder.name} ({folder.photos:,})" for folder in found}
    key, kept = f"background_{scene.name}", st.session_state.setdefault("backgrounds", {})
    options = (_OWN, *told)
    if key not in st.session_state and kept.get(scene.name) in options:
        st.session_state[key] = kept[scene.name]  # widgets forget when another page was shown
    picked = here.selectbox("Background", options, key=key, format_func=lambda n: told.get(n, n))
    kept[scene.name] = picked
    if picked == _OWN:
        return scene
    try:
        return with_photos(scene, picked, ctx.settings)
    except RecipeError as error:
        message(f"This scene cannot have photos behind it: {error}")
        return scene


def may_have_photos(scene: Scene) -> bool:
    """Say whether a scene can take uploaded photos: one asset root holds all that it takes."""
    return scene.recipe.occlude is None and not set(scene.recipe.folders) - {"backgrounds", "hdris"}


def with_photos(scene: Scene, folder: str, settings: Settings) -> Scene:
    """Return a scene with the photos of an uploads' folder as its backdrop.

    RecipeError where the recipe does not allow photos.
    """
    values = {**dump(scene.recipe), "backdrop": {"kind": "photo", "folder": folder}}
    root = roots_of(settings).index(settings.uploads)
    return replace(scene, name=f"{scene.name}-{folder}", recipe=parse(values), roots=(root,))


def photo_form(ctx: Context, me: User) -> None:
    """Take in photos, and say of each that is refused why."""
    with st.container():  # whatever it says, the part below keeps its place and stays open
        for line in st.session_state.get("photos_said", ()):  # until the next ones are sent
            (st.success if line.startswith("+") else message)(line[1:])
    with st.expander("Your own background photos"):
        st.caption(
            f"They become backdrops: photos of places without people, at most "
            f"{ctx.settings.limits.upload_bytes // 2**20} MB and "
            f"{ctx.settings.limits.upload_pixels // 1_000_000} megapixels each, "
            f"{MOST_AT_ONCE} at a time. Only their pixels are kept. Then choose them as "
            "Background, below the scene."
        )
        with st.form("photos", clear_on_submit=True, border=False):
            name = st.text_input(
                "Name for these photos",
                value=_NAME,
                max_chars=40,
                help="a-z, 0-9, - and _. Photos of the same name are drawn from together.",
            )
            files = st.file_uploader(
                "Photos", type=[suffix[1:] for suffix in SUFFIXES], accept_multiple_files=True
            )
            sent = st.form_submit_button("Keep these photos")
        if sent:
            given = [(file.name, file.getvalue()) for file in files]
            st.session_state["photos_said"] = keep(ctx, me, name.strip(), given)
            st.rerun()


def keep(ctx: Context, me: User, folder: str, files: list[tuple[str, bytes]]) -> list[str]:
    """Keep photos; return lines for the page: "+" before what was done, "-" before refusals."""
    if not files:
        return ["-Choose some photos first."]
    if len(files) > MOST_AT_ONCE:
        return [f"-These are {len(files):,} photos: take at most {MOST_AT_ONCE} at a time."]
    kept, said = set(), []
    for name, data in files:
        try:
            kept.add(
                uploads.keep_photo(
                    data, ctx.settings.uploads, folder, limits=ctx.settings.limits, who=me
                )
            )
        except SynthStudioError as error:
            said.append(f"-{name}: {error}")
    photos = "photo is" if len(kept) == 1 else "photos are"
    return [f"+{len(kept):,} {photos} kept as {plain(folder)}.", *said] if kept else said
