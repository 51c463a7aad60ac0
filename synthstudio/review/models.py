"""The tables of the review store. Events are the truth; `item` is their result.

Times are UTC. JSON columns hold plain values. A person is (dataset, frame, instance, layer).
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from synthstudio.core.errors import ReviewError
from synthstudio.review.values import MAIN, Event, ItemState, JointLabel, Person, read_row

SCHEMA = "0013"
"""Version of the tables below."""
KEY_LENGTH = 64
NAME_LENGTH = 80
ACTIVE = ("queued", "running")
RESUMABLE = ("lost", "failed", "cancelled")
"""States of jobs."""
Json = dict[str, Any]


class UtcTime(TypeDecorator[datetime]):
    """A time stored as UTC without a zone, read as an aware datetime in UTC."""

    impl = DateTime(timezone=False)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time in the review store needs a time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {
        str: String(NAME_LENGTH),
        datetime: UtcTime,
        Json: JSON,
        list[str]: JSON,
        Any: JSON,
    }
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _dataset_key(*, primary: bool = False) -> Mapped[str]:
    return mapped_column(String(KEY_LENGTH), ForeignKey("dataset.key"), primary_key=primary)


class _AboutPerson:
    """Columns of a table with several rows per person."""

    dataset: Mapped[str] = _dataset_key()
    frame: Mapped[int]
    instance: Mapped[int]
    layer: Mapped[str] = mapped_column(default=MAIN)

    @property
    def person(self) -> Person:
        return read_row(Person, self)


class _OfPerson(_AboutPerson):
    """The same columns as the primary key: one row per person."""

    dataset: Mapped[str] = _dataset_key(primary=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    instance: Mapped[int] = mapped_column(primary_key=True)
    layer: Mapped[str] = mapped_column(primary_key=True, default=MAIN)


class SchemaRow(Base):
    """The schema of the store, in the table in which Alembic looks for it."""

    __tablename__ = "alembic_version"

    version_num: Mapped[str] = mapped_column(String(32), primary_key=True)


class DatasetRow(Base):
    """A data set that is reviewed; `key`: the hash of its content (review/history.py)."""

    __tablename__ = "dataset"

    key: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    name: Mapped[str]
    skeleton: Mapped[str] = mapped_column(Text)
    """A name for `get_skeleton`: for a custom skeleton its definition."""
    people: Mapped[int]
    added_at: Mapped[datetime]


class ItemRow(_OfPerson, Base):
    """The state of a person after all events, as `values.ItemState`. No row: untouched."""

    __tablename__ = "item"
    __table_args__ = (Index(None, "dataset", "layer", "status"),)

    revision: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    joints: Mapped[Json] = mapped_column(default=dict)
    """Joint name -> {x_px, y_px, state, cause, origin}: only changed joints."""
    box: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    masks: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    rejected_models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    track: Mapped[int | None]
    keyframe: Mapped[bool | None]
    deleted: Mapped[bool] = mapped_column(default=False)
    added: Mapped[bool] = mapped_column(default=False)
    who: Mapped[str | None]
    when: Mapped[datetime | None]
    comments: Mapped[int] = mapped_column(default=0)


class EventRow(_AboutPerson, Base):
    """A reviewer's action on a person. Append-only."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("client", "seq"),
        UniqueConstraint("dataset", "frame", "instance", "layer", "revision"),
        Index(None, "dataset", "id"),
        Index(None, "dataset", "who", "when"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    revision: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    who: Mapped[str]
    when: Mapped[datetime]
    before: Mapped[Json]
    after: Mapped[Json]
    client: Mapped[str]
    seq: Mapped[int]
    reverts: Mapped[int | None] = mapped_column(Integer, ForeignKey("event.id"))


class LeaseRow(_OfPerson, Base):
    __tablename__ = "lease"
    __table_args__ = (Index(None, "dataset", "who"),)

    who: Mapped[str]
    until: Mapped[datetime]


class AssignmentRow(_OfPerson, Base):
    """The assignment of a person by a lead (`by`); `due`: the last day."""

    __tablename__ = "assignment"
    __table_args__ = (Index(None, "dataset", "who"),)

    who: Mapped[str]
    by: Mapped[str]
    when: Mapped[datetime]
    due: Mapped[date | None]


class MemberRow(Base):
    __tablename__ = "member"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    by: Mapped[str | None]
    when: Mapped[datetime | None]


class TokenRow(Base):
    """A program's API token of a person; only its hash is stored."""

    __tablename__ = "token"
    __table_args__ = (Index(None, "digest", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    digest: Mapped[str] = mapped_column(String(KEY_LENGTH))
    who: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    """Maximum role: limited by the person's current role."""
    label: Mapped[str]
    by: Mapped[str]
    made: Mapped[datetime]
    until: Mapped[datetime]
    revoked: Mapped[datetime | None]


class AccountRow(Base):
    """An account with a password; `password` None: not chosen yet."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(primary_key=True)
    password: Mapped[str | None] = mapped_column(Text)
    """Its hash by argon2id, with the parameters."""
    by: Mapped[str]
    made: Mapped[datetime]
    changed: Mapped[datetime | None]
    """When the password was chosen."""
    revoked: Mapped[datetime | None]


class CodeRow(Base):
    """A one-time code to choose a password: an invitation or a reset."""

    __tablename__ = "account_code"
    __table_args__ = (Index(None, "name"),)

    digest: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    role: Mapped[str] = mapped_column(String(16))
    """Maximum role: a higher role needs a new code."""
    by: Mapped[str]
    made: Mapped[datetime]
    until: Mapped[datetime]


class SessionRow(Base):
    """A browser session; only the hash of its cookie is stored."""

    __tablename__ = "sign_in"
    __table_args__ = (Index(None, "name"),)

    digest: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(ForeignKey("account.name"))
    made: Mapped[datetime]
    seen: Mapped[datetime]


class FailureRow(Base):
    """Failed sign-ins of an account or address; `key`: hash of it."""

    __tablename__ = "sign_in_tries"

    key: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    wrong: Mapped[int]
    last: Mapped[datetime]
    until: Mapped[datetime]
    """No other try before."""


class WebhookRow(Base):
    """A URL that decisions are posted to. `last`: the last delivered event.

    `state`: "on", or "stopped" after too many failures (`note`).
    """

    __tablename__ = "webhook"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    dataset: Mapped[str] = _dataset_key()
    url: Mapped[str] = mapped_column(Text)
    by: Mapped[str]
    made: Mapped[datetime]
    salt: Mapped[str] = mapped_column(String(KEY_LENGTH))
    """Salt of its secret, which is not stored."""
    last: Mapped[int]
    tries: Mapped[int] = mapped_column(default=0)
    due: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(Text, default="")
    comments: Mapped[bool] = mapped_column(default=False)
    """Whether it also receives threads of comments."""


class SavedViewRow(Base):
    """A query with its options, under a name. `who` None: for all."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("dataset", "who", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    dataset: Mapped[str] = _dataset_key()
    name: Mapped[str]
    who: Mapped[str | None]
    query: Mapped[str] = mapped_column(Text)
    options: Mapped[Json] = mapped_column(default=dict)


class JobRow(Base):
    """A job's process, which outlives browser and server."""

    __tablename__ = "job"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    who: Mapped[str]
    spec: Mapped[Json]
    state: Mapped[str] = mapped_column(String(16), index=True)
    pid: Mapped[int | None]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    progress: Mapped[Json] = mapped_column(default=dict)
    message: Mapped[str] = mapped_column(Text, default="")
    out: Mapped[str] = mapped_column(Text, nullable=True)

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE and self.kind == "generate"

    @property
    def stopping(self) -> bool:
        return self.state == "running" and "stop" in self.progress

    @property
    def done(self) -> int:
        """How many frames are written; 0 if unknown, as `total`."""
        return int(self.progress.get("done", 0))

    @property
    def total(self) -> int:
        return int(self.progress.get("total", 0))

    @property
    def per_second(self) -> float:
        return float(self.progress.get("per_second", 0.0))


class PredictionRow(Base):
    """A model's prediction of a person; `layer` is the model's name."""

    __tablename__ = "prediction"

    dataset: Mapped[str] = _dataset_key(primary=True)
    layer: Mapped[str] = mapped_column(primary_key=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    instance: Mapped[int] = mapped_column(primary_key=True)
    joints: Mapped[Json]
    score: Mapped[float]


class RiskRow(Base):
    """Result of a kind of check for a person: the largest score, 0 to 1, and reasons."""

    __tablename__ = "risk"

    dataset: Mapped[str] = _dataset_key(primary=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    instance: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    score: Mapped[float]
    reasons: Mapped[list[str]]


class SettingRow(Base):
    """A setting of a data set (dataset "": of the whole store)."""

    __tablename__ = "setting"

    dataset: Mapped[str] = mapped_column(String(KEY_LENGTH), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any]


class ThreadRow(_AboutPerson, Base):
    """A thread of comments, derived from events, as `threads.Thread`."""

    __tablename__ = "thread"
    __table_args__ = (Index(None, "dataset", "frame", "instance", "layer"),)

    id: Mapped[int] = mapped_column(
        Integer, ForeignKey("event.id"), primary_key=True, autoincrement=False
    )
    who: Mapped[str]
    when: Mapped[datetime]
    joint: Mapped[str | None]
    is_open: Mapped[bool]
    comments: Mapped[int]
    mentions: Mapped[list[str]]


def is_person(table: type[_AboutPerson], person: Person) -> ColumnElement[bool]:
    return and_(*(getattr(table, name) == value for name, value in asdict(person).items()))


def in_layer(table: type[_AboutPerson], dataset: str, layer: str = MAIN) -> ColumnElement[bool]:
    return and_(table.dataset == dataset, table.layer == layer)


def labels_from_json(joints: Mapping[str, Any]) -> dict[str, JointLabel]:
    """Stored labels; ReviewError if invalid."""
    try:
        return {name: JointLabel(**value) for name, value in joints.items() if value is not None}
    except (TypeError, AttributeError) as error:
        raise _damaged("joints", joints) from error


def stored_object(stored: Any, name: str) -> dict[str, Any]:
    """A stored JSON object; ReviewError for anything else."""
    if not isinstance(stored, dict):
        raise _damaged(name, stored)
    return stored


def _damaged(name: str, stored: Any) -> ReviewError:
    return ReviewError(
        "a row is damaged",
        where=f"review store, {name}",
        expected="names and labels as the studio writes them",
        got=repr(stored)[:200],
        then="Restore a backup (docs/review.md).",
    )


def state_of(row: ItemRow, *, masks: bool = True) -> ItemState:
    names = (field.name for field in fields(ItemState))
    values = {name: getattr(row, name) for name in names if masks or name != "masks"}
    values["joints"] = labels_from_json(row.joints)
    return ItemState(**values)


def event_of(row: EventRow) -> Event:
    for name in ("before", "after"):
        stored_object(getattr(row, name), f"event.{name}")
    return read_row(Event, row)
