"""What passes between the studio, the command line and the review store; who may do what."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, NoReturn, TypeVar, get_args

from synthstudio.core.errors import Refused

T = TypeVar("T")
Role = Literal["viewer", "reviewer", "lead", "admin"]
Status = Literal["pending", "approved", "rejected", "flagged", "skipped"]
FrameStatus = Literal["pending", "nobody"]
Kind = Literal[
    "edit",
    "status",
    "comment",
    "add",
    "delete",
    "restore",
    "revert",
    "distrust",
    "resolve",
    "reopen",
]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""
STATUSES: tuple[Status, ...] = get_args(Status)
"""Of people."""
FRAME_STATUSES: tuple[FrameStatus, ...] = get_args(FrameStatus)
"""Of whole frames, which are items of their own with the number FRAME in place of a person's."""
FRAME, NOBODY = 0, "nobody"
KINDS: tuple[Kind, ...] = get_args(Kind)
MAIN = "main"
"""The layer that exports read. A blind second pass and each model's predictions have their own."""
HUMAN, PREDICTED = "human", "predicted"
"""Whose word a joint of a review is: somebody's, or a model's that somebody accepted unchanged."""


@dataclass(frozen=True, kw_only=True)
class User:
    name: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person in one frame of a data set (`dataset`: its key, see `store.register`).

    `instance` FRAME: the frame itself, of which may be said that nobody is in it.
    """

    dataset: str
    frame: int
    instance: int
    layer: str = MAIN

    @property
    def key(self) -> tuple[str, int, int, str]:
        return self.dataset, self.frame, self.instance, self.layer

    @property
    def where(self) -> str:
        """The person as messages name it."""
        whole = self.instance == FRAME
        return f"frame {self.frame}" if whole else f"frame {self.frame}, person {self.instance}"


@dataclass(frozen=True, kw_only=True)
class JointLabel:
    """A joint as a reviewer sees it. `x_px`, `y_px`: continuous pixels, None where unknown.

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
        """Whether it has a place in a picture of this size, its edge included."""
        at = self.place
        return at is not None and 0 <= at[0] <= width and 0 <= at[1] <= height


@dataclass(frozen=True, kw_only=True)
class Op:
    """Something a person does to one item.

    `client` and `seq` name it once and for all: said twice, it happens once. `revision`: the
    item's, as its author saw it. `joints`: new values (edit, add); `box`: x, y, width, height in
    continuous pixels (edit, add); `masks`: `modal` or `amodal` -> a COCO code or polygons (edit,
    add). `status` and `text` (its reason) for status; `text` for comment, with the `joint` that it
    points at, if any; `event` for revert; and the event of a thread's first comment for a comment
    that answers it, resolve and reopen; `text`: the model whose prediction of the person is wrong,
    for distrust. `track`: who it is over time, a number of the clip; `keyed`: whether it is a key
    frame of that track (edit, add); see tracks.py.
    """

    client: str
    seq: int
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
    keyed: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """An op that happened. `before` and `after` hold only what it changed, as JSON values."""

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


@dataclass(frozen=True, kw_only=True)
class ItemState:
    """What all events of an item add up to. Revision 0: nobody has touched it.

    `joints`: only those that somebody changed; the others are as the data set says. `box`: the one
    that somebody drew, None: nobody did. `masks`: those that somebody drew or that grew with them,
    `modal` or `amodal` -> compressed COCO counts; None: none. `distrusts`: the models whose
    prediction of the person somebody called wrong, None: none. `track`: None: as on disk. `keyed`:
    True: somebody marked the key frame; False: its labels lie between those of key frames, or
    somebody took the mark away; None: neither.
    """

    person: Person
    revision: int = 0
    status: Status | FrameStatus = "pending"
    reason: str = ""
    joints: Mapping[str, JointLabel] = field(default_factory=dict)
    box: list[float] | None = None
    masks: dict[str, str] | None = None
    distrusts: list[str] | None = None
    track: int | None = None
    keyed: bool | None = None
    deleted: bool = False
    added: bool = False
    who: str | None = None
    when: datetime | None = None
    comments: int = 0


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
"""What messages call an action whose name is no verb."""
LOG = logging.getLogger("synthstudio.review.roles")


def to_role(text: str) -> Role:
    """A stored role; an unknown one is the lowest."""
    return next((role for role in ROLES if role == text), "viewer")


def may(role: Role, action: Action) -> bool:
    """Whether a role may do it; an unknown role may do nothing."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(MIN_ROLE[action])


def require(who: User, action: Action) -> None:
    """Raise Refused("role") unless the user may do it; that is logged, whoever calls."""
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
    """A row of the store as a dataclass whose fields are columns of it."""
    return kind(**{one.name: getattr(row, one.name) for one in fields(kind)})  # type: ignore[arg-type]
