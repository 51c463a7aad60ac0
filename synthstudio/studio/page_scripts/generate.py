"""The page Generate: choose and edit a scene, preview a frame, and order a job."""

import base64
from typing import Any

import streamlit as st

from synthstudio.core.errors import Refused, SynthStudioError
from synthstudio.recipe.schema.load import dump
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.review.values import User
from synthstudio.studio import guard
from synthstudio.studio.context import Context, context, require
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.job_list import bytes_text, job_list
from synthstudio.studio.jobs.orders import (
    MAX_WORKERS,
    Generate,
    asset_roots,
    bytes_needed,
    check_order,
)
from synthstudio.studio.jobs.preview import Previews, previews
from synthstudio.studio.page_parts import HOME, empty_state, field_error, plain
from synthstudio.studio.recipe_form import (
    MAIN,
    Draft,
    Scene,
    background,
    scenes,
    show_further_fields,
    show_main_fields,
)
from synthstudio.studio.uploads import photo_form

_LOOK_EVERY_S = 0.4


def main() -> None:
    ctx, me = context(), require("lead")
    st.title("Generate")
    found, wrong = scenes(ctx.settings)
    for line in wrong:
        st.warning(plain(line))
    if not found:
        empty_state(
            "The folder of scenes holds no recipe, so there is nothing to start from. Start "
            "the studio with the folder of some: --scenes FOLDER.",
            ("Home", HOME),
        )
        job_list(ctx, me)
        return
    left, right = st.columns([6, 5], gap="large")
    with left:
        scene = background(ctx, _pick(found))
        draft = Draft(scene)
        recipe: Recipe | None = None
        errors: dict[str, str] = {}
        if scene.usable:
            recipe, errors = _form(ctx, draft)
        else:
            st.info(plain(scene.why_not))
        photo_form(ctx, me)
    with right:
        if scene.usable:
            _preview(ctx, draft, recipe)
            _order(ctx, me, draft, recipe, errors)
    st.subheader("Jobs")
    if not job_store.jobs(ctx.store, limit=1):
        st.caption(
            "No jobs yet. Jobs keep running when you close this page or the server restarts."
        )
    job_list(ctx, me)


def _pick(found: list[Scene]) -> Scene:
    by_name = {scene.name: scene for scene in found}
    name = st.selectbox(
        "Scene",
        list(by_name),
        key="scene",
        persist_state="session",
        format_func=lambda n: n.replace("_", " ") + ("" if by_name[n].usable else " (not here)"),
        help="A recipe from the scenes folder. Your changes apply to a copy.",
    )
    scene = by_name[name]
    st.caption(plain(scene.recipe.description))
    return scene


def _form(ctx: Context, draft: Draft) -> tuple[Recipe | None, dict[str, str]]:
    _, before = draft.checked()
    show_main_fields(draft, before, max_frames=ctx.settings.limits.frames)
    main = tuple(".".join(map(str, path)) for path in MAIN)
    opened = any(not name.startswith(main) for name in before)
    with st.expander("Everything else", expanded=opened):
        show_further_fields(draft, before)
    recipe, errors = draft.checked()
    if errors != before:
        st.rerun()  # shows messages beside fields drawn earlier
    for name, text in errors.items():
        if name not in draft.shown:
            field_error(f"{name}: {text}" if name else text)
    if draft.edits and st.button("Reset to the scene's values", key=f"reset_{draft.scene.name}"):
        draft.forget()
        st.rerun()
    return recipe, errors


def _preview(ctx: Context, draft: Draft, recipe: Recipe | None) -> None:
    drawer = previews(ctx.settings)
    kept: dict[str, Any] = st.session_state.setdefault("preview", {"index": 0, "key": ""})
    if kept.get("scene") != draft.scene.name:
        kept.update(scene=draft.scene.name, index=0, shown="")
    if recipe is not None:
        try:
            kept["key"] = drawer.request(recipe, assets=draft.root, index=kept["index"])
            kept["of"] = kept["index"]  # a form that is wrong, or a refusal, leaves the old key
        except Refused as error:
            field_error(str(error))
    if not kept["key"]:
        st.caption("A preview appears here once the form is valid.")
        return
    waiting = drawer.status(kept["key"]).state == "waiting"
    every = _LOOK_EVERY_S if waiting else None
    st.fragment(_picture, run_every=every)(drawer, kept, waiting, [])
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Another frame", key="next_frame"):
            kept["index"] += 1
            st.rerun()
        if drawer.status(kept["key"]).state == "failed" and st.button("Try again", key="retry"):
            drawer.forget(kept["key"])
            st.rerun()


def _picture(drawer: Previews, kept: dict[str, Any], waited: bool, alone: list[bool]) -> None:
    """Show the picture, or that it is pending; `alone` as in job_list."""
    seen = drawer.status(kept["key"])
    if waited and seen.state != "waiting" and alone:
        st.rerun()
    alone[:] = [True]
    if seen.state == "done":
        kept.update(shown=kept["key"], shown_index=kept["of"])
    shown = drawer.status(kept["shown"]) if kept.get("shown") else seen
    if seen.state == "failed":
        field_error(seen.message)
    elif shown.state == "done":
        code = base64.b64encode(shown.picture).decode("ascii")
        alt = f"frame {kept['shown_index']} of this recipe with its labels drawn in"
        st.image(f"data:image/jpeg;base64,{code}", width="stretch", alt=alt)
    else:
        st.info(
            "Drawing the first frame. That takes some seconds, on a new machine a minute or two; "
            "the next ones come quickly."
        )
    state = "drawing" if seen.state == "waiting" else f"frame {kept['of']}"
    st.caption(f"Preview with labels, {state}")


def _order(
    ctx: Context, me: User, draft: Draft, recipe: Recipe | None, errors: dict[str, str]
) -> None:
    if notice := st.session_state.pop("ordered", ""):
        st.success(plain(notice))
    base = "".join(
        c for c in draft.scene.name.lower() if c.isascii() and (c.isalnum() or c in "-_")
    )
    name_key = f"out_{draft.scene.name}_{st.session_state.get('orders', 0)}"
    name_at, workers_at = st.columns([3, 1])
    name = name_at.text_input(
        "Name of the data set",
        value=job_store.free_name(ctx.store, ctx.settings, base[:40]),
        key=name_key,
        max_chars=48,
        help="Name of the new folder inside the exports folder. Allowed: a-z, 0-9, - and _.",
    )
    workers = workers_at.number_input(
        "Workers",
        1,
        MAX_WORKERS,
        1,
        key="workers",
        help="Number of worker processes. It does not affect the output.",
    )
    _root(ctx, draft)
    fault = ""
    if recipe is not None:
        order = Generate(recipe=dump(recipe), out=name, assets=draft.root, workers=int(workers))
        try:
            check_order(order, ctx.settings, me)
        except SynthStudioError as error:
            fault = str(error).removeprefix("recipe: ")
        sides = f"{recipe.image.width_px} x {recipe.image.height_px}"
        needed = bytes_text(bytes_needed(recipe))
        st.caption(f"{recipe.frames:,} frames of {sides}, at most about {needed}")
    if fault:
        field_error(fault)
    ready = recipe is not None and not fault
    if st.button("Generate", type="primary", disabled=not ready, key="start") and ready:
        try:
            job_store.add(ctx.store, order, ctx.settings, who=me)
        except SynthStudioError as error:
            guard.log_refusal("what a page asked for", user=me.name, why=error)
            field_error(str(error))
            return
        st.session_state["orders"] = st.session_state.get("orders", 0) + 1
        st.session_state["ordered"] = f"{name} is being made: see Jobs below."
        st.rerun()
    if errors:
        st.caption("Fix the errors in the form first.")


def _root(ctx: Context, draft: Draft) -> None:
    if draft.scene.recipe.folders and len(draft.scene.roots) > 1:
        roots = asset_roots(ctx.settings)
        draft.root = st.selectbox(
            "Assets from",
            draft.scene.roots,
            format_func=lambda k: roots[k].name,
            key=f"root_{draft.scene.name}",
        )


main()
