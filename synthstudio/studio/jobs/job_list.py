"""Jobs on a page: progress, messages, and actions."""

from datetime import UTC, datetime

import streamlit as st

from synthstudio.core.places import resolved
from synthstudio.review.models import JobRow
from synthstudio.review.values import User, may
from synthstudio.studio.context import Context
from synthstudio.studio.jobs import job_store
from synthstudio.studio.jobs.orders import output_folder
from synthstudio.studio.page_parts import API, plain, shown_refusals, without_paths

EVERY_S, _SHOWN = 1.0, 6
_COLOURS = {
    "queued": "gray",
    "running": "blue",
    "done": "green",
    "failed": "red",
    "lost": "orange",
    "cancelled": "gray",
}


def job_list(ctx: Context, me: User) -> None:
    job_store.start(ctx.settings, ctx.store)
    for job in job_store.jobs(ctx.store, limit=_SHOWN):
        with st.container(border=True, key=f"job_{job.id}"):
            details, buttons = st.columns([5, 2], vertical_alignment="center")
            with details:
                every = EVERY_S if job.active else None
                st.fragment(_job_details, run_every=every)(ctx, job, [])
            with buttons:  # not in the fragment: a click during its run would be lost
                _buttons(ctx, me, job)


def _job_details(ctx: Context, drawn: JobRow, alone: list[bool]) -> None:
    """Show a job; `alone`: drawn again without the page, whose rerun could lose a click."""
    job = job_store.job(ctx.store, drawn.id) if drawn.active and alone else drawn
    if (job.state, job.stopping) != (drawn.state, drawn.stopping):
        ctx.refresh()  # a data set may be finished
        st.rerun()
    alone[:] = [True]
    badge = f":{_COLOURS.get(job.state, 'gray')}-badge[{job.state}]"
    kinds = {"generate": "data set", "photos": "photos"}
    what = kinds.get(job.kind, f"export, {job.spec.get('form', '')}")
    st.markdown(f"**{plain(job.out)}** {badge} :gray[{plain(what)} · {plain(job.who)}]")
    if job.state == "running" and job.total:
        st.progress(min(1.0, job.done / job.total), text=progress_text(job))
    elif job.active:
        writing = "Stopping." if job.stopping else "Writing."
        st.caption("Waiting in the queue." if job.state == "queued" else writing)
    else:
        st.caption(ended_text(job, datetime.now(UTC)))
    if job.state in ("failed", "lost"):
        with st.expander("Details"):
            st.code(without_paths(job.message), language=None, wrap_lines=True)


def _buttons(ctx: Context, me: User, job: JobRow) -> None:
    lead = may(me.role, "generate")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if job.active and lead:
            if st.button("Cancel", key=f"cancel_{job.id}", disabled=job.stopping):
                with shown_refusals(me):
                    job_store.cancel(ctx.store, job.id, who=me)
                    st.rerun()
        if job.resumable and lead:
            if st.button(
                "Resume", key=f"resume_{job.id}", help="Continues after the last complete shard."
            ):
                with shown_refusals(me):
                    job_store.resume(ctx.store, job.id, ctx.settings, who=me)
                    st.rerun()
        if job.state == "done" and job.kind != "export":
            _open_link(ctx, job)
        if job.state == "done" and job.kind == "export" and may(me.role, "export"):
            download_link(ctx, job)


def _open_link(ctx: Context, job: JobRow) -> None:
    place = output_folder(ctx.settings, job.out).resolve()
    if place.is_dir() and all(resolved(s.dataset.place) != place for s in ctx.sets.values()):
        ctx.refresh()
    for key, found in ctx.sets.items():
        if resolved(found.dataset.place) == place:
            st.page_link(
                "page_scripts/review.py", label="Open and review", query_params={"set": key}
            )
            return
    st.caption("The folder no longer exists.")


def download_link(ctx: Context, job: JobRow) -> None:
    path = output_folder(ctx.settings, job.out).with_suffix(".zip")
    try:
        size = path.stat().st_size
    except OSError:
        st.caption("The file no longer exists.")
        return
    st.link_button(
        f"Download {plain(path.name)} ({bytes_text(size)})", f"{API}/jobs/{job.id}/archive"
    )


def progress_text(job: JobRow) -> str:
    if job.stopping:
        return f"{job.done:,} of {job.total:,} frames · stopping"
    if not job.done:
        return f"0 of {job.total:,} frames · starting"
    rate, left = job.per_second, job.total - job.done
    speed = f" · {rate:.1f} a second, {seconds_text(left / rate)} left" if rate > 0 else ""
    return f"{job.done:,} of {job.total:,} frames{speed}"


def ended_text(job: JobRow, now: datetime) -> str:
    parts = []
    if job.kind == "generate":
        parts.append(f"{job.done:,} of {job.total:,} frames")
    if job.started and job.ended:
        parts.append(f"took {seconds_text((job.ended - job.started).total_seconds())}")
    if job.ended:
        parts.append(f"{seconds_text((now - job.ended).total_seconds())} ago")
    return " · ".join(parts)


def seconds_text(seconds: float) -> str:
    """Return a time in words: 8 s, 3 min, 2 h, 5 days."""
    for size, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(0, seconds):.0f} s"


def bytes_text(size: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size:.0f} bytes"
