"""The scenes offered as starting points, and uploaded photos as their background."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from synthstudio.core.errors import AssetError, RecipeError, StudioError, SynthStudioError
from synthstudio.core.images import SUFFIXES, decode_opaque, encode_jpeg
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.review.values import User, require
from synthstudio.studio.context import Context, user_now
from synthstudio.studio.guard import log_refusal
from synthstudio.studio.jobs.orders import asset_roots, missing_folders
from synthstudio.studio.page_parts import field_error
from synthstudio.studio.settings import Limits, Settings
from synthstudio.studio.text import plain
from synthstudio.studio.uploads import check_bytes, checked_size

FIRST = "quickstart"
MAX = 200


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
        """Return why it cannot be generated here; "" if it can."""
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


MAX_BYTES = 4 * 2**30
"""Maximum of all photos of one folder."""
MAX_PHOTOS = 500
"""In one folder."""
MAX_FOLDERS = 20
MIN_PX = 64
"""Minimum of a background photo's shorter side."""
_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class Folder:
    name: str
    photos: int


def folders(root: Path) -> list[Folder]:
    """Return the non-empty folders of photos below the uploads folder, by name."""
    if not root.is_dir():
        return []
    found = [
        Folder(name=place.name, photos=len(_photos(place)))
        for place in sorted(root.iterdir())
        if _FOLDER.fullmatch(place.name) and place.is_dir() and not place.is_symlink()
    ]
    return [folder for folder in found if folder.photos]


def keep_photo(data: bytes, root: Path, folder: str, *, limits: Limits, who: User) -> Path:
    """Store an uploaded photo as ROOT/FOLDER/SHA256.jpg; return its path.

    Only its pixels are kept: no name, no metadata, no trailing bytes.
    `folder` is a short lower-case name. Refused without permission to generate; StudioError or
    AssetError for a bad file, which is not written. Refusals are logged.
    """
    require(who, "generate")
    try:
        place = _place(root, folder)
        made = _drawn_anew(data, limits)
        path = place / f"{hashlib.sha256(made).hexdigest()}.jpg"
        if not path.exists():
            _check_room(root, place, len(made))
    except (StudioError, AssetError) as error:
        log_refusal("an upload", user=who.name, folder=folder, bytes=len(data), why=error)
        raise
    with disk_errors(path):
        place.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            replace_file(path, made)
    return path


def _drawn_anew(data: bytes, limits: Limits) -> bytes:
    check_bytes(data, limits.upload_bytes)
    width, height = checked_size(data, limits.upload_pixels)
    if min(width, height) < MIN_PX:
        raise StudioError(
            "the picture is too small for a background",
            where="upload",
            got=f"{width} x {height}",
            expected=f"at least {MIN_PX} pixels a side",
        )
    return encode_jpeg(decode_opaque(data, "upload"), _QUALITY)


def _place(root: Path, folder: str) -> Path:
    place = root / folder
    # The uploads folder itself must not be a link either: it is below the exports folder.
    inside = "\0" not in folder and place.resolve() == root.parent.resolve() / root.name / folder
    if not _FOLDER.fullmatch(folder) or not inside:
        raise StudioError(
            "invalid name of a photo folder",
            where="upload",
            got=repr(folder)[:80],
            expected="a to z, 0 to 9, _ and -, at most 40",
            then="Choose another name.",
        )
    return place


def _check_room(root: Path, place: Path, more: int) -> None:
    held = _photos(place) if place.is_dir() else []
    if not held and len(folders(root)) >= MAX_FOLDERS:
        raise StudioError(
            "there are too many folders of photos",
            where="upload",
            expected=f"at most {MAX_FOLDERS}",
            then="Use an existing one.",
        )
    size = sum(path.stat().st_size for path in held)
    if len(held) >= MAX_PHOTOS or size + more > MAX_BYTES:
        raise StudioError(
            "this folder of photos is full",
            where=place.name,
            expected=f"at most {MAX_PHOTOS} photos and {MAX_BYTES // 2**30} GB",
            then="Use another name.",
        )


def _photos(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.suffix == ".jpg" and path.is_file()]


MAX_AT_ONCE = 40
_OWN = "Reset to the scene's values"
_NAME, _NAME_KEY, _FILES_KEY = "photos", "photos_name", "photos_files"


def background(ctx: Context, scene: Scene) -> Scene:
    """Offer uploaded photos as a scene's background; return the scene as chosen."""
    found = folders(ctx.settings.uploads)
    here = st.container()  # also if empty, to keep later elements in place
    if not found or not may_have_photos(scene):
        return scene
    titles = {folder.name: f"Your photos: {folder.name} ({folder.photos:,})" for folder in found}
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
    """Return a scene with the photos of an uploads folder as its backdrop.

    RecipeError if the recipe does not allow photos.
    """
    backdrop = {"kind": "photo", "folder": folder, "ground": "any"}  # no sidecars are uploaded
    values = {**dump(scene.recipe), "backdrop": backdrop}
    root = asset_roots(settings).index(settings.uploads)
    return replace(scene, name=f"{scene.name}-{folder}", recipe=parse(values), roots=(root,))


def photo_form(ctx: Context, me: User) -> None:
    with st.container():  # keeps the part below in place and open
        for line in st.session_state.get("photos_messages", ()):  # until the next upload
            (st.success if line.startswith("+") else field_error)(line[1:])
    with st.expander("Your own background photos"):
        st.caption(
            f"They become backdrops: photos of places without people, at most "
            f"{ctx.settings.limits.upload_bytes // 2**20} MB and "
            f"{ctx.settings.limits.upload_pixels // 1_000_000} megapixels each, "
            f"{MAX_AT_ONCE} at a time. Only their pixels are kept. Then choose them as "
            "Background, below the scene."
        )
        with st.form("photos", clear_on_submit=True, border=False):
            st.text_input(
                "Name for these photos",
                value=_NAME,
                key=_NAME_KEY,
                max_chars=40,
                help="a-z, 0-9, - and _. Photos with the same name form one set.",
            )
            st.file_uploader(
                "Photos",
                type=[suffix[1:] for suffix in SUFFIXES],
                accept_multiple_files=True,
                key=_FILES_KEY,
            )
            # Before the page is drawn: a preview arriving meanwhile redraws it, and the upload
            # would be lost.
            st.form_submit_button("Upload these photos", on_click=_take, args=(ctx, me.name))


def _take(ctx: Context, name: str) -> None:
    """Store the form's photos, if the user is still permitted, and keep the messages to show."""
    now = user_now(ctx, name)
    given = [(file.name, file.getvalue()) for file in st.session_state[_FILES_KEY]]
    folder = st.session_state[_NAME_KEY].strip()
    st.session_state["photos_messages"] = keep(ctx, now, folder, given)


def keep(ctx: Context, me: User, folder: str, files: list[tuple[str, bytes]]) -> list[str]:
    """Store photos; return lines for the page: "+" before successes, "-" before refusals."""
    if not files:
        return ["-Choose some photos first."]
    if len(files) > MAX_AT_ONCE:
        return [f"-These are {len(files):,} photos: upload at most {MAX_AT_ONCE} at a time."]
    kept, refused = set(), []
    for name, data in files:
        try:
            kept.add(
                keep_photo(data, ctx.settings.uploads, folder, limits=ctx.settings.limits, who=me)
            )
        except SynthStudioError as error:
            refused.append(f"-{name}: {error}")
    photos = "photo is" if len(kept) == 1 else "photos are"
    return [f"+{len(kept):,} {photos} kept as {plain(folder)}.", *refused] if kept else refused
