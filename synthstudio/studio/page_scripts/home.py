"""The page Home: the open data sets, their review progress, and running jobs."""

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.progress import frames_text, people_text
from synthstudio.formats import FORMATS
from synthstudio.review.values import User, may
from synthstudio.studio import guard
from synthstudio.studio.context import Context, OpenSet, context, current_user, titles
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.job_list import bytes_text, job_list, seconds_text
from synthstudio.studio.jobs.orders import ONLY, Export
from synthstudio.studio.overview import (
    MAX_FRAMES,
    DatasetFacts,
    Health,
    dataset_facts,
    health_checks,
)
from synthstudio.studio.page_parts import (
    API,
    TEAM,
    field_error,
    open_review,
    plain,
    show_unreadable,
)
from synthstudio.studio.team_lists import assigned_waiting, due_note, threads_note
from synthstudio.studio.uploads import photo_set_form

_IMPORT = "synthstudio import annotations.json --images photos --out exports/photos"
_PHOTOS = "synthstudio import-photos photos --out exports/to-review"
_PREDICTIONS = """synthstudio predict default exports/photos --out answers
synthstudio review predictions exports/photos answers/results.json --layer default"""
_LOOK_EVERY_S = 1.0
_WORKING = ("waiting", "checking")


def main() -> None:
    ctx, me = context(), current_user()
    st.title("Home")
    for name in ctx.refresh():
        st.warning(
            f"{plain(name)}, a folder of the exports folder, cannot be read as a data set. Copy it "
            "again or create it again; the server's log has the details."
        )
    for copy, original in ctx.copies.values():
        st.caption(plain(f"{copy} is a copy of {original}: they are one data set here."))
    sets = list(ctx.sets.values())
    if not sets:
        _empty(me)
    names = titles(sets)
    for found in sets:
        with st.container(border=True, key=f"set_{found.key[:16]}"):
            _set(ctx, me, found, names[found.key])
    _bring_in(ctx, me, open_now=not sets)
    if job_store.jobs(ctx.store, limit=1):
        st.subheader("Jobs")
        job_list(ctx, me)


def _bring_in(ctx: Context, me: User, *, open_now: bool) -> None:
    with st.expander("Add your own photos, videos and labels", expanded=open_now, key="bring_in"):
        if may(me.role, "import"):
            photo_set_form(ctx, me)
        st.write(
            "On the command line: photos with labels of another tool (COCO, YOLO, CVAT, Label "
            "Studio and others); photos or a video without labels; predictions for either. Data "
            "sets in the exports folder (`exports`, or `--exports`) appear here automatically:"
        )
        for command in (_IMPORT, _PHOTOS, _PREDICTIONS):
            st.code(command, language=None)
        st.write(
            "Documentation (folder `docs`): `interop.md` formats, `review.md` storage and export, "
            "`studio.md` pages and keys. Options: `--help` of each command."
        )


def _empty(me: User) -> None:
    with st.container(border=True, key="first_set"):
        st.subheader("Generate your first set")
        st.write("No data sets yet. Choose a scene, adjust it, preview a frame, and start a job.")
        if may(me.role, "generate"):
            if st.button("Generate your first set", type="primary", key="go_generate"):
                st.switch_page("page_scripts/generate.py")
        else:
            st.caption("Only leads can generate data sets. Ask someone with the role lead.")
        st.caption("To open existing data sets, start the studio with their folders:")
        st.code("synthstudio studio exports/demo/dataset", language=None)


def _set(ctx: Context, me: User, found: OpenSet, title: str) -> None:
    try:
        seen = dataset_facts(ctx.store, found)
        first = found.dataset.index_at(0) if found.dataset.frames else None
    except SynthStudioError as error:
        show_unreadable(title, error)
        return
    picture, details, buttons = st.columns([2, 7, 3], gap="medium")
    with picture:
        if first is not None:
            url = f"{API}/sets/{found.key}/frames/{first}/image"
            st.html(f'<img src="{url}" alt="frame {first}" style="width:100%;border-radius:6px">')
    with details:
        st.markdown(f"##### {plain(title)}")
        _figures(seen)
        _progress(seen)
        mine = assigned_waiting(ctx, me, found)
        if mine:
            st.markdown(f"**{people_text(mine)}** assigned to you.")
        if late := due_note(ctx, me, found):
            st.markdown(f":orange[{plain(late)}]")
        _health(ctx, found)
    with buttons:
        _links(me, found, seen, mine)
        if note := threads_note(ctx, me, found):
            if st.button(note, key=f"threads_{found.key[:16]}", width="stretch"):
                st.session_state["team_part"] = "Threads"
                st.switch_page(TEAM, query_params={"set": found.key})
        if may(me.role, "export"):
            _export(ctx, me, found, seen)


def _figures(seen: DatasetFacts) -> None:
    about = "" if seen.is_exact else "about "
    parts = [
        f"{seen.frames:,} frames",
        people_text(seen.people.total),
        about + bytes_text(seen.bytes) if seen.bytes else "read from a store",
    ]
    if seen.last is not None:
        ago = seconds_text((datetime.now(UTC) - seen.last).total_seconds())
        parts.append(f"last edit {ago} ago by {seen.last_by}")
    st.markdown(f":gray[{plain(' · '.join(parts))}]")


def _progress(seen: DatasetFacts) -> None:
    people, left = seen.people, seen.frames_left
    share = people.decided / max(1, people.total)
    if left is not None:
        share = 1 - left / max(1, seen.frames)
    st.progress(share, text=progress_text(seen))
    if seen.estimate is not None:
        guess = seen.estimate
        text = (
            f"About {guess.rate:.0%} of people have wrong labels ({guess.low:.0%} to "
            f"{guess.high:.0%}; {guess.n} in the random sample)"
        )
        st.markdown(f":gray[{plain(text)}]")


def progress_text(seen: DatasetFacts) -> str:
    """Return the progress of a review: in frames if some still have no people, else in people."""
    people = seen.people
    empty = [f"{frames_text(people.empty_frames)} without people"] if people.empty_frames else []
    details = [
        f"{people.status[name]:,} {name}"
        for name in ("approved", "rejected", "flagged", "skipped", "pending")
        if people.status.get(name)
    ]
    if seen.frames_left is not None:
        left = f"{seen.frames_left:,} of {frames_text(seen.frames)} left"
        return " · ".join([left, *details, *empty])
    if not people.decided:
        return " · ".join([f"0 of {people_text(people.total)} reviewed", *empty])
    return " · ".join([f"{people.decided / people.total:.0%} reviewed", *details, *empty])


def _health(ctx: Context, found: OpenSet) -> None:
    requested = st.session_state.get(f"check_{found.key}", False)
    small = found.dataset.frames <= MAX_FRAMES and isinstance(found.dataset.place, Path)
    begin = bool(requested or small)
    seen = health_checks(ctx.settings.state).status(found.key, found.dataset, begin=begin)
    waiting = seen.state in _WORKING
    every = _LOOK_EVERY_S if waiting else None
    st.fragment(_health_now, run_every=every)(ctx, found, begin, waiting)


def _health_now(ctx: Context, found: OpenSet, begin: bool, waited: bool) -> None:
    seen = health_checks(ctx.settings.state).status(found.key, found.dataset, begin=begin)
    if waited and seen.state not in _WORKING:
        st.rerun()  # the page stops to ask
    if seen.state == "unknown":
        if st.button(
            "Check labels",
            key=f"look_{found.key[:16]}",
            help="synthstudio validate, in the background",
        ):
            st.session_state[f"check_{found.key}"] = True
            st.rerun()
        return
    st.markdown(health_text(seen))
    if seen.kinds:
        with st.expander("Findings"):
            for title, severity, count in seen.kinds:
                st.markdown(f"- {plain(f'{count:,} x {title}')} :gray[({plain(severity)})]")
            st.code(f"synthstudio validate {found.name} --report findings.html", language=None)


def health_text(seen: Health) -> str:
    if seen.state in _WORKING:
        return ":gray[Checking labels]"
    if seen.state == "failed":
        return f":red[The check failed: {plain(seen.message)}]"
    if seen.errors:
        return f":red-badge[{seen.errors:,} errors] :gray[found by validate]"
    if seen.warnings:
        return f":orange-badge[{seen.warnings:,} warnings] :gray[found by validate, no errors]"
    return ":green-badge[Labels checked: no errors]"


def _links(me: User, found: OpenSet, seen: DatasetFacts, mine: int) -> None:
    label = "Continue reviewing" if seen.people.decided else "Start reviewing"
    queue = "risk" if found.dataset.people else "empty"
    if mine:
        label, queue = f"Review {mine:,} assigned to me", "assigned"
    if not may(me.role, "edit"):
        label = "View"
    if st.button(label, type="primary", key=f"review_{found.key[:16]}", width="stretch"):
        open_review(found.key, queue=queue)
    if st.button(
        "Risk queue",
        key=f"risk_{found.key[:16]}",
        width="stretch",
        help="Likely label errors, with reasons. To validate and audit the labels first: "
        f"synthstudio review check {plain(found.name)}",
    ):
        st.switch_page("page_scripts/queue.py", query_params={"set": found.key})
    if st.button("Gallery", key=f"gallery_{found.key[:16]}", width="stretch"):
        st.switch_page("page_scripts/gallery.py", query_params={"set": found.key})


def _export(ctx: Context, me: User, found: OpenSet, seen: DatasetFacts) -> None:
    mine = found.key[:16]
    turn = st.session_state.setdefault("exports_ordered", 0)  # a new key closes it
    with st.popover("Export labels", key=f"export_{mine}_{turn}", width="stretch"):
        approved = seen.people.status.get("approved", 0)
        st.markdown(f"{approved:,} of {seen.people.total:,} people are approved.")
        form = st.selectbox("Format", FORMATS, key=f"format_{mine}")
        only = st.radio(
            "What",
            list(ONLY),
            format_func=lambda k: f"{k}: {ONLY[k]}",
            index=0 if approved else 2,
            key=f"only_{mine}",
        )
        if st.button("Export", type="primary", key=f"do_export_{mine}"):
            letters = (c if c.isascii() and c.isalnum() else "-" for c in found.name.lower())
            name = "".join(letters).strip("-")
            order = Export(
                dataset=str(found.dataset.place),
                form=str(form),
                only=str(only),
                out=job_store.free_name(ctx.store, ctx.settings, f"{name[:24] or 'set'}-{form}"),
            )
            try:
                job_store.add(ctx.store, order, ctx.settings, who=me)
            except SynthStudioError as error:
                guard.log_refusal("what a page asked for", user=me.name, why=error)
                field_error(str(error))
            else:
                st.session_state["exports_ordered"] = turn + 1
                st.toast("It is being written. A link to it appears below, under Jobs.")
                st.rerun()


main()
