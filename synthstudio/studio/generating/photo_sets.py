"""Uploaded photos or a video, to become a data set in which people are added."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

import streamlit as st

from synthstudio.core.errors import StudioError, SynthStudioError
from synthstudio.core.images import SUFFIXES
from synthstudio.core.skeleton import SKELETONS
from synthstudio.core.video import VIDEOS
from synthstudio.dataset.durable import disk_errors
from synthstudio.review.values import User, require
from synthstudio.studio import skeletons
from synthstudio.studio.context import Context, user_now
from synthstudio.studio.generating.scenes import MAX_AT_ONCE
from synthstudio.studio.guard import log_refusal
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.orders import SPARE_BYTES, Photos, free_bytes
from synthstudio.studio.page_parts import show_refusal
from synthstudio.studio.settings import Settings
from synthstudio.studio.uploads import check_bytes, check_video, checked_size

_FILES, _NAME, _SKELETON = "new_set_files", "new_set_name", "new_set_skeleton"
_MESSAGE = "new_set_message"
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")
Files = list[tuple[str, bytes]]


def photo_set_form(ctx: Context, me: User) -> None:
    limits, message = ctx.settings.limits, st.session_state.pop(_MESSAGE, None)
    if isinstance(message, SynthStudioError):
        show_refusal(message, user=me.name)
    elif message:
        st.success(f"{message} is being made: see Jobs below.")
    with st.form("new_set", clear_on_submit=True, border=False):
        st.file_uploader(
            f"Photos (at most {MAX_AT_ONCE} at a time) or one video",
            type=[suffix[1:] for suffix in (*SUFFIXES, *VIDEOS)],
            accept_multiple_files=True,
            key=_FILES,
            help=f"At most {limits.upload_bytes // 2**20} MB and "
            f"{limits.upload_pixels // 1_000_000} megapixels each; of a video a frame a second. "
            "For more use the command below.",
        )
        name, joints = st.columns([3, 2])
        name.text_input("Name of the data set", value="photos", max_chars=48, key=_NAME)
        own = skeletons.stored(ctx.settings.exports)
        joints.selectbox("Joints of people", [*SKELETONS, *own], key=_SKELETON)
        st.form_submit_button("Make a data set", on_click=_take, args=(ctx, me.name))


def _take(ctx: Context, name: str) -> None:
    """Order the form's job, if the user is still permitted; keep the message to show."""
    given = [(file.name, file.getvalue()) for file in st.session_state[_FILES]]
    out, skeleton = st.session_state[_NAME].strip(), st.session_state[_SKELETON]
    try:
        order_photos(ctx, user_now(ctx, name), given, out=out, skeleton=skeleton)
        st.session_state[_MESSAGE] = out
    except SynthStudioError as error:
        st.session_state[_MESSAGE] = error


def order_photos(ctx: Context, me: User, files: Files, *, out: str, skeleton: str) -> None:
    """Keep an upload and order its data set. Refused ("role", "invalid"); StudioError or AssetError
    for a file that is refused: nothing of the upload is kept then."""
    require(me, "import")
    try:
        _check(files, ctx.settings)
    except SynthStudioError as error:
        log_refusal("photos of a new set", user=me.name, files=len(files), why=error)
        raise
    upload = secrets.token_hex(8)
    folder = ctx.settings.state / "incoming" / upload
    try:
        with disk_errors(folder):
            folder.mkdir(parents=True, mode=0o700)
            for name, data in _named(files).items():
                (folder / name).write_bytes(data)
        job_store.add(
            ctx.store, Photos(files=upload, out=out, skeleton=skeleton), ctx.settings, who=me
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _check(files: Files, settings: Settings) -> None:
    videos = [name for name, _ in files if Path(name).suffix.lower() in VIDEOS]
    if not 1 <= len(files) <= (1 if videos else MAX_AT_ONCE):
        raise StudioError(
            "photos or one video make a data set",
            where="upload",
            expected=f"1 to {MAX_AT_ONCE} photos, or one video",
            got=f"{len(files)} files" + (f", {len(videos)} of them videos" if videos else ""),
        )
    for name, data in files:
        check_bytes(data, settings.limits.upload_bytes)
        if videos:
            check_video(data, Path(name).suffix.lower())
        else:
            checked_size(data, settings.limits.upload_pixels)
    needed = 3 * sum(len(data) for _, data in files) + SPARE_BYTES
    if needed > free_bytes(settings.state):
        raise StudioError(
            "the disk is too full for this",
            where="upload",
            expected=f"{needed / 1e9:.1f} GB free",
            then="Free some space.",
        )


def _named(files: Files) -> dict[str, bytes]:
    """Files by unique plain names, by which exports name the pictures."""
    found: dict[str, bytes] = {}
    for name, data in files:
        stem, suffix = _UNUSUAL.sub("_", Path(name).stem).lstrip(".")[:60], Path(name).suffix
        plain, number = f"{stem or 'photo'}{suffix.lower()}", 2
        while plain in found:
            plain, number = f"{stem or 'photo'}-{number}{suffix.lower()}", number + 1
        found[plain] = data
    return found
