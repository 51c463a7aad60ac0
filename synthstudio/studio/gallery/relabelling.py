"""Relabelling many people's joints at once: what would change, the change, and its undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import streamlit as st

from synthstudio.core.amounts import people_text
from synthstudio.core.errors import Refused
from synthstudio.core.labels import STATE_HIDDEN
from synthstudio.review import relabel
from synthstudio.review.check import Base, base_of
from synthstudio.review.relabel import MEANINGS, Change, Meaning, Relabel
from synthstudio.review.values import Event, Person, User
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.page_parts import review_href, review_params
from synthstudio.studio.text import plain

MOST_AT_ONCE = 2_000
"""People whom one click may change; assigning has no such limit."""
_SHOWN = 12
"""People whom the preview links to."""
_CAUSES = {
    "visible": "visible",
    "self": "hidden by the person itself",
    "person": "hidden by another person",
    "object": "hidden by a thing",
    "unknown": "hidden, nobody knows by what",
    "unlabelled": "no label",
    "truncated": "outside",
}
_ANY = "anything"
_NOW: dict[str, tuple[Meaning, ...]] = {
    _ANY: (),
    "hidden by whatever": tuple(m for m in MEANINGS if m[0] == STATE_HIDDEN),
    **{_CAUSES[cause]: ((state, cause),) for state, cause in MEANINGS},
}


def relabel_form(ctx: Context, me: User, chosen: OpenSet, people: Sequence[Person]) -> str:
    """Show the form, what it would change of `people`, and what was changed before.

    Return what happened, as a sentence; "" when nothing did.
    """
    read = on_disk(chosen)
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
        asked = Relabel(joints=tuple(names), to=_NOW[become][0], only=_NOW[only])
        many = len(people) > MOST_AT_ONCE
        if look.button(
            "Preview",
            key="relabel_preview",
            width="stretch",
            disabled=many or not names or not people,
            help=f"At most {MOST_AT_ONCE:,} people at once." if many else None,
        ):
            found = relabel.changes(ctx.store, people, asked, base_of=read)
            st.session_state["relabel_found"] = (chosen.key, asked, tuple(people), found)
        *of, found = st.session_state.get("relabel_found", (None, ()))
        if of == [chosen.key, asked, tuple(people)] and _preview(chosen, found):
            del st.session_state["relabel_found"]
            bar = st.progress(0.0, f"Relabelling {people_text(len(found))}")
            done = relabel.relabel(
                ctx.store,
                found,
                who=me,
                base_of=read,
                progress=lambda tried: bar.progress(tried / len(found)),
            )
            return happened(done, "relabelled")
        return _before(ctx, me, chosen, read)


def _preview(chosen: OpenSet, found: Sequence[Change]) -> bool:
    """Show what would change; return whether it shall."""
    if not found:
        st.info("None of their joints would change.")
        return False
    counted = Counter(
        (name, label.cause, change.after[name].cause)
        for change in found
        for name, label in change.before.items()
    )
    st.dataframe(
        [
            {
                "joint": name.replace("_", " "),
                "is": _CAUSES[now],
                "becomes": _CAUSES[to],
                "people": count,
            }
            for (name, now, to), count in counted.most_common()
        ],
        hide_index=True,
    )
    links = ", ".join(
        f"[frame {frame}, person {instance}]({href})"
        for frame, instance, href in (
            (p.frame, p.instance, review_href(_params(chosen, p)))
            for p in (change.person for change in found[:_SHOWN])
        )
    )
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    st.markdown(f"{links}{more}")
    joints = sum(counted.values())
    words = f"{joints:,} joint{'' if joints == 1 else 's'} of {people_text(len(found))}"
    return st.button(f"Relabel {words}", type="primary", key="relabel_do")


def _before(ctx: Context, me: User, chosen: OpenSet, read: Callable[[Person], Base]) -> str:
    """Offer to take back what was relabelled before."""
    for made in relabel.relabelled(ctx.store, chosen.key, most=5):
        words, back = st.columns([6, 1.2], vertical_alignment="center")
        still = "" if made.standing == made.people else f", {made.standing:,} still are"
        words.caption(
            f"{people_text(made.people)} relabelled by {plain(made.who)}, "
            f"{made.when:%Y-%m-%d %H:%M} UTC{still}"
        )
        if back.button(
            "Undo", key=f"relabel_undo_{made.client}", disabled=not made.standing, width="stretch"
        ):
            done = relabel.undo(ctx.store, chosen.key, made.client, who=me, base_of=read)
            return happened(done, "as before")
    return ""


def happened(done: Sequence[Event | Refused], how: str) -> str:
    """Return what became of many people's events, as a sentence."""
    refused = [result for result in done if isinstance(result, Refused)]
    notice = f"{people_text(len(done) - len(refused))} {how}."
    if refused:
        notice += f" {len(refused):,} refused; the first: {refused[0]}"
    return notice


def on_disk(chosen: OpenSet) -> Callable[[Person], Base]:
    """Return what reads people from the data set."""

    def found(person: Person) -> Base:
        return base_of(chosen.dataset, person.frame, person.instance)

    return found


def _params(chosen: OpenSet, person: Person) -> dict[str, str]:
    return review_params(chosen.key, frame=person.frame, instance=person.instance)
