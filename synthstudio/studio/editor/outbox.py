"""Edits from the editor in a browser: checked, applied, and answered one by one.

The browser repeats every edit until it is told "done" or "refused"; an op is named by (client,
seq), so it is applied once, however often it arrives. Nothing in a message is trusted: who acts and
which data set is meant come from the session, and review.edits checks the rest. Here too: leases
are renewed while the editor is in use, and released once a person is decided on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review.check import MAX_INT, MAX_TEXT, Base
from synthstudio.review.edits import apply
from synthstudio.review.history import DECIDED, event_named
from synthstudio.review.leases import SECOND, release, renew
from synthstudio.review.risk.predictions import is_predicted
from synthstudio.review.store import Store
from synthstudio.review.values import (
    FRAME,
    HUMAN,
    MAIN,
    PREDICTED,
    JointLabel,
    Op,
    Person,
    User,
    may,
)
from synthstudio.studio.text import without_paths

MOST_OPS = 200
MOST_JOINTS = 200
_FIELDS = {one.name for one in fields(Op)} - {"person"}
_FIELDS |= {"dataset", "frame", "instance", "after", "undoes"}
BLIND = (
    "this person is still to be looked at twice, and you may be asked for the second look. "
    "It is blind: nothing is told of the first, and nothing is changed. Take another."
)
_SERVER_ERROR = "Internal server error (see the server's log). Retrying."
log = logging.getLogger(__name__)

OpName = tuple[str, int]
"""Of an op: its client and seq."""
Pair = tuple[int, int]
Veiled = Callable[[Collection[Pair]], Collection[Pair]]
"""Some people (frame, instance) -> those whose first look is hidden from who acts."""
Refusal = tuple[str, int, str, str]
"""Of an op: client, seq, reason, text."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a message. `tab` and `n` name it; `wait`: why some ops are left for later.

    `done`: (client, seq, event, revision); `refused`: (client, seq, reason, text).
    """

    tab: str = ""
    n: int = 0
    done: tuple[tuple[str, int, int, int], ...] = ()
    refused: tuple[tuple[str, int, str, str], ...] = ()
    wait: str = ""


@dataclass(frozen=True, kw_only=True)
class ReceivedOp:
    """An op as a browser sent it. `undoes`, `after`: other ops by their names.

    `undoes`: the op whose event a revert takes back, where the browser does not know the event's
    number yet. `after`: an op of the same person that this one builds on.
    """

    op: Op
    undoes: OpName | None = None
    after: OpName | None = None

    @property
    def name(self) -> OpName:
        return self.op.client, self.op.seq


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message. `ops`: those that could be read; `refused`: those that could not."""

    tab: str
    n: int
    ops: tuple[ReceivedOp, ...]
    refused: tuple[tuple[str, int, str, str], ...] = ()


@dataclass(kw_only=True)
class _Delivery:
    store: Store
    who: User
    base_of: Callable[[Person], Base]
    events: dict[OpName, int] = field(default_factory=dict)


def parse_message(payload: object, *, dataset: str, layer: str = MAIN) -> Message:
    """Return what a payload says; Refused("invalid") when it is no message at all.

    `dataset`: the key of the one that the session looks at; ops of another are refused.
    """
    if not isinstance(payload, dict) or payload.get("v") != 1:
        invalid("this is no message of the editor", "outbox", "version 1", payload)
    tab, n, ops = payload.get("tab"), payload.get("n"), payload.get("ops")
    if not _is_client(tab) or not _is_int(n):
        invalid("a message has a tab and a number", "outbox", "tab and n", [tab, n])
    if not isinstance(ops, list) or len(ops) > MOST_OPS:
        invalid("a message has ops", "outbox.ops", f"a list of at most {MOST_OPS}", type(ops))
    found: list[ReceivedOp] = []
    refused: list[tuple[str, int, str, str]] = []
    for item in ops:
        if not isinstance(item, dict):
            invalid("this is no op", "outbox.ops", "an object", item)
        client, seq = item.get("client"), item.get("seq")
        if not _is_client(client) or not _is_int(seq):
            invalid("an op has a client and a seq", "outbox.ops", "both", [client, seq])
        try:
            found.append(_parse_op(item, dataset, layer))
        except Refused as error:
            refused.append((str(client), int(seq or 0), error.reason, str(error)))
    return Message(tab=str(tab), n=int(n or 0), ops=tuple(found), refused=tuple(refused))


def apply_message(
    store: Store,
    message: Message,
    *,
    who: User,
    base_of: Callable[[Person], Base],
    veiled: Veiled,
) -> Answer:
    """Do what a message says, op by op in its order, and tell what became of each.

    After one that has to wait (a locked database, a full disk) the rest waits too: they build on
    one another. `base_of` may raise DatasetError for people of no frame. `veiled`: nothing is
    changed of them in the layer main, and no refusal tells what is so, whoever sends the ops.
    """
    done: list[tuple[str, int, int, int]] = []
    refused = list(message.refused)
    wait = ""
    delivery = _Delivery(store=store, who=who, base_of=base_of)
    pairs = {r.name: _pair(r) for r in message.ops if r.op.person.layer == MAIN}
    blind = veiled({*pairs.values()})
    for received in message.ops:
        if pairs.get(received.name) in blind:
            refused.append((*received.name, "lease", BLIND))
            continue
        try:
            event, revision = _apply_op(delivery, received)
        except Refused as error:
            if error.reason == "busy":
                wait = without_paths(error)
                break
            refused.append((*received.name, error.reason, without_paths(error)))
        except DatasetError as error:
            log.warning("an edit of nobody: %s", error)
            refused.append((*received.name, "gone", without_paths(error)))
        except Exception:
            # Whatever it is, the browser keeps the edit and says it again.
            log.exception("an edit could not be stored: %s", received.name)
            wait = _SERVER_ERROR
            break
        else:
            delivery.events[received.name] = event
            done.append((*received.name, event, revision))
    refused = _without_first_looks(message, refused, veiled)
    return Answer(tab=message.tab, n=message.n, done=tuple(done), refused=tuple(refused), wait=wait)


def _without_first_looks(
    message: Message, refused: Sequence[Refusal], veiled: Veiled
) -> list[Refusal]:
    """Return refusals without what they would tell of people whose first look is hidden.

    Somebody may have decided on a person while the op was on its way, or on all in the frame to
    which the op would bring somebody.
    """
    about: dict[OpName, set[Pair]] = {}
    for received in message.ops:
        if received.op.person.layer == MAIN:
            bringing = received.op.kind in ("add", "restore", "revert")
            frame = {(received.op.person.frame, FRAME)} if bringing else set()
            about[received.name] = {_pair(received), *frame}
    blind = set(veiled({pair for row in refused for pair in about.get(row[:2], ())}))
    return [
        (*row[:2], "lease", BLIND) if about.get(row[:2], set()) & blind else row for row in refused
    ]


def _pair(received: ReceivedOp) -> Pair:
    return received.op.person.frame, received.op.person.instance


def _apply_op(delivery: _Delivery, received: ReceivedOp) -> tuple[int, int]:
    op = received.op
    if received.after is not None and _event_of(delivery, op.person, received.after) is None:
        # The one before it was refused: this one was made over a state that never was.
        raise Refused(
            "the edit before this one was not taken",
            where=op.person.where,
            then="Look at the person again and decide about both.",
            reason="revision",
        )
    if received.undoes is not None:
        found = _event_of(delivery, op.person, received.undoes)
        if found is None:
            raise Refused(
                "what shall be undone was never stored", where=op.person.where, reason="gone"
            )
        op = Op(
            client=op.client,
            seq=op.seq,
            person=op.person,
            revision=op.revision,
            kind=op.kind,
            event=found,
        )
    _check_predicted(delivery, op)
    event = apply(delivery.store, op, who=delivery.who, base=delivery.base_of(op.person))
    return event.id, event.revision


def _check_predicted(delivery: _Delivery, op: Op) -> None:
    """Refuse joints that say a model put them there where none did."""
    joints = {name: label for name, label in op.joints.items() if label.origin == PREDICTED}
    person = op.person
    if not joints or is_predicted(delivery.store, person.dataset, person.frame, joints):
        return
    if _event_of(delivery, person, (op.client, op.seq)) is None:  # else it was so at the time
        raise Refused(
            "no model predicts these joints there any more",
            where=person.where,
            then="Look at the predictions again.",
            reason="gone",
        )


def _event_of(delivery: _Delivery, person: Person, name: OpName) -> int | None:
    """Return the event that an op of this person made, None when it made none."""
    return delivery.events.get(name) or event_named(delivery.store, person, *name)


def storage_key(dataset: str, layer: str) -> str:
    """Return what the browser calls a layer of a data set: it keeps its edits under that name."""
    return dataset if layer == MAIN else f"{dataset}.{layer}"


def _parse_op(item: Mapping[str, Any], dataset: str, layer: str) -> ReceivedOp:
    unknown = set(item) - _FIELDS
    if unknown:
        invalid("an op has no such field", "outbox.ops", ", ".join(sorted(_FIELDS)), unknown)
    if item.get("dataset") != storage_key(dataset, layer):
        invalid("this edit is of another data set", "dataset", dataset[:16], item.get("dataset"))
    text = item.get("text", "")
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        invalid("this text is not taken", "text", f"at most {MAX_TEXT:,} characters", type(text))
    undoes, after = (_parse_name(item.get(key), key) for key in ("undoes", "after"))
    if undoes is not None and item.get("kind") != "revert":
        invalid("only a revert undoes", "undoes", "none", undoes)
    person = Person(
        dataset=dataset,
        frame=_whole_number(item, "frame"),
        instance=_whole_number(item, "instance"),
        layer=layer,
    )
    op = Op(
        client=item["client"],
        seq=item["seq"],
        person=person,
        revision=_whole_number(item, "revision"),
        kind=item.get("kind"),  # type: ignore[arg-type]
        joints=dict(_parse_joints(item.get("joints", {}))),
        box=item.get("box"),
        masks=item.get("masks"),
        status=item.get("status"),
        text=text,
        event=_whole_number(item, "event") if item.get("event") is not None else None,
        joint=_parse_joint_name(item.get("joint")),
        track=_whole_number(item, "track") if item.get("track") is not None else None,
        keyed=item.get("keyed"),
    )
    return ReceivedOp(op=op, undoes=undoes, after=after)


def _parse_joint_name(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    invalid("a comment points at a joint by its name", "joint", "a name", value)


def _parse_joints(value: object) -> Iterator[tuple[str, JointLabel]]:
    if not isinstance(value, dict) or len(value) > MOST_JOINTS:
        invalid("joints go by their names", "joints", "an object", type(value))
    for name, row in value.items():
        if not isinstance(row, list) or len(row) not in (4, 5):
            invalid("a joint is [x, y, state, cause]", f"joints.{str(name)[:40]}", "four", row)
        x, y, state, cause, *said = row
        if not all(isinstance(text, str) for text in (cause, *said)) or not all(
            _is_number(v) for v in (x, y, state)
        ):
            invalid(
                "a joint is [x, y, state, cause]",
                f"joints.{str(name)[:40]}",
                "numbers or null, and a name",
                row,
            )
        origin = PREDICTED if said == [PREDICTED] else HUMAN
        yield name, JointLabel(x_px=x, y_px=y, state=state, cause=cause, origin=origin)


def _parse_name(value: object, where: str) -> OpName | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and _is_client(value[0]) and _is_int(value[1]):
        return value[0], value[1]
    invalid("an op is named by client and seq", where, "[client, seq]", value)


def _whole_number(item: Mapping[str, Any], key: str) -> int:
    value = item.get(key)
    if not _is_int(value):
        invalid("this is no number of the kind", key, "a whole number from 0", value)
    return int(value)  # type: ignore[arg-type]


def _is_int(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT


def _is_number(value: object) -> bool:
    return value is None or type(value) in (int, float)


def _is_client(value: object) -> bool:
    return isinstance(value, str) and 8 <= len(value) <= 64 and value.isalnum() and value.isascii()


def invalid(what: str, where: str, expected: str, got: object) -> NoReturn:
    raise Refused(what, where=where, expected=expected, got=repr(got)[:80], reason="invalid")


EVERY_S = 60.0


@dataclass
class HeldLeases:
    """Of whom a session renewed its leases, and when (monotonic seconds)."""

    at: float = -EVERY_S
    people: frozenset[Person] = field(default_factory=frozenset)


def renew_leases(
    store: Store,
    held: HeldLeases,
    window: Sequence[Person],
    *,
    who: User,
    edited: Iterable[Person] = (),
) -> None:
    """Renew `who`'s leases on the people of a window: once a minute, or for new ones in `edited`.

    It makes no lease where `who` had none. One that somebody else took meanwhile stays lost: the
    edit is then refused. A busy store is tried again next time.
    """
    new = set(edited) - held.people
    if not may(who.role, "claim") or (not new and time.monotonic() - held.at < EVERY_S):
        return
    people = [*dict.fromkeys([*window, *new])]
    try:
        renew(store, people, who=who)
    except Refused as error:
        log.warning("leases of %s were not renewed: %s", who.name, error)
        return
    held.at, held.people = time.monotonic(), frozenset(people)


def release_decided(
    store: Store, held: HeldLeases, message: Message, answer: Answer, *, who: User
) -> None:
    """Give back the leases of people whom this message decided on.

    Those of second looks end by themselves: without one, nobody could take a decision back.
    """
    done = {(client, seq) for client, seq, _, _ in answer.done}
    people = [
        received.op.person
        for received in message.ops
        if received.name in done
        and received.op.person.layer != SECOND
        and (received.op.kind == "delete" or received.op.status in DECIDED)
    ]
    if not people or not may(who.role, "claim"):
        return
    try:
        release(store, [*dict.fromkeys(people)], who=who)
    except Refused as error:
        log.warning("leases of %s were not given back: %s", who.name, error)
        return
    held.people -= frozenset(people)
