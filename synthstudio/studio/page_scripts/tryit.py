"""The page Try it: a network's predictions on a photo, a video or the browser's camera."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from synthstudio.core.errors import ModelError, SynthStudioError
from synthstudio.core.images import SUFFIXES, VIDEOS
from synthstudio.inference.model_files import OnnxModel
from synthstudio.inference.stream import LiveFrame
from synthstudio.review.values import User
from synthstudio.studio import answers, guard
from synthstudio.studio.answers import load, models
from synthstudio.studio.context import Context, context, require
from synthstudio.studio.guard import log_text
from synthstudio.studio.page_parts import HOME, empty_state, field_error, mount, plain

_KINDS = ("Photo", "Video", "Camera")
_CAMERA = "try_camera"


def main() -> None:
    ctx, me = context(), require("reviewer")
    st.title("Try it")
    found = models(ctx.settings)
    if not found:
        empty_state(
            "No exported network. Train one, then: synthstudio export-model RUN. Networks come "
            "from the folder runs, or from --runs and --model.",
            ("Home", HOME),
        )
        return
    left, right = st.columns(2, gap="large")
    with left:
        name = st.selectbox("Network", list(found), key="try_model")
        kind = st.segmented_control("What to try", _KINDS, default=_KINDS[0], key="try_kind")
        boxes = _boxes()
    model = _load(found[name], name)
    if model is None or boxes is None:
        return
    if kind == "Camera":
        st.caption(
            "Pictures go to this server alone and are not stored. Dots are visible joints, rings "
            "hidden ones, coloured by cause."
        )
        st.fragment(_camera)(me, model, name, boxes)
        return
    with left:
        _upload(ctx, me, model, boxes, video=kind == "Video")
    with right:
        _answer()


def _load(path: Path, name: str) -> OnnxModel | None:
    try:
        return load(path)
    except (ModelError, OSError) as error:
        guard.LOG.warning("cannot load %s: %s", log_text(name), log_text(error, longest=2_000))
        st.warning(
            f"{plain(name)} cannot be used: its file is damaged or of another version. Export it "
            "again; the server's log has details."
        )
        return None


def _boxes() -> list[list[float]] | None:
    text = st.text_input(
        "Boxes of people (optional)",
        key="try_boxes",
        max_chars=800,
        placeholder="x, y, width, height; ...",
        help="In pixels. Without boxes people are detected.",
    )
    try:
        return answers.parse_boxes(text)
    except SynthStudioError as error:
        field_error(str(error))
        return None


def _upload(
    ctx: Context, me: User, model: OnnxModel, boxes: list[list[float]], *, video: bool
) -> None:
    word, suffixes = ("video", VIDEOS) if video else ("photo", SUFFIXES)
    limits, turn = ctx.settings.limits, st.session_state.get("try_turn", 0)
    file = st.file_uploader(
        f"A {word}",
        type=[suffix[1:] for suffix in suffixes],
        key=f"try_file_{word}_{turn}",
        help=f"At most {limits.upload_bytes // 2**20} MB. It stays on this machine and is deleted "
        "after the prediction.",
    )
    if file is None:
        return
    data, suffix = file.getvalue(), Path(file.name).suffix
    st.session_state["try_message"] = None
    try:
        if video:
            bar = st.progress(0.0, "Reading the video")

            def advance(done: int) -> None:
                bar.progress(min(1.0, done / answers.VIDEO_PICTURES))

            found = answers.video_people(
                model, data, suffix, boxes, limits=limits, who=me, progress=advance
            )
        else:
            rgb = answers.checked_photo(data, limits=limits, who=me)
            found = [answers.photo_people(model, rgb, boxes)]
        st.session_state["try_message"] = found
    except SynthStudioError as error:
        st.session_state["try_message"] = str(error)
    st.session_state["try_turn"] = turn + 1  # a new key drops the uploaded file
    st.rerun()


def _answer() -> None:
    result = st.session_state.get("try_message")
    if result is None:
        st.caption("The prediction appears here; hidden joints are hollow, coloured by cause.")
    elif isinstance(result, str):
        field_error(result)
    else:
        number = 0
        if len(result) > 1:
            number = st.slider("Picture", 0, len(result) - 1, key="try_number")
        one = result[min(number, len(result) - 1)]
        st.image(one.jpeg, caption=f"{one.people} found", width="stretch")
        with st.expander(f"{len(one.lines)} hidden joints", expanded=True):
            for line in one.lines:
                st.text(line)


def _camera(me: User, model: OnnxModel, name: str, boxes: list[list[float]]) -> None:
    kept: dict[str, Any] = st.session_state.setdefault("try_camera_kept", {})
    if kept.get("of") != (name, repr(boxes)):
        kept.clear()
        kept.update(of=(name, repr(boxes)), count=0, began=time.perf_counter())
        kept["follower"] = answers.new_follower(model, boxes)
    step = partial(_step, me, model, kept)
    mount("camera", {"answer": kept.get("answer")}, key=_CAMERA, on_frame_change=step)


def _step(me: User, model: OnnxModel, kept: dict[str, Any]) -> None:
    state: Any = st.session_state.get(_CAMERA)
    message = state.get("frame") if hasattr(state, "get") else None
    found = answers.camera_frame(message, who=me)
    if found is None:
        return
    number, rgb = found
    now = time.perf_counter()
    frame = LiveFrame(number=kept["count"], time_s=now - kept["began"], arrived_s=now, rgb=rgb)
    kept["count"] += 1
    try:
        seen = kept["follower"].step(frame)
    except SynthStudioError as error:  # boxes outside the picture
        guard.log_refusal("a camera's picture", user=me.name, why=error)
        return
    kept["answer"] = answers.camera_people(seen, number, model.skeleton)


main()
