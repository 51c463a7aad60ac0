"""Bulk actions of leads, saved views, and the list as a file."""

import secrets
from collections import Counter
from collections.abc import Sequence

import streamlit as st

from synthstudio.core.errors import Refused
from synthstudio.core.labels import STATE_HIDDEN
from synthstudio.core.progress import people_text
from synthstudio.review import history
from synthstudio.review.batch_edits import (
    FLAG,
    MEANINGS,
    Change,
    Meaning,
    Relabel,
    apply_all,
    batch_edits,
    relabel,
    relabel_changes,
    undo_batch,
)
from synthstudio.review.risk import review_fields
from synthstudio.review.team import members
from synthstudio.review.values import HIDDEN_BY, Event, Op, Pair, Person, User, may, numbered
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.frame_data import UNTOUCHED
from synthstudio.studio.gallery.view import (
    GalleryState,
    SearchResult,
    apply_options,
    clear_columns,
    csv_header,
    csv_rows,
    set_query,
    view_options,
)
from synthstudio.studio.page_parts import (
    csv_bytes,
    csv_download,
    plain,
    review_href,
    show_table,
    shown_refusals,
)

_PAGE, _ALL, _PICKED = "this page", "all results", "selected"


def bulk_actions(
    ctx: Context,
    me: User,
    state: GalleryState,
    chosen: OpenSet,
    found: SearchResult,
    *,
    picked: Sequence[Pair],
) -> None:
    rows = {_PICKED: found.table.rows_at(picked), _PAGE: found.page.rows, _ALL: found.rows}
    with st.container(border=True, key="gallery_bulk"):
        summary = st.empty()
        scope, whom, until, give, why, flag = st.columns(
            [3, 2.4, 1.8, 1.2, 3, 1.2], vertical_alignment="bottom"
        )
        # No numbers in here: a choice is identified by its text, and would be lost on a change.
        which = scope.selectbox("People", list(rows), key="gallery_scope")
        people = [
            Person(dataset=chosen.key, frame=frame, instance=instance)
            for frame, instance in found.table.ids(rows[which][rows[which] >= 0])
        ]
        none = "" if people else "No people selected: click some below, or choose this page."
        summary.caption(none or f"{people_text(len(people))}: {which}")
        team = list(members.members(ctx.store)) or [me.name]
        to = whom.selectbox("Assign to", team, key="gallery_to", format_func=plain)
        due = until.date_input("Due", value=None, min_value="today", key="gallery_due")
        if give.button(
            "Assign", disabled=not people, width="stretch", key="gallery_assign", help=none or None
        ):
            count = members.assign(ctx.store, people, to=to, by=me, due=due)
            day = f" until {due}" if due else ""
            _finish(state, f"{people_text(count)} assigned to {to}{day}.")
        reason = why.text_input("Reason", key="gallery_reason", max_chars=2_000)
        many = len(people) > MAX_AT_ONCE
        if flag.button(
            "Flag",
            disabled=not people or many or not reason.strip(),
            width="stretch",
            key="gallery_flag",
            help=none or f"At most {MAX_AT_ONCE:,} at once, with a reason.",
        ):
            _finish(state, flag_people(ctx, me, chosen, people, reason.strip()))
        done = relabel_form(ctx, me, chosen, people) or _earlier(ctx, me, chosen)
        if done:
            _finish(state, done)


def flag_people(
    ctx: Context, me: User, chosen: OpenSet, people: Sequence[Person], reason: str
) -> str:
    pairs = [person.pair for person in people]
    states = history.states(ctx.store, chosen.key, people=pairs, masks=False)
    ops = (
        Op(
            person=person,
            kind="status",
            status="flagged",
            text=reason,
            revision=states.get(person.pair, UNTOUCHED).revision,
        )
        for person in people
    )
    named = numbered(ops, f"{FLAG}{secrets.token_hex(8)}")
    return result_text(apply_all(ctx.store, named, me, chosen.frames.base_of), "flagged")


def views_menu(ctx: Context, me: User, state: GalleryState, chosen: OpenSet) -> None:
    joints = chosen.skeleton.joints
    with st.popover("Views", width="content"):
        kept = review_fields.views(ctx.store, chosen.key, who=me)
        if not kept:
            st.caption("A view saves a query and its sort order. No views saved yet.")
        for view in kept:
            name, drop = st.columns([5, 1], vertical_alignment="center")
            if name.button(
                f"{plain(view.name)}{' · for all' if view.who is None else ''}",
                key=f"view_{view.id}",
                width="stretch",
                help=plain(view.query) or "everybody",
            ):
                set_query(state, view.query, joints)
                apply_options(state, view.options)
                st.rerun()
            mine = may(me.role, "save_view" if view.who else "save_view_for_all")
            if mine and drop.button(
                "✕", key=f"view_drop_{view.id}", help=f"Delete {plain(view.name)}"
            ):
                review_fields.delete_view(ctx.store, view, who=me)
                st.rerun()
        if may(me.role, "save_view"):
            _save_form(ctx, me, state, chosen)


def _save_form(ctx: Context, me: User, state: GalleryState, chosen: OpenSet) -> None:
    with st.form("gallery_save", border=False, clear_on_submit=True):
        name = st.text_input("Save this view as", max_chars=80)
        for_all = may(me.role, "save_view_for_all") and st.checkbox("for all users")
        sent = st.form_submit_button("Save", width="stretch")
    if sent:
        with shown_refusals(me):
            review_fields.save_view(
                ctx.store,
                chosen.key,
                name=name.strip(),
                query=state.query,
                who=me,
                options=view_options(state),
                for_all=for_all,
            )
            st.rerun()


def csv_button(chosen: OpenSet, found: SearchResult) -> None:
    def made() -> bytes:
        header = csv_header(chosen.skeleton.joints)
        return csv_bytes(header, csv_rows(found.rows, found.table, found.columns))

    name, about = f"{chosen.name}-people.csv", "The list with its labels, as a table"
    csv_download(made, name, on_click="ignore", disabled=not len(found.rows), help=about)


def _finish(state: GalleryState, notice: str) -> None:
    state.notice = notice
    clear_columns()
    st.rerun()


MAX_AT_ONCE = 2_000
"""Maximum people changed by one click; assigning is unlimited."""
_SHOWN = 12
"""Maximum people linked by the preview."""
_CAUSES = {
    "visible": "visible",
    **HIDDEN_BY,
    "unknown": "hidden, cause unknown",
    "unlabelled": "no label",
    "truncated": "outside",
}
_ANY = "anything"
_NOW: dict[str, tuple[Meaning, ...]] = {
    _ANY: (),
    "hidden, any cause": tuple(m for m in MEANINGS if m[0] == STATE_HIDDEN),
    **{_CAUSES[cause]: ((state, cause),) for state, cause in MEANINGS},
}


def relabel_form(ctx: Context, me: User, chosen: OpenSet, people: Sequence[Person]) -> str:
    """The form and its preview; returns what was done, or nothing."""
    read = chosen.frames.base_of
    with st.expander("Relabel joints"):
        joints, now, to, look = st.columns([3, 2, 2, 1.2], vertical_alignment="bottom")
        names = joints.multiselect(
            "Joints",
            chosen.skeleton.joints,
            key="relabel_joints",
            format_func=lambda name: name.replace("_", " "),
            placeholder="which joints",
        )
        only = now.selectbox("that are", list(_NOW), key="relabel_now")
        become = to.selectbox("become", [_CAUSES[cause] for _, cause in MEANINGS], key="relabel_to")
        relabelling = Relabel(joints=tuple(names), to=_NOW[become][0], only=_NOW[only])
        many = len(people) > MAX_AT_ONCE
        if look.button(
            "Preview",
            key="relabel_preview",
            width="stretch",
            disabled=many or not names or not people,
            help=f"Needs joints, and 1 to {MAX_AT_ONCE:,} people.",
        ):
            found = relabel_changes(ctx.store, people, relabelling, base_of=read)
            st.session_state["relabel_found"] = (chosen.key, relabelling, tuple(people), found)
        *of, found = st.session_state.get("relabel_found", (None, ()))
        if of == [chosen.key, relabelling, tuple(people)] and _preview(chosen, found):
            del st.session_state["relabel_found"]
            bar = st.progress(0.0, f"Relabelling {people_text(len(found))}")
            done = relabel(
                ctx.store,
                found,
                who=me,
                base_of=read,
                progress=lambda tried: bar.progress(tried / len(found)),
            )
            return result_text(done, "relabelled")
    return ""


def _preview(chosen: OpenSet, found: Sequence[Change]) -> bool:
    if not found:
        st.info("No joint would change.")
        return False
    counted = Counter(
        (name, label.cause, change.op.joints[name].cause)
        for change in found
        for name, label in change.before.items()
    )
    lines = [
        {
            "joint": name.replace("_", " "),
            "is": _CAUSES[now],
            "becomes": _CAUSES[to],
            "people": count,
        }
        for (name, now, to), count in counted.most_common()
    ]
    show_table(lines, "Changes of joints")
    links = ", ".join(
        f"[frame {p.frame}, person {p.instance}]({review_href(chosen.key, p.frame, p.instance)})"
        for p in (change.op.person for change in found[:_SHOWN])
    )
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    st.markdown(f"{links}{more}")
    joints = sum(counted.values())
    words = f"{joints:,} joint{'' if joints == 1 else 's'} of {people_text(len(found))}"
    return st.button(f"Relabel {words}", type="primary", key="relabel_do")


def _earlier(ctx: Context, me: User, chosen: OpenSet) -> str:
    for made in batch_edits(ctx.store, chosen.key, maximum=5):
        words, back = st.columns([6, 1.2], vertical_alignment="center")
        still = "" if made.standing == made.people else f", {made.standing:,} still are"
        words.caption(
            f"{people_text(made.people)} {'flagged' if made.flagged else 'relabelled'} by "
            f"{plain(made.who)}, {made.when:%Y-%m-%d %H:%M} UTC{still}"
        )
        if back.button(
            "Undo", key=f"undo_{made.client}", disabled=not made.standing, width="stretch"
        ):
            base_of = chosen.frames.base_of
            done = undo_batch(ctx.store, chosen.key, made.client, who=me, base_of=base_of)
            return result_text(done, "as before")
    return ""


def result_text(done: Sequence[Event | Refused], how: str) -> str:
    refused = [result for result in done if isinstance(result, Refused)]
    notice = f"{people_text(len(done) - len(refused))} {how}."
    if refused:
        notice += f" {len(refused):,} refused; the first: {refused[0]}"
    return notice
