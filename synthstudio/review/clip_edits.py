"""Batch edits over a clip: interpolation between key frames; tracks split, joined and renamed.

Each person gets its own event. A batch edit is identified by its client, so repeats have no effect.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review import batch_edits
from synthstudio.review.check import Base, checked_op, moved
from synthstudio.review.edits import BaseOf, apply_in, lock_dataset
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.store import Store
from synthstudio.review.tracks import (
    Clip,
    Member,
    free_instance,
    free_track,
    interpolated,
    members,
    same_track,
)
from synthstudio.review.values import JointLabel, Op, Pair, Person, User, invalid, numbered, require

MAX = 2_000
"""Maximum people of a batch edit."""
BLIND = "a second review is open"
Retracked = tuple[list[Member], int]
"""Members, and the number of their new track."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A clip as input of batch edits: its store, and the people (frame, instance) to withhold."""

    store: Store
    table: PeopleTable
    clip: Clip
    base_of: BaseOf
    blinded: Collection[Pair] = ()

    def members(self, session: Session | None = None) -> list[Member]:
        """`session`: an open one, else a new one."""
        return members(self.store, self.table, self.clip, blinded=self.blinded, session=session)


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """A planned interpolation: ops without ids. An "add" where the track has no person.

    `keys`: the key frames; `left`: unchanged people, and why.
    """

    keys: tuple[int, ...]
    fills: tuple[Op, ...]
    left: tuple[str, ...]

    @property
    def joints(self) -> int:
        return sum(len(fill.joints) for fill in self.fills)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a batch edit: changed people, and unchanged ones with reasons."""

    people: int
    left: tuple[str, ...] = ()


def interpolation(scene: Scene, person: Person, *, around: bool) -> Interpolation:
    """Labels between the key frames of a track, or (`around`) only next to that frame."""
    of_clip = scene.members()
    me = _member_of(of_clip, person)
    mine = same_track(of_clip, me.track, person)
    keys = [one for one in mine if one.is_key]
    if around:
        keys = _next_to(keys, me.time)
    by_time = {one.time: one for one in sorted(mine, key=lambda m: m.exists)}
    fills: list[Op] = []
    left: list[str] = []
    for first, last in pairwise(keys):
        for time in [t for t in scene.clip.frames if first.time < t < last.time]:
            one = by_time.get(time)
            why = None if one is None else _why_unchanged(one, scene.blinded)
            if one is not None and why:
                left.append(f"{one.person.where}: {why}")
                continue
            frame = scene.clip.frames[time]
            number = one.person.instance if one else free_instance(of_clip, frame)
            here = Person(dataset=scene.clip.dataset, frame=frame, instance=number)
            base = scene.base_of(here)
            joints = interpolated(
                _labels(first, scene.base_of),
                _labels(last, scene.base_of),
                (time - first.time) / (last.time - first.time),
                (base.width_px, base.height_px),
            )
            now = _labels(one, scene.base_of) if one else {}
            changed = {n: label for n, label in joints.items() if _differs(now.get(n), label)}
            if changed and (one or any(label.state for label in changed.values())):
                fills.append(
                    Op(
                        person=here,
                        revision=one.state.revision if one else 0,
                        kind="edit" if one else "add",
                        joints=changed,
                        track=None if one else me.track,
                        keyframe=False,
                    )
                )
    frames = tuple(one.person.frame for one in keys)
    return Interpolation(keys=frames, fills=tuple(fills), left=tuple(left))


def interpolate(scene: Scene, found: Interpolation, client: str, *, who: User) -> Result:
    """Apply a preview, one event per person; people changed since or leased are skipped."""
    _check_number(len(found.fills))
    ops = numbered(found.fills, client)
    done = _apply_batch(scene, client, lambda session: ops, [op.person for op in ops], who)
    return Result(people=done.people, left=(*done.left, *found.left))


def split(scene: Scene, person: Person, client: str, *, who: User) -> Result:
    """Split a track at a frame: later people get a free number."""

    def changed(of_clip: list[Member], me: Member, mine: list[Member]) -> Retracked:
        if me.track is not None and not any(m.time < me.time for m in mine):
            invalid("this track begins here", person.where, expected="a frame after its first")
        return [m for m in mine if m.time >= me.time], free_track(of_clip)

    return _retrack(scene, person, changed, client, who)


def join(scene: Scene, person: Person, to: int, client: str, *, who: User) -> Result:
    """Merge a track into track `to`; refused if both are in one frame."""

    def changed(of_clip: list[Member], me: Member, mine: list[Member]) -> Retracked:
        target = {m.time: m.person for m in of_clip if m.exists and m.track == to}
        if me.track == to or not target:
            numbers = sorted({m.track for m in of_clip if m.exists and m.track is not None})
            invalid("unknown track", "track", expected=str(numbers), got=to)
        both = [target[m.time].frame for m in mine if m.time in target]
        if both:
            invalid(
                "both tracks are in some frames",
                f"frames {', '.join(map(str, both[:8]))}{'...' if len(both) > 8 else ''}",
                expected="tracks without common frames: split them there first",
                got=f"{len(both)} frames with both",
            )
        return mine, to

    return _retrack(scene, person, changed, client, who)


def rename(scene: Scene, person: Person, to: int, client: str, *, who: User) -> Result:
    """Rename a track to a number that is free in the clip."""

    def changed(of_clip: list[Member], me: Member, mine: list[Member]) -> Retracked:
        if any(m.track == to for m in of_clip):
            expected = "a free one, or a join"
            invalid("this number is a track of the clip", "track", expected=expected, got=to)
        return mine, to

    return _retrack(scene, person, changed, client, who)


def undo(scene: Scene, client: str, again: str, *, who: User) -> Result:
    """Revert a batch edit for people not changed since; also reverts an undo."""
    with scene.store.reading() as session:
        mine = batch_edits.events_in_force(session, scene.clip.dataset, client)

    def plan(session: Session) -> Sequence[Op]:
        return batch_edits.revert_ops(session, scene.clip.dataset, client, again)

    return _apply_batch(scene, again, plan, [event.person for event in mine], who)


def _retrack(
    scene: Scene,
    person: Person,
    changed: Callable[[list[Member], Member, list[Member]], Retracked],
    client: str,
    who: User,
) -> Result:
    def plan(session: Session) -> Sequence[Op]:
        of_clip = scene.members(session)
        me = _member_of(of_clip, person)
        track = [m for m in same_track(of_clip, me.track, person) if m.exists]
        mine, to = changed(of_clip, me, track)
        _check_number(len(mine))
        ops = (
            Op(person=one.person, revision=one.state.revision, kind="edit", track=to)
            for one in mine
        )
        return numbered(ops, client)

    of_clip = scene.members()
    mine = same_track(of_clip, _member_of(of_clip, person).track, person)
    return _apply_batch(scene, client, plan, [one.person for one in mine], who)


def _check_number(people: int) -> None:
    if people > MAX:
        expected = f"at most {MAX:,} people at once"
        invalid("too many people at once", "clip", expected=expected, got=people)


def _apply_batch(
    scene: Scene,
    client: str,
    plan: Callable[[Session], Sequence[Op]],
    people: Iterable[Person],
    who: User,
) -> Result:
    """Apply the possible part of a plan unless its client was applied before, in one exclusive
    transaction; `people`: the allowed ones."""
    require(who, "edit")
    dataset = scene.clip.dataset
    known: dict[Person, Base] = {person: scene.base_of(person) for person in people}
    words = {"lease": "claimed by another reviewer", "revision": "changed meanwhile"}
    left: list[str] = []
    blind: list[str] = []
    with scene.store.session() as session:
        lock_dataset(session, dataset)
        done = len(batch_edits.batch_events(session, dataset, client))
        for op in () if done else plan(session):
            if op.person.pair in scene.blinded:
                blind.append(f"{op.person.where}: {BLIND}")
                continue
            try:
                base = known.get(op.person) or scene.base_of(op.person)
                require(who, op.kind)
                checked = checked_op(op, base)
                with session.begin_nested():
                    apply_in(session, checked, who=who, base=base)
                done += 1
            except Refused as refused:
                left.append(f"{op.person.where}: {words.get(refused.reason, refused.what)}")
    return Result(people=done, left=(*left, *blind))


def _member_of(of_clip: Sequence[Member], person: Person) -> Member:
    me = next((one for one in of_clip if one.person == person), None)
    if me is None or not me.exists:
        raise Refused("no such person in this clip", where=person.where, reason="gone")
    return me


def _next_to(keys: Sequence[Member], time: int) -> list[Member]:
    """The key frames before and after a time, and one at it."""
    before = [one for one in keys if one.time < time][-1:]
    after = [one for one in keys if one.time > time][:1]
    return [*before, *(one for one in keys if one.time == time), *after]


def _why_unchanged(one: Member, blinded: Collection[Pair]) -> str | None:
    if one.person.pair in blinded:
        return BLIND
    if one.state.deleted:
        return "deleted"
    return one.state.status if one.state.status in ("rejected", "flagged") else None


def _labels(one: Member, base_of: BaseOf) -> dict[str, JointLabel]:
    return {**(base_of(one.person).joints or {}), **one.state.joints}


def _differs(now: JointLabel | None, to: JointLabel) -> bool:
    return now is None or (now.state, now.cause) != (to.state, to.cause) or moved(now, to)
