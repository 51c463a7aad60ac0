"""The page Skeletons: own joints, limbs, pairs and sigmas."""

import json
from functools import partial
from typing import Any

import streamlit as st

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.skeleton import (
    KNOWN_SIGMAS,
    MEDIAN_SIGMA,
    SKELETONS,
    Skeleton,
    definition,
)
from synthstudio.formats.skeleton_file import of_package, skeleton_text
from synthstudio.studio import guard, skeletons
from synthstudio.studio.context import Context, context, require, user_now
from synthstudio.studio.page_parts import mount, plain, without_paths

_NEW = "A new one"
_MAKER = "skeleton_maker"
_EMPTY: dict[str, Any] = {"name": "", "joints": []}


def main() -> None:
    ctx, me = context(), require("lead")
    st.title("Skeletons")
    st.write(
        "Joints of people, animals or hands in data sets of your own photos: for import, review, "
        "export and training."
    )
    kept = skeletons.stored(ctx.settings.exports)
    used = {each.skeleton.title for each in ctx.sets.values() if each.skeleton.own}
    started = _choose(kept, used)
    mount(
        "maker",
        {
            "start": started,
            "opened": skeletons.digest(kept[started]) if started in kept else "",
            "definition": _definition(ctx, kept, started),
            "coco": KNOWN_SIGMAS,
            "usual": MEDIAN_SIGMA,
            "message": st.session_state.pop("skeleton_message", None),
        },
        key=_MAKER,
        on_saved_change=partial(_save, ctx, me.name),
    )
    if kept:
        _files(kept)


def _choose(kept: dict[str, Skeleton], used: set[str]) -> str:
    wanted = st.session_state.pop("skeleton_saved", None)
    choices = [_NEW, *kept, *sorted(used - set(kept)), *SKELETONS]
    if wanted in choices or st.session_state.get("skeleton_start") not in choices:
        st.session_state["skeleton_start"] = wanted if wanted in choices else _NEW

    def shown(name: str) -> str:
        more = " (used by a data set: save changes under a new name)" if name in used else ""
        return f"{name}, built in: as a copy" if name in SKELETONS else name + more

    return str(st.selectbox("Begin with", choices, key="skeleton_start", format_func=shown))


def _definition(ctx: Context, kept: dict[str, Skeleton], name: str) -> dict[str, Any]:
    if name == _NEW:
        return _EMPTY
    if name in SKELETONS:
        return skeletons.to_edit(of_package(SKELETONS[name], f"{name}-own"))
    used = (each.skeleton for each in ctx.sets.values())
    return skeletons.to_edit(
        kept[name] if name in kept else next(s for s in used if s.title == name)
    )


def _save(ctx: Context, user: str) -> None:
    """Handle a save sent by the browser; current permissions apply."""
    sent = st.session_state[_MAKER].get("saved")
    number = skeletons.number(sent)
    used = [each.skeleton for each in ctx.sets.values()]
    last = st.session_state.get("skeleton_last", {})
    try:
        who = user_now(ctx, user)
        skeleton, written = skeletons.take(
            ctx.settings.exports, sent, who=who, used=used, last=last
        )
    except SynthStudioError as error:
        guard.log_refusal("a skeleton", user=user, why=error)
        text = without_paths(error)
        st.session_state["skeleton_message"] = {"good": False, "n": number, "text": text}
        return
    digest = skeletons.digest(skeleton)
    st.session_state["skeleton_last"] = {} if number is None else {number: digest}
    what = "Saved" if written else "Nothing changed"
    st.session_state["skeleton_message"] = {
        "good": True,
        "n": number,
        "opened": digest,
        "text": f"{what}: {skeletons.FOLDER}/{skeleton.title}.yaml in the exports folder.",
    }
    st.session_state["skeleton_saved"] = skeleton.title


def _files(kept: dict[str, Skeleton]) -> None:
    st.subheader("Use one")
    name = st.selectbox("Skeleton", list(kept), key="skeleton_use")
    facts, path = definition(kept[name]), f"exports/{skeletons.FOLDER}/{name}.yaml"
    st.caption(plain(f"{len(facts['joints'])} joints. Sigmas: {facts['sigma_source']}"))
    st.write("With photos or a video without labels, or with a COCO file of these joints:")
    st.code(
        f"synthstudio import-photos photos --skeleton {path} --out exports/to-review\n"
        f"synthstudio import annotations.json --skeleton {path} --out exports/photos",
        language=None,
    )
    st.download_button(
        "Download",
        skeleton_text(kept[name]),
        file_name=f"{name}.yaml",
        help=json.dumps(facts["joints"])[1:400],
    )


main()
