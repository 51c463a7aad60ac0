"""Edit operations of the editor and of programs: checked, applied in order, each answered.

A client repeats every op until it is "done" or "refused"; an op is named by (client, seq), so
it is applied once. Ops are untrusted: user and data set come from the call, and review.edits
checks the rest. Leases are also renewed here while the editor is in use, and released after a
decision on their person.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review.check import MAX_INT, MAX_TEXT, Base
from synthstudio.review.edits import apply
from synthstudio.review.history import DECIDED, event_named
from synthstudio.review.leases import MAX_AT_ONCE, SECOND, release, renew
from synthstudio.review.risk.predictions import is_predicted
from synthstudio.review.store import Store
from synthstudio.review.values import (
    FRAME,
    HUMAN,
    MAIN,
    PREDICTED,
    FrameStatus,
    JointLabel,
    Kind,
    Op,
    Pair,
    Person,
    Status,
    User,
    invalid,
    may,
)
from synthstudio.studio.page_parts import without_paths

MAX_OPS = 200
MAX_JOINTS = 200
BLIND = (
    "this person is to be reviewed twice, and the second review may be yours. "
    "It is blind: the first stays hidden and cannot be changed. Choose another person."
)
_SERVER_ERROR = "Internal server error (see the server's log). Retrying."
log = logging.getLogger(__name__)

Number = Annotated[int, Field(ge=0, le=MAX_INT)]
Client = Annotated[str, Field(pattern="^[A-Za-z0-9]{8,64}$")]
Model = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""A network's name, without control characters."""
OpName = tuple[str, int]
"""An op's client and seq."""
Blinded = Callable[[Collection[Pair]], Collection[Pair]]
"""Some people (frame, instance) -> those whose first review is hidden from the user."""
Refusal = tuple[str, int, str, str]
"""A refused op's client, seq, reason, text."""


class Strict(BaseModel):
    """A JSON object with exactly these fields and types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


_Px = float | None
_LAX = Field(strict=False)  # JSON has lists, no tuples
_Row = Annotated[
    Annotated[tuple[_Px, _Px, int | None, str], _LAX]
    | Annotated[tuple[_Px, _Px, int | None, str, str], _LAX],
    Field(
        description="x and y in continuous pixels (null: no place), state (2 visible, 1 hidden, "
        "0 outside, null unlabelled), cause, and origin: human or predicted",
    ),
]
_Name = Annotated[tuple[Client, Number], Field(strict=False, description="[client, seq] of an op")]


class OpFields(Strict):
    """An op as JSON; see review.values.Op. It is identified by `client` and `seq`."""

    client: Client
    seq: Number
    frame: Number
    instance: Number = Field(description="0: the frame, which may have status no_people")
    revision: Number = Field(description="the person's, as the author of the op saw it")
    kind: Kind
    joints: dict[str, _Row] = Field({}, max_length=MAX_JOINTS)
    box: Any = Field(None, description="x, y, width, height in continuous pixels")
    masks: Any = Field(
        None,
        description="modal (visible) or amodal (whole) -> a COCO run-length code of the picture's "
        "size, or COCO polygons inside it",
    )
    status: Status | FrameStatus | None = None
    text: str = Field("", max_length=MAX_TEXT)
    event: Number | None = Field(
        None,
        description="the event to revert; for answers, resolve and "
        "reopen: the first comment of the thread",
    )
    joint: str | None = Field(None, description="the subject of a first comment")
    track: Number | None = Field(None, description="track number in a clip (edit, add)")
    keyframe: bool | None = Field(None, description="a key frame of its track, or not (edit, add)")
    undoes: _Name | None = Field(None, description="the op to revert")
    after: _Name | None = Field(None, description="a preceding op on the same person")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Results of ops. `wait`: why some are postponed, "" for none.

    `done`: (client, seq, event, revision); `refused`: (client, seq, reason, text).
    """

    done: tuple[tuple[str, int, int, int], ...] = ()
    refused: tuple[Refusal, ...] = ()
    wait: str = ""


@dataclass(frozen=True, kw_only=True)
class ReceivedOp:
    """An op as sent. `undoes`: the op to revert, by name; `after`: the op it builds on."""

    op: Op
    undoes: OpName | None = None
    after: OpName | None = None

    @property
    def name(self) -> OpName:
        return self.op.client, self.op.seq


@dataclass(frozen=True, kw_only=True)
class ParsedOps:
    """`ops`: the readable ones; `refused`: the others."""

    ops: tuple[ReceivedOp, ...]
    refused: tuple[Refusal, ...] = ()


def parse_ops(items: Sequence[object], *, dataset: str, layer: str = MAIN) -> ParsedOps:
    """The ops of JSON values, for a data set's key; Refused("invalid") if one has no name."""
    found: list[ReceivedOp] = []
    refused: list[Refusal] = []
    for item in items:
        try:
            found.append(_received(OpFields.model_validate(item), dataset, layer))
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
            unnamed = [p for p in problems if not p["loc"] or p["loc"][0] in ("client", "seq")]
            refusal = refused_fields(unnamed or problems, "ops")
            if unnamed or not isinstance(item, dict):
                raise refusal from error
            refused.append((item["client"], item["seq"], refusal.reason, str(refusal)))
        except Refused as error:
            refused.append((item["client"], item["seq"], error.reason, str(error)))  # type: ignore[index]
    return ParsedOps(ops=tuple(found), refused=tuple(refused))


def refused_fields(problems: Sequence[Mapping[str, Any]], where: str) -> Refused:
    first = problems[0]
    parts = [str(part)[:40] for part in first["loc"]]
    place = ".".join(part for part in parts if "[" not in part)  # "[": a branch of a union
    return Refused(
        "wrong characters or length"
        if "pattern" in first["type"]
        else str(first["msg"])[:200].lower(),
        where=f"{where}.{place}"[:200] if place else where,
        got=repr(first.get("input"))[:80],
        reason="invalid",
    )


def _received(fields: OpFields, dataset: str, layer: str) -> ReceivedOp:
    if fields.undoes is not None and fields.kind != "revert":
        invalid("only a revert undoes", "undoes", expected="none", got=fields.undoes)
    values = {name: getattr(fields, name) for name in OpFields.model_fields}
    undoes, after = values.pop("undoes"), values.pop("after")
    person = Person(
        dataset=dataset, frame=values.pop("frame"), instance=values.pop("instance"), layer=layer
    )
    values["joints"] = {name: _joint(*row) for name, row in fields.joints.items()}
    return ReceivedOp(op=Op(person=person, **values), undoes=undoes, after=after)


def _joint(x: _Px, y: _Px, state: int | None, cause: str, origin: str = HUMAN) -> JointLabel:
    origin = PREDICTED if origin == PREDICTED else HUMAN
    return JointLabel(x_px=x, y_px=y, state=state, cause=cause, origin=origin)


def apply_ops(
    store: Store,
    parsed: ParsedOps,
    *,
    who: User,
    base_of: Callable[[Person], Base],
    blinded: Blinded,
) -> Answer:
    """Apply ops in their order; return the result of each.

    After one that must be postponed (a locked database, a full disk) the rest is, too: they may
    depend on it. `base_of` may raise DatasetError for unknown frames. `blinded`: these people are
    not changed in the layer main, and refusals reveal nothing of them, for any user.
    """
    done: list[tuple[str, int, int, int]] = []
    refused = list(parsed.refused)
    wait = ""
    events: dict[OpName, int] = {}
    pairs = {r.name: r.op.person.pair for r in parsed.ops if r.op.person.layer == MAIN}
    blind = blinded({*pairs.values()})
    for received in parsed.ops:
        if pairs.get(received.name) in blind:
            refused.append((*received.name, "lease", BLIND))
            continue
        try:
            op = _resolved(store, received, events)
            event = apply(store, op, who=who, base=base_of(op.person))
        except Refused as error:
            if error.reason == "busy":
                log.warning("edits wait: %s", error)
                wait = without_paths(error)
                break
            refused.append((*received.name, error.reason, without_paths(error)))
        except DatasetError as error:
            log.warning("an edit of an unknown person: %s", error)
            refused.append((*received.name, "gone", without_paths(error)))
        except Exception:
            # On any error the browser keeps the edit and sends it again.
            log.exception("an edit could not be stored: %s", received.name)
            wait = _SERVER_ERROR
            break
        else:
            events[received.name] = event.id
            done.append((*received.name, event.id, event.revision))
    refused = _without_first_looks(parsed, refused, blinded)
    return Answer(done=tuple(done), refused=tuple(refused), wait=wait)


def _without_first_looks(
    parsed: ParsedOps, refused: Sequence[Refusal], blinded: Blinded
) -> list[Refusal]:
    """Refusals without details of people whose first review is hidden.

    A person may have been decided on while the op was on its way, or all people of the frame to
    which the op adds one.
    """
    about: dict[OpName, set[Pair]] = {}
    for received in parsed.ops:
        if received.op.person.layer == MAIN:
            bringing = received.op.kind in ("add", "restore", "revert")
            frame = {(received.op.person.frame, FRAME)} if bringing else set()
            about[received.name] = {received.op.person.pair, *frame}
    blind = set(blinded({pair for row in refused for pair in about.get(row[:2], ())}))
    return [
        (*row[:2], "lease", BLIND) if about.get(row[:2], set()) & blind else row for row in refused
    ]


def _resolved(store: Store, received: ReceivedOp, events: Mapping[OpName, int]) -> Op:
    """The op with the event that it undoes. `events`: those of the ops before it, by name."""
    op = received.op

    def event_of(name: OpName) -> int | None:
        return events.get(name) or event_named(store, op.person, *name)

    if received.after is not None and event_of(received.after) is None:
        # The previous op was refused: this one was based on a state that never existed.
        raise Refused(
            "the edit before this one was refused",
            where=op.person.where,
            then="Check the person again and repeat both edits.",
            reason="revision",
        )
    if received.undoes is not None:
        found = event_of(received.undoes)
        if found is None:
            raise Refused(
                "the edit to be undone was never stored", where=op.person.where, reason="gone"
            )
        op = replace(op, event=found)
    joints = {name: label for name, label in op.joints.items() if label.origin == PREDICTED}
    predicted = not joints or is_predicted(store, op.person.dataset, op.person.frame, joints)
    if not predicted and event_of(received.name) is None:  # else it was valid then
        raise Refused(
            "these joints are no longer predicted there",
            where=op.person.where,
            then="Reload the predictions.",
            reason="gone",
        )
    return op


EVERY_S = 60.0


@dataclass
class HeldLeases:
    """People whose leases a session renewed, and when (monotonic seconds)."""

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

    It makes no new lease. One taken by another user meanwhile stays lost: the edit is then
    refused. A busy store is tried again next time.
    """
    new = set(edited) - held.people
    if not may(who.role, "claim") or (not new and time.monotonic() - held.at < EVERY_S):
        return
    people = [*dict.fromkeys([*window, *new])][-MAX_AT_ONCE:]
    try:
        renew(store, people, who=who)
    except Refused as error:
        log.warning("leases of %s were not renewed: %s", who.name, error)
        return
    held.at, held.people = time.monotonic(), frozenset(people)


def release_decided(
    store: Store, held: HeldLeases, parsed: ParsedOps, answer: Answer, *, who: User
) -> None:
    """Release the leases of people decided on by these ops.

    Those of second reviews end by themselves: without one, a decision could not be reverted.
    """
    done = {(client, seq) for client, seq, _, _ in answer.done}
    people = [
        received.op.person
        for received in parsed.ops
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
