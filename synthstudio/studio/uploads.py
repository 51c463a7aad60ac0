"""Uploads, checked before decoding: background photos, and data sets of photos or a video."""

import hashlib
import re
import secrets
import shutil
from pathlib import Path

import streamlit as st

from synthstudio.core.errors import AssetError, StudioError, SynthStudioError
from synthstudio.core.images import SUFFIXES, VIDEOS, decode, decode_opaque, encode_jpeg
from synthstudio.core.skeleton import SKELETONS
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.review.values import User, require
from synthstudio.studio import skeletons
from synthstudio.studio.context import Context, user_now
from synthstudio.studio.guard import log_refusal
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.orders import SPARE_BYTES, Photos, free_bytes
from synthstudio.studio.page_parts import field_error, plain, show_refusal
from synthstudio.studio.settings import Limits, Settings

_MAGIC: tuple[tuple[int, bytes], ...] = (
    (4, b"ftyp"), (8, b"AVI "), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x00\x00\x01\xba"),
)  # fmt: skip
"""Signatures of MP4 and MOV, AVI, Matroska and WebM, and MPEG: a playlist posing as a video
could name other files."""
MAX_BYTES = 4 * 2**30
"""Maximum of all photos of one folder."""
MAX_PHOTOS = 500
MAX_FOLDERS = 20
MIN_PX = 64
"""Minimum of a background photo's shorter side."""
_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_QUALITY = 95
MAX_AT_ONCE = 40
_PHOTOS, _PHOTOS_NAME = "photos_files", "photos_name"
_FILES, _NAME, _SKELETON = "new_set_files", "new_set_name", "new_set_skeleton"
_MESSAGE = "new_set_message"
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")
Files = list[tuple[str, bytes]]


def _refused(what: str, **more: str) -> StudioError:
    return StudioError(what, where="upload", **more)


def _check_bytes(data: bytes, maximum: int) -> None:
    if not 0 < len(data) <= maximum:
        raise _refused(
            "the file is empty or too large",
            got=f"{len(data)} bytes",
            expected=f"at most {maximum // 2**20} MB",
        )


def checked_size(data: bytes, most_pixels: int) -> tuple[int, int]:
    """Width and height of a picture from its header, without decoding. AssetError."""
    return decode(data, "upload", lambda image: image.size, max_pixels=most_pixels)


def check_photo(data: bytes, limits: Limits) -> tuple[int, int]:
    """Width and height of an uploaded photo; StudioError, AssetError."""
    _check_bytes(data, limits.upload_bytes)
    return checked_size(data, limits.upload_pixels)


def check_video(data: bytes, suffix: str, limits: Limits) -> None:
    """StudioError if the content is no known video, whatever its name."""
    _check_bytes(data, limits.upload_bytes)
    if suffix not in VIDEOS or not any(data[at : at + len(mark)] == mark for at, mark in _MAGIC):
        raise _refused("this is not a supported video", expected="MP4, MOV, AVI, MKV, WebM or MPEG")


def folders(root: Path) -> dict[str, int]:
    """The non-empty folders of photos below the uploads folder: name -> how many."""
    found = {
        place.name: len(_photos(place))
        for place in (sorted(root.iterdir()) if root.is_dir() else ())
        if _FOLDER.fullmatch(place.name) and place.is_dir() and not place.is_symlink()
    }
    return {name: photos for name, photos in found.items() if photos}


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
    width, height = check_photo(data, limits)
    if min(width, height) < MIN_PX:
        raise _refused(
            "the picture is too small for a background",
            got=f"{width} x {height}",
            expected=f"at least {MIN_PX} pixels a side",
        )
    return encode_jpeg(decode_opaque(data, "upload"), _QUALITY)


def _place(root: Path, folder: str) -> Path:
    place = root / folder
    # The uploads folder itself must not be a link either: it is below the exports folder.
    inside = "\0" not in folder and place.resolve() == root.parent.resolve() / root.name / folder
    if not _FOLDER.fullmatch(folder) or not inside:
        raise _refused(
            "invalid name of a photo folder",
            got=repr(folder)[:80],
            expected="a to z, 0 to 9, _ and -, at most 40",
            then="Choose another name.",
        )
    return place


def _check_room(root: Path, place: Path, more: int) -> None:
    held = _photos(place) if place.is_dir() else []
    if not held and len(folders(root)) >= MAX_FOLDERS:
        raise _refused(
            "there are too many folders of photos",
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
                value="photos",
                key=_PHOTOS_NAME,
                max_chars=40,
                help="a-z, 0-9, - and _. Photos with the same name form one set.",
            )
            st.file_uploader(
                "Photos",
                type=[suffix[1:] for suffix in SUFFIXES],
                accept_multiple_files=True,
                key=_PHOTOS,
            )
            # Before the page is drawn: a preview arriving meanwhile redraws it, and the upload
            # would be lost.
            st.form_submit_button("Upload these photos", on_click=_take, args=(ctx, me.name))


def _take(ctx: Context, name: str) -> None:
    """Store the form's photos, if the user is still permitted, and keep the messages to show."""
    now = user_now(ctx, name)
    given = [(file.name, file.getvalue()) for file in st.session_state[_PHOTOS]]
    folder = st.session_state[_PHOTOS_NAME].strip()
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
        st.form_submit_button("Make a data set", on_click=_order, args=(ctx, me.name))


def _order(ctx: Context, name: str) -> None:
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
        _check_set(files, ctx.settings)
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


def _check_set(files: Files, settings: Settings) -> None:
    videos = [name for name, _ in files if Path(name).suffix.lower() in VIDEOS]
    if not 1 <= len(files) <= (1 if videos else MAX_AT_ONCE):
        raise _refused(
            "photos or one video make a data set",
            expected=f"1 to {MAX_AT_ONCE} photos, or one video",
            got=f"{len(files)} files" + (f", {len(videos)} of them videos" if videos else ""),
        )
    for name, data in files:
        if videos:
            check_video(data, Path(name).suffix.lower(), settings.limits)
        else:
            check_photo(data, settings.limits)
    needed = 3 * sum(len(data) for _, data in files) + SPARE_BYTES
    if needed > free_bytes(settings.state):
        raise _refused(
            "the disk is too full for this",
            expected=f"{needed / 1e9:.1f} GB free",
            then="Free some space.",
        )


def _named(files: Files) -> dict[str, bytes]:
    """Files by unique plain names, by which exports name the pictures."""
    found: dict[str, bytes] = {}
    for name, data in files:
        stem, suffix = _UNUSUAL.sub("_", Path(name).stem).lstrip(".")[:60], Path(name).suffix
        unique, number = f"{stem or 'photo'}{suffix.lower()}", 2
        while unique in found:
            unique, number = f"{stem or 'photo'}-{number}{suffix.lower()}", number + 1
        found[unique] = data
    return found
