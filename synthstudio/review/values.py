"""Values shared by studio, command line and review store; permissions of roles."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal, NoReturn, TypeVar, get_args

from synthstudio.core.errors import Refused

T = TypeVar("T")
Pair = tuple[int, int]
"""The frame and number of a person in a data set."""
Role = Literal["viewer", "reviewer", "lead", "admin"]
Status = Literal["pending", "approved", "rejected", "flagged", "skipped"]
FrameStatus = Literal["pending", "no_people"]
Kind = Literal[
    "edit",
    "status",
    "comment",
    "add",
    "delete",
    "restore",
    "revert",
    "reject_prediction",
    "resolve",
    "reopen",
]
ROLES: tuple[Role, ...] = get_args(Role)
"""Roles with rising permissions."""
STATUSES: tuple[Status, ...] = get_args(Status)
"""Of people."""
FRAME_STATUSES: tuple[FrameStatus, ...] = get_args(FrameStatus)
"""Of whole frames, which are separate items with the number FRAME in place of a person's."""
FRAME, NO_PEOPLE = 0, "no_people"
KINDS: tuple[Kind, ...] = get_args(Kind)
MAIN = "main"
"""The layer that exports read. Second reviews and each model's predictions have their own."""
HUMAN, PREDICTED = "human", "predicted"
"""Origins of a reviewed joint: human, or a model's prediction accepted unchanged."""
HIDDEN_BY = {
    "self": "hidden by own body",
    "person": "hidden by another person",
    "object": "hidden by an object",
}
"""Causes of hidden joints in words."""


@dataclass(frozen=True, kw_only=True)
class User:
    name: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person in one frame of a data set (`dataset`: its key, see `store.register`).

    `instance` FRAME: the frame itself, which may be marked as empty.
    """

    dataset: str
    frame: int
    instance: int
    layer: str = MAIN

    @property
    def key(self) -> tuple[str, int, int, str]:
        return self.dataset, self.frame, self.instance, self.layer

    @property
    def pair(self) -> Pair:
        return self.frame, self.instance

    @property
    def where(self) -> str:
        whole = self.instance == FRAME
        return f"frame {self.frame}" if whole else f"frame {self.frame}, person {self.instance}"


@dataclass(frozen=True, kw_only=True)
class JointLabel:
    """A joint's label in a review. `x_px`, `y_px`: continuous pixels, None where unknown.

    `state`: 2, 1, 0 as in docs/conventions.md; None: unlabelled. `cause`: a name of
    core.labels.CAUSES, "unknown" or "unlabelled". `origin`: one of core.labels.ORIGINS.
    """

    x_px: float | None
    y_px: float | None
    state: int | None
    cause: str
    origin: str = HUMAN

    @property
    def place(self) -> tuple[float, float] | None:
        """x and y; None where unknown."""
        return None if self.x_px is None or self.y_px is None else (self.x_px, self.y_px)

    def is_inside(self, width: float, height: float) -> bool:
        """Whether it is inside a picture of this size, its edge included."""
        at = self.place
        return at is not None and 0 <= at[0] <= width and 0 <= at[1] <= height


UNLABELLED = JointLabel(x_px=None, y_px=None, state=None, cause="unlabelled")


@dataclass(frozen=True, kw_only=True)
class Op:
    """An action of a user on one item.

    `client` and `seq` identify it, so repeats have no effect (see `numbered`). `revision`: the
    item's, as read by its author. `joints`: new values (edit, add); `box`: x, y, width, height in
    continuous pixels (edit, add); `masks`: `modal` or `amodal` -> a COCO code or polygons (edit,
    add). `status` and `text` (its reason) for status; `text` for comment, with the `joint` that it
    refers to, if any; `event` for revert; and the event of a thread's first comment for a comment
    that answers it, resolve and reopen; `text`: the model of a reject_prediction. `track`: its
    number in the clip; `keyframe`: whether it is a key frame of it (edit, add); see tracks.py.
    """

    client: str = ""
    seq: int = 0
    person: Person
    revision: int
    kind: Kind
    joints: Mapping[str, JointLabel] = field(default_factory=dict)
    box: Sequence[float] | None = None
    masks: Mapping[str, Any] | None = None
    status: Status | FrameStatus | None = None
    text: str = ""
    event: int | None = None
    joint: str | None = None
    track: int | None = None
    keyframe: bool | None = None


def numbered(ops: Iterable[Op], client: str) -> list[Op]:
    """The ops of a client, in order from 1."""
    return [replace(op, client=client, seq=seq) for seq, op in enumerate(ops, start=1)]


@dataclass(frozen=True, kw_only=True)
class Event:
    """An applied op. `before` and `after` hold only changed fields, as JSON values."""

    id: int
    person: Person
    revision: int
    kind: Kind
    who: str
    when: datetime
    before: Mapping[str, object]
    after: Mapping[str, object]
    client: str
    seq: int
    reverts: int | None = None


def reverted_ids(events: Iterable[Event]) -> set[int]:
    """The ids of those of an item's events that were reverted, by reverts in force."""
    found: set[int] = set()
    for event in sorted(events, key=lambda e: e.revision, reverse=True):
        if event.reverts is not None and event.id not in found:
            found.add(event.reverts)
    return found


@dataclass(frozen=True, kw_only=True)
class ItemState:
    """The state of an item after all events. Revision 0: untouched.

    `joints`: only changed ones; others are as in the data set. `box`: the drawn one, None: not
    drawn. `masks`: those drawn or extended by drawn ones, `modal` or `amodal` -> compressed COCO
    counts; None: none. `rejected_models`: the models whose prediction of the person was marked as
    wrong, None: none. `track`: None: as on disk. `keyframe`: True: marked as key frame; False:
    interpolated between key frames, or the mark was removed; None: neither.
    """

    person: Person
    revision: int = 0
    status: Status | FrameStatus = "pending"
    reason: str = ""
    joints: Mapping[str, JointLabel] = field(default_factory=dict)
    box: list[float] | None = None
    masks: dict[str, str] | None = None
    rejected_models: list[str] | None = None
    track: int | None = None
    keyframe: bool | None = None
    deleted: bool = False
    added: bool = False
    who: str | None = None
    when: datetime | None = None
    comments: int = 0


ITEM_FIELDS = ("status", "reason", "box", "masks", "deleted", "added", "rejected_models", "track",
               "keyframe")  # fmt: skip
"""Fields of a person that an event sets directly."""

_Reviewing = Literal["claim", "save_view"]
_Leading = Literal[
    "assign",
    "adjudicate",
    "relabel",
    "generate",
    "save_view_for_all",
    "import",
    "export",
    "invite",
    "skeletons",
]
_Administering = Literal["members", "tokens", "webhooks", "accounts"]
Action = Literal["look"] | Kind | _Reviewing | _Leading | _Administering
MIN_ROLE: dict[Action, Role] = {
    "look": "viewer",
    **dict.fromkeys((*KINDS, *get_args(_Reviewing)), "reviewer"),
    **dict.fromkeys(get_args(_Leading), "lead"),
    **dict.fromkeys(get_args(_Administering), "admin"),
}
_PHRASES: dict[str, str] = {
    "members": "change roles",
    "tokens": "manage the tokens of others",
    "webhooks": "manage webhooks",
    "accounts": "manage accounts",
    "invite": "invite people",
    "skeletons": "save skeletons",
}
LOG = logging.getLogger("synthstudio.review.roles")


def to_role(text: str) -> Role:
    """A stored role; unknown ones become the lowest."""
    return next((role for role in ROLES if role == text), "viewer")


def may(role: Role, action: Action) -> bool:
    """Whether a role may do it; an unknown role has no permissions."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(MIN_ROLE[action])


def require(who: User, action: Action) -> None:
    """Raise Refused("role") unless the user may do it; refusals are logged."""
    if not may(who.role, action):
        LOG.warning("refused %s to %s, role %s", action, ascii(who.name)[:100], who.role)
        raise Refused(
            f"you may not {_PHRASES.get(action, action.replace('_', ' '))}",
            where=f"role {who.role}",
            expected=f"{MIN_ROLE[action]} or higher",
            then="Ask an admin for that role.",
            reason="role",
        )


def invalid(what: str, where: str, *, expected: str, got: object = None) -> NoReturn:
    text = None if got is None else repr(got)[:80]
    raise Refused(what, where=where, expected=expected, got=text, reason="invalid")


def read_row(kind: type[T], row: object) -> T:
    """A row of the store as a dataclass with fields named as columns."""
    return kind(**{one.name: getattr(row, one.name) for one in fields(kind)})  # type: ignore[arg-type]
